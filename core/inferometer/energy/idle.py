"""The watts of idle stretches, and what a window's energy is net of them.

Gross energy is the headline: idle watts are paid for. Net figures are secondary and name their
baseline: ``bare`` (before the engine was started) or ``loaded`` (model resident, no request).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from inferometer.energy.account import account, counted, sensor_of
from inferometer.energy.edges import Joules, plain
from inferometer.energy.series import update_s

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from inferometer.energy.series import Series
    from inferometer.records import MeterInfo

LEAST_LOOKS = 5
"""New values that a stretch holds at least: of a slower sensor the values around it are those of
an engine that starts or works."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """What one meter said of one idle stretch of a launch, or why it said nothing."""

    state: str
    energy_j: float | None = None
    seconds: float = 0.0
    reason: str | None = None
    detail: str = ""

    @property
    def watts(self) -> float | None:
        """Return the mean watts of all devices together."""
        return None if self.energy_j is None else self.energy_j / self.seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Net:
    """Joules above a baseline, or the reason why there are none. Never below 0."""

    energy_j: float | None
    reason: str | None = None
    detail: str = ""


def baseline(
    state: str,
    stretch: tuple[int, int] | None,
    info: MeterInfo,
    found: Mapping[str, Sequence[Series]],
) -> Baseline:
    """Return a meter's account of one stretch (start and end in ns; None: there was none)."""
    if stretch is None:
        words = f"no stretch of {state} idle was recorded"
        return Baseline(state=state, reason="no_baseline", detail=words)
    joules = account(info, found, *stretch, any_length=True).joules
    if joules.reason == "edges_unsure":  # sharp edges are for headlines; a percent is enough here
        joules = _interpolated(info, found, stretch)
    if joules.energy_j is None:
        words = f"{state} idle: {joules.detail or joules.reason}"
        return Baseline(state=state, reason=joules.reason, detail=words)
    seconds = (stretch[1] - stretch[0]) / 1e9
    return Baseline(state=state, energy_j=joules.energy_j, seconds=seconds)


def _interpolated(
    info: MeterInfo, found: Mapping[str, Sequence[Series]], stretch: tuple[int, int]
) -> Joules:
    seconds = (stretch[1] - stretch[0]) / 1e9
    for name in counted(info, found):
        sensor = sensor_of(info, name)
        update = update_s(found[name][0].covering(*stretch), sensor) or 0.0
        beat = max(update, sensor.averaged_s or 0.0, sensor.period_s)
        if seconds < LEAST_LOOKS * beat:
            words = f"{seconds:g} s hold less than {LEAST_LOOKS} new values, one each {beat:g} s"
            return Joules(None, "edges_unsure", words)
    parts = [plain(found[name][0], *stretch) for name in counted(info, found)]
    wrong = next((part for part in parts if part.energy_j is None), None)
    return wrong or Joules(sum(part.energy_j or 0.0 for part in parts))


def net(energy_j: float, window_s: float, base: Baseline) -> Net:
    """Return a window's joules less its length times the baseline's watts."""
    if base.watts is None:
        return Net(energy_j=None, reason=base.reason, detail=base.detail)
    words = f"{base.state} idle: {base.watts:.1f} W over {base.seconds:.0f} s"
    left = energy_j - base.watts * window_s
    if left <= 0:
        return Net(energy_j=None, reason="below_idle", detail=f"no more than {words}")
    return Net(energy_j=left, detail=f"net of {words}")
