"""SGLang (https://docs.sglang.io), 0.5.9 to 0.5.23: flags as its ``ServerArgs`` know them.

What appeared: graph backends by phase (0.5.14), ``/ready`` and the program ``sglang serve`` as used
here (0.5.20). What changed: ``--cuda-graph-max-bs`` became ``--cuda-graph-max-bs-decode``, and
``--disable-cuda-graph`` the backend ``disabled``. What is gone and never emitted from 0.5.20 on:
``--cuda-graph-max-bs``, ``--disable-piecewise-cuda-graph``, ``--enable-dp-attention``.
``tests/golden/engines/sglang-*.txt`` hold the option lists of the releases.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from inferometer import hookimpl
from inferometer.engine import (
    USUAL_FAILURES,
    Adapter,
    ApiKey,
    CacheReset,
    Command,
    Counter,
    FailureClass,
    Knob,
    Metrics,
    Readiness,
    Requirements,
    Says,
    Unsupported,
    echoed,
    exact,
    refuse_older,
    release,
    since,
    switched,
    translated,
    valued,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from inferometer.engine import Completion, Engine, LaunchContext, Platform, Speculative

OLDEST = "0.5.9"
LOCKED_PYTHONS = ("3.11", "3.12")
"""Those for which the CUDA requirements were resolved."""
FLAGS: Mapping[str, str] = {
    "dtype": "--dtype",
    "tensor_parallel_size": "--tp-size",
    "pipeline_parallel_size": "--pp-size",
    "data_parallel_size": "--dp-size",
    "expert_parallel_size": "--ep-size",
    "max_model_len": "--context-length",
    "max_num_seqs": "--max-running-requests",
    "kv_cache_tokens": "--max-total-tokens",
    "quantization": "--quantization",
    "stream_interval": "--stream-interval",
    "attention_backend": "--attention-backend",
    "moe_backend": "--moe-runner-backend",
    "seed": "--random-seed",
}
"""Fields whose value follows a flag, the same in every release in question."""

EAGER: Mapping[str, tuple[str, ...]] = {
    OLDEST: ("--disable-cuda-graph",),
    "0.5.10": ("--disable-cuda-graph", "--disable-piecewise-cuda-graph"),
    "0.5.14": (
        *("--cuda-graph-backend-decode", "disabled"),
        *("--cuda-graph-backend-prefill", "disabled"),
    ),
}
LARGEST_GRAPH: Mapping[str, str] = {
    OLDEST: "--cuda-graph-max-bs",
    "0.5.14": "--cuda-graph-max-bs-decode",
}
READY_PATH: Mapping[str, str] = {OLDEST: "/health", "0.5.20": "/ready"}
"""``/health`` runs a generation of one token: before the load only, never in a window."""
DRAFTS = {
    "draft_model": "STANDALONE",
    "eagle": "EAGLE",
    "eagle3": "EAGLE3",
    "mtp": "NEXTN",
    "ngram": "NGRAM",
}
KV_DTYPES = {"bfloat16": "bf16", "fp8": "fp8_e4m3"}

READINESS = Readiness(path="/ready", deadline_s=1800.0)
FAILURES = (
    FailureClass(
        r"[Aa]ddress already in use|Port is already in use|error while attempting to bind",
        "port_in_use",
        "Run again: another port will be chosen.",
    ),
    FailureClass(
        r"Not enough memory. Please try to increase --mem-fraction-static",
        "no_kv_room",
        "Lower max_model_len or max_num_seqs, or choose a smaller model.",
    ),
    FailureClass(
        r"CUDA out of memory|HIP out of memory|DefaultCPUAllocator|OutOfMemoryError",
        "out_of_memory",
        "Free memory on the device, or choose a smaller model or KV cache.",
    ),
    FailureClass(
        r"Model architectures .* are not supported|Unsupported architectures",
        "unsupported",
        "Choose a model this SGLang version knows, or a newer SGLang.",
    ),
    FailureClass(
        r"no kernel image is available|No module named '(sgl_kernel|flashinfer)'"
        r"|cannot import name .* from 'sgl_kernel'",
        "missing_kernel",
        "Install the kernel package that SGLang names for this accelerator.",
    ),
    *USUAL_FAILURES,
)
REQUEST_FIELDS = frozenset(
    {
        *("model", "prompt", "max_tokens", "min_tokens", "ignore_eos", "temperature", "top_p"),
        *("seed", "stream", "stream_options", "return_token_ids", "logprobs", "echo"),
    }
)
"""SGLang ignores fields it does not know."""

RESET = CacheReset(path="/flush_cache", says="Cache flushed")
SLOWS = "its check is a Starlette BaseHTTPMiddleware, through which each streamed event goes"
KEY = ApiKey(flag="--config", file="key.yaml", text='api-key: "{}"\n', slows=SLOWS)
"""It reads no variable; its log and ``/server_info`` tell the key, which is hidden in both."""
METRICS = Metrics(
    path="/metrics",
    counters=(
        Counter("sglang:prompt_tokens_total", "prompt_tokens"),
        # The live counters: those by request move only when a request ends.
        Counter(
            "sglang:realtime_tokens_total", "prompt_tokens_computed", {"mode": "prefill_compute"}
        ),
        Counter("sglang:realtime_tokens_total", "prompt_tokens_cached", {"mode": "prefill_cache"}),
        # The first token of each request is its prefill's and not among those decoded.
        Counter("sglang:realtime_tokens_total", "output_tokens", {"mode": "decode"}),
        Counter("sglang:time_to_first_token_seconds_count", "output_tokens"),
        Counter("sglang:num_requests_total", "requests_finished"),
        Counter("sglang:num_aborted_requests_total", "requests_aborted"),
        Counter("sglang:num_retracted_requests_total", "preemptions"),
        Counter("sglang:estimated_flops_per_gpu_total", "estimated_flop"),
        Counter("sglang:forward_execution_seconds_total", "prefill_busy_s", {"category": "extend"}),
        Counter("sglang:forward_execution_seconds_total", "decode_busy_s", {"category": "decode"}),
        Counter("sglang:num_running_reqs", "requests_running"),
        Counter("sglang:num_queue_reqs", "requests_waiting"),
        Counter("sglang:token_usage", "kv_cache_usage"),
        Counter("sglang:max_total_num_tokens", "kv_cache_capacity"),
    ),
)

GIB = 2**30
"""What its logs call GB."""
SAYS = (
    Says(name="dtype", path="dtype"),
    Says(name="tensor_parallel_size", path="tp_size"),
    Says(name="pipeline_parallel_size", path="pp_size"),
    Says(name="data_parallel_size", path="dp_size"),
    Says(name="expert_parallel_size", path="ep_size"),
    Says(name="max_model_len", path="context_length"),
    Says(name="max_model_len", pattern=r"\bcontext_len=(\d+)"),
    Says(name="max_num_seqs", path="internal_states.0.effective_max_running_requests_per_dp"),
    Says(name="max_num_seqs", path="max_running_requests"),
    Says(name="max_num_seqs", pattern=r"\bmax_running_requests=(\d+)"),
    Says(name="max_num_batched_tokens", path="max_prefill_tokens"),
    Says(name="kv_cache_dtype", path="kv_cache_dtype"),
    Says(name="kv_cache_tokens", path="max_total_num_tokens"),
    Says(name="kv_cache_tokens", pattern=r"\bmax_total_num_tokens=(\d+)"),
    Says(name="kv_cache_bytes", path="internal_states.0.memory_usage.kvcache", scale=GIB),
    Says(name="prefix_caching", path="disable_radix_cache", reads="not"),
    Says(name="chunked_prefill", path="chunked_prefill_size", reads="positive"),
    Says(name="quantization", path="quantization"),
    Says(name="stream_interval", path="stream_interval"),
    Says(name="attention_backend", path="attention_backend"),
    Says(name="moe_backend", path="moe_runner_backend"),
    Says(name="seed", path="random_seed"),
    Says(name="weights_bytes", path="internal_states.0.memory_usage.weight", scale=GIB),
    Says(name="weights_bytes", pattern=r"Load weight end\..* mem usage=([\d.]+) GB", scale=GIB),
)


@dataclass(frozen=True, slots=True)
class Sglang(Adapter):
    """The SGLang adapter. Its warm-up request is in its counters: read differences only."""

    name: str = "sglang"
    distributions: Sequence[str] = ("sglang",)
    versions: Sequence[str] = (OLDEST, "0.5.12", "0.5.14", "0.5.16", "0.5.18", "0.5.20", "0.5.23")
    readiness: Readiness = READINESS
    failures: Sequence[FailureClass] = FAILURES
    resolved_configuration: Sequence[str] = ("/server_info",)
    says: Sequence[Says] = SAYS
    request_fields: frozenset[str] = REQUEST_FIELDS
    metrics: Metrics | None = METRICS
    cache_reset: CacheReset | None = RESET
    api_key: ApiKey | None = KEY
    one_node: str = ""

    def requirements(self, platform: Platform) -> Requirements:
        """Return the locked CUDA environment; for the rest its kernels are not published."""
        found = (platform.system, platform.machine, platform.accelerator)
        if found == ("linux", "x86_64", "cuda") and platform.python in LOCKED_PYTHONS:
            lock = files("inferometer_engines") / "requirements" / "sglang-linux-x86_64-cuda.txt"
            return Requirements(lock=lock.read_text(encoding="utf-8"), distribution="sglang")
        why = {
            "cpu": "its CPU kernels are built from source and not published",
            "cuda": "no locked requirements here",
            "rocm": "its ROCm kernels are built from source and not published",
        }[platform.accelerator]
        raise Unsupported(
            f"sglang: {why} ({platform})",
            remedy="Set python = PATH to an interpreter that has SGLang.",
        )

    def image(self, platform: Platform, version: str) -> str:
        """Return the project's own image; ROCm images are tagged by card, CPU has none."""
        if platform.accelerator == "cuda":
            return f"lmsysorg/sglang:v{version}"
        raise Unsupported(
            f"sglang: no container image is known for {platform}",
            remedy="Set python = PATH to an interpreter that has SGLang.",
        )

    def command(self, context: LaunchContext) -> Command:
        """Return the server's command for this version and platform."""
        refuse_older(self.name, context.version, OLDEST)
        flags = translated(f"sglang {context.version}", context.spec, _words(context))
        on_cpu = context.platform.accelerator == "cpu"
        argv = [
            *_program(context),
            *("--model-path", str(context.model_path)),
            *("--host", context.host, "--port", str(context.port)),
            *(("--device", "cpu") if on_cpu else ()),
            *(part for words in flags for part in words),
            *_profile_flags(context),
            # cached tokens are reported in usage: cold caches are proved, not assumed
            "--enable-cache-report",
            "--enable-metrics",
            *("--log-level-http", "warning"),
            *_group_flags(context),
            *context.spec.extra_args,
        ]
        env = {"SGLANG_USE_CPU_ENGINE": "1"} if on_cpu else {}
        path = since(context.version, READY_PATH)
        assert path is not None
        return Command(
            argv=tuple(argv),
            env={**env, **context.spec.extra_env},
            readiness=Readiness(path=path, deadline_s=READINESS.deadline_s),
        )

    def request(self, completion: Completion) -> dict[str, Any]:
        """Return the body: token ids, greedy, exact length, token ids in every chunk."""
        return exact(completion)

    def knobs(self, context: LaunchContext) -> Sequence[Knob]:
        """Return what SGLang's guide to tuning names, as far as it holds here."""
        return list(_knobs(context))

    def scoring(self, completion: Completion) -> dict[str, Any]:
        """Return the body that echoes the prompt with the log-probability of each of its tokens.

        SGLang starts them at the prompt only where ``logprobs`` is above 0.
        """
        return echoed(completion)


def _program(context: LaunchContext) -> Sequence[str]:
    if release(context.version) >= (0, 5, 20):
        return (str(context.python.parent / "sglang"), "serve")
    return (str(context.python), "-m", "sglang.launch_server")


def _group_flags(context: LaunchContext) -> Sequence[str]:
    """Return what starts one rank of several nodes; those above 0 answer no requests."""
    group = context.group
    if group is None:
        return ()
    return (
        *("--nnodes", str(group.nodes), "--node-rank", str(group.rank)),
        *("--dist-init-addr", f"{group.address}:{group.port}"),
    )


def _words(context: LaunchContext) -> dict[str, Callable[[Any], Sequence[str]]]:
    """Return this version's word for each field; what is missing is refused by name."""
    words: dict[str, Callable[[Any], Sequence[str]]] = {
        name: valued(flag) for name, flag in FLAGS.items()
    }
    words |= {
        "max_num_batched_tokens": lambda tokens: _batched(context, tokens),
        "kv_cache_dtype": lambda dtype: ("--kv-cache-dtype", _kv_dtype(context, dtype)),
        "kv_cache_bytes": _no_kv_bytes,
        "prefix_caching": switched("", "--disable-radix-cache"),
        "chunked_prefill": lambda on: () if on else ("--chunked-prefill-size", "-1"),
        "graphs": lambda on: () if on else since(context.version, EAGER) or (),
        "speculative": _speculative,
    }
    return words


def _batched(context: LaunchContext, tokens: int) -> Sequence[str]:
    most = ("--max-prefill-tokens", str(tokens))
    if context.spec.chunked_prefill is False:
        return most
    return ("--chunked-prefill-size", str(tokens), *most)


def _kv_dtype(context: LaunchContext, dtype: str) -> str:
    """Return its word; of a model's own type it names bfloat16 only, any other is ``auto``."""
    own = "auto" if dtype == context.spec.dtype else dtype
    return KV_DTYPES.get(dtype, own)


def _no_kv_bytes(_: int) -> Sequence[str]:
    raise Unsupported(
        "sglang: kv_cache_bytes has no equivalent in this engine", remedy="Set kv_cache_tokens."
    )


def _speculative(draft: Speculative) -> Sequence[str]:
    """Return a chain of ``tokens`` drafts: no tree, one step a token."""
    flags = ["--speculative-algorithm", DRAFTS[draft.method]]
    if draft.model is not None:
        flags += ["--speculative-draft-model-path", draft.model]
    if draft.method == "ngram":
        return [*flags, "--speculative-num-draft-tokens", str(draft.tokens)]
    flags += ["--speculative-num-steps", str(draft.tokens), "--speculative-eagle-topk", "1"]
    return [*flags, "--speculative-num-draft-tokens", str(draft.tokens + 1)]


def _profile_flags(context: LaunchContext) -> list[str]:
    """Return what only SGLang has words for in profile ``equalized``."""
    if context.profile != "equalized":
        return []
    flags = ["--sampling-defaults", "openai", "--decode-log-interval", "200"]
    largest, size = since(context.version, LARGEST_GRAPH), context.spec.max_num_seqs
    if largest and size and context.spec.graphs is not False:
        flags += [largest, str(size)]
    return flags


GUIDE = "docs.sglang.io, advanced_features/hyperparameter_tuning"
ATTENTION = {"cuda": ("flashinfer", "triton"), "rocm": ("triton", "aiter")}
MOE = {"cuda": ("triton", "flashinfer_cutlass"), "rocm": ("triton", "aiter")}
GRAPH_ENOUGH = 8
"""Largest batch with a graph on the smallest cards; more on larger ones."""


def _knobs(context: LaunchContext) -> Iterator[Knob]:
    """Yield the knobs, the most promising first; one value may be the engine's own choice.

    Left out: the fraction of memory, which decides on a KV capacity that is the study's to say,
    and the scheduling policy, which matters for shared prefixes only.
    """
    accelerator, streams = context.platform.accelerator, context.streams or 1
    yield Knob(
        name="max_num_batched_tokens",
        values=(16384, 4096) if accelerator != "cpu" else (4096, 512),
        why=f"larger chunks prefill faster, smaller ones need less memory ({GUIDE})",
    )
    if accelerator == "cpu":
        return
    largest = since(context.version, LARGEST_GRAPH)
    if largest and streams > GRAPH_ENOUGH and context.spec.graphs is not False:
        yield Knob(
            name="largest_graph",
            values=(streams,),
            flags={streams: (largest, str(streams))},
            why=f"decoding without a graph beyond the default's size is slower ({GUIDE})",
        )
    yield Knob(
        name="mixed_chunk",
        values=("on",),
        flags={"on": ("--enable-mixed-chunk",)},
        why="prefill and decoding in one step, as the other engines do (ServerArgs)",
    )
    yield Knob(
        name="schedule_conservativeness",
        values=("0.3",),
        flags={"0.3": ("--schedule-conservativeness", "0.3")},
        why=f"admits requests sooner where the cache has room and some wait ({GUIDE})",
    )
    why = "kernels differ by card and by length of the context (ATTENTION_BACKEND_CHOICES)"
    yield Knob(name="attention_backend", values=ATTENTION[accelerator], why=why)
    if context.moe:
        why = "kernels of the experts differ by card and precision (MOE_RUNNER_BACKEND_CHOICES)"
        yield Knob(name="moe_backend", values=MOE[accelerator], why=why)


@hookimpl
def inferometer_engines() -> Sequence[Engine]:
    """Return the adapter."""
    return [Sglang()]
