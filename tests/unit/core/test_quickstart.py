"""What quickstart chooses, on machines that are described and not there."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from inferometer import environment, quickstart
from inferometer.engine import Platform, Requirements, Unsupported
from inferometer.errors import MachineError
from inferometer.plugins import Registry
from inferometer.study import dump, parse

HOST: dict[str, Any] = {
    "cpu_model": "Fast CPU",
    "cpu_flags": ["avx2", "avx512f"],
    "cores": 2,
    "memory_gib": 16,
    "gpus": [],
}


def works(_: Platform) -> Requirements:
    return Requirements(lock="", distribution="x")


def refuses(platform: Platform) -> Requirements:
    raise Unsupported(f"nothing for {platform}")


def registry(
    engines: dict[str, Callable[[Platform], Requirements]],
    meters: tuple[str, ...] = ("cpu-time", "declared", "rapl", "nvml", "strange"),
    problems: tuple[object, ...] = (),
) -> Registry:
    fake = SimpleNamespace(
        engines=lambda: {n: SimpleNamespace(requirements=r) for n, r in engines.items()},
        meters=lambda: dict.fromkeys(meters),
        problems=lambda: problems,
    )
    return cast("Registry", fake)


@pytest.fixture(autouse=True)
def _platform(monkeypatch: pytest.MonkeyPatch) -> None:
    here = Platform(system="linux", machine="x86_64", python="3.11", accelerator="cpu")
    monkeypatch.setattr(environment, "current_platform", lambda: here)


def test_both_engines_and_both_models_where_both_work() -> None:
    study, reasons = quickstart.choose(registry({"vllm": works, "transformers": works}), HOST)
    assert [(entry.name, entry.graphs) for entry in study.engines] == [
        ("vllm", False),
        ("transformers", False),
    ]
    assert [(model.packaged, model.twin_of) for model in study.models] == [
        ("smollm2-135m", None),
        ("smollm2-135m-moe", "smollm2-135m"),
    ]
    assert (study.protocol.rounds, study.protocol.window_s) == (3, 10.0)
    assert (study.workloads[0].input_tokens, study.workloads[0].output_tokens) == (32, 8)
    assert study.loads[0].concurrency == 8
    assert study.preset == "quick look"
    assert {meter.name: meter.options for meter in study.meters} == {
        "cpu-time": {"watts_per_busy_core": 10.0},
        "declared": {"power_w": 65.0},
        "rapl": {},
    }
    assert study.price is not None
    assert study.price.contract == "assumed"
    text = "\n".join(reasons)
    assert "processor: Fast CPU, 2 cores (avx2, avx512f)" in text
    assert "GPU: none seen" in text


def test_the_choice_is_a_valid_study_file() -> None:
    study, _ = quickstart.choose(registry({"vllm": works}), HOST)
    assert parse(dump(study), "quickstart.toml") == study


def test_an_engine_that_is_left_out_is_named_with_the_reason() -> None:
    study, reasons = quickstart.choose(registry({"vllm": works}), HOST)
    assert [entry.name for entry in study.engines] == ["vllm"]
    left_out = "engine transformers: left out, not installed (pip install inferometer-transformers)"
    assert left_out in reasons
    assert "only one engine, vllm: it will be ranked with no other" in reasons


def test_a_broken_engine_is_not_called_absent() -> None:
    broken = SimpleNamespace(name="transformers", problem="cannot be imported: E")
    _, reasons = quickstart.choose(registry({"vllm": works}, problems=(broken,)), HOST)
    assert "engine transformers: left out, cannot be imported: E" in reasons


def test_vllm_needs_avx512_on_a_processor() -> None:
    both = registry({"vllm": works, "transformers": works})
    study, reasons = quickstart.choose(both, {**HOST, "cpu_flags": ["avx2"]})
    assert [entry.name for entry in study.engines] == ["transformers"]
    assert "engine vllm: left out, its CPU build needs avx512f, absent here" in reasons


def test_no_engine_is_an_error_with_every_reason() -> None:
    with pytest.raises(MachineError, match=r"vllm: left out, nothing for linux.*transformers"):
        quickstart.choose(registry({"vllm": refuses}), HOST)


def test_only_installed_meters_are_asked_for() -> None:
    study, reasons = quickstart.choose(registry({"vllm": works}, meters=()), HOST)
    assert study.meters == ()
    assert any(reason.startswith("energy: none installed") for reason in reasons)


def test_nvml_is_asked_where_there_is_a_gpu() -> None:
    study, _ = quickstart.choose(registry({"vllm": works}), {**HOST, "gpus": ["H200"]})
    assert "nvml" in [meter.name for meter in study.meters]


def test_a_small_machine_is_refused_early(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = tmp_path / "not" / "there"
    with pytest.raises(MachineError, match="7 GiB of memory, needs 8 GiB"):
        quickstart.check_machine({**HOST, "memory_gib": 7}, cache)
    gib = 2**30
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=11 * gib))
    with pytest.raises(MachineError, match=r"11\.0 GiB free for .*, needs 12 GiB"):
        quickstart.check_machine(HOST, cache)
    monkeypatch.setattr(quickstart, "_held_gib", lambda _: 5.0)
    assert quickstart.check_machine(HOST, cache).startswith("disk: 11 GiB free")


def test_what_the_cache_holds_is_counted(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "file").write_bytes(b"x" * 2**20)
    (tmp_path / "a" / "link").symlink_to(tmp_path / "a" / "file")
    assert quickstart._held_gib(tmp_path) == pytest.approx(2**-10)
