"""One results directory against a baseline: what differs, every pair of numbers, and a gate.

Nothing is ranked here. A line has a verdict only where nothing that bears on it differs.
"""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct

from inferometer.comparison import MetricInfo, Value

SCHEMA = "inferometer/versus/1"

Topic = Literal[
    "hardware",
    "driver",
    "system",
    "clocks",
    "model",
    "answers",
    "prompts",
    "protocol",
    "meters",
    "price",
    "slo",
    "instrument",
    "kind",
    "software",
]
"""What a difference is one of; its name is what ``--allow`` takes."""
Bearing = Literal["everything", "energy", "cost", "goodput", "nothing"]
"""Which numbers a difference keeps from being compared."""


class Side(Struct, frozen=True, kw_only=True):
    """One results directory. ``name`` is the end of its path, as much as tells it from others."""

    name: str
    created: str
    """When its last launch ended, ISO 8601 with zone; empty when not known."""
    plan_sha256: str
    launches: int
    """Whole ones."""
    failed: int
    """Launches that failed, and did not come off when they were tried again."""
    host: dict[str, Any]


class Different(Struct, frozen=True, kw_only=True):
    """One thing in which the two differ, and what each of them has, in words (may be empty)."""

    topic: Topic
    what: str
    baseline: str
    current: str
    bears_on: Bearing
    """``nothing`` of what is to be compared: the engine's own software and settings."""
    allowed: bool = False
    """Somebody said that it may differ; then it bears on nothing after all."""


class Line(Struct, frozen=True, kw_only=True):
    """One metric of one stack on one model at one load, on both sides.

    ``ratio`` is current over baseline, of geometric means over launches. ``verdict`` is about the
    current side: ``tie`` is equality within 2 %.
    """

    metric: str
    meter: str | None
    model: str
    workload: str
    load: str
    stack: str
    baseline_stack: str
    """Differs from ``stack`` only where somebody paired the two."""
    baseline: Value
    current: Value
    ratio: Value
    verdict: Literal["better", "worse", "tie", "undecided", "not_judged"]
    reason: str | None = None
    """Why it was not judged."""
    detail: str = ""
    detectable_percent: float | None = None
    """The least true change for the worse whose interval leaves out 1 four times in five."""
    error: float | None = None
    """Standard error of the ratio's logarithm; None where a side has one launch."""
    df: float | None = None
    """Degrees of freedom of the interval."""


class Judged(Struct, frozen=True, kw_only=True):
    """One line at the gate.

    ``failed``: its interval lies wholly beyond the margin, here and in the confirming launches;
    ``unconfirmed``: nobody confirmed it yet; ``not_confirmed``: the confirming launches do not say
    so; ``not_told``: there is no number, or none that may be compared.
    """

    line: Line
    margin_percent: float
    verdict: Literal["failed", "unconfirmed", "not_confirmed", "passed", "not_told"]
    shown: Literal["better", "no_worse", "undecided", "worse", "not_told"]
    """What the interval shows: ``no_worse`` than the margin, or ``undecided``, which passes too."""
    confirming: Line | None = None
    detectable_percent: float | None = None
    """The least true change for the worse that this gate finds beyond its margin, four times in
    five at one look."""


class Gate(Struct, frozen=True, kw_only=True):
    """What a gate says.

    ``failed`` and ``unconfirmed`` end with exit code 3, ``inconclusive`` with 4.
    """

    verdict: Literal["passed", "failed", "unconfirmed", "inconclusive"]
    margins: dict[str, float]
    """Metric -> per cent."""
    lines: list[Judged]
    refusals: list[str]
    """Why nothing, or not everything, could be judged."""
    left_out: list[str] = []
    """What nobody asked for, in words."""
    confirming: Side | None = None


class Versus(Struct, frozen=True, kw_only=True):
    """Everything that is said of one results directory against another."""

    schema: str = SCHEMA
    inferometer_version: str
    baseline: Side
    current: Side
    simulated: bool
    """No engine was run on some side."""
    paired: bool
    """Both sides are of one directory, so that launches are paired by round."""
    differences: list[Different]
    metrics: list[MetricInfo]
    lines: list[Line]
    notes: list[str] = []
    """How to read it."""
    gate: Gate | None = None
