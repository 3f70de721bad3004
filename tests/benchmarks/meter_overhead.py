"""What does reading meters cost, and does the load notice?

Usage: ``python -m tests.benchmarks.meter_overhead [--pairs 12] [--window-s 5] [--seconds 60]``

Two meters play a recording of eight devices back, one a counter, one power: both are read ten
times a second, the counter about a thousand times at the edges of a window, and conditions twice a
second. First the threads that do this run beside nothing, and what the kernel charges them with is
at most 1 % of one core. Then the oracle is loaded with and without them in turn, in pairs whose
order alternates: the 95 % interval of the ratio of both tok/s lies within 1 % of 1. Exit status 1
when one of the two is missed.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import threading
import time
from contextlib import nullcontext
from pathlib import Path

import msgspec
from tests.benchmarks import processes

from inferometer import stats
from inferometer.engine import Completion
from inferometer.loadgen.driver import Body, Hooks, LoadPlan, Target, drive
from inferometer.meter import MeterContext
from inferometer.metering import Sampler, opened
from inferometer.plugins import Registry
from inferometer.records import Condition, Reading
from inferometer.study import MeterEntry
from inferometer.testing.engine import OracleEngine

DEVICES = 8
RECORDED_S = 30
UPDATE_NS = 100_000_000
MOST_SHARE = 0.01
"""Of one core."""
MOST_OFF = 0.01
STREAMS, OUTPUT_TOKENS = 32, 64
ORACLE = {"ttft_ms": "20", "itl_ms": "10"}


def record(folder: Path) -> list[tuple[MeterEntry, str]]:
    """Write what is played back; return the meters that do."""
    looks = [(f"gpu-{n}", t * UPDATE_NS) for t in range(RECORDED_S * 10) for n in range(DEVICES)]
    joules = [
        Reading(meter="J", device=name, t_ns=t_ns, value=t_ns * 5e-7, unit="J")
        for name, t_ns in looks
    ]
    watts = [
        Reading(meter="W", device=name, t_ns=t_ns, value=500.0 + t_ns // UPDATE_NS % 7, unit="W")
        for name, t_ns in looks
    ]
    _write(folder / "J.jsonl", joules)
    _write(folder / "W.jsonl", watts)
    states = [
        Condition(meter="J", device=name, t_ns=t_ns, temperature_c=60.0, clock_mhz=1980.0)
        for name, t_ns in looks[::5]
    ]
    _write(folder / "states.jsonl", states)
    counter = {"path": str(folder / "J.jsonl"), "conditions": str(folder / "states.jsonl")}
    options = {"counter": counter, "power": {"path": str(folder / "W.jsonl")}}
    return [
        (MeterEntry(name="replay", options={**each, "loop": True}), name)
        for name, each in options.items()
    ]


def _write(file: Path, rows: list[Reading] | list[Condition]) -> None:
    file.write_bytes(b"".join(msgspec.json.encode(row) + b"\n" for row in rows))


def sampler(entries: list[tuple[MeterEntry, str]], session_id: int) -> Sampler:
    """Return the meters, opened; each under a name of its own."""
    replay = Registry().meters()["replay"]
    (*meters,) = opened(
        [(entry, replay) for entry, _ in entries],
        lambda entry: MeterContext(
            session_id=session_id, cpu_seconds=time.process_time, options=entry.options
        ),
    )
    for at, (_, name) in enumerate(entries):
        info = msgspec.structs.replace(meters[at].info, name=name)
        if info.reason is not None:
            raise SystemExit(f"{name}: {info.reason}: {info.detail}")
        meters[at] = meters[at]._replace(info=info)
    return Sampler(meters, session_id)


def charged_s() -> dict[str, float]:
    """Return the CPU seconds of each of our threads that reads something, by its name.

    Source: proc(5), ``schedstat``: ns on a processor, first.
    """
    return {
        thread.name: int(
            Path(f"/proc/self/task/{thread.native_id}/schedstat").read_text().split()[0]
        )
        * 1e-9
        for thread in threading.enumerate()
        if thread.name == "usage" or thread.name.startswith("meter ")
    }


def cost(entries: list[tuple[MeterEntry, str]], session_id: int, seconds: float) -> float:
    """Return the share of one core that the threads take; a window opens and closes meanwhile."""
    with sampler(entries, session_id) as reading:
        began_ns = time.monotonic_ns()
        before = charged_s()
        reading.watch.window_set(began_ns + 10**9, began_ns + round((seconds - 1) * 1e9))
        time.sleep(seconds)
        took_s = (time.monotonic_ns() - began_ns) * 1e-9
        after = charged_s()
    shares = {name: (after[name] - before.get(name, 0.0)) / took_s for name in after}
    rows = len(reading.watch.readings)
    ticks = [row for row in reading.watch.readings if row.since_ns is not None]
    widths_ms = sorted((row.t_ns - (row.since_ns or 0)) * 1e-6 for row in ticks)
    print(f"     {rows} readings, {len(reading.watch.conditions)} conditions in {took_s:.0f} s")
    if widths_ms:
        middle, most = widths_ms[len(widths_ms) // 2], widths_ms[-1]
        print(f"     {len(ticks)} ticks, known to {middle:.2f} ms (median), {most:.2f} ms (most)")
    for name, share in shares.items():
        print(f"     thread {name}: {share:.3%} of one core")
    return sum(shares.values())


def tok_s(port: int, window_s: float, reading: Sampler | None) -> float:
    """Return the tok/s of one window of the ordinary load path, with or without meters."""
    engine = OracleEngine()
    wanted = Completion(
        model="oracle",
        prompt_ids=tuple(range(32)),
        prompt_text="",
        output_tokens=OUTPUT_TOKENS,
    )
    body = Body(msgspec.json.encode(engine.request(wanted)), 0, 32, OUTPUT_TOKENS)
    plan = LoadPlan(concurrency=STREAMS, window_s=window_s, discard_s=1.0)
    hooks = Hooks() if reading is None else Hooks(on_window_set=reading.watch.window_set)
    with reading or nullcontext():
        result = drive(Target(host="127.0.0.1", port=port), lambda _: body, plan, hooks)
    seen = (t for _, t, _, t_ns in result.chunks if result.start_ns <= t_ns < result.end_ns)
    return sum(seen) / window_s


def main() -> int:
    """Measure, print, judge."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=12)
    parser.add_argument("--window-s", type=float, default=5.0)
    parser.add_argument("--seconds", type=float, default=60.0)
    asked = parser.parse_args()
    failures = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        entries = record(folder)
        share = cost(entries, os.getsid(0), asked.seconds)
        holds = share <= MOST_SHARE
        failures += not holds
        print(f"{'ok  ' if holds else 'MISS'} sampling: {share:.3%} of one core (at most 1 %)")
        ratios = []
        with processes.oracle(folder, ORACLE) as served:
            tok_s(served.port, 1.0, None)  # warms both ends up
            for pair in range(asked.pairs):
                both = {}
                for metered in (False, True) if pair % 2 == 0 else (True, False):
                    reading = sampler(entries, os.getsid(0)) if metered else None
                    both[metered] = tok_s(served.port, asked.window_s, reading)
                ratios.append(both[True] / both[False])
                print(
                    f"     pair {pair + 1}: {both[True]:.1f} / {both[False]:.1f} tok/s", flush=True
                )
        found = stats.estimate(ratios)
        assert found.low is not None
        assert found.high is not None
        holds = 1 - MOST_OFF <= found.low <= found.high <= 1 + MOST_OFF
        failures += not holds
        print(
            f"{'ok  ' if holds else 'MISS'} tok/s with meters over without: {found.value:.5f}, "
            f"95 % interval {found.low:.5f} to {found.high:.5f} (0.99 to 1.01)"
        )
    return bool(failures)


if __name__ == "__main__":
    sys.exit(main())
