"""Several criteria at once: fronts that nobody beats, and what weights would choose."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from inferometer.comparison.ranks import Architecture, Objective
from inferometer.comparison.value import Kind, Value


class LeftOut(Struct, frozen=True, kw_only=True):
    """A stack, at one load point or (empty) at all of them, that is not among the others."""

    stack: str
    reason: str
    detail: str
    load: str = ""


class FrontPoint(Struct, frozen=True, kw_only=True):
    """One cell in the plane, and whether no other is at least as good in both and better in one.

    ``probability`` is the share of draws of the launches' means in which that is so; None when the
    points of the plane share one round alone.
    """

    cell: str
    stack: str
    load: str
    interactivity: Value
    value: Value
    on_front: bool
    probability: float | None


class Front(Struct, frozen=True, kw_only=True):
    """Every closed load point of every stack: one metric against interactivity (tok/s/user).

    One model, workload and profile, and either simulated points or none. More interactivity is
    better; of ``metric`` what its direction says.
    """

    objective: Objective
    metric: str
    meter: str | None
    primary: bool
    model: str
    architecture: Architecture
    workload: str
    profile: str
    kind: Kind
    per: Literal["accelerator", "machine"] | None
    """What throughput is divided by: accelerators that serve, or nothing (the whole machine).
    None for the other objectives."""
    follows_throughput: str | None
    """Set when it is the front of throughput by construction: the sentence that says so."""
    points: list[FrontPoint]
    """By falling interactivity."""
    left_out: list[LeftOut] = []


class Target(Struct, frozen=True, kw_only=True):
    """What each stack has at one interactivity (tok/s/user): read between load points."""

    interactivity: float
    values: dict[str, Value]
    """By stack; ``out_of_range`` where its load points do not reach. An interval allows for how far
    off the interpolation may be."""
    best: str | None
    """The stack with the best value; no verdict."""


class Targets(Struct, frozen=True, kw_only=True):
    """One objective at several interactivities; nothing is ranked here and nothing extrapolated."""

    objective: Objective
    metric: str
    meter: str | None
    model: str
    architecture: Architecture
    workload: str
    profile: str
    targets: list[Target]


class Weights(Struct, frozen=True, kw_only=True):
    """Weights of the criteria, adding up to 1, and the stack that they would choose."""

    weights: list[float]
    stack: str


class Weighing(Struct, frozen=True, kw_only=True):
    """What weights would choose at one load point, from point estimates: no verdict.

    A stack's score is the weighted mean of the logarithms of its criteria.
    """

    model: str
    architecture: Architecture
    workload: str
    load: str
    profile: str
    kind: Kind
    criteria: list[Objective]
    """Those that do not follow another by construction."""
    follows: list[str]
    """Why a criterion is not among them, in words."""
    first: dict[str, float]
    """Stack -> share of all weights, spread evenly, for which it is first."""
    cells: list[Weights]
    """On a regular grid."""
    left_out: list[LeftOut]
    why_not: str = ""
    """Why there is no map, in words."""
