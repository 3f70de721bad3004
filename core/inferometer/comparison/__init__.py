"""What a renderer receives, and what ``report.json`` holds: data only, nothing to compute.

Every number is a :class:`Value`: it carries its unit, its kind, its interval and n, or the reason
why it is absent. ``report.json`` is this structure, encoded as it stands.
"""

from __future__ import annotations

from typing import Any, Literal

from msgspec import UNSET, Struct, UnsetType

from inferometer.comparison.architectures import Architectures as Architectures
from inferometer.comparison.architectures import Finding as Finding
from inferometer.comparison.architectures import Interaction as Interaction
from inferometer.comparison.architectures import KeptOut as KeptOut
from inferometer.comparison.architectures import Knobs as Knobs
from inferometer.comparison.architectures import Match as Match
from inferometer.comparison.architectures import MatchDependence as MatchDependence
from inferometer.comparison.architectures import ModelPair as ModelPair
from inferometer.comparison.architectures import MoeRatio as MoeRatio
from inferometer.comparison.architectures import OrderChange as OrderChange
from inferometer.comparison.capacities import Capacity as Capacity
from inferometer.comparison.capacities import LaunchCapacity as LaunchCapacity
from inferometer.comparison.costs import Costs as Costs
from inferometer.comparison.files import DataFile as DataFile
from inferometer.comparison.fronts import Front as Front
from inferometer.comparison.fronts import FrontPoint as FrontPoint
from inferometer.comparison.fronts import LeftOut as LeftOut
from inferometer.comparison.fronts import Target as Target
from inferometer.comparison.fronts import Targets as Targets
from inferometer.comparison.fronts import Weighing as Weighing
from inferometer.comparison.fronts import Weights as Weights
from inferometer.comparison.imported import Imported as Imported
from inferometer.comparison.imported import ImportedFigure as ImportedFigure
from inferometer.comparison.imported import ImportedFile as ImportedFile
from inferometer.comparison.nodes import Node as Node
from inferometer.comparison.nodes import Nodes as Nodes
from inferometer.comparison.ranks import OBJECTIVES as OBJECTIVES
from inferometer.comparison.ranks import Architecture as Architecture
from inferometer.comparison.ranks import At as At
from inferometer.comparison.ranks import Dropped as Dropped
from inferometer.comparison.ranks import Noise as Noise
from inferometer.comparison.ranks import Objective as Objective
from inferometer.comparison.ranks import Pair as Pair
from inferometer.comparison.ranks import Prior as Prior
from inferometer.comparison.ranks import RankEntry as RankEntry
from inferometer.comparison.ranks import Ranking as Ranking
from inferometer.comparison.ranks import Stopped as Stopped
from inferometer.comparison.ranks import Unranked as Unranked
from inferometer.comparison.rooflines import Hardware as Hardware
from inferometer.comparison.rooflines import Roofline as Roofline
from inferometer.comparison.starts import Start as Start
from inferometer.comparison.traces import Distribution as Distribution
from inferometer.comparison.traces import Launched as Launched
from inferometer.comparison.traces import PowerTrace as PowerTrace
from inferometer.comparison.value import Kind as Kind
from inferometer.comparison.value import Value as Value
from inferometer.comparison.value import worst_kind as worst_kind
from inferometer.declared import Quality as Quality
from inferometer.records import MeterInfo

SCHEMA = "inferometer/report/2"
"""2: ``usd_per_mtok_output`` is output's part of the bill; before, it was the whole bill."""


class MetricInfo(Struct, frozen=True, kw_only=True):
    """A metric's definition, printed where its numbers are."""

    id: str
    title: str
    unit: str
    direction: Literal["higher", "lower"]
    formula: str
    source: str = ""


class Stack(Struct, frozen=True, kw_only=True):
    """What is ranked: engine + version + profile + precision + parallelism."""

    id: str
    label: str
    """Short and unique within the report: ``vllm 0.32.0``, or with the profile where it differs."""
    engine: str
    version: str
    profile: str
    precision: str
    parallelism: str
    command: str
    """The exact launch command, shell-quoted, for the first model; secrets never appear."""
    environment_variables: dict[str, str]
    """Of one that differs between models the value says so, and gives each model's."""
    variables_by_model: dict[str, dict[str, str]] = {}
    """Each model's own variables, where one differs between them; else empty."""
    environment: dict[str, Any]
    resolved_configuration: dict[str, Any]


class Model(Struct, frozen=True, kw_only=True):
    """A served model. ``routing`` is ``synthetic`` for an upcycled twin's random router."""

    name: str
    architecture: Architecture
    total_parameters: int | None
    active_parameters: int | None
    weights_bytes: int | None
    precision: str
    sha256: str
    twin_of: str | None = None
    routing: Literal["none", "trained", "synthetic", "unknown"] = "none"
    weights: Literal["trained", "upcycled", "random"] = "trained"
    """Learnt, copied into experts from a dense model, or drawn at random."""
    quality: Quality | None = None
    """What the study declares that it scores."""
    counted: Literal["formula", "tensors"] | None = None
    """Where the parameters come from; tensors are exact."""
    layers: int | None = None
    moe_layers: list[int] | None = None
    """Numbers of the layers with experts, from 0."""
    experts: int | None = None
    """Routed experts in each of them."""
    top_k: int | None = None
    """Routed experts that work on one token."""
    shared_expert_width: int | None = None
    """Of the expert that works on every token; 0 when there is none."""
    kv_bytes_per_token: int | None = None
    """Over all layers, in the model's own data type, while every window still holds it."""
    context_length: int | None = None
    approximations: list[str] = []
    """What the formulas leave out, in words."""
    unknown: list[str] = []
    """What ``config.json`` does not say, by name."""


class Check(Struct, frozen=True, kw_only=True):
    """One validity check of one cell: name, rule, value seen, verdict."""

    name: str
    rule: str
    value: str
    verdict: Literal["pass", "warn", "fail", "unknown"]
    detail: str = ""


class Cell(Struct, frozen=True, kw_only=True):
    """One stack x model x workload x load point, over all its launches.

    ``values`` is keyed by metric id; energy metrics by ``metric@meter``.
    """

    id: str
    stack: str
    model: str
    architecture: Architecture
    workload: str
    load: str
    launches: list[str]
    values: dict[str, Value]
    checks: list[Check]
    valid: bool
    loop: Literal["closed", "open"] = "closed"
    """Open: requests came on schedule, so throughput is what was offered and no capacity."""
    commands: list[str] = []
    """The exact launch command of this cell, shell-quoted (one element per distinct command)."""
    refused: str | None = None
    """Reason why it is shown and never ranked: ``parity_failed``, ``not_compared``."""
    precision: str = ""
    """What it computed with: ``bfloat16, weights awq 4-bit, KV fp8``."""
    weights_bytes: int | None = None
    """Bytes of the weights as served; None where that is not known."""
    decided: int | None = None
    """Rounds of a sequential study after which all its pairs were decided, so that later launches
    left it out."""


class Parity(Struct, frozen=True, kw_only=True):
    """Whether two cells say the same of fixed texts (:mod:`inferometer.parity`).

    ``agreement`` is matching positions over compared positions of greedy answers;
    ``until_divergence`` is matched tokens over tokens up to and with the first difference of each
    answer (one flip counts once); ``distance`` is the mean absolute difference of ln p over
    ``positions`` tokens of the texts themselves. None is what could not be compared; ``note`` says
    why. A pair fails when its distance is above, or its ``until_divergence`` below, the limit.
    """

    left: str
    right: str
    prompts: int = 0
    tokens: int = 0
    agreement: float | None = None
    until_divergence: float | None = None
    identical_prompts: int = 0
    distance: float | None = None
    positions: int = 0
    distance_limit: float | None = None
    agreement_limit: float | None = None
    verdict: Literal["pass", "fail", "not comparable"] = "not comparable"
    note: str = ""


class Setting(Struct, frozen=True, kw_only=True):
    """One setting in which two stacks differ, in words; units stand in the name or the words."""

    name: str
    left: str
    right: str


class Difference(Struct, frozen=True, kw_only=True):
    """How the configurations of two stacks differ on one model.

    Names are fields of :class:`inferometer.engine.LaunchSpec` and ``engine.OUTCOMES``; between two
    stacks of one engine also the engine's own (``configuration: ...``). What a stack resolved is
    compared where it says so, else what it was asked.
    """

    model: str
    left: str
    right: str
    settings: list[Setting]
    equal: list[str]
    unresolved: list[str]
    """What is not known of one or both: the name, and who does not say."""


class TuningTrial(Struct, frozen=True, kw_only=True):
    """One launch of a search; what failed has no value, and its reason."""

    number: int
    """From 1, which has the engine's defaults."""
    settings: dict[str, Any]
    """What differs from the defaults, by knob."""
    value: Value
    """Over one window, so n is 1 and there is no interval."""
    noise_percent: float | None
    """Relative standard error over five batches of the window."""
    took_s: float
    launch: str


class Tuning(Struct, frozen=True, kw_only=True):
    """What was searched for one ``tuned`` stack on one model, and found. Never ranked."""

    stack: str
    model: str
    workload: str
    load: str
    objective: Literal["throughput", "energy"]
    metric: str
    meter: str | None
    window_s: float
    trials_allowed: int | None
    minutes_allowed: float | None
    spent_s: float
    stopped: Literal["finished", "trials", "minutes", "disturbed"] | None
    """What ended it; None while it is not over."""
    left: int
    """Values of knobs that were not tried."""
    rule: str
    """When a trial replaced the best so far."""
    knobs: dict[str, str]
    """What was searched, with the adapter's reason."""
    chosen: int | None
    """Number of the trial whose settings the rounds have."""
    trials: list[TuningTrial]


class PhaseParts(Struct, frozen=True, kw_only=True):
    """Where the joules of one load point went, summed over its windows.

    Prefill, decode, idle and unallocated add up to ``metered_j``; unallocated is what the fit
    leaves over and may be negative.
    """

    workload: str
    windows: int
    prefill_j: float
    decode_j: float
    idle_j: float
    unallocated_j: float
    metered_j: float


class PhaseSplit(Struct, frozen=True, kw_only=True):
    """Prefill and decode of one stack on one model at one load, by one meter.

    The fit of :mod:`inferometer.energy.split`; where it is refused the three values have the reason
    and there are no ``parts``.
    """

    stack: str
    model: str
    meter: str
    load: str
    idle_w: Value
    prefill_j_per_token: Value
    """Per uncached prompt token, above idle."""
    decode_j_per_token: Value
    windows: int
    workloads: int
    held_out: dict[str, float] = {}
    """Workload -> predicted / metered joules - 1, by a fit that did not see it."""
    parts: list[PhaseParts] = []
    engine_prefill_share: float | None = None
    """Share of the engine's own busy seconds that it counts as prefill, where it does: seconds,
    not joules."""


class Missing(Struct, frozen=True, kw_only=True):
    """Something planned or expected that is not here."""

    what: str
    reason: str
    detail: str
    fix: str = ""


class Again(Struct, frozen=True, kw_only=True):
    """Attempts of one stack and model that were made again, for a cause that may pass."""

    stack: str
    model: str
    reason: str
    count: int


class Comparison(Struct, frozen=True, kw_only=True):
    """Everything a report says."""

    schema: str = SCHEMA
    title: str
    preset: str
    """``quick look`` or empty; printed as a label at the top."""
    created: str
    """When the last launch ended, ISO 8601 with zone: from the results, so reports repeat."""
    plan_sha256: str
    rounds_planned: int
    rounds_complete: int
    window_s: float | None
    """None where each window's length followed from how long requests take: ten times that, 60 to
    300 s."""
    inferometer_version: str
    host: dict[str, Any]
    price: Value
    """US dollars per hour for the whole machine; ``detail`` names source, date and contract."""
    stacks: list[Stack]
    models: list[Model]
    metrics: list[MetricInfo]
    cells: list[Cell]
    rankings: list[Ranking]
    moe_ratios: list[MoeRatio]
    parity: list[Parity]
    missing: list[Missing]
    warnings: list[str]
    notes: list[str]
    study: str
    """The study file's text."""
    differences: list[Difference] = []
    """Per model and pair of stacks that have a whole launch of it."""
    tuning: list[Tuning] = []
    meters: list[MeterInfo] = []
    """Every meter once, in the study's order."""
    phases: list[PhaseSplit] = []
    costs: Costs | None = None
    noise: list[Noise] = []
    """Of every ranking with an order, what its launches differ by."""
    capacities: list[Capacity] = []
    """Of each stack, model and workload; none where the study has no ``[capacity]``."""
    stopped: Stopped | None = None
    """None where the number of rounds was fixed."""
    fronts: list[Front] = []
    targets: list[Targets] = []
    """Of each objective's first meter, at up to six interactivities."""
    weights: list[Weighing] | None = None
    """What weights would choose; None where nobody asked."""
    architectures: Architectures | None = None
    """Dense against MoE beyond ``moe_ratios``; None where nobody built it."""
    hardware: list[Hardware] = []
    rooflines: list[Roofline] = []
    """Of every closed cell that has windows."""
    retried: list[Again] | UnsetType = UNSET
    """Absent where no launch was tried again."""
    nodes: Nodes | UnsetType = UNSET
    """Not there where the run knew no nodes."""
    launched: list[Launched] = []
    """Every attempt, in the order in which they ran."""
    distributions: list[Distribution] = []
    """Of latencies, at the highest closed load of each workload."""
    power: list[PowerTrace] = []
    """At the same loads, by each meter that was read."""
    imported: list[Imported] = []
    """What other tools measured, as their files say it; never ranked."""
    files: list[DataFile] = []
    """Raw data that ``inferometer report`` writes beside this; none of several directories."""
    starts: list[Start] = []
    """How each stack was started on each model, to paste; none of a server that ran already."""
