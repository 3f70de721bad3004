"""Dense against mixture-of-experts: what is matched, who gains how much, and whether it depends."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from inferometer.comparison.value import Kind, Value

MatchKind = Literal["total_parameters", "active_parameters", "memory", "quality"]
OperatingPoint = Literal["load", "interactivity", "best"]
"""The same offered load; the same tok/s/user; each model at the load point that is best for it."""
Side = Literal["moe", "dense", "tie", "undecided"]
"""Which of two models is better, surely; tie: surely equal within the margin."""


class Match(Struct, frozen=True, kw_only=True):
    """Whether a dense and a MoE model are equal in one respect."""

    kind: MatchKind
    holds: bool | None
    """None where it cannot be told."""
    dense: float | None
    moe: float | None
    unit: str
    """``parameters``, ``bytes``, ``accelerators``, or the name of the score."""
    detail: str
    """In words: by how much they differ and what is allowed, or what is not known."""


class ModelPair(Struct, frozen=True, kw_only=True):
    """A dense and a MoE model that are compared; ``matches`` are all kinds, always in their order.

    ``overhead``: equal by construction (an upcycled twin), so that ratios show what routing costs
    at equal quality and say nothing of a trained MoE model.
    """

    dense: str
    moe: str
    matches: list[Match]
    overhead: bool
    statement: str
    """What ratios of this pair say and what not, one plain sentence."""


class MoeRatio(Struct, frozen=True, kw_only=True):
    """MoE over dense for one stack: ``ratio`` is paired by round. ``match`` says what is equal.

    ``load`` is the operating point in words; ``at`` what it is. ``dense_load`` and ``moe_load`` are
    where each model is at its best, else empty. ``better`` is None where there is no ratio.
    """

    stack: str
    dense: str
    moe: str
    match: str
    metric: str
    meter: str | None
    workload: str
    load: str
    ratio: Value
    at: OperatingPoint = "load"
    interactivity: float | None = None
    better: Side | None = None
    dense_load: str = ""
    moe_load: str = ""


class Interaction(Struct, frozen=True, kw_only=True):
    """Whether one stack gains more from a MoE than another.

    ``ratio``: MoE over dense on ``stack`` over the same on ``other``, paired by round.
    ``gains_more`` names the stack that surely gains more in the metric's own direction; empty:
    neither surely.
    """

    stack: str
    other: str
    dense: str
    moe: str
    metric: str
    meter: str | None
    workload: str
    load: str
    at: OperatingPoint
    ratio: Value
    gains_more: str


class OrderChange(Struct, frozen=True, kw_only=True):
    """Two stacks' order on a dense and on a MoE model, at one operating point.

    ``dense_ratio`` and ``moe_ratio`` are ``stack`` over ``other``; ``changed`` is True when both
    orders are sure and opposite, False when both are sure and the same (a tie is one), else None.
    """

    stack: str
    other: str
    dense: str
    moe: str
    metric: str
    meter: str | None
    workload: str
    load: str
    at: OperatingPoint
    dense_ratio: Value
    moe_ratio: Value
    changed: bool | None


class Finding(Struct, frozen=True, kw_only=True):
    """What one match at one operating point says of a MoE model."""

    match: MatchKind
    at: OperatingPoint
    load: str
    dense: str
    better: Side
    ratio: Value


class MatchDependence(Struct, frozen=True, kw_only=True):
    """Whether "MoE or dense?" has one answer for a MoE model on one stack, or one for each match.

    ``depends`` is True when two findings are on opposite sides, both surely; ``point_only`` when
    only values without an interval are (one launch each): then it is said as that. False: of those
    that are sure, none contradict each other. None: fewer than two are sure or have no interval.
    """

    stack: str
    moe: str
    metric: str
    meter: str | None
    workload: str
    findings: list[Finding]
    depends: bool | None
    point_only: bool


class KeptOut(Struct, frozen=True, kw_only=True):
    """A model that takes no part beside trained ones, and why."""

    model: str
    reason: str
    detail: str


class Knobs(Struct, frozen=True, kw_only=True):
    """How one stack ran one model: parallelism, batch limits, kernels; in words, by name.

    ``running`` is the mean number of running requests as the server told it, by workload
    and load; one look a launch, just before its window. Empty where no server did.
    """

    stack: str
    model: str
    settings: dict[str, str]
    running: dict[str, float]


class Architectures(Struct, frozen=True, kw_only=True):
    """The comparison of architectures. ``why_not`` says in words why there is none."""

    pairs: list[ModelPair]
    interactions: list[Interaction]
    order_changes: list[OrderChange]
    dependences: list[MatchDependence]
    kept_out: list[KeptOut]
    knobs: list[Knobs]
    kind: Kind
    why_not: str = ""
