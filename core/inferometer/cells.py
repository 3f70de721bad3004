"""What was compared: stacks, models and cells, from the plan and what the launches recorded."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import polars as pl
from msgspec import structs

from inferometer import precision, redact, startlines, stats, validity
from inferometer.comparison import Cell, Model, Stack, Value, worst_kind
from inferometer.declared import Quality
from inferometer.gate import Server
from inferometer.lifetimes import OF_LAUNCHES, of_launches
from inferometer.metrics import distributions
from inferometer.metrics.catalogue import METRICS
from inferometer.plan import decided
from inferometer.tables import is_simulated, model_name, stack_id

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from inferometer.comparison import Check, Kind
    from inferometer.declared import Slo
    from inferometer.look_records import Look
    from inferometer.metrics.declaration import Metric
    from inferometer.plan import LoadPoint, Plan
    from inferometer.records import LaunchRecord, MeterInfo, Prior
    from inferometer.study import Study
    from inferometer.tables import Tables

NO_PRICE = Value(
    value=None,
    unit="USD/h",
    kind="declared",
    reason="no_price",
    detail="neither the study nor a scenario says what an hour costs",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Everything an analysis looks at: read once, then only looked at."""

    plan: Plan
    study: Study
    records: Sequence[LaunchRecord]
    failures: Sequence[LaunchRecord]
    tables: Tables
    points: pl.DataFrame
    """The long table of :func:`inferometer.metrics.evaluate.evaluate`."""
    checks: Mapping[validity.Point, Sequence[Check]]
    price: Value = NO_PRICE
    """Of an hour of the machine, with its origin."""
    one_price: bool = True
    """Every launch's hour costs the same, so that cost follows throughput."""
    looks: Sequence[Look] = ()
    """Of a sequential study, in order."""
    priors: Sequence[Prior] = ()
    """What earlier studies said when it began."""
    slo: Slo | None = None
    """What a good request meets."""
    one_machine: bool = True
    """False of directories, or nodes, that nothing shows to be of one machine: then no cell has an
    interval, and nothing that is made of one."""

    @property
    def load_points(self) -> tuple[LoadPoint, ...]:
        """Return the load points, the same in every launch."""
        return self.plan.launches[0].points if self.plan.launches else ()

    @property
    def stacks(self) -> list[str]:
        """Return the planned stack ids, sorted: the running order is random."""
        return sorted({launch.stack for launch in self.plan.launches})

    @property
    def meters(self) -> dict[str, MeterInfo]:
        """Return each meter once, in the study's order; a launch that could read it goes first."""
        found: dict[str, MeterInfo] = {}
        for record in self.records:
            for info in record.meters:
                if info.name not in found or (found[info.name].reason and not info.reason):
                    found[info.name] = info
        wanted = [entry.name for entry in self.study.meters]
        rest = [name for name in found if name not in wanted]
        return {name: found[name] for name in [*wanted, *rest] if name in found}

    def recorded(self) -> list[LaunchRecord]:
        """Return whole launches, then failed ones."""
        return [*self.records, *self.failures]


_Told = tuple[int, float | None, "Kind", str | None, str]
"""What the long table tells of a metric in one launch: its columns :data:`_TOLD`."""
_TOLD = ("block", "value", "kind", "reason", "detail")


class _Rows(NamedTuple):
    """One cell's rows of the long table by metric and meter, and its requests, by launch."""

    points: dict[tuple[str, str | None], list[_Told]]
    ended: list[distributions.Ended]


class Values(NamedTuple):
    """One metric of one cell: by round where known, else why not."""

    by_round: dict[int, float]
    """By block (:func:`inferometer.nodes.blocks`): the round, where that is whole on one node."""
    kind: Kind
    reasons: list[tuple[str, str]]
    """Reason and detail of each launch without a number."""
    details: list[str]


def build_stacks(evidence: Evidence) -> list[Stack]:
    """Return every planned stack, as its first launch recorded it."""
    stacks = [_stack(evidence, stack) for stack in evidence.stacks]
    labels = [stack.label for stack in stacks]
    return [_relabelled(stack, labels.count(stack.label)) for stack in stacks]


FACTS = (
    *("counted", "layers", "moe_layers", "experts", "top_k", "shared_expert_width"),
    *("kv_bytes_per_token", "context_length"),
)
"""Of a launch's model, the fields of :class:`Model` that are taken as they stand."""


def _weights(model: Mapping[str, Any]) -> Literal["trained", "upcycled", "random"]:
    """Return where the weights come from; before it was recorded only twins were made."""
    told = model.get("weights")
    if told in {"trained", "upcycled", "random"}:
        return told  # type: ignore[no-any-return]  # it is one of these
    return "upcycled" if model.get("routing") == "synthetic" else "trained"


def _texts(value: object) -> list[str]:
    return [redact.plain(str(one)) for one in value] if isinstance(value, list) else []


def build_models(evidence: Evidence) -> list[Model]:
    """Return every model that some launch recorded, in the study's order."""
    recorded = sorted(evidence.recorded(), key=lambda r: bool(r.model.get("checkpoint")))
    found = {model_name(record): record.model for record in reversed(recorded)}
    names = [entry.name for entry in evidence.study.models if entry.name in found]
    names += sorted(set(found) - set(names))
    declared = {m.name: m.quality for m in evidence.study.models if isinstance(m.quality, Quality)}
    return [
        Model(
            name=name,
            architecture=found[name].get("architecture") or "dense",
            total_parameters=found[name].get("total_parameters"),
            active_parameters=found[name].get("active_parameters"),
            weights_bytes=found[name].get("weights_bytes"),
            precision=str(found[name].get("precision") or "unknown"),
            sha256=str(found[name].get("sha256") or ""),
            twin_of=found[name].get("twin_of"),
            routing=found[name].get("routing") or "unknown",
            weights=_weights(found[name]),
            quality=declared.get(name),
            **{key: found[name].get(key) for key in FACTS},
            approximations=_texts(found[name].get("approximations")),
            unknown=_texts(found[name].get("unknown")),
        )
        for name in names
    ]


def servers(evidence: Evidence) -> dict[tuple[str, str], Server]:
    """Return every cell (stack, model) that was measured, as it stands at the gate."""
    return {
        (stack_id(record), model_name(record)): Server(served(record), is_simulated(record))
        for record in evidence.records
    }


def served(record: LaunchRecord) -> str:
    """Return the precision of a launch, in words; older records know what was asked for."""
    return precision.words(record.precision) or str(record.stack.get("precision") or "unknown")


def build_cells(evidence: Evidence, models: Sequence[Model]) -> list[Cell]:
    """Return a cell for every planned stack, known model and load point, with data or without."""
    keys = ["stack", "model", "load_point"]
    groups = evidence.points.partition_by(keys, as_dict=True)
    ended = distributions.requests(evidence.tables, evidence.slo).partition_by(keys, as_dict=True)
    return [
        _cell(evidence, stack, model, point, _rows(groups.get(key), ended.get(key)))
        for model in models
        for point in evidence.load_points
        for stack in evidence.stacks
        for key in [(stack, model.name, point.index)]
    ]


def values(rows: pl.DataFrame, metric: str, meter: str | None) -> Values:
    """Return one metric of one cell's ``rows`` of the long table."""
    rows = rows.filter(pl.col("metric") == metric, pl.col("meter").eq_missing(meter))
    return _values(rows.select(_TOLD).rows())


def _values(rows: Sequence[_Told]) -> Values:
    fit = [row for row in rows if row[1] is not None]
    return Values(
        by_round={block: value for block, value, *_ in fit if value is not None},
        kind=worst_kind(kind for _, _, kind, _, _ in fit or rows),
        reasons=[(reason or "", detail) for _, value, _, reason, detail in rows if value is None],
        details=list(dict.fromkeys(detail for *_, detail in fit if detail)),
    )


def absent(evidence: Evidence, stack: str, model: str) -> tuple[str, str]:
    """Return reason and detail for a stack that has no whole launch of a model."""
    for record in reversed(evidence.failures):
        if (stack_id(record), model_name(record)) == (stack, model) and record.failure:
            last = record.failure.log_tail[-1:]
            parts = [f"{record.failure.stage}: {record.failure.message}", *last]
            return record.failure.reason, "; last line: ".join(parts)
    return "not_run", "planned, not launched yet"


def command(record: LaunchRecord) -> str:
    """Return the launch command, quoted for a shell, at port 8000; secrets are hidden."""
    return shlex.join(startlines.command(record))


def _stack(evidence: Evidence, stack: str) -> Stack:
    record = next((r for r in evidence.recorded() if stack_id(r) == stack), None)
    first = [
        r
        for entry in evidence.study.models
        for r in evidence.recorded()
        if stack_id(r) == stack and model_name(r) == entry.name
    ]
    record = first[0] if first else record
    entry = next(launch.engine for launch in evidence.plan.launches if launch.stack == stack)
    known: dict[str, Any] = record.stack if record else {}
    given = _given(first)
    return Stack(
        id=stack,
        label=str(known.get("label") or stack),
        engine=str(known.get("engine") or entry.name),
        version=str(known.get("engine_version") or "unknown"),
        profile=str(known.get("profile") or entry.profile),
        precision=served(record) if record else entry.dtype,
        parallelism=str(known.get("parallelism") or f"TP{entry.tensor_parallel_size}"),
        command=command(record) if record else "",
        environment_variables=_variables(given),
        variables_by_model=given
        if any(own != one for own, one in pairwise(given.values()))
        else {},
        environment=record.environment if record else {},
        resolved_configuration=record.resolved_configuration if record else {},
    )


def _given(records: Sequence[LaunchRecord]) -> dict[str, dict[str, str]]:
    """Return the variables that a stack was started with, by model; secrets are hidden."""
    started: dict[str, LaunchRecord] = {}
    for record in records:
        if record.command:
            started.setdefault(model_name(record), record)
    return {
        name: dict(sorted(redact.tree(r.environment_variables).items()))
        for name, r in started.items()
    }


def _variables(given: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """Return the variables of a stack; of one that differs between its models, each model's."""
    found = {}
    for variable in sorted({variable for own in given.values() for variable in own}):
        values = {name: own.get(variable, "not set") for name, own in given.items()}
        each = "; ".join(f"{name}: {value}" for name, value in values.items())
        same = len(set(values.values())) == 1
        found[variable] = next(iter(values.values())) if same else f"differs by model: {each}"
    return found


def _relabelled(stack: Stack, same: int) -> Stack:
    if same == 1:
        return stack
    return Stack(**{**_fields(stack), "label": f"{stack.label} ({stack.id})"})


def _fields(stack: Stack) -> dict[str, Any]:
    return {name: getattr(stack, name) for name in stack.__struct_fields__}


def _cell(evidence: Evidence, stack: str, model: Model, point: LoadPoint, rows: _Rows) -> Cell:
    whole = [r for r in evidence.records if (stack_id(r), model_name(r)) == (stack, model.name)]
    here = [r for r in whole if point.index not in {out.load_point for out in r.left_out}]
    keys = [(record.id, point.index) for record in here]
    checks = validity.combine({key: evidence.checks[key] for key in keys if key in evidence.checks})
    why = (
        ("failed", "the launch has no window here")
        if whole
        else absent(evidence, stack, model.name)
    )
    return Cell(
        id=cell_id(stack, model.name, point),
        stack=stack,
        model=model.name,
        architecture=model.architecture,
        workload=point.workload.name,
        load=point.label,
        loop="closed" if point.load.closed else "open",
        launches=[record.id for record in here],
        values=shown(
            evidence,
            {key: _value(metric, meter, rows, why) for key, metric, meter in columns(evidence)},
        )
        | {info.id: of_launches(info, whole, why) for info in OF_LAUNCHES},
        checks=checks,
        valid=validity.valid(checks),
        commands=list(dict.fromkeys(command(record) for record in whole if record.command)),
        precision=served(whole[0]) if whole else "",
        weights_bytes=precision.served_bytes(whole[0]) if whole else None,
        decided=decided(evidence.looks).get((stack, model.name, point.index)),
    )


def _rows(points: pl.DataFrame | None, ended: pl.DataFrame | None) -> _Rows:
    # Once for all metrics: looking for each in the table took most of the time of an analysis.
    found = _Rows({}, [])
    if points is not None:
        for metric, meter, *told in points.select("metric", "meter", *_TOLD).iter_rows():
            found.points.setdefault((metric, meter), []).append(tuple(told))
    if ended is not None:
        parts = ended.partition_by("launch", maintain_order=True)
        found.ended.extend(map(distributions.Ended, parts))
    return found


def _value(metric: Metric, meter: str | None, rows: _Rows, why: tuple[str, str]) -> Value:
    found = _values(rows.points.get((metric.id, meter), ())) if rows.points else None
    told = found is not None and (metric.percentile is not None or found.by_round)
    if found is None or not told or not rows.ended or not metric.of_requests:
        return value_of(metric, found, why)
    seen = distributions.outcome(metric, rows.ended)
    return Value(
        value=seen.value,
        unit=metric.unit,
        kind=found.kind,
        n=seen.n if seen.value is not None else 0,
        low=seen.low,
        high=seen.high,
        reason=seen.reason,
        detail="; ".join([seen.detail, *(found.details if metric.hits else ())]),
    )


def shown(evidence: Evidence, found: dict[str, Value]) -> dict[str, Value]:
    """Return the values of a cell: without intervals where machines may differ."""
    if evidence.one_machine:
        return found
    return {key: structs.replace(value, low=None, high=None) for key, value in found.items()}


def cell_id(stack: str, model: str, point: LoadPoint) -> str:
    """Return a cell's id."""
    return f"{stack}/{model}/{point.workload.name}/{point.load.key}"


def columns(evidence: Evidence) -> Iterator[tuple[str, Metric, str | None]]:
    """Return the keys of ``Cell.values`` with their metric and meter."""
    for metric in METRICS:
        if metric.grain != "meter":
            yield metric.id, metric, None
            continue
        for meter in evidence.meters:
            yield f"{metric.id}@{meter}", metric, meter


def value_of(metric: Metric, found: Values | None, why: tuple[str, str]) -> Value:
    """Return one metric of a cell over its launches; ``why`` where it has none at all."""
    if found is None or not found.by_round:
        reason, detail = found.reasons[0] if found and found.reasons else why
        kind = found.kind if found else "measured"
        return Value(value=None, unit=metric.unit, kind=kind, reason=reason, detail=detail)
    seen = stats.estimate(list(found.by_round.values()), log=metric.positive)
    details = list(found.details)
    if found.reasons:
        count = len(found.reasons)
        details.append(f"{count} further launches without a number: {found.reasons[0][0]}")
    low = seen.low if metric.positive or seen.low is None else max(seen.low, 0.0)
    return Value(
        value=seen.value,
        unit=metric.unit,
        kind=found.kind,
        n=seen.n,
        low=low,
        high=seen.high,
        detail="; ".join(details),
    )
