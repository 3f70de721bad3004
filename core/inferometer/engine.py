"""What an engine adapter owes: the contract between the pipeline and any inference server.

An adapter is data and small pure functions. It runs in our process and never imports its engine:
engines are servers in their own environments, because their pins exclude each other.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from inferometer.spec import (
    LaunchSpec,
    Profile,
    Speculative,
    Unsupported,
    profiled,
    release,
    since,
    switched,
    translated,
    valued,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = [
    "QUANTITIES",
    "Adapter",
    "CacheReset",
    "Command",
    "Completion",
    "Counter",
    "Engine",
    "FailureClass",
    "LaunchContext",
    "LaunchSpec",
    "Metrics",
    "Platform",
    "Profile",
    "Readiness",
    "Requirements",
    "Speculative",
    "Unsupported",
    "profiled",
    "release",
    "since",
    "switched",
    "translated",
    "valued",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Platform:
    """What an environment is built for: ``linux``/``x86_64``/``3.11``/``cpu``."""

    system: str
    machine: str
    python: str
    accelerator: Literal["cpu", "cuda", "rocm"]

    def __str__(self) -> str:
        return f"{self.system}-{self.machine}-{self.accelerator} (Python {self.python})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirements:
    """The locked content of an engine's environment on one platform.

    ``lock`` is the text of a requirements file in which every distribution is pinned; it is
    installed without dependency resolution. ``distribution`` names the one whose version is the
    engine's version. ``optional_index`` is asked only if the usual indexes lack a pin.
    """

    lock: str
    distribution: str
    optional_index: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchContext:
    """Everything an adapter may use to build its command."""

    python: Path
    """Interpreter of the engine's environment."""
    version: str
    """Installed version of the engine: flags are chosen by it."""
    model_path: Path
    model_name: str
    """The name requests will use."""
    host: str
    port: int
    platform: Platform
    spec: LaunchSpec
    profile: Profile
    cores: int
    """Processor cores available to the engine."""
    memory_bytes: int
    files: Path = Path()
    """Folder in which :attr:`Command.files` will stand; the same for every launch of a stack."""
    kv_bytes_per_token: int | None = None
    """Over all layers, in the precision of ``spec``; None when not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """What to start. ``instrument_env`` is for the measurement only: a user would leave it out."""

    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    instrument_env: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    """Configuration files by name, written to :attr:`LaunchContext.files` before the start."""
    readiness: Readiness | None = None
    """Where this version is seen to be ready; None means as the engine always is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Readiness:
    """How to see that the server can answer, without disturbing it.

    ``path`` answers 200 when ready. ``deadline_s`` is the adapter's default limit.
    """

    path: str = "/health"
    deadline_s: float = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """One text-completion request, before an adapter gives it the engine's own words."""

    model: str
    prompt_ids: Sequence[int]
    prompt_text: str
    output_tokens: int
    """Exactly this many are wanted: the end-of-sequence token is to be ignored."""
    stream: bool = True
    seed: int | None = None
    """For engines that take a seed with each request and not at their start."""


@dataclass(frozen=True, slots=True)
class FailureClass:
    """A log pattern (regular expression) with the reason it stands for and a remedy."""

    pattern: str
    reason: str
    remedy: str


Unit = Literal["tokens", "requests", "steps", "share", "bytes", "s", "FLOP"]

QUANTITIES: Mapping[str, tuple[Unit, Literal["counter", "gauge"]]] = {
    "prompt_tokens": ("tokens", "counter"),
    "prompt_tokens_computed": ("tokens", "counter"),
    "prompt_tokens_cached": ("tokens", "counter"),
    "output_tokens": ("tokens", "counter"),
    "requests_finished": ("requests", "counter"),
    "requests_aborted": ("requests", "counter"),
    "preemptions": ("requests", "counter"),
    "prefix_cache_queries": ("tokens", "counter"),
    "prefix_cache_hits": ("tokens", "counter"),
    "draft_tokens": ("tokens", "counter"),
    "draft_tokens_accepted": ("tokens", "counter"),
    "steps": ("steps", "counter"),
    "prefill_busy_s": ("s", "counter"),
    "decode_busy_s": ("s", "counter"),
    "estimated_flop": ("FLOP", "counter"),
    "requests_running": ("requests", "gauge"),
    "requests_waiting": ("requests", "gauge"),
    "kv_cache_usage": ("share", "gauge"),
    "kv_cache_capacity": ("tokens", "gauge"),
}
"""Canonical names of what engines count, with unit and kind. Read counters as differences only."""


@dataclass(frozen=True, slots=True)
class Counter:
    """One of the engine's own metrics: ``source`` is what the engine calls it.

    In Prometheus text ``source`` is a family with the ``labels`` that must match; in JSON it is
    the dotted path within one record. ``name`` is a key of :data:`QUANTITIES`; counters of one
    name add up.
    """

    source: str
    name: str
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Metrics:
    """Where an engine's counters are read. Those that ``drain`` lose what one reader has seen."""

    path: str = "/metrics"
    form: Literal["prometheus", "json"] = "prometheus"
    drains: bool = False
    counters: Sequence[Counter] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheReset:
    """The call that empties the prefix cache: done when it answers 200 and ``says`` (if set)."""

    path: str
    method: Literal["GET", "POST"] = "POST"
    says: str = ""


class Engine(Protocol):
    """An inference engine. Implementations are frozen values; every method is pure.

    ``request`` returns the JSON body for ``endpoint``: only fields that the engine accepts, and
    the prompt as token ids where it takes them, else as the text that re-tokenises to them.
    """

    @property
    def name(self) -> str:
        """Return the name used in studies, for example ``vllm``."""

    @property
    def simulated(self) -> bool:
        """Return True for a stand-in: its numbers never rank with measured ones."""

    @property
    def distributions(self) -> Sequence[str]:
        """Return the distributions that may hold the engine; the first found gives its version."""

    @property
    def endpoint(self) -> str:
        """Return the path of the completions route."""

    @property
    def readiness(self) -> Readiness:
        """Return how readiness is seen."""

    @property
    def failures(self) -> Sequence[FailureClass]:
        """Return the known failure classes, most specific first."""

    @property
    def resolved_configuration(self) -> Sequence[str]:
        """Return GET paths whose JSON answers hold the resolved configuration.

        ``path#key`` keeps only that key of the answer.
        """

    def requirements(self, platform: Platform) -> Requirements:
        """Return the locked requirements for ``platform``, or raise :class:`Unsupported`."""

    def command(self, context: LaunchContext) -> Command:
        """Return the command that serves the model, or raise :class:`Unsupported`."""

    def request(self, completion: Completion) -> dict[str, Any]:
        """Return the request body."""

    @property
    def request_fields(self) -> frozenset[str]:
        """Return the body fields that the engine accepts; empty when not known."""

    @property
    def metrics(self) -> Metrics | None:
        """Return where counters are read, or None when there are none."""

    @property
    def cache_reset(self) -> CacheReset | None:
        """Return how the prefix cache is emptied; None means that prompts must differ."""

    def image(self, platform: Platform, version: str) -> str:
        """Return the container image with its tag, or raise :class:`Unsupported`."""


class Adapter:
    """Base for adapters: answers for what an engine does not have. Say only what yours has."""

    __slots__ = ()
    name: str

    @property
    def simulated(self) -> bool:
        """Return False: it is a real engine."""
        return False

    @property
    def endpoint(self) -> str:
        """Return the usual path."""
        return "/v1/completions"

    @property
    def readiness(self) -> Readiness:
        """Return the usual check."""
        return Readiness()

    @property
    def failures(self) -> Sequence[FailureClass]:
        """Return no classes: a failure then has its log only."""
        return ()

    @property
    def resolved_configuration(self) -> Sequence[str]:
        """Return nothing."""
        return ()

    @property
    def request_fields(self) -> frozenset[str]:
        """Return nothing known."""
        return frozenset()

    @property
    def metrics(self) -> Metrics | None:
        """Return None."""
        return None

    @property
    def cache_reset(self) -> CacheReset | None:
        """Return None."""
        return None

    def image(self, platform: Platform, version: str) -> str:
        """Refuse: no image is known."""
        raise Unsupported(
            f"{self.name}: no container image is known of it ({platform}, {version})",
            remedy="Set python = PATH to an interpreter that has it.",
        )
