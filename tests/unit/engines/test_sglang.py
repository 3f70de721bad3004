"""The SGLang adapter: flags, program and readiness by release; refusals, failures, counters."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from inferometer.counters import snapshot
from inferometer.engine import (
    QUANTITIES,
    Engine,
    LaunchContext,
    LaunchSpec,
    Platform,
    Speculative,
    Unsupported,
    profiled,
)
from inferometer_engines.sglang import METRICS, Sglang

ENGINE: Engine = Sglang()
CPU = Platform(system="linux", machine="x86_64", python="3.11", accelerator="cpu")
CUDA = Platform(system="linux", machine="x86_64", python="3.11", accelerator="cuda")
ROCM = Platform(system="linux", machine="x86_64", python="3.11", accelerator="rocm")


def context(version: str = "0.5.23", platform: Platform = CUDA, **spec: Any) -> LaunchContext:
    return LaunchContext(
        python=Path("/env/bin/python"),
        version=version,
        model_path=Path("/models/m"),
        model_name="/models/m",
        host="127.0.0.1",
        port=20001,
        platform=platform,
        spec=LaunchSpec(**spec),
        profile="defaults",
        cores=2,
        memory_bytes=8 << 30,
    )


def line(*args: Any, **spec: Any) -> str:
    return " ".join(ENGINE.command(context(*args, **spec)).argv)


def test_the_program_and_the_readiness_depend_on_the_release() -> None:
    new, old = ENGINE.command(context()), ENGINE.command(context("0.5.18"))
    assert new.argv[:3] == ("/env/bin/sglang", "serve", "--model-path")
    assert old.argv[:3] == ("/env/bin/python", "-m", "sglang.launch_server")
    assert new.readiness is not None
    assert old.readiness is not None
    assert (new.readiness.path, old.readiness.path) == ("/ready", "/health")


@pytest.mark.parametrize(
    ("version", "flags"),
    [
        ("0.5.9", "--disable-cuda-graph"),
        ("0.5.12", "--disable-cuda-graph --disable-piecewise-cuda-graph"),
        ("0.5.14", "--cuda-graph-backend-decode disabled --cuda-graph-backend-prefill disabled"),
        ("0.5.23", "--cuda-graph-backend-decode disabled --cuda-graph-backend-prefill disabled"),
    ],
)
def test_eager_has_another_word_in_each_generation(version: str, flags: str) -> None:
    assert f" {flags} --enable-cache-report" in line(version, graphs=False)


def test_a_token_budget_is_two_flags_and_without_chunks_one() -> None:
    assert "--chunked-prefill-size 512 --max-prefill-tokens 512" in line(max_num_batched_tokens=512)
    whole = line(max_num_batched_tokens=512, chunked_prefill=False)
    assert "--max-prefill-tokens 512 --chunked-prefill-size -1" in whole


def test_a_draft_is_a_chain() -> None:
    said = line(speculative=Speculative(method="eagle3", tokens=3, model="/h"))
    assert (
        "--speculative-algorithm EAGLE3 --speculative-draft-model-path /h "
        "--speculative-num-steps 3 --speculative-eagle-topk 1 --speculative-num-draft-tokens 4"
    ) in said


def test_the_cpu_engine_is_asked_for_twice() -> None:
    command = ENGINE.command(context(platform=CPU))
    assert "--device cpu" in " ".join(command.argv)
    assert command.env["SGLANG_USE_CPU_ENGINE"] == "1"


def test_equalized_sets_budgets_and_switches_the_models_sampling_off() -> None:
    spec = profiled(LaunchSpec(kv_cache_tokens=4096, max_num_seqs=32), "equalized")
    at = context()
    equal = LaunchContext(
        **{name: getattr(at, name) for name in at.__slots__ if name not in {"spec", "profile"}},
        spec=spec,
        profile="equalized",
    )
    said = " ".join(ENGINE.command(equal).argv)
    for words in (
        "--disable-radix-cache",
        "--chunked-prefill-size 8192 --max-prefill-tokens 8192",
        "--max-running-requests 32",
        "--max-total-tokens 4096",
        "--kv-cache-dtype bf16",
        "--random-seed 0",
        "--sampling-defaults openai",
        "--cuda-graph-max-bs-decode 32",
    ):
        assert words in said


@pytest.mark.parametrize(
    "platform", [CPU, ROCM, replace(CUDA, machine="aarch64"), replace(CUDA, python="3.14")]
)
def test_a_platform_without_a_lock_says_what_to_do(platform: Platform) -> None:
    with pytest.raises(Unsupported) as refusal:
        ENGINE.requirements(platform)
    assert refusal.value.message.startswith("sglang: ")
    assert refusal.value.remedy == "Set python = PATH to an interpreter that has SGLang."


def test_the_model_s_own_kv_type_is_auto_where_it_has_no_name() -> None:
    assert "--kv-cache-dtype bf16" in line(dtype="bfloat16", kv_cache_dtype="bfloat16")
    assert "--kv-cache-dtype auto" in line(dtype="float16", kv_cache_dtype="float16")
    assert "--kv-cache-dtype auto" in line(dtype="float32", kv_cache_dtype="float32")
    assert "--kv-cache-dtype fp8_e4m3" in line(dtype="float16", kv_cache_dtype="fp8")


def test_the_image_is_the_releases_own() -> None:
    assert ENGINE.image(CUDA, "0.5.23") == "lmsysorg/sglang:v0.5.23"
    with pytest.raises(Unsupported, match="no container image"):
        ENGINE.image(ROCM, "0.5.23")


def test_counters_have_canonical_names() -> None:
    assert {counter.name for counter in METRICS.counters} <= set(QUANTITIES)
    assert all(counter.source.startswith("sglang:") for counter in METRICS.counters)


def test_a_running_servers_metrics_are_read_to_the_token() -> None:
    page = Path(__file__).parents[2] / "golden" / "metrics" / "sglang-0.5.23.prom"
    assert snapshot(METRICS, lambda _: page.read_bytes()) == {
        "prompt_tokens": 6 + 5 + 5,
        "prompt_tokens_computed": 10,
        "prompt_tokens_cached": 6,
        "output_tokens": 8 + 6 + 6,
        "requests_finished": 3,
        "requests_running": 0,
        "requests_waiting": 0,
        "kv_cache_usage": 0,
        "kv_cache_capacity": 8192,
    }
