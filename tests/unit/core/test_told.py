"""What engines say of their launches, read from words that real ones said."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from inferometer.engine import Says
from inferometer.told import NAMES, told
from inferometer_engines.sglang import SAYS as SGLANG
from inferometer_engines.tensorrt_llm import SAYS as TENSORRT_LLM
from inferometer_engines.vllm import SAYS as VLLM

if TYPE_CHECKING:
    from pathlib import Path

VLLM_LOG = """\
(Worker pid=28347) INFO 11-22 06:57:06 [unquantized.py:364] Using CPU Unquantized MoE backend out \
of potential backends: ['CPU'].
(Worker pid=28347) INFO 11-22 06:57:17 [gpu_model_runner.py:5150] Model loading took 1.26 GiB \
memory and 9.1 seconds
(EngineCore pid=28292) INFO 11-22 06:57:17 [kv_cache_utils.py:2327] CPU KV cache size: 93,184 \
tokens, Maximum concurrency for 8,192 tokens per request: 11.38x
"""
OLDER = """\
INFO 11-22 06:57:17 [kv_cache_utils.py:1087] GPU KV cache size: 1,093,184 tokens
INFO 11-22 06:57:17 [kv_cache_utils.py:1091] Maximum concurrency for 8,192 tokens per request: \
133.45x
"""
CONFIGURATION = {
    "/version": {"version": "0.32.0"},
    "/server_info?config_format=json#vllm_config": {
        "model_config": {"dtype": "torch.bfloat16", "enforce_eager": True, "quantization": None},
        "cache_config": {"kv_cache_size_tokens": 93184, "enable_prefix_caching": True},
        "scheduler_config": {"max_num_seqs": 128},
    },
}


def write(tmp_path: Path, text: str) -> Path:
    log = tmp_path / "server.log"
    log.write_text(text)
    return log


def test_settings_and_capacity_come_from_the_answer_and_the_rest_from_the_log(
    tmp_path: Path,
) -> None:
    said = told(VLLM, CONFIGURATION, write(tmp_path, VLLM_LOG))
    assert set(said) == set(NAMES)
    assert said["kv_cache_tokens"].value == 93184
    assert said["kv_cache_tokens"].source == "cache_config.kv_cache_size_tokens"
    assert said["max_concurrency"].value == 11.38
    assert said["max_concurrency"].source == "server.log"
    assert said["weights_bytes"].value == pytest.approx(1.26 * 2**30)
    assert said["moe_backend"].value == "CPU Unquantized"
    assert said["prefix_caching"].value is True
    assert said["graphs"].value is False
    assert said["dtype"].value == "torch.bfloat16"
    # a null is no answer, and what no adapter declares is not known either: both say so
    assert (said["quantization"].value, said["quantization"].reason) == (None, "not_told")
    assert said["speculative"].detail == "the adapter names no place for it"


def test_an_older_release_says_it_in_two_lines(tmp_path: Path) -> None:
    said = told(VLLM, {}, write(tmp_path, OLDER))
    assert said["kv_cache_tokens"].value == 1_093_184
    assert said["max_concurrency"].value == 133.45


def test_sglang_and_tensorrt_llm(tmp_path: Path) -> None:
    answer = {
        "tp_size": 2,
        "disable_radix_cache": True,
        "chunked_prefill_size": -1,
        "max_total_num_tokens": 350257,
        "internal_states": [{"memory_usage": {"weight": 0.5, "kvcache": 0.25}}],
    }
    said = told(SGLANG, {"/server_info": answer}, write(tmp_path, ""))
    assert (said["tensor_parallel_size"].value, said["kv_cache_tokens"].value) == (2, 350257)
    assert (said["prefix_caching"].value, said["chunked_prefill"].value) == (False, False)
    assert (said["weights_bytes"].value, said["kv_cache_bytes"].value) == (2**29, 2**28)
    line = "[TensorRT-LLM][INFO] [MemUsageChange] Allocated 0.50 GiB for max tokens in paged KV "
    said = told(TENSORRT_LLM, {}, write(tmp_path, line + "cache (8224).\n"))
    assert (said["kv_cache_tokens"].value, said["kv_cache_bytes"].value) == (8224, 2**29)


@pytest.mark.parametrize("says", [VLLM, SGLANG, TENSORRT_LLM])
def test_every_place_is_one_and_every_name_is_known(says: tuple[Says, ...]) -> None:
    for one in says:
        assert one.name in NAMES
        assert bool(one.path) != bool(one.pattern), one
        assert not one.pattern or re.compile(one.pattern).groups == 1, one


def test_what_an_engine_says_is_not_trusted(tmp_path: Path) -> None:
    says = (
        Says(name="dtype", path="a"),
        Says(name="seed", path="b.0.c"),
        Says(name="kv_cache_tokens", path="d"),
        Says(name="max_model_len", path="e.f"),
    )
    answer = {"a": "x\x1b[31m" + "y" * 999, "b": [], "d": float("inf"), "e": [1]}
    said = told(says, {"/": answer}, tmp_path / "absent.log")
    assert said["dtype"].value == ("x" + "y" * 199)
    assert [said[name].reason for name in ("seed", "kv_cache_tokens", "max_model_len")] == [
        "not_told"
    ] * 3
