"""The sampler: it reads beside the load, and a broken meter ends alone."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field

from inferometer.metering import Sampler
from inferometer.records import Reading


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
