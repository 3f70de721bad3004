"""Closed load points by workload, the interactivity of a cell's launches, and shared rounds."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from inferometer import stats
from inferometer.cells import values

if TYPE_CHECKING:
    from collections.abc import Mapping

    from inferometer.cells import Evidence, Values
    from inferometer.contests import Field
    from inferometer.plan import LoadPoint

T = TypeVar("T")
INTERACTIVITY = "interactivity_tok_s_user"
X_UNIT = "tok/s/user"


def by_workload(evidence: Evidence) -> dict[str, list[LoadPoint]]:
    """Return the closed load points of each workload; of open loops the load is no choice."""
    found: dict[str, list[LoadPoint]] = {}
    for point in evidence.load_points:
        if point.load.closed:
            found.setdefault(point.workload.name, []).append(point)
    return found


def speeds(field: Field, stack: str, model: str, point: LoadPoint) -> Values:
    """Return the interactivity of a cell's launches (tok/s/user), or why there is none."""
    return values(field.rows[stack, model, point.index], INTERACTIVITY, None)


def paired(one: Mapping[int, float], other: Mapping[int, float]) -> dict[int, tuple[float, float]]:
    """Return the two values of every round that has both."""
    return {round_: (one[round_], other[round_]) for round_ in sorted(one.keys() & other.keys())}


def together(
    every: Mapping[str, Mapping[int, T]],
) -> tuple[dict[str, dict[int, T]], dict[str, str]]:
    """Return what is compared over the rounds that all of it has, and why the rest is left out.

    A round that one lacks was slow, or quick, for the others alone. Those with the fewest rounds
    are left out until the rest, two of them at least, share two rounds; where that cannot be, until
    they share one.
    """
    names = sorted(every, key=lambda name: len(every[name]))
    for least in (2, 1):
        for first in range(max(len(names) - 1, 1)):
            kept = names[first:]
            rounds = stats.complete_rounds({name: every[name] for name in kept})
            if len(rounds) >= least:
                found = {
                    name: {r: every[name][r] for r in rounds} for name in every if name in kept
                }
                return found, {name: _words(len(every[name])) for name in names[:first]}
    return {}, {name: _words(len(every[name])) for name in names}


def _words(rounds: int) -> str:
    return f"{rounds} round{'s' if rounds != 1 else ''}, too few shared with the others"
