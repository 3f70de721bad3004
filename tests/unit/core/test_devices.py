"""Memory on accelerators, with a stand-in for NVIDIA's library."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import pytest

from inferometer.devices import DeviceMemory, Returning


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


def held(frames: list[list[tuple[int, list[int]]]]) -> Any:
    """Return a library; ``frames`` holds, look by look, each device's bytes in use and pids."""
    looks = iter(frames)
    current: list[tuple[int, list[int]]] = []

    def memory(handle: int) -> SimpleNamespace:
        if handle == 0:
            current[:] = next(looks, frames[-1])
        return SimpleNamespace(used=current[handle][0])

    return SimpleNamespace(
        NVMLError=FakeError,
        nvmlInit=lambda: None,
        nvmlShutdown=lambda: None,
        nvmlDeviceGetCount=lambda: len(frames[0]),
        nvmlDeviceGetHandleByIndex=lambda index: index,
        nvmlDeviceGetMemoryInfo=memory,
        nvmlDeviceGetComputeRunningProcesses=lambda handle: [
            SimpleNamespace(pid=pid) for pid in current[handle][1]
        ],
    )


def returned(
    monkeypatch: pytest.MonkeyPatch, library: Any, patience_s: float = 60.0
) -> tuple[Any, list[str]]:
    monkeypatch.setitem(sys.modules, "pynvml", library)
    said: list[str] = []
    with Returning("cuda", said.append, patience_s) as memory:
        pass
    return memory.told, said


def test_the_next_engine_waits_until_memory_is_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    free: tuple[int, list[int]] = (1 << 30, [])
    used = (60 << 30, [7])
    library = held([[free, free], [used, used], [used, free], [(1 << 30, [9]), free]])
    told, said = returned(monkeypatch, library)
    assert told.value >= 0.4  # two looks later
    assert (told.reason, said) == (None, [])


def test_memory_of_nobody_is_waited_for_no_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    told, said = returned(monkeypatch, held([[(1 << 30, [])], [(60 << 30, [])]]))
    assert (told.reason, said) == (None, [])


def test_memory_that_is_not_given_back_is_told_with_who_holds_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told, said = returned(monkeypatch, held([[(1 << 30, [])], [(3 << 30, [4711])]]), patience_s=0.3)
    assert told.reason == "not_returned"
    assert told.detail == "device 0: 2048 MiB more than before, processes 4711"
    assert len(said) == 1


def test_without_an_accelerator_nothing_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    with Returning("cpu", print) as memory:
        pass
    assert memory.told is None

    def down() -> None:
        raise FakeError("driver is down")

    broken = SimpleNamespace(NVMLError=FakeError, nvmlInit=down)
    assert returned(monkeypatch, broken)[0].detail == "NVML: driver is down"
    assert returned(monkeypatch, None)[0].reason == "no_device"


def test_an_interrupt_does_not_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", held([[(1 << 30, [])], [(3 << 30, [4711])]]))
    memory = Returning("cuda", print)
    with pytest.raises(KeyboardInterrupt), memory:
        raise KeyboardInterrupt
    assert memory.told is None
