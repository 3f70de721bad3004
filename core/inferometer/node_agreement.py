"""What the nodes of a run did, and whether they agree on how far stacks are apart."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from msgspec import UNSET

from inferometer import nodes, stats
from inferometer.cells import values
from inferometer.comparison import Node, Nodes
from inferometer.uncertainty.blocks import disagreement

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from msgspec import UnsetType
    from numpy.typing import NDArray

    from inferometer.cells import Evidence
    from inferometer.comparison import Ranking

LEVEL = 0.05
"""Chance of finding that nodes disagree, over all rankings, when they do not."""


def build_nodes(evidence: Evidence) -> Nodes | UnsetType:
    """Return what each node ran and which rounds were split; nothing where no node is known."""
    records = evidence.records
    if not nodes.names(records):
        return UNSET
    split = nodes.split(records)
    return Nodes(
        nodes=[
            Node(
                name=name,
                launches=len(own),
                rounds=len({record.round for record in own} - set(split)),
            )
            for name in sorted({nodes.name_of(record) for record in records})
            for own in [[record for record in records if nodes.name_of(record) == name]]
        ],
        split=split,
        one_machine=evidence.one_machine,
    )


def asked(ranking: Ranking) -> bool:
    """Say whether a ranking can show that its blocks disagree.

    Left out are those by cost (at one price they are throughput's) and those between load points.
    """
    return ranking.objective != "cost" and ranking.at == "load"


def by_block(evidence: Evidence, ranking: Ranking) -> Mapping[str, Mapping[int, float]]:
    """Return the values of a ranking's stacks by block."""
    place = (ranking.workload, ranking.load)
    points = [one for one in evidence.load_points if (one.workload.name, one.label) == place]
    index = points[0].index if points else -1
    found = {}
    for entry in ranking.entries:
        rows = evidence.points.filter(
            pl.col("stack") == entry.stack,
            pl.col("model") == ranking.model,
            pl.col("load_point") == index,
        )
        found[entry.stack] = values(rows, ranking.metric, ranking.meter).by_round
    return found


def warnings(evidence: Evidence, rankings: Sequence[Ranking]) -> Iterator[str]:
    """Say in which rankings the stacks' ratios differ from node to node, if in any."""
    if len({nodes.name_of(record) for record in evidence.records}) < 2:
        return
    tests = [
        (ranking, p)
        for ranking in rankings
        if asked(ranking)
        for p in [disagreement(_on_nodes(evidence, ranking))]
        if p is not None
    ]
    told = [
        f"{one.objective}{f' by {one.meter}' if one.meter else ''}, {one.model}, {one.workload}, "
        f"{one.load} (p = {min(p * len(tests), 1.0):.2g})"
        for one, p in tests
        if p * len(tests) <= LEVEL
    ]
    if told:
        yield (
            f"nodes disagree: the ratios of stacks differ from node to node in {'; '.join(told)}. "
            "A node is slow for one stack and not for another, so the order there is that of the "
            "mean of these nodes and not of any one of them"
        )


def _on_nodes(evidence: Evidence, ranking: Ranking) -> list[NDArray[np.float64]]:
    """Return the log values of a ranking's stacks, blocks x stacks, an array for each node."""
    by_stack = by_block(evidence, ranking)
    blocks = nodes.blocks(evidence.records)
    where = {blocks[record.id]: nodes.name_of(record) for record in evidence.records}
    whole = stats.complete_rounds(by_stack)
    found = []
    for name in sorted({where[block] for block in whole}):
        rows = [
            [math.log(own[block]) for own in by_stack.values()]
            for block in whole
            if where[block] == name
        ]
        found.append(np.array(rows, dtype=float))
    return found
