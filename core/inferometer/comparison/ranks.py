"""Places, pairs and how a study ended: what is said of the order of stacks."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from inferometer.comparison.value import Kind, Value

Objective = Literal["throughput", "energy", "cost"]
Architecture = Literal["dense", "moe"]
At = Literal["load", "interactivity", "slo"]
"""What kind of operating point a ranking is for."""
OBJECTIVES: tuple[Objective, ...] = ("throughput", "energy", "cost")


class RankEntry(Struct, frozen=True, kw_only=True):
    """A stack's place. Shared places are ties; ``place_low..place_high`` is the rank interval."""

    stack: str
    cell: str
    """Empty where the value is read between load points."""
    place: int
    place_low: int
    place_high: int
    value: Value
    ratio_to_best: Value
    """This stack's value over the best one's, paired by round."""
    verdict: Literal["best", "tie", "behind", "undecided", "alone"]
    """Against the best point estimate: ``tie`` is equivalence within the margin."""
    precision: str = ""
    compression: float | None = None
    """Bytes of the largest weights of this model in the study over those served here."""
    probability_best: float | None = None
    """Share of draws from the means' t posterior in which it is first; None without any spread."""


class Unranked(Struct, frozen=True, kw_only=True):
    """A stack without a place, and why.

    One that was measured has its ``value``, and ``ratio_to_best`` over the best of those ranked.
    """

    stack: str
    reason: str
    detail: str
    value: Value | None = None
    ratio_to_best: Value | None = None
    precision: str = ""
    compression: float | None = None


class Pair(Struct, frozen=True, kw_only=True):
    """What is said of two stacks: ``stack`` looks better than ``other``.

    ``better``: surely. ``tie``: surely equal within the margin. ``ratio`` is ``stack``'s value over
    ``other``'s with the simultaneous interval of the look that decided, else of the last one.
    """

    stack: str
    other: str
    verdict: Literal["better", "tie", "undecided"]
    ratio: Value
    rounds: int | None = None
    """Of a sequential study: how many were seen when it was decided."""


class Dropped(Struct, frozen=True, kw_only=True):
    """A cell that a look decided: rounds after the first ``rounds`` left its load point out."""

    stack: str
    model: str
    workload: str
    load: str
    rounds: int


class Stopped(Struct, frozen=True, kw_only=True):
    """How a sequential study ended, or that it goes on."""

    reason: Literal["decided", "failed", "rounds", "budget"] | None
    rounds: int
    most_rounds: int
    looks: int
    minutes: float
    """Machine-minutes of all launches, failed ones among them."""
    minutes_allowed: float | None = None
    earlier: int = 0
    """Results directories of earlier studies that were asked for the spread of launches."""
    ended: dict[str, int]
    """Stack -> rounds after which it was launched no more, because all its pairs were decided."""
    dropped: list[Dropped] = []
    """Cells that were decided while rounds went on, of stacks that went on among them."""
    undecided: list[str]


class Prior(Struct, frozen=True, kw_only=True):
    """The spread of earlier launches that a sequential study's verdicts began with."""

    launches: int
    studies: int
    variance: float
    """Of the logarithm of one launch's value."""
    df: float
    """Degrees of freedom that it counts for."""


class Ranking(Struct, frozen=True, kw_only=True):
    """One objective, one model, one workload, one operating point, one profile of the stacks.

    Never a blend of objectives, and never of profiles. ``load`` says the operating point in words;
    ``at`` what it is: the same offered load, the same ``interactivity`` (tok/s/user), or the
    highest rate at which each stack meets the SLO.
    """

    objective: Objective
    metric: str
    meter: str | None
    primary: bool
    """False for a second meter's ranking of the same objective."""
    model: str
    architecture: Architecture
    workload: str
    load: str
    n_rounds: int
    entries: list[RankEntry]
    unranked: list[Unranked]
    separated: bool
    """True when the first place belongs to one stack alone."""
    minimum_detectable_percent: float | None
    follows_throughput: str | None
    """Set when the order is throughput's by construction: the sentence that says so."""
    kind: Kind
    profile: str = "defaults"
    pairs: list[Pair] = []
    looks: int = 0
    """Of a sequential study: how often was looked; 0 where the number of rounds was fixed."""
    prior: Prior | None = None
    at: At = "load"
    interactivity: float | None = None
    slack: dict[str, float] = {}
    """Stack -> how far off (log units) what was interpolated may be; it is in every interval."""


class Noise(Struct, frozen=True, kw_only=True):
    """Where the values of one ranking's launches differ; None is what the data do not tell.

    ``launch_sd_percent`` is from launch to launch, without ``window_sd_percent``, of a window
    inside one, where that is known.
    ``beside_s`` are the seconds a launch took beside its windows, ``window_s`` those of all its
    windows. ``windows``: the cheapest number of windows a launch, each as long as now.
    """

    objective: Objective
    metric: str
    meter: str | None
    model: str
    workload: str
    load: str
    profile: str
    launches: int
    launch_sd_percent: float | None
    window_sd_percent: float | None
    window_sd_reason: str
    """In words; empty where it is known."""
    detectable_percent: float | None
    """The least difference that would have been seen four times in five."""
    beside_s: float
    window_s: float
    windows: int | None
