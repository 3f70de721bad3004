"""TensorRT-LLM (https://nvidia.github.io/TensorRT-LLM), 1.2 to 1.4, by ``trtllm-serve``.

Its PyTorch backend. Nearly every setting goes into the YAML file, whose fields are the same in
these releases; the command line holds what it alone can say. Nothing is said twice: up to 1.2 the
file outranks the command line, later an explicit option outranks the file. An unknown field stops
the start (``extra="forbid"``), an unknown request field is answered with 400.

What appeared: ``--served_model_name`` and ``--no-telemetry`` (1.3). What is gone and never emitted:
``--backend tensorrt``. ``tests/golden/engines/tensorrt-llm-*.txt`` hold options and fields.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from inferometer import hookimpl
from inferometer.engine import (
    Adapter,
    Command,
    Counter,
    FailureClass,
    Knob,
    Metrics,
    Readiness,
    Requirements,
    Says,
    Unsupported,
    exact,
    refuse_older,
    release,
    translated,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from inferometer.engine import Completion, Engine, LaunchContext, Platform, Speculative

OLDEST = "1.2.0"
CONFIGURATION = "tensorrt-llm.yaml"
FIELDS: Mapping[str, str] = {
    "dtype": "dtype",
    "tensor_parallel_size": "tensor_parallel_size",
    "pipeline_parallel_size": "pipeline_parallel_size",
    "expert_parallel_size": "moe_expert_parallel_size",
    "max_model_len": "max_seq_len",
    "max_num_seqs": "max_batch_size",
    "max_num_batched_tokens": "max_num_tokens",
    "kv_cache_tokens": "kv_cache_config.max_tokens",
    "kv_cache_bytes": "kv_cache_config.max_gpu_total_bytes",
    "chunked_prefill": "enable_chunked_prefill",
    "stream_interval": "stream_interval",
    "attention_backend": "attn_backend",
    "moe_backend": "moe_config.backend",
}
"""Fields whose value stands in the YAML file as it is, by dotted path."""

DRAFTS = {"draft_model": "DraftTarget", "eagle3": "Eagle", "ngram": "NGram"}
"""``Eagle`` means Eagle3 on the PyTorch backend, in every release in question."""

READINESS = Readiness(path="/health", deadline_s=1800.0)
FAILURES = (
    FailureClass(
        r"Failed to bind socket|[Aa]ddress already in use",
        "port_in_use",
        "Run again: another port will be chosen.",
    ),
    FailureClass(
        r"component could not be created: .*KV cache|must be large enough to process at least 1",
        "no_kv_room",
        "Lower max_model_len or max_num_seqs, or give the KV cache more memory.",
    ),
    FailureClass(
        r"insufficient GPU memory|CUDA out of memory|OutOfMemoryError|: out of memory",
        "out_of_memory",
        "Free memory on the device, or choose a smaller model.",
    ),
    FailureClass(
        r"Unknown architecture for AutoModelForCausalLM",
        "unsupported",
        "Choose a model this TensorRT-LLM version knows, or a newer TensorRT-LLM.",
    ),
    FailureClass(
        r"no kernel image is available|libtensorrt_llm|No GPU devices found",
        "missing_kernel",
        "Run the container that NVIDIA publishes for this version, on a GPU it supports.",
    ),
    FailureClass(
        r"No such option|Extra inputs are not permitted",
        "bad_flag",
        "Correct extra_args: this TensorRT-LLM version does not know them.",
    ),
    FailureClass(
        r"GatedRepoError|gated repo|401 Client Error|OfflineModeIsEnabled",
        "model_missing",
        "Download the model first, with a token if it is gated, and give its directory.",
    ),
)
REQUEST_FIELDS = frozenset(
    {
        *("model", "prompt", "max_tokens", "min_tokens", "ignore_eos", "temperature", "top_p"),
        *("seed", "stream", "stream_options", "detokenize", "add_special_tokens", "logprobs"),
    }
)
"""Any other field is answered with 400. There is no ``scoring``: ``echo`` repeats the prompt's
text, and ``logprobs`` are those of generated tokens alone."""

METRICS = Metrics(
    path="/prometheus/metrics",
    counters=(
        Counter("trtllm_prompt_tokens_total", "prompt_tokens"),
        Counter("trtllm_prompt_cached_tokens_total", "prompt_tokens_cached"),
        Counter("trtllm_generation_tokens_total", "output_tokens"),
        Counter("trtllm_request_success_total", "requests_finished"),
        Counter("trtllm_spec_decode_drafted_tokens_total", "draft_tokens"),
        Counter("trtllm_spec_decode_accepted_tokens_total", "draft_tokens_accepted"),
    ),
)
"""They move when a request ends. What moves in every iteration (gauges, and ``/metrics``, which is
JSON here and drains) needs iteration statistics: off, as they cost time that others do not pay."""

ALLOCATED = r"Allocated ([\d.]+) GiB for max tokens in paged KV cache"
SAYS = (
    Says(name="kv_cache_tokens", pattern=r"for max tokens in paged KV cache \((\d+)\)"),
    Says(name="kv_cache_bytes", pattern=ALLOCATED, scale=2**30),
)
"""Lines of its runtime at level ``info``: asked for with ``--log_level info`` in extra_args."""


@dataclass(frozen=True, slots=True)
class TensorRtLlm(Adapter):
    """The TensorRT-LLM adapter. Without a cache reset: prompts must differ, or reuse be off."""

    name: str = "tensorrt-llm"
    distributions: Sequence[str] = ("tensorrt-llm",)
    versions: Sequence[str] = (OLDEST, "1.4.0")
    readiness: Readiness = READINESS
    failures: Sequence[FailureClass] = FAILURES
    resolved_configuration: Sequence[str] = ("/version", "/server_info")
    says: Sequence[Says] = SAYS
    request_fields: frozenset[str] = REQUEST_FIELDS
    metrics: Metrics | None = METRICS
    one_node: str = "its ranks are started on several nodes by MPI alone, which is not done here"

    def requirements(self, platform: Platform) -> Requirements:
        """Refuse: the package index has stubs, the software comes as a container."""
        _refuse_without_gpu(platform)
        raise Unsupported(
            f"tensorrt-llm: comes as a container, not as locked requirements ({platform})",
            remedy='Set container = "docker" with engine_version, or python = PATH to an '
            "interpreter that has it.",
        )

    def image(self, platform: Platform, version: str) -> str:
        """Return NVIDIA's image."""
        _refuse_without_gpu(platform)
        return f"nvcr.io/nvidia/tensorrt-llm/release:{version}"

    def command(self, context: LaunchContext) -> Command:
        """Return the server's command and its YAML file for this version."""
        _refuse_without_gpu(context.platform)
        refuse_older(self.name, context.version, OLDEST)
        words = _words(context)
        configuration: dict[str, Any] = {"return_perf_metrics": True}  # for METRICS
        for fields in translated(f"tensorrt-llm {context.version}", context.spec, words):
            _merge(configuration, fields)
        _merge(configuration, _profile_fields(context))
        argv = [
            *(str(context.python.parent / "trtllm-serve"), "serve", str(context.model_path)),
            *("--host", context.host, "--port", str(context.port)),
            *("--log_level", "warning"),
            *("--extra_llm_api_options", str(context.files / CONFIGURATION)),
        ]
        if release(context.version) >= (1, 3, 0):
            argv += ["--served_model_name", context.model_name]
        return Command(
            argv=(*argv, *context.spec.extra_args),
            env=dict(context.spec.extra_env),
            instrument_env={"TRTLLM_NO_USAGE_STATS": "1", "TELEMETRY_DISABLED": "1"},
            # JSON is YAML.
            files={CONFIGURATION: json.dumps(configuration, indent=1, sort_keys=True) + "\n"},
        )

    def request(self, completion: Completion) -> dict[str, Any]:
        """Return the body: token ids, greedy, exact length, usage in every chunk.

        Token ids come only without text, and then the parity probe would have none to show.
        """
        body = exact(completion)
        del body["return_token_ids"]
        if completion.seed is not None:
            body["seed"] = completion.seed
        if completion.stream:
            body["stream_options"] = {"include_usage": True, "continuous_usage_stats": True}
        return body

    def knobs(self, context: LaunchContext) -> Sequence[Knob]:
        """Return what NVIDIA's guide to tuning names, as far as it holds here."""
        return list(_knobs(context))


def _refuse_without_gpu(platform: Platform) -> None:
    if platform.accelerator != "cuda":
        raise Unsupported(
            f"tensorrt-llm: needs an NVIDIA GPU, this is {platform}",
            remedy="Run this stack on a machine with one.",
        )


def _words(context: LaunchContext) -> dict[str, Callable[[Any], dict[str, Any]]]:
    """Return the YAML fields for each term; what is missing is refused by name."""

    def plain(path: str) -> Callable[[Any], dict[str, Any]]:
        return lambda value: {path: value}

    def kv_dtype(dtype: str) -> dict[str, Any]:
        return {"kv_cache_config.dtype": "auto" if dtype == context.spec.dtype else dtype}

    words = {field: plain(path) for field, path in FIELDS.items()}
    words |= {
        "data_parallel_size": _no_replicas,
        "kv_cache_dtype": kv_dtype,
        "prefix_caching": lambda on: {
            "kv_cache_config.enable_block_reuse": on,
            "kv_cache_config.enable_partial_reuse": on,
        },
        "graphs": lambda on: {"cuda_graph_config": {} if on else None},
        "quantization": _no_quantization,
        "speculative": _speculative,
        "seed": lambda _: {},  # goes with each request
    }
    return words


def _no_replicas(_: int) -> dict[str, Any]:
    raise Unsupported(
        "tensorrt-llm: data_parallel_size has no equivalent: its attention data parallelism "
        "splits one replica",
        remedy="Leave it at 1.",
    )


def _no_quantization(_: str) -> dict[str, Any]:
    raise Unsupported(
        "tensorrt-llm: quantization is read from the checkpoint",
        remedy="Give a quantised checkpoint and leave it out.",
    )


def _speculative(draft: Speculative) -> dict[str, Any]:
    if draft.method not in DRAFTS:
        raise Unsupported(
            f"tensorrt-llm: speculative: method {draft.method!r} is not translated",
            remedy=f"Choose one of {', '.join(DRAFTS)}.",
        )
    fields = {
        "speculative_config.decoding_type": DRAFTS[draft.method],
        "speculative_config.max_draft_len": draft.tokens,
    }
    return fields | (
        {"speculative_config.speculative_model_dir": draft.model} if draft.model else {}
    )


def _profile_fields(context: LaunchContext) -> dict[str, Any]:
    """Return what only TensorRT-LLM has words for in the profiles that set a largest batch.

    Left alone, it has graphs for a few batch sizes up to 128 and pads none to them. Its own
    sampling defaults ignore the model's file already.
    """
    size = context.spec.max_num_seqs
    if context.profile == "defaults" or not size or context.spec.graphs is False:
        return {}
    return {"cuda_graph_config.max_batch_size": size, "cuda_graph_config.enable_padding": True}


def _merge(configuration: dict[str, Any], fields: Mapping[str, Any]) -> None:
    """Set dotted paths in a nested configuration."""
    for path, value in fields.items():
        *parents, last = path.split(".")
        place = configuration
        for parent in parents:
            place = place.setdefault(parent, {})
        place[last] = value


GUIDE = "nvidia.github.io/TensorRT-LLM, performance-tuning-guide"


def _knobs(context: LaunchContext) -> Iterator[Knob]:
    """Yield the knobs, the most promising first."""
    if context.streams is not None:
        yield Knob(
            name="max_num_seqs",
            values=(context.streams,),
            why=f"batches of the load's size, with graphs padded up to it ({GUIDE})",
        )
    yield Knob(
        name="max_num_batched_tokens",
        values=(16384, 4096),
        why=f"larger steps prefill more at once, smaller ones disturb decoding less ({GUIDE})",
    )
    yield Knob(
        name="chunked_prefill",
        values=(True,),
        why=f"off by default; lets decoding go on beside a long prompt ({GUIDE})",
    )
    if context.moe:
        why = "AUTO does not always give the best choice (MoeConfig.backend)"
        yield Knob(name="moe_backend", values=("CUTLASS", "TRTLLM"), why=why)


@hookimpl
def inferometer_engines() -> Sequence[Engine]:
    """Return the adapter."""
    return [TensorRtLlm()]
