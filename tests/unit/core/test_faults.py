"""Every fault of the catalogue, once, in a real run: caught by the check that must."""

from __future__ import annotations

import pytest

from inferometer.testing.faults import CATALOGUE, Fault, run

ABOUT_THE_MACHINE = {"loop lag", "send lag", "client cpu", "delivered concurrency", "achieved rate"}
"""What a busy machine may rightly fail; whether a clean run does is a benchmark's question."""


@pytest.mark.parametrize("fault", CATALOGUE, ids=lambda fault: fault.name)
def test_each_fault_is_caught_by_name(fault: Fault) -> None:
    found = {check.name: check for check in run(fault, seed=1)}
    assert found[fault.caught_by].verdict == "fail", found[fault.caught_by]


@pytest.mark.parametrize("loop", ["closed", "open"])
def test_a_clean_run_raises_no_alarm(loop: str) -> None:
    found = run(None, seed=1, loop="open" if loop == "open" else "closed")
    failed = {check.name for check in found if check.verdict == "fail"}
    assert not failed - ABOUT_THE_MACHINE, [c for c in found if c.verdict != "pass"]
