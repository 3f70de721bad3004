"""One row of a fleet: which replicas run in each hour, what they draw, and what they cost.

A month has 730 hours, and every hour of the day comes 730 / 24 times. Replicas share the load
evenly, the spare ones too. Power is a straight line from idle to the watts under load.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from inferometer.cost.capacity import SLACK, made
from inferometer.cost.demand import MONTH_DAYS
from inferometer.cost.hour import shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from inferometer.comparison import Value
    from inferometer.comparison.costs import Demand
    from inferometer.cost.capacity import Capacity, Rate
    from inferometer.cost.scenario import Region


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One row to be: a region's share of the demand on one stack at one hour's price."""

    demand: Demand
    region: Region
    machine: Capacity
    capacity: Value
    """Requests per second of one replica: above 0, or a reason."""
    hour: str
    rate: Rate
    pue: Value
    carbon: Value
    """g/kWh."""
    follows: bool
    """Replicas run, and are paid for, only in the hours that need them."""
    loads: Sequence[float]
    """Requests per second of each hour of the day: this region's share."""

    @property
    def it_power_kw(self) -> Value:
        """Return what one replica draws under load: as its bill has it, else as metered."""
        told = self.rate.it_power_kw
        return self.machine.it_power_kw if told is None else told

    @property
    def idle_power_kw(self) -> float | None:
        """Return what it draws in an hour without work; None where that is not known."""
        rate = self.rate
        return self.machine.idle_power_kw if rate.it_power_kw is None else rate.idle_power_kw


def count(case: Case) -> Value:
    """Return the replicas of the busiest hour: whole ones for peak and headroom, and the spare."""
    demand, capacity = case.demand, case.capacity.value or 0.0
    words = f"peak {shown(max(case.loads))} requests/s"
    if demand.headroom:
        words += f" x {1 + demand.headroom:g} (headroom)"
    words += f" / {shown(capacity)} requests/s of one replica, rounded up"
    if demand.spare:
        words += f", + {demand.spare} spare"
    return made("replicas", lambda each: max(running(case, each)), case.capacity, detail=words)


def running(case: Case, capacity: float) -> list[int]:
    """Return the replicas that run in each hour of the day, where one carries ``capacity``."""
    demand = case.demand
    exact = [load * (1 + demand.headroom) / capacity for load in case.loads]
    needed = [max(1, math.ceil(each * (1 - SLACK))) + demand.spare for each in exact]
    return [*needed] if case.follows else [max(needed)] * 24


def drawn(case: Case, capacity: float, full: float) -> list[float]:
    """Return what the replicas draw in each hour, where one draws ``full`` under load.

    One replica draws idle + (full - idle) x its share of the load; without idle, ``full``.
    """
    idle = case.idle_power_kw
    on = running(case, capacity)
    if idle is None:
        return [each * full for each in on]
    return [
        each * idle + (full - idle) * load / capacity
        for each, load in zip(on, case.loads, strict=True)
    ]


def power_kw(case: Case) -> Value:
    """Return the power with PUE in the busiest hour."""
    busiest = case.loads.index(max(case.loads))
    return made(
        "kW",
        lambda capacity, full, pue: drawn(case, capacity, full)[busiest] * pue,
        *(case.capacity, case.it_power_kw, case.pue),
        detail=_power_words(case),
    )


def energy_kwh(case: Case) -> Value:
    """Return the energy of a month, with PUE where one is declared."""
    return made(
        "kWh",
        lambda capacity, full, pue: math.fsum(drawn(case, capacity, full)) * pue * MONTH_DAYS,
        *(case.capacity, case.it_power_kw, case.pue),
        detail=f"power of the 24 hours of a day x {MONTH_DAYS:.4g} days{_bound(case)}"
        + (f"; {case.pue.detail}" if case.pue.detail else ""),
    )


def money_usd(case: Case) -> Value:
    """Return the money of a month: what stands of every replica's hour, and what runs as it works.

    ``Use``: at a load, one hour costs standing + running x load.
    """
    runs, usd = case.rate.running_usd_per_hour, case.rate.usd_per_paid_hour.value or 0.0

    def spent(capacity: float, usd_per_hour: float) -> float:
        paid, worked = math.fsum(running(case, capacity)), math.fsum(case.loads) / capacity
        return ((usd_per_hour - runs) * paid + runs * worked) * MONTH_DAYS

    return made(
        *("USD", spent, case.capacity, case.rate.usd_per_paid_hour),
        detail=_money_words(case, usd, runs),
    )


def load_share(case: Case) -> float | None:
    """Return the mean load over what the running replicas can carry."""
    capacity = case.capacity.value
    if capacity is None:
        return None
    return math.fsum(case.loads) / (math.fsum(running(case, capacity)) * capacity)


def _money_words(case: Case, usd: float, runs: float) -> str:
    hours, worked = _hours(case)
    if not runs:
        return f"{hours} paid replica-hours x {shown(usd)} USD/h"
    standing = f"{hours} paid replica-hours x {shown(usd - runs)} USD/h"
    return f"{standing} + {worked} worked x {shown(runs)} USD/h"


def _hours(case: Case) -> tuple[str, str]:
    """Return the replica-hours of a month that are paid, and those at full load, in words."""
    capacity = case.capacity.value
    if capacity is None:
        return "no", "no"
    paid, worked = math.fsum(running(case, capacity)), math.fsum(case.loads) / capacity
    return shown(paid * MONTH_DAYS), shown(worked * MONTH_DAYS)


def _power_words(case: Case) -> str:
    full, idle = case.it_power_kw, case.idle_power_kw
    capacity = case.capacity.value
    if full.value is None or capacity is None:
        return ""
    on, busiest = max(running(case, capacity)), max(case.loads)
    each = f"{shown(full.value)} kW"
    if idle is not None:
        load = shown(busiest / (on * capacity))
        each = f"({shown(idle)} kW idle + {shown(full.value - idle)} kW x load {load})"
    words = f"{on} replicas x {each}{_overhead(case)}{_bound(case)}"
    return f"{words}; one replica: {full.detail}" if full.detail else words


def _overhead(case: Case) -> str:
    return f"; {case.pue.detail}" if case.pue.detail else f" x PUE {case.pue.value or 0.0:g}"


def _bound(case: Case) -> str:
    known = case.idle_power_kw is not None and case.it_power_kw.value
    return "" if known else "; an upper bound: full power at any load, idle is not known"
