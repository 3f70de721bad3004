"""The order of launches, the spread of latencies and the power over time, for charts.

Of latencies and power only the highest closed load of each workload: the one at which stacks differ
most. Nothing is ranked by any of it.
"""

from __future__ import annotations

import math
from statistics import fmean
from typing import TYPE_CHECKING, Literal

import numpy as np
import polars as pl
from msgspec import UNSET

from inferometer import nodes
from inferometer.cells import cell_id
from inferometer.comparison import Distribution, Launched, PowerTrace, Value, worst_kind
from inferometer.energy.account import counted
from inferometer.energy.power import binned_w
from inferometer.metrics import distributions
from inferometer.metrics.energy import read_meters
from inferometer.tables import is_simulated, model_name, stack_id
from inferometer.uncertainty.percentiles import pooled

if TYPE_CHECKING:
    from collections.abc import Iterator

    from inferometer.cells import Evidence
    from inferometer.comparison import Kind
    from inferometer.metrics.energy import Meters
    from inferometer.plan import LoadPoint
    from inferometer.records import LaunchRecord, Window

    Pace = tuple[float, Kind]
    Latency = Literal["ttft_ms", "tpot_ms"]

SPEED = "output_tok_s"
SHARES = [step / 20 for step in range(1, 20)]
LATENCIES: tuple[Latency, ...] = ("ttft_ms", "tpot_ms")
MOST_STEPS = 60
"""Means of which a trace of power has at most so many, none shorter than a second."""


def build_launched(evidence: Evidence) -> list[Launched]:
    """Return every attempt in the order in which they began."""
    paces = _paces(evidence)
    return [
        Launched(
            launch=record.id,
            position=record.position,
            round=record.round,
            stack=stack_id(record),
            model=model_name(record),
            status=record.status,
            reason=record.failure.reason if record.failure else None,
            speed=_speed(record, paces.get(record.id)),
            node=record.node or UNSET,
        )
        for record in sorted(evidence.recorded(), key=nodes.running_order)
    ]


def _paces(evidence: Evidence) -> dict[str, list[Pace]]:
    """Return by launch its speed over the mean of its cell on its node, for each load point."""
    closed = [point.index for point in evidence.load_points if point.load.closed]
    rows = evidence.points.filter(
        pl.col("metric") == SPEED, pl.col("load_point").is_in(closed), pl.col("value") > 0
    )
    where = evidence.tables.launches.select(pl.col("launch").cast(pl.String), "node")
    rows = rows.join(where, on="launch", how="left", maintain_order="left")
    found: dict[str, list[Pace]] = {}
    for cell in rows.partition_by("stack", "model", "load_point", "node", maintain_order=True):
        if cell.height < 2:
            continue
        logs = np.log(cell["value"].to_numpy())
        for launch, log, kind in zip(cell["launch"], logs - logs.mean(), cell["kind"], strict=True):
            found.setdefault(launch, []).append((float(log), kind))
    return found


def _speed(record: LaunchRecord, paces: list[Pace] | None) -> Value:
    if paces:
        kind = worst_kind(["derived", *(kind for _, kind in paces)])
        value = math.exp(fmean(log for log, _ in paces))
        return Value(value=value, unit="ratio", kind=kind, n=1)
    kind = "simulated" if is_simulated(record) else "derived"
    if record.failure:
        return Value(value=None, unit="ratio", kind=kind, reason=record.failure.reason)
    words = "no other launch of this stack and model has a number at a load point of this one"
    words += " on this node" if record.node else ""
    return Value(value=None, unit="ratio", kind=kind, reason="too_few_samples", detail=words)


def highest(evidence: Evidence) -> list[LoadPoint]:
    """Return the closed load point of most streams of each workload."""
    found: dict[str, LoadPoint] = {}
    for point in evidence.load_points:
        before = found.get(point.workload.name)
        streams = point.load.concurrency or 0
        if point.load.closed and (before is None or streams > (before.load.concurrency or 0)):
            found[point.workload.name] = point
    return list(found.values())


def build_distributions(evidence: Evidence) -> list[Distribution]:
    """Return both latencies of every cell at the highest load of its workload."""
    points = {point.index: point for point in highest(evidence)}
    rows = distributions.requests(evidence.tables, evidence.slo).filter(
        pl.col("load_point").is_in(list(points)), pl.col("phase") == "load"
    )
    simulated = {(stack_id(it), model_name(it)) for it in evidence.records if is_simulated(it)}
    return [
        found
        for (stack, model, index), cell in rows.partition_by(
            "stack", "model", "load_point", as_dict=True, maintain_order=True
        ).items()
        for metric in LATENCIES
        for found in _distribution(
            cell_id(str(stack), str(model), points[int(index)]),
            metric,
            "simulated" if (stack, model) in simulated else "measured",
            cell,
        )
    ]


def _distribution(
    cell: str, metric: Latency, kind: Kind, rows: pl.DataFrame
) -> Iterator[Distribution]:
    """Yield a latency's spread, where any request tells of it."""
    launches = rows.partition_by("launch", maintain_order=True)
    samples = [launch[metric].drop_nulls().to_numpy() for launch in launches]
    samples = [one for one in samples if one.size]
    if samples:
        seen = [pooled(samples, share).value for share in SHARES]
        yield Distribution(
            cell=cell,
            metric=metric,
            kind=kind,
            requests=sum(one.size for one in samples),
            shares=SHARES,
            values=[one if one is not None and 0 < one < math.inf else None for one in seen],
        )


def build_power(evidence: Evidence) -> list[PowerTrace]:
    """Return the power of each stack and model at the highest load, by every meter that was read.

    Of the first launch whose readings cover the window.
    """
    meters = read_meters(evidence.tables)
    points = {point.index for point in highest(evidence)}
    found: dict[tuple[str, str, int, str], PowerTrace] = {}
    for record in sorted(evidence.records, key=lambda it: it.round):
        for window in record.windows:
            for meter in record.meters if window.load_point in points else []:
                key = (stack_id(record), model_name(record), window.load_point, meter.name)
                trace = None if key in found else _trace(meters, record, window, meter.name)
                if trace is not None:
                    found[key] = trace
    return [found[key] for key in sorted(found)]


def _trace(meters: Meters, record: LaunchRecord, window: Window, meter: str) -> PowerTrace | None:
    series = meters.series.get((record.id, meter), {})
    info = next((it for it in meters.infos.get(record.id, ()) if it.name == meter), None)
    if info is None or info.reason is not None:
        return None
    devices = [series[name][0] for name in counted(info, series) if name in series]
    step_s = max(1.0, math.ceil((window.end_ns - window.start_ns) / 1e9 / MOST_STEPS))
    watts = binned_w(devices, window.start_ns, window.end_ns, step_s)
    if watts is None:
        return None
    return PowerTrace(
        launch=record.id,
        stack=stack_id(record),
        model=model_name(record),
        workload=window.workload,
        load=window.load,
        meter=meter,
        kind="simulated" if is_simulated(record) else info.kind,
        step_s=step_s,
        watts=[round(float(one), 3) for one in watts],
    )
