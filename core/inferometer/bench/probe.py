"""How much one load host carries, found out against an oracle before any accelerator is paid for.

One client process on one core loads our own oracle, on other cores where there are any, with more
and more streams of a given speed, and the checks of ``inferometer bench`` say whether it kept up.
That is ``measured``. A host runs several processes; that they carry as much each is ``estimated``.
"""

from __future__ import annotations

import math
import os
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from inferometer.bench.measure import measure
from inferometer.bench.options import Options
from inferometer.errors import MachineError
from inferometer.loadgen.deal import CORES_PER_FAR_WORKER, MOST_WORKERS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

STREAM_TOK_S = 50.0
"""Of one stream, unless a target says otherwise."""
ANSWER_S = 2.0
"""About how long an answer takes."""
WINDOW_S = 4.0
FIRST, MOST = 16, 16384
"""Streams."""
WITHIN = 1.15
"""The search ends when it knows the streams that are carried to so much."""
TRIES = 2
"""A load counts as carried when one of so many was: other work on the machine disturbs some."""
DELIVERED = 0.97
"""Share of its own rate that the oracle must have sent."""
MARGIN = 0.8
"""Share of what a host carries that it should be asked for."""
CLIENT = ("delivered concurrency", "lost requests", "loop lag", "send lag", "client cpu")
"""Checks that must pass; a warning is no pass."""


@dataclass(frozen=True, slots=True)
class Step:
    """One load that was tried. ``why`` says what kept it from being carried; empty when it was."""

    streams: int
    tok_s: float
    why: str


@dataclass(frozen=True, slots=True)
class Carried:
    """What one client process carries on this machine.

    ``limit`` is what ended the search: the client's own checks, the oracle, which could not send
    more, or the largest load that is tried. Of the latter two the true capacity may be higher.
    """

    streams: int
    tok_s: float
    stream_tok_s: float
    limit: Literal["client", "oracle", "search"]
    apart: bool
    """The oracle ran on other cores than the client."""
    processes: int
    """That a load host with this machine's cores runs."""

    def hosts(self, tok_s: float) -> int:
        """Return how many hosts like this one a target needs, each asked for :data:`MARGIN`.

        Estimated: processes x what one was measured to carry.
        """
        return math.ceil(tok_s / (MARGIN * self.tok_s * self.processes)) if self.tok_s else 0


def probe(stream_tok_s: float, told: Callable[[Step], None]) -> Carried:
    """Find the most streams of ``stream_tok_s`` that one process carries; ``told`` hears each step.

    Takes about a minute. Raises MachineError when not even the first load was carried.
    """
    cores = sorted(os.sched_getaffinity(0))
    apart = len(cores) > 1
    with _pinned(cores[:1] if apart else cores), _oracle(stream_tok_s, cores[1:]) as url:
        best, limit = _search(lambda streams: _tried(url, streams, stream_tok_s), told)
    return Carried(
        streams=best.streams,
        tok_s=best.tok_s,
        stream_tok_s=stream_tok_s,
        limit=limit,
        apart=apart,
        processes=max(1, min(len(cores) // CORES_PER_FAR_WORKER, MOST_WORKERS)),
    )


def _search(
    tried: Callable[[int], Step], told: Callable[[Step], None]
) -> tuple[Step, Literal["client", "oracle", "search"]]:
    """Double the streams until a load is not carried, then halve the distance."""
    best: Step | None = None
    low, high, streams = 0, MOST + 1, FIRST
    failed = ""
    while streams <= MOST and high > max(low + 1, low * WITHIN):
        step = tried(streams)
        told(step)
        if step.why:
            high, failed = streams, step.why
        else:
            low, best = streams, step
        streams = 2 * low if high > MOST else (low + high) // 2
    if best is None:
        raise MachineError(
            f"this machine does not carry {FIRST} streams: {failed}",
            hint="See what else runs here: `inferometer doctor`.",
        )
    return best, "search" if high > MOST else "oracle" if failed == ORACLE else "client"


ORACLE = "the oracle could not send more"


def _tried(url: str, streams: int, stream_tok_s: float) -> Step:
    """Offer a load, once more if it was not carried."""
    step = Step(streams, 0.0, "not tried")
    for _ in range(TRIES):
        found = measure(
            Options(
                url=url,
                model="oracle",
                concurrency=streams,
                duration_s=WINDOW_S,
                warmup_requests=1,
                input_tokens="8",
                output_tokens=str(_tokens(stream_tok_s)),
                seed=streams,
            )
        )
        tok_s = float(found["output_throughput"] or 0.0)
        bad = [c for c in found["validity"] if c["name"] in CLIENT and c["verdict"] != "pass"]
        why = "; ".join(f"{check['name']} {check['value']}" for check in bad)
        if not why and tok_s < DELIVERED * streams * stream_tok_s:
            why = ORACLE
        step = Step(streams, tok_s, why)
        if not why:
            break
    return step


def _tokens(stream_tok_s: float) -> int:
    return max(2, round(ANSWER_S * stream_tok_s))


@contextmanager
def _pinned(cores: Sequence[int]) -> Iterator[None]:
    """Keep this process on ``cores``: on one core a load is sent by one process."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextmanager
def _oracle(stream_tok_s: float, cores: Sequence[int]) -> Iterator[str]:
    """Serve streams of that speed, on ``cores`` if given; yield the URL."""
    gap = f"{1000 / stream_tok_s}"
    line = [sys.executable, "-P", "-m", "inferometer.testing.oracle", "--port", "0"]
    line += ["--ttft-ms", gap, "--itl-ms", gap, "--tokens", str(_tokens(stream_tok_s))]
    process = subprocess.Popen(line, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        if cores:
            os.sched_setaffinity(process.pid, cores)
        port = process.stdout.readline().decode().strip()
        if not port:
            raise MachineError("the oracle did not start", hint="Run the command again.")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.stdout.close()
        process.wait()
