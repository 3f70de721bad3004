"""The fleet of a demand: replicas, power, a month's bill, what fits into a site, the margin."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from inferometer.costwords import tornado
from inferometer.costwords.look import NOT_RANKED, distinct
from inferometer.costwords.shape import Section, Table
from inferometer.numbers import number, percent, point, whole, with_interval

if TYPE_CHECKING:
    from collections.abc import Sequence

    from inferometer.comparison.costs import (
        ArchitectureCost,
        Demand,
        Fleet,
        FleetRow,
        Margin,
        SiteRow,
    )
    from inferometer.costwords.look import Look

FIGURES = {
    "replicas": "replicas",
    "kW at the peak": "power_kw",
    "kWh a month": "energy_kwh_per_month",
    "kg CO2e a month": "carbon_kg_per_month",
    "USD a month": "usd_per_month",
    "USD per request": "usd_per_request",
}
CREDITS, COST = "credits", "cost"
"""Lines of a margin; the formula of its cost is that of the bill."""


def section(look: Look) -> list[Section]:
    """Return the fleet; nothing where the scenario has no demand."""
    fleet = look.costs.fleet
    if fleet is None:
        return []
    tables: list[Table] = []
    for spot in dict.fromkeys((row.hour, row.region) for row in fleet.rows):
        rows = [row for row in fleet.rows if (row.hour, row.region) == spot]
        place = _place(look, rows[0])
        tables += [_size(look, place, rows), _power(look, place, rows), _bill(look, place, rows)]
        tables += _formulas(look, place, rows)
    found = [*tables, *_architectures(look, fleet), *_site(look, fleet), *_margins(look, fleet)]
    found += tornado.tables(look, fleet.tornados)
    return [
        Section(
            id="fleet",
            title="The fleet",
            question="How many machines carry the demand, and what does a month cost?",
            lead=tuple(_demand(fleet.demand)),
            tables=tuple(found),
            notes=(*fleet.notes, *([tornado.HOW] if fleet.tornados else [])),
        )
    ]


def _demand(demand: Demand) -> list[str]:
    request = f"{number(demand.input_tokens)} tokens in and {number(demand.output_tokens)} out"
    growth = ""
    if demand.months:
        now = number(demand.requests_per_day_now, grouped=True)
        rate = percent(demand.growth_per_month * 100)
        growth = f" in month {demand.months} ({now} now, growing by {rate} a month)"
    headroom = percent(demand.headroom * 100)
    spare = f"{demand.spare} spare replica{'' if demand.spare == 1 else 's'}"
    what = f"{number(demand.requests_per_day, grouped=True)} requests a day of {demand.workload}"
    peak = f"peak {number(demand.peak_to_mean)} x the mean"
    said = [
        f"{what}{growth}: {request}, shape {demand.shape}, {peak}, headroom {headroom}, {spare}.",
        f"Objectives: {demand.slo.rstrip('. ')}.",
        f"Requests at the peak: {demand.formula.rstrip('. ')}.",
    ]
    if len(set(demand.hourly)) > 1:
        shares = ", ".join(percent(share * 100) for share in demand.hourly)
        said.append(f"Share of the day in each hour, from 0: {shares}.")
    return said


def _place(look: Look, one: FleetRow | Margin | ArchitectureCost) -> str:
    return ", ".join(word for word in (look.paid(one.hour), one.region) if word)


def _who(look: Look, row: FleetRow | SiteRow | Margin) -> tuple[str, str]:
    return look.label(row.stack) + ("" if row.ranked else NOT_RANKED), row.model


def _size(look: Look, place: str, rows: Sequence[FleetRow]) -> Table:
    tell = "capacity is what one replica carries at the objectives, at the load named"
    return Table(
        title=f"{place}: replicas",
        header=("stack", "model", "load", "capacity (req/s)", "replicas", "GPUs", "mean load"),
        rows=tuple(
            (
                *_who(look, row),
                f"{_load(look, row)}, {row.basis}",
                with_interval(row.capacity_requests_s),
                whole(row.replicas),
                "not said" if row.gpus is None else f"{row.gpus:,}",
                "not known" if row.load_share is None else percent(row.load_share * 100),
            )
            for row in rows
        ),
        notes=(f"For {_peaks(rows)} requests/s at the peak; {tell}.",),
    )


def _peaks(rows: Sequence[FleetRow]) -> str:
    return ", ".join(distinct(number(row.peak_requests_s) for row in rows))


def _load(look: Look, row: FleetRow) -> str:
    cell = look.cell(row.cell)
    return f"{cell.workload}, {cell.load}" if cell else row.cell


def _power(look: Look, place: str, rows: Sequence[FleetRow]) -> Table:
    return Table(
        title=f"{place}: power and carbon",
        header=("stack", "model", "kW at the peak", "kWh a month", "kg CO2e a month"),
        rows=tuple(
            (
                *_who(look, row),
                point(row.power_kw),
                point(row.energy_kwh_per_month),
                point(row.carbon_kg_per_month),
            )
            for row in rows
        ),
    )


def _bill(look: Look, place: str, rows: Sequence[FleetRow]) -> Table:
    return Table(
        title=f"{place}: the bill",
        header=("stack", "model", "USD a month", "USD per request", "USD per M tokens (total)"),
        rows=tuple(
            (
                *_who(look, row),
                with_interval(row.usd_per_month),
                point(row.usd_per_request),
                point(row.usd_per_mtok_total),
            )
            for row in rows
        ),
    )


def _formulas(look: Look, place: str, rows: Sequence[FleetRow]) -> list[Table]:
    """Return how each figure comes about, once where it is the same for every stack."""
    said: dict[tuple[str, str], list[str]] = defaultdict(list)
    for name, field in FIGURES.items():
        for row in rows:
            detail = getattr(row, field).detail
            if detail:
                said[name, detail].append(", ".join(_who(look, row)))
    lines = tuple(
        (name, "all" if len(who) == len(rows) else "; ".join(who), detail)
        for (name, detail), who in said.items()
    )
    header = ("figure", "of", "formula")
    return [Table(title=f"{place}: formulas", header=header, rows=lines)] if lines else []


def _architectures(look: Look, fleet: Fleet) -> list[Table]:
    rows = tuple(
        (
            _place(look, one),
            look.label(one.stack),
            f"{one.moe} / {one.dense}",
            with_interval(one.usd_per_month_ratio),
            with_interval(one.energy_ratio),
        )
        for one in fleet.architectures
    )
    if not rows:
        return []
    header = ("hour", "stack", "MoE / dense", "USD a month", "kWh a month")
    notes = tuple(distinct(one.match for one in fleet.architectures))
    return [Table(title="MoE over dense, the same demand", header=header, rows=rows, notes=notes)]


def _site(look: Look, fleet: Fleet) -> list[Table]:
    if not fleet.sites or fleet.site_mw is None:
        return []
    return [
        Table(
            title=f"What fits into {number(fleet.site_mw)} MW",
            header=(
                "hour",
                "stack",
                "model",
                "load",
                "kW a replica",
                "tok/s a MW",
                "replicas",
                "tok/s",
            ),
            rows=tuple(
                (
                    one.hour,
                    *_who(look, one),
                    cell.load if (cell := look.cell(one.cell)) else one.cell,
                    point(one.power_kw_per_replica),
                    point(one.output_tok_s_per_mw),
                    whole(one.replicas),
                    point(one.output_tok_s),
                )
                for one in fleet.sites
            ),
            notes=(
                "Output tokens; power with PUE, all machines under full load.",
                *distinct(one.power_kw_per_replica.detail for one in fleet.sites),
            ),
        )
    ]


def _margins(look: Look, fleet: Fleet) -> list[Table]:
    places = dict.fromkeys((one.hour, one.region) for one in fleet.margins)
    return [
        _margin(look, [one for one in fleet.margins if (one.hour, one.region) == place])
        for place in places
    ]


def _margin(look: Look, found: Sequence[Margin]) -> Table:
    """Return a month's lines by stack; credits, the last, stand behind the margin without them."""
    lines = distinct(part.name for one in found for part in one.parts if part.name != CREDITS)
    credit = any(part.name == CREDITS for one in found for part in one.parts)
    header = ("stack", "model", *lines, "margin", "of the revenue")
    formulas = ((part.name, part.formula) for one in found for part in one.parts)
    return Table(
        title=f"Margin of a month in USD, {_place(look, found[0])}",
        header=(*header, "credits, in no price", "margin with them") if credit else header,
        rows=tuple(
            (
                *_who(look, one),
                *(_line(one, name) for name in lines),
                number(one.before_credits_usd, grouped=True),
                percent(one.before_credits_share * 100),
                *((_line(one, CREDITS), number(one.after_credits_usd, grouped=True)) * credit),
            )
            for one in found
        ),
        notes=tuple(distinct(f"{name}: {formula}" for name, formula in formulas if name != COST)),
    )


def _line(one: Margin, name: str) -> str:
    found = [part.usd for part in one.parts if part.name == name]
    return number(sum(found), grouped=True) if found else "none"
