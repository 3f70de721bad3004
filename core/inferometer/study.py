"""The study file: what to compare. Frozen structs; every problem is reported at once.

:func:`load` reads TOML, names each bad key by its line and path, and suggests the nearest known
key. :func:`dump` writes a study back. ``docs/reference/study.md`` describes every key.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType, field

from inferometer import pace, rules, secret_rules, tomlfile, withheld
from inferometer.declared import (
    Capacity,
    Energy,
    Positive,
    Price,
    Quality,
    Sequential,
    Slo,
    Text,
)
from inferometer.engine import Profile, Speculative
from inferometer.workloads.lengths import Lengths
from inferometer.workloads.presets import Preset
from inferometer.workloads.rules import MOST_TURNS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

Count = Annotated[int, Meta(ge=1)]
Rate = Annotated[float, Meta(gt=0, le=10_000)]
Turns = Annotated[int, Meta(ge=2, le=MOST_TURNS)]
Name = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z",
        description="at most 64 letters, digits, '.', '_' and '-', a letter or digit first",
    ),
]
"""Becomes part of a folder's name."""
Runtime = Literal["docker", "podman", "apptainer"]
ImageName = Annotated[
    str,
    Meta(pattern=r"^[^\s-]\S*\Z", description="an image's name without spaces"),
]
VariableName = Annotated[
    str,
    Meta(pattern=r"^[A-Za-z_][A-Za-z0-9_]*\Z", description="the name of a variable"),
]


RETRIES = 1


class Protocol(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How to measure. Unset times follow from how long requests take: :mod:`inferometer.pace`."""

    rounds: Count = 5
    window_s: Positive | None = None
    """Unset: as each stack's first round shows at each load point, and so in every later round; in
    an open loop as the first stack's does."""
    discard_s: Annotated[float, Meta(ge=0)] | None = None
    warmup_requests: Annotated[int, Meta(ge=0)] | None = None
    """Requests answered before the load begins; unset means one alone, then one per stream (or
    prefix group, where those are more)."""
    seed: int = 1
    probe: bool = True
    """Have 16 fixed texts scored and continued in the first round: only stacks that say the same
    are ranked."""
    ready_timeout_s: Positive | None = None
    request_timeout_s: Positive = 600.0
    stall_timeout_s: Positive | UnsetType = UNSET
    """A launch fails when nothing arrives on any stream for so long while requests are in flight.
    Absent (:mod:`inferometer.pace`), it is left out of a plan's hash, as the next two are."""
    launch_timeout_s: Positive | UnsetType = UNSET
    """Of one launch as a whole; absent means :mod:`inferometer.deadlines`."""
    retries: Annotated[int, Meta(ge=0)] | UnsetType = UNSET
    """Further attempts at a launch that failed by a cause that may pass; absent means
    :data:`RETRIES`."""
    port: Annotated[int, Meta(ge=1, le=65535)] | None = None
    """Serve on this port instead of a free one; refused when something listens there."""
    idle_s: Annotated[float, Meta(ge=0)] | UnsetType = UNSET
    """Length of the stretches without load, before the engine is started and when it is ready; 0
    for none. Left out of a plan's hash when absent: then 10 s where a meter that measures can be
    read, else none."""
    soak_s: Annotated[float, Meta(ge=0)] | UnsetType = UNSET
    """Load each engine for at least so long before its first load point; 0: neither that, nor a
    wait to cool down before it is started. Left out of a plan's hash when absent: then 20 s where
    there is an accelerator, else none."""
    api_keys: bool | UnsetType = UNSET
    """Give each server that takes one a key of its launch; left out of a plan's hash when absent:
    then where asking for it takes nothing from what is measured."""

    @property
    def stall_s(self) -> float:
        """Return ``stall_timeout_s``, or what it is when absent."""
        given = self.stall_timeout_s
        return pace.stall_s(self.request_timeout_s) if given is UNSET else given

    @property
    def attempts(self) -> int:
        """Return how often a launch is tried at most."""
        return 1 + (RETRIES if self.retries is UNSET else self.retries)


class Tuning(
    Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    omit_defaults=True,
):
    """``[tuning]``: what profile ``tuned`` may spend on each stack and model, and on which load.

    The budget is the same for every stack; ``trials``, ``minutes`` or both.
    """

    trials: Annotated[int, Meta(ge=2)] | None = None
    """Most trial launches; the first has the engine's defaults."""
    minutes: Positive | None = None
    """No trial begins when this many minutes are spent on trials, starts of engines included."""
    objective: Literal["throughput", "energy"] = "throughput"
    meter: Text | None = None
    """Meter of the objective ``energy``; unset means the study's first that can be read."""
    window_s: Positive | None = None
    """Unset means ``protocol.window_s``, and where that is unset 60 s."""
    workload: Text | None = None
    concurrency: Count | None = None
    """With ``workload``: the load that is tuned for; unset means the study's first closed loop."""


class EngineEntry(
    # Defaults left out: what is new here changes no older study's hash.
    Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    omit_defaults=True,
):
    """``[[engines]]``: one stack, in a venv or where ``python``, ``container`` or ``url`` says.

    From ``dtype`` on the fields are those of :class:`~inferometer.engine.LaunchSpec`.
    """

    name: Name
    alias: Name | None = None
    """The stack's name in tables, for two that are alike: an A/A study."""
    profile: Profile = "defaults"
    python: Text | None = None
    container: Runtime | None = None
    image: ImageName | None = None
    """Of a container; unset means the engine's own of ``engine_version``."""
    container_args: tuple[str, ...] = ()
    """Further flags of the container's runtime."""
    engine_version: Text | None = None
    url: Text | None = None
    """A server that someone else runs."""
    served_model_name: Text | None = None
    api_key_env: VariableName | None = None
    dtype: Text = "bfloat16"
    tensor_parallel_size: Count = 1
    pipeline_parallel_size: Count = 1
    data_parallel_size: Count = 1
    expert_parallel_size: Count = 1
    max_model_len: Count | None = None
    max_num_seqs: Count | None = None
    max_num_batched_tokens: Count | None = None
    kv_cache_dtype: Text | None = None
    kv_cache_tokens: Count | None = None
    kv_cache_bytes: Count | None = None
    prefix_caching: bool | None = None
    chunked_prefill: bool | None = None
    graphs: bool | None = None
    quantization: Text | None = None
    speculative: Speculative | None = None
    stream_interval: Count | None = None
    attention_backend: Text | None = None
    moe_backend: Text | None = None
    seed: int | None = None
    extra_args: tuple[str, ...] = ()
    extra_env: dict[str, str] = {}
    checkpoints: dict[str, Text] = {}
    """Model name -> directory of another checkpoint of that model (quantised), which this stack
    serves in its place."""
    pass_env: tuple[str, ...] = ()
    """Variables handed on from our environment, by name: the way for secrets. Never stored."""


class ModelEntry(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[[models]]``: a directory with ``config.json``, or a packaged model by name."""

    name: Name
    path: Text | None = None
    packaged: Text | None = None
    twin_of: str | None = None
    """Name of the dense model of this study that this MoE model is compared with."""
    quality: Quality | UnsetType = UNSET
    """Left out of a plan's hash when absent, so that it changes no older study's."""


class WorkloadEntry(
    # Defaults left out: what is new here changes no older study's hash.
    Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    omit_defaults=True,
):
    """``[[workloads]]``: prompts of exact token length from real text, pinned output length.

    The lengths come from ``preset``, or from ``file``, or for each side from one number or one
    distribution (:mod:`inferometer.workloads`).
    """

    name: Name
    input_tokens: Count | None = None
    output_tokens: Count | None = None
    preset: Preset | None = None
    input: Lengths | None = None
    output: Lengths | None = None
    file: Text | None = None
    cache: Literal["cold", "warm"] = "cold"
    """Whether prompts share their beginnings. Workloads that differ in it never share a rank."""
    reuse: Annotated[float, Meta(gt=0, lt=1)] | None = None
    """Warm: the share of each prompt that its group has in common."""
    prefix_groups: Count = 1
    turns: Turns | Lengths | None = None
    """Requests of one conversation; lengths then are those of each turn's new text and answer."""
    think_s: Annotated[float, Meta(ge=0)] | None = None
    """Pause between an answer and the conversation's next turn."""


class LoadEntry(
    # Defaults left out: what is new here changes no older study's hash.
    Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    omit_defaults=True,
):
    """``[[loads]]``: a closed loop of ``concurrency`` streams, or an open loop.

    An open loop sends at ``rate`` requests/s, or when ``trace`` did. A trace brings its own
    lengths and shared beginnings, so it is replayed once and not with every workload.
    """

    concurrency: Count | None = None
    rate: Rate | None = None
    arrivals: Literal["poisson", "gamma", "constant"] = "poisson"
    burstiness: Positive = 1.0
    """Shape of the gamma distribution of the gaps: 1 is Poisson, below 1 burstier."""
    trace: Text | None = None
    time_scale: Positive = 1.0
    """The trace's times are multiplied by it: 0.5 sends twice as fast."""
    max_in_flight: Count | None = None

    @property
    def closed(self) -> bool:
        """Say whether the load is a closed loop."""
        return self.concurrency is not None

    @property
    def label(self) -> str:
        """Return the load in words, as tables show it."""
        if self.concurrency is not None:
            return f"{self.concurrency} streams"
        if self.rate is None:
            text = "trace replay"
            text += "" if self.time_scale == 1 else f", times x {self.time_scale:g}"
        else:
            kind = "Poisson" if self.arrivals == "poisson" else self.arrivals
            text = f"{self.rate:g} requests/s, {kind}"
            text += f" {self.burstiness:g}" if self.arrivals == "gamma" else ""
        cap = self.max_in_flight
        return text if cap is None else f"{text}, at most {cap} in flight"

    @property
    def key(self) -> str:
        """Return what tells the loads of a study apart, as the last part of a cell's id."""
        if self.concurrency is not None:
            return str(self.concurrency)
        if self.rate is None:
            text = "trace" if self.time_scale == 1 else f"trace-x{self.time_scale!r}"
        else:
            text = f"rate-{self.rate!r}-{self.arrivals}"
            text += f"-{self.burstiness!r}" if self.arrivals == "gamma" else ""
        return text if self.max_in_flight is None else f"{text}-max{self.max_in_flight}"


class MeterEntry(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[[meters]]``: a meter by name with its own options."""

    name: Text
    options: dict[str, Any] = field(default_factory=dict)


class Study(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A whole study. ``preset`` is printed as a label on everything made from it."""

    name: Text
    preset: str = ""
    protocol: Protocol = Protocol()
    tuning: Tuning | UnsetType = UNSET
    """Left out of a plan's hash when absent, so that it changes no older study's."""
    price: Price | None = None
    energy: Energy | UnsetType = UNSET
    slo: Slo | UnsetType = UNSET
    capacity: Capacity | UnsetType = UNSET
    sequential: Sequential | UnsetType = UNSET
    """Left out of a plan's hash when absent, like ``tuning``."""
    engines: Annotated[tuple[EngineEntry, ...], Meta(min_length=1)]
    models: Annotated[tuple[ModelEntry, ...], Meta(min_length=1)]
    workloads: tuple[WorkloadEntry, ...] = ()
    """None only where every load is a trace."""
    loads: Annotated[tuple[LoadEntry, ...], Meta(min_length=1)]
    meters: tuple[MeterEntry, ...] = ()


def load(path: Path) -> Study:
    """Read and check a study file.

    Raises:
        UsageError: the file is missing, unreadable or not TOML (the message has the line).
        StudyError: it is TOML, but no study; the error lists every problem.
    """
    return parse(read(path), str(path))


def read(path: Path) -> str:
    """Return the text of a study file, or raise :class:`UsageError`."""
    hint = "Give the path of a study file, or write one with: inferometer init study.toml"
    return tomlfile.read(path, what="study file", hint=hint)


def parse(text: str, name: str) -> Study:
    """Return the study written in ``text``; ``name`` stands for the file in messages.

    Raises:
        UsageError: not TOML, or with a secret in a comment or handed on.
        StudyError: no study; lists every problem by line and key path.
    """
    study = tomlfile.parse(text, name, Study, (rules.find,))
    withheld.learn_named(secrets(study.engines))
    secret_rules.refuse_comments(text, name)
    return study


def secrets(engines: Iterable[EngineEntry]) -> Iterator[str]:
    """Yield the names of the variables that hold secrets of ``engines``."""
    for each in engines:
        yield from filter(withheld.opens, each.pass_env)
        yield each.api_key_env or ""


def dump(study: Study) -> str:
    """Return ``study`` as TOML without the keys that have their default value."""
    tables: list[str] = []
    for key, value in _given(study).items():
        if isinstance(value, Struct):
            tables.append(f"\n[{key}]\n{_lines(value)}")
        elif isinstance(value, tuple | list):
            tables += [f"\n[[{key}]]\n{_lines(entry)}" for entry in value]
        else:
            tables.append(f"{key} = {_toml(value)}\n")
    # Plain keys must stand before the first table.
    return "".join(sorted(tables, key=lambda part: part.startswith("\n")))


def _lines(struct: Struct) -> str:
    return "".join(f"{key} = {_toml(value)}\n" for key, value in _given(struct).items())


def _given(struct: Struct) -> dict[str, Any]:
    fields = msgspec.structs.fields(struct)
    values = {info.name: (getattr(struct, info.name), info) for info in fields}
    return {
        name: value
        for name, (value, info) in values.items()
        if info.required or value not in (info.default, None, UNSET, {}, ())
    }


def _toml(value: object) -> str:
    match value:
        case Struct():
            return _toml(_given(value))
        case dict():
            return f"{{ {', '.join(f'{_toml(k)} = {_toml(v)}' for k, v in value.items())} }}"
        case list() | tuple():
            return f"[{', '.join(_toml(item) for item in value)}]"
        case str():
            # A JSON string without escaped surrogates is a TOML basic string, but for DEL.
            return msgspec.json.encode(value).decode().replace("\x7f", "\\u007f")
        case bool():
            return str(value).lower()
    return repr(value)
