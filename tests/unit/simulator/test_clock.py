"""A launch in virtual time: what goes in comes out, and twice the same."""

from __future__ import annotations

import math

import numpy as np
import pytest
from msgspec.structs import replace

from inferometer_plugins.simulator.clock import simulate
from inferometer_plugins.simulator.laws import Hardware, Linear, Roofline, Sizes
from inferometer_plugins.simulator.loads import (
    CHAT,
    EVEN,
    Closed,
    Given,
    Poisson,
    Uniform,
    Workload,
    first_ones,
    requests,
)
from inferometer_plugins.simulator.model import PRESETS, REFERENCE, SILENT, Params, Power, silent
from inferometer_plugins.simulator.trace import Trace

ROUND = Params(
    law=Linear(a_s=0.01, b_s=0.001, c_s=1e-5, d_s=1e-4),
    noise=SILENT,
    budget=2000,
    max_seqs=100,
    power=Power(base_w=100, prefill_w=200, batch_w=400),
)
ONE = Workload(name="one", prompt=Uniform(1000, 1), output=Uniform(3, 1))
LOADS = [
    Closed(streams=8, requests=60),
    Closed(streams=8, start="ramp", spread_s=2, requests=60),
    Closed(streams=8, start="equilibrium", spread_s=2, requests=60),
]


def run(
    params: Params = REFERENCE,
    load: Closed | Poisson | Given = LOADS[0],
    end_s: float = math.inf,
) -> Trace:
    return simulate(params, CHAT, load, work_seed=1, seed=2, end_s=end_s)


def test_one_request_by_hand() -> None:
    ran = simulate(ROUND, ONE, Given(times_s=(0.5,)), work_seed=1, seed=1)
    prompt_s, second_s, third_s = 0.01 + 0.1, 0.011 + 0.01001, 0.011 + 0.01002
    assert ran.first_s == pytest.approx([0.5 + prompt_s])
    assert ran.last_s == pytest.approx([0.5 + prompt_s + second_s + third_s])
    # 100 W; 200 more for 1000 of 2000 tokens in the first step; 400 / 100 for one that decodes
    joules = 100 * ran.last_s[0] + 100 * 0.11 + 4 * (second_s + third_s)
    assert ran.energy_j(0, ran.last_s[0]) == pytest.approx(joules)
    assert [ran.tokens(0, at_s) for at_s in (0.609, 0.611, 0.64, 1)] == [0, 1, 2, 3]


def test_the_line_of_arithmetic_holds_until_the_context_is_long() -> None:
    gpu = Hardware(flops_s=100, bytes_s=100, memory_bytes=1, flops_share=1, bytes_share=1)
    sizes = Sizes(always_bytes=1, flops_per_token=2, kv_bytes_per_token=0.1)
    law = Roofline(hardware=gpu, sizes=sizes, overhead_s=0)
    work = Workload(name="x", prompt=Uniform(4, 1), output=Uniform(11, 1))
    params = Params(law=law, noise=SILENT)
    ran = simulate(params, work, Given(times_s=(0.0,)), work_seed=1, seed=1)
    # 0.02 s of arithmetic a token; memory takes 0.01 + 0.001 a token of context: equal at 10
    steps = [0.08] + [max(0.02, 0.01 + 0.001 * (4 + i)) for i in range(1, 11)]
    assert ran.end_s == pytest.approx(np.cumsum(steps))


@pytest.mark.parametrize("load", LOADS, ids=lambda load: load.start)
@pytest.mark.parametrize("kv_tokens", [None, 3000])
def test_tokens_and_joules_are_kept(load: Closed, kv_tokens: int | None) -> None:
    ran = run(replace(REFERENCE, kv_tokens=kv_tokens), load)
    assert len(ran.sent_s) == 60
    assert not ran.cut.any()
    assert ran.tokens(0, math.inf) == ran.output.sum() == ran.made.sum()
    assert (ran.preempted > 0) == (kv_tokens is not None)
    if kv_tokens is None:
        assert ran.prefill.sum() == ran.prompt.sum()
    else:
        assert ran.prefill.sum() > ran.prompt.sum()
    end_s = ran.end_s[-1]
    by_steps = (ran.power_w * (ran.end_s - ran.begin_s)).sum()
    assert ran.energy_j(0, end_s) == pytest.approx(by_steps, rel=1e-12)
    parts = [ran.energy_j(a, b) for a, b in ((0, 1.234), (1.234, 5), (5, end_s))]
    assert sum(parts) == pytest.approx(by_steps, rel=1e-12)
    assert (ran.sent_s < ran.first_s).all()
    assert (ran.first_s <= ran.last_s).all()


def test_twice_the_same_and_another_seed_another() -> None:
    first, again = (simulate(REFERENCE, CHAT, LOADS[0], work_seed=1, seed=2) for _ in range(2))
    assert (first.end_s == again.end_s).all()
    other = simulate(REFERENCE, CHAT, LOADS[0], work_seed=1, seed=3)
    assert first.end_s[-1] != other.end_s[-1]


def test_a_launch_without_an_end_has_the_noise_of_one_with_an_end() -> None:
    load = Closed(streams=2, requests=400)
    long, ended = run(load=load), run(load=load, end_s=1e5)
    assert long.end_s[-1] > 120
    assert (long.end_s == ended.end_s).all()


def test_stacks_get_the_same_requests() -> None:
    ran = [run(PRESETS[name], replace(LOADS[2], requests=None), end_s=60) for name in PRESETS]
    fewest = min(len(it.sent_s) for it in ran)
    assert fewest > 100
    assert (ran[0].prompt[:fewest] == ran[1].prompt[:fewest]).all()
    assert (ran[0].output[:fewest] == ran[1].output[:fewest]).all()
    assert len({len(it.sent_s) for it in ran}) == 2


def test_a_window_is_closed_under_load() -> None:
    ran = run(load=Closed(streams=8), end_s=30)
    assert ran.cut.sum() == 8
    assert ran.in_flight(5, 30) == pytest.approx(8)


@pytest.mark.parametrize("load", [Poisson(rate=12.0, seed=3), Closed(streams=32)], ids=str)
def test_littles_law_holds_in_a_clean_window(load: Poisson | Closed) -> None:
    ran = run(load=load, end_s=2000)
    ended = (ran.last_s > 100) & (ran.last_s <= 2000)
    rate = ended.sum() / 1900
    assert rate * ran.residence_s(100, 2000) == pytest.approx(ran.in_flight(100, 2000), rel=0.0025)


def test_given_arrivals_leave_the_server_idle_between_them() -> None:
    ran = simulate(ROUND, ONE, Given(times_s=(0.0, 10.0)), work_seed=1, seed=1)
    assert ran.first_s == pytest.approx([0.11, 10.11])
    assert ran.energy_j(1, 9) == pytest.approx(800)
    assert ran.tokens(1, 10) == 0


def test_what_arrives_in_a_step_waits_for_its_end() -> None:
    work = Workload(name="x", prompt=Uniform(100, 1), output=Uniform(1000, 1))
    law = Linear(a_s=1, b_s=0, c_s=0, d_s=0)
    params = Params(law=law, noise=SILENT)
    ran = simulate(params, work, Given(times_s=(0.0, 4.5)), work_seed=1, seed=1, end_s=20)
    assert ran.first_s == pytest.approx([1, 6])
    assert ran.made.tolist() == [1] * 5 + [2] * 15


def test_a_load_without_an_end_is_refused() -> None:
    with pytest.raises(ValueError, match="needs an end"):
        run(load=Closed(streams=1))
    with pytest.raises(ValueError, match="need an end"):
        run(load=Poisson(rate=1))


def test_lengths_depend_on_the_place_alone() -> None:
    drawn = requests(EVEN, 5)
    many = [next(drawn) for _ in range(5000)]
    assert many[4096:4100] == list(zip(*EVEN.draw(5, 1), strict=True))[:4]
    assert all(819 <= length <= 1024 for pair in many for length in pair)
    assert many[:10] != [next(requests(EVEN, 6)) for _ in range(10)]


def test_first_ones_have_an_age() -> None:
    pairs = np.asarray(first_ones(ONE, 600, seed=1))
    whole = Workload(name="x", prompt=Uniform(1000, 1), output=Uniform(1000, 1))
    aged = np.asarray(first_ones(whole, 4000, seed=1))
    assert (aged.sum(axis=1) == 2000).all()  # what it would have made is sent as prompt
    assert aged[:, 1].min() >= 1
    assert aged[:, 1].mean() == pytest.approx(500, rel=0.03)
    assert set(pairs[:, 1]) == {1, 2, 3}


def test_noise_has_the_mean_of_the_silent_engine() -> None:
    load = Closed(streams=16)
    quiet = run(silent(REFERENCE), load, end_s=1000).figures(100, 1000)
    noisy = run(replace(REFERENCE, noise=replace(REFERENCE.noise, launch_sd=0.0)), load, end_s=1000)
    assert noisy.figures(100, 1000).tok_s == pytest.approx(quiet.tok_s, rel=0.01)
    slow = run(replace(silent(REFERENCE), slowdown=2.0), load, end_s=1000).figures(100, 1000)
    assert slow.tok_s == pytest.approx(quiet.tok_s / 2, rel=0.01)
