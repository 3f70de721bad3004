"""Stacks compared where they serve a user equally fast, not where they were loaded equally.

At equal concurrency two stacks are at different latencies, so their throughputs answer different
questions. Each launch gives a curve over its load points; it is read at a stated interactivity,
and the readings of one round are the pair.

Read against the time per token ``u`` (1 / interactivity) the streams ``n``, and ``n`` over tok/s
(or times a cost per token), are straight lines for an engine whose step takes longer in proportion
to its batch. Straight in log-log they are not: there a curve of dense decoding between 8 and 32
streams is read 8 to 16 % too low. Where a step is no line (experts that a larger batch wakes), the
curve itself says so: :func:`read` returns how far off a reading may be.

Source: Fritsch and Carlson, SIAM J. Numer. Anal. 17, 1980, for interpolation that stays monotone.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


_ROUNDING = 1e-9
"""Interactivities this near each other, relatively, differ by floating-point rounding."""


class Load(NamedTuple):
    """One load point of one launch; ``value`` is tok/s, or a cost for each token."""

    streams: float
    interactivity: float
    """tok/s/user."""
    value: float


class Reading(NamedTuple):
    """A value between load points, and how far the true one may be from it (log units)."""

    value: float
    slack: float


if TYPE_CHECKING:
    Curve = Sequence[Load]
    """The load points of one launch, in any order."""


def frontier(curve: Curve, *, higher_is_better: bool = True) -> list[Load]:
    """Return the points that no other beats in both, by rising interactivity.

    A load point that is slower for the user and worse in value says nothing that the better one
    does not; without it the curve is monotone. Two that serve users equally fast but for rounding
    are one, the better.
    """
    kept: list[Load] = []
    sign = 1.0 if higher_is_better else -1.0
    for load in sorted(curve, key=lambda it: (-it.interactivity, -sign * it.value)):
        if kept and sign * load.value <= sign * kept[-1].value:
            continue
        if kept and math.isclose(load.interactivity, kept[-1].interactivity, rel_tol=_ROUNDING):
            kept[-1] = load._replace(interactivity=kept[-1].interactivity)
        else:
            kept.append(load)
    return kept[::-1]


def read(curve: Curve, interactivity: float, *, higher_is_better: bool = True) -> Reading | None:
    """Return the value at ``interactivity``; None outside what was measured.

    The true value lies between those of the two load points around it, if the curve is monotone.
    With a third load point the curve tells more: each that has neighbours on both sides is read
    without itself, and the greatest error is the slack, where it is the smaller bound.

    Raises:
        ValueError: a number that is not positive.
    """
    if interactivity <= 0 or any(number <= 0 for load in curve for number in load):
        raise ValueError("a curve is made of positive numbers")
    loads = frontier(curve, higher_is_better=higher_is_better)
    if not loads or not loads[0].interactivity <= interactivity <= loads[-1].interactivity:
        return None
    measured = [load.value for load in loads if load.interactivity == interactivity]
    if measured:
        return Reading(measured[0], 0.0)
    value = _between(loads, interactivity, higher_is_better=higher_is_better)
    right = bisect_right([load.interactivity for load in loads], interactivity)
    ends = (loads[right - 1].value, loads[right].value)
    slack = max(abs(math.log(end / value)) for end in ends)
    missed = [
        abs(math.log(without / loads[i].value))
        for i in range(1, len(loads) - 1)
        for rest in [[*loads[:i], *loads[i + 1 :]]]
        for without in [_between(rest, loads[i].interactivity, higher_is_better=higher_is_better)]
    ]
    return Reading(value, min(slack, max(missed)) if missed else slack)


def _between(loads: Sequence[Load], interactivity: float, *, higher_is_better: bool) -> float:
    """Interpolate between the two load points around ``interactivity``, never beyond their values.

    ``n(u) / z(u)`` for tok/s with ``z = n / value``, ``z(u) / n(u)`` for a cost with
    ``z = n * value``.
    """
    from scipy.interpolate import PchipInterpolator  # noqa: PLC0415 -- takes long to import

    streams, speed, value = np.array(loads[::-1], dtype=float).T
    spent = streams / value if higher_is_better else streams * value
    n, z = (float(PchipInterpolator(1 / speed, y)(1 / interactivity)) for y in (streams, spent))
    right = bisect_right([load.interactivity for load in loads], interactivity)
    low, high = sorted((loads[right - 1].value, loads[right].value))
    return min(max(n / z if higher_is_better else z / n, low), high)


def shared_range(curves: Mapping[str, Mapping[int, Curve]]) -> tuple[float, float] | None:
    """Return the interactivities that every launch of every stack covers, or None."""
    every = [
        [load.interactivity for load in curve]
        for rounds in curves.values()
        for curve in rounds.values()
    ]
    if not every or not all(every):
        return None
    low, high = max(map(min, every)), min(map(max, every))
    return (low, high) if low <= high else None
