"""Which of two models is better: surely, or as it looks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inferometer.uncertainty.decisions import RULES

if TYPE_CHECKING:
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
