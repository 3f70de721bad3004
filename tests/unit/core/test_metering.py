"""The sampler: it reads beside the load, and a broken meter ends alone."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass, field

import pytest

from inferometer.metering import Sampler, Usage, bystanders
from inferometer.records import Reading, Window


@dataclass
class Session:
    fail_after: int = 10**9
    reads: int = 0
    closed: bool = False
    values: list[float] = field(default_factory=list)

    def read(self) -> list[Reading]:
        self.reads += 1
        if self.reads > self.fail_after:
            raise OSError("sensor went away")
        now = time.monotonic_ns()
        return [Reading(meter="m", device="d", t_ns=now, value=float(self.reads), unit="J")]

    def close(self) -> None:
        self.closed = True


def test_looks_are_taken_at_the_edges_and_in_between() -> None:
    session = Session()
    before = time.monotonic_ns()
    with Sampler({"m": session}, os.getsid(0)) as sampler:
        time.sleep(0.7)
        sampler.look()
    times = [reading.t_ns for reading in sampler.readings]
    assert len(times) >= 4  # the first, one after 0.5 s, ours, the last
    assert times == sorted(times)
    assert times[0] >= before
    assert session.closed
    assert (sampler.peak_memory_bytes or 0) > 0


def test_a_meter_that_fails_is_named_and_the_others_go_on() -> None:
    bad, good = Session(fail_after=1), Session()
    with Sampler({"bad": bad, "good": good}, os.getsid(0)) as sampler:
        sampler.look()
        sampler.look()
    assert "sensor went away" in sampler.broken["bad"]
    assert good.reads >= 3
    assert good.closed


def window(start_s: float, end_s: float, client_cpu_s: float = 0.0) -> Window:
    return Window(
        load_point=0,
        workload="w",
        load="l",
        start_ns=round(start_s * 1e9),
        end_ns=round(end_s * 1e9),
        discarded_ns=0,
        work_sha256="",
        prompts=1,
        client_cpu_s=client_cpu_s,
        loop_lag_p99_ms=0.0,
        send_lag_p99_ms=0.0,
    )


def test_what_neither_engine_nor_client_used_was_used_by_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    usage = [Usage(round(t * 1e9), 100 + 3.0 * t, 7 + 2.0 * t) for t in (0, 1, 2, 12, 13)]
    # 3 of 4 processors are busy: 2 with the engine, 0.5 with the client, 0.5 with something else
    assert bystanders(window(2, 12, 5.0), usage).others_cpu_share == pytest.approx(0.125)
    assert bystanders(window(2.5, 11.5, 4.5), usage).others_cpu_share == pytest.approx(0.125)
    assert bystanders(window(2, 14), usage).others_cpu_share is None  # nothing seen after its end


def test_a_busy_stranger_is_seen() -> None:
    stranger = [sys.executable, "-c", "while True: pass"]
    process = subprocess.Popen(stranger, start_new_session=True)
    try:
        with Sampler({}, os.getsid(0)) as sampler:
            time.sleep(0.6)
            start = time.monotonic()
            time.sleep(1.0)
            end = time.monotonic()
    finally:
        process.kill()
        process.wait()
    share = bystanders(window(start, end), sampler.usage).others_cpu_share
    assert share is not None
    # it had most of one processor, unless it had to share that one
    assert share > 0.3 / (os.cpu_count() or 1)


def test_a_server_whose_processes_cannot_be_seen_has_no_memory_and_no_usage() -> None:
    session = Session()
    with Sampler({"m": session}, None) as sampler:
        sampler.look()
    assert session.reads >= 2
    assert (sampler.peak_memory_bytes, sampler.usage) == (None, [])
