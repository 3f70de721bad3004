"""The fleet: replicas, power, money and carbon that carry a demand, from measured capacity."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from inferometer.comparison.costs import FleetRow
from inferometer.comparison.value import Value
from inferometer.cost import replicas
from inferometer.cost.capacity import Rate, declared, made
from inferometer.cost.demand import requests_per_month, requests_s
from inferometer.cost.hour import shown
from inferometer.cost.scenario import Region

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from inferometer.comparison.costs import Demand
    from inferometer.cost.capacity import Capacity
    from inferometer.cost.scenario import FleetEntry

EVERYWHERE = Region(name="everywhere", share=1.0)
"""Where the file has no regions."""
NO_HOUR = "no price"
"""Name of the hour where there is none: replicas, power and energy need no price."""


def rows(
    demand: Demand,
    entry: FleetEntry,
    capacities: Sequence[Capacity],
    *,
    hours: Sequence[str],
    pue: Mapping[str, float | None],
    carbon_g_per_kwh: float | None = None,
    owned: Collection[str] = (),
) -> list[FleetRow]:
    """Return what each stack needs: the row of each of :func:`cases`, whose arguments these are.

    What is not known is a value with its reason, never 0.
    """
    return [
        row(case)
        for case in cases(
            demand,
            entry,
            capacities,
            hours=hours,
            pue=pue,
            carbon_g_per_kwh=carbon_g_per_kwh,
            owned=owned,
        )
    ]


def cases(
    demand: Demand,
    entry: FleetEntry,
    capacities: Sequence[Capacity],
    *,
    hours: Sequence[str],
    pue: Mapping[str, float | None],
    carbon_g_per_kwh: float | None = None,
    owned: Collection[str] = (),
) -> list[replicas.Case]:
    """Return every stack by region and hour; a region's own hour, PUE and carbon win.

    ``pue`` is by the name of the hour (or ``NO_HOUR``). ``owned`` names the hours whose machines
    are bought: they stay, and stay on, whatever ``follows_demand`` says.
    """
    return [
        replicas.Case(
            demand=demand,
            region=region,
            machine=machine,
            capacity=_usable(machine),
            hour=hour,
            rate=machine.rates.get(hour) or _no_rate(machine, hour),
            pue=_pue(region, pue.get(hour)),
            carbon=_carbon(region, carbon_g_per_kwh),
            follows=entry.follows_demand and hour not in owned,
            loads=requests_s(demand, region.share),
        )
        for region in regions(entry)
        for hour in ([region.hour] if region.hour else hours or [NO_HOUR])
        for machine in capacities
    ]


def regions(entry: FleetEntry) -> tuple[Region, ...]:
    """Return the regions of the demand; a file without any has one."""
    return entry.regions or (EVERYWHERE,)


def notes(
    demand: Demand, entry: FleetEntry, capacities: Sequence[Capacity], *, owned: bool = False
) -> list[str]:
    """Return what the numbers leave out; ``owned``: some hour is that of a bought machine."""
    said = [
        "One replica is one machine, measured alone, without a load balancer and other replicas.",
        f"Left out: uneven load and queues between replicas, and failures beyond {demand.spare}.",
        f"The SLO was judged on that machine: {demand.slo}.",
        "Bursts within an hour, unlike the load generator's arrivals, have the headroom alone.",
        "A month has 730 hours and every day the same shape: weekends and seasons are not in it.",
    ]
    if entry.follows_demand:
        said.append(
            "Replicas follow the demand hour by hour: the time and the money of cold starts are "
            "left out."
        )
    if entry.follows_demand and owned:
        said.append("Owned machines do not follow the demand: they are paid for in every hour.")
    if demand.shape in {"office", "evening"}:
        said.append(f"The day's shape {demand.shape!r} is a convention of this program.")
    if any(machine.basis == "from tokens" for machine in capacities):
        said.append(
            "A capacity 'from tokens' was not measured with this workload: another one's time per "
            "input and output token stands for it."
        )
    return said


def _usable(machine: Capacity) -> Value:
    capacity = machine.requests_s
    if capacity.value is not None and capacity.value <= 0:
        none = "one replica carries 0 requests/s"
        return replace(capacity, value=None, reason="slo_never_met", detail=none)
    return capacity


def _no_rate(machine: Capacity, hour: str) -> Rate:
    missing = f"{machine.stack} on {machine.model} has no price at {hour!r}"
    return Rate(usd_per_paid_hour=declared(None, "USD/h", "no_price", missing))


def _pue(region: Region, of_hour: float | None) -> Value:
    """Return the PUE; where none is declared 1, and the words that it is the machines' alone."""
    pue = of_hour if region.pue is None else region.pue
    detail = "" if pue else "no PUE is declared: of the machines alone"
    return Value(value=pue or 1.0, unit="ratio", kind="declared", detail=detail)


def _carbon(region: Region, of_all: float | None) -> Value:
    grams = of_all if region.carbon_g_per_kwh is None else region.carbon_g_per_kwh
    missing = f"no carbon_g_per_kwh for {region.name!r}"
    return declared(grams, "g/kWh", "not_declared", missing)


def row(case: replicas.Case) -> FleetRow:
    """Return one row of the fleet."""
    machine, number = case.machine, replicas.count(case)
    known = number.value is not None and machine.gpus is not None
    energy, money = replicas.energy_kwh(case), replicas.money_usd(case)
    per_request, per_mtok = _each(case, money)
    return FleetRow(
        hour=case.hour,
        region=case.region.name,
        stack=machine.stack,
        model=machine.model,
        architecture=machine.architecture,
        cell=machine.cell,
        basis=machine.basis,
        capacity_requests_s=case.capacity,
        peak_requests_s=max(case.loads),
        replicas=number,
        gpus=round(number.value or 0) * (machine.gpus or 0) if known else None,
        power_kw=replicas.power_kw(case),
        energy_kwh_per_month=energy,
        carbon_kg_per_month=made(
            *("kg", lambda kwh, grams: kwh * grams / 1000, energy, case.carbon),
            detail=f"energy x {case.carbon.value or 0:g} g/kWh"
            + (f"; {case.pue.detail}" if case.pue.detail else ""),
        ),
        usd_per_month=money,
        usd_per_request=per_request,
        usd_per_mtok_total=per_mtok,
        load_share=replicas.load_share(case),
        ranked=machine.ranked,
    )


def _each(case: replicas.Case, money: Value) -> tuple[Value, Value]:
    """Return USD per request and per million input and output tokens."""
    requests = requests_per_month(case.demand, case.region.share)
    tokens = declared(
        case.machine.total_tokens_per_request,
        *("tokens", "not_recorded", f"tokens per request of {case.machine.cell}"),
    )
    words = f"the month's money / {shown(requests)} requests"
    return (
        made("USD/request", lambda usd: usd / requests, money, detail=words),
        made(
            *("USD/Mtok", lambda usd, each: usd / (requests * each) * 1e6, money, tokens),
            detail=f"{words} / {shown(tokens.value or 0)} input and output tokens each x 1e6",
        ),
    )
