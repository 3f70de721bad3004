"""Run the kit: as one pytest case for each check, or without pytest."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING

from inferometer.guests import stdout_to_stderr
from inferometer.plugins import Registry
from inferometer.testing.check import cases, known_of, named, selected
from inferometer.testing.meters.checks import CHECKS
from inferometer.testing.meters.kit import Kit
from inferometer.testing.meters.world import World

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from inferometer.meter import EnergyMeter
    from inferometer.testing.check import Result


def run(
    meter: EnergyMeter | str,
    *,
    world: World | None = None,
    known: Mapping[str, str] | None = None,
    only: Collection[str] = (),
    told: Callable[[Result], None] = lambda _result: None,
) -> list[Result]:
    """Check a meter, or the installed one of that name; takes seconds.

    ``world`` is the machine it is checked on (left out: this one, as it is), ``known`` the reasons
    of failures by check id, ``only`` names the checks to run, and ``told`` gets each result at
    once.

    Raises:
        UsageError: no installed plugin brings such a meter, or there is no such check.
    """
    wanted = selected(CHECKS, only)
    kit = _kit(meter, world, known)
    results = []
    for each in wanted:
        with stdout_to_stderr():
            result = each.run(kit)
        results.append(result)
        told(result)
    return results


def suite(
    meter: EnergyMeter | str,
    *,
    world: World | None = None,
    known: Mapping[str, str] | None = None,
) -> Callable[..., None]:
    """Return a pytest function with one case for each check; give it a name that is collected.

    A known failure is an expected one, and what has no subject is skipped, both with the reason.
    The arguments are those of :func:`run`.
    """
    return cases(CHECKS, lambda: nullcontext(_kit(meter, world, known)))


def found(meter: EnergyMeter | str) -> EnergyMeter:
    """Return the meter itself, or the installed one of that name."""
    return named("meter", meter, Registry().meters)


def _kit(meter: EnergyMeter | str, world: World | None, known: Mapping[str, str] | None) -> Kit:
    subject = found(meter)
    return Kit(subject, world or World(), known_of(subject, known))
