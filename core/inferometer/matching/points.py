"""One model's load points, and two models read off them at one operating point."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from statistics import fmean
from typing import TYPE_CHECKING

from inferometer import stats
from inferometer.comparison import worst_kind
from inferometer.criteria.curves import LEVELS, middle
from inferometer.criteria.places import X_UNIT
from inferometer.numbers import number
from inferometer.uncertainty import interactivity

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from inferometer.comparison import Kind
    from inferometer.comparison.architectures import OperatingPoint

    Range = tuple[float, float]
    ByRound = Mapping[int, float]
    Level = tuple[float | None, str]
    """An interactivity (tok/s/user; None: nowhere), and in words."""

NOWHERE = "equal interactivity"
BEST = "each at its best"


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One model at one load: what each round gave, or why there is nothing.

    ``streams`` is None of an open loop, which is no point of a curve. ``speeds`` are in
    tok/s/user.
    """

    load: str
    streams: float | None
    values: ByRound = field(default_factory=dict)
    speeds: ByRound = field(default_factory=dict)
    kind: Kind = "measured"
    reason: str | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """A dense and a MoE model at one operating point, by round; or why not.

    ``slacks`` are how far off (log units) what was interpolated may be, dense and MoE. ``detail``
    says why there is no ratio, or what must be known of the one there is.
    """

    at: OperatingPoint
    load: str
    dense: ByRound = field(default_factory=dict)
    moe: ByRound = field(default_factory=dict)
    kind: Kind = "derived"
    interactivity: float | None = None
    slacks: tuple[float, float] = (0.0, 0.0)
    dense_load: str = ""
    moe_load: str = ""
    reason: str | None = None
    detail: str = ""


def at_load(dense: Sequence[Point], moe: Sequence[Point]) -> list[Reading]:
    """Return both models at every load that both were asked for."""
    by_load = {point.load: point for point in dense}
    return [
        Reading(
            at="load",
            load=one.load,
            dense=other.values,
            moe=one.values,
            kind=worst_kind(["derived", one.kind, other.kind]),
            reason=one.reason or other.reason,
            detail=one.detail if one.reason else other.detail,
        )
        for one in moe
        for other in [by_load.get(one.load)]
        if other is not None
    ]


def at_best(
    dense: Sequence[Point], moe: Sequence[Point], *, higher_is_better: bool
) -> Reading | None:
    """Return each model at the closed load point that is best for it; None with one load alone.

    The best is of the same launches that are then compared, so of many noisy load points it
    flatters both models a little.
    """
    loads = {point.load for point in (*dense, *moe) if point.streams is not None}
    if len(loads) < 2:
        return None
    found = [_best(points, higher_is_better=higher_is_better) for points in (dense, moe)]
    unfit = [[p for p in _loaded(points) if p.reason is not None] for points in (dense, moe)]
    if found[0] is None or found[1] is None:
        spoilt = unfit[0] if found[0] is None else unfit[1]
        reason, detail = (spoilt[0].reason, spoilt[0].detail) if spoilt else ("too_few_samples", "")
        return Reading(at="best", load=BEST, reason=reason, detail=detail)
    without = [f"{p.load} ({p.detail})" for points in unfit for p in points]
    return Reading(
        at="best",
        load=BEST,
        dense=found[0].values,
        moe=found[1].values,
        kind=worst_kind(["derived", found[0].kind, found[1].kind]),
        dense_load=found[0].load,
        moe_load=found[1].load,
        detail=f"best without {'; '.join(without)}" if without else "",
    )


def _best(points: Sequence[Point], *, higher_is_better: bool) -> Point | None:
    """Return the point of the best geometric mean, over the rounds that all of them have."""
    fit = _closed(points)
    if not fit:
        return None
    rounds = stats.complete_rounds({point.load: point.values for point in fit})

    def merit(point: Point) -> float:
        logs = [math.log(point.values[r]) for r in rounds or point.values]
        return fmean(logs) if higher_is_better else -fmean(logs)

    return max(fit, key=merit)


def _closed(points: Sequence[Point]) -> list[Point]:
    return [p for p in _loaded(points) if p.reason is None and p.values]


def _loaded(points: Sequence[Point]) -> list[Point]:
    return [p for p in points if p.streams is not None]


def curves(points: Sequence[Point], *, higher_is_better: bool) -> dict[int, interactivity.Curve]:
    """Return the curve of every launch with a number at each usable load point; none of one."""
    fit = [point for point in _closed(points) if point.speeds]
    if len(fit) < 2:
        return {}
    rounds = set.intersection(*({*point.values} & {*point.speeds} for point in fit))
    return {
        r: interactivity.frontier(
            [interactivity.Load(p.streams or 0.0, p.speeds[r], p.values[r]) for p in fit],
            higher_is_better=higher_is_better,
        )
        for r in sorted(rounds)
    }


def reach(dense: Sequence[Point], moe: Sequence[Point], *, higher_is_better: bool) -> Range | None:
    """Return the interactivities (tok/s/user) that every launch of both models covers."""
    both = {
        str(index): curves(points, higher_is_better=higher_is_better)
        for index, points in enumerate((dense, moe))
    }
    return interactivity.shared_range(both) if all(both.values()) else None


def levels(ranges: Sequence[Range | None]) -> list[Level]:
    """Return where both models are compared, in words too; the same for every stack.

    The usual levels that some stack reaches with both, else the middle of what most stacks reach;
    None where none does. ``ranges`` are the stacks' :func:`reach`.
    """
    known = [one for one in ranges if one is not None]
    inside = [level for level in LEVELS if any(low <= level <= high for low, high in known)]
    if inside:
        return [(level, f"{level:g} {X_UNIT}") for level in inside]
    found = middle(known)
    if found is None:
        return [(None, NOWHERE)]
    level, most = found
    whose = f"of {most} stacks" if most > 1 else "of one stack"
    return [(level, f"{number(level)} {X_UNIT}, the middle of what both models reach {whose}")]


def at_interactivity(
    dense: Sequence[Point],
    moe: Sequence[Point],
    level: Level,
    *,
    higher_is_better: bool,
) -> Reading:
    """Return both models where they serve a user equally fast, each launch by its own curve."""
    speed, words = level
    both = [curves(points, higher_is_better=higher_is_better) for points in (dense, moe)]
    ranges = [interactivity.shared_range({"": one}) if one else None for one in both]
    inside = speed is not None and all(r is not None and r[0] <= speed <= r[1] for r in ranges)
    kinds = [p.kind for p in (*dense, *moe) if p.reason is None]
    kind = worst_kind(["interpolated", *kinds])
    if speed is None or not inside:
        reason, detail = _unread((dense, moe), ranges)
        return Reading(
            at="interactivity",
            load=words,
            kind=kind,
            interactivity=speed,
            reason=reason,
            detail=detail,
        )
    read = [
        {
            r: reading
            for r, curve in one.items()
            if (reading := interactivity.read(curve, speed, higher_is_better=higher_is_better))
        }
        for one in both
    ]
    slacks = [fmean(reading.slack for reading in one.values()) for one in read]
    return Reading(
        at="interactivity",
        load=words,
        dense={r: reading.value for r, reading in read[0].items()},
        moe={r: reading.value for r, reading in read[1].items()},
        kind=kind,
        interactivity=speed,
        slacks=(slacks[0], slacks[1]),
    )


def _unread(both: Sequence[Sequence[Point]], ranges: Sequence[Range | None]) -> tuple[str, str]:
    """Return why two models are not read at one speed: what spoilt a load point goes first."""
    for points, found in zip(both, ranges, strict=True):
        for point in points:
            if found is None and point.reason is not None:
                return point.reason, f"no curve of two load points; {point.load}: {point.detail}"
    parts = [
        f"the {name} model's launches {_covers(found)}"
        for name, found in zip(("dense", "MoE"), ranges, strict=True)
    ]
    return "out_of_range", "; ".join(parts)


def _covers(found: Range | None) -> str:
    if found is None:
        return "make no curve"
    return f"cover {number(found[0])} to {number(found[1])} {X_UNIT}"
