from __future__ import annotations

import math

import numpy as np
import pytest

from inferometer import stats


def test_one_launch_has_no_interval() -> None:
    seen = stats.estimate([5.0])
    assert (seen.value, seen.low, seen.high, seen.n) == (5.0, None, None, 1)


def test_t_interval_of_two() -> None:
    # mean 3, sd sqrt(2), t(0.975; 1) = 12.706: 3 -+ 12.706
    seen = stats.estimate([2.0, 4.0], log=False)
    assert seen.value == 3
    assert seen.high == pytest.approx(3 + 12.706, abs=1e-3)


def test_log_scale_is_the_geometric_mean() -> None:
    seen = stats.estimate([1.0, 100.0])
    assert seen.value == pytest.approx(10)
    assert seen.low is not None
    assert seen.high is not None
    assert seen.low * seen.high == pytest.approx(100)


def test_a_logarithm_of_zero_is_refused() -> None:
    with pytest.raises(ValueError, match="logarithm"):
        stats.estimate([0.0, 1.0])
    with pytest.raises(ValueError, match="at least one"):
        stats.estimate([])


def test_pairs_take_only_shared_rounds() -> None:
    ratio = stats.paired_ratio({0: 10.0, 1: 30.0, 2: 7.0}, {0: 5.0, 1: 15.0, 3: 9.0})
    assert ratio is not None
    assert ratio.n == 2
    assert ratio.value == pytest.approx(2)
    assert ratio.low == pytest.approx(2)
    assert stats.paired_ratio({0: 1.0}, {1: 1.0}) is None
    assert stats.complete_rounds({}) == []


def test_residual_ignores_stack_and_round_effects() -> None:
    stack, rounds = np.array([0.0, 1.0, 5.0]), np.array([[0.0], [0.3], [-0.2], [7.0]])
    seen = stats.spread(stack + rounds)
    assert seen.sd == pytest.approx(0, abs=1e-12)
    assert (seen.df, seen.half_width) == (6, 1e-9)


def test_two_stacks_agree_with_the_paired_t_test() -> None:
    left, right = np.array([1.0, 2.0, 4.0]), np.array([1.5, 1.8, 4.4])
    difference = left - right
    half = stats.t_quantile(0.975, 2) * difference.std(ddof=1) / math.sqrt(3)
    assert stats.spread(np.column_stack([left, right])).half_width == pytest.approx(half)


def test_studentised_range_of_the_tables() -> None:
    assert stats.range_quantile(0.95, 3, 10) == pytest.approx(3.877, abs=1e-3)
    assert stats.range_quantile(0.95, 2, 10) == pytest.approx(3.151, abs=1e-3)


def test_one_round_or_one_stack_separates_nothing() -> None:
    for logs in (np.array([[1.0, 2.0]]), np.array([[1.0], [2.0]])):
        seen = stats.spread(logs)
        assert math.isinf(seen.half_width)
        assert math.isinf(seen.detectable)


def test_the_detectable_difference_is_detected_four_times_in_five() -> None:
    rng = np.random.default_rng(7)
    k, n, sd = 3, 4, 0.013
    df = (k - 1) * (n - 1)
    half = stats.range_quantile(0.95, k, df) * sd / math.sqrt(n)
    effect = stats.detectable(half, sd, df, n)
    found = 0
    for _ in range(400):
        logs = rng.normal(0, sd, (n, k))
        logs[:, 0] += effect
        means = logs.mean(axis=0)
        found += means[0] - means[1] > stats.spread(logs).half_width
    assert 0.7 < found / 400 < 0.9
