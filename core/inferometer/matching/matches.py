"""Four respects in which a dense and a MoE model can be equal; each says by how much they are not.

A MoE model has the bytes of its total and the FLOPs of its active parameters, so which dense model
is its equal is a choice, and the sign of a comparison follows from it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from inferometer.comparison import Match

if TYPE_CHECKING:
    from inferometer.comparison import Quality
    from inferometer.comparison.architectures import MatchKind

WITHIN = 0.15
"""The larger of two equal numbers is at most so much greater than the smaller."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What is known of a model as one stack serves it. Unknown is None.

    ``weights_bytes`` are as served. ``accelerators`` is how many serve it; None where none do.
    """

    name: str
    total_parameters: float | None = None
    active_parameters: float | None = None
    weights_bytes: float | None = None
    accelerators: int | None = None
    quality: Quality | None = None
    twin_of: str | None = None
    """The dense model that computes the same function."""


def matches(dense: Subject, moe: Subject) -> list[Match]:
    """Return all four matches, in their order."""
    return [
        _near(
            "total_parameters", "parameters", dense.total_parameters, moe.total_parameters, "total"
        ),
        _near(
            *("active_parameters", "parameters", dense.active_parameters, moe.active_parameters),
            "active",
        ),
        _memory(dense, moe),
        _quality(dense, moe),
    ]


def _near(kind: MatchKind, unit: str, dense: float | None, moe: float | None, what: str) -> Match:
    """Compare two numbers; neither is the measure of the other, so the rule is symmetrical."""
    holds = None
    if not dense or not moe:
        words = f"the {what} {unit} of the {'MoE' if dense else 'dense'} model are not known"
    elif dense == moe:
        holds, words = True, f"equal {what} {unit}"
    else:
        times = max(dense, moe) / min(dense, moe)
        larger = "MoE" if moe > dense else "dense"
        holds = times <= 1 + WITHIN
        words = f"the {larger} model has {times:.3g} times the {what} {unit}; up to "
        words += f"{1 + WITHIN:.3g} times counts as equal"
    numbers = [None if one is None else float(one) for one in (dense, moe)]
    return Match(kind=kind, holds=holds, dense=numbers[0], moe=numbers[1], unit=unit, detail=words)


def _memory(dense: Subject, moe: Subject) -> Match:
    """Compare the bytes of the weights; else how many accelerators are paid for to hold them."""
    size = _near("memory", "bytes", dense.weights_bytes, moe.weights_bytes, "weight")
    if size.holds or not dense.accelerators or not moe.accelerators:
        return size
    if dense.accelerators != moe.accelerators:
        words = f"{size.detail}; {dense.accelerators} accelerators for the dense model, "
        words += f"{moe.accelerators} for the MoE"
        return Match(
            kind="memory", holds=False, dense=size.dense, moe=size.moe, unit="bytes", detail=words
        )
    each = f"{moe.accelerators} accelerator{'s' if moe.accelerators > 1 else ''} each"
    return Match(
        kind="memory",
        holds=True,
        dense=float(dense.accelerators),
        moe=float(moe.accelerators),
        unit="accelerators",
        detail=f"{each}, not the same bytes: {size.detail}",
    )


def _quality(dense: Subject, moe: Subject) -> Match:
    """Compare scores of one name by their intervals; a twin is equal by construction."""
    if moe.twin_of == dense.name:
        words = "equal by construction: the twin computes the same function"
        return Match(kind="quality", holds=True, dense=None, moe=None, unit="", detail=words)
    if dense.quality is None or moe.quality is None:
        lacking = [s.name for s in (dense, moe) if s.quality is None]
        words = f"the study declares no quality of {' and '.join(lacking)}"
        return Match(kind="quality", holds=None, dense=None, moe=None, unit="", detail=words)
    return _scores(dense.quality, moe.quality)


def _scores(dense: Quality, moe: Quality) -> Match:
    def match(words: str, *, holds: bool | None, unit: str) -> Match:
        return Match(
            kind="quality", holds=holds, dense=dense.score, moe=moe.score, unit=unit, detail=words
        )

    if dense.name.strip().casefold() != moe.name.strip().casefold():
        words = f"scores of different names: {dense.name!r} and {moe.name!r}"
        return match(words, holds=None, unit="")
    sources = "; ".join(dict.fromkeys((dense.source, moe.source)))
    if dense.low is None or dense.high is None or moe.low is None or moe.high is None:
        return match(f"declared without an interval ({sources})", holds=None, unit=dense.name)
    holds = dense.low <= moe.high and moe.low <= dense.high
    spans = f"{dense.low:g} to {dense.high:g} and {moe.low:g} to {moe.high:g}"
    words = f"intervals {'overlap' if holds else 'are apart'}: {spans} ({sources})"
    return match(words, holds=holds, unit=dense.name)
