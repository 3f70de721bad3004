"""The simulator as an engine: a server in a process of its own, measured like any other.

``extra_args`` of a study's ``[[engines]]`` are the server's options: ``--preset``, ``--noise``,
``--slowdown``, ``--seed``, ``--params``. Everything measured of it is ``simulated``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from inferometer.engine import (
    Adapter,
    ApiKey,
    Command,
    Counter,
    FailureClass,
    Metrics,
    Readiness,
    Requirements,
    Says,
    Unsupported,
    exact,
    translated,
    valued,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from inferometer.engine import Completion, LaunchContext, Platform

READINESS = Readiness(path="/health", deadline_s=60.0)
FAILURES = (
    FailureClass(
        r"[Aa]ddress already in use", "port_in_use", "Run again: another port will be chosen."
    ),
    FailureClass(
        r"unrecognized arguments|invalid choice|invalid \w+ value",
        "bad_flag",
        "Correct extra_args: see docs/reference/simulator.md.",
    ),
)
METRICS = Metrics(
    counters=(
        Counter("simulator:prompt_tokens_total", "prompt_tokens"),
        Counter("simulator:generation_tokens_total", "output_tokens"),
        Counter("simulator:request_success_total", "requests_finished"),
        Counter("simulator:request_aborted_total", "requests_aborted"),
        Counter("simulator:preemptions_total", "preemptions"),
        Counter("simulator:steps_total", "steps"),
        Counter("simulator:requests_running", "requests_running"),
        Counter("simulator:requests_waiting", "requests_waiting"),
    )
)
SETTINGS = "/simulator"
KEY_VARIABLE = "SIMULATOR_API_KEY"
KEY = ApiKey(variable=KEY_VARIABLE)
SAYS = (
    Says(name="dtype", path="told.dtype"),
    Says(name="kv_cache_dtype", path="told.kv_cache_dtype"),
    Says(name="max_model_len", path="max_model_len"),
    Says(name="max_num_seqs", path="params.max_seqs"),
    Says(name="max_num_batched_tokens", path="params.budget"),
    Says(name="kv_cache_tokens", path="params.kv_tokens"),
    Says(name="seed", path="told.seed"),
)
FIELDS = frozenset(
    (
        *("model", "prompt", "max_tokens", "min_tokens", "ignore_eos", "temperature"),
        *("stream", "stream_options", "return_token_ids"),
    )
)


@dataclass(frozen=True, slots=True)
class Simulator(Adapter):
    """The adapter. Its server runs with our own interpreter unless the study names another."""

    name: str = "simulator"
    simulated: bool = True
    distributions: Sequence[str] = ("inferometer",)
    readiness: Readiness = READINESS
    failures: Sequence[FailureClass] = FAILURES
    resolved_configuration: Sequence[str] = (SETTINGS,)
    says: Sequence[Says] = SAYS
    metrics: Metrics | None = METRICS
    request_fields: frozenset[str] = FIELDS
    api_key: ApiKey | None = KEY

    def requirements(self, platform: Platform) -> Requirements:
        """Refuse: it comes with Inferometer."""
        raise Unsupported(
            f"simulator: nothing to install on {platform}, it comes with Inferometer",
            remedy="Leave python out, or set it to an interpreter that has Inferometer.",
        )

    def command(self, context: LaunchContext) -> Command:
        """Return the server's command line; ``extra_args`` are its options."""
        flags = translated(self.name, context.spec, WORDS)
        return Command(
            argv=(
                *(str(context.python), "-m", "inferometer_plugins.simulator.server"),
                *("--host", context.host, "--port", str(context.port)),
                *("--model", context.model_name),
                *(part for words in flags for part in words),
                *context.spec.extra_args,
            ),
            env=dict(context.spec.extra_env),
        )

    def request(self, completion: Completion) -> dict[str, Any]:
        """Return the usual body: token ids, exact length."""
        return exact(completion)


def _told(name: str) -> Callable[[Any], Sequence[str]]:
    """Return the word for a term on which nothing depends: it is told on."""
    return lambda value: ("--told", f"{name}={value}")


def _only(name: str, on: bool, why: str) -> Callable[[Any], Sequence[str]]:
    def word(value: bool) -> Sequence[str]:
        if value is not on:
            raise Unsupported(f"simulator: {name} = {str(value).lower()} is not had: {why}")
        return ("--told", f"{name}={value}")

    return word


WORDS: Mapping[str, Callable[[Any], Sequence[str]]] = {
    "dtype": _told("dtype"),
    "max_model_len": valued("--max-model-len"),
    "max_num_seqs": valued("--max-seqs"),
    "max_num_batched_tokens": valued("--budget"),
    "kv_cache_dtype": _told("kv_cache_dtype"),
    "kv_cache_tokens": valued("--kv-tokens"),
    "prefix_caching": _only("prefix_caching", False, "it keeps no prefixes"),
    "chunked_prefill": _only("chunked_prefill", True, "every prompt comes in chunks"),
    "seed": _told("seed"),
}
"""Its words for the terms of a launch; every other term is refused by name. A study's ``seed`` is
of sampling, not of the noise: that one would make all launches alike."""
