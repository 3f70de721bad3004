"""Several results directories as one body of evidence: rounds one behind the other.

Every part is read and checked by itself, so that nothing of one machine is judged by another's
clock, temperature or idle. Only then are rounds renumbered and launches renamed. A round belongs to
one directory, so pairing by rounds never pairs two directories.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import msgspec
import numpy as np
import polars as pl

from inferometer import node_agreement, stats
from inferometer.nodes import round_of
from inferometer.plan import digest
from inferometer.tables import Tables
from inferometer.uncertainty.blocks import disagreement

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from inferometer.cells import Evidence
    from inferometer.comparison import Ranking
    from inferometer.plan import Launch, Plan
    from inferometer.records import LaunchRecord

LEVEL = 0.05
"""Chance of finding that directories disagree, over all rankings, when they do not."""


class Named(NamedTuple):
    """One directory's evidence under the name it has in the report."""

    name: str
    evidence: Evidence


def offsets(parts: Sequence[Named]) -> list[int]:
    """Return by how much the rounds of each part are shifted."""
    rounds = [part.evidence.plan.protocol.rounds for part in parts]
    return [sum(rounds[:index]) for index in range(len(rounds))]


def pool(parts: Sequence[Named]) -> Evidence:
    """Return the evidence of all parts; studies must agree but for seed and rounds."""
    if len(parts) == 1:
        return parts[0].evidence
    first = parts[0].evidence
    shifts = list(zip(parts, offsets(parts), strict=True))
    return replace(
        first,
        plan=_plan(parts),
        records=[_record(r, n, by) for (n, e), by in shifts for r in e.records],
        failures=[_record(r, n, by) for (n, e), by in shifts for r in e.failures],
        tables=_tables(parts),
        points=pl.concat([_renamed(e.points, n, by) for (n, e), by in shifts]),
        checks={
            (f"{n}/{launch}", point): found
            for n, e in parts
            for (launch, point), found in e.checks.items()
        },
    )


def disagreements(
    parts: Sequence[Named], pooled: Evidence, rankings: Sequence[Ranking]
) -> list[tuple[Ranking, float]]:
    """Return each ranking with the p value of its parts' stacks having the same ratios.

    Left out are rankings by cost (at one price they are throughput's), those that are read between
    load points, and those in which nothing can be asked.
    """
    found = []
    for ranking in rankings:
        if not node_agreement.asked(ranking):
            continue
        p = disagreement(_blocks(parts, pooled, ranking))
        if p is not None:
            found.append((ranking, p))
    return found


def _plan(parts: Sequence[Named]) -> Plan:
    plans = [part.evidence.plan for part in parts]
    launches: list[Launch] = []
    for (name, evidence), by in zip(parts, offsets(parts), strict=True):
        launches += [
            msgspec.structs.replace(
                launch,
                id=f"{name}/{launch.id}",
                round=launch.round + by,
                position=len(launches) + place,
            )
            for place, launch in enumerate(evidence.plan.launches)
        ]
    rounds = sum(plan.protocol.rounds for plan in plans)
    return msgspec.structs.replace(
        plans[0],
        sha256=digest([plan.sha256 for plan in plans]),
        protocol=msgspec.structs.replace(plans[0].protocol, rounds=rounds),
        launches=tuple(launches),
    )


def _record(record: LaunchRecord, name: str, by: int) -> LaunchRecord:
    node = f"{name}/{record.node}" if record.node else None
    return msgspec.structs.replace(
        record, id=f"{name}/{record.id}", round=record.round + by, node=node
    )


def _tables(parts: Sequence[Named]) -> Tables:
    sources = {
        f"{name}/{r.id}": (evidence, r.id) for name, evidence in parts for r in evidence.records
    }

    def events(
        launch: str, requests: Sequence[int], start_ns: int, end_ns: int
    ) -> NDArray[np.int64]:
        evidence, own = sources[launch]
        return evidence.tables.events(own, requests, start_ns, end_ns)

    frames = {field: _concatenated(parts, field) for field in Tables.__slots__ if field != "events"}
    return Tables(**frames, events=events)


def _concatenated(parts: Sequence[Named], field: str) -> pl.DataFrame:
    """Return one table of all parts; names of launches, stacks and models get a common type."""
    frames = [
        _renamed(getattr(evidence.tables, field), name, by)
        for (name, evidence), by in zip(parts, offsets(parts), strict=True)
    ]
    joined = pl.concat(frames)
    launches = [f"{name}/{r.id}" for name, e in parts for r in e.records]
    return joined.with_columns(
        pl.col("launch").cast(pl.Enum(launches)),
        *(pl.col(c).cast(pl.Enum(sorted(joined[c].unique()))) for c in ("stack", "model")),
    )


def _renamed(frame: pl.DataFrame, name: str, by: int) -> pl.DataFrame:
    return frame.with_columns(
        *(pl.col(key) + by for key in ("round", "block") if key in frame.columns),
        *(pl.lit(f"{name}/") + pl.col(key) for key in ("node",) if key in frame.columns),
        launch=pl.lit(f"{name}/") + pl.col("launch").cast(pl.String),
        stack=pl.col("stack").cast(pl.String),
        model=pl.col("model").cast(pl.String),
    )


def _blocks(
    parts: Sequence[Named], pooled: Evidence, ranking: Ranking
) -> list[NDArray[np.float64]]:
    """Return the log values of a ranking's stacks, rounds x stacks, a part each."""
    by_round = node_agreement.by_block(pooled, ranking)
    whole = stats.complete_rounds(by_round)
    found = []
    for part, by in zip(parts, offsets(parts), strict=True):
        own = range(by, by + part.evidence.plan.protocol.rounds)
        rows = [
            [math.log(each[r]) for each in by_round.values()] for r in whole if round_of(r) in own
        ]
        found.append(np.array(rows, dtype=float).reshape(len(rows), len(by_round)))
    return found
