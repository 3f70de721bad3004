"""Rules of measuring against the truth, reduced: the figures are of tests/benchmarks."""

from __future__ import annotations

import math

import numpy as np
import pytest
from tests.benchmarks.window_bias import CASES, bias, measured, pairing, true_lead

from inferometer_plugins.simulator.loads import CHAT, Closed
from inferometer_plugins.simulator.model import REFERENCE, without_launch
from inferometer_plugins.simulator.truth import pilot_s, truth

LONG_16 = CASES[1]


def here(call: object, seeds: range) -> list[float]:
    """Run in this process."""
    assert callable(call)
    return [call(seed) for seed in seeds]


def test_an_equilibrium_start_is_true_where_a_burst_and_a_whole_run_are_not() -> None:
    true = truth(
        without_launch(REFERENCE), LONG_16.workload, Closed(streams=16), runs=4, length_s=4000
    )
    assert true.tok_s_error < 0.001
    rows = [measured(LONG_16, seed) for seed in range(100)]
    equilibrium, whole, middle, burst = (bias(seen, true) for seen in zip(*rows, strict=True))
    assert abs(equilibrium.tok_s) < 0.003
    assert abs(equilibrium.j_per_token) < 0.003
    assert whole.tok_s < -0.01
    assert middle.tok_s > 0.005
    assert burst.tok_s < -0.003
    assert burst.j_per_token > 0.005


def test_sharing_requests_lowers_the_variance_of_a_ratio() -> None:
    chat, reasoning = CASES[3]._replace(window_r=10), CASES[4]
    assert pairing(chat, range(30), True, here).gain > 4
    found = pairing(reasoning, range(30), False, here)
    assert found.gain > 20
    assert found.mean == pytest.approx(true_lead(reasoning, 2000), abs=0.01)


def test_truth_is_the_same_from_other_seeds_and_is_kept() -> None:
    load = Closed(streams=8)
    first = truth(REFERENCE, CHAT, load, runs=2, length_s=1000)
    assert truth(REFERENCE, CHAT, load, runs=2, length_s=1000) is first
    more = truth(REFERENCE, CHAT, load, runs=4, length_s=1000)
    assert more.tok_s == pytest.approx(first.tok_s, rel=0.02)
    assert truth(REFERENCE, CHAT, load, runs=1, length_s=1000).tok_s_error == math.inf
    # 8 streams: in the mean each makes a request's tokens in its time in the server
    tokens = np.mean([output for block in range(9) for output in CHAT.draw(1, block)[1]])
    assert 8 * tokens / more.residence_s == pytest.approx(more.tok_s, rel=0.02)
    assert pilot_s(REFERENCE, CHAT, 8) == pytest.approx(more.residence_s, rel=0.2)
