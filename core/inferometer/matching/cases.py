"""A pair of models on one stack by one metric on one workload: what is read off its loads."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from inferometer.cells import cell_id, values
from inferometer.contests import METRIC, by_profile, other_boundary, subjects, tells, why_invalid
from inferometer.criteria.places import INTERACTIVITY
from inferometer.matching.pairs import pairs
from inferometer.matching.points import (
    Point,
    at_best,
    at_interactivity,
    at_load,
    levels,
    reach,
)
from inferometer.metrics.catalogue import BY_ID
from inferometer.parity import figures
from inferometer.parity import name as cell_name
from inferometer.tables import is_simulated, model_name, stack_id

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from inferometer.comparison import Cell, Model, Objective, Parity
    from inferometer.contests import Field
    from inferometer.gate import Refusal
    from inferometer.matching.points import Level, Reading
    from inferometer.plan import LoadPoint

    Reason = tuple[str, str]
    """A reason code, and its detail."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A metric (of one meter) that dense and MoE are compared by."""

    objective: Objective
    meter: str | None
    follows: str | None

    @property
    def metric(self) -> str:
        """Return the metric's id."""
        return METRIC[self.objective]

    @property
    def higher_is_better(self) -> bool:
        """Say which direction is good."""
        return BY_ID[self.metric].direction == "higher"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A dense and a MoE model on one stack by one metric on one workload, read everywhere."""

    stack: str
    profile: str
    dense: Model
    moe: Model
    asked: Asked
    workload: str
    readings: Sequence[Reading]
    precisions: Mapping[str, str]
    """By model."""
    refused: Mapping[str, Refusal]
    """By model: why the stack may not be set beside others on it, as its answers differ."""

    @property
    def question(self) -> tuple[str, str, str, str | None, str]:
        """Return what the cases of several stacks have in common."""
        asked = self.asked
        return self.dense.name, self.moe.name, asked.metric, asked.meter, self.workload

    @property
    def simulated(self) -> bool | None:
        """Say whether no engine was run; None while nothing was read."""
        kinds = {reading.kind for reading in self.readings if reading.reason is None}
        return "simulated" in kinds if kinds else None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Question:
    """What is asked of every stack."""

    field: Field
    parity: Sequence[Parity]
    dense: Model
    moe: Model
    asked: Asked
    workload: str
    loads: Sequence[LoadPoint]


def build_cases(field: Field, models: Sequence[Model], parity: Sequence[Parity]) -> list[Case]:
    """Return every case: each pair of models, metric (energy: each meter), workload and stack."""
    asked = [
        Asked(objective=objective, meter=meter, follows=follows)
        for objective, meter, _, follows in subjects(field.evidence)
        if objective != "energy" or meter
    ]
    return [
        case
        for dense, moe in pairs(models)
        for each in asked
        for workload, loads in _workloads(field, each).items()
        for case in _cases(
            _Question(
                field=field,
                parity=parity,
                dense=dense,
                moe=moe,
                asked=each,
                workload=workload,
                loads=loads,
            )
        )
    ]


def _workloads(field: Field, asked: Asked) -> dict[str, list[LoadPoint]]:
    found: dict[str, list[LoadPoint]] = {}
    for point in field.evidence.load_points:
        if tells(point, asked.objective, asked.follows):
            found.setdefault(point.workload.name, []).append(point)
    return found


def _cases(question: _Question) -> Iterator[Case]:
    """Yield the case of every stack; all are read at the same interactivities.

    Simulated stacks and real ones each at their own, as in rankings.
    """
    higher = question.asked.higher_is_better
    stacks = [
        (profile, stack) for profile, own in by_profile(question.field.evidence) for stack in own
    ]
    sides = {stack: _sides(question, stack) for _, stack in stacks}
    made_up = _made_up(question, sides)
    equally_fast: dict[bool, list[Level]] = {False: [], True: []}
    if sum(load.load.closed for load in question.loads) > 1:
        for kind in set(made_up.values()):
            own = [both for stack, both in sides.items() if made_up[stack] is kind]
            equally_fast[kind] = levels([reach(*both, higher_is_better=higher) for both in own])
    for profile, stack in stacks:
        both = sides[stack]
        best = at_best(*both, higher_is_better=higher)
        yield Case(
            stack=stack,
            profile=profile,
            dense=question.dense,
            moe=question.moe,
            asked=question.asked,
            workload=question.workload,
            readings=[
                *at_load(*both),
                *(
                    at_interactivity(*both, at, higher_is_better=higher)
                    for at in equally_fast[made_up[stack]]
                ),
                *([best] if best else []),
            ],
            precisions={
                model.name: _cell(question, stack, model, question.loads[0]).precision
                for model in (question.dense, question.moe)
            },
            refused={
                name: refusal
                for (whose, name), refusal in question.field.refused.items()
                if whose == stack
            },
        )


def _made_up(
    question: _Question, sides: Mapping[str, tuple[list[Point], list[Point]]]
) -> dict[str, bool]:
    """Return which stacks are simulated; one that nothing was measured of goes with the others."""
    real = {stack_id(r): not is_simulated(r) for r in question.field.evidence.records}
    return {stack: not real.get(stack, any(real.values())) for stack in sides}


def _cell(question: _Question, stack: str, model: Model, load: LoadPoint) -> Cell:
    return question.field.cells[cell_id(stack, model.name, load)]


def _sides(question: _Question, stack: str) -> tuple[list[Point], list[Point]]:
    """Return the load points of the dense and of the MoE model, with what forbids a ratio."""
    unlike = _unlike(question, stack)
    dense, moe = (
        [_point(question, stack, model, load) for load in question.loads]
        for model in (question.dense, question.moe)
    )
    for index, load in enumerate(question.loads):
        wrong = unlike or _unequal(question, stack, load)
        if wrong is not None:
            reason, detail = wrong
            for points in (dense, moe):
                if points[index].reason is None:
                    points[index] = replace(points[index], reason=reason, detail=detail)
    return dense, moe


def _point(question: _Question, stack: str, model: Model, load: LoadPoint) -> Point:
    """Return one cell's launches, or why there is no ratio of them."""
    asked = question.asked
    rows = question.field.rows.get((stack, model.name, load.index))
    streams = load.load.concurrency
    wrong = _wrong(question, _cell(question, stack, model, load))
    if rows is None or wrong is not None:
        reason, detail = wrong or ("not_run", "not measured here")
        words = f"{model.name}: {detail}"
        return Point(load=load.label, streams=streams, reason=reason, detail=words)
    found = values(rows, asked.metric, asked.meter)
    speeds = values(rows, INTERACTIVITY, None) if streams is not None else None
    return Point(
        load=load.label,
        streams=streams,
        values=found.by_round,
        speeds=speeds.by_round if speeds else {},
        kind=found.kind,
    )


def _wrong(question: _Question, cell: Cell) -> Reason | None:
    asked = question.asked
    value = cell.values[f"{asked.metric}@{asked.meter}" if asked.meter else asked.metric]
    if value.reason is not None:
        return value.reason, value.detail
    failed = [check for check in cell.checks if check.verdict == "fail"]
    if failed:
        return why_invalid(failed)
    evidence = question.field.evidence
    words = other_boundary(evidence, cell.launches, asked.meter) if asked.meter else ""
    return ("other_boundary", words) if words else None


def _unlike(question: _Question, stack: str) -> Reason | None:
    """Return reason and detail where a twin and its dense model do not answer alike."""
    dense, moe = question.dense, question.moe
    both = {cell_name((stack, model.name)) for model in (dense, moe)}
    failed = [
        pair
        for pair in question.parity
        if {pair.left, pair.right} == both and pair.verdict == "fail"
    ]
    if moe.twin_of != dense.name or not failed:
        return None
    return "parity_failed", f"the twin does not answer as its dense model: {figures(failed[0])}"


def _unequal(question: _Question, stack: str, load: LoadPoint) -> Reason | None:
    """Return reason and words where the two models of one stack got different prompts."""
    names = {question.dense.name, question.moe.name}
    works: dict[int, set[str]] = {}
    for record in question.field.evidence.records:
        if stack_id(record) != stack or model_name(record) not in names:
            continue
        for window in record.windows:
            if window.load_point == load.index:
                works.setdefault(record.round, set()).add(window.work_sha256)
    if any(len(seen) > 1 for seen in works.values()):
        return "unequal_work", "the models got different prompts"
    return None
