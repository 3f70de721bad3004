"""The fleet of a demand: replicas, power, a month's bill, what fits into a site, the margin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inferometer.costwords.look import NOT_RANKED, distinct
from inferometer.costwords.shape import Section, Table
from inferometer.numbers import money, number, percent, point, whole, with_interval

if TYPE_CHECKING:
    from collections.abc import Sequence

    from inferometer.comparison.costs import Demand, Fleet, FleetRow, Margin, SiteRow
    from inferometer.costwords.look import Look


def section(look: Look) -> list[Section]:
    """Return the fleet; nothing where the scenario has no demand."""
    fleet = look.costs.fleet
    if fleet is None:
        return []
    places = dict.fromkeys((row.hour, row.region) for row in fleet.rows)
    tables: list[Table] = []
    for hour, region in places:
        rows = [row for row in fleet.rows if (row.hour, row.region) == (hour, region)]
        place = f"{look.paid(hour)}, {region}" if region else look.paid(hour)
        tables += [_size(look, place, rows), _power(look, place, rows), _bill(look, place, rows)]
    found = [*tables, *_architectures(look, fleet), *_site(look, fleet), *_margins(look, fleet)]
    return [
        Section(
            id="fleet",
            title="The fleet",
            question="How many machines carry the demand, and what does a month cost?",
            lead=tuple(_demand(fleet.demand)),
            tables=tuple(found),
            notes=tuple(fleet.notes),
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
    details = distinct(row.power_kw.detail for row in rows if row.power_kw.detail)
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
        notes=tuple(details),
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


def _architectures(look: Look, fleet: Fleet) -> list[Table]:
    rows = tuple(
        (
            look.paid(one.hour) + (f", {one.region}" if one.region else ""),
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
            header=("stack", "model", "load", "kW a replica", "tok/s a MW", "replicas", "tok/s"),
            rows=tuple(
                (
                    *_who(look, one),
                    cell.load if (cell := look.cell(one.cell)) else one.cell,
                    point(one.power_kw_per_replica),
                    point(one.output_tok_s_per_mw),
                    whole(one.replicas),
                    point(one.output_tok_s),
                )
                for one in fleet.sites
            ),
            notes=("Output tokens; power with PUE, as in the table of power.",),
        )
    ]


def _margins(look: Look, fleet: Fleet) -> list[Table]:
    return [_margin(look, one) for one in fleet.margins]


def _margin(look: Look, one: Margin) -> Table:
    place = f"{look.paid(one.hour)}, {one.region}" if one.region else look.paid(one.hour)
    rows = [(part.name, number(part.usd, grouped=True), part.formula) for part in one.parts]
    share = percent(one.before_credits_share * 100)
    before = ("margin before credits", number(one.before_credits_usd, grouped=True), share)
    return Table(
        title=f"Margin of a month: {', '.join(_who(look, one))}, {place}",
        header=("line", "USD a month", "formula, share of the revenue"),
        rows=(*rows, before),
        notes=(f"With credits, which are in no price: {money(one.after_credits_usd)} a month.",),
    )
