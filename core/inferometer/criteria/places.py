"""Closed load points by workload, and the interactivity of a cell's launches."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inferometer.cells import values

if TYPE_CHECKING:
    from collections.abc import Mapping

    from inferometer.cells import Evidence, Values
    from inferometer.contests import Field
    from inferometer.plan import LoadPoint

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
