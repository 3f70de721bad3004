"""Meters whose stamps are early see the load before it was sent."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from tests.unit.energy import traces
from tests.unit.energy.scenes import reasons, scene
from tests.unit.energy.spoil import shifted

from inferometer.energy.clocks import early, lead_s, starts
from inferometer.energy.series import Sensor, Series, series

SECOND = traces.SECOND
POWER = Sensor(instrument="power", period_s=0.1, update_s=0.1, averaged_s=0.1)
COUNTER = Sensor(instrument="counter", period_s=0.1, update_s=0.1)


def test_a_start_is_the_first_send_after_two_quiet_seconds() -> None:
    sent = np.array([0, 1, 2, 10, 11, 13]) * SECOND
    done = np.array([5, 2, 3, 10.5, 12, 14]) * SECOND
    assert starts(sent, done.astype(np.int64)) == [10 * SECOND]


def begun(rng: np.random.Generator, sensor: Sensor, off_s: float, latency_s: float) -> Series:
    """Return a meter of a load sent at 5 s, on a clock that is off."""
    t_s = np.arange(0, 12, traces.GRID_S)
    watts = np.where(t_s < 5 + latency_s, 90.0, 400.0) + 5 * rng.standard_normal(t_s.size)
    watts += np.where((t_s > 5 + latency_s) & (t_s < 5.3), rng.uniform(0, 200), 0)  # prefill
    load = traces.truth(t_s, watts)
    made = (
        traces.power(rng, load)
        if sensor is POWER
        else traces.counter(rng, load, (8.0, 11.0), watched=False)
    )
    return series(made.t_ns + round(off_s * SECOND), made.value, made.unit)


def flagged(sensor: Sensor, off_s: float, latency_s: float = 0.02) -> float:
    """Return the share of 20 studies of 12 starts in which the clock is doubted."""
    found = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        seen = [begun(rng, sensor, off_s, latency_s) for _ in range(12)]
        found += early(seen, [[5 * SECOND]] * 12, sensor) is not None
    return found / 20


@pytest.mark.parametrize("sensor", [POWER, COUNTER], ids=["power", "counter"])
def test_early_stamps_are_told_and_true_ones_are_not(sensor: Sensor) -> None:
    assert flagged(sensor, -0.1) >= 0.95
    assert flagged(sensor, 0.0, latency_s=0.0) == 0
    assert flagged(sensor, 0.0) == 0


def test_late_stamps_look_like_an_engine_that_takes_its_time() -> None:
    assert flagged(POWER, 0.3) == 0
    assert flagged(POWER, 0.0, latency_s=0.3) == 0


@pytest.mark.parametrize("sensor", [POWER, COUNTER], ids=["power", "counter"])
def test_work_that_ends_before_the_load_is_no_early_clock(sensor: Sensor) -> None:
    """Greedy probes run between loaded idle and the first load, and are no requests of it."""
    seen = []
    for seed in range(4):
        rng = np.random.default_rng(seed)
        t_s = np.arange(0, 12, traces.GRID_S)
        busy = (t_s > 5.02) | ((t_s > 4.1) & (t_s < 4.65))
        watts = np.where(busy, 400.0, 90.0) + 5 * rng.standard_normal(t_s.size)
        load = traces.truth(t_s, watts)
        seen.append(
            traces.power(rng, load)
            if sensor is POWER
            else traces.counter(rng, load, (8.0, 11.0), watched=False)
        )
    assert early(seen, [[5 * SECOND]] * 4, sensor) is None


def test_no_rise_tells_nothing() -> None:
    flat = series(np.arange(0, 12 * SECOND, SECOND // 10), np.full(120, 100.0), "W")
    assert lead_s(flat, 5 * SECOND, 0.1) is None
    assert early([flat] * 5, [[5 * SECOND]] * 5, POWER) is None


@pytest.mark.parametrize("sensor", [POWER, COUNTER], ids=["power", "counter"])
def test_spoilt_readings_tell_nothing_of_the_clock(sensor: Sensor) -> None:
    seen = begun(np.random.default_rng(2), sensor, -0.3, 0.0)
    averaged_s = sensor.averaged_s or 0.0
    assert lead_s(seen, 5 * SECOND, averaged_s) is not None
    nan = np.where(np.arange(seen.value.size) == 60, np.nan, seen.value)
    assert lead_s(series(seen.t_ns, nan, seen.unit), 5 * SECOND, averaged_s) is None
    twice = np.where(np.arange(seen.value.size) == 60, seen.t_ns[59], seen.t_ns)
    assert lead_s(series(twice, seen.value, seen.unit), 5 * SECOND, averaged_s) is None


def test_it_takes_three_starts() -> None:
    rng = np.random.default_rng(1)
    seen = [begun(rng, POWER, -0.3, 0.0) for _ in range(3)]
    assert early(seen[:2], [[5 * SECOND]] * 2, POWER) is None
    assert early(seen, [[5 * SECOND]] * 3, POWER) is not None


def test_a_host_s_meter_is_not_judged_so() -> None:
    meters = shifted(-300.0)().meters
    assert set(reasons(scene())["nvml"]) == {None}
    host = replace(shifted(-300.0)(), meters=meters.with_columns(scope=pl.lit("L1")))
    assert set(reasons(host)["nvml"]) == {None}
    assert set(reasons(shifted(-300.0)())["nvml"]) == {"clock_unsure"}
