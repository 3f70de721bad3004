"""Every fault of the catalogue, once, in a real run: caught by the check that must."""

from __future__ import annotations

import pytest

from inferometer.loadgen.driver import Body, Target, collect
from inferometer.testing.faults import CATALOGUE, Fault, run
from inferometer.testing.oracle import Options, Oracle

ABOUT_THE_MACHINE = {"loop lag", "send lag", "client cpu", "delivered concurrency", "achieved rate"}
"""What a busy machine may rightly fail; whether a clean run does is a benchmark's question."""


@pytest.mark.parametrize("fault", CATALOGUE, ids=lambda fault: fault.name)
def test_each_fault_is_caught_by_name(fault: Fault) -> None:
    found = {check.name: check for check in run(fault, seed=1)}
    assert found[fault.caught_by].verdict == "fail", found[fault.caught_by]


def test_a_server_of_limited_capacity_lets_requests_wait() -> None:
    body = Body(b'{"prompt": "a b", "max_tokens": 10, "stream": true}', 0, 2, 10)
    with Oracle(Options(ttft_ms=20, itl_ms=10, capacity=2)) as oracle:
        target = Target(host="127.0.0.1", port=oracle.port, path="/v1/completions")
        collect(target, [body] * 7, 6)  # one alone, then six at once: two by two
    arrived = oracle.truth[1].arrived_ns
    waits = sorted(round((t.writes[0][0] - arrived) / 1e6) for t in oracle.truth[1:])
    for wait, turn in zip(waits, (0, 0, 1, 1, 2, 2), strict=True):
        assert 15 + 110 * turn <= wait, waits
    assert waits[-1] < 5 * 110, waits  # as long as one by one would take at least


@pytest.mark.parametrize("loop", ["closed", "open"])
def test_a_clean_run_raises_no_alarm(loop: str) -> None:
    found = run(None, seed=1, loop="open" if loop == "open" else "closed")
    failed = {check.name for check in found if check.verdict == "fail"}
    assert not failed - ABOUT_THE_MACHINE, [c for c in found if c.verdict != "pass"]
