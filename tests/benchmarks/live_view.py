"""What would it cost to redraw the live view while a window is open?

Usage: ``python -m tests.benchmarks.live_view [--pairs 4] [--window-s 20] [--streams 32]``

First the board is drawn a hundred times, with the standing made anew each time as a run makes it.
Then the simulated engine is loaded, once a second the client is asked how far the load is, and in
turn the board is redrawn then or not; pairs alternate. What is compared is how late a 10 ms ticker
in the client came (a stamp may be as late), and the client's processor time. Prints, judges
nothing: the decision is in ``core/decisions``.
"""

from __future__ import annotations

import argparse
import io
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from inferometer import standing
from inferometer.board import Board
from inferometer.engine import Completion
from inferometer.journal_records import Event, Figure
from inferometer.loadgen.driver import Body, Hooks, LoadPlan, Target, drive
from inferometer.ports import lease
from inferometer.testing.results import Fixture, write_results
from inferometer_plugins.simulator import Simulator

if TYPE_CHECKING:
    from collections.abc import Iterator

    from inferometer.loadgen.offer import Progress
    from inferometer.standing import Standing
    from inferometer.store import Store

DRAWS = 100
TOKENS = 64


class Terminal(io.StringIO):
    """Takes everything at once: what a terminal costs besides is not counted."""

    def isatty(self) -> bool:
        """Say that it is one."""
        return True


@contextmanager
def simulator() -> Iterator[int]:
    """Serve the simulated engine; give its port."""
    with lease("127.0.0.1") as port:
        program = [sys.executable, "-m", "inferometer_plugins.simulator.server"]
        process = subprocess.Popen([*program, "--port", str(port), "--model", "m", "--seed", "1"])
        try:
            for _ in range(600):
                try:
                    urllib.request.urlopen(f"http://127.0.0.1:{port}/health").close()
                    break
                except OSError:
                    time.sleep(0.05)
            yield port
        finally:
            process.terminate()
            process.wait()


def told(store: Store) -> list[Event]:
    """Return what a run of some length has said: ten events a launch."""
    events = [Event(t_ns=time.time_ns(), what="begun", process=standing.this_process())]
    for launch in store.plan().launches:
        figure = Figure(
            launch=launch.id,
            stack=launch.stack,
            model=launch.model.name,
            workload="small",
            load="4 streams",
            seconds=10,
            output_tps=40,
        )
        events.append(Event(t_ns=time.time_ns(), what="launch", launch=launch.id, text=launch.id))
        events += [Event(t_ns=time.time_ns(), what="stage", text="small, 4 streams")] * 6
        events += [Event(t_ns=time.time_ns(), what="measured", figure=figure)] * 2
        events.append(
            Event(t_ns=time.time_ns(), what="launched", launch=launch.id, status="ok", seconds=60)
        )
    return events


def drawn(board: Board) -> list[float]:
    """Return the CPU milliseconds of each of some drawings."""
    found = []
    for _ in range(DRAWS):
        began = time.thread_time()
        board.window(0, 0)
        found.append((time.thread_time() - began) * 1e3)
    return sorted(found)


def load(
    port: int, window_s: float, streams: int, board: Board | None
) -> tuple[list[float], float]:
    """Return how late the ticker came in a window, ms, and the client's CPU share."""
    lags: list[float] = []

    def look(progress: Progress) -> bool:
        lags.extend(progress.lags_ms)
        if board is not None:
            board.window(0, 0)
        return False

    wanted = Completion(
        model="m", prompt_ids=tuple(range(32)), prompt_text="", output_tokens=TOKENS
    )
    body = Body(msgspec.json.encode(Simulator().request(wanted)), 0, 32, TOKENS)
    plan = LoadPlan(concurrency=streams, window_s=window_s, discard_s=1.0)
    result = drive(
        Target(host="127.0.0.1", port=port), lambda _: body, plan, Hooks(look_s=1.0, enough=look)
    )
    return sorted(lags), result.client_cpu_s / window_s


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=4)
    parser.add_argument("--window-s", type=float, default=20.0)
    parser.add_argument("--streams", type=int, default=32)
    asked = parser.parse_args()
    os.environ["TERM"], os.environ["COLUMNS"] = "xterm", "120"
    with tempfile.TemporaryDirectory() as name, simulator() as port:
        store = write_results(Path(name), Fixture(rates={"a": 40.0, "b": 20.0}, rounds=6))
        known, events = standing.known(store), told(store)

        def stands() -> Standing:
            return standing.standing(store, known, events, time.time_ns())

        kept, sys.stderr = sys.stderr, Terminal()
        board = Board()
        board.show(stands)
        costs = drawn(board)
        sys.stderr = kept
        print(f"a drawing: {costs[DRAWS // 2]:.2f} ms of CPU (median), {costs[-1]:.2f} ms (most)")
        load(port, 2.0, asked.streams, None)  # warms both ends up
        for pair in range(asked.pairs):
            for drawing in (False, True) if pair % 2 == 0 else (True, False):
                lags, share = load(port, asked.window_s, asked.streams, board if drawing else None)
                at = {q: lags[min(len(lags) - 1, int(q * len(lags)))] for q in (0.99, 0.999, 1.0)}
                late = ", ".join(f"{q:.1%} {ms:.2f}" for q, ms in at.items())
                words = "redrawn once a second" if drawing else "still"
                print(
                    f"{words}: ticks late by (ms) {late}; client {share:.2%} of a core", flush=True
                )


if __name__ == "__main__":
    main()
