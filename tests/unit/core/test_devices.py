"""Memory on accelerators, with a stand-in for NVIDIA's library."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import pytest

from inferometer.devices import DeviceMemory


class FakeError(Exception):
    pass


def fake(frames: list[list[list[tuple[int, int | None]]]]) -> Any:
    """Return a library; ``frames`` holds, look by look, each device's (pid, bytes)."""
    looks = iter(frames)
    current: list[list[tuple[int, int | None]]] = []

    def processes(handle: int) -> list[SimpleNamespace]:
        if handle == 0:
            current[:] = next(looks)
        return [SimpleNamespace(pid=pid, usedGpuMemory=used) for pid, used in current[handle]]

    return SimpleNamespace(
        NVMLError=FakeError,
        nvmlInit=lambda: None,
        nvmlShutdown=lambda: None,
        nvmlDeviceGetCount=lambda: len(frames[0]),
        nvmlDeviceGetHandleByIndex=lambda index: index,
        nvmlDeviceGetComputeRunningProcesses=processes,
    )


def test_the_peak_is_summed_over_devices_and_our_processes_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    frames: list[list[list[tuple[int, int | None]]]] = [
        [[(1, 10), (99, 500)], [(2, 20)]],
        [[(1, 40), (99, 900)], [(2, 20)]],
        [[(1, 5)], [(2, None)]],
    ]
    monkeypatch.setitem(sys.modules, "pynvml", fake(frames))
    memory = DeviceMemory(7, pids=lambda session: [1, 2] if session == 7 else [])
    memory.open("cuda")
    for _ in frames:
        memory.look()
    memory.close()
    assert memory.told().value == 60
    assert memory.told().reason is None


def test_a_server_whose_processes_cannot_be_seen_has_no_peak() -> None:
    memory = DeviceMemory(None)
    memory.open("cuda")
    memory.look()
    memory.close()
    assert (memory.told().value, memory.told().reason) == (None, "not_told")


def test_processes_of_another_namespace_are_no_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", fake([[[(4711, 10)]]]))
    memory = DeviceMemory(7, pids=lambda _: [1])
    memory.open("cuda")
    memory.look()
    assert (memory.told().value, memory.told().reason) == (None, "not_told")


@pytest.mark.parametrize(
    ("accelerator", "library", "words"),
    [("cpu", None, "no NVIDIA device"), ("cuda", None, "nvidia-ml-py"), ("cuda", "broken", "down")],
)
def test_without_a_device_or_the_library_there_is_a_reason(
    monkeypatch: pytest.MonkeyPatch, accelerator: str, library: str | None, words: str
) -> None:
    def down() -> None:
        raise FakeError("driver is down")

    broken = SimpleNamespace(NVMLError=FakeError, nvmlInit=down)
    monkeypatch.setitem(sys.modules, "pynvml", broken if library else None)
    memory = DeviceMemory(1)
    memory.open(accelerator)
    memory.look()
    memory.close()
    assert (memory.told().value, memory.told().reason) == (None, "no_device")
    assert words in memory.told().detail
