"""The TensorRT-LLM adapter: its YAML file, its command by release, refusals, failures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from inferometer.engine import (
    QUANTITIES,
    Completion,
    Engine,
    LaunchContext,
    LaunchSpec,
    Platform,
    Profile,
    Speculative,
    Unsupported,
    profiled,
)
from inferometer_engines.tensorrt_llm import CONFIGURATION, METRICS, TensorRtLlm

ENGINE: Engine = TensorRtLlm()
CPU = Platform(system="linux", machine="x86_64", python="3.11", accelerator="cpu")
CUDA = Platform(system="linux", machine="x86_64", python="3.11", accelerator="cuda")


def context(
    version: str = "1.4.0rc1",
    platform: Platform = CUDA,
    profile: Profile = "defaults",
    **spec: Any,
) -> LaunchContext:
    return LaunchContext(
        python=Path("/env/bin/python"),
        version=version,
        model_path=Path("/models/m"),
        model_name="/models/m",
        host="127.0.0.1",
        port=20001,
        platform=platform,
        spec=profiled(LaunchSpec(**spec), profile),
        profile=profile,
        cores=2,
        memory_bytes=8 << 30,
        files=Path("/r"),
    )


def configuration(**spec: Any) -> dict[str, Any]:
    text = ENGINE.command(context(**spec)).files[CONFIGURATION]
    found = json.loads(text)  # JSON, and so YAML
    assert isinstance(found, dict)
    return found


def test_settings_stand_in_the_file_and_nothing_is_said_twice() -> None:
    command = ENGINE.command(context(max_num_seqs=64, tensor_parallel_size=2))
    argv = " ".join(command.argv)
    assert argv.startswith("/env/bin/trtllm-serve serve /models/m --host 127.0.0.1 --port 20001")
    assert "--extra_llm_api_options /r/tensorrt-llm.yaml" in argv
    said = json.loads(command.files[CONFIGURATION])
    assert said == {
        "dtype": "bfloat16",
        "max_batch_size": 64,
        "return_perf_metrics": True,
        "tensor_parallel_size": 2,
    }
    assert not [word for word in command.argv if word.strip("-") in said]


def test_older_servers_name_the_model_themselves() -> None:
    assert "--served_model_name" in ENGINE.command(context("1.3.0rc5")).argv
    assert "--served_model_name" not in ENGINE.command(context("1.2.1")).argv


def test_reuse_capacity_and_graphs_are_nested() -> None:
    said = configuration(
        prefix_caching=False,
        kv_cache_tokens=4096,
        kv_cache_dtype="fp8",
        graphs=False,
        moe_backend="CUTLASS",
        speculative=Speculative(method="eagle3", tokens=3, model="/h"),
    )
    assert said["kv_cache_config"] == {
        "dtype": "fp8",
        "enable_block_reuse": False,
        "enable_partial_reuse": False,
        "max_tokens": 4096,
    }
    assert said["cuda_graph_config"] is None
    assert said["moe_config"] == {"backend": "CUTLASS"}
    assert said["speculative_config"] == {
        "decoding_type": "Eagle",
        "max_draft_len": 3,
        "speculative_model_dir": "/h",
    }


def test_equalized_pads_graphs_up_to_the_batch() -> None:
    said = configuration(profile="equalized", kv_cache_bytes=2**30, max_num_seqs=32)
    assert said["cuda_graph_config"] == {"enable_padding": True, "max_batch_size": 32}
    assert said["enable_chunked_prefill"] is True
    assert said["kv_cache_config"]["dtype"] == "auto"  # of a bfloat16 model
    eager = configuration(profile="equalized", kv_cache_bytes=2**30, graphs=False)
    assert eager["cuda_graph_config"] is None


def test_the_seed_goes_with_each_request() -> None:
    def body(seed: int | None) -> dict[str, Any]:
        return ENGINE.request(
            Completion(model="m", prompt_ids=[1], prompt_text="", output_tokens=2, seed=seed)
        )

    assert body(7)["seed"] == 7
    assert "seed" not in body(None)
    assert "return_token_ids" not in body(7)  # answered with 400


def test_without_an_nvidia_gpu_it_refuses_everything_by_platform() -> None:
    for ask in (
        lambda: ENGINE.requirements(CPU),
        lambda: ENGINE.image(CPU, "1.2.1"),
        lambda: ENGINE.command(context(platform=CPU)),
    ):
        with pytest.raises(Unsupported, match="needs an NVIDIA GPU"):
            ask()
    with pytest.raises(Unsupported, match=r"comes as a container, .* or python = PATH"):
        ENGINE.requirements(CUDA)
    assert ENGINE.image(CUDA, "1.2.1") == "nvcr.io/nvidia/tensorrt-llm/release:1.2.1"


def test_counters_have_canonical_names_and_the_cache_has_no_reset() -> None:
    assert {counter.name for counter in METRICS.counters} <= set(QUANTITIES)
    assert ENGINE.cache_reset is None
