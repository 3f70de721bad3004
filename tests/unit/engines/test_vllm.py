"""The vLLM adapter: flags by version and platform, refusals by name, the request body."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from inferometer import tuning
from inferometer.engine import (
    QUANTITIES,
    Completion,
    Engine,
    LaunchContext,
    LaunchSpec,
    Platform,
    Unsupported,
    release,
)
from inferometer_engines.vllm import METRICS, Vllm

ENGINE: Engine = Vllm()
CPU = Platform(system="linux", machine="x86_64", python="3.11", accelerator="cpu")
CUDA = Platform(system="linux", machine="x86_64", python="3.11", accelerator="cuda")


def context(platform: Platform = CPU, version: str = "0.32.0", **spec: object) -> LaunchContext:
    return LaunchContext(
        python=Path("/env/bin/python"),
        version=version,
        model_path=Path("/models/m"),
        model_name="/models/m",
        host="127.0.0.1",
        port=20001,
        platform=platform,
        spec=LaunchSpec(**spec),  # type: ignore[arg-type]
        profile="defaults",
        cores=2,
        memory_bytes=8 << 30,
    )


def test_the_cpu_build_is_started_by_its_module() -> None:
    command = ENGINE.command(context(graphs=False, max_model_len=2048))
    line = " ".join(command.argv)
    assert line.startswith(
        "/env/bin/python -m vllm.entrypoints.launchers.api_server.entry --model /models/m"
    )
    assert "--enforce-eager" in command.argv
    assert "--max-model-len 2048" in line
    assert command.env["VLLM_CPU_KVCACHE_SPACE"] == "2"
    assert command.instrument_env["VLLM_NO_USAGE_STATS"] == "1"
    assert "VLLM_SERVER_DEV_MODE" not in command.env


def test_an_older_cpu_build_has_another_module() -> None:
    assert "vllm.entrypoints.openai.api_server" in ENGINE.command(context(version="0.20.1")).argv


def test_the_gpu_build_is_started_by_its_script() -> None:
    command = ENGINE.command(context(CUDA, "0.33.0", tensor_parallel_size=2))
    assert command.argv[:3] == ("/env/bin/vllm", "serve", "/models/m")
    assert "VLLM_CPU_KVCACHE_SPACE" not in command.env
    assert " ".join(command.argv).count("--tensor-parallel-size 2") == 1


def test_every_field_that_is_set_is_translated() -> None:
    line = " ".join(
        ENGINE.command(
            context(
                dtype="float16",
                max_num_seqs=64,
                prefix_caching=False,
                seed=7,
                extra_args=("--foo", "bar"),
            )
        ).argv
    )
    assert "--dtype float16" in line
    assert "--max-num-seqs 64" in line
    assert "--no-enable-prefix-caching" in line
    assert "--seed 7" in line
    assert line.endswith("--foo bar")


def test_kv_tokens_become_bytes_and_the_variable_that_outranks_the_flag_is_left_out() -> None:
    known = replace(context(kv_cache_tokens=1000), kv_bytes_per_token=2048)
    command = ENGINE.command(known)
    assert "--kv-cache-memory-bytes 2048000" in " ".join(command.argv)
    assert "VLLM_CPU_KVCACHE_SPACE" not in command.env
    for unsure in (
        context(kv_cache_tokens=1000),
        replace(known, spec=replace(known.spec, tensor_parallel_size=2)),
        replace(known, spec=replace(known.spec, kv_cache_dtype="fp8")),
    ):
        with pytest.raises(Unsupported, match=r"kv_cache_tokens .* set kv_cache_bytes alone"):
            ENGINE.command(unsure)
    with pytest.raises(Unsupported, match=r"vllm 0\.16\.0: kv_cache_bytes has no equivalent"):
        ENGINE.command(context(version="0.16.0", kv_cache_bytes=2**30))


def test_the_cpus_attention_calls_its_own_type_auto() -> None:
    assert "--kv-cache-dtype auto" in line(CPU, "0.32.0", kv_cache_dtype="bfloat16")
    assert "--kv-cache-dtype fp8" in line(CPU, "0.32.0", kv_cache_dtype="fp8")
    assert "--kv-cache-dtype bfloat16" in line(CUDA, "0.33.0", kv_cache_dtype="bfloat16")


@pytest.mark.parametrize(
    ("version", "dtype", "word"),
    [
        ("0.12.0", "bfloat16", "auto"),
        ("0.16.0", "bfloat16", "bfloat16"),
        ("0.16.0", "float16", "auto"),
        ("0.20.2", "float16", "float16"),
        ("0.33.0", "float32", "auto"),
    ],
)
def test_the_model_s_own_type_has_a_name_in_later_releases(
    version: str, dtype: str, word: str
) -> None:
    """Before, FlashAttention takes it as ``auto`` only, and the parser may not know it at all."""
    said = line(CUDA, version, dtype=dtype, kv_cache_dtype=dtype)
    assert f"--kv-cache-dtype {word} " in f"{said} "
    other = line(CUDA, version, dtype=dtype, kv_cache_dtype="fp8")
    assert "--kv-cache-dtype fp8" in other


def test_experts_are_spread_over_all_or_none() -> None:
    said = line(CUDA, "0.33.0", tensor_parallel_size=2, expert_parallel_size=2)
    assert said.count("--enable-expert-parallel") == 1
    with pytest.raises(Unsupported, match=r"expert_parallel_size is .* = 2 or 1, not 4"):
        ENGINE.command(context(CUDA, "0.33.0", tensor_parallel_size=2, expert_parallel_size=4))


def test_a_backend_an_older_release_cannot_choose_is_refused_by_name_and_version() -> None:
    assert "--attention-backend X" in line(CUDA, "0.13.0", attention_backend="X")
    with pytest.raises(Unsupported, match=r"vllm 0\.12\.0: attention_backend has no equivalent"):
        ENGINE.command(context(CUDA, "0.12.0", attention_backend="X"))


def test_images_are_the_projects_own() -> None:
    assert ENGINE.image(CUDA, "0.33.0") == "vllm/vllm-openai:v0.33.0"
    assert ENGINE.image(CPU, "0.32.0").endswith("/vllm-cpu-release-repo:v0.32.0")
    rocm = replace(CUDA, accelerator="rocm")
    with pytest.raises(Unsupported, match="no container image"):
        ENGINE.image(rocm, "0.33.0")


def test_counters_have_canonical_names() -> None:
    assert {counter.name for counter in METRICS.counters} <= set(QUANTITIES)


def line(platform: Platform, version: str, **spec: object) -> str:
    return " ".join(ENGINE.command(context(platform, version, **spec)).argv)


def test_the_body_pins_length_and_asks_for_token_ids() -> None:
    body = ENGINE.request(
        Completion(model="m", prompt_ids=[1, 2], prompt_text="ignored", output_tokens=5)
    )
    assert body["prompt"] == [1, 2]
    assert (body["max_tokens"], body["min_tokens"], body["ignore_eos"]) == (5, 5, True)
    assert body["stream_options"] == {"include_usage": True}
    assert body["return_token_ids"] is True


def test_the_lock_pins_everything_and_leaves_the_cuda_builds_out() -> None:
    requirements = ENGINE.requirements(CPU)
    lines = [
        line.split(";")[0].strip()
        for line in requirements.lock.splitlines()
        if line.strip() and not line.startswith("#")
    ]
    assert all("==" in line for line in lines)
    names = {line.split("==")[0].lower() for line in lines}
    assert "vllm-cpu" in names
    assert not names & {"torchvision", "torchaudio", "torchcodec"}


@pytest.mark.parametrize(
    "platform",
    [
        replace(CUDA, python="3.14"),
        replace(CUDA, machine="aarch64"),
        replace(CUDA, accelerator="rocm"),
        Platform(system="darwin", machine="arm64", python="3.11", accelerator="cpu"),
    ],
)
def test_a_platform_without_a_lock_says_what_to_do(platform: Platform) -> None:
    with pytest.raises(Unsupported, match="set python = PATH"):
        ENGINE.requirements(platform)


def test_versions_with_suffixes_are_read() -> None:
    assert release("0.32.0") == (0, 32, 0)
    assert release("0.33rc1.dev2") == (0, 33, 0)


@pytest.mark.parametrize(
    ("extra_args", "names"),
    [
        ((), set()),
        (("--max-num-seqs", "64"), {"max_num_seqs"}),
        (("--max_num_batched_tokens=4096", "--no-enforce-eager"), {"max_num_batched_tokens"}),
        (("--performance-mode", "throughput"), {"performance_mode"}),
        (("--trust-remote-code",), set()),
    ],
)
def test_a_knob_that_the_study_sets_in_vllm_s_own_words_is_known(
    extra_args: tuple[str, ...], names: set[str]
) -> None:
    at = replace(context(CUDA, "0.33.0", extra_args=extra_args), streams=16)
    assert tuning.said(ENGINE, at, ENGINE.knobs(at)) == names
    on_cpu = replace(context(CPU, extra_args=extra_args), streams=300)
    graphs = {"graphs"} if "--no-enforce-eager" in extra_args else set()
    assert (
        tuning.said(ENGINE, on_cpu, ENGINE.knobs(on_cpu)) == (names - {"performance_mode"}) | graphs
    )
