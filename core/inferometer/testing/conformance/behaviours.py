"""How engines behave beyond what their adapters declare: data for the fake servers.

Observed with the releases named in each adapter, or read in their published sources. An engine
that is not here gets :class:`Behaviour`'s defaults, and whatever its adapter declares is taken for
true; its author may pass a :class:`Behaviour` to the kit.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

    Series = tuple[str, Mapping[str, str], str]

USUAL_FIELDS = frozenset(
    {
        *(
            "model",
            "prompt",
            "max_tokens",
            "temperature",
            "top_p",
            "stop",
            "stream",
            "n",
            "best_of",
        ),
        *("stream_options", "seed", "logprobs", "echo", "suffix", "user", "logit_bias"),
        *("presence_penalty", "frequency_penalty"),
    }
)
"""Of the completions route that all of these engines imitate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    """One engine's ways. ``{}`` in a message stands for the option, field or port in question."""

    versions: tuple[str, ...] = ("1000.0.0",)
    """Releases to start, the newest first."""
    too_old: str = ""
    """A release that must be refused; empty when nothing is known of one."""
    routes: frozenset[str] = frozenset()
    """What it serves, as ``GET /path``; empty: what the adapter declares."""
    needs: Mapping[str, str] = field(default_factory=dict)
    """What must be on the command line, in a configuration file or among the variables before a
    route is served, or before ``cached_tokens`` are told."""
    starting: Literal["refused", "unavailable"] = "refused"
    """While it loads: nobody listens, or every route answers 503 with ``starting_headers``."""
    starting_headers: Mapping[str, str] = field(default_factory=dict)
    generating: tuple[str, ...] = ()
    """GET paths that run a generation: they disturb what is measured."""
    error_shape: Literal["nested", "flat", "text", "detail"] = "nested"
    unknown_fields: Literal[0, 400, 422] = 0
    """Status of a request with a field it does not know; 0: ignored."""
    fields: frozenset[str] = frozenset()
    """What it does know; empty: what the adapter declares."""
    usage: Literal["asked", "always"] = "asked"
    """Whether usage comes unasked, in the last chunk of a stream instead of one of its own."""
    token_ids: bool = True
    """Whether token ids come with the chunks of a request that asks for them."""
    overload: Literal["status", "stream"] = "status"
    """503, or an error inside a 200 stream."""
    series: tuple[Series, ...] = ()
    """Its counters: family, labels, quantity; empty: what the adapter declares."""
    ranks: tuple[Mapping[str, str], ...] = ()
    """Labels of its processes, each of which tells every counter."""
    first_by_prefill: bool = False
    """Its live counter of output leaves the first token of each answer out."""
    warm_up: tuple[int, int] = (0, 0)
    """Prompt and output tokens of its own warm-up, which are in its counters."""
    reset_done: str = ""
    """Body of a cache reset that was done; empty: what the adapter waits for."""
    reset_refused: tuple[int, str] = (409, "requests are running")
    messages: tuple[tuple[str, str], ...] = ()
    """Last words of a start that fails, and the failure class they belong to."""
    unknown_option: str = "error: unrecognized arguments: {}"
    unknown_setting: str = "{}: Extra inputs are not permitted"
    port_taken: str = "OSError: [Errno 98] Address already in use"
    equalized: tuple[str, ...] = ()
    """What the profile ``equalized`` must say, for 256 requests, 8192 tokens a step, 65536 in
    the KV cache."""


VLLM = Behaviour(
    versions=("0.33.0", "0.32.0", "0.20.2", "0.12.0"),
    too_old="0.11.2",
    routes=frozenset(
        {
            *("POST /v1/completions", "POST /reset_prefix_cache", "GET /v1/models"),
            *("GET /health", "GET /ping", "GET /version", "GET /server_info", "GET /metrics"),
        }
    ),
    needs={
        "POST /reset_prefix_cache": "VLLM_SERVER_DEV_MODE=1",
        "GET /server_info": "VLLM_SERVER_DEV_MODE=1",
        "cached_tokens": "--enable-prompt-tokens-details",
    },
    series=(
        ("vllm:prompt_tokens_total", {}, "prompt_tokens"),
        (
            "vllm:prompt_tokens_by_source_total",
            {"source": "local_compute"},
            "prompt_tokens_computed",
        ),
        ("vllm:prompt_tokens_by_source_total", {"source": "local_cache_hit"}, ""),
        ("vllm:prompt_tokens_cached_total", {}, "prompt_tokens_cached"),
        ("vllm:generation_tokens_total", {}, "output_tokens"),
        ("vllm:request_success_total", {"finished_reason": "length"}, "requests_finished"),
        ("vllm:request_success_total", {"finished_reason": "stop"}, ""),
        ("vllm:num_preemptions_total", {}, "preemptions"),
        ("vllm:prefix_cache_queries_total", {}, "prefix_cache_queries"),
        ("vllm:prefix_cache_hits_total", {}, "prefix_cache_hits"),
        ("vllm:spec_decode_num_draft_tokens_total", {}, "draft_tokens"),
        ("vllm:spec_decode_num_accepted_tokens_total", {}, "draft_tokens_accepted"),
        ("vllm:iteration_tokens_total_count", {}, "steps"),
        ("vllm:num_requests_running", {}, "requests_running"),
        ("vllm:num_requests_waiting", {}, "requests_waiting"),
        ("vllm:kv_cache_usage_perc", {}, "kv_cache_usage"),
    ),
    ranks=({"engine": "0", "model_name": "m"},),
    reset_done='{"success":true}',
    reset_refused=(200, '{"success":false}'),
    messages=(
        (
            (
                "ValueError: Free memory on device cuda:0 (1.2/79.1 GiB) on startup is less than "
                "desired GPU memory utilization (0.92, 72.8 GiB)."
            ),
            "out_of_memory",
        ),
        (
            "torch.OutOfMemoryError: CUDA out of memory.",
            "out_of_memory",
        ),
        ("ValueError: No available memory for the cache blocks.", "no_kv_room"),
        (
            (
                "ValueError: To serve at least one request with the model's max seq len (131072), "
                "16.0 GiB KV cache is needed"
            ),
            "no_kv_room",
        ),
        ("Model architectures ['X'] are not supported for now.", "unsupported"),
        ("OSError: [Errno 98] Address already in use", "port_in_use"),
        ("RuntimeError: CUDA error: no kernel image is available for execution", "missing_kernel"),
        ("api_server.py: error: unrecognized arguments: --x", "bad_flag"),
        ("huggingface_hub.errors.GatedRepoError: 401 Client Error.", "model_missing"),
        ("RuntimeError: Engine core initialization failed. See root cause above.", "failed"),
    ),
    equalized=(
        "--no-enable-prefix-caching",
        "--max-num-batched-tokens 8192",
        "--max-num-seqs 256",
        "--kv-cache-memory-bytes 67108864",
        "--kv-cache-dtype bfloat16",
        "--enable-chunked-prefill",
        "--max-cudagraph-capture-size 256",
        "--generation-config vllm",
        "--seed 0",
        "--disable-uvicorn-access-log",
    ),
)
SGLANG = Behaviour(
    versions=("0.5.23", "0.5.20", "0.5.18", "0.5.9"),
    too_old="0.5.8",
    routes=frozenset(
        {
            *("POST /v1/completions", "POST /generate", "POST /flush_cache", "GET /flush_cache"),
            *("GET /health", "GET /health_generate", "GET /ready", "GET /v1/models"),
            *("GET /server_info", "GET /model_info", "GET /metrics"),
        }
    ),
    needs={"GET /metrics": "--enable-metrics", "cached_tokens": "--enable-cache-report"},
    generating=("/health", "/health_generate"),
    error_shape="flat",
    overload="stream",
    series=(
        ("sglang:prompt_tokens_total", {}, "prompt_tokens"),
        ("sglang:generation_tokens_total", {}, ""),
        ("sglang:realtime_tokens_total", {"mode": "prefill_compute"}, "prompt_tokens_computed"),
        ("sglang:realtime_tokens_total", {"mode": "prefill_cache"}, "prompt_tokens_cached"),
        ("sglang:realtime_tokens_total", {"mode": "decode"}, "output_tokens"),
        ("sglang:time_to_first_token_seconds_count", {}, "requests_finished"),
        ("sglang:num_requests_total", {}, "requests_finished"),
        ("sglang:num_aborted_requests_total", {}, "requests_aborted"),
        ("sglang:num_retracted_requests_total", {}, "preemptions"),
        ("sglang:estimated_flops_per_gpu_total", {}, "estimated_flop"),
        ("sglang:forward_execution_seconds_total", {"category": "extend"}, "prefill_busy_s"),
        ("sglang:forward_execution_seconds_total", {"category": "decode"}, "decode_busy_s"),
        ("sglang:num_running_reqs", {}, "requests_running"),
        ("sglang:num_queue_reqs", {}, "requests_waiting"),
        ("sglang:token_usage", {}, "kv_cache_usage"),
        ("sglang:max_total_num_tokens", {}, "kv_cache_capacity"),
    ),
    ranks=(
        {"engine_type": "unified", "tp_rank": "1", "pp_rank": "0", "moe_ep_rank": "0"},
        {"engine_type": "unified", "tp_rank": "0", "pp_rank": "0", "moe_ep_rank": "0"},
    ),
    first_by_prefill=True,
    warm_up=(7, 8),
    reset_done="Cache flushed.\nPlease check backend logs for more details.",
    reset_refused=(400, "Flush cache failed.\n"),
    messages=(
        (
            "ValueError: Not enough memory. Please try to increase --mem-fraction-static.",
            "no_kv_room",
        ),
        (
            "torch.OutOfMemoryError: CUDA out of memory.",
            "out_of_memory",
        ),
        ("ValueError: Model architectures ['X'] are not supported for now.", "unsupported"),
        ("ModuleNotFoundError: No module named 'sgl_kernel'", "missing_kernel"),
        ("ValueError: Port is already in use", "port_in_use"),
        ("[Errno 98] error while attempting to bind on address ('127.0.0.1', 1)", "port_in_use"),
        ("launch_server.py: error: unrecognized arguments: --x", "bad_flag"),
        ("OSError: You are trying to access a gated repo.", "model_missing"),
        ("RuntimeError: Initialization failed. warmup error: timed out", "failed"),
        ("Received sigquit from a child process. It usually means the child failed.", "failed"),
    ),
    port_taken="[Errno 98] error while attempting to bind on address ('127.0.0.1', {})",
    equalized=(
        "--disable-radix-cache",
        "--chunked-prefill-size 8192 --max-prefill-tokens 8192",
        "--max-running-requests 256",
        "--max-total-tokens 65536",
        "--kv-cache-dtype bf16",
        "--cuda-graph-max-bs-decode 256",
        "--sampling-defaults openai",
        "--random-seed 0",
        "--log-level-http warning",
        "--decode-log-interval 200",
        "--enable-metrics",
    ),
)
TENSORRT_LLM = Behaviour(
    versions=("1.4.0rc1", "1.3.0rc5", "1.2.1"),
    too_old="1.1.0",
    routes=frozenset(
        {
            *("POST /v1/completions", "GET /v1/models", "GET /health", "GET /health_generate"),
            *("GET /version", "GET /server_info", "GET /metrics", "GET /perf_metrics"),
            "GET /prometheus/metrics",
        }
    ),
    needs={"GET /prometheus/metrics": '"return_perf_metrics": true'},
    starting="unavailable",
    starting_headers={"x-trtllm-server-state": "starting", "retry-after": "1"},
    error_shape="text",
    unknown_fields=400,
    fields=USUAL_FIELDS
    | {
        *("min_tokens", "ignore_eos", "detokenize", "add_special_tokens", "top_k", "min_p"),
        *("stop_token_ids", "repetition_penalty", "return_context_logits", "lora_request"),
        *("skip_special_tokens", "spaces_between_special_tokens", "truncate_prompt_tokens"),
        *("include_stop_str_in_output", "length_penalty", "early_stopping", "use_beam_search"),
        *("disaggregated_params", "response_format", "top_p_min"),
    },
    token_ids=False,
    series=(
        ("trtllm_prompt_tokens_total", {}, "prompt_tokens"),
        ("trtllm_prompt_cached_tokens_total", {}, "prompt_tokens_cached"),
        ("trtllm_generation_tokens_total", {}, "output_tokens"),
        ("trtllm_request_success_total", {"finished_reason": "length"}, "requests_finished"),
        ("trtllm_request_success_total", {"finished_reason": "stop"}, ""),
        ("trtllm_spec_decode_drafted_tokens_total", {}, "draft_tokens"),
        ("trtllm_spec_decode_accepted_tokens_total", {}, "draft_tokens_accepted"),
    ),
    ranks=({"model_name": "m"},),
    messages=(
        ("RuntimeError: Failed to bind socket to 127.0.0.1:1: in use", "port_in_use"),
        ("The following component could not be created: KV cache", "no_kv_room"),
        ("RuntimeError: Executor creation failed due to insufficient GPU memory.", "out_of_memory"),
        (
            "torch.OutOfMemoryError: CUDA out of memory.",
            "out_of_memory",
        ),
        ("ValueError: Unknown architecture for AutoModelForCausalLM: X", "unsupported"),
        ("ValueError: No GPU devices found on the node", "missing_kernel"),
        ("Error: No such option: --x", "bad_flag"),
        ("  Extra inputs are not permitted [type=extra_forbidden]", "bad_flag"),
        ("OSError: You are trying to access a gated repo.", "model_missing"),
    ),
    unknown_option="Error: No such option: {}",
    unknown_setting="{}\n  Extra inputs are not permitted [type=extra_forbidden, input_type=int]",
    port_taken="RuntimeError: Failed to bind socket to 127.0.0.1:{}: in use",
    equalized=(
        '"enable_block_reuse": false',
        '"enable_partial_reuse": false',
        '"enable_chunked_prefill": true',
        '"max_num_tokens": 8192',
        '"max_batch_size": 256',
        '"max_tokens": 65536',
        '"dtype": "auto"',
        '"enable_padding": true',
        "--log_level warning",
    ),
)
TRANSFORMERS = Behaviour(
    versions=("5.19.0",),
    routes=frozenset(
        {
            *("POST /v1/completions", "POST /v1/chat/completions", "POST /load_model"),
            *("POST /reset", "GET /v1/models", "GET /health"),
        }
    ),
    unknown_fields=422,
    fields=USUAL_FIELDS | {"generation_config"},
    error_shape="detail",
    usage="always",
    token_ids=False,
    messages=(
        ("[Errno 98] error while attempting to bind: address already in use", "port_in_use"),
        (
            "RuntimeError: [enforce fail] DefaultCPUAllocator: can't allocate memory",
            "out_of_memory",
        ),
        ("ValueError: Unrecognized model in /m.", "unsupported"),
        ("Error: No such option: --x", "bad_flag"),
    ),
    unknown_option="Error: No such option: {}",
    port_taken="[Errno 98] error while attempting to bind: address already in use",
)

BEHAVIOURS: Mapping[str, Behaviour] = {
    "vllm": VLLM,
    "sglang": SGLANG,
    "tensorrt-llm": TENSORRT_LLM,
    "transformers": TRANSFORMERS,
}
"""By the engine's name in studies."""
