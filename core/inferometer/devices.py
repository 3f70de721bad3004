"""Memory that processes use on accelerators, by NVIDIA's management library (NVML)."""

from __future__ import annotations

import contextlib
import importlib
import time
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from inferometer.processes import alive
from inferometer.records import Told

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

SOURCE = "NVML, used memory by process"
RETURN_S = 30.0
"""For a driver to take back the memory of an engine that has ended."""
RETURN_LOOK_S = 0.2
SLACK_BYTES = 64 << 20
"""By so much may a device's used memory differ and count as the same."""


class DeviceMemory:
    """The largest sum seen of one session's memory on all NVIDIA devices.

    The library ``pynvml`` (distribution ``nvidia-ml-py``) is imported by :meth:`open` only. Where
    nothing can be read, :meth:`told` says why.
    """

    def __init__(self, session_id: int | None, pids: Callable[[int], list[int]] = alive) -> None:
        self.session_id = session_id
        self._pids = pids
        self._nvml: Any = None
        self._handles: list[Any] = []
        self._peak: int | None = None
        self._reason, self._detail = "no_device", "never looked at"

    def open(self, accelerator: str) -> None:
        """Begin, on a machine with ``accelerator``."""
        if self.session_id is None:
            self._reason, self._detail = "not_told", "its processes cannot be seen from here"
            return
        if accelerator != "cuda":
            self._detail = "no NVIDIA device here; those of others are not read"
            return
        try:
            nvml = importlib.import_module("pynvml")
        except ImportError:
            self._detail = "pynvml is not installed: pip install nvidia-ml-py"
            return
        try:
            nvml.nvmlInit()
            count = nvml.nvmlDeviceGetCount()
            self._handles = [nvml.nvmlDeviceGetHandleByIndex(index) for index in range(count)]
        except nvml.NVMLError as error:
            self._detail = f"NVML: {error}"
            return
        self._nvml = nvml
        self._reason, self._detail = "not_told", "NVML names no process of the engine"

    def look(self) -> None:
        """Read now."""
        if self._nvml is None or self.session_id is None:
            return
        ours = set(self._pids(self.session_id))
        used, seen = 0, False
        for handle in self._handles:
            try:
                rows = self._nvml.nvmlDeviceGetComputeRunningProcesses(handle)
            except self._nvml.NVMLError as error:
                self._detail = f"NVML: {error}"
                return
            for row in rows:
                if row.pid in ours and row.usedGpuMemory is not None:
                    used, seen = used + int(row.usedGpuMemory), True
        if seen:
            self._peak = max(self._peak or 0, used)

    def close(self) -> None:
        """End."""
        if self._nvml is not None:
            with contextlib.suppress(self._nvml.NVMLError):
                self._nvml.nvmlShutdown()

    def told(self) -> Told:
        """Return the peak in bytes, or why there is none.

        In a container without the host's process numbers NVML names other processes than ours.
        """
        if self._peak is None:
            return Told(reason=self._reason, detail=self._detail)
        return Told(value=self._peak, source=SOURCE)


class _Used(NamedTuple):
    """Of one device."""

    bytes: int
    pids: tuple[int, ...]


class Returning:
    """Around an engine's life: waits at its end until the accelerators' memory is as it was before.

    A device on which no process is counts as given back, too. ``told`` has the seconds it took, or
    the reason why that is not known; None where there is no NVIDIA device. ``warn`` is told when
    the memory is not given back.
    """

    def __init__(
        self, accelerator: str, warn: Callable[[str], None], patience_s: float = RETURN_S
    ) -> None:
        self.told: Told | None = None
        self._accelerator, self._warn, self._patience_s = accelerator, warn, patience_s
        self._nvml: Any = None
        self._handles: list[Any] = []
        self._before: list[_Used] = []

    def __enter__(self) -> Self:
        if self._accelerator != "cuda":
            return self
        try:
            nvml = importlib.import_module("pynvml")
        except ImportError:
            self.told = Told(reason="no_device", detail="pynvml is not installed")
            return self
        try:
            nvml.nvmlInit()
            count = nvml.nvmlDeviceGetCount()
            self._handles = [nvml.nvmlDeviceGetHandleByIndex(index) for index in range(count)]
            self._nvml = nvml
            self._before = self._used()
        except nvml.NVMLError as error:
            self._nvml, self.told = None, Told(reason="not_told", detail=f"NVML: {error}")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._nvml is None:
            return
        try:
            if kind is None or issubclass(kind, Exception):  # an interrupt does not wait
                self._wait()
        except self._nvml.NVMLError as broken:
            self.told = Told(reason="not_told", detail=f"NVML: {broken}")
        finally:
            with contextlib.suppress(self._nvml.NVMLError):
                self._nvml.nvmlShutdown()

    def _wait(self) -> None:
        began = time.monotonic()
        while held := self._held():
            if time.monotonic() - began > self._patience_s:
                self.told = Told(reason="not_returned", detail="; ".join(held))
                self._warn(f"memory not given back after {self._patience_s:g} s: {'; '.join(held)}")
                return
            time.sleep(RETURN_LOOK_S)
        self.told = Told(value=time.monotonic() - began, source="NVML, used memory by device")

    def _held(self) -> list[str]:
        """Return in words what is held beyond what was before."""
        return [
            f"device {index}: {(now.bytes - before.bytes) / 2**20:.0f} MiB more than before, "
            f"processes {', '.join(map(str, now.pids))}"
            for index, (before, now) in enumerate(zip(self._before, self._used(), strict=True))
            if now.bytes > before.bytes + SLACK_BYTES and now.pids
        ]

    def _used(self) -> list[_Used]:
        nvml = self._nvml
        return [
            _Used(
                int(nvml.nvmlDeviceGetMemoryInfo(handle).used),
                tuple(int(row.pid) for row in nvml.nvmlDeviceGetComputeRunningProcesses(handle)),
            )
            for handle in self._handles
        ]
