"""Demand: from requests a day to a rate in every hour of the day."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from inferometer.comparison.costs import Demand
from inferometer.cost.hour import MONTH_H, shown
from inferometer.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from inferometer.cost.scenario import FleetEntry

HOUR_S = 3600
MONTH_DAYS = MONTH_H / 24
MOST_A_DAY = 1e15
"""Requests: more are a mistake, and beyond what can be counted in replicas."""

SHAPES: dict[str, tuple[float, ...]] = {
    "flat": (1,) * 24,
    "office": (1, 1, 1, 1, 1, 1, 2, 4, 8, 10, 10, 10, 8, 10, 10, 10, 10, 8, 4, 3, 3, 2, 1, 1),
    "evening": (4, 2, 1, 1, 1, 1, 2, 3, 4, 4, 4, 5, 6, 6, 5, 5, 6, 7, 9, 10, 10, 10, 9, 5),
}
"""Weights of the hours from midnight on, local time. ``office`` and ``evening`` are conventions of
this program, taken from no measurement; in both the busiest hour has twice the mean."""


def demand(entry: FleetEntry, *, input_tokens: float, output_tokens: float, slo: str) -> Demand:
    """Return what the fleet must carry in the last of ``entry.months``.

    ``input_tokens`` and ``output_tokens`` are of the mean request; ``slo`` is the objectives in
    words. Growth compounds: requests a day x (1 + growth)^months. Each region has the day's shape
    in its own local time. Raises UsageError for a shape or a growth that gives no demand.
    """
    hourly = _shares(entry.shape)
    grown = _grown(entry)
    return Demand(
        workload=entry.workload,
        requests_per_day=grown,
        requests_per_day_now=entry.requests_per_day,
        shape=entry.shape if isinstance(entry.shape, str) else "own weights",
        hourly=hourly,
        peak_to_mean=max(hourly) * 24,
        growth_per_month=entry.growth_per_month,
        months=entry.months,
        headroom=entry.headroom,
        spare=entry.spare,
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        slo=slo,
        formula=_formula(entry, grown, max(hourly)),
    )


def requests_s(demand: Demand, share: float = 1.0) -> list[float]:
    """Return the requests per second of 24 hours, for a ``share`` of the demand."""
    return [demand.requests_per_day * share * part / HOUR_S for part in demand.hourly]


def requests_per_month(demand: Demand, share: float = 1.0) -> float:
    """Return the requests of a month of 730 hours, for a ``share`` of the demand."""
    return demand.requests_per_day * share * MONTH_DAYS


def _shares(shape: str | Sequence[float]) -> list[float]:
    weights = SHAPES[shape] if isinstance(shape, str) else tuple(shape)
    if len(weights) != 24:
        raise UsageError(
            f"[fleet] shape has {len(weights)} weights",
            hint="Give 24, one for each hour of the day, or flat, office or evening.",
        )
    whole = math.fsum(weights)
    if not (math.isfinite(whole) and whole > 0 and min(weights) >= 0):
        raise UsageError(
            f"[fleet] shape has weights that add up to {whole:g}",
            hint="Give 24 numbers of 0 or more, not all 0.",
        )
    return [weight / whole for weight in weights]


def _grown(entry: FleetEntry) -> float:
    try:
        grown = entry.requests_per_day * (1 + entry.growth_per_month) ** entry.months
    except OverflowError:
        grown = math.inf
    if not 0 < grown <= MOST_A_DAY:
        raise UsageError(
            f"[fleet] {entry.requests_per_day:g} requests_per_day with growth_per_month "
            f"{entry.growth_per_month:g} over {entry.months} months come to {grown:g} a day",
            hint="Growth is a share per month: 0.05 is 5 %.",
        )
    return grown


def _formula(entry: FleetEntry, grown: float, busiest: float) -> str:
    words = f"{shown(entry.requests_per_day)} requests a day"
    if entry.months and entry.growth_per_month:
        growth = f"(1 {entry.growth_per_month:+g})^{entry.months}"
        words += f" x {growth} after {entry.months} months = {shown(grown)} a day"
    peak = grown * busiest / HOUR_S
    words += f"; busiest hour: {shown(grown)} x {shown(busiest)} of the day / 3,600 s"
    words += f" = {shown(peak)} requests/s"
    if entry.shape in {"office", "evening"}:
        words += f"; the shape {entry.shape!r} is a convention of this program, not measured"
    return words
