"""What a report on several results directories holds: each group whole, and groups side by side.

A group is one or more directories whose rounds may be judged together. Nothing is ever ranked
across groups.
"""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct

from inferometer.comparison import Architecture, Comparison, Missing, Objective, Value

SCHEMA = "inferometer/several/1"


class Part(Struct, frozen=True, kw_only=True):
    """One results directory. ``name`` is the end of its path, as much as tells it from others."""

    name: str
    created: str
    """When its last launch ended, ISO 8601 with zone; empty when not known."""
    plan_sha256: str
    seed: int
    first_round: int
    """Number, from 1, that its first round has in the group."""
    rounds: int
    """Planned."""
    launches: int
    """Whole ones."""
    host: dict[str, Any]


class Figure(Struct, frozen=True, kw_only=True):
    """One stack in one column: its value, and its place among the stacks of that column alone."""

    value: Value
    place_low: int | None = None
    place_high: int | None = None
    """Rank interval; None where the stack has no place."""
    ranked: int = 0
    """Stacks with a place there."""
    ratio_to_best: Value | None = None
    meter: str | None = None
    reason: str | None = None
    """Why the stack has no place."""


class Line(Struct, frozen=True, kw_only=True):
    """One stack at one operating point in every column; None where it was not compared there.

    A load point that was not planned, or an interactivity at which no two stacks meet.
    """

    model: str
    workload: str
    load: str
    stack: str
    figures: list[Figure | None]


class SideBySide(Struct, frozen=True, kw_only=True):
    """One question, a column for each group (or directory), never one order over them.

    Simulated numbers have tables of their own.
    """

    objective: Objective
    architecture: Architecture
    profile: str
    metric: str
    simulated: bool
    columns: list[str]
    lines: list[Line]


class Apart(Struct, frozen=True, kw_only=True):
    """One thing in which groups differ, and what each of them has, in words (may be empty)."""

    what: str
    words: list[str]
    """In the order of the groups."""


class Group(Struct, frozen=True, kw_only=True):
    """Directories that are judged together, and what was found.

    ``comparison`` has their rounds one behind the other. Pairs are formed within rounds, so never
    across directories. Of a pooled group its ``plan_sha256`` is the hash of the parts' hashes, its
    ``study`` their texts, its ``host`` the first one's, and launches begin with their part's name.
    """

    name: str
    parts: list[Part]
    comparison: Comparison
    machine: Literal["one", "not shown to be one"] = "one"
    """Whether all parts come from one machine. Where that is not shown, values of ``comparison``
    other than ratios are means without an interval."""
    agreement: float | None = None
    """Least p value, times their number, of the rankings' tests whether stacks have the same ratio
    in all parts; None where it could not be asked. At 0.05 and below parts are not pooled."""
    remarks: list[str] = []
    """How to read what was pooled."""
    tables: list[SideBySide] = []
    """The parts of a pooled group, side by side."""


class Several(Struct, frozen=True, kw_only=True):
    """Everything a report on several results directories says."""

    schema: str = SCHEMA
    title: str
    created: str
    """When the last launch of all ended."""
    inferometer_version: str
    groups: list[Group]
    apart: list[Apart]
    """In what the groups differ."""
    why: list[str]
    """Sentences that say why groups are not ranked together; none where there is one group."""
    tables: list[SideBySide]
    """None where there is one group."""
    left_out: list[Missing]
    """Directories that cannot be read."""
