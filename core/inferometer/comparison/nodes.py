"""The nodes of a run on several machines, and which rounds stand on one of them."""

from __future__ import annotations

from msgspec import Struct


class Node(Struct, frozen=True, kw_only=True):
    """One node; ``host`` has its hardware under ``nodes`` and this name."""

    name: str
    """Empty for launches of runs that knew no nodes, beside those of nodes."""
    launches: int
    """Whole ones."""
    rounds: int
    """Rounds of which all whole launches ran here."""


class Nodes(Struct, frozen=True, kw_only=True):
    """Every node that a launch ran on. What is compared in pairs is of one round on one node."""

    nodes: list[Node]
    split: list[int]
    """Rounds (from 0) with launches on more than one node, as after a node was lost."""
    one_machine: bool
    """Whether all nodes are known to be one machine; if not, only ratios have intervals."""
