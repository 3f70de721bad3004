"""The fewest replicas: found by dividing, and shown by the neighbours."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterable
from concurrent.futures.process import BrokenProcessPool

import numpy as np
import pytest
from msgspec.structs import replace

from inferometer_plugins.fleet import OFFICE, Fleet, Slo, Traffic, Tried, engine, simulate, smallest
from inferometer_plugins.fleet import answer as answer_of
from inferometer_plugins.fleet.answer import Case, between, each, grown, least
from inferometer_plugins.simulator.loads import Uniform, Workload

pytestmark = pytest.mark.timeout(600)  # whoever comes first compiles
TRAFFIC = Traffic(requests_per_day=5e6, hourly=OFFICE)
LENGTH_S = 1200.0


def test_the_fewest_meet_it_and_one_fewer_does_not() -> None:
    slo = Slo(ttft_s=0.2, tpot_s=0.012)
    answer = smallest(Fleet(), TRAFFIC, slo, seed=1, day_s=LENGTH_S)
    assert answer.replicas is not None
    assert answer.replicas > 1
    assert answer.monotone
    numbers = [it.replicas for it in answer.tried]
    assert numbers == sorted(set(numbers))
    met = {it.replicas: it.met for it in answer.tried}
    assert (met[answer.replicas - 1], met[answer.replicas]) == (False, True)
    assert met[answer.replicas + 1]
    for number in (answer.replicas - 1, answer.replicas):
        day = simulate(Fleet(replicas=number), TRAFFIC, seed=1, day_s=LENGTH_S)
        assert slo.met(day) == met[number]
    assert answer.summary is not None
    assert answer.summary.ttft_p99_s <= 0.2
    assert answer.summary.tpot_p99_s <= 0.012
    assert answer.why == f"{answer.replicas} replicas meet it, {answer.replicas - 1} do not"
    wider = smallest(Fleet(), TRAFFIC, slo, seed=1, day_s=LENGTH_S, workers=3, run=one_by_one)
    assert wider.replicas == answer.replicas
    assert wider.summary == answer.summary


def one_by_one(cases: Iterable[Case], workers: int) -> list[Tried]:
    given = list(cases)
    assert len(given) <= workers
    return each(given)


def test_no_number_may_do() -> None:
    slo = Slo(tpot_s=1e-4)
    answer = smallest(Fleet(), TRAFFIC, slo, seed=1, day_s=60, most=5)
    assert (answer.replicas, answer.summary) == (None, None)
    assert answer.why == "not even 5 replicas meet it"
    assert max(it.replicas for it in answer.tried) == 5


def test_one_may_do() -> None:
    answer = smallest(Fleet(), Traffic(requests_per_day=100), Slo(e2e_s=60), seed=1, day_s=3600)
    assert answer.replicas == 1


def test_processes_say_the_same() -> None:
    fleets = [Fleet(replicas=it) for it in (2, 3)]
    cases = [Case(fleet=it, traffic=TRAFFIC, seed=1, day_s=60) for it in fleets]
    assert each(cases, workers=2) == each(cases)


def test_numbers_that_divide_and_grow() -> None:
    assert between(0, 2, 2) == [1]
    assert between(10, 20, 1) == [15]
    assert between(10, 20, 4) == [12, 14, 16, 18]
    assert grown(4, 10, 3) == [4, 6, 9]
    assert grown(9, 10, 3) == [9, 10]
    assert least(Fleet(), Traffic(requests_per_day=1)) == 1
    slower = Fleet(params=replace(Fleet().params, slowdown=10.0))
    many = Traffic(requests_per_day=1e9)
    assert least(slower, many) == pytest.approx(10 * least(Fleet(), many), rel=0.05)


def test_a_service_level_says_something() -> None:
    wrongs: list[Callable[[], Slo]] = [
        Slo,
        lambda: Slo(ttft_s=0),
        lambda: Slo(ttft_s=1, share=1.0),
    ]
    for wrong in wrongs:
        with pytest.raises(ValueError, match="slo"):
            wrong()


def test_a_queue_that_is_left_waiting_meets_no_limit() -> None:
    # few at once are quick however many wait: what never had a first token counts as well
    fleet = Fleet(params=replace(Fleet().params, max_seqs=4))
    slo = Slo(tpot_s=0.05)
    answer = smallest(fleet, TRAFFIC, slo, seed=1, day_s=LENGTH_S)
    assert answer.replicas is not None
    assert answer.replicas > 10
    assert answer.summary is not None
    assert answer.summary.unfinished < 0.05 * answer.summary.offered


def test_nobody_is_late_where_nobody_comes() -> None:
    one = Workload(name="one", prompt=Uniform(8, 1), output=Uniform(1, 1))
    quiet = Traffic(requests_per_day=100, workload=one)
    assert smallest(Fleet(), quiet, Slo(tpot_s=0.01), seed=1, day_s=3600, most=3).replicas == 1


def test_a_day_in_parts_is_the_same_day(monkeypatch: pytest.MonkeyPatch) -> None:
    # between parts Ctrl-C is heard, which compiled code does not
    whole = simulate(Fleet(replicas=2), TRAFFIC, seed=1, day_s=60)
    monkeypatch.setattr(engine, "EVENTS", 7)
    parts = simulate(Fleet(replicas=2), TRAFFIC, seed=1, day_s=60)
    assert np.array_equal(whole.e2e_s, parts.e2e_s)
    assert whole.summary() == parts.summary()


def test_more_requests_than_can_be_numbered_are_refused_before_they_are_drawn() -> None:
    with pytest.raises(ValueError, match=r"1e\+12 requests are more than can be numbered"):
        simulate(Fleet(), Traffic(requests_per_day=1e12), seed=1)


def killed(case: Case) -> Tried:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def test_processes_are_ended_when_one_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    before = set(multiprocessing.active_children())
    cases = [Case(fleet=Fleet(), traffic=TRAFFIC, seed=1, day_s=60)] * 2
    monkeypatch.setattr(answer_of, "tried", killed)
    with pytest.raises(BrokenProcessPool):
        each(cases, workers=2)
    assert set(multiprocessing.active_children()) <= before
