"""What a fleet is made of: one replica's capacity, power and price, and sums made of such values.

A replica is one machine as it was measured, alone.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from inferometer.comparison.value import Value, worst_kind

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from inferometer.comparison import Architecture

SLACK = 1e-9
"""Relative: a last digit of floating point buys no replica, and takes none away."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """What one replica's machine costs for each hour that is *paid*, at one of ``[[hours]]``.

    A fleet pays its replicas whether they work or not, and its own load is its utilisation: that
    of the file would count idling twice. An hour at a load costs what stands and, of what runs,
    its share: :class:`inferometer.cost.hour.Use`.
    """

    usd_per_paid_hour: Value
    """USD/h at full load, no hour unused: ``Use.at(1)``."""
    running_usd_per_hour: float = 0.0
    """The part of it that follows the load: ``Use.running``; 0 where rented."""
    it_power_kw: Value | None = None
    """What the bill takes the machine to draw under load, without PUE; None: what was metered."""
    idle_power_kw: float | None = None
    """Beside it, of a paid hour without work."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Capacity:
    """One replica of a stack that serves a model: what it carries, draws and costs."""

    stack: str
    model: str
    architecture: Architecture
    cell: str
    """The load point at which it was measured."""
    requests_s: Value
    """The most that one replica carries at the SLO."""
    basis: Literal["measured", "from tokens"]
    output_tok_s: Value
    """At that load."""
    total_tokens_per_request: float | None
    """Input and output of the mean request."""
    it_power_kw: Value
    """Of one replica under that load, without PUE."""
    idle_power_kw: float | None = None
    """Of an engine with its model loaded and no requests, without PUE."""
    gpus: int | None = None
    ranked: bool = True
    rates: Mapping[str, Rate] = field(default_factory=dict)
    """By the name of the hour."""


def made(unit: str, formula: Callable[..., float], *inputs: Value, detail: str = "") -> Value:
    """Return ``formula(*inputs)``, or the reason of the first input that is absent.

    The kind is ``estimated`` (the demand and the prices are declared) or worse. The interval goes
    from the least to the most that the ends of the inputs give, all combined: not narrower than
    95 %, however the inputs hang together. An input with n = 0 is exact. One that was measured and
    has no interval leaves none, and so does one whose interval reaches 0.
    """
    kind = worst_kind(["estimated", *(each.kind for each in inputs)])
    for each in inputs:
        if each.value is None:
            return Value(value=None, unit=unit, kind=kind, reason=each.reason, detail=each.detail)
    value = float(formula(*(each.value for each in inputs)))
    n = min((each.n for each in inputs if each.n), default=0)
    low, high = _ends(formula, inputs, value) if n else (None, None)
    return Value(value=value, unit=unit, kind=kind, n=n, low=low, high=high, detail=detail)


def _ends(
    formula: Callable[..., float], inputs: Sequence[Value], value: float
) -> tuple[float | None, float | None]:
    measured = [end for each in inputs if each.n for end in (each.low, each.high)]
    if any(end is None or end <= 0 for end in measured):
        return None, None
    corners = itertools.product(*[(v.low, v.high) if v.n else (v.value,) for v in inputs])
    found = [value, *(formula(*corner) for corner in corners)]
    return float(min(found)), float(max(found))


def declared(value: float | None, unit: str, reason: str, missing: str) -> Value:
    """Return a declared number as a value, or the reason why there is none, in words."""
    if value is None:
        return Value(value=None, unit=unit, kind="declared", reason=reason, detail=missing)
    return Value(value=value, unit=unit, kind="declared")
