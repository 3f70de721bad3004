"""Does an open loop send when it means to, and does a server's stall show?

Usage: ``python -m tests.benchmarks.arrivals``

Gaps are between arrivals as the oracle saw them. ``constant``: their coefficient of variation is
below 0.05. ``poisson``: a Kolmogorov-Smirnov test against the exponential distribution does not
reject them at 1 %. Stall: a server that does nothing for 2 s shows that in the latency from the
intended send, with and without a cap on requests in flight; the cap moves it out of the latency
from the actual send, which is why that one alone would not do. Exit status 1 when one is missed.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
from itertools import pairwise
from pathlib import Path
from typing import Any

from scipy import stats
from tests.benchmarks import processes
from tests.benchmarks.processes import PYTHON

WARMUP = 3
CONSTANT, POISSON, STALLED = 100.0, 100.0, 200.0
"""Requests/s."""
STALL_AT_S, STALL_S, LASTS_S = 2.0, 2.0, 6.0


def bench(options: dict[str, str], flags: list[str]) -> tuple[list[float], dict[str, Any]]:
    """Return the gaps in s between arrivals after the warm-up, and what ours reports."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        said = folder / "said.json"
        with processes.oracle(folder, {"as_asked": "true", **options}) as served:
            line: list[str | Path] = [Path(PYTHON).with_name("inferometer"), "bench", served.url]
            line += ["--model", "oracle"]
            line += ["--warmup-requests", str(WARMUP), "--output-tokens", "4", "--seed", "1"]
            done = processes.run([*line, "--json", said, *flags], folder / "log.txt", {}, 120)
        if done.status:
            raise SystemExit((folder / "log.txt").read_text())
        arrived = [truth.arrived_ns for truth in served.truth][WARMUP:]
        gaps = [(after - before) * 1e-9 for before, after in pairwise(arrived)]
        return gaps, json.loads(said.read_text())


def constant(rate: float, requests: int) -> float:
    """Return the coefficient of variation of the gaps."""
    flags = ["--rate", str(rate), "--arrivals", "constant", "--requests", str(requests)]
    gaps, _ = bench({"ttft_ms": "20", "itl_ms": "5"}, flags)
    return statistics.stdev(gaps) / statistics.fmean(gaps)


def poisson(rate: float, requests: int) -> tuple[float, float]:
    """Return the Kolmogorov-Smirnov distance and its p-value."""
    flags = ["--rate", str(rate), "--arrivals", "poisson", "--requests", str(requests)]
    gaps, _ = bench({"ttft_ms": "20", "itl_ms": "5"}, flags)
    result = stats.kstest(gaps, "expon", args=(0, 1 / rate))
    return float(result.statistic), float(result.pvalue)


def stall(*more: str) -> dict[str, Any]:
    """Return what ours reports of a server that stalls; the stall counts from the warm-up."""
    requests = str(round(STALLED * LASTS_S))
    flags = ["--rate", str(STALLED), "--arrivals", "constant", "--requests", requests, *more]
    options = {"ttft_ms": "5", "itl_ms": "1", "stall_s": str(STALL_S)}
    return bench({**options, "stall_at_s": str(STALL_AT_S)}, flags)[1]


def main() -> int:
    """Measure, print, judge."""
    failures = []

    def judge(text: str, *, holds: bool) -> None:
        print(f"{'ok  ' if holds else 'MISS'} {text}", flush=True)
        if not holds:
            failures.append(text)

    variation = constant(CONSTANT, 1000)
    judge(
        f"constant, {CONSTANT:g}/s: gaps vary by {variation:.4f} (< 0.05)", holds=variation < 0.05
    )
    print(f"     constant, 500/s, no target: gaps vary by {constant(500.0, 3000):.4f}", flush=True)
    distance, p = poisson(POISSON, 2000)
    judge(
        f"poisson, {POISSON:g}/s: KS distance {distance:.4f}, p = {p:.3f} (> 0.01)", holds=p > 0.01
    )
    # Arrivals spread evenly over the stall wait for its rest: half of it in the mean.
    expected_ms = 1e3 * STALL_S * (STALL_S / 2) / LASTS_S
    for name, flags in (("no cap", []), ("at most 20 in flight", ["--max-in-flight", "20"])):
        said = stall(*flags)
        intended, worst = said["mean_e2el_intended_ms"], said["p99_e2el_intended_ms"]
        actual = said["mean_e2el_ms"], said["p99_e2el_ms"]
        judge(
            f"stall of {STALL_S:g} s, {name}: E2E from the intended send: mean {intended:.0f} ms, "
            f"p99 {worst:.0f}; from the actual: {actual[0]:.0f}, {actual[1]:.0f} "
            f"(intended: mean >= {expected_ms:.0f}, p99 >= {950 * STALL_S:.0f})",
            holds=intended >= expected_ms and worst >= 950 * STALL_S,
        )
    return bool(failures)


if __name__ == "__main__":
    sys.exit(main())
