"""Stacks compared where they serve a user equally fast, not where they were loaded equally.

At equal concurrency two stacks are at different latencies, so their throughputs answer different
questions. Each launch gives a curve over its load points; it is read at a stated interactivity,
and the readings of one round are the pair.

Source: Fritsch and Carlson, SIAM J. Numer. Anal. 17, 1980, for interpolation that stays monotone.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Curve = Sequence[tuple[float, float]]
    """Of one launch: (interactivity in tok/s/user, value) at each load point, in any order."""


def frontier(curve: Curve, *, higher_is_better: bool = True) -> list[tuple[float, float]]:
    """Return the points that no other beats in both, by rising interactivity.

    A load point that is slower for the user and worse in value says nothing that the better one
    does not; without it the curve is monotone.
    """
    kept: list[tuple[float, float]] = []
    sign = 1.0 if higher_is_better else -1.0
    for x, y in sorted(curve, key=lambda point: (-point[0], -sign * point[1])):
        if not kept or sign * y > sign * kept[-1][1]:
            kept.append((x, y))
    return kept[::-1]


def at(curve: Curve, interactivity: float, *, higher_is_better: bool = True) -> float | None:
    """Return the value at ``interactivity``, interpolated between load points in log-log.

    None outside what was measured: nothing is extrapolated.

    Raises:
        ValueError: a number that has no logarithm.
    """
    from scipy.interpolate import PchipInterpolator  # noqa: PLC0415 -- takes long to import

    if interactivity <= 0 or any(x <= 0 or y <= 0 for x, y in curve):
        raise ValueError("a number that is not positive has no logarithm")
    points = frontier(curve, higher_is_better=higher_is_better)
    if not points or not points[0][0] <= interactivity <= points[-1][0]:
        return None
    if len(points) == 1:
        return points[0][1]
    x, y = np.log(np.array(points)).T
    return math.exp(float(PchipInterpolator(x, y)(math.log(interactivity))))


def by_round(
    curves: Mapping[str, Mapping[int, Curve]],
    interactivity: float,
    *,
    higher_is_better: bool = True,
) -> dict[str, dict[int, float]]:
    """Return stack -> round -> value at ``interactivity``: what ``decisions.decide`` takes.

    Launches whose curve does not reach there are left out, and so is a stack without any launch
    that does: its reason is ``out_of_range``.
    """
    found = {
        stack: {
            round_: value
            for round_, curve in rounds.items()
            if (value := at(curve, interactivity, higher_is_better=higher_is_better)) is not None
        }
        for stack, rounds in curves.items()
    }
    return {stack: rounds for stack, rounds in found.items() if rounds}


def shared_range(curves: Mapping[str, Mapping[int, Curve]]) -> tuple[float, float] | None:
    """Return the interactivities that every launch of every stack covers, or None."""
    every = [[x for x, _ in curve] for rounds in curves.values() for curve in rounds.values()]
    if not every or not all(every):
        return None
    low, high = max(map(min, every)), min(map(max, every))
    return (low, high) if low <= high else None
