"""What moves a month's bill of a fleet: the demand, a replica's capacity, and its hour."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING

from msgspec import structs

from inferometer.comparison.costs import Tornado
from inferometer.comparison.value import Value
from inferometer.cost import replicas
from inferometer.cost.demand import MOST_A_DAY, demand, requests_s
from inferometer.cost.hour import use
from inferometer.cost.inputs import LEAST, MOST, Input
from inferometer.cost.swings import interval, swings
from inferometer.cost.tornado import of_machine, with_values

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from inferometer.cost.capacity import Rate
    from inferometer.cost.scenario import FleetEntry
    from inferometer.cost.tornado import MachineHour

CAPACITY = "capacity"
DEMAND = ("requests_per_day", "growth_per_month", "headroom", "spare")
"""Numbers of ``[fleet]``; growth alone has no say without ``months``."""
WITHIN = 1 - 1e-9
"""Of a bound on the demand: its last digit must not pass it."""


def cheapest(cases: Sequence[replicas.Case]) -> list[replicas.Case]:
    """Return the ranked case of the least bill for each model, hour and region."""
    best: dict[tuple[str, str, str], tuple[float, replicas.Case]] = {}
    for case in cases:
        usd = replicas.money_usd(case).value
        if usd is None or not case.machine.ranked:
            continue
        key = (case.machine.model, case.hour, case.region.name)
        if key not in best or usd < best[key][0]:
            best[key] = (usd, case)
    return [case for _, case in best.values()]


def tornado(case: replicas.Case, entry: FleetEntry, machine: MachineHour) -> Tornado:
    """Return what moves the month's money of a fleet whose money is known.

    ``machine`` is what the hour of one replica is computed with. Its utilisation is not among the
    inputs: that of a fleet is its own load. The capacity goes over its interval, the hour's
    inputs over the ranges of the scenario, all else as :func:`inferometer.cost.swings.swings`
    says.

    Raises:
        UsageError: as :func:`inferometer.cost.hour.bill`.
    """
    capacity = case.capacity.value
    assert capacity is not None, "money that is known rests on a capacity"
    varied = {f"fleet.{one.name}": one for one in _of_demand(entry)}
    varied[CAPACITY] = Input(CAPACITY, capacity, "requests/s", 0, math.inf)
    varied |= {key: one for key, one in of_machine(machine).items() if key != "utilisation"}

    def usd(values: Mapping[str, float]) -> float:
        changed = _with_demand(case, entry, values)
        changed = dataclasses.replace(
            changed,
            capacity=Value(value=values.get(CAPACITY, capacity), unit="req/s", kind="estimated"),
            rate=_rate(case.rate, with_values(machine, values)),
        )
        return replicas.money_usd(changed).value or 0.0

    return Tornado(
        hour=case.hour,
        cell=case.machine.cell,
        metric="usd_per_month",
        unit="USD",
        base=usd({}),
        swings=swings(varied, usd, machine.terms.entry.ranges | interval(CAPACITY, case.capacity)),
        of=case.region.name,
    )


def _of_demand(entry: FleetEntry) -> list[Input]:
    """Return the demand's inputs, each as far as :func:`inferometer.cost.demand.demand` goes."""
    now, growth = entry.requests_per_day, entry.growth_per_month
    found = [
        Input("requests_per_day", now, "requests", 0, _most(growth, entry.months)),
        Input("headroom", entry.headroom, "share of the peak", 0, 100),
        Input("spare", entry.spare, "replicas", 0, 1_000_000, whole=True),
    ]
    if entry.months:
        low, high = ((end / now) ** (1 / entry.months) - 1 for end in (LEAST, MOST_A_DAY * WITHIN))
        found.append(Input("growth_per_month", growth, "share", max(low, -MOST), high))
    return found


def _most(growth: float, months: int) -> float:
    return MOST_A_DAY * WITHIN / (1 + growth) ** months


def _with_demand(
    case: replicas.Case, entry: FleetEntry, values: Mapping[str, float]
) -> replicas.Case:
    own = {name: values[f"fleet.{name}"] for name in DEMAND if f"fleet.{name}" in values}
    if "spare" in own:
        own["spare"] = round(own["spare"])
    wanted = demand(
        structs.replace(entry, **own),
        input_tokens=case.demand.input_tokens,
        output_tokens=case.demand.output_tokens,
        slo=case.demand.slo,
    )
    return dataclasses.replace(case, demand=wanted, loads=requests_s(wanted, case.region.share))


def _rate(rate: Rate, machine: MachineHour) -> Rate:
    hour = use(
        machine.terms,
        gpus=machine.gpus,
        power_kw=machine.power_kw,
        surcharges=machine.surcharges,
    )
    usd = structs.replace(rate.usd_per_paid_hour, value=hour.at(1))
    return dataclasses.replace(rate, usd_per_paid_hour=usd, running_usd_per_hour=hour.running)
