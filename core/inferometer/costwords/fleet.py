"""The fleet of a demand: replicas, power, a month's bill, what fits into a site, the margin."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from inferometer.costwords import tornado
from inferometer.costwords.look import NOT_RANKED, distinct
from inferometer.costwords.shape import Section, Table
from inferometer.language import tr
from inferometer.numbers import number, percent, point, shown, whole, with_interval

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
            title=tr("The fleet"),
            question=tr("How many machines carry the demand, and what does a month cost?"),
            lead=tuple(_demand(fleet.demand)),
            tables=tuple(found),
            notes=(*fleet.notes, *([tornado.HOW] if fleet.tornados else [])),
        )
    ]


def _demand(demand: Demand) -> list[str]:
    request = tr(
        "{input_tokens} tokens in and {output_tokens} out",
        input_tokens=number(demand.input_tokens),
        output_tokens=number(demand.output_tokens),
    )
    growth = ""
    if demand.months:
        now = number(demand.requests_per_day_now, grouped=True)
        rate = percent(demand.growth_per_month * 100)
        growth = tr(
            " in month {months} ({now} now, growing by {rate} a month)",
            months=demand.months,
            now=now,
            rate=rate,
        )
    headroom = percent(demand.headroom * 100)
    spare = tr(
        "{spare} spare replica" if demand.spare == 1 else "{spare} spare replicas",
        spare=demand.spare,
    )
    what = tr(
        "{requests_per_day} requests a day of {workload}",
        requests_per_day=number(demand.requests_per_day, grouped=True),
        workload=demand.workload,
    )
    peak = tr("peak {peak_to_mean} x the mean", peak_to_mean=number(demand.peak_to_mean))
    said = [
        tr(
            "{what}{growth}: {request}, shape {shape}, {peak}, headroom {headroom}, {spare}.",
            what=what,
            growth=growth,
            request=request,
            shape=demand.shape,
            peak=peak,
            headroom=headroom,
            spare=spare,
        ),
        tr("Objectives: {slo}.", slo=demand.slo.rstrip(". ")),
        tr("Requests at the peak: {formula}.", formula=demand.formula.rstrip(". ")),
    ]
    if len(set(demand.hourly)) > 1:
        shares = ", ".join(percent(share * 100) for share in demand.hourly)
        said.append(tr("Share of the day in each hour, from 0: {shares}.", shares=shares))
    return said


def _place(look: Look, one: FleetRow | Margin | ArchitectureCost) -> str:
    return ", ".join(word for word in (look.paid(one.hour), one.region) if word)


def _who(look: Look, row: FleetRow | SiteRow | Margin) -> tuple[str, str]:
    return look.label(row.stack) + ("" if row.ranked else NOT_RANKED), row.model


def _size(look: Look, place: str, rows: Sequence[FleetRow]) -> Table:
    tell = tr("capacity is what one replica carries at the objectives, at the load named")
    return Table(
        title=tr("{place}: replicas", place=place),
        header=(
            "stack",
            "model",
            "load",
            tr("capacity (req/s)"),
            "replicas",
            tr("GPUs"),
            tr("mean load"),
        ),
        rows=tuple(
            (
                *_who(look, row),
                f"{_load(look, row)}, {row.basis}",
                with_interval(row.capacity_requests_s),
                whole(row.replicas),
                tr("not said") if row.gpus is None else shown(row.gpus, ","),
                tr("not known") if row.load_share is None else percent(row.load_share * 100),
            )
            for row in rows
        ),
        notes=(tr("For {peaks} requests/s at the peak; {tell}.", peaks=_peaks(rows), tell=tell),),
    )


def _peaks(rows: Sequence[FleetRow]) -> str:
    return ", ".join(distinct(number(row.peak_requests_s) for row in rows))


def _load(look: Look, row: FleetRow) -> str:
    cell = look.cell(row.cell)
    return f"{cell.workload}, {cell.load}" if cell else row.cell


def _power(look: Look, place: str, rows: Sequence[FleetRow]) -> Table:
    return Table(
        title=tr("{place}: power and carbon", place=place),
        header=("stack", "model", tr("kW at the peak"), tr("kWh a month"), tr("kg CO2e a month")),
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
        title=tr("{place}: the bill", place=place),
        header=(
            "stack",
            "model",
            tr("USD a month"),
            tr("USD per request"),
            tr("USD per M tokens (total)"),
        ),
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
        (tr(name), tr("all") if len(who) == len(rows) else "; ".join(who), detail)
        for (name, detail), who in said.items()
    )
    header = ("figure", "of", "formula")
    return (
        [Table(title=tr("{place}: formulas", place=place), header=header, rows=lines)]
        if lines
        else []
    )


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
    header = ("hour", "stack", tr("MoE / dense"), tr("USD a month"), tr("kWh a month"))
    notes = tuple(distinct(one.match for one in fleet.architectures))
    return [
        Table(title=tr("MoE over dense, the same demand"), header=header, rows=rows, notes=notes)
    ]


def _site(look: Look, fleet: Fleet) -> list[Table]:
    if not fleet.sites or fleet.site_mw is None:
        return []
    return [
        Table(
            title=tr("What fits into {site_mw} MW", site_mw=number(fleet.site_mw)),
            header=(
                "hour",
                "stack",
                "model",
                "load",
                tr("kW a replica"),
                tr("tok/s a MW"),
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
                tr("Output tokens; power with PUE, all machines under full load."),
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
    header = ("stack", "model", *lines, "margin", tr("of the revenue"))
    formulas = ((part.name, part.formula) for one in found for part in one.parts)
    return Table(
        title=tr("Margin of a month in USD, {place}", place=_place(look, found[0])),
        header=(*header, tr("credits, in no price"), tr("margin with them")) if credit else header,
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
    return number(sum(found), grouped=True) if found else tr("none")
