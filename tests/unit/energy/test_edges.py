"""Joules in whole numbers, and how far they are uncertain."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from inferometer.energy.edges import Joules, device_energy
from inferometer.energy.series import Sensor, series

SECOND = 1_000_000_000
MODEL = Sensor(instrument="model", measured=False)
COUNTER = Sensor(instrument="counter", period_s=0.1, update_s=0.1)
POWER = Sensor(instrument="power", period_s=0.1, update_s=0.1, averaged_s=0.1)


def joules(
    t_s: Any, values: Any, unit: str, sensor: Sensor = MODEL, *, since_s: Any = None
) -> Joules:
    """Return the joules in [10 s, 20 s]."""
    since = None if since_s is None else [round(t * SECOND) for t in since_s]
    made = series([round(t * SECOND) for t in t_s], values, unit, since)
    return device_energy(made, sensor, 10 * SECOND, 20 * SECOND)


def test_a_model_s_joules_are_interpolated_at_the_edges() -> None:
    # 100 W from 0 to 15 s, 200 W after: 500 J + 1000 J in [10, 20]
    assert joules([5, 15, 25], [500, 1500, 3500], "J").energy_j == 1500


def test_declared_watts_are_a_trapezoid_with_interpolated_edges() -> None:
    # 100 W rising to 200 W over [5, 25]: 125 W at 10 s, 175 W at 20 s, mean 150 W
    assert joules([5, 25], [100, 200], "W").energy_j == pytest.approx(1500)
    assert joules([5, 15, 25], [100, 100, 200], "W").energy_j == pytest.approx(500 + 625)


def test_readings_at_every_tick_give_the_counter_s_own_joules() -> None:
    # 100 W, a tick every 0.1 s at 0.05, 0.15, ..., each seen 1 ms later by a close look
    ticks = np.arange(8.05, 22, 0.1)
    found = joules(ticks + 0.0005, ticks * 100, "J", COUNTER, since_s=ticks - 0.0005)
    assert found.energy_j == pytest.approx(1000)
    assert found.edges == "watched"
    assert found.ticks == 100
    # 0.5 ms at each edge of 100 W, and the unseen inside of 50 ms at each: 15 % / 2 of 5 J
    assert found.pm_j == pytest.approx(0.1 + 2 * 5 * 0.15 / 2, rel=0.01)


def test_the_bit_beyond_a_tick_takes_the_power_of_its_own_interval() -> None:
    # 100 W until 19.95 s, then 300 W: the tick at 20.05 s tells of the last 50 ms
    ticks = np.arange(8.05, 22, 0.1)
    used = ticks * 100 + np.clip(ticks - 19.95, 0, None) * 200
    found = joules(ticks + 0.0005, used, "J", COUNTER, since_s=ticks - 0.0005)
    assert found.energy_j == pytest.approx(1000 + 0.05 * 200)


def test_ticks_between_readings_are_known_to_half_the_reading_period() -> None:
    every = np.arange(8, 32.01, 0.1)
    made = series(np.round(every * SECOND), every * 100, "J")
    wide = Sensor(instrument="counter", period_s=0.1)
    found = device_energy(made, wide, 10 * SECOND, 30 * SECOND)
    assert found.edges == "bracketed"
    assert found.energy_j == pytest.approx(2000, rel=0.001)
    assert found.pm_j is not None
    assert 10 <= found.pm_j <= 12  # 50 ms at each edge of 100 W, and a little for the inside


def test_a_fast_counter_needs_no_watching() -> None:
    every = np.arange(8, 22.01, 0.1)
    sensor = Sensor(instrument="counter", period_s=0.1, update_s=0.001, resolution=6e-5)
    found = joules(every, every * 60, "J", sensor)
    assert found.energy_j == pytest.approx(600, rel=1e-4)
    assert found.pm_j is not None
    assert found.pm_j < 1
    assert found.edges == "watched"


def test_watts_are_dated_back_to_what_they_stand_for() -> None:
    # 100 W until 20 s, 300 W after; a mean over 1 s, new each 0.1 s, read as it appears
    at = np.arange(7, 40, 0.1)
    watts = 100 + 200 * np.clip(at - 20, 0, 1) + 0.01 * np.arange(at.size) % 0.03
    sensor = Sensor(instrument="power", period_s=0.1, update_s=0.1, averaged_s=1.0)
    made = series(np.round(at * SECOND), watts, "W")
    found = device_energy(made, sensor, 10 * SECOND, 31 * SECOND)
    true = 10 * 100 + 11 * 300
    assert found.energy_j is not None
    assert found.pm_j is not None
    naive = float(
        np.interp([10, 31], at, np.concatenate([[0], np.cumsum(watts[:-1] * 0.1)])) @ [-1, 1]
    )
    assert abs(found.energy_j - true) < found.pm_j < abs(naive - true)


@pytest.mark.parametrize(("grain_w", "reason"), [(1.0, None), (0.01, "flat_line")])
def test_whole_watts_may_repeat_whatever_the_unit_of_their_file(
    grain_w: float, reason: str | None
) -> None:
    # a steady load by a file in uW: 40 s, a new value every 6 s
    at = np.arange(8, 52, 0.1)
    watts = np.round(412 + grain_w * (np.floor(at / 6) % 3), 6)
    sensor = Sensor(instrument="power", period_s=0.1, update_s=0.1, resolution=1e-6)
    made = series(np.round(at * SECOND), watts, "W")
    found = device_energy(made, sensor, 10 * SECOND, 50 * SECOND)
    assert found.reason == reason
    assert (found.energy_j is None) is (reason is not None)


def test_a_sensor_that_looks_part_of_the_time_is_less_sure() -> None:
    rng = np.random.default_rng(0)
    at = np.arange(8, 22.01, 0.1)
    watts = rng.choice([250.0, 650.0], at.size)
    watts[np.abs(at - 10) < 1] = watts[np.abs(at - 20) < 1] = 450.0
    some = Sensor(instrument="power", period_s=0.1, update_s=0.1, seen_share=0.25)
    part, whole = joules(at, watts, "W", some), joules(at, watts, "W", POWER)
    assert part.pm_j is not None
    assert whole.pm_j is not None
    assert part.pm_j > 2 * whole.pm_j
    # twice the standard error of 100 looks that spread by 200 W, for 10 s
    assert part.pm_j == pytest.approx(2 * 200 / 10 * 10, rel=0.15)


@pytest.mark.parametrize(
    ("t_s", "values", "unit", "reason"),
    [
        ([11, 25], [0, 100], "J", "coverage_low"),
        ([5, 19], [0, 100], "J", "coverage_low"),
        ([5], [100], "W", "coverage_low"),
        ([], [], "J", "coverage_low"),
        ([5, 12, 14, 25], [0, 100, 50, 200], "J", "meter_reset"),
        ([5, 15, 25], [10, float("nan"), 10], "W", "bad_reading"),
        ([5, 15, 25], [10, -1, 10], "W", "bad_reading"),
        ([5, 25], [7, 7], "J", "flat_line"),
        ([5, 25], [0, 0], "W", "bad_reading"),
        ([5, 25, 15], [0, 2, 1], "J", "clock_unsure"),
    ],
)
def test_doubtful_readings_of_a_model_give_a_reason_and_no_number(
    t_s: list[float], values: list[float], unit: str, reason: str
) -> None:
    found = joules(t_s, values, unit)
    assert (found.energy_j, found.reason) == (None, reason)


def test_a_model_may_miss_a_few_looks() -> None:
    lenient = Sensor(instrument="model", measured=False, longest_gap_s=3.0)
    assert joules([5, 8, 11, 14, 17, 20], [5, 8, 11, 14, 17, 20], "J", lenient).energy_j == 10
    assert joules([5, 8, 12, 17, 20], [5, 8, 12, 17, 20], "J", lenient).reason == "gap"
