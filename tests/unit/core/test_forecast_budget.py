"""What fits a budget: which steps, in which order, and what each loses."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.unit.core.test_forecast import CPU, GPU, study

from inferometer.forecast import bill
from inferometer.forecast.budget import parse
from inferometer.forecast.fit import fitted
from inferometer.forecast.past import Past
from inferometer.forecast.reduced import LEAST_ROUNDS, droppable
from inferometer.study import LoadEntry, dump
from inferometer.study import parse as parsed

if TYPE_CHECKING:
    from inferometer.forecast.fit import Proposal
    from inferometer.study import Study

FIVE = study(rounds=5, loads=(1, 4, 8, 16, 64))
"""Rounds of 60 + 5 * 80 = 460 s, and a probe of 20 s."""


def fit(asked: Study, budget: str, machines: int = 1) -> Proposal:
    return fitted(asked, parse(budget), CPU, Past(), machines=machines)


def concurrencies(found: Proposal) -> list[int | None]:
    return [load.concurrency for load in found.study.loads]


def test_what_fits_is_left_as_it_is() -> None:
    found = fit(FIVE, f"{5 * 460 + 20}s")
    assert (found.fits, found.steps, found.changes, found.study) == (True, [], "", FIVE)


def test_rounds_go_first_and_never_below_three() -> None:
    found = fit(FIVE, "2319s")
    assert found.changes == "[protocol]\nrounds = 4\n"
    assert found.study.protocol.rounds == 4
    assert [step.change for step in found.steps] == ["rounds: 5 -> 4"]
    assert fit(FIVE, "1400s").study.protocol.rounds == LEAST_ROUNDS == 3


def test_fewer_rounds_say_which_difference_is_found_no_more() -> None:
    two = study(rounds=5, tables='[[engines]]\nname = "sglang"')
    (step,) = fit(two, "850s").steps
    assert step.change == "rounds: 5 -> 3"
    assert step.loses == (
        "smallest difference found (80 % power): 3.1% -> 5.9%, at a standard deviation of 1.3% "
        "of one launch, assumed"
    )


def test_no_round_is_given_up_for_nothing() -> None:
    # two pairs of rounds of 300 s on two machines, and a probe: a fourth round takes no time
    found = fit(study(rounds=4, loads=(1, 4, 16)), "619s", machines=2)
    assert (found.used, found.study.protocol.rounds) == (460, 4)
    assert concurrencies(found) == [1, 16]
    five = fit(FIVE, "18m", machines=2)
    assert [step.change for step in five.steps] == ["rounds: 5 -> 4"]


def test_of_one_stack_fewer_rounds_widen_its_interval() -> None:
    (step,) = fit(FIVE, "1400s").steps
    assert step.loses.startswith("half width of a 95 % interval: 1.6% -> 3.3%, at a standard")


def test_then_load_points_go_from_the_middle_and_the_ends_stay() -> None:
    left = [concurrencies(fit(FIVE, f"{seconds}s")) for seconds in (1400, 1399, 1159, 919)]
    assert left == [[1, 4, 8, 16, 64], [1, 4, 16, 64], [1, 16, 64], [1, 64]]
    found = fit(FIVE, "919s")
    assert found.steps[1].change == "no load of 8 streams: 1 load point less in each launch"
    assert "what lies between 4 streams and 16 streams is" in found.steps[1].loses
    assert found.changes.count("[[loads]]\nconcurrency") == 2


def test_what_stays_lies_evenly() -> None:
    asked, left = study(rounds=3, loads=(1, 2, 4, 8, 16, 32)), []
    while open_ := droppable(asked):
        asked = replace(asked, loads=tuple(it for it in asked.loads if it != open_[0]))
        left.append([load.concurrency for load in asked.loads])
    assert left == [[1, 2, 8, 16, 32], [1, 2, 8, 32], [1, 8, 32], [1, 32]]


def test_the_load_that_is_tuned_for_stays() -> None:
    tuned = study(
        loads=(1, 4, 8), tables="[tuning]\ntrials = 2\nconcurrency = 4", engine='profile = "tuned"'
    )
    assert droppable(tuned) == []


def test_open_loops_keep_their_own_ends_and_traces_stay() -> None:
    rates = tuple(LoadEntry(rate=rate) for rate in (3.0, 1.0, 2.0))
    loads = (*study(loads=(1, 2)).loads, *rates, LoadEntry(trace="t.jsonl"))
    assert droppable(replace(study(), loads=loads)) == [LoadEntry(rate=2.0)]


def test_windows_go_last_and_never_below_the_shortest() -> None:
    long = study(rounds=3, protocol="window_s = 120\ndiscard_s = 10\nprobe = false")
    found = fit(long, "540s")
    assert (found.fits, found.study.protocol.window_s) == (True, 90.0)
    assert found.steps[0].loses == "noise within a window grows 1.15-fold"
    least = fit(long, "1s")
    assert (least.fits, least.study.protocol.window_s, least.used) == (False, 60.0, 420)


def test_a_sequential_study_gets_the_minutes_of_the_budget() -> None:
    asked = study(rounds=8, tables="[sequential]")
    found = fit(asked, "12m")
    # rounds of 140 s, a probe of 20 s, a look of 4 s behind each: four rounds are 596 s
    assert found.forecast.rounds.expected == 4
    assert found.study.protocol.rounds == 8
    assert found.changes == "[sequential]\nminutes = 11.7\n"
    assert found.used <= 720
    assert "sequential.minutes: for 4 rounds of 8 (was unset)" in found.steps[0].change


def test_a_window_that_earlier_results_share_stays() -> None:
    asked = study(
        rounds=3,
        protocol="window_s = 120",
        tables='[sequential]\nminutes = 60\nearlier = ["x"]',
    )
    assert fit(asked, "1s").study.protocol.window_s == 120


def test_gpu_hours_and_dollars_fit_likewise() -> None:
    wide = study(rounds=6, engine="tensor_parallel_size = 4", protocol="window_s = 60")
    hours = fitted(wide, parse("0.8 gpu-hours"), GPU, Past())
    assert hours.fits
    assert hours.used <= 0.8
    assert hours.used == hours.forecast.gpu_hours.expected
    paid = fitted(wide, parse("$1"), GPU, Past(), rate=bill.typed(5.0))
    assert paid.fits
    assert paid.bill.amount is not None
    assert paid.used == paid.bill.amount.expected <= 1


@settings(
    max_examples=60,
    deadline=None,  # a machine may stall
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
@example(
    rounds=4, loads=[143, 144, 48], window_s=88.5, looking=True, budgets=[1238, 1375], machines=1
)
@given(
    rounds=st.integers(1, 8),
    loads=st.lists(st.integers(1, 256), min_size=1, max_size=6, unique=True),
    window_s=st.none() | st.floats(5, 900),
    looking=st.booleans(),
    budgets=st.tuples(st.integers(1, 20_000), st.integers(1, 20_000)).map(sorted),
    machines=st.integers(1, 3),
)
def test_what_is_proposed_fits_and_more_never_leaves_less(  # noqa: PLR0917 -- by hypothesis
    rounds: int,
    loads: list[int],
    window_s: float | None,
    looking: bool,
    budgets: list[int],
    machines: int,
) -> None:
    looking = looking and rounds >= 3
    asked = study(
        rounds=rounds,
        loads=loads,
        protocol="" if window_s is None else f"window_s = {window_s}",
        tables="[sequential]" if looking else "",
    )
    less, more = (fit(asked, f"{seconds}s", machines=machines) for seconds in budgets)
    for found, seconds in ((less, budgets[0]), (more, budgets[1])):
        assert found.fits == (found.used <= seconds)
        again = fit(found.study, f"{seconds}s", machines=machines)
        if found.fits:
            assert (again.steps, again.used) == ([], found.used)
        # what is proposed is a study, and keeps what it must
        assert parsed(dump(found.study), "again.toml") == found.study
        assert found.forecast.rounds.expected >= min(rounds, LEAST_ROUNDS)
        assert {min(loads), max(loads)} <= set(concurrencies(found))
        assert (found.study.protocol.window_s or 60) >= min(window_s or 60, 60)
    assert less.forecast.rounds.expected <= more.forecast.rounds.expected
    assert len(less.study.loads) <= len(more.study.loads)
    assert (less.study.protocol.window_s or 300) <= (more.study.protocol.window_s or 300)


@pytest.mark.parametrize("text", ["1s", "1 gpu-hours", "1usd"])
def test_the_least_is_proposed_where_nothing_fits(text: str) -> None:
    wide = study(rounds=5, loads=(1, 2, 3), engine="tensor_parallel_size = 8")
    found = fitted(wide, parse(text), GPU, Past(), rate=bill.typed(99.0))
    assert not found.fits
    assert (found.study.protocol.rounds, len(found.study.loads)) == (3, 2)
