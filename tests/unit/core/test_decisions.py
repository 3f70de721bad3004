from __future__ import annotations

import math
from functools import partial

import numpy as np
import pytest
from tests.benchmarks import decisions as benchmark

from inferometer import stats
from inferometer.uncertainty.components import Components, Prior
from inferometer.uncertainty.decisions import (
    RULES,
    Decision,
    Rules,
    cheapest_windows,
    decide,
    droppable,
    stop,
    verdict,
)

WOBBLE = (1.0, 1.001, 0.999, 1.0, 1.002, 0.998, 1.001, 1.0)


def rounds(level: float, *, turn: int = 0, count: int = 3) -> dict[int, float]:
    """Values around ``level`` that wobble by a tenth of a per cent, each stack at its own turn."""
    return {r: level * WOBBLE[(r + turn) % len(WOBBLE)] for r in range(count)}


def three(*levels: float, count: int = 3) -> dict[str, dict[int, float]]:
    return {f"s{i}": rounds(v, turn=2 * i, count=count) for i, v in enumerate(levels)}


def said(decision: Decision, *names: str) -> str:
    return next(p.verdict for p in decision.pairs if {p.stack, p.other} == set(names))


def test_verdicts_of_one_pair() -> None:
    margin = math.log(1.02)
    assert verdict(0.05, 0.04) == verdict(-0.05, 0.04) == "better"
    assert verdict(margin / 3, margin / 2) == "tie"
    assert verdict(margin / 2, margin / 2 + 1e-6) == "undecided"
    assert verdict(0.0, math.inf) == "undecided"


def test_clear_differences_are_named_after_round_three_and_not_before() -> None:
    values = three(100, 110, 121)
    early = decide(three(100, 110, 121, count=2), higher_is_better=True)
    assert (early.looks, early.decided, {p.verdict for p in early.pairs}) == (
        0,
        False,
        {"undecided"},
    )
    seen = decide(values, higher_is_better=True)
    assert seen.decided
    assert [s.stack for s in seen.standings] == ["s2", "s1", "s0"]
    assert [(s.place, s.low, s.high) for s in seen.standings] == [(1, 1, 1), (2, 2, 2), (3, 3, 3)]
    assert seen.standings[0].best == 1.0
    pair = seen.pairs[0]
    assert (pair.stack, pair.other, pair.rounds) == ("s1", "s0", 3)
    assert pair.ratio.value == pytest.approx(1.1, abs=0.005)


def test_lower_may_be_better() -> None:
    seen = decide(three(2.0, 1.0, 4.0), higher_is_better=False)
    assert [s.stack for s in seen.standings] == ["s1", "s0", "s2"]
    assert all(p.ratio.value < 1 for p in seen.pairs)


def test_equal_stacks_tie_and_share_the_place() -> None:
    seen = decide(three(100, 100, 100, count=4), higher_is_better=True)
    assert {p.verdict for p in seen.pairs} == {"tie"}
    assert [(s.place, s.low, s.high) for s in seen.standings] == [(1, 1, 3)] * 3


def test_width_is_the_studentised_range_of_the_residuals() -> None:
    values = three(100, 101, 99, count=5)
    logs = np.log([[values[s][r] for s in values] for r in range(5)])
    want = stats.spread(logs, level=RULES.level)
    seen = decide(values, higher_is_better=True)
    assert seen.sd == pytest.approx(want.sd)
    assert seen.df == want.df
    assert seen.detectable == pytest.approx(want.detectable)
    undecided = decide(values, higher_is_better=True, rules=Rules(first=6, last=5))
    widths = [math.log(p.ratio.high / p.ratio.value) for p in undecided.pairs if p.ratio.high]
    assert min(widths) == pytest.approx(want.half_width)  # one pair at least is as quiet as all


def test_a_noisy_pair_is_judged_by_its_own_noise() -> None:
    swing = (1.0, 1.1, 0.9, 1.05, 0.95)
    values = three(100, 100, 100, count=5)
    values["s2"] = {r: 100 * factor for r, factor in enumerate(swing)}
    seen = decide(values, higher_is_better=True, rules=Rules(first=6, last=5))
    logs = np.log([values["s2"][r] / values["s0"][r] for r in range(5)])
    want = stats.range_quantile(RULES.level, 3, 8) * logs.std(ddof=1) / math.sqrt(2 * 5)
    noisy = next(p.ratio for p in seen.pairs if {p.stack, p.other} == {"s0", "s2"})
    quiet = next(p.ratio for p in seen.pairs if {p.stack, p.other} == {"s0", "s1"})
    assert noisy.high is not None
    assert quiet.high is not None
    assert math.log(noisy.high / noisy.value) == pytest.approx(want)
    assert math.log(quiet.high / quiet.value) < want


def test_a_verdict_stays_as_the_look_gave_it() -> None:
    values = three(100, 110, 100.5)
    for r, factor in ((3, 1.3), (4, 0.8)):  # two launches that would undo it
        for stack, by_round in values.items():
            by_round[r] = by_round[0] * (factor if stack == "s1" else 1.0)
    seen = decide(values, higher_is_better=True)
    pair = next(p for p in seen.pairs if {p.stack, p.other} == {"s0", "s1"})
    assert (pair.verdict, pair.rounds, seen.rounds) == ("better", 3, 5)


def test_a_decided_stack_is_dropped_and_the_others_go_on() -> None:
    values = three(100, 100.9, 150)
    seen = decide(values, higher_is_better=True)
    assert said(seen, "s0", "s2") == said(seen, "s1", "s2") == "better"
    values["s0"][1] *= 1.02
    seen = decide(values, higher_is_better=True)
    assert said(seen, "s0", "s1") == "undecided"
    assert droppable([seen]) == {"s2"}
    assert droppable([seen, decide(three(1, 2, 2, count=2), higher_is_better=True)]) == set()
    more = {s: values[s] | {3: values[s][0], 4: values[s][2]} for s in ("s0", "s1")}
    later = decide(values | more, higher_is_better=True)
    assert said(later, "s0", "s2") == "better"
    assert {s.stack: s.rounds for s in later.standings} == {"s0": 5, "s1": 5, "s2": 3}


def test_a_stack_that_lost_a_launch_waits_for_its_third() -> None:
    values = three(100, 110, 120)
    del values["s0"][1]
    seen = decide(values, higher_is_better=True)
    assert said(seen, "s1", "s2") == "better"
    assert said(seen, "s0", "s1") == "undecided"


def test_a_prior_lets_the_second_round_decide() -> None:
    values = three(100, 110, 121, count=2)
    seen = decide(values, higher_is_better=True, prior=Prior(variance=0.0001))
    assert (seen.looks, seen.df) == (1, 2 + 6)
    assert seen.decided
    # 2 df of almost nothing and 6 of 1 %: sd 1 % * sqrt(6 / 8)
    assert seen.sd == pytest.approx(0.01 * math.sqrt(0.75), rel=0.01)


def test_one_stack_or_one_round_decides_nothing() -> None:
    alone = decide({"a": {0: 1.0, 1: 2.0, 2: 3.0}}, higher_is_better=True)
    assert (alone.pairs, alone.standings[0].place, alone.detectable) == ((), 1, math.inf)
    once = decide(three(1, 2, 3, count=1), higher_is_better=True)
    assert {(p.verdict, p.ratio.low) for p in once.pairs} == {("undecided", None)}
    assert once.standings[0].best is None
    for empty in ({}, {"a": {0: 1.0}, "b": {}}):
        with pytest.raises(ValueError, match="without any value"):
            decide(empty, higher_is_better=True)
    with pytest.raises(ValueError, match="logarithm"):
        decide({"a": {0: 0.0}}, higher_is_better=True)


def test_the_chance_of_best_is_even_among_equals_and_repeats() -> None:
    values = {"a": {0: 1.0, 1: 2.0, 2: 4.0}, "b": {0: 2.0, 1: 1.0, 2: 4.0}}
    seen = decide(values, higher_is_better=True, seed=4)
    assert [s.best for s in seen.standings] == pytest.approx([0.5, 0.5], abs=0.03)
    assert seen == decide(values, higher_is_better=True, seed=4)


def test_reasons_to_stop() -> None:
    open_ = decide(three(1, 2, 3, count=2), higher_is_better=True)
    closed = decide(three(1, 2, 3), higher_is_better=True)
    assert stop([closed], rounds=3) == "decided"
    assert stop([closed, open_], rounds=3) is None
    assert stop([open_], rounds=8) == "rounds"
    assert stop([open_], rounds=3, spent_min=36, next_min=12, budget_min=48) is None
    assert stop([open_], rounds=3, spent_min=37, next_min=12, budget_min=48) == "budget"


def test_the_least_difference_seen_is_that_of_the_facts() -> None:
    table = {3: 4.9, 4: 3.5, 5: 2.9, 6: 2.5, 8: 2.1}
    for n, want in table.items():
        df = 2 * (n - 1)
        half = stats.range_quantile(0.986, 3, df) / math.sqrt(n)
        assert stats.detectable(half, 1.0, df, n) == pytest.approx(want, abs=0.15), n


def test_windows_a_launch_that_make_equals_soonest_a_tie() -> None:
    def best(launch_sd: float, most: int = 4) -> int:
        parts = Components(launch_sd=launch_sd, window_sd=0.008, launch_df=4, window_df=60)
        return cheapest_windows(parts, stacks=3, launch_s=180, window_s=60, most=most)

    assert best(0.003) in {2, 3}  # four would be cheapest by variance alone
    assert best(0.02) == 4  # no tie within eight rounds: what was asked for
    assert best(0.003, most=1) == 1


def test_of_equal_stacks_few_are_told_apart() -> None:
    for name, world in benchmark.WORLDS.items():
        for prior in (False, True):
            job = partial(benchmark.replay, world=world, truth=benchmark.EQUAL, prior=prior)
            found = benchmark.Run().map(job, f"test {name} {prior}", 150)
            wrong = sum(study.looks[-1][benchmark.WRONG] for study in found)
            assert wrong <= 15  # 4.3 % expected at worst; 10 % would be 2.7 sd more


def test_stacks_apart_are_put_in_order_in_time() -> None:
    world = benchmark.WORLDS["usual"]
    job = partial(benchmark.replay, world=world, truth=benchmark.APART, prior=False)
    found = benchmark.Run().map(job, "test apart", 100)
    assert np.mean([study.looks[-1][benchmark.RIGHT] for study in found]) >= 0.97
    assert np.mean([study.minutes for study in found]) <= 50


def test_intervals_cover() -> None:
    hits = benchmark.Run().map(
        lambda seed: benchmark.covered(seed, benchmark.WORLDS["quiet"], 4), "test coverage", 400
    )
    shares = np.mean(hits, axis=0)
    assert (shares > 0.92).all()
    assert (shares < 0.98).all()
