from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from scipy import special
from tests.benchmarks import decisions as benchmark

from inferometer.capacity_evidence import divergence, evidence, log_part
from inferometer.capacity_search import Ask, Capacity, Rules, Told, search

RULES = Rules(target=0.9, low=1, high=64, design_effect=1)


def run(rules: Rules, answer: Callable[[Ask], Told]) -> tuple[Capacity, list[Ask]]:
    asking = search(rules)
    asks = [next(asking)]
    while True:
        try:
            asks.append(asking.send(answer(asks[-1])))
        except StopIteration as ended:
            capacity = ended.value
            assert isinstance(capacity, Capacity)
            return capacity, asks


def share(good: Callable[[float], float], *, per_chunk: int = 1000) -> Callable[[Ask], Told]:
    def answer(ask: Ask) -> Told:
        count = round(per_chunk * good(ask.rate))
        return Told(good=count, bad=per_chunk - count)

    return answer


def test_the_beta_distribution_is_scipys() -> None:
    for a, b, x in [(1, 1, 0.3), (18, 2, 0.9), (900, 101, 0.9), (0.5, 300, 0.001), (5, 2, 0.99)]:
        below, above = special.betainc(a, b, x), special.betaincc(a, b, x)
        assert math.exp(log_part(x, a, b, above=False)) == pytest.approx(below, abs=1e-11)
        assert math.exp(log_part(x, a, b, above=True)) == pytest.approx(above, abs=1e-11)


def test_evidence_expects_nothing_at_the_target() -> None:
    # A Bayes factor has mean 1 where the target is true: over one request, and over three.
    for passing in (True, False):
        for n in (1, 3):
            mean = sum(
                math.comb(n, g)
                * 0.9**g
                * 0.1 ** (n - g)
                * math.exp(evidence(g, n - g, 0.9, passing=passing))
                for g in range(n + 1)
            )
            assert mean == pytest.approx(1)


def test_evidence_takes_sides() -> None:
    assert evidence(50, 50, 0.9, passing=False) > 20
    assert evidence(50, 50, 0.9, passing=True) < 0
    assert evidence(200, 0, 0.9, passing=True) > 5
    assert evidence(200, 0, 0.9, passing=False) < 0
    assert evidence(0, 5000, 0.9, passing=False) > 10_000
    assert evidence(0, 5000, 0.9, passing=True) < 0  # far off, and still a number


def test_divergence_by_hand() -> None:
    assert divergence(0.9, 0.9) == 0
    assert divergence(1.0, 0.9) == pytest.approx(-math.log(0.9))
    assert divergence(0.0, 0.9) == pytest.approx(math.log(10))


def test_a_cliff_is_bracketed() -> None:
    found, asks = run(RULES, share(lambda rate: 1.0 if rate < 10 else 0.0))
    assert asks[0] == Ask(rate=8, seconds=10, settle_s=5)
    assert asks[1] == Ask(rate=8, seconds=10)
    assert found.passes is not None
    assert found.fails is not None
    assert found.passes < 10 <= found.fails
    assert found.gap is not None
    assert found.gap <= 0.1
    assert (found.flag, found.design_effect) == (None, 1)
    assert found.seconds == sum(ask.seconds + ask.settle_s for ask in asks)
    assert found.seconds == 25 * len(found.probes)  # two chunks, the least, everywhere


def test_a_rate_whose_prompts_were_sent_twice_does_not_pass_but_may_fail() -> None:
    def again(good: float) -> Callable[[Ask], Told]:
        def answer(ask: Ask) -> Told:
            told = share(lambda rate: good if rate < 10 else 0.0)(ask)
            return Told(good=told.good, bad=told.bad, reused=True)

        return answer

    kept, _ = run(RULES, again(1.0))
    assert (kept.passes, kept.flag) == (None, "ill_posed")
    assert [p.seconds for p in kept.probes if p.rate == 8] == [20]  # no use in going on
    failed, _ = run(RULES, again(0.0))
    assert (failed.passes, failed.fails, failed.flag) == (None, 1, "below_range")


def test_a_bracket_that_the_client_left_wide_is_not_the_server_s_doing() -> None:
    def answer(ask: Ask) -> Told:
        told = share(lambda rate: 1.0 if rate < 22 else 0.0)(ask)
        return Told(good=told.good, bad=told.bad, starved=9 < ask.rate < 20)

    found, _ = run(RULES, answer)
    assert found.passes is not None
    assert found.passes < 9
    assert found.fails == pytest.approx(8**1.5)
    assert found.flag == "starved"


def test_a_search_that_breaks_off_says_so_and_keeps_what_it_certified() -> None:
    def answer(ask: Ask) -> Told:
        if ask.rate > 10:
            return Told(good=0, bad=0, broken=True)
        return Told(good=1000, bad=0)

    found, asks = run(RULES, answer)
    assert (found.passes, found.fails, found.flag) == (8, None, "failed")
    assert [(p.outcome, p.good, p.seconds) for p in found.probes] == [
        ("pass", 2000, 20),
        ("undecided", 0, 0),
    ]
    assert len(asks) == 3


def test_everything_fails_or_everything_passes() -> None:
    low, _ = run(RULES, share(lambda _: 0.0))
    assert (low.passes, low.fails, low.flag) == (None, 1, "below_range")
    high, _ = run(RULES, share(lambda _: 1.0))
    assert (high.passes, high.fails, high.flag) == (64, None, "above_range")


def test_a_share_that_hardly_depends_on_the_rate_is_flagged() -> None:
    flat, _ = run(RULES, share(lambda rate: 0.9 if 2 < rate < 20 else float(rate <= 2)))
    assert flat.flag == "ill_posed"
    # From 6.7 the steps go out to 40 % either way, and find nothing but the target.
    rates = [probe.rate for probe in flat.probes if probe.outcome == "undecided"]
    assert max(rates) / min(rates) == pytest.approx(1.4**2)


def test_an_undecided_rate_is_stepped_around() -> None:
    found, _ = run(RULES, share(lambda rate: 0.9 if 7.9 < rate < 8.1 else float(rate < 8)))
    first = [(round(probe.rate, 2), probe.outcome) for probe in found.probes[:3]]
    assert first == [(8, "undecided"), (7.62, "pass"), (8.4, "fail")]
    # 1.05^2 - 1 is still above the tolerance: the wider side is halved
    assert (found.probes[3].outcome, found.flag) == ("fail", None)
    assert found.gap is not None
    assert found.gap < 0.1


def test_a_hopeless_rate_steers_and_is_certified_when_it_ends_the_bracket() -> None:
    def answer(ask: Ask) -> Told:
        if ask.rate < 7:
            return Told(good=1000, bad=0)
        return Told(good=8, bad=2, growing=True)  # few answers: certain only after a while

    found, asks = run(Rules(low=1, high=64, design_effect=1, least_s=60), answer)
    first = found.probes[0]
    assert (first.rate, first.outcome, first.seconds) == (8, "hopeless", 20)
    assert found.fails is not None
    ending = next(p for p in found.probes if p.rate == found.fails and p.outcome == "fail")
    assert ending.seconds > 20
    assert asks[-1].rate == found.fails


def test_a_surprise_beside_an_undecided_rate_goes_on_with_bisection() -> None:
    def good(rate: float) -> float:
        return 0.9 if rate == 8 else float(rate < 5)  # 8 looked even by chance

    found, _ = run(RULES, share(good))
    assert [probe.outcome for probe in found.probes[:2]] == ["undecided", "fail"]
    assert found.passes is not None
    assert found.fails is not None
    assert found.passes < 5 <= found.fails
    assert (found.gap or 1) <= 0.1


def test_a_rate_that_the_client_cannot_offer_is_gone_below_and_never_certified() -> None:
    def answer(ask: Ask) -> Told:
        return Told(good=1000, bad=0, starved=ask.rate > 20)

    found, _ = run(RULES, answer)
    assert (found.fails, found.flag) == (None, "starved")
    assert found.passes is not None
    assert 17 < found.passes < 20
    assert {p.outcome for p in found.probes if p.rate > 20} == {"starved"}


def test_a_rate_does_not_pass_while_its_queue_grows() -> None:
    def answer(ask: Ask) -> Told:
        return Told(good=1000, bad=0, growing=ask.rate > 10)

    found, _ = run(RULES, answer)
    assert found.fails is None
    assert found.passes is not None
    assert found.passes < 10


def test_one_burst_fails_nobody() -> None:
    quiet = iter([Told(good=100, bad=0), Told(good=0, bad=100)])

    def answer(_: Ask) -> Told:
        return next(quiet, Told(good=1000, bad=0))

    found, _ = run(RULES, answer)
    assert found.probes[0].outcome == "pass"


def test_requests_in_flight_share_their_fate() -> None:
    # Of 40 in flight at once, the 60 good requests of a chunk are worth 3.
    alone, _ = run(RULES, lambda _: Told(good=60, bad=0))
    together, _ = run(RULES, lambda _: Told(good=60, bad=0, in_flight=40.0))
    assert (alone.probes[0].seconds, together.probes[0].seconds > 100) == (30, True)
    assert together.design_effect == 20


def test_time_runs_out() -> None:
    found, _ = run(
        Rules(low=1, high=64, budget_s=60, design_effect=1), share(lambda r: float(r < 9))
    )
    assert found.flag in {"budget", "ill_posed"}
    assert found.seconds <= 60 + 25


def test_chunks_that_swing_raise_the_design_effect() -> None:
    turn = iter(range(10_000))

    def answer(ask: Ask) -> Told:
        bad = 0 if ask.rate < 5 else 200 * (next(turn) % 2)  # all good, then a fifth bad
        return Told(good=1000 - bad, bad=bad)

    found, _ = run(RULES, answer)
    assert found.design_effect > 20


def test_rules_that_cannot_be() -> None:
    with pytest.raises(ValueError, match="target inside"):
        Rules(target=1.0)
    with pytest.raises(ValueError, match="low < high"):
        Rules(low=2, high=2)


@pytest.mark.parametrize("world", benchmark.SLO_WORLDS)
def test_the_bracket_holds_the_truth(world: str) -> None:
    found = benchmark.Run().map(lambda seed: benchmark.searched(seed, world), "test", 60)
    held = [(c.passes or 0) <= truth <= (c.fails or math.inf) for truth, c in found]
    assert np.mean(held) >= 0.95
    assert np.mean([c.seconds for _, c in found]) <= 16 * 60
    if world == "plateau":
        assert np.mean([c.flag == "ill_posed" for _, c in found]) >= 0.9
