"""Two load hosts against one server: is the merged load as true as one host's, and is the clock?

Usage: ``python -m tests.benchmarks.load_hosts [--only TEXT] [--offset-ms 5]``

The oracle table twice, case by case: sent by this machine, and by two load hosts, each in a
network namespace of its own behind a virtual cable, the second one with its monotonic clock moved
(in a time namespace). Targets: for both the bars of ``oracle_table.py``, judged as there; the clock
that was moved is found within 0.5 ms, and so is the one that was not. Needs root and ``ip``; what
is made is removed again. Where other work cannot be stopped, ``chrt --rr 5`` before it keeps that
away.
Exit status 1 when a target is missed, 2 where the machine cannot do it.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.benchmarks.oracle_table import CASES, HEAD, Case, Result, alone, judged, measure
from tests.load_hosts import TOKEN, load_host, why_not

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

FOUND_MS = 0.5
NET = "198.18.{number}.{end}"
"""Of the block that is kept for benchmarks (RFC 2544)."""


@contextlib.contextmanager
def network(number: int) -> Iterator[str]:
    """Make a namespace with a cable to this one: ``.1`` is here, ``.2`` there. Yield its name."""
    name = f"inferometer-{os.getpid()}-{number}"
    ours, theirs = f"ifm{os.getpid() % 100000}{number}a", f"ifm{os.getpid() % 100000}{number}b"
    _ip("netns", "add", name)
    try:
        _ip("link", "add", ours, "type", "veth", "peer", "name", theirs, "netns", name)
        _ip("address", "add", NET.format(number=number, end="1/30"), "dev", ours)
        _ip("link", "set", ours, "up")
        _ip("-n", name, "address", "add", NET.format(number=number, end="2/30"), "dev", theirs)
        _ip("-n", name, "link", "set", theirs, "up")
        _ip("-n", name, "link", "set", "lo", "up")
        _ip("-n", name, "route", "add", "default", "via", NET.format(number=number, end="1"))
        yield name
    finally:
        _ip("netns", "delete", name)  # and the cable with it


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)


def cannot() -> str:
    """Say why this machine cannot do it; empty when it can."""
    if os.geteuid():
        return "needs root"
    if shutil.which("ip") is None:
        return "needs ip, of iproute2"
    return why_not()


@dataclass(slots=True)
class TwoHosts:
    """A case sent by two hosts: each call measures it and keeps what was said of the clocks."""

    case: Case
    folder: Path
    here: str
    hosts: Sequence[tuple[str, float]]
    """Address, and by how many ms its clock was moved."""
    said: list[dict[str, Any]] = field(default_factory=list)

    def __call__(self) -> Result:
        """Measure."""
        names = ",".join(address for address, _ in self.hosts)
        flags, token = ["--load-hosts", names], {"INFEROMETER_LOAD_TOKEN": TOKEN}
        row, said = measure(self.case, self.folder, self.here, flags, token)
        self.said += said["load_hosts"]
        return row

    def clocks_missed(self) -> bool:
        """Print how each clock was found, in every measurement; say whether one was not."""
        missed = False
        moved = dict(self.hosts)
        for found in self.said:
            offset_ms = moved[found["address"]]
            off_ms = found["offset_ms"] - offset_ms
            missed |= abs(off_ms) > FOUND_MS
            print(
                f"{'':<10}{found['address']}: {found['requests']} requests, clock moved by "
                f"{offset_ms:g} ms, found {found['offset_ms']:.3f} ({off_ms:+.3f}), "
                f"bound {found['bound_ms']:.3f}",
                flush=True,
            )
        return missed


def main() -> int:
    """Print both tables, case by case, and the clocks."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="cases with this in their name")
    parser.add_argument("--offset-ms", type=float, default=5.0)
    asked = parser.parse_args()
    if reason := cannot():
        print(f"not measured: {reason}")
        return 2
    missed = False
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # what was made is removed then, too
    with contextlib.ExitStack() as stack:
        hosts = []
        for number, offset_ms in ((1, 0.0), (2, asked.offset_ms)):
            name = stack.enter_context(network(number))
            listen = f"{NET.format(number=number, end='2')}:0"
            before = ["ip", "netns", "exec", name]
            offset_ns = round(offset_ms * 1e6)
            made = load_host(listen, offset_ns=offset_ns, before=before)
            hosts.append((stack.enter_context(made).address, offset_ms))
        print(f"{'':<10}{HEAD}")
        for case in (case for case in CASES if asked.only in case.name):
            here = NET.format(number=1, end="1")
            with tempfile.TemporaryDirectory() as folder:
                one = partial(alone, case, Path(folder), here)
                missed |= any(judged(one(), one, f"{'here':<10}").misses())
                two = TwoHosts(case, Path(folder), here, hosts)
                missed |= any(judged(two(), two, f"{'two hosts':<10}").misses())
            missed |= two.clocks_missed()
    print("One or more targets missed." if missed else "Every target met.")
    return missed


if __name__ == "__main__":
    sys.exit(main())
