"""Our program with faults inside: ``python -m tests.faults.program JSON WORD...``.

Nothing else is changed but waits (an engine that does not end, a meter that does not answer and a
plugin that does not return are given up sooner), how much work is made ahead, and that an
interpreter two stacks share is asked once. The report is left to the tests of reports.
"""

from __future__ import annotations

import ctypes
import functools
import json
import os
import resource
import struct
import sys
import time
from types import SimpleNamespace

from tests.programs import hear_signals

from inferometer import cli, counting, environment, guests, launch, watch, work
from inferometer.cli import run
from inferometer.loadgen import conduct, driver

HOUR_NS = 3_600_000_000_000
DAC_OVERRIDE = 1 << 1
CAPABILITIES = 0x20080522
"""Version 3 of what capget(2) is asked in."""


def quick() -> None:
    """Give up sooner, and leave the report out."""
    vars(launch)["GRACE_S"] = 1.0
    watch.JOIN_S = 2.0
    counting.TIMEOUT_S = 1.0
    guests.LONGEST_S = 4.0  # in which the others must be imported, whatever runs beside
    run.analyse = lambda *_: 0
    vars(environment)["existing"] = functools.cache(environment.existing)
    vars(work)["REQUESTS_PER_S"] = 20  # still more than are sent: a run is over in a second


def wall_clock_steps() -> None:
    """Let the wall clock be an hour ahead from the end of each window on."""
    looks = 0

    def time_ns() -> int:
        nonlocal looks
        looks += 1
        return time.time_ns() + (HOUR_NS if looks > 3 else 0)  # three at the window's start

    clocks = SimpleNamespace(monotonic_ns=time.monotonic_ns, time_ns=time_ns)
    vars(conduct)["time"] = clocks


def bind() -> None:
    """Hold root to the permissions of files, as anybody."""
    if os.geteuid() == 0:
        head, libc = struct.pack("Ii", CAPABILITIES, 0), ctypes.CDLL(None)
        have = ctypes.create_string_buffer(24)
        assert libc.capget(head, have) == 0
        sets = [*struct.unpack("6I", have.raw)]
        sets[:2] = [one & ~DAC_OVERRIDE for one in sets[:2]]
        assert libc.capset(head, struct.pack("6I", *sets)) == 0


def two_workers() -> None:
    """Send the load from two processes, however few cores there are."""
    vars(driver)["worker_count"] = lambda *_: 2


FAULTS = {"wall_clock_steps": wall_clock_steps, "two_workers": two_workers}


def main(asked: str, words: list[str]) -> int:
    """Run a command line with what is asked for; return its exit code."""
    told = json.loads(asked)
    hear_signals()
    quick()
    for name in told["faults"]:
        FAULTS[name]()
    if told["bound"]:
        bind()
    for number, most in told["limits"].items():
        resource.setrlimit(int(number), (most, most))
    return cli.main(words)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
