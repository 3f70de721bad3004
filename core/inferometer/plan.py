"""A study expanded: an ordered, content-hashed list of launches. A pure function of the study."""

from __future__ import annotations

import hashlib
import random
import re
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct, UnsetType

from inferometer import pace
from inferometer.declared import Capacity, Slo
from inferometer.engine import Setting
from inferometer.look_records import LeftOut
from inferometer.records import SCHEMA
from inferometer.study import (
    EngineEntry,
    LoadEntry,
    ModelEntry,
    Protocol,
    Study,
    Tuning,
    WorkloadEntry,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from inferometer.look_records import Look


class LoadPoint(Struct, frozen=True, kw_only=True):
    """One workload at one offered load, inside a launch."""

    index: int
    workload: WorkloadEntry
    load: LoadEntry

    @property
    def label(self) -> str:
        """Return the load in words, as tables show it."""
        label = self.load.label
        return label if self.workload.cache == "cold" else f"{label}, warm cache"


class Launch(Struct, frozen=True, kw_only=True):
    """One planned lifetime of one server. ``id`` is the hash of everything else but the place."""

    id: str
    round: int
    position: int
    stack: str
    """Stack id: the engine's name, and whatever tells two entries of one engine apart."""
    engine: EngineEntry
    model: ModelEntry
    points: tuple[LoadPoint, ...]
    settings: tuple[Setting, ...] = ()
    """What a trial tries, or a search found; not planned, so empty in a plan."""
    left_out: tuple[LeftOut, ...] = ()
    """Points that looks ended before this round; not planned, so empty in a plan."""

    @property
    def left(self) -> tuple[LoadPoint, ...]:
        """Return the load points that are to be measured."""
        out = {one.load_point for one in self.left_out}
        return tuple(point for point in self.points if point.index not in out)


class Search(Struct, frozen=True, kw_only=True):
    """A search before the first round: the trials of one ``tuned`` stack on one model."""

    stack: str
    engine: EngineEntry
    model: ModelEntry
    point: LoadPoint
    tuning: Tuning

    def window_s(self, protocol: Protocol) -> float:
        """Return the length of each trial's window, the same for all: they are compared."""
        return self.tuning.window_s or protocol.window_s or pace.SHORTEST_S


class PlannedCapacity(Struct, frozen=True, kw_only=True):
    """The searches for capacity at the end of each launch, one a workload."""

    asked: Capacity
    slo: Slo
    workloads: tuple[WorkloadEntry, ...]

    def wanted(self, launch: Launch) -> bool:
        """Say whether ``launch`` is of a round in which stacks are searched."""
        return self.asked.rounds is None or launch.round < self.asked.rounds


class Plan(Struct, frozen=True, kw_only=True):
    """The launches in running order. ``sha256`` covers the study, so it names the plan."""

    schema: int = 1
    """Version of the results directory that it begins; 1 also where none was recorded."""
    sha256: str
    study: str
    protocol: Protocol
    launches: tuple[Launch, ...]
    searches: tuple[Search, ...] = ()
    capacity: PlannedCapacity | None = None


def digest(value: object) -> str:
    """Return the SHA-256 (hex) of a value's canonical JSON."""
    return hashlib.sha256(msgspec.json.encode(value, order="deterministic")).hexdigest()


def stack_ids(study: Study) -> list[str]:
    """Return one id per ``[[engines]]`` entry: readable, unique, independent of order."""
    names = []
    for entry in study.engines:
        same = [other for other in study.engines if other.name == entry.name]
        short = f"{entry.name}-{digest(entry)[:6]}" if len(same) > 1 else entry.name
        names.append(entry.alias or short)
    return names


def load_points(study: Study) -> tuple[LoadPoint, ...]:
    """Return every workload at every load that it can run at; then the traces, once each.

    A trace's workload has the name of its file and nothing else: the rest is in the file.
    """
    pairs = [(work, load) for work, load in _pairs(study) if _fits(work, load)]
    pairs += [(WorkloadEntry(name=_name(load.trace)), load) for load in study.loads if load.trace]
    return tuple(
        LoadPoint(index=index, workload=workload, load=load)
        for index, (workload, load) in enumerate(pairs)
    )


def left_out(study: Study) -> list[str]:
    """Return the pairs of workload and load that are not run: conversations in open loops."""
    pairs = [(work, load) for work, load in _pairs(study) if not _fits(work, load)]
    return [f"{work.name} at {load.label}" for work, load in pairs]


def _pairs(study: Study) -> list[tuple[WorkloadEntry, LoadEntry]]:
    return [(work, load) for work in study.workloads for load in study.loads if not load.trace]


def _fits(workload: WorkloadEntry, load: LoadEntry) -> bool:
    """Say whether no turn has to be sent before the one before it was answered."""
    return workload.turns is None or load.closed


def _name(trace: str) -> str:
    """Return a trace's file name without its ending, fit for a path of its own."""
    return re.sub(r"[^A-Za-z0-9._-]", "-", Path(trace).stem)[:64]


def expand(study: Study) -> Plan:
    """Expand ``study``: each round launches every stack on every model, in random order.

    Odd rounds (counted from 0) run the round before in reverse, so that linear drift cancels
    over each pair.
    """
    sha256 = digest(study)
    points, capacity = load_points(study), planned_capacity(study)
    pairs = [
        (stack, engine, model)
        for stack, engine in zip(stack_ids(study), study.engines, strict=True)
        for model in study.models
    ]
    rng = random.Random(study.protocol.seed)  # noqa: S311 -- an order, not a secret
    launches: list[Launch] = []
    order = list(pairs)
    for round_ in range(study.protocol.rounds):
        order = rng.sample(pairs, len(pairs)) if round_ % 2 == 0 else order[::-1]
        for stack, engine, model in order:
            body: tuple[object, ...] = (round_, engine, model, points, study.protocol)
            body += (study.tuning,) if engine.profile == "tuned" else ()
            body += (capacity,) if capacity else ()
            launches.append(
                Launch(
                    id=f"r{round_ + 1}-{stack}-{model.name}-{digest(body)[:8]}",
                    round=round_,
                    position=len(launches),
                    stack=stack,
                    engine=engine,
                    model=model,
                    points=points,
                )
            )
    return Plan(
        schema=SCHEMA,
        sha256=sha256,
        study=study.name,
        protocol=study.protocol,
        launches=tuple(launches),
        searches=searches(study),
        capacity=capacity,
    )


def planned_capacity(study: Study) -> PlannedCapacity | None:
    """Return what is searched at the end of each launch, if anything."""
    if not isinstance(study.capacity, Capacity) or not isinstance(study.slo, Slo):
        return None
    works = tuple(work for work in study.workloads if work.turns is None)
    return PlannedCapacity(asked=study.capacity, slo=study.slo, workloads=works)


Point = tuple[str, str, int]
"""Stack, model and index of the load point."""


def decided(looks: Sequence[Look]) -> dict[Point, int]:
    """Return the load points that looks ended, with the rounds behind the first look that did."""
    found: dict[Point, int] = {}
    for look in looks:
        for one in look.decided:
            for index in one.load_points:
                found.setdefault((one.stack, one.model, index), look.rounds)
    return found


def wanted(plan: Plan, looks: Sequence[Look]) -> list[Launch]:
    """Return the launches that the looks of a sequential study leave to be made.

    Each names the load points that it leaves out; one that would leave out all is not made.
    """
    stopped = min((look.rounds for look in looks if look.stop), default=plan.protocol.rounds)
    ended = {stack: look.rounds for look in looks for stack in look.ended}
    after = decided(looks)
    left = [
        msgspec.structs.replace(launch, left_out=_left_out(launch, after))
        for launch in plan.launches
        if launch.round < min(stopped, ended.get(launch.stack, plan.protocol.rounds))
    ]
    return [launch for launch in left if launch.left]


def _left_out(launch: Launch, after: Mapping[Point, int]) -> tuple[LeftOut, ...]:
    found = []
    for point in launch.points:
        rounds = after.get((launch.stack, launch.model.name, point.index))
        if rounds is not None and rounds <= launch.round:
            found.append(
                LeftOut(
                    load_point=point.index,
                    workload=point.workload.name,
                    load=point.label,
                    reason="decided",
                    rounds=rounds,
                )
            )
    return tuple(found)


def searches(study: Study) -> tuple[Search, ...]:
    """Return a search for every ``tuned`` stack on every model, in the study's order."""
    tuning = study.tuning
    if isinstance(tuning, UnsetType):
        return ()
    point = next(
        point
        for point in load_points(study)
        if point.load.closed
        and tuning.workload in {None, point.workload.name}
        and tuning.concurrency in {None, point.load.concurrency}
    )
    return tuple(
        Search(stack=stack, engine=engine, model=model, point=point, tuning=tuning)
        for stack, engine in zip(stack_ids(study), study.engines, strict=True)
        if engine.profile == "tuned"
        for model in study.models
    )
