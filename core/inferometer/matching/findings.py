"""What each match says at each operating point, and whether the answers contradict each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inferometer.comparison import Finding
from inferometer.matching.gains import gain
from inferometer.matching.matches import matches
from inferometer.matching.sides import leaning, side

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from inferometer.matching.matches import Subject
    from inferometer.matching.points import Reading


def findings(
    dense: Subject, moe: Subject, readings: Sequence[Reading], *, higher_is_better: bool
) -> list[Finding]:
    """Return what every match that holds says, wherever both models have a number."""
    read = [
        (reading, ratio, better)
        for reading in readings
        for ratio in [gain(reading)]
        for better in [side(ratio, higher_is_better=higher_is_better)]
        if better is not None
    ]
    return [
        Finding(
            match=match.kind,
            at=reading.at,
            load=reading.load,
            dense=dense.name,
            better=better,
            ratio=ratio,
        )
        for match in matches(dense, moe)
        if match.holds
        for reading, ratio, better in read
    ]


def conclusion(found: Iterable[Finding], *, higher_is_better: bool) -> tuple[bool | None, bool]:
    """Return whether findings of one MoE model contradict each other, and whether by points alone.

    True when two are surely on opposite sides; or, by points alone, when values without an
    interval (one launch each) are needed to say so. None while fewer than two have a side.
    """
    every = list(found)
    sure = [one.better for one in every if one.better != "undecided"]
    if {"moe", "dense"} <= set(sure):
        return True, False
    points = [
        leaning(one.ratio, higher_is_better=higher_is_better)
        for one in every
        if one.ratio.low is None
    ]
    known = [*sure, *points]
    if len(known) < 2:
        return None, False
    return {"moe", "dense"} <= set(known), bool(points)
