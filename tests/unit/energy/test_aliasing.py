"""Loads in step with a sensor that sees 25 ms of every 100 ms."""

from __future__ import annotations

import numpy as np
import pytest

from inferometer.energy.aliasing import LOCKED, in_phase, share_seen, strength
from inferometer.energy.series import Sensor

SHARE, UPDATE_S, LENGTH_S, GRID_S = 0.25, 0.1, 10.0, 0.0005
PART_TIME = Sensor(instrument="power", update_s=UPDATE_S, averaged_s=0.025)


def steps(rng: np.random.Generator, step_s: float, jitter: float) -> np.ndarray:
    """Return when decode steps begin, over a window and a little more."""
    count = int(LENGTH_S / step_s * 1.6) + 8
    each = step_s * (1 + jitter * rng.standard_normal(count)).clip(0.2)
    return np.asarray(np.cumsum(each) - 2 * step_s + rng.uniform(0, step_s))


def error(rng: np.random.Generator, begins: np.ndarray, duty: float) -> float:
    """Return by how much the sensor is off for a wave of 650 W in each step's first part."""
    at = np.arange(0, LENGTH_S, GRID_S)
    place = np.clip(np.searchsorted(begins, at, side="right") - 1, 0, begins.size - 2)
    phase = (at - begins[place]) / (begins[place + 1] - begins[place])
    watts = np.where(phase < duty, 650.0, 250.0)
    seen = (at + rng.uniform(0, UPDATE_S)) % UPDATE_S < SHARE * UPDATE_S
    return float(watts[seen].mean() / watts.mean() - 1)


def judged(begins: np.ndarray) -> tuple[float, bool]:
    events = np.round(begins[(begins >= 0) & (begins < LENGTH_S)] * 1e9).astype(np.int64)
    return strength(events, UPDATE_S, SHARE), in_phase(events, PART_TIME) is not None


@pytest.mark.parametrize("step_ms", [100, 50, 100 / 3, 20, 200, 99.7])
def test_a_load_in_step_is_refused_for_it_can_be_far_off(step_ms: float) -> None:
    rng = np.random.default_rng(3)
    worst = 0.0
    for _ in range(20):
        begins = steps(rng, step_ms / 1e3, 0.002)
        found, refused = judged(begins)
        assert refused, found
        worst = max(worst, *(abs(error(rng, begins, duty)) for duty in (0.25, 0.5)))
    assert worst > 0.1


@pytest.mark.parametrize("step_ms", [11, 25, 30, 47, 62, 75, 88, 110, 130, 230])
def test_a_load_out_of_step_passes_and_is_not_far_off(step_ms: float) -> None:
    rng = np.random.default_rng(4)
    for _ in range(20):
        begins = steps(rng, step_ms / 1e3, 0.01)
        found, refused = judged(begins)
        assert not refused
        assert found < LOCKED
        assert abs(error(rng, begins, 0.5)) < 0.05


def test_what_is_let_through_is_seldom_far_off() -> None:
    rng = np.random.default_rng(5)
    passed: list[float] = []
    refused: list[float] = []
    for step_ms in np.geomspace(11, 1000, 60):
        for jitter in (0.001, 0.01, 0.03, 0.1, 0.3):
            begins = steps(rng, step_ms / 1e3, jitter)
            _, no = judged(begins)
            off = max(abs(error(rng, begins, duty)) for duty in (0.25, 0.5, 0.75))
            (refused if no else passed).append(off)
    assert len(passed) > 200
    assert np.quantile(passed, 0.95) < 0.06
    assert max(passed) < 0.15
    assert np.quantile(refused, 0.5) > 0.05


def test_streams_spread_over_the_step_keep_no_step() -> None:
    rng = np.random.default_rng(6)
    events = np.sort(rng.integers(0, int(LENGTH_S * 1e9), 5000))
    assert in_phase(events, PART_TIME) is None


@pytest.mark.parametrize(
    "sensor",
    [
        Sensor(instrument="counter", update_s=0.1),  # nobody says that it looks part-time
        Sensor(instrument="power", update_s=0.1, averaged_s=0.1),
        Sensor(instrument="power", update_s=0.1, averaged_s=1.0),
        Sensor(instrument="power", update_s=0.02, averaged_s=0.01),
        Sensor(instrument="power", averaged_s=0.025),
        Sensor(instrument="model", measured=False, update_s=0.1, seen_share=0.25),
    ],
)
def test_sensors_that_see_all_cannot_be_fooled(sensor: Sensor) -> None:
    assert share_seen(sensor) is None
    locked = np.arange(0, 10**10, 10**8)
    assert in_phase(locked, sensor) is None
    assert in_phase(locked, PART_TIME) is not None
