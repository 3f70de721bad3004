"""The adapter, as its author would test it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from inferometer.engine import Completion, Engine, LaunchContext, LaunchSpec, Platform, Unsupported
from inferometer_transformers import TransformersServe

ENGINE: Engine = TransformersServe()
CPU = Platform(system="linux", machine="x86_64", python="3.11", accelerator="cpu")


def context(**spec: Any) -> LaunchContext:
    return LaunchContext(
        python=Path("/env/bin/python"),
        version="5.19.0",
        model_path=Path("/models/m"),
        model_name="/models/m",
        host="127.0.0.1",
        port=20001,
        platform=CPU,
        spec=LaunchSpec(**spec),
        profile="defaults",
        cores=2,
        memory_bytes=20 << 30,
    )


def test_the_command_batches_continuously_and_bounds_the_kv_cache() -> None:
    argv = ENGINE.command(context(graphs=False)).argv
    assert argv[:3] == ("/env/bin/transformers", "serve", "/models/m")
    assert "--continuous-batching" in argv
    assert float(argv[argv.index("--cb-max-memory-percent") + 1]) == 0.1
    assert "--compile" not in argv


@pytest.mark.parametrize("gib", [8, 1536, 6144])
def test_the_kv_cache_has_two_gib_on_machines_of_any_size(gib: int) -> None:
    argv = ENGINE.command(replace(context(), memory_bytes=gib << 30)).argv
    share = float(argv[argv.index("--cb-max-memory-percent") + 1])
    assert share * gib == pytest.approx(2, rel=0.01)


def test_the_body_holds_only_accepted_fields() -> None:
    body = ENGINE.request(
        Completion(model="/models/m", prompt_ids=[1, 2], prompt_text="a b", output_tokens=5)
    )
    assert set(body) == {
        *("model", "prompt", "max_tokens", "temperature", "stream", "generation_config")
    }
    assert body["prompt"] == "a b"
    assert json.loads(body["generation_config"])["eos_token_id"] == -1


@pytest.mark.parametrize("field", ["max_model_len", "max_num_seqs", "prefix_caching"])
def test_what_it_cannot_do_is_refused_by_name(field: str) -> None:
    with pytest.raises(Unsupported, match=field):
        ENGINE.command(context(**{field: 1}))


def test_the_lock_is_for_this_platform_only() -> None:
    assert "transformers==" in ENGINE.requirements(CPU).lock
    other = Platform(system="linux", machine="aarch64", python="3.11", accelerator="cpu")
    with pytest.raises(Unsupported, match="aarch64"):
        ENGINE.requirements(other)
