"""Joules of one device between two moments, with a plus-minus.

A counter is a staircase: between two ticks nobody knows how much was used. So the account goes from
the first tick in the window to the last, and the two bits outside it take the power of the tick
interval that each lies in. The plus-minus says how far the ticks' moments are uncertain and by how
much the power differs from one interval to the next. Watts are summed by the trapezoid rule with
interpolated edges.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from inferometer.energy.series import fault, update_s

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from inferometer.energy.series import Sensor, Series

WORST_EDGE = 0.01
"""Share of the joules by which the two edges may be uncertain."""
LEAST_UPDATES = 10
"""A window holds so many new values of a counter at least."""
LEAST_MEANS = 20
"""And so many of a power sensor, or of the stretches that it averages over: each edge is smeared by
half of one, which at 20 % more or less power beyond the edge is 1 % of 20."""
LATEST = 1.5
"""A value is at most so many update periods old when it is read."""
WATCHED_NS = 20_000_000
"""A tick bracketed more closely was watched for."""


class Joules(NamedTuple):
    """Energy in a stretch of time, or None with the reason; and words for either."""

    energy_j: float | None
    reason: str | None = None
    detail: str = ""
    pm_j: float | None = None
    """Plus-minus of the edges and of sampling; not the sensor's own bias. None: not known."""
    ticks: int | None = None
    """New values of a counter inside, readings of a power sensor."""
    edges: str = ""
    """``watched``, ``bracketed`` (between readings) or ``interpolated``."""


class Ticks(NamedTuple):
    """When a counter moved: the bracket in seconds from the window's start, and the new value."""

    low: NDArray[np.float64]
    high: NDArray[np.float64]
    value: NDArray[np.float64]

    @property
    def middle(self) -> NDArray[np.float64]:
        """Return the middle of each bracket."""
        return (self.low + self.high) / 2


def device_energy(found: Series, sensor: Sensor, start_ns: int, end_ns: int) -> Joules:
    """Return one device's joules in ``[start_ns, end_ns]``, or the reason why not."""
    wrong = fault(found, sensor, start_ns, end_ns)
    if wrong is not None:
        return Joules(None, *wrong)
    if not sensor.measured:
        return plain(found, start_ns, end_ns)
    if found.unit == "J":
        return by_counter(found, sensor, start_ns, end_ns)
    return by_power(found, sensor, start_ns, end_ns)


def plain(found: Series, start_ns: int, end_ns: int) -> Joules:
    """Return the joules between interpolated edges: for models, which have no ticks."""
    part = found.covering(start_ns, end_ns)
    t_s = (part.t_ns - start_ns) / 1e9
    length_s = (end_ns - start_ns) / 1e9
    energy = _interpolated(t_s, part, length_s)
    if energy <= 0:
        return Joules(None, "bad_reading", "no joules at all")
    return Joules(energy, ticks=part.t_ns.size, edges="interpolated")


def _interpolated(t_s: NDArray[np.float64], part: Series, length_s: float) -> float:
    low, high = np.interp([0.0, length_s], t_s, part.value)
    if part.unit == "J":
        return float(high - low)
    inner = (t_s > 0) & (t_s < length_s)
    at = np.concatenate([[0.0], t_s[inner], [length_s]])
    return float(np.trapezoid(np.concatenate([[low], part.value[inner], [high]]), at))


def ticks_of(found: Series, update: float | None, start_ns: int) -> Ticks:
    """Return the moments at which the counter moved, each between two looks."""
    moved = np.flatnonzero(np.diff(found.value) > 0) + 1
    high = (found.t_ns[moved] - start_ns) / 1e9
    before = np.maximum(found.t_ns[moved - 1], found.since_ns[moved])
    low = (before - start_ns) / 1e9
    if update is not None:
        low = np.maximum(low, high - LATEST * update)
    return Ticks(low, high, found.value[moved])


def by_counter(found: Series, sensor: Sensor, start_ns: int, end_ns: int) -> Joules:
    """Return joules from the first tick in the window to the last, and the bits outside."""
    length_s = (end_ns - start_ns) / 1e9
    update = update_s(found.covering(start_ns, end_ns), sensor)
    beyond = 3 * max(update or 0.0, sensor.period_s)
    near = found.covering(start_ns, end_ns, round(beyond * 1e9))
    ticks = ticks_of(near, update, start_ns)
    at = ticks.middle
    first = int(np.searchsorted(at, 0.0, side="left"))
    last = int(np.searchsorted(at, length_s, side="right")) - 1
    if last <= first:
        return Joules(None, "edges_unsure", "the counter moved less than twice in the window")
    if update is not None and length_s < LEAST_UPDATES * update:
        words = f"{length_s:g} s hold less than {LEAST_UPDATES} new values, one each {update:g} s"
        return Joules(None, "edges_unsure", words)
    head, head_pm = _outside(ticks, first, -1, at[first], update)
    tail, tail_pm = _outside(ticks, last, +1, length_s - at[last], update)
    energy = float(ticks.value[last] - ticks.value[first]) + head + tail
    pm = head_pm + tail_pm + (sensor.resolution or 0.0)
    if pm > WORST_EDGE * energy:
        return Joules(None, "edges_unsure", _open(pm / energy))
    widest = max(ticks.high[i] - ticks.low[i] for i in (first, last))
    edges = "watched" if widest * 1e9 <= WATCHED_NS else "bracketed"
    return Joules(energy, pm_j=pm, ticks=last - first + 1, edges=edges)


def _outside(
    ticks: Ticks, edge: int, side: int, length_s: float, update: float | None
) -> tuple[float, float]:
    """Return joules and plus-minus of the bit between tick ``edge`` and the window's bound."""
    inner_w = _power(ticks, edge, edge - side, update)
    beyond = edge + side
    known = 0 <= beyond < ticks.value.size
    outer_w = _power(ticks, edge, beyond, update) if known else inner_w
    blur_s = (ticks.high[edge] - ticks.low[edge]) / 2
    pm = blur_s * max(inner_w, outer_w) + length_s * abs(outer_w - inner_w) / 2
    return outer_w * length_s, pm


def _power(ticks: Ticks, edge: int, other: int, update: float | None) -> float:
    """Return the mean watts between two neighbouring ticks, ``edge`` being the better known.

    Where the other's moment is known less well than the update period is, it is put a whole number
    of periods away, inside its bracket.
    """
    at = ticks.middle
    apart = abs(at[other] - at[edge])
    if update and ticks.high[other] - ticks.low[other] > update / 5:
        periods = max(1, round(apart / update)) * update
        place = at[edge] + np.sign(other - edge) * periods
        apart = abs(float(np.clip(place, ticks.low[other], ticks.high[other])) - at[edge])
    joules = abs(float(ticks.value[other] - ticks.value[edge]))
    return joules / apart if apart > 0 else 0.0


def by_power(found: Series, sensor: Sensor, start_ns: int, end_ns: int) -> Joules:
    """Return joules by the trapezoid rule.

    The plus-minus adds what moving the window by half a beat would change, and for a sensor that is
    not known to see all the time twice the standard error of the mean of its looks.
    """
    part = found.covering(start_ns, end_ns)
    t_s, length_s = (part.t_ns - start_ns) / 1e9, (end_ns - start_ns) / 1e9
    energy = _interpolated(t_s, part, length_s)
    update = update_s(part, sensor) or 0.0
    beat = max(update, sensor.averaged_s or 0.0)
    if length_s < LEAST_MEANS * beat:
        words = f"{length_s:g} s are less than {LEAST_MEANS} of the sensor's {beat:g} s"
        return Joules(None, "edges_unsure", words)
    span = max(beat, sensor.period_s)
    near = found.covering(start_ns, end_ns, round(2e9 * span))
    at = (near.t_ns - start_ns) / 1e9
    swings = [np.ptp(near.value[np.abs(at - edge) <= 2 * span]) for edge in (0.0, length_s)]
    edge_pm = span / 2 * float(sum(swings)) / 2
    if edge_pm > WORST_EDGE * energy:
        return Joules(None, "edges_unsure", _open(edge_pm / energy))
    looks = max(1.0, min(part.value.size, length_s / (update or sensor.period_s)))
    sampling = 0.0 if _sees_all(sensor) else 2 * float(part.value.std()) / looks**0.5 * length_s
    pm = edge_pm + sampling
    return Joules(energy, pm_j=pm, ticks=part.value.size, edges="interpolated")


def _open(share: float) -> str:
    return f"the edges leave {100 * share:.1f} % open, {100 * WORST_EDGE:g} % are allowed"


def _sees_all(sensor: Sensor) -> bool:
    if sensor.seen_share is not None:
        return sensor.seen_share >= 1
    return bool(sensor.averaged_s and sensor.update_s and sensor.averaged_s >= sensor.update_s)
