"""Curves over load points, where the engine between them is known."""

from __future__ import annotations

from functools import lru_cache
from math import exp, log

import numpy as np
import pytest

from inferometer.uncertainty.interactivity import Load, Reading, read
from inferometer_plugins.simulator.clock import simulate
from inferometer_plugins.simulator.laws import Hardware, Roofline, Sizes
from inferometer_plugins.simulator.loads import EVEN, LONG_PROMPT, Closed, Workload
from inferometer_plugins.simulator.model import REFERENCE, Params, silent
from inferometer_plugins.simulator.truth import pilot_s

MIXTURE = Params(
    law=Roofline(
        hardware=Hardware(flops_s=1e15, bytes_s=3.3e12, memory_bytes=80e9),
        sizes=Sizes(
            always_bytes=4e9,
            flops_per_token=12e9,
            kv_bytes_per_token=65536,
            experts=128,
            top_k=8,
            expert_bytes=0.35e9,
        ),
    )
)
"""Experts that a larger batch wakes: up to 32 streams a step takes longer for each."""


@lru_cache
def point(params: Params, work: Workload, streams: int) -> tuple[Load, Load]:
    """The true load point by tok/s, and by J/token."""
    engine = silent(params)
    stay_s = pilot_s(engine, work, streams)
    load = Closed(streams=streams, start="equilibrium", spread_s=stay_s / 2)
    start_s, end_s = 5 * stay_s, 5 * stay_s + 2000
    ran = simulate(engine, work, load, work_seed=3, seed=3, end_s=end_s)
    whole = (ran.first_s > start_s) & np.isfinite(ran.last_s) & (ran.output > 1)
    tpot_s = (ran.last_s - ran.first_s)[whole] / (ran.output[whole] - 1)
    seen = ran.figures(start_s, end_s)
    speed = float(1 / tpot_s.mean())
    return Load(streams, speed, seen.tok_s), Load(streams, speed, seen.j_per_token)


def compared(
    params: Params, work: Workload, used: tuple[int, ...], streams: int, *, joules: bool = False
) -> tuple[Reading, float]:
    """What is read at the speed of ``streams``, and its error in log units."""
    curve = [point(params, work, n)[joules] for n in used]
    truth = point(params, work, streams)[joules]
    found = read(curve, truth.interactivity, higher_is_better=not joules)
    assert found is not None
    return found, log(found.value / truth.value)


@pytest.mark.parametrize("work", [LONG_PROMPT, EVEN], ids=lambda work: str(work.name))
def test_the_reference_engine_is_read_to_half_a_percent(work: Workload) -> None:
    for used, streams in (((4, 16, 64), 8), ((4, 16, 64), 32), ((8, 32), 16)):
        assert abs(compared(REFERENCE, work, used, streams)[1]) < 0.005
    found, error = compared(REFERENCE, work, (4, 16, 64), 8, joules=True)
    assert abs(error) < 0.01
    assert found.slack < 0.05


@pytest.mark.parametrize(
    ("work", "streams", "low"),
    [(LONG_PROMPT, (8, 16, 32), 0.08), (EVEN, (8, 16, 32), 0.16), (EVEN, (8, 32, 128), 0.4)],
)
def test_straight_in_log_log_it_would_be_read_too_low(
    work: Workload, streams: tuple[int, ...], low: float
) -> None:
    left, truth, right = (point(REFERENCE, work, n)[0] for n in streams)
    share = log(truth.interactivity / left.interactivity) / log(
        right.interactivity / left.interactivity
    )
    straight = exp(log(left.value) + share * log(right.value / left.value))
    assert straight < (1 - low) * truth.value


@pytest.mark.parametrize("joules", [False, True])
def test_where_experts_wake_the_curve_says_how_far_off_it_is(joules: bool) -> None:
    for used, streams in (((4, 16, 64), 8), ((4, 16, 64), 32), ((4, 8, 16, 64), 32)):
        found, error = compared(MIXTURE, EVEN, used, streams, joules=joules)
        assert 0.1 < abs(error) < found.slack
