"""Which windows are fitted together to tell prefill from decode, and what came of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import polars as pl

from inferometer.comparison import PhaseParts, PhaseSplit, Value, worst_kind
from inferometer.energy import split, starved
from inferometer.energy.split import Fit, Stretch
from inferometer.metrics.energy import read_meters
from inferometer.metrics.phases import UNKNOWN_CACHE, uncached
from inferometer.metrics.shares import baselines
from inferometer.metrics.windows import KEY
from inferometer.tables import model_name, stack_id

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from inferometer.cells import Evidence
    from inferometer.comparison import Kind
    from inferometer.energy.idle import Baseline
    from inferometer.energy.split import Term
    from inferometer.records import LaunchRecord, MeterInfo, Window


class _Group(NamedTuple):
    """What is fitted together: one stack on one model at one load, by one meter."""

    stack: str
    model: str
    meter: str
    load: str


class _Seen(NamedTuple):
    """What the windows hold, by launch and load point (and metric and meter)."""

    values: Mapping[tuple[str, int, str, str | None], float]
    uncached: Mapping[tuple[str, int], float | None]
    bases: Mapping[tuple[str, str, str], Baseline]


def build_phases(evidence: Evidence) -> list[PhaseSplit]:
    """Return the split of every stack, model, load and meter with more than one workload there.

    One workload alone says nothing of its phases. A constant's joules follow time and say nothing
    either. Windows that failed a check are left out.
    """
    columns = evidence.points.filter(pl.col("value").is_not_null()).select(
        *KEY, "metric", "meter", "value"
    )
    seen = _Seen(
        values={row[:4]: row[4] for row in columns.iter_rows()},
        uncached=uncached(evidence.tables),
        bases=baselines(evidence.tables, read_meters(evidence.tables)),
    )
    groups: dict[_Group, list[LaunchRecord]] = {}
    for record in evidence.records:
        for group in _groups(record, evidence.meters):
            groups.setdefault(group, []).append(record)
    return [_split(group, records, seen, evidence) for group, records in groups.items()]


def _groups(record: LaunchRecord, meters: Mapping[str, MeterInfo]) -> Iterator[_Group]:
    loads: dict[str, set[str]] = {}
    for window in record.windows:
        loads.setdefault(window.load, set()).add(window.workload)
    for name, info in meters.items():
        if info.reason is None and not info.follows_throughput:
            for load, workloads in loads.items():
                if len(workloads) > 1:
                    yield _Group(stack_id(record), model_name(record), name, load)


def _split(
    group: _Group, records: Sequence[LaunchRecord], seen: _Seen, evidence: Evidence
) -> PhaseSplit:
    rows: list[Stretch] = []
    windows: list[tuple[Window, Stretch]] = []
    hidden = False
    for record in records:
        base = seen.bases.get((record.id, group.meter, "loaded"))
        if base is not None and base.energy_j is not None:
            rows.append(_idle(record.id, base.energy_j, base.seconds))
        for window in record.windows:
            if window.load == group.load and _sound(evidence, record.id, window.load_point):
                hidden |= seen.uncached.get((record.id, window.load_point), 0) is None
                row = _stretch(record.id, window, group.meter, seen)
                windows += [(window, row)] if row else []
    rows += [row for _, row in windows]
    found = Fit(reason=UNKNOWN_CACHE[0], detail=UNKNOWN_CACHE[1]) if hidden else split.fit(rows)
    kind = _kind(group, evidence)
    return PhaseSplit(
        stack=group.stack,
        model=group.model,
        meter=group.meter,
        load=group.load,
        idle_w=_value(found, found.idle_w, "W", kind),
        prefill_j_per_token=_value(found, found.prefill_j_per_token, "J/token", kind),
        decode_j_per_token=_value(found, found.decode_j_per_token, "J/token", kind),
        windows=len(windows),
        workloads=len({window.workload for window, _ in windows}),
        held_out=found.held_out,
        parts=[] if found.reason else _parts(found, windows),
        engine_prefill_share=_engine_share([window for window, _ in windows]),
    )


def _sound(evidence: Evidence, launch: str, load_point: int) -> bool:
    """Say whether a window's tokens and joules belong together: no check of it failed.

    A starved accelerator is no reason to leave it out: its joules are what they are.
    """
    checks = evidence.checks.get((launch, load_point), ())
    return all(check.verdict != "fail" or check.name == starved.NAME for check in checks)


def _idle(launch: str, energy_j: float, seconds: float) -> Stretch:
    return Stretch(
        launch=launch,
        shape="",
        seconds=seconds,
        prompt_tokens=0,
        output_tokens=0,
        energy_j=energy_j,
    )


def _stretch(launch: str, window: Window, meter: str, seen: _Seen) -> Stretch | None:
    """Return a window as a row of the fit; None where joules or tokens are missing."""
    place = (launch, window.load_point)
    watts = seen.values.get((*place, "mean_power_w", meter))
    tokens_s = seen.values.get((*place, "output_tok_s", None))
    prompts = seen.uncached.get(place)
    if watts is None or tokens_s is None or prompts is None:
        return None
    seconds = (window.end_ns - window.start_ns) / 1e9
    return Stretch(
        launch=launch,
        shape=window.workload,
        seconds=seconds,
        prompt_tokens=prompts,
        output_tokens=tokens_s * seconds,
        energy_j=watts * seconds,
    )


def _kind(group: _Group, evidence: Evidence) -> Kind:
    rows = evidence.points.filter(
        pl.col("stack") == group.stack,
        pl.col("model") == group.model,
        pl.col("meter") == group.meter,
        pl.col("metric") == "energy_j_per_output_token",
    )
    return worst_kind(["derived", *rows["kind"].unique().to_list()])


def _value(found: Fit, term: Term, unit: str, kind: Kind) -> Value:
    if found.reason:
        return Value(value=None, unit=unit, kind=kind, reason=found.reason, detail=found.detail)
    return Value(
        value=term.value, unit=unit, kind=kind, n=found.launches, low=term.low, high=term.high
    )


def _parts(found: Fit, windows: Sequence[tuple[Window, Stretch]]) -> list[PhaseParts]:
    """Return one row a workload: its windows' parts, added up."""
    told: dict[str, list[split.Parts]] = {}
    for window, row in windows:
        told.setdefault(window.workload, []).append(split.parts(found, row))
    return [
        PhaseParts(
            workload=workload,
            windows=len(parts),
            prefill_j=sum(part.prefill_j for part in parts),
            decode_j=sum(part.decode_j for part in parts),
            idle_j=sum(part.idle_j for part in parts),
            unallocated_j=sum(part.unallocated_j for part in parts),
            metered_j=sum(part.metered_j for part in parts),
        )
        for workload, parts in told.items()
    ]


def _engine_share(windows: Sequence[Window]) -> float | None:
    """Return prefill's share of the engine's own busy seconds; None unless every window has it."""
    names = ("prefill_busy_s", "decode_busy_s")
    if not windows or not all(set(names) <= set(window.counters) for window in windows):
        return None
    prefill, decode = (sum(window.counters[name] for window in windows) for name in names)
    return prefill / (prefill + decode) if prefill + decode > 0 else None
