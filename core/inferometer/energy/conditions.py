"""Was the hardware in the same state for all? Power limits, throttling, temperatures, clocks."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from inferometer.comparison import Check

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

SLOWED = {"thermal", "hardware_slowdown", "power_brake"}
"""Reasons for lower clocks that are a fault of the machine. ``power_cap`` and ``sync_boost`` are
part of how it runs: the limit is the same for all, and a check of its own."""
WARMER_C = 10.0
SLOWER = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What the devices under test were like during one window, and in the other launches.

    ``limits_w`` are all enforced limits of devices seen in the launches that are compared.
    ``temperatures_c`` are of all devices, ``swing_c`` is the most that one of them moved.
    ``temperature_elsewhere_c`` are the means of the other launches at this load point;
    ``clock_elsewhere_mhz`` the medians of this stack's other launches of it.
    """

    looks: int
    limits_w: Sequence[float] = ()
    throttled: Mapping[str, int] = field(default_factory=dict)
    """Reason -> looks at which some device had it."""
    temperatures_c: Sequence[float] = ()
    swing_c: float = 0.0
    clocks_mhz: Sequence[float] = ()
    temperature_elsewhere_c: Sequence[float] = ()
    clock_elsewhere_mhz: Sequence[float] = ()


def power_limits(seen: State) -> Check | None:
    """Compare the enforced power limits of all devices in all launches."""
    if not seen.limits_w:
        return None
    found = sorted({round(limit) for limit in seen.limits_w})
    value = f"{', '.join(map(str, found))} W"
    rule = "enforced power limit equal for all devices and launches compared"
    if len(found) == 1:
        return Check(name="power limit", rule=rule, value=value, verdict="pass")
    words = "stacks ran under different limits: set one limit, and repeat"
    return Check(name="power limit", rule=rule, value=value, verdict="fail", detail=words)


def throttling(seen: State) -> Check | None:
    """Look for clocks held down by heat or by the hardware's protection."""
    if not seen.looks:
        return None
    rule = "no look with thermal, hardware slowdown or power brake; power cap is noted"
    faults = {reason: n for reason, n in seen.throttled.items() if reason in SLOWED}
    noted = {reason: n for reason, n in seen.throttled.items() if reason not in SLOWED}
    said = ", ".join(
        f"{reason.replace('_', ' ')} at {n} of {seen.looks} looks"
        for reason, n in (faults or noted).items()
    )
    return Check(
        name="throttling",
        rule=rule,
        value=said or "none",
        verdict="fail" if faults else "pass",
        detail="the accelerator was slowed down: see to its cooling and power" if faults else "",
    )


def temperature(seen: State) -> Check | None:
    """Compare temperatures within the window and with the other launches: heat leaks current."""
    if not seen.temperatures_c:
        return None
    low, high = min(seen.temperatures_c), max(seen.temperatures_c)
    mean = statistics.fmean(seen.temperatures_c)
    apart = max((abs(mean - other) for other in seen.temperature_elsewhere_c), default=0.0)
    moved = [
        *([f"{seen.swing_c:.0f} C within the window"] if seen.swing_c > WARMER_C else ()),
        *([f"{apart:.0f} C from another launch"] if apart > WARMER_C else ()),
    ]
    return Check(
        name="temperature",
        rule=f"each device within {WARMER_C:.0f} C in the window, and the mean of all within "
        f"{WARMER_C:.0f} C of other launches', pass",
        value=f"{low:.0f} to {high:.0f} C, mean {mean:.0f}",
        verdict="warn" if moved else "pass",
        detail=f"{', '.join(moved)}: warmer parts draw more; soak alike" if moved else "",
    )


def clocks(seen: State) -> Check | None:
    """Compare the compute clock with that of the stack's other launches at this load point."""
    if not seen.clocks_mhz:
        return None
    median = statistics.median(seen.clocks_mhz)
    most = max([median, *seen.clock_elsewhere_mhz])
    slow = median < (1 - SLOWER) * most
    words = f"another launch of this stack ran at {most:.0f} MHz" if slow else ""
    span = f"{min(seen.clocks_mhz):.0f} to {max(seen.clocks_mhz):.0f} MHz"
    return Check(
        name="clocks",
        rule=f"median compute clock within {SLOWER:.0%} of this stack's other launches passes",
        value=f"{span}, median {median:.0f}",
        verdict="warn" if slow else "pass",
        detail=words,
    )


CHECKS: tuple[Callable[[State], Check | None], ...] = (
    power_limits,
    throttling,
    temperature,
    clocks,
)


def judge(seen: State) -> list[Check]:
    """Return every check that applies."""
    return [found for check in CHECKS if (found := check(seen)) is not None]
