"""A load in step with a sensor that looks part of the time.

Some sensors see 25 ms of every 100 ms. A decode loop that takes 100 ms a step, or 50, or 33.3, then
shows them the same part of each step for the whole window, and the joules are off by up to 70 % of
a square wave from 250 to 650 W. The steps are seen in the content events: their Rayleigh
statistic at the sensor's rate and its multiples tells how firmly the two are locked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from inferometer.energy.series import Fault

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from inferometer.energy.series import Sensor

LOCKED = 0.15
"""Strength from which a load counts as locked. Below it, square waves of 250 and 650 W, of steps
from 11 ms to 1 s with 0.1 to 30 % jitter, are off by 6 % at most in 95 of 100 windows of 10 s, and
by 15 % at worst, of which the plus-minus tells; a load without a beat stays below
(tests/unit/energy/test_aliasing.py)."""
CHANCE = 2.5
"""Over the square root of the steps: what no load without a beat reaches (1 in 500)."""
HARMONICS = 8
PHASES = 1 << 14
"""Parts of a turn that are told apart, a power of two. The eighth harmonic is then off
by one in a million."""
BLOCK = 1 << 16
"""Events worked on at once, in the processor's cache."""
SLOW_S = 0.05
"""A power sensor with new values more often than this is sampled, not watched."""
STEP_NS = 5_000_000
"""Events closer than this belong to one step."""


def share_seen(sensor: Sensor) -> float | None:
    """Return the share of time a sensor sees; None where it sees all or nobody knows."""
    if not sensor.measured or sensor.update_s is None:
        return None
    share = sensor.seen_share
    if share is None and sensor.instrument == "power" and sensor.update_s >= SLOW_S:
        share = sensor.averaged_s and sensor.averaged_s / sensor.update_s
    return share if share is not None and 0 < share < 1 else None


def strength(events_ns: NDArray[np.int64], update_s: float, share: float) -> float:
    """Return how firmly events are locked to a sensor's rate, 0 to 1.

    ``max over k of |sinc(k share)| |mean of exp(2 pi i k t / update)|``: how much of the k-th
    harmonic of the load passes the sensor's window, times how firmly it is locked. Events are first
    counted by their phase, so that millions of them take little more than reading them.
    """
    phases = np.zeros(PHASES, np.int64)
    begin, scale = events_ns.min(), PHASES / (update_s * 1e9)
    for part in _parts(events_ns):
        place = ((part - begin) * scale).astype(np.int64)
        phases += np.bincount(place & (PHASES - 1), minlength=PHASES)
    at = (np.arange(PHASES) + 0.5) / PHASES
    multiples = np.arange(1, HARMONICS + 1)
    locked = np.abs(np.exp(2j * np.pi * np.outer(multiples, at)) @ phases) / events_ns.size
    return float((np.abs(np.sinc(multiples * share)) * locked).max())


def _parts(events_ns: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    return [events_ns[at : at + BLOCK] for at in range(0, events_ns.size, BLOCK)]


def in_phase(events_ns: NDArray[np.int64], sensor: Sensor) -> Fault | None:
    """Refuse a window whose content events ``events_ns`` keep step with the sensor."""
    share = share_seen(sensor)
    if share is None or sensor.update_s is None or events_ns.size < 2:
        return None
    found = strength(events_ns, sensor.update_s, share)
    if found <= LOCKED:
        return None
    steps = np.unique(np.concatenate([np.unique(p // STEP_NS) for p in _parts(events_ns)])).size
    if found <= CHANCE / steps**0.5:
        return None
    words = (
        f"the load keeps step with a sensor that sees {100 * share:.0f} % of every "
        f"{1e3 * sensor.update_s:g} ms (strength {found:.2f}, {LOCKED:g} is allowed)"
    )
    return Fault("in_phase", words)
