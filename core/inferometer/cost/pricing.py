"""What an hour costs in each window: the scenario's terms against what the results say."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from inferometer.comparison import Value, worst_kind
from inferometer.cost import hour
from inferometer.cost.division import KINDS, busy_shares
from inferometer.energy.account import counting
from inferometer.metrics.money import SCHEMA

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from inferometer.cells import Evidence
    from inferometer.comparison import Kind
    from inferometer.comparison.costs import Division, Part
    from inferometer.cost.division import Place
    from inferometer.cost.scenario import Machine, Surcharge, Terms
    from inferometer.records import LaunchRecord

PARALLEL = ("tensor_parallel_size", "pipeline_parallel_size", "data_parallel_size")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What prices stand on: the machine and what was metered on it."""

    machine: Machine | None
    surcharges: Sequence[Surcharge]
    host_gpus: Sequence[str]
    """As the driver names them; empty where there are none."""
    watts: Mapping[tuple[str, int, str], float]
    """Mean watts by launch, load point and meter."""
    kinds: Mapping[str, Kind]
    """Of each meter's watts."""


def ground(
    evidence: Evidence,
    host: Mapping[str, object],
    machine: Machine | None,
    surcharges: Sequence[Surcharge],
) -> Ground:
    """Gather it; ``host`` is that of the results."""
    rows = evidence.points.filter(pl.col("metric") == "mean_power_w", pl.col("value").is_not_null())
    gpus = host.get("gpus")
    return Ground(
        machine=machine,
        surcharges=surcharges,
        host_gpus=[str(name) for name in gpus] if isinstance(gpus, list) else [],
        watts={
            (launch, point, meter): value
            for launch, point, meter, value in rows.select(
                "launch", "load_point", "meter", "value"
            ).iter_rows()
        },
        kinds=dict(rows.select("meter", "kind").unique().iter_rows()),
    )


def accelerators(record: LaunchRecord, around: Ground) -> list[str]:
    """Return the models of the accelerators that served; empty where none is known."""
    if record.environment.get("kind") == "url":
        return []
    for info in record.meters:
        if info.scope == "L0" and not info.reason:
            named = [device.model for device in counting(info) if device.model]
            if named:
                return named
    return list(around.host_gpus)


def reserved(record: LaunchRecord, around: Ground) -> int | None:
    """Return how many accelerators a launch reserved, busy or not; None where it is not known."""
    return around.machine.gpus if around.machine is not None else serving(record, around)


def serving(record: LaunchRecord, around: Ground) -> int | None:
    """Return over how many accelerators a launch ran; None where it is not known."""
    if not accelerators(record, around):
        return None
    sizes = [int(record.asked.get(name) or 1) for name in PARALLEL]
    return sizes[0] * sizes[1] * sizes[2]


def power_kw(terms: Terms, place: Place, around: Ground) -> float | None:
    """Return what a window's meter saw, in kW, where the terms take a meter's; else None."""
    owned = terms.entry.owned
    if owned is None or owned.meter is None:
        return None
    watts = around.watts.get((*place, owned.meter))
    return None if watts is None else watts / 1000


def arguments(
    terms: Terms, records: Sequence[LaunchRecord], point: int | None, around: Ground
) -> tuple[int | None, float | None, list[Surcharge]]:
    """Return GPUs, mean metered kW and surcharges of a cell's launches at a load point.

    With ``point`` None, over all load points.
    """
    places = [
        (record.id, window.load_point)
        for record in records
        for window in record.windows
        if point in {None, window.load_point}
    ]
    known = [kw for place in places if (kw := power_kw(terms, place, around)) is not None]
    engine = str(records[0].stack.get("engine") or "") if records else ""
    return (
        reserved(records[0], around) if records else None,
        statistics.fmean(known) if known else None,
        [one for one in around.surcharges if one.engine == engine],
    )


def bill(
    terms: Terms, records: Sequence[LaunchRecord], point: int | None, around: Ground
) -> list[Part] | None:
    """Return an hour's bill at one load point (None: at all) of a cell's launches.

    At their mean watts, where a meter's go into it; None where it read nothing.
    """
    gpus, kw, surcharges = arguments(terms, records, point, around)
    owned = terms.entry.owned
    if not records or (owned is not None and owned.meter is not None and kw is None):
        return None
    return hour.bill(terms, gpus=gpus, power_kw=kw, surcharges=surcharges)


def kind_of(terms: Terms, around: Ground) -> Kind:
    """Return the kind of what is made of this price: it is declared, so never measured."""
    owned = terms.entry.owned
    metered = around.kinds.get(owned.meter) if owned is not None and owned.meter else None
    return worst_kind(["estimated", *([metered] if metered else [])])


def money(
    evidence: Evidence, terms: Terms, divisions: Mapping[Place, Division], around: Ground
) -> pl.DataFrame:
    """Return the columns of :data:`inferometer.metrics.money.SCHEMA` at one hour's price."""
    kind = kind_of(terms, around)
    rows = []
    for record in evidence.records:
        for window in record.windows:
            place = (record.id, window.load_point)
            parts = bill(terms, [record], window.load_point, around)
            price: tuple[object, ...] = (None, kind, "no_sensor", f"{_meter(terms)} read nothing")
            if parts is not None:
                price = (hour.total(parts), kind, None, None)
            rows.append((*place, *price, *_shares(divisions[place])))
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


def hour_value(
    terms: Terms, records: Sequence[LaunchRecord], point: int | None, around: Ground
) -> tuple[Value, list[Part]]:
    """Return an hour's dollars and their parts, as :func:`bill`."""
    parts = bill(terms, records, point, around)
    kind = kind_of(terms, around)
    if parts is not None:
        whole = Value(value=hour.total(parts), unit="USD/h", kind=kind, n=len(records))
        return whole, parts
    reason, words = ("no_sensor", f"{_meter(terms)} read nothing")
    if not records:
        reason, words = "not_run", "no whole launch"
    return Value(value=None, unit="USD/h", kind=kind, reason=reason, detail=words), []


def _meter(terms: Terms) -> str:
    owned = terms.entry.owned
    return f"meter {owned.meter!r}" if owned is not None else "the meter"


def division_kind(division: Division) -> Kind:
    """Return the kind of a division's shares."""
    return KINDS.get(division.method, "estimated")


def _shares(division: Division) -> tuple[float | str | None, ...]:
    kind = division_kind(division)
    shares = busy_shares(division) or (None, None)
    return (
        *shares,
        *(kind, kind),
        *(division.reason, division.reason),
        *(division.detail, division.detail),
    )
