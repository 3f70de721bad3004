"""The probe of the processor: what it measures here, and what it says when it cannot."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from inferometer import pooling, processor
from inferometer.store import Store

if TYPE_CHECKING:
    import pytest


def test_it_measures_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processor, "LEAST_BYTES", 1 << 24)
    monkeypatch.setattr(processor, "CACHES", 0)
    found = processor.measured(Path(sys.executable), 2, 1 << 33)
    assert "reason" not in found, found
    assert found["array_bytes"] == 1 << 24
    assert 1e8 < found["read_s"] < 1e13
    assert 1e8 < found["copy_s"] < 1e13
    assert 1e8 < found["flops"]["float32"] < 1e15
    assert found["threads"] == 2
    assert found["by"]["float32"] in {"numpy", "torch"}


def test_the_arrays_are_several_caches_but_a_part_of_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "script.py"
    script.write_text("import json, sys; print(json.dumps({'read_s': 1.0, 'copy_s': 2.0}))")
    monkeypatch.setattr(processor, "SCRIPT", script)
    python = Path(sys.executable)
    monkeypatch.setattr(processor, "last_cache_bytes", lambda: 1 << 28)
    assert processor.measured(python, 1, 1 << 36)["array_bytes"] == 1 << 30
    assert processor.measured(python, 1, 1 << 30)["array_bytes"] == 1 << 27
    monkeypatch.setattr(processor, "last_cache_bytes", lambda: None)
    assert processor.measured(python, 1, 1 << 36)["array_bytes"] == 1 << 29


def test_a_probe_that_fails_stops_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "script.py"
    monkeypatch.setattr(processor, "SCRIPT", script)
    for text, words in (("import sys; sys.exit('no \x1b[1mmemory')", "no"), ("print('?')", "")):
        script.write_text(text)
        found = processor.measured(Path(sys.executable), 1, 1 << 30)
        assert found["reason"].startswith("the probe failed: ")
        assert words in found["reason"]
        assert "\x1b" not in found["reason"]
    gone = processor.measured(tmp_path / "none", 1, 1 << 30)
    assert "the probe failed" in gone["reason"]


def prepared(accelerator: str, **stacks: Any) -> Any:
    return SimpleNamespace(platform=SimpleNamespace(accelerator=accelerator), stacks=stacks)


def test_where_nothing_computes_on_the_processor_it_is_left_alone() -> None:
    simulated = SimpleNamespace(engine=SimpleNamespace(simulated=True))
    assert "accelerators serve" in processor.probed(prepared("cuda"), print)["reason"]
    assert "only simulated" in processor.probed(prepared("cpu", a=simulated), print)["reason"]


def test_the_last_cache_is_read_from_the_system(tmp_path: Path) -> None:
    for index, (level, size) in enumerate([("1", "48K"), ("3", "266240K"), ("2", "2048K")]):
        folder = tmp_path / f"sys/devices/system/cpu/cpu0/cache/index{index}"
        folder.mkdir(parents=True)
        (folder / "level").write_text(level)
        (folder / "size").write_text(size)
    assert processor.last_cache_bytes(tmp_path) == 260 << 20
    assert processor.last_cache_bytes(tmp_path / "none") is None


def test_a_resumed_study_keeps_its_first_probe(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert pooling.kept_processor(store) is None
    store.put_host({"processor": {"reason": "the probe failed"}})
    assert pooling.kept_processor(store) is None
    store.put_host({"processor": {"read_s": 1.0}})
    assert pooling.kept_processor(store) == {"read_s": 1.0}
