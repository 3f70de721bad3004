"""Which launches may be compared with each other: those of one round on one node.

A node that is slower is slower for every stack of a round, so a round that is whole on one node
takes the node's share out with its own. A round that was split over nodes, because one was lost, is
several incomplete blocks. Nodes have clocks of their own: monotonic stamps are of one node's boot.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from inferometer.records import LaunchRecord

APART = 1 << 20
"""More than any number of rounds."""


def blocks(records: Sequence[LaunchRecord]) -> dict[str, int]:
    """Return the block of every launch, by its id: what is paired is of one block.

    A round that is whole on one node, as every round of a local run is, is a block with the round's
    own number. Of one that was split the node with most of its launches keeps that number (of
    equals the first by name); each other node's launches are :data:`APART` further on.
    """
    found = {}
    for round_, together in _by_round(records).items():
        many = Counter(name_of(record) for record in together)
        order = sorted(many, key=lambda name: (-many[name], name))
        for record in together:
            found[record.id] = round_ + APART * order.index(name_of(record))
    return found


def round_of(block: int) -> int:
    """Return the round that a block is of, from 0."""
    return block % APART


def rounds_shared(values: Sequence[Mapping[int, object]]) -> int:
    """Return how many rounds all of ``values`` (block -> value) have, on whatever nodes."""
    rounds = [{round_of(block) for block in one} for one in values]
    return len(set.intersection(*rounds)) if rounds else 0


def name_of(record: LaunchRecord) -> str:
    """Return the node that a launch ran on; empty for a run that knew none."""
    return record.node or ""


def names(records: Iterable[LaunchRecord]) -> list[str]:
    """Return every node by name; none of a local run."""
    return sorted({record.node for record in records if record.node})


def split(records: Sequence[LaunchRecord]) -> list[int]:
    """Return the rounds (from 0) whose launches stand on more than one node, ascending."""
    return [
        round_
        for round_, together in sorted(_by_round(records).items())
        if len({name_of(record) for record in together}) > 1
    ]


def running_order(record: LaunchRecord) -> tuple[str, int, str]:
    """Return what sorts launches into the order in which they ran, node by node.

    Stamps of two nodes are of two clocks, so nothing orders launches of one before the other's.
    """
    return name_of(record), record.started_ns, record.id


def _by_round(records: Iterable[LaunchRecord]) -> dict[int, list[LaunchRecord]]:
    found: dict[int, list[LaunchRecord]] = {}
    for record in records:
        found.setdefault(record.round, []).append(record)
    return found
