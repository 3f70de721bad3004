"""Checks of the accelerators in each window: their conditions, and whether they were busy.

Gathers what :mod:`inferometer.energy.conditions` and :mod:`inferometer.energy.starved` judge. There
is no such check where no meter tells of accelerators.
"""

from __future__ import annotations

import statistics
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import polars as pl
from msgspec import json

from inferometer.energy import conditions, starved
from inferometer.energy.account import counting
from inferometer.energy.conditions import State
from inferometer.energy.starved import Elsewhere, Seen, Step
from inferometer.metrics.windows import KEY, in_flight, population
from inferometer.precision import served_bytes
from inferometer.roofline import accelerators
from inferometer.roofline.steps import Split, step
from inferometer.tables import is_simulated

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from inferometer.comparison import Check
    from inferometer.records import Device, LaunchRecord, MeterInfo
    from inferometer.tables import Tables

Point = tuple[str, int]
"""Launch id and load point."""
SPECULATIVE = "speculative decoding: a step is not a token"
OF_HOST = {
    *("closed under load", "delivered concurrency", "achieved rate"),
    *("loop lag", "send lag", "client cpu", "quiet machine"),
}
"""Checks of the client and the host: where one fails, the accelerator may have waited for them."""


class _Looks(NamedTuple):
    """What one window's conditions say."""

    stack: str = ""
    model: str = ""
    looks: int = 0
    throttled: Mapping[str, int] = {}
    temperatures_c: Sequence[float] = ()
    swing_c: float = 0.0
    clocks_mhz: Sequence[float] = ()


class Load(NamedTuple):
    """What one window's decode steps were like; None where it is not known."""

    tpot_ms: float | None
    in_flight: float
    """Requests at the client, in the mean."""
    per_step: float | None
    """Tokens that one engine step made in the mean, as the server counted; of one replica."""
    context: float
    """Tokens that the cache holds of a sequence, in the mean over the steps: a long answer is in as
    many as it has tokens."""

    def sequences(self, replicas: int = 1) -> float:
        """Return the sequences in one step of all replicas together."""
        return self.in_flight if self.per_step is None else self.per_step * replicas


def judge(
    tables: Tables,
    records: Sequence[LaunchRecord],
    points: pl.DataFrame,
    checks: Mapping[Point, Sequence[Check]],
) -> dict[Point, list[Check]]:
    """Return ``checks`` with those of the hardware behind them.

    ``points`` is the long table of :func:`inferometer.metrics.evaluate.evaluate`.
    """
    states = _states(tables, records)
    busy = _busy(tables, records, points, checks)
    return {
        point: [
            *found,
            *(conditions.judge(states[point]) if point in states else ()),
            *([busy[point]] if point in busy else ()),
        ]
        for point, found in checks.items()
    }


def _states(tables: Tables, records: Sequence[LaunchRecord]) -> dict[Point, State]:
    """Return each window's conditions, with what they are held to."""
    limits, looks = _limits_w(tables, records), _looks(tables)
    means = {p: statistics.fmean(a.temperatures_c) for p, a in looks.items() if a.temperatures_c}
    clocks = {p: statistics.median(a.clocks_mhz) for p, a in looks.items() if a.clocks_mhz}
    node = {record.id: record.node for record in records}
    found = {}
    for launch, load_point in tables.windows.select(*KEY).iter_rows():
        one = looks.get((launch, load_point), _Looks())
        others = [
            p for p in looks if p[1] == load_point and p[0] != launch and node[p[0]] == node[launch]
        ]
        found[launch, load_point] = State(
            looks=one.looks,
            limits_w=limits,
            throttled=one.throttled,
            temperatures_c=one.temperatures_c,
            swing_c=one.swing_c,
            clocks_mhz=one.clocks_mhz,
            temperature_elsewhere_c=[means[p] for p in others if p in means],
            clock_elsewhere_mhz=[
                clocks[p] for p in others if p in clocks and looks[p][:2] == one[:2]
            ],
        )
    return found


def _limits_w(tables: Tables, records: Sequence[LaunchRecord]) -> list[float]:
    """Return every enforced power limit that was told of an accelerator under test."""
    told = [
        device.power_limit_w
        for record in records
        for info in record.meters
        if info.scope == "L0" and not info.reason
        for device in counting(info)
    ]
    seen = tables.conditions["power_limit_w"].unique().to_list()
    return [limit for limit in (*told, *seen) if limit is not None]


def clocks(tables: Tables) -> dict[Point, float]:
    """Return the median compute clock (MHz) of each window in which one was seen."""
    return {
        point: statistics.median(one.clocks_mhz)
        for point, one in _looks(tables).items()
        if one.clocks_mhz
    }


def _looks(tables: Tables) -> dict[Point, _Looks]:
    """Return what was seen in each window that has conditions."""
    bounds = tables.windows.select(*KEY, "start_ns", "end_ns")
    inside = pl.col("t_ns").is_between("start_ns", "end_ns")
    rows = tables.conditions.join(bounds, on="launch", how="inner").filter(inside)
    found = {}
    for (launch, point), group in rows.group_by(KEY, maintain_order=True):
        first = group.row(0, named=True)
        reasons = [set(json.decode(text or "[]")) for text in group["throttled"].to_list()]
        heat = group.group_by("device").agg(
            swing=pl.col("temperature_c").max() - pl.col("temperature_c").min()
        )
        found[str(launch), int(str(point))] = _Looks(
            stack=str(first["stack"]),
            model=str(first["model"]),
            looks=group.height,
            throttled=Counter(reason for each in reasons for reason in sorted(each)),
            temperatures_c=group["temperature_c"].drop_nulls().to_list(),
            swing_c=heat.select(pl.col("swing").max().fill_null(0.0)).item(),
            clocks_mhz=group["clock_mhz"].drop_nulls().to_list(),
        )
    return found


def _busy(
    tables: Tables,
    records: Sequence[LaunchRecord],
    points: pl.DataFrame,
    checks: Mapping[Point, Sequence[Check]],
) -> dict[Point, Check]:
    """Return the check of every window in which accelerators were metered."""
    rows = points.filter(pl.col("metric") == "mean_power_w", pl.col("value").is_not_null())
    watts = {row[:3]: row[3] for row in rows.select(*KEY, "meter", "value").iter_rows()}
    known = loads(tables, points)
    return {
        point: starved.judge(seen)
        for record in records
        for point, seen in _seen(record, watts, known, checks).items()
    }


def _seen(
    record: LaunchRecord,
    watts: Mapping[tuple[object, ...], float],
    known: Mapping[Point, Load],
    checks: Mapping[Point, Sequence[Check]],
) -> dict[Point, Seen]:
    """Return what is known of each window of one launch, with what its other workloads did."""
    found: dict[Point, Seen] = {}
    workloads: dict[Point, str] = {}
    for window in record.windows:
        point = (record.id, window.load_point)
        seeing = [info for info in record.meters if _tells(info, record)]
        meters = [info for info in seeing if (*point, info.name) in watts]
        if not meters or point not in checks:
            continue
        found_step, why = _step(record, counting(meters[0]), known[point])
        workloads[point] = window.workload
        found[point] = Seen(
            power_w=watts[*point, meters[0].name],
            limit_w=_limit_w(meters[0]),
            step=found_step,
            why_no_step=why,
            failed=[
                one.name for one in checks[point] if one.name in OF_HOST and one.verdict == "fail"
            ],
        )
    return {
        point: replace(seen, elsewhere=_elsewhere(point, found, workloads, known))
        for point, seen in found.items()
    }


def _elsewhere(
    point: Point,
    found: Mapping[Point, Seen],
    workloads: Mapping[Point, str],
    known: Mapping[Point, Load],
) -> list[Elsewhere]:
    """Return what other workloads did in the same launch with as many sequences."""
    mine = known[point].sequences()
    return [
        Elsewhere(workload=workloads[other], power_w=seen.power_w, roofline=seen.step.roofline)
        for other, seen in found.items()
        if workloads[other] != workloads[point]
        and seen.step is not None
        and starved.alike(mine, known[other].sequences())
    ]


def _tells(info: MeterInfo, record: LaunchRecord) -> bool:
    """Say whether a meter sees accelerators alone, with a sensor; a made-up one, a made-up engine.

    A replayed meter says nothing of the accelerator that a real engine ran on.
    """
    real = info.kind == "measured" or (info.kind == "simulated" and is_simulated(record))
    return real and info.scope == "L0" and info.boundary != "module" and bool(counting(info))


def _limit_w(info: MeterInfo) -> float | None:
    """Return the devices' limits together: as told, else the usual ones of their models."""
    limits = [
        device.power_limit_w or (peak.tdp_w if (peak := accelerators.of(device.model)) else None)
        for device in counting(info)
    ]
    known = [limit for limit in limits if limit]
    return sum(known) if len(known) == len(limits) else None


def loads(tables: Tables, points: pl.DataFrame) -> dict[Point, Load]:
    """Return what the decode steps of each window were like."""
    rows = points.filter(pl.col("metric") == "tpot_ms").select(*KEY, "value").iter_rows()
    tpot = {(launch, point): value for launch, point, value in rows}
    flying = {
        (launch, point): mean
        for launch, point, mean in in_flight(tables).select(*KEY, "in_flight").iter_rows()
    }
    made = pl.col("output_tokens")
    held = pl.coalesce("input_tokens", "input_tokens_expected") + made / 2
    steps = pl.when(held.is_not_null()).then(made).sum()
    rows = (
        population(tables)
        .filter("finished")
        .group_by(KEY)
        .agg(pl.when(steps > 0).then((held * made).sum() / steps))
        .iter_rows()
    )
    contexts = {(launch, point): mean for launch, point, mean in rows}
    return {
        (launch, point): Load(
            tpot.get((launch, point)),
            flying.get((launch, point)) or 0.0,
            _per_step(json.decode(counters or "{}")),
            contexts.get((launch, point)) or 0.0,
        )
        for launch, point, counters in tables.windows.select(*KEY, "counters").iter_rows()
    }


def _per_step(counters: Mapping[str, float]) -> float | None:
    """Return tokens per engine step; both counters grew between the same two readings."""
    steps, tokens = counters.get("steps"), counters.get("output_tokens")
    return tokens / steps if steps and tokens else None


def split_of(record: LaunchRecord) -> Split:
    """Return how a launch was spread over its accelerators, as it was asked."""
    replicas = int(record.asked.get("data_parallel_size") or 1)
    return Split(replicas, int(record.asked.get("expert_parallel_size") or 1) > 1)


def cache_type(record: LaunchRecord) -> str:
    """Return the type of the cache's numbers: its own, else that of the activations."""
    return record.precision.get("kv_cache_dtype") or record.precision.get("dtype", "")


def _step(record: LaunchRecord, devices: Sequence[Device], load: Load) -> tuple[Step | None, str]:
    """Return one decode step over all devices, or why there is none.

    A step gives each sequence one token, so it takes the time per output token; not so with
    speculative decoding, where it gives some number of them.
    """
    found = [accelerators.of(device.model) for device in devices]
    known = [peak for peak in found if peak is not None]
    weights = served_bytes(record)
    if len(known) < len(found):
        names = ", ".join(sorted({device.model or device.name for device in devices}))
        return None, f"the bandwidth of {names} is not known"
    if record.asked.get("speculative"):
        return None, SPECULATIVE
    if not load.tpot_ms or not weights:
        unknown = "time per output token" if not load.tpot_ms else "size of the weights as served"
        return None, f"the {unknown} is not known"
    split = split_of(record)
    work = step(
        record.model,
        weights,
        sequences=load.sequences(split.replicas),
        context=load.context,
        split=split,
        kv_type=cache_type(record),
    )
    read, bandwidth = work.weight_bytes + work.cache_bytes, sum(peak.bytes_s for peak in known)
    return Step(bytes_read=read, seconds=load.tpot_ms / 1e3, bytes_s=bandwidth), ""
