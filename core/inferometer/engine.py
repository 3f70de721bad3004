"""What an engine adapter owes: the contract between the pipeline and any inference server.

An adapter is data and small pure functions. It runs in our process and never imports its engine:
engines are servers in their own environments, because their pins exclude each other.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

Profile = Literal["defaults", "equalized", "tuned"]


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
class LaunchSpec:
    """How a model is to be served, in the field's terms; None leaves the engine's default.

    An adapter translates every field that is set, or refuses it by name (:class:`Unsupported`).
    """

    dtype: str = "bfloat16"
    max_model_len: int | None = None
    tensor_parallel_size: int = 1
    max_num_seqs: int | None = None
    prefix_caching: bool | None = None
    graphs: bool | None = None
    """CUDA graphs and compilation; False means eager."""
    seed: int | None = 0
    extra_args: tuple[str, ...] = ()
    """Passed to the engine as they are, last."""
    extra_env: Mapping[str, str] = field(default_factory=dict)


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """What to start. ``instrument_env`` is for the measurement only: a user would leave it out."""

    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    instrument_env: Mapping[str, str] = field(default_factory=dict)


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


@dataclass(frozen=True, slots=True)
class FailureClass:
    """A log pattern (regular expression) with the reason it stands for and a remedy."""

    pattern: str
    reason: str
    remedy: str


class Unsupported(Exception):  # noqa: N818 -- an answer, not a fault
    """An adapter cannot do what was asked; the message names the field or platform and why."""


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
