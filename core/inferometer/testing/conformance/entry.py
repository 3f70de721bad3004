"""Run the kit: as one pytest case for each check, or without pytest."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

from inferometer.errors import UsageError
from inferometer.plugins import Registry
from inferometer.testing.check import judged, selected
from inferometer.testing.conformance.checks import CHECKS
from inferometer.testing.conformance.kit import Kit

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from inferometer.engine import Engine
    from inferometer.testing.check import Check, Result
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
    with closing(Kit.of(found(engine), behaviour, known)) as kit:
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
    import pytest  # noqa: PLC0415 -- only who tests needs it

    kits: list[Kit] = []

    @pytest.mark.parametrize("check", [pytest.param(each, id=each.id) for each in CHECKS])
    def test_conformance(check: Check[Kit], request: pytest.FixtureRequest) -> None:
        if not kits:
            kits.append(Kit.of(found(engine), behaviour, known))
            module = request.node.getparent(pytest.Module)
            module.addfinalizer(lambda: kits.pop().close())
        judged(check.run(kits[0]))

    decorated: Any = test_conformance
    return decorated  # type: ignore[no-any-return]


def found(engine: Engine | str) -> Engine:
    """Return the engine itself, or the installed one of that name."""
    if not isinstance(engine, str):
        return engine
    engines = Registry().engines()
    if engine not in engines:
        raise UsageError.unknown("engine", engine, engines)
    return engines[engine]
