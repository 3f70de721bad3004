"""The bundled meters. What each reads, and what it takes: docs/reference/meters.md."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inferometer import hookimpl
from inferometer_plugins.meters.amd import Amd
from inferometer_plugins.meters.csv_file import CsvFile
from inferometer_plugins.meters.declared import CpuTime, Declared, Tdp
from inferometer_plugins.meters.hwmon import Hwmon
from inferometer_plugins.meters.nvml import Nvml
from inferometer_plugins.meters.rapl import Rapl
from inferometer_plugins.meters.replay import Replay

if TYPE_CHECKING:
    from collections.abc import Sequence

    from inferometer.meter import EnergyMeter

__all__ = [
    "Amd",
    "CpuTime",
    "CsvFile",
    "Declared",
    "Hwmon",
    "Nvml",
    "Rapl",
    "Replay",
    "Tdp",
]


@hookimpl
def inferometer_meters() -> Sequence[EnergyMeter]:
    """Return the bundled meters."""
    return [
        Nvml(),
        Nvml("nvml-power", "W"),
        Amd(),
        Amd("amd-power", "W"),
        Rapl(),
        Hwmon(),
        CsvFile(),
        Declared(),
        CpuTime(),
        Tdp(),
        Replay(),
    ]
