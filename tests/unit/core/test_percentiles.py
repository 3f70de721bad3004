from __future__ import annotations

import math

import numpy as np
import pytest

from inferometer.uncertainty.batches import (
    batch_means,
    heavy_tailed,
    ratio_of_sums,
    stationarity,
)
from inferometer.uncertainty.percentiles import least_number, percentile, ranks
from inferometer.uncertainty.proportions import design_effect, proportion, widened, wilson


def test_least_numbers_are_those_of_loadgens_early_stopping() -> None:
    found = [least_number(p) for p in (0.5, 0.9, 0.95, 0.97, 0.99, 0.999)]
    assert found == [11, 64, 130, 219, 662, 6636]
    with pytest.raises(ValueError, match="between 0 and 1"):
        least_number(1.0)


def test_ranks_of_the_median_are_those_of_the_tables() -> None:
    assert ranks(11, 0.5) == (2, 10)
    assert ranks(100, 0.5) == (40, 61)
    assert ranks(100, 0.5, effect=4) == (32, 72)  # 8th and 18th of 25, four times as far


def test_a_percentile_is_a_sample_between_two_samples() -> None:
    seen = percentile(range(1, 101), 0.5, effect=1)
    assert (seen.value, seen.low, seen.high) == (50, 40, 61)
    assert (seen.n, seen.needed, seen.reason) == (100, 11, None)


def test_below_the_floor_there_is_no_number() -> None:
    seen = percentile(range(661), 0.99, effect=1)
    assert (seen.value, seen.reason, seen.needed) == (None, "too_few_samples", 662)
    assert percentile(range(662), 0.99, effect=1).value == 655  # the 656th of 0..661
    dependent = percentile(range(1985), 0.99, effect=3)
    assert (dependent.reason, dependent.needed) == ("too_few_samples", 1986)
    assert percentile([], 0.5).reason == "too_few_samples"


def test_failures_stay_in_the_distribution() -> None:
    seen = percentile([*range(90), *[math.inf] * 10], 0.9, effect=1)
    assert (seen.value, seen.high) == (89, math.inf)
    assert percentile([*range(80), *[math.inf] * 20], 0.9, effect=1).value == math.inf
    with pytest.raises(ValueError, match="not a number"):
        percentile([math.nan] * 20, 0.5)


def test_design_effect_by_hand() -> None:
    # batches of four with shares 1 0 1 0 1: variance 0.3, and 4 * 0.3 / (0.6 * 0.4) = 5
    hits = ([1] * 4 + [0] * 4) * 2 + [1] * 4
    assert design_effect(hits) == pytest.approx(5)
    assert design_effect([1, 0] * 50) == 1  # even spread: never below one
    assert design_effect([1] * 20) == 1
    assert design_effect([1, 0, 1]) == 1


def test_wilson_by_hand() -> None:
    assert wilson(0.8, 10) == pytest.approx((0.4902, 0.9433), abs=1e-4)
    assert wilson(1.0, 10) == pytest.approx((10 / (10 + 1.96**2), 1), abs=1e-4)


def test_a_share_counts_what_its_samples_are_worth() -> None:
    seen = proportion([True] * 16 + [False] * 4, effect=2)
    assert (seen.value, seen.n) == (0.8, 20)
    assert (seen.low, seen.high) == pytest.approx(wilson(0.8, 10))
    assert widened(1) == pytest.approx((2.7764 / 1.95996) ** 2, abs=1e-3)
    assert proportion([]).reason == "too_few_samples"


@pytest.mark.parametrize("p", [0.5, 0.9])
def test_intervals_cover_where_requests_share_their_fate(p: float) -> None:
    rng = np.random.default_rng(3)
    held = {"percentile": 0, "share": 0}
    for _ in range(200):
        samples = np.repeat(rng.random(250), 4)
        seen = percentile(samples, p)
        share = proportion(samples <= p)
        held["percentile"] += bool(seen.low and seen.high and seen.low <= p <= seen.high)
        held["share"] += bool(share.low and share.high and share.low <= p <= share.high)
    assert min(held.values()) >= 182  # 91 %; taking them for independent holds about two thirds


def test_batch_means_by_hand() -> None:
    # logs 0 .. 0.04: mean 0.02, sd 0.0158, t(0.975; 4) 2.776: half width 0.0196
    seen = batch_means(
        list(np.exp([0.0, 0.01, 0.02, 0.03, 0.04])), residences=10, heavy_tailed=True
    )
    assert seen.value == pytest.approx(math.exp(0.02))
    assert seen.high == pytest.approx(math.exp(0.02 + 0.01963), abs=1e-5)


def test_short_windows_of_heavy_tails_have_no_interval_of_their_own() -> None:
    seen = batch_means([1.0] * 5, residences=9.9, heavy_tailed=True)
    assert (seen.value, seen.low, seen.reason) == (1, None, "too_few_samples")
    assert "10 needed" in seen.detail
    assert batch_means([1.0] * 5, residences=4, heavy_tailed=False).reason is None
    with pytest.raises(ValueError, match="at least two"):
        batch_means([1.0], residences=20, heavy_tailed=False)


def test_what_counts_as_a_heavy_tail() -> None:
    assert heavy_tailed([10, 10, 10, 100])
    assert not heavy_tailed([80, 90, 100])
    assert not heavy_tailed([5])


def test_a_ratio_of_sums_by_hand() -> None:
    # theta 2; E - 2N = 1, -1: sd sqrt(2), over sqrt(2) * 1.5 is 2/3; t(0.975; 1) = 12.706
    seen = ratio_of_sums([3, 3], [1, 2])
    assert seen.value == 2
    assert seen.high == pytest.approx(2 + 12.706 * 2 / 3, abs=1e-2)
    same = ratio_of_sums([2, 4], [1, 2])
    assert (same.low, same.high) == pytest.approx((2, 2))
    with pytest.raises(ValueError, match="divide by"):
        ratio_of_sums([1, 1], [0, 0])


def test_a_ramp_is_a_slope_and_a_jump_is_a_step() -> None:
    ramp = stationarity(list(np.exp([0.0, 0.01, 0.02, 0.03, 0.04])))
    assert not ramp.steady
    assert ramp.monotone
    assert ramp.slope == pytest.approx(math.expm1(0.05))
    assert [words[:7] for words in ramp.trends] == ["a slope"]
    jump = stationarity([100, 100, 100, 105, 105])
    assert jump.step == pytest.approx(0.05)
    assert any("step of +5 %" in words for words in jump.trends)


def test_rising_batches_count_when_they_rise_twice() -> None:
    small = list(np.exp([0.0, 0.001, 0.002, 0.003, 0.004]))
    assert stationarity(small).steady
    assert not stationarity(small, monotone_before=True).steady
    with pytest.raises(ValueError, match="five batches"):
        stationarity([1.0] * 4)


def test_noise_is_no_trend() -> None:
    rng = np.random.default_rng(5)
    windows = np.exp(rng.normal(0, 0.02, (500, 5)))
    alarms = sum(not stationarity(list(window)).steady for window in windows)
    assert alarms <= 15  # 3 %
