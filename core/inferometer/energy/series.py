"""One device's readings around a stretch of time, and the faults that forbid a number.

A fault is a reason code with words. Nothing is repaired: readings that are doubled, stale, torn or
out of order are refused, because what they hide cannot be known.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

LEAST_WINDOW_S = 10.0
"""A measured window below this is no headline: a 100 ms counter read anyhow is 1 % off by then."""
LEAST_GAP_S = 1.0
LONGEST_MODEL_GAP_S = 3.0
"""Readings of a model further apart do not cover a window."""
STALE_COUNTER_S = 1.5
STALE_POWER_S = 5.0
FINE = 1e-3
"""Watts in steps of at most this share never repeat to the last bit for long."""
LEAST_STEPS = 5
"""From so many on, what they are all multiples of is how finely a sensor counts."""
ABSURD_W = 1e6
"""No single device draws a megawatt."""
OVER_LIMIT = 1.5
UNDER_LIMIT = 1 / 500
"""Less than this share of the limit is a wrong unit: the most frugal idle is about 1 %."""


class Fault(NamedTuple):
    """Why there is no number: a reason code, and what was seen."""

    reason: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sensor:
    """What is known of the instrument that made a series. Times in seconds; None: unknown."""

    instrument: Literal["counter", "power", "model", ""] = ""
    measured: bool = True
    """False for constants, models and made-up readings: they hold still and keep no beat."""
    period_s: float = 0.5
    update_s: float | None = None
    averaged_s: float | None = None
    seen_share: float | None = None
    resolution: float | None = None
    limit_w: float | None = None
    longest_gap_s: float = float("inf")


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One device's readings, in the order in which they were written.

    ``t_ns`` (int64), ``value`` (J cumulative or W), ``since_ns`` (int64; -1: not watched closely).
    """

    t_ns: NDArray[np.int64]
    value: NDArray[np.float64]
    since_ns: NDArray[np.int64]
    unit: str

    def cut(self, first: int, last: int) -> Series:
        """Return the readings from index ``first`` to ``last``, both included."""
        part = slice(max(first, 0), last + 1)
        return Series(
            t_ns=self.t_ns[part],
            value=self.value[part],
            since_ns=self.since_ns[part],
            unit=self.unit,
        )

    def covering(self, start_ns: int, end_ns: int, beyond_ns: int = 0) -> Series:
        """Return the readings from the last at or before the start to the first at or after."""
        first = int(np.searchsorted(self.t_ns, start_ns - beyond_ns, side="right")) - 1
        last = int(np.searchsorted(self.t_ns, end_ns + beyond_ns, side="left"))
        return self.cut(first, last)


def series(t_ns: Any, value: Any, unit: str, since_ns: Any = None) -> Series:
    """Return a :class:`Series` from anything numpy takes; ``since_ns`` may hold None or -1."""
    times = np.asarray(t_ns, dtype=np.int64)
    since = np.full(times.shape, -1) if since_ns is None else np.asarray(since_ns)
    if since.dtype == object:
        since = np.array([-1 if one is None else one for one in since])
    return Series(
        t_ns=times,
        value=np.asarray(value, dtype=np.float64),
        since_ns=since.astype(np.int64),
        unit=unit,
    )


def update_s(found: Series, sensor: Sensor) -> float | None:
    """Return how often the sensor has a new value: as probed, else as the series shows."""
    if sensor.update_s is not None:
        return sensor.update_s
    moved = found.t_ns[1:][np.diff(found.value) != 0]
    return float(np.median(np.diff(moved))) / 1e9 if moved.size > 2 else None


def fault(found: Series, sensor: Sensor, start_ns: int, end_ns: int) -> Fault | None:
    """Return the first thing that forbids a number for ``[start_ns, end_ns]``, if anything."""
    wrong = _order(found) or _coverage(found, start_ns, end_ns)
    if wrong is not None:
        return wrong
    part = found.covering(start_ns, end_ns)
    for look in _LOOKS:
        wrong = look(part, sensor)
        if wrong is not None:
            return wrong
    return None


def too_short(start_ns: int, end_ns: int) -> Fault | None:
    """Refuse a window under :data:`LEAST_WINDOW_S`."""
    length_s = (end_ns - start_ns) / 1e9
    if length_s >= LEAST_WINDOW_S:
        return None
    return Fault("window_short", f"{length_s:.1f} s; a measured one needs {LEAST_WINDOW_S:g} s")


def _order(found: Series) -> Fault | None:
    steps = np.diff(found.t_ns)
    if (steps < 0).any():
        return Fault("clock_unsure", "the readings' time stamps run backwards")
    if (steps == 0).any():
        return Fault("bad_reading", "two readings bear one time stamp")
    return None


def _coverage(found: Series, start_ns: int, end_ns: int) -> Fault | None:
    if found.t_ns.size < 2:
        return Fault("coverage_low", f"{found.t_ns.size} readings in this launch")
    late, early = found.t_ns[0] - start_ns, end_ns - found.t_ns[-1]
    if late > 0:
        return Fault("coverage_low", f"the first reading came {late / 1e9:.1f} s after the start")
    if early > 0:
        return Fault("coverage_low", f"the last reading came {early / 1e9:.1f} s before the end")
    return None


def _sound(part: Series, sensor: Sensor) -> Fault | None:
    if not np.isfinite(part.value).all():
        return Fault("bad_reading", "a reading is not a finite number")
    if (part.value < 0).any():
        return Fault("bad_reading", "a reading is negative")
    if part.unit == "W" and sensor.measured and (part.value == 0).any():
        return Fault("bad_reading", "0 W from a device that runs: the sensor has nothing to say")
    return None


def _gap(part: Series, sensor: Sensor) -> Fault | None:
    limit_s = sensor.longest_gap_s
    if sensor.measured:
        beat = max(sensor.period_s, update_s(part, sensor) or 0.0)
        limit_s = max(3 * beat, LEAST_GAP_S)
    gap_s = float(np.diff(part.t_ns).max(initial=0)) / 1e9
    if gap_s <= limit_s:
        return None
    return Fault("gap", f"no reading for {gap_s:.1f} s, {limit_s:g} s are allowed")


def _backwards(part: Series, _: Sensor) -> Fault | None:
    if part.unit == "J" and (np.diff(part.value) < 0).any():
        return Fault("meter_reset", "the counter ran backwards")
    return None


def _flat(part: Series, sensor: Sensor) -> Fault | None:
    """Find a counter that stands still, or watts that repeat to the last bit."""
    if part.unit == "J" and part.value[-1] == part.value[0]:
        return Fault("flat_line", "the meter did not move")
    if not sensor.measured:
        return None
    update = update_s(part, sensor) or 0.0
    if part.unit == "J":
        mean_w = (part.value[-1] - part.value[0]) / ((part.t_ns[-1] - part.t_ns[0]) / 1e9)
        limit_s = max(5 * update, STALE_COUNTER_S, 5 * (sensor.resolution or 0.0) / mean_w)
    elif _step(part, sensor) <= FINE * float(np.median(part.value)):
        limit_s = max(10 * update, STALE_POWER_S)
    else:
        return None
    still_s = _longest_still_s(part)
    if still_s <= limit_s:
        return None
    return Fault("flat_line", f"the same value for {still_s:.1f} s, {limit_s:g} s are allowed")


def _step(part: Series, sensor: Sensor) -> float:
    """Return the smallest step of a value: as stated, or the grain that all steps share.

    None stated: as seen, else none. A file in uW (hwmon, ACPI) does not say that its sensor counts
    whole watts.
    """
    steps = np.abs(np.diff(part.value))
    steps = steps[steps > 0]
    stated = sensor.resolution
    if stated is None:
        return float(steps.min(initial=np.inf)) if steps.size else 0.0
    if not stated or steps.size < LEAST_STEPS:
        return stated
    return stated * max(1, int(np.gcd.reduce(np.round(steps / stated).astype(np.int64))))


def _longest_still_s(part: Series) -> float:
    """Return the longest time from the first to the last of equal readings in a row."""
    moved = np.flatnonzero(np.diff(part.value) != 0)
    firsts = np.concatenate([[0], moved + 1])
    lasts = np.concatenate([moved, [part.value.size - 1]])
    return float((part.t_ns[lasts] - part.t_ns[firsts]).max()) / 1e9


def _unit(part: Series, sensor: Sensor) -> Fault | None:
    """Hold the watts to the device's own limit."""
    mean_w = (
        float(part.value[-1] - part.value[0]) / ((part.t_ns[-1] - part.t_ns[0]) / 1e9)
        if part.unit == "J"
        else float(part.value.mean())
    )
    if mean_w > ABSURD_W:
        return Fault("bad_reading", f"{mean_w:.3g} W from one device")
    if sensor.limit_w is None:
        return None
    if mean_w > OVER_LIMIT * sensor.limit_w or mean_w < UNDER_LIMIT * sensor.limit_w:
        words = f"{mean_w:.3g} W at a limit of {sensor.limit_w:g} W"
        return Fault("unit_suspect", words)
    return None


_LOOKS: tuple[Callable[[Series, Sensor], Fault | None], ...] = (
    _sound,
    _backwards,
    _gap,
    _flat,
    _unit,
)
