"""Each fault is there when it is switched on, and does what it says."""

from __future__ import annotations

import pytest

from inferometer_plugins.simulator.clock import NONE, simulate
from inferometer_plugins.simulator.faults import FAULTS, Faults
from inferometer_plugins.simulator.loads import EVEN, Closed, Poisson
from inferometer_plugins.simulator.model import REFERENCE
from inferometer_plugins.simulator.trace import Trace


def run(faults: Faults = NONE) -> Trace:
    load = Closed(streams=8, start="equilibrium", spread_s=3)
    return simulate(REFERENCE, EVEN, load, work_seed=1, seed=2, end_s=200, faults=faults)


CLEAN = run()


def seen(ran: Trace) -> tuple[float, ...]:
    return (len(ran.sent_s), float(ran.first_s[:50].sum()), ran.energy_j(0, 200))


@pytest.mark.parametrize("name", FAULTS)
def test_every_fault_changes_something(name: str) -> None:
    assert seen(run(FAULTS[name])) != seen(CLEAN)


def test_short_outputs() -> None:
    found = run(FAULTS["short-outputs"])
    assert found.given.sum() / found.output.sum() == pytest.approx(0.9, abs=0.001)


def test_ends_early() -> None:
    found = run(FAULTS["eos-not-ignored"])
    assert 0.1 < (found.given < found.output).mean() < 0.3
    assert (CLEAN.given == CLEAN.output).all()


def test_slow_client() -> None:
    found = run(Faults(client_delay_s=2.0))
    assert CLEAN.in_flight(20, 200) == pytest.approx(8)
    stay_s = found.residence_s(20)
    assert found.in_flight(20, 200) == pytest.approx(8 * stay_s / (stay_s + 2), rel=0.03)


def test_dropped_requests_leave_their_tokens() -> None:
    found = run(FAULTS["dropped-requests"])
    assert found.tokens(0, 200) == CLEAN.tokens(0, 200)
    assert 0.8 < len(found.sent_s) / len(CLEAN.sent_s) < 1


def test_a_prefix_that_was_there_is_not_read() -> None:
    found = run(FAULTS["prefix-leak"])
    per_request = [it.prefill.sum() / len(it.sent_s) for it in (found, CLEAN)]
    assert per_request[0] / per_request[1] == pytest.approx(0.5, rel=0.05)


def test_prompts_that_are_longer() -> None:
    found = run(FAULTS["unequal-prompts"])
    assert found.prompt[:50].sum() / CLEAN.prompt[:50].sum() == pytest.approx(1.05, abs=0.001)


def test_clocks_that_drop() -> None:
    found = run(FAULTS["clock-drop"])
    assert found.tokens(0, 59) == CLEAN.tokens(0, 59)
    late = found.figures(61, 200).tok_s / CLEAN.figures(61, 200).tok_s
    assert late == pytest.approx(0.95, abs=0.01)


def test_drift() -> None:
    found = run(Faults(slows_per_h=9.0))  # 50 % in 200 s
    assert found.figures(180, 200).tok_s < 0.75 * CLEAN.figures(180, 200).tok_s


def test_skewed_stamps_and_a_gap_in_power() -> None:
    skewed = run(FAULTS["clock-skew"])
    assert skewed.first_s[0] - CLEAN.first_s[0] == pytest.approx(0.1)
    gap = run(FAULTS["power-gap"])
    assert gap.energy_j(61, 69) == pytest.approx(0, abs=1e-9)
    assert gap.energy_j(71, 80) == pytest.approx(CLEAN.energy_j(71, 80))


def test_a_queue_grows_when_more_comes_than_can_be_done() -> None:
    load = Poisson(rate=20.0)
    ran = simulate(REFERENCE, EVEN, load, work_seed=1, seed=2, end_s=200)
    assert ran.in_flight(180, 200) > 3 * ran.in_flight(40, 60)
