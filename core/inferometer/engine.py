"""What an engine adapter owes: the contract between the pipeline and any inference server.

An adapter is data and small pure functions. It runs in our process and never imports its engine:
engines are servers in their own environments, because their pins exclude each other.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from inferometer.saying import (
    OUTCOMES,
    QUANTITIES,
    USUAL_FAILURES,
    ApiKey,
    CacheReset,
    Counter,
    FailureClass,
    Metrics,
    Says,
    Unit,
)
from inferometer.spec import (
    Group,
    Knob,
    LaunchSpec,
    Profile,
    Setting,
    Speculative,
    Unsupported,
    open_knobs,
    profiled,
    refuse_older,
    release,
    since,
    switched,
    translated,
    tuned,
    valued,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = [
    "OUTCOMES",
    "QUANTITIES",
    "USUAL_FAILURES",
    "Adapter",
    "ApiKey",
    "CacheReset",
    "Command",
    "Completion",
    "Counter",
    "Engine",
    "FailureClass",
    "Group",
    "Knob",
    "LaunchContext",
    "LaunchSpec",
    "Metrics",
    "Platform",
    "Profile",
    "Readiness",
    "Requirements",
    "Says",
    "Setting",
    "Speculative",
    "Unit",
    "Unsupported",
    "echoed",
    "exact",
    "open_knobs",
    "profiled",
    "refuse_older",
    "release",
    "since",
    "switched",
    "translated",
    "tuned",
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
    moe: bool = False
    """Whether the model is a mixture of experts."""
    streams: int | None = None
    """Streams of the closed loop that is tuned for; None when nothing is tuned."""
    group: Group | None = None
    """Set where the engine is started on several nodes."""


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


def exact(completion: Completion) -> dict[str, Any]:
    """Return an OpenAI completions body of token ids: greedy, exact length, ids in every chunk.

    For :meth:`Engine.request` of engines that take ``min_tokens``, ``ignore_eos`` and
    ``return_token_ids``. With the ids, usage in every chunk would tell nothing more and cost the
    server time.
    """
    body: dict[str, Any] = {
        "model": completion.model,
        "prompt": list(completion.prompt_ids),
        "max_tokens": completion.output_tokens,
        "min_tokens": completion.output_tokens,
        "ignore_eos": True,
        "temperature": 0,
        "stream": completion.stream,
        "return_token_ids": True,
    }
    if completion.stream:
        body["stream_options"] = {"include_usage": True}
    return body


def echoed(completion: Completion) -> dict[str, Any]:
    """Return an OpenAI completions body that echoes the prompt with its log-probabilities.

    For :meth:`Engine.scoring` of engines that take ``echo`` with ``logprobs``.
    """
    return {
        "model": completion.model,
        "prompt": list(completion.prompt_ids),
        "max_tokens": 1,
        "temperature": 0,
        "stream": False,
        "echo": True,
        "logprobs": 1,
    }


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
        """Return True for a stand-in: its numbers never rank with measured ones.

        Where a study names no interpreter, it runs with ours.
        """

    @property
    def distributions(self) -> Sequence[str]:
        """Return the distributions that may hold the engine; the first found gives its version."""

    @property
    def versions(self) -> Sequence[str]:
        """Return the releases the adapter was checked against, oldest first; empty: not said."""

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

    @property
    def api_key(self) -> ApiKey | None:
        """Return how its server is given a key of the launch; None: it answers whoever asks."""

    @property
    def one_node(self) -> str:
        """Return why it is started on one node only; empty: it follows ``context.group``."""

    def requirements(self, platform: Platform) -> Requirements:
        """Return the locked requirements for ``platform``, or raise :class:`Unsupported`."""

    def command(self, context: LaunchContext) -> Command:
        """Return the command that serves the model, or raise :class:`Unsupported`."""

    def request(self, completion: Completion) -> dict[str, Any]:
        """Return the request body."""

    def scoring(self, completion: Completion) -> dict[str, Any] | None:
        """Return the body that asks how likely each token of the prompt is; None: it cannot.

        The answer comes whole, in ``choices[0].logprobs.token_logprobs``: a natural logarithm for
        each token of the prompt, null for the first; what was generated behind it may follow.
        """

    @property
    def says(self) -> Sequence[Says]:
        """Return where it says what it resolved: KV capacity, memory, settings left open."""

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

    def knobs(self, context: LaunchContext) -> Sequence[Knob]:
        """Return what profile ``tuned`` may try, the most promising first; none: not tunable.

        Values are chosen by version, platform and ``context.streams``, and leave out the engine's
        default: the search begins with it.
        """


class Adapter:
    """Base for adapters: answers for what an engine does not have. Say only what yours has."""

    __slots__ = ()
    name: str

    @property
    def simulated(self) -> bool:
        """Return False: it is a real engine."""
        return False

    @property
    def versions(self) -> Sequence[str]:
        """Return nothing said."""
        return ()

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
    def api_key(self) -> ApiKey | None:
        """Return None: it takes none."""
        return None

    @property
    def one_node(self) -> str:
        """Return that there is no recipe for more."""
        return "its adapter has no recipe for several nodes"

    def scoring(self, completion: Completion) -> dict[str, Any] | None:
        """Return None: it does not tell."""
        del completion
        return None

    @property
    def says(self) -> Sequence[Says]:
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

    def knobs(self, context: LaunchContext) -> Sequence[Knob]:  # noqa: ARG002 -- the contract's
        """Return nothing to tune."""
        return ()
