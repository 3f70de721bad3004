from __future__ import annotations

import math

import numpy as np
import pytest

from inferometer import stats
from inferometer.uncertainty.components import (
    Components,
    Prior,
    cautious,
    components,
    layout,
    prior,
    rescaled,
    residual,
    shared_windows,
    windows_per_launch,
)


def launch(log_mean: float, half_spread: float = 0.0) -> list[float]:
    return [math.exp(log_mean - half_spread), math.exp(log_mean + half_spread)]


def parts(launch_sd: float, window_sd: float | None = 0.008) -> Components:
    return Components(launch_sd=launch_sd, window_sd=window_sd, launch_df=4, window_df=10)


def test_components_by_hand() -> None:
    # Two windows 0.01 either side: variance 0.0002. Means +-0.01 crosswise: 4 * 0.0001 / 1 df,
    # of which the windows account for 0.0002 / 2.
    seen = components(
        {
            "a": {0: launch(0.01, 0.01), 1: launch(-0.01, 0.01)},
            "b": {0: launch(-0.01, 0.01), 1: launch(0.01, 0.01)},
        }
    )
    assert seen.window_sd == pytest.approx(math.sqrt(0.0002))
    assert seen.launch_sd == pytest.approx(math.sqrt(0.0003))
    assert (seen.launch_df, seen.window_df) == (1, 4)


def test_components_without_two_windows_take_batch_means() -> None:
    one = {"a": {0: [1.0], 1: [1.1]}, "b": {0: [1.0], 1: [1.0]}}
    assert components(one).window_sd is None
    assert components(one, window_sd=9.0).launch_sd == 0  # windows account for more than all
    alone = components({"a": {0: launch(0, 0.01)}})
    assert (alone.launch_sd, alone.launch_df) == (0, 0)
    with pytest.raises(ValueError, match="positive"):
        components({"a": {0: [0.0]}})
    with pytest.raises(ValueError, match="needs a window"):
        components({"a": {0: []}})


def test_windows_a_launch_are_the_worked_examples() -> None:
    assert windows_per_launch(parts(0.01), launch_s=180, window_s=60) == 2  # sqrt(3 * 0.64)
    assert windows_per_launch(parts(0.003), launch_s=180, window_s=60) == 4  # 4.6, clamped
    assert windows_per_launch(parts(0.02), launch_s=180, window_s=60) == 1
    assert windows_per_launch(parts(0.0), launch_s=180, window_s=60) == 4
    assert windows_per_launch(parts(0.01, None), launch_s=180, window_s=60) == 1


def test_a_layout_with_holes_compares_inside_rounds() -> None:
    # b - a is 1 in both rounds they share; c is 2 above a in the only round it has.
    seen = layout({"a": {0: 0.0, 1: 10.0, 2: 5.0}, "b": {0: 1.0, 1: 11.0}, "c": {2: 7.0}})
    assert seen is not None
    assert seen.means - seen.means[0] == pytest.approx([0, 1, 2])
    assert seen.left == pytest.approx(0, abs=1e-20)
    assert seen.df == 1
    assert layout({"a": {}}) is None


def test_a_whole_layout_is_the_balanced_one() -> None:
    rng = np.random.default_rng(1)
    logs = rng.normal(0, 1, (4, 3))
    balanced = stats.spread(logs)
    found = residual({str(j): {i: float(logs[i, j]) for i in range(4)} for j in range(3)})
    assert found is not None
    assert found[0] == pytest.approx(balanced.sd**2)
    assert found[1] == balanced.df
    assert residual({"a": {0: 1.0, 1: 2.0}}) is None


def test_a_prior_is_the_upper_quartile_and_needs_ten_launches() -> None:
    rng = np.random.default_rng(2)
    group = {
        name: {r: math.exp(rng.normal(0, sd)) for r in range(4)}
        for name, sd in (("a", 0.01), ("b", 0.01), ("c", 0.05))
    }
    fit = layout({s: {r: math.log(v) for r, v in one.items()} for s, one in group.items()})
    seen = prior([group])
    assert fit is not None
    assert seen is not None
    assert (seen.df, fit.df) == (6, 6)
    low, middle, high = sorted(fit.variances)
    assert seen.variance == pytest.approx((middle + high) / 2)
    assert low < fit.left / fit.df < seen.variance
    assert prior([{name: rounds for name, rounds in group.items() if name != "c"}]) is None
    assert prior([{"a": dict.fromkeys(range(20), 1.0)}]) is None  # nothing to compare with


def test_variances_of_stacks_by_hand() -> None:
    # Residuals are +-1 everywhere: 2 a stack, over two times the quarter that is left free.
    seen = layout({"a": {0: 1.0, 1: -1.0}, "b": {0: -1.0, 1: 1.0}})
    assert seen is not None
    assert seen.left == pytest.approx(4)
    assert seen.variances == pytest.approx([4, 4])


def test_plans_take_the_launches_variance_from_the_prior() -> None:
    seen = cautious(parts(0.0, 0.008), Prior(variance=0.0001), windows=1)
    assert seen.launch_sd == pytest.approx(0.006)
    assert cautious(parts(0.02), Prior(variance=0.0001), windows=1).launch_sd == 0.02


def test_a_prior_goes_with_the_number_of_windows() -> None:
    # launch 0.0001, window 0.0003: 0.0004 with one window, 0.0002 with three
    known = parts(0.01, math.sqrt(0.0003))
    half = rescaled(Prior(variance=0.0008), known, measured=1, wanted=3)
    assert half.variance == pytest.approx(0.0004)
    assert rescaled(Prior(variance=2.0), parts(0, 0), measured=1, wanted=3).variance == 2


def test_what_shared_requests_do_to_a_batch_is_no_noise_of_the_window() -> None:
    rng = np.random.default_rng(5)
    rounds: list[list[list[float]]] = []
    for _ in range(200):
        requests = rng.normal(0, 0.3, 5)
        own = rng.normal(0, 0.05, (3, 1)) + rng.normal(0, 0.02, (3, 5))
        rounds.append(np.exp(requests + own).tolist())
    found = shared_windows(rounds)
    assert found is not None
    assert found[1] == 200 * 2 * 4
    assert math.sqrt(found[0]) == pytest.approx(0.02 / math.sqrt(5), rel=0.05)
    assert shared_windows([rows[:1] for rows in rounds]) is None
    assert shared_windows([[[1.0], [2.0]]]) is None
