"""Meters without a sensor: what the user typed, and models made of it.

``declared`` repeats a wattage; ``cpu-time`` multiplies the engine's CPU seconds by watts per busy
core; ``tdp`` takes a share of the design power. Joules made from them are estimates.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from inferometer.records import Device, MeterInfo, Reading
from inferometer_plugins.meters.options import positive
from inferometer_plugins.meters.sensing import blind

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from inferometer.meter import MeterContext, MeterSession


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
            instrument="model",
            devices=[Device(name="machine")],
            permission="none",
        )

    def open(self, context: MeterContext) -> MeterSession:
        """Begin."""
        return _Constant(self.name, "machine", positive(context, self.name, "power_w"))


@dataclass(frozen=True, slots=True)
class _Constant:
    name: str
    device: str
    power_w: float

    def read(self) -> Sequence[Reading]:
        now = time.monotonic_ns()
        return [
            Reading(meter=self.name, device=self.device, t_ns=now, value=self.power_w, unit="W")
        ]

    def close(self) -> None:
        return


@dataclass(frozen=True, slots=True)
class Tdp:
    """A declared share of the design power of every device under test: a guess, always on.

    Published draw is 0.3 to 1.0 of the design power, so this errs by up to a factor of three.
    """

    name: str = "tdp"
    options: Mapping[str, type] = field(
        default_factory=lambda: {"tdp_w": float, "share": float, "count": float}
    )

    def info(self, context: MeterContext) -> MeterInfo:
        """Describe the model; it can be read wherever the number of devices is known."""
        tdp_w, share, count = self._terms(context)
        known = "count" in context.options or context.accelerators or context.accelerator == "cpu"
        return MeterInfo(
            name=self.name,
            scope=_scope(context),
            kind="estimated",
            method=(
                f"{share:g} of {tdp_w:g} W design power x {count:g} devices, "
                "all declared in the study; no sensor"
            ),
            follows_throughput=True,
            instrument="model",
            devices=[Device(name="devices", power_limit_w=tdp_w * count)],
            permission="none",
            reason=None if known else "devices_unclear",
            detail="" if known else "how many the engine uses is not known: set options.count",
        )

    def open(self, context: MeterContext) -> MeterSession:
        """Begin."""
        tdp_w, share, count = self._terms(context)
        return _Constant(self.name, "devices", tdp_w * share * count)

    def _terms(self, context: MeterContext) -> tuple[float, float, float]:
        tdp_w = positive(context, self.name, "tdp_w", example="700")
        share = positive(context, self.name, "share", example="0.7", most=1.0)
        if "count" in context.options:
            return tdp_w, share, positive(context, self.name, "count", example="8")
        return tdp_w, share, float(context.accelerators or 1)


def _scope(context: MeterContext) -> Literal["L0", "L1"]:
    """Where the processor computes there is no accelerator to speak of."""
    return "L1" if context.accelerator == "cpu" else "L0"


@dataclass(frozen=True, slots=True)
class CpuTime:
    """Engine CPU seconds x declared watts per busy core: an estimate that sees how busy it was."""

    name: str = "cpu-time"
    options: Mapping[str, type] = field(default_factory=lambda: {"watts_per_busy_core": float})

    def info(self, context: MeterContext) -> MeterInfo:
        """Describe the model; it can be read wherever there is ``/proc``."""
        watts = positive(context, self.name, "watts_per_busy_core", example="10")
        reason, detail = None, ""
        if context.session_id is None:
            reason, detail = "no_sensor", "the engine's processes cannot be seen from here"
        elif not Path("/proc/self/stat").exists():
            reason, detail = "unsupported", "needs /proc"
        elif blind(context):
            reason, detail = "unsupported", blind(context)
        return MeterInfo(
            name=self.name,
            scope="L1",
            kind="estimated",
            method=(
                f"CPU seconds of the engine's processes (proc(5)) x {watts:g} W per busy core, "
                "declared in the study; no idle, memory or board power"
            ),
            instrument="model",
            devices=[Device(name="engine")],
            resolution=watts * 0.01,
            permission="none",
            reason=reason,
            detail=detail,
        )

    def open(self, context: MeterContext) -> MeterSession:
        """Begin."""
        watts = positive(context, self.name, "watts_per_busy_core", example="10")
        return _CpuTime(context.cpu_seconds, watts)


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
