"""What engines say of themselves, in canonical terms: counters, settings, the cache's reset."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

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
class Says:
    """Where an engine says what it resolved: a setting, or what came of it.

    ``name`` is a field of :class:`~inferometer.spec.LaunchSpec` or a key of :data:`OUTCOMES`. It
    stands at ``path`` (dotted; digits index a list) in an answer of ``resolved_configuration``, or
    in the log, where ``pattern`` finds it as its one group; thousands may be parted by commas. A
    number is multiplied by ``scale``. ``reads`` turns it round (``not``), or makes a switch of it
    (``positive``). Where releases differ, say it several times: the first that is found holds.
    """

    name: str
    path: str = ""
    pattern: str = ""
    scale: float = 1
    reads: Literal["as it is", "not", "positive"] = "as it is"


OUTCOMES: Mapping[str, str] = {
    "max_concurrency": "requests of max_model_len tokens that fit in the KV cache at once",
    "weights_bytes": "memory of the weights on one accelerator, in bytes",
}
"""What comes of a launch's settings, beside those that the engine chose itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheReset:
    """The call that empties the prefix cache: done when it answers 200 and ``says`` (if set).

    Releases that answer 200 and nothing at all are believed.
    """

    path: str
    method: Literal["GET", "POST"] = "POST"
    says: str = ""


@dataclass(frozen=True, slots=True)
class FailureClass:
    """A log pattern (regular expression) with the reason it stands for and a remedy."""

    pattern: str
    reason: str
    remedy: str


USUAL_FAILURES = (
    FailureClass(
        r"unrecognized arguments|invalid choice",
        "bad_flag",
        "Correct extra_args: this version does not know them.",
    ),
    FailureClass(
        r"GatedRepoError|gated repo|401 Client Error|OfflineModeIsEnabled",
        "model_missing",
        "Download the model first, with a token if it is gated, and give its directory.",
    ),
)
"""Of argparse, and of the Hugging Face hub's client."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """How a server takes the key without which it answers no completion: never as an argument.

    From the environment, as ``variable``; or from a file of settings, whose path follows ``flag``,
    whose name is ``file`` and whose content is ``text`` with the key in place of ``{}``. A study
    whose own arguments have ``flag`` keeps its file, and its server then has no key of ours.
    """

    variable: str = ""
    flag: str = ""
    file: str = ""
    text: str = "{}"
    slows: str = ""
    """Why asking for it would change what is measured; then it is only given where the study says
    so (``protocol.api_keys``)."""
