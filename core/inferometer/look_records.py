"""What is decided between the rounds of a sequential study: the lines of ``looks.jsonl``."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct


class Decided(Struct, frozen=True, kw_only=True):
    """Load points of one stack on one model at which all its pairs are decided."""

    stack: str
    model: str
    load_points: list[int]


class LeftOut(Struct, frozen=True, kw_only=True):
    """A planned load point that a launch had no window of, on purpose."""

    load_point: int
    workload: str
    load: str
    reason: Literal["decided"]
    rounds: int
    """How many rounds were behind the look that decided it."""


class Look(Struct, frozen=True, kw_only=True):
    """What was decided after a round of a sequential study: a line of ``looks.jsonl``."""

    rounds: int
    """Rounds behind it."""
    ended: list[str] = []
    """Stacks that are launched no more: all their pairs are decided."""
    decided: list[Decided] = []
    """What later launches leave out, as this look decided it; one with nothing left is not made."""
    undecided: list[str] = []
    """Pairs that are open, in words: ``a and b: throughput, dense, 8 streams``."""
    stop: Literal["decided", "failed", "rounds", "budget"] | None = None
    """Why no further round begins; None: go on. ``failed``: of each open pair a stack did."""
    launches: int | None = None
    """Whole ones of the rounds behind it, as it found them; null before it was recorded."""
    spent_min: float = 0.0
    """Machine-minutes of all launches so far."""
