"""Joules of one device between two moments, with a plus-minus.

A counter is a staircase: between two ticks nobody knows how much was used. So the account goes from
the first tick in the window to the last, and the two bits outside it take the power of the tick
interval that each lies in. The plus-minus says how far the ticks' moments are uncertain and by how
much the power differs from one interval to the next. Watts are summed by the trapezoid rule with
interpolated edges.
"""

from __future__ import annotations

import math
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
UNSEEN = 0.15
"""Share by which the power is taken to differ inside a tick interval, where nobody looks."""
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
    update_s: float | None
    """The beat, where known."""

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
    return Ticks(low, high, found.value[moved], update)


def by_counter(found: Series, sensor: Sensor, start_ns: int, end_ns: int) -> Joules:
    """Return joules from the first tick in the window to the last, and the bits outside."""
    length_s = (end_ns - start_ns) / 1e9
    update = update_s(found.covering(start_ns, end_ns), sensor)
    beyond = 3 * max(update or 0.0, sensor.period_s)
    near = found.covering(start_ns, end_ns, round(beyond * 1e9))
    ticks = ticks_of(near, update, start_ns)
    at = ticks.middle
    first = _sharper(ticks, int(np.searchsorted(at, 0.0, side="left")), +1)
    last = _sharper(ticks, int(np.searchsorted(at, length_s, side="right")) - 1, -1)
    if last <= first:
        return Joules(None, "edges_unsure", "the counter moved less than twice in the window")
    if update is not None and length_s < LEAST_UPDATES * update:
        words = f"{length_s:g} s hold less than {LEAST_UPDATES} new values, one each {update:g} s"
        return Joules(None, "edges_unsure", words)
    within = float(ticks.value[last] - ticks.value[first])
    usual_w = within / float(at[last] - at[first])
    head, head_pm = _outside(ticks, first, -1, at[first], usual_w)
    tail, tail_pm = _outside(ticks, last, +1, length_s - at[last], usual_w)
    energy = within + head + tail
    pm = head_pm + tail_pm + (sensor.resolution or 0.0)
    if pm > WORST_EDGE * energy:
        return Joules(None, "edges_unsure", _open(pm / energy))
    widest = max(ticks.high[i] - ticks.low[i] for i in (first, last))
    edges = "watched" if widest * 1e9 <= WATCHED_NS else "bracketed"
    return Joules(float(energy), pm_j=float(pm), ticks=last - first + 1, edges=edges)


def _sharper(ticks: Ticks, edge: int, inwards: int) -> int:
    """Return ``edge``, or the next tick inwards where that one's moment is known much better."""
    other = edge + inwards
    if not (0 <= edge < ticks.value.size and 0 <= other < ticks.value.size):
        return edge
    wide = ticks.high - ticks.low
    return other if wide[other] < wide[edge] / 5 else edge


def _outside(
    ticks: Ticks, edge: int, side: int, length_s: float, usual_w: float
) -> tuple[float, float]:
    """Return joules and plus-minus of the bit between tick ``edge`` and the window's bound.

    ``side`` is -1 at the start and 1 at the end. The power of an interval may differ inside it as
    much as from one to the next.
    """
    inside = edge - side
    inner_w = _power(ticks, edge, inside, usual_w)
    further = inside - side
    known = 0 <= further < ticks.value.size
    next_w = _power(ticks, inside, further, inner_w) if known else inner_w
    beyond = edge + side
    known = 0 <= beyond < ticks.value.size
    outer_w = _power(ticks, edge, beyond, inner_w) if known else inner_w
    blur_s = (ticks.high[edge] - ticks.low[edge]) / 2
    unrest_w = max(abs(outer_w - inner_w), abs(inner_w - next_w), UNSEEN * inner_w)
    return outer_w * length_s, blur_s * max(inner_w, outer_w) + length_s * unrest_w / 2


def _power(ticks: Ticks, edge: int, other: int, like_w: float) -> float:
    """Return the mean watts between two neighbouring ticks, ``edge`` being the better known.

    Where the other's moment is known less well than the update period is, it is put a whole number
    of periods away, inside its bracket; of several, so that the watts are most ``like_w``.
    """
    at, update = ticks.middle, ticks.update_s
    joules = abs(float(ticks.value[other] - ticks.value[edge]))
    apart = abs(float(at[other] - at[edge]))
    if update and ticks.high[other] - ticks.low[other] > update / 5:
        bounds = sorted(abs(end[other] - at[edge]) for end in (ticks.low, ticks.high))
        least = max(1, math.ceil(bounds[0] / update - 0.1))
        most = max(least, math.floor(bounds[1] / update + 0.1))
        apart = min(
            (periods * update for periods in range(least, most + 1)),
            key=lambda apart_s: abs(joules / apart_s - like_w),
        )
    return joules / apart if apart > 0 else 0.0


def by_power(found: Series, sensor: Sensor, start_ns: int, end_ns: int) -> Joules:
    """Return joules by the trapezoid rule.

    A value is a mean over ``averaged_s`` and up to one update period old: it is dated back to the
    middle of what it stands for. The plus-minus is what half an update period more or less would
    change at each edge, and what :func:`_sampling` says.
    """
    length_s = (end_ns - start_ns) / 1e9
    update = update_s(found.covering(start_ns, end_ns), sensor) or sensor.period_s
    beat = max(update, sensor.averaged_s or 0.0)
    if length_s < LEAST_MEANS * beat:
        words = f"{length_s:g} s are less than {LEAST_MEANS} of the sensor's {beat:g} s"
        return Joules(None, "edges_unsure", words)
    span = max(beat, sensor.period_s)
    near = found.covering(start_ns, end_ns, round(3e9 * span))
    t_s = (near.t_ns - start_ns) / 1e9 - (update + (sensor.averaged_s or 0.0)) / 2
    energy = _interpolated(t_s, near, length_s)
    around = [near.value[np.abs(t_s - edge) <= 2 * span] for edge in (0.0, length_s)]
    unlike_w = abs(around[1].mean() - around[0].mean()) + sum(np.ptp(one) for one in around) / 2
    edge_pm = max(update, sensor.period_s) / 2 * float(unlike_w)
    if edge_pm > WORST_EDGE * energy:
        return Joules(None, "edges_unsure", _open(edge_pm / energy))
    inside = near.value[(t_s >= 0) & (t_s <= length_s)]
    pm = edge_pm + _sampling(inside, sensor, update, length_s)
    return Joules(energy, pm_j=pm, ticks=inside.size, edges="interpolated")


def _sampling(inside: NDArray[np.float64], sensor: Sensor, update: float, length_s: float) -> float:
    """Return the plus-minus of a window's looks: each is uncertain in time by an update period.

    For a sensor that is not known to see all the time it is at least twice the standard error of
    the mean of its looks.
    """
    timing = update / math.sqrt(12) * math.sqrt(float((np.diff(inside) ** 2).sum()))
    if _sees_all(sensor) or inside.size < 2:
        return timing
    looks = max(1.0, min(inside.size, length_s / update))
    return max(timing, 2 * float(inside.std()) / math.sqrt(looks) * length_s)


def _open(share: float) -> str:
    return f"the edges leave {100 * share:.1f} % open, {100 * WORST_EDGE:g} % are allowed"


def _sees_all(sensor: Sensor) -> bool:
    if sensor.seen_share is not None:
        return sensor.seen_share >= 1
    return bool(sensor.averaged_s and sensor.update_s and sensor.averaged_s >= sensor.update_s)
