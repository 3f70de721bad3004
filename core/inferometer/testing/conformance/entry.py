"""Run the kit: as one pytest case for each check, or without pytest."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from inferometer.plugins import Registry
from inferometer.testing.check import cases, named, selected
from inferometer.testing.conformance.checks import CHECKS
from inferometer.testing.conformance.kit import Kit

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from inferometer.engine import Engine
    from inferometer.testing.check import Result
    from inferometer.testing.conformance.behaviours import Behaviour


def run(
    engine: Engine | str,
    *,
    behaviour: Behaviour | None = None,
    known: Mapping[str, str] | None = None,
    only: Collection[str] = (),
    told: Callable[[Result], None] = lambda _result: None,
) -> list[Result]:
    """Check an adapter, or the installed one of that name; takes seconds and no engine.

    ``behaviour`` is how its engine behaves beyond what it declares, ``known`` the reasons of
    failures by check id (both from the kit's own tables where left out), ``only`` names the checks
    to run, and ``told`` gets each result at once.

    Raises:
        UsageError: no installed plugin brings such an engine, or there is no such check.
    """
    wanted = selected(CHECKS, only)
    with closing(_kit(engine, behaviour, known)) as kit:
        results = []
        for each in wanted:
            results.append(each.run(kit))
            told(results[-1])
        return results


def suite(
    engine: Engine | str,
    *,
    behaviour: Behaviour | None = None,
    known: Mapping[str, str] | None = None,
) -> Callable[..., None]:
    """Return a pytest function with one case for each check; give it a name that is collected.

    A known failure is an expected one, and what has no subject is skipped, both with the reason.
    The arguments are those of :func:`run`.
    """
    return cases(CHECKS, lambda: closing(_kit(engine, behaviour, known)))


def _kit(engine: Engine | str, behaviour: Behaviour | None, known: Mapping[str, str] | None) -> Kit:
    return Kit.of(named("engine", engine, Registry().engines), behaviour, known)
