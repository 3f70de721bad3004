from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import special

from inferometer.uncertainty.batches import (
    batch_means,
    heavy_tailed,
    ratio_of_sums,
    stationarity,
)
from inferometer.uncertainty.percentiles import least_number, percentile, pooled, ranks
from inferometer.uncertainty.proportions import (
    dependence,
    design_effect,
    pooled_proportion,
    proportion,
    widened,
    wilson,
)


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


def test_the_floor_may_be_met_by_several_launches_together() -> None:
    launches = [start + 2 * (np.arange(331) * 3 % 331) for start in (0, 1)]  # 0 to 661, mixed
    assert percentile(launches[0], 0.99).reason == "too_few_samples"
    seen = pooled(launches, 0.99)
    assert (seen.value, seen.n, seen.design_effect) == (655, 662, 1)
    assert pooled([[], []], 0.5).needed == 11


def test_launches_that_differ_widen_the_interval_and_not_the_floor() -> None:
    launches = [[10.0 + k + i / 1000 for i in range(100)] for k in range(3)]
    seen = pooled(launches, 0.5)
    assert (seen.value, seen.reason) == (11.049, None)
    # no sample bounds the median of three levels: logs of the rests 11, 11 and 12 would, by t
    assert seen.low is not None
    assert seen.high is not None
    assert (seen.low < 10, seen.high > 12.1) == (True, True)
    endless = [[*launch[:80], *[math.inf] * 20] for launch in launches[:2]]
    assert pooled([*endless, [math.inf] * 100], 0.5).high == math.inf


def test_dependence_by_hand() -> None:
    # each launch in five batches of four with shares 1 0 1 0 1 or 0 1 0 1 0: variance 0.3 in both;
    # 4 * 0.3 / (0.5 * 0.5) = 4.8, told by eight degrees of freedom
    one = ([1] * 4 + [0] * 4) * 2 + [1] * 4
    both = dependence([one, [1 - hit for hit in one]])
    assert both.inside == pytest.approx(4.8)
    # shares 0.6 and 0.4 about 0.5: 40 * 2 * (0.05^2 + 0.05^2) / 0.25 = 1.6, by one degree
    assert both.counted == pytest.approx(widened(1.6, df=1))
    assert dependence([[1] * 40, [1] * 40]).inside == 1


def test_a_share_of_several_launches_is_that_of_all_requests() -> None:
    seen = pooled_proportion([[True] * 30, [True] * 6 + [False] * 4])
    assert (seen.value, seen.n) == (0.9, 40)
    alone = pooled_proportion([[True] * 36 + [False] * 4])
    assert seen.low is not None
    assert alone.low is not None
    assert seen.low < alone.low  # the launches differ, and two tell little
    assert pooled_proportion([]).reason == "too_few_samples"


def test_a_share_of_all_or_none_is_not_taken_for_independent_requests() -> None:
    # 40 requests count as ten: 10 / (10 + 1.96^2)
    seen = pooled_proportion([[True] * 30, [True] * 10])
    assert (seen.value, seen.high, seen.design_effect) == (1, 1, 4)
    assert seen.low == pytest.approx(0.7225, abs=1e-4)
    assert proportion([False] * 40).high == pytest.approx(0.2775, abs=1e-4)
    assert proportion([True] * 40, effect=1).low == pytest.approx(0.9124, abs=1e-4)


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
    assert wilson(0.0, 7.3)[0] == 0
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


@pytest.mark.parametrize("sd", [0.0, 0.1])
@pytest.mark.parametrize(("p", "each"), [(0.5, 200), (0.9, 300)])
def test_intervals_of_three_launches_cover_what_launches_and_batches_do(
    p: float, each: int, sd: float
) -> None:
    rng = np.random.default_rng(7)
    truth = math.exp(math.hypot(0.5, sd) * float(special.ndtri(p)))
    held = {"percentile": 0, "share": 0}
    told = 0
    for _ in range(200):
        launches = [
            np.exp(
                math.sqrt(0.175) * np.repeat(rng.standard_normal(each // 10), 10)
                + math.sqrt(0.075) * rng.standard_normal(each)
                + sd * rng.standard_normal()
            )
            for _ in range(3)
        ]
        seen = pooled(launches, p)
        share = pooled_proportion([samples <= truth for samples in launches])
        told += seen.value is not None
        held["percentile"] += bool(seen.low and seen.high and seen.low <= truth <= seen.high)
        held["share"] += bool(share.low and share.high and share.low <= p <= share.high)
    assert told >= 190
    assert min(held["percentile"] / told, held["share"] / 200) >= 0.93


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
