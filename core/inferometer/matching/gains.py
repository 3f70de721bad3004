"""MoE over dense, and what one stack gains over another, from launches paired by round."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from msgspec.structs import replace

from inferometer import stats
from inferometer.comparison import Value, worst_kind
from inferometer.numbers import percent

if TYPE_CHECKING:
    from collections.abc import Mapping

    from inferometer.comparison import Kind
    from inferometer.matching.points import Reading


def gain(reading: Reading) -> Value:
    """Return MoE over dense: the geometric mean over rounds with a t interval on logarithms.

    What was interpolated widens the interval by both slacks.
    """
    if reading.reason is not None:
        return absent(reading.kind, reading.reason, reading.detail)
    found = quotient(reading.moe, reading.dense, reading.kind, slack=sum(reading.slacks))
    words = "; ".join(filter(None, (found.detail, reading.detail)))
    return replace(found, detail=words)


def interaction(one: Reading, other: Reading) -> Value:
    """Return the ratio of two gains, over the rounds in which all four launches are there.

    Launches of a round share its time of day, so the ratio is taken in each round: pairing is what
    makes it sharper than the quotient of two intervals. Exchanging ``one`` and ``other`` inverts
    it.
    """
    kind = worst_kind([one.kind, other.kind])
    for reading in (one, other):
        if reading.reason is not None:
            return absent(kind, reading.reason, reading.detail)
    rounds = stats.complete_rounds({"1": one.moe, "2": one.dense, "3": other.moe, "4": other.dense})
    gains = [{r: it.moe[r] / it.dense[r] for r in rounds} for it in (one, other)]
    return quotient(gains[0], gains[1], kind, slack=sum(one.slacks) + sum(other.slacks))


def quotient(
    numerator: Mapping[int, float],
    denominator: Mapping[int, float],
    kind: Kind,
    *,
    slack: float = 0.0,
) -> Value:
    """Return a paired ratio as a value; its interval is ``slack`` (log units) wider each way."""
    found = stats.paired_ratio(numerator, denominator)
    if found is None:
        return absent(kind, "too_few_samples", "no round has all the launches that are compared")
    low, high = found.low, found.high
    return Value(
        value=found.value,
        unit="ratio",
        kind=kind,
        n=found.n,
        low=None if low is None else low * math.exp(-slack),
        high=None if high is None else high * math.exp(slack),
        detail=f"interpolated to within {percent(math.expm1(slack) * 100)}" if slack else "",
    )


def absent(kind: Kind, reason: str | None, detail: str) -> Value:
    """Return a ratio that is not there."""
    return Value(value=None, unit="ratio", kind=kind, reason=reason, detail=detail)
