"""Memory that processes use on accelerators, by NVIDIA's management library (NVML)."""

from __future__ import annotations

import contextlib
import importlib
from typing import TYPE_CHECKING, Any

from inferometer.processes import alive
from inferometer.records import Told

if TYPE_CHECKING:
    from collections.abc import Callable

SOURCE = "NVML, used memory by process"


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
