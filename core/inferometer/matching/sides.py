"""Which of two models is better, surely; and whether findings contradict each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inferometer.uncertainty.decisions import RULES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from inferometer.comparison import Value
    from inferometer.comparison.architectures import Side

MARGIN = RULES.margin
"""Ratios within it of 1, either way, are equal for every purpose: 2 %."""
_ROUNDING = 1e-9
"""A ratio so near to 1 differs from it by floating-point rounding alone."""


def side(ratio: Value, *, higher_is_better: bool) -> Side | None:
    """Return who is better by the interval of MoE over dense; None where there is no ratio.

    Somebody is when the interval leaves out 1; a tie is one that lies within the margin. Without
    an interval nothing is sure.
    """
    if ratio.value is None:
        return None
    if ratio.low is None or ratio.high is None:
        return "undecided"
    if ratio.low > 1 + _ROUNDING or ratio.high < 1 - _ROUNDING:
        return "moe" if (ratio.low > 1) is higher_is_better else "dense"
    tie = ratio.low >= 1 / (1 + MARGIN) and ratio.high <= 1 + MARGIN
    return "tie" if tie else "undecided"


def leaning(ratio: Value, *, higher_is_better: bool) -> Side | None:
    """Return who looks better where there is no interval: by more than the margin, else a tie."""
    if ratio.value is None:
        return None
    if 1 / (1 + MARGIN) <= ratio.value <= 1 + MARGIN:
        return "tie"
    return "moe" if (ratio.value > 1) is higher_is_better else "dense"


def dependence(ratios: Iterable[Value], *, higher_is_better: bool) -> tuple[bool | None, bool]:
    """Return whether findings of one MoE model contradict each other, and whether by points alone.

    True when two are surely on opposite sides; or, by points alone, when values without an
    interval (one launch each) are needed to say so. None while fewer than two have a side.
    """
    every = list(ratios)
    sure = [side(one, higher_is_better=higher_is_better) for one in every]
    known = [one for one in sure if one not in {None, "undecided"}]
    if {"moe", "dense"} <= set(known):
        return True, False
    points = [leaning(one, higher_is_better=higher_is_better) for one in every if one.low is None]
    looked = [*known, *(one for one in points if one is not None)]
    if len(looked) < 2:
        return None, False
    return {"moe", "dense"} <= set(looked), len(looked) > len(known)
