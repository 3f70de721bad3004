"""The bundled meters. What each reads, and what it takes: docs/reference/meters.md."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inferometer import hookimpl
from inferometer_plugins.meters.amd import Amd, AmdPower
from inferometer_plugins.meters.csv_file import CsvFile
from inferometer_plugins.meters.declared import CpuTime, Declared, Tdp
from inferometer_plugins.meters.hwmon import Hwmon
from inferometer_plugins.meters.nvml import Nvml, NvmlPower
from inferometer_plugins.meters.rapl import Rapl
from inferometer_plugins.meters.replay import Replay

if TYPE_CHECKING:
    from collections.abc import Sequence

    from inferometer.meter import EnergyMeter

__all__ = [
    "Amd",
    "AmdPower",
    "CpuTime",
    "CsvFile",
    "Declared",
    "Hwmon",
    "Nvml",
    "NvmlPower",
    "Rapl",
    "Replay",
    "Tdp",
]


@hookimpl
def inferometer_meters() -> Sequence[EnergyMeter]:
    """Return the bundled meters."""
    return [
        Nvml(),
        NvmlPower(),
        Amd(),
        AmdPower(),
        Rapl(),
        Hwmon(),
        CsvFile(),
        Declared(),
        CpuTime(),
        Tdp(),
        Replay(),
    ]
