"""Meters for machines without a power sensor, and the host processor's own counters.

``declared`` repeats a wattage the user typed; ``cpu-time`` multiplies the engine's CPU seconds by
declared watts per busy core; ``rapl`` reads the processor package's energy counters.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from inferometer import hookimpl
from inferometer.errors import UsageError
from inferometer.records import MeterInfo, Reading

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from inferometer.meter import EnergyMeter, MeterContext, MeterSession


def positive(context: MeterContext, meter: str, key: str) -> float:
    """Return a positive number from a meter's options, or say which key is missing or wrong."""
    value = context.options.get(key)
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not value > 0:
        raise UsageError(
            f"meter {meter!r}: options.{key} must be a positive number, not {value!r}",
            hint=f"Write `options = {{ {key} = 65 }}` under [[meters]] in the study.",
        )
    return float(value)


def blind(context: MeterContext) -> str:
    """Say why a meter of the processor alone must not speak for this engine; empty if it may."""
    if context.accelerator == "cpu":
        return ""
    return f"sees the processor only, and the engine computes on {context.accelerator}"


@dataclass(frozen=True, slots=True)
class Declared:
    """A constant wattage typed by the user: watts ``declared``, joules ``estimated``."""

    name: str = "declared"
    options: Mapping[str, type] = field(default_factory=lambda: {"power_w": float})

    def info(self, context: MeterContext) -> MeterInfo:
        """Describe the constant; it can always be read."""
        power_w = positive(context, self.name, "power_w")
        return MeterInfo(
            name=self.name,
            scope="L2",
            kind="declared",
            method=f"a constant {power_w:g} W for the whole machine, declared in the study",
            follows_throughput=True,
        )

    def open(self, context: MeterContext) -> MeterSession:
        """Begin."""
        return _Constant(positive(context, self.name, "power_w"))


@dataclass(frozen=True, slots=True)
class _Constant:
    power_w: float

    def read(self) -> Sequence[Reading]:
        now = time.monotonic_ns()
        return [Reading(meter="declared", device="machine", t_ns=now, value=self.power_w, unit="W")]

    def close(self) -> None:
        return


@dataclass(frozen=True, slots=True)
class CpuTime:
    """Engine CPU seconds x declared watts per busy core: an estimate that sees how busy it was."""

    name: str = "cpu-time"
    options: Mapping[str, type] = field(default_factory=lambda: {"watts_per_busy_core": float})

    def info(self, context: MeterContext) -> MeterInfo:
        """Describe the model; it can be read wherever there is ``/proc``."""
        watts = positive(context, self.name, "watts_per_busy_core")
        detail = "" if Path("/proc/self/stat").exists() else "needs /proc"
        detail = detail or blind(context)
        if context.session_id is None:
            detail = "the engine's processes cannot be seen from here"
        return MeterInfo(
            name=self.name,
            scope="L1",
            kind="estimated",
            method=(
                f"CPU seconds of the engine's processes (proc(5)) x {watts:g} W per busy core, "
                "declared in the study; no idle, memory or board power"
            ),
            reason=("no_sensor" if context.session_id is None else "unsupported")
            if detail
            else None,
            detail=detail,
        )

    def open(self, context: MeterContext) -> MeterSession:
        """Begin."""
        return _CpuTime(context.cpu_seconds, positive(context, self.name, "watts_per_busy_core"))


@dataclass(frozen=True, slots=True)
class _CpuTime:
    cpu_seconds: Callable[[], float]
    watts: float

    def read(self) -> Sequence[Reading]:
        joules = self.cpu_seconds() * self.watts
        now = time.monotonic_ns()
        return [Reading(meter="cpu-time", device="engine", t_ns=now, value=joules, unit="J")]

    def close(self) -> None:
        return


@dataclass(frozen=True, slots=True)
class Rapl:
    """Package energy counters of Intel and AMD processors (Linux powercap).

    Only top-level package zones are read: ``psys`` contains them, ``dram`` may be absent. The
    counter wraps at ``max_energy_range_uj``; wraps are undone, so values only grow.
    """

    name: str = "rapl"
    options: Mapping[str, type] = field(default_factory=dict)
    root: Path = Path("/sys/class/powercap")

    def zones(self) -> list[Path]:
        """Return the package zones."""
        return [
            zone
            for zone in sorted(self.root.glob("intel-rapl:*"))
            if zone.name.count(":") == 1
            and (zone / "name").is_file()
            and (zone / "name").read_text().startswith("package")
        ]

    def info(self, context: MeterContext) -> MeterInfo:
        """Say whether the counters exist and may be read."""
        zones = self.zones()
        reason, detail = None, ""
        if blind(context):
            reason, detail = "unsupported", blind(context)
        elif not zones:
            reason, detail = "no_sensor", f"no package zone under {self.root}"
        elif blocked := [zone for zone in zones if not os.access(zone / "energy_uj", os.R_OK)]:
            reason = "no_permission"
            detail = f"{blocked[0]}/energy_uj is readable by root only"
        return MeterInfo(
            name=self.name,
            scope="L1",
            kind="measured",
            method="package energy counters (RAPL) through Linux powercap",
            reason=reason,
            detail=detail,
        )

    def open(self, context: MeterContext) -> MeterSession:  # noqa: ARG002 -- the contract's signature
        """Begin."""
        return _Rapl(self.zones())


class _Rapl:
    def __init__(self, zones: Sequence[Path]) -> None:
        self.zones = zones
        self.ranges = [int((zone / "max_energy_range_uj").read_text()) for zone in zones]
        self.last = [int((zone / "energy_uj").read_text()) for zone in zones]
        self.total = [0] * len(zones)

    def read(self) -> Sequence[Reading]:
        rows = []
        for index, zone in enumerate(self.zones):
            value = int((zone / "energy_uj").read_text())
            now = time.monotonic_ns()
            self.total[index] += (value - self.last[index]) % self.ranges[index]
            self.last[index] = value
            joules = self.total[index] / 1e6
            rows.append(Reading(meter="rapl", device=zone.name, t_ns=now, value=joules, unit="J"))
        return rows

    def close(self) -> None:
        return


@hookimpl
def inferometer_meters() -> Sequence[EnergyMeter]:
    """Return the bundled meters."""
    return [Declared(), CpuTime(), Rapl()]
