"""Made-up power with a known truth, and what instruments would have read of it.

Watts stand on a grid of 2 ms: levels that change in steps and ramps, bursts of prefill, a flicker
from step to step, and noise. The joules of any stretch are the integral of the grid.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from inferometer.energy.edges import device_energy
from inferometer.energy.series import Sensor, Series, series

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

GRID_S = 0.002
LOOK_S = 0.001
"""A watched counter is looked at so often."""
SECOND = 1_000_000_000


class Truth(NamedTuple):
    """Watts on a grid from 0 s, and the joules used until each of its points."""

    t_s: Floats
    watts: Floats
    joules: Floats

    def until(self, t_s: Floats | float) -> Floats:
        """Return the joules used until each moment."""
        return np.asarray(np.interp(t_s, self.t_s, self.joules))

    def between(self, start_s: float, end_s: float) -> float:
        return float(self.until(end_s) - self.until(start_s))


def truth(t_s: Floats, watts: Floats) -> Truth:
    between = (watts[1:] + watts[:-1]) / 2 * np.diff(t_s)
    return Truth(t_s, watts, np.concatenate([[0.0], np.cumsum(between)]))


def random_power(rng: Generator, seconds: float, limit_w: float = 700.0) -> Truth:
    """Return a load's power: 15 to 98 % of the limit, in levels, ramps, bursts, flicker, noise."""
    t_s = np.arange(0, seconds + GRID_S, GRID_S)
    turns = np.sort(rng.uniform(0, seconds, rng.integers(1, 12)))
    levels = limit_w * rng.uniform(0.25, 0.9, turns.size + 2)
    watts = levels[np.searchsorted(turns, t_s)]  # steps
    if rng.random() < 0.5:  # ramps
        watts = np.interp(t_s, np.concatenate([[0], turns, [seconds]]), levels)
    flicker = rng.uniform(0, 0.25) * np.sign(np.sin(2 * np.pi * t_s / rng.uniform(0.011, 0.3)))
    bursts = np.zeros_like(t_s)
    for begin in rng.uniform(0, seconds, rng.poisson(seconds * rng.uniform(0, 2))):
        bursts[(t_s >= begin) & (t_s < begin + rng.uniform(0.02, 0.3))] = rng.uniform(0, 0.4)
    noise = rng.uniform(0, 0.05) * rng.standard_normal(t_s.size)
    return truth(t_s, np.clip(watts * (1 + flicker + bursts + noise), 0.15 * limit_w, limit_w))


def looks(rng: Generator, seconds: float, period_s: float = 0.1) -> Floats:
    """Return when an ordinary sampler looks: each period, now and then late."""
    late = rng.exponential(0.002, int(seconds / period_s)).clip(max=0.05)
    return np.asarray(np.arange(late.size) * period_s + late)


def counter(
    rng: Generator,
    of: Truth,
    window_s: tuple[float, float],
    *,
    update_s: float = 0.1,
    period_s: float = 0.1,
    watched: bool = True,
) -> Series:
    """Return what a millijoule counter with a tick each ``update_s`` gives; times in ns from 0."""
    seconds = float(of.t_s[-1])
    ticks = rng.uniform(0, update_s) + np.arange(int(seconds / update_s)) * update_s
    ticks = ticks + rng.uniform(-0.01, 0.01, ticks.size) * update_s
    at = looks(rng, seconds, period_s)
    if watched:
        head, tail = _watched(ticks, window_s, update_s)
        found = np.concatenate([head, tail])
        closely = (at >= window_s[0]) & (at <= head[0] + LOOK_S)
        at = at[~closely & ((at < tail[0]) | (at > window_s[1]))]
    at = np.concatenate([at, window_s])
    since = np.full(at.size, -1.0)
    if watched:
        since[-1] = window_s[1] - LOOK_S
        after = rng.uniform(0, LOOK_S, found.size)
        at = np.concatenate([at, found + after])
        since = np.concatenate([since, found + after - LOOK_S])
    at, first = np.unique(np.round(at * SECOND), return_index=True)
    since = since[first]
    place = np.searchsorted(ticks, at / SECOND, side="right") - 1
    known = place >= 0
    value = np.floor(of.until(ticks[place[known]]) * 1e3) / 1e3
    since_ns = np.where(since < 0, -1, np.round(since * SECOND))[known]
    return series(at[known].astype(np.int64), value, "J", since_ns.astype(np.int64))


def _watched(
    ticks: Floats, window_s: tuple[float, float], update_s: float
) -> tuple[Floats, Floats]:
    start, end = window_s
    head = ticks[ticks >= start][:1]
    return head, ticks[(ticks >= end - 2 * update_s) & (ticks <= end)]


def power(
    rng: Generator,
    of: Truth,
    *,
    update_s: float = 0.1,
    period_s: float = 0.1,
    averaged_s: float = 0.1,
) -> Series:
    """Return what a power sensor gives: means over ``averaged_s``, new each ``update_s``, in mW."""
    seconds = float(of.t_s[-1])
    at = looks(rng, seconds, period_s)
    phase = rng.uniform(0, update_s)
    new = phase + np.floor((at - phase) / update_s) * update_s
    known = new - averaged_s > 0
    at, new = at[known], new[known]
    watts = (of.until(new) - of.until(new - averaged_s)) / averaged_s
    return series(np.round(at * SECOND).astype(np.int64), np.round(watts, 3), "W")


class Found(NamedTuple):
    """What came of many traces: relative errors, errors over the plus-minus, refusals."""

    errors: Floats
    of_pm: Floats
    refused: list[str]


SENSOR = Sensor(instrument="counter", period_s=0.1, update_s=0.1, resolution=0.001, limit_w=700.0)
MEANS = Sensor(
    instrument="power",
    period_s=0.1,
    update_s=0.1,
    averaged_s=0.1,
    resolution=0.001,
    limit_w=700.0,
)


def windows(count: int, length_s: float, seed: int = 0, *, sensor: Sensor = SENSOR) -> Found:
    """Return how far windows of ``count`` random loads, as the sensor shows them, are off."""
    rng = np.random.default_rng(seed)
    errors, of_pm, refused = [], [], []
    for _ in range(count):
        start = 2 + rng.uniform(0, 0.1)
        window = (start, start + length_s)
        load = random_power(rng, length_s + 4)
        seen = counter(rng, load, window) if sensor is SENSOR else power(rng, load)
        found = device_energy(seen, sensor, *(round(edge * SECOND) for edge in window))
        true = load.between(*window)
        if found.energy_j is None or found.pm_j is None:
            refused.append(f"{found.reason}: {found.detail}")
        else:
            errors.append(abs(found.energy_j / true - 1))
            of_pm.append(abs(found.energy_j - true) / found.pm_j)
    return Found(np.array(errors), np.array(of_pm), refused)
