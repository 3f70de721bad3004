"""A day of 20 million requests on 200 replicas with everything on, each router: time and memory.

Run it with ``python -m tests.benchmarks.fleet_day [requests]``; exits 1 where a router takes more
than ten minutes, or where requests, tokens or joules are not conserved. Each router runs in a
process of its own, two at once (``--processes``), the first loading or compiling the machine code,
which counts.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import sys
import time
from concurrent.futures import ProcessPoolExecutor

import numpy as np

from inferometer_plugins.fleet import (
    OFFICE,
    ROUTERS,
    Bursts,
    Failures,
    Fleet,
    Prefixes,
    RollingRestart,
    Router,
    Traffic,
    simulate,
)

MOST_S = 600.0
REPLICAS = 200
REQUESTS = 20e6


def fleet(router: Router, replicas: int) -> Fleet:
    """Return the fleet: a failure a day of each replica, one wave of restarts at 03:00."""
    return Fleet(
        replicas=replicas,
        router=router,
        down_w=30.0,
        cached_prefixes=64,
        failures=Failures(every_s=86_400, repair_s=1800),
        restarts=RollingRestart(start_s=3 * 3600, at_once=10, drain_s=300),
    )


def day(router: Router, requests: float, replicas: int) -> tuple[str, float, bool]:
    """Simulate one day; return what to print, the seconds it took, and whether all adds up."""
    began = time.perf_counter()
    traffic = Traffic(
        requests_per_day=requests,
        hourly=OFFICE,
        bursts=Bursts(factor=2, every_s=3600, length_s=120),
        prefixes=Prefixes(count=2000, zipf=1.0, share=0.5),
    )
    found = simulate(fleet(router, replicas), traffic, seed=1)
    simulated_s = time.perf_counter() - began
    figures = found.summary()
    took_s = time.perf_counter() - began
    joules = float(found.joules.sum())
    adrift = abs(float(found.joules_by_bin.sum()) / joules - 1)
    whole = (
        figures.offered == figures.finished + figures.lost + figures.unfinished
        and found.counts["tokens_made"] == int(found.made.sum()) + figures.wasted_tokens
        and adrift < 1e-9
        and bool(np.allclose(found.seconds.sum(axis=1), found.day_s, rtol=1e-9))
    )
    gib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    text = (
        f"{router:12}  {took_s:6.1f} s (figures {took_s - simulated_s:.1f})  {gib:.2f} GiB  "
        f"offered {figures.offered:,} = finished {figures.finished:,} + lost {figures.lost} + "
        f"unfinished {figures.unfinished}; retried {figures.retried:,}; failures "
        f"{figures.failures}, restarts {figures.restarts}; hits "
        f"{figures.cache_hits / max(figures.cache_lookups, 1):.1%}; TTFT p99 "
        f"{1e3 * figures.ttft_p99_s:.1f} ms, TPOT p99 {1e3 * figures.tpot_p99_s:.2f} ms; "
        f"{figures.mean_w / 1e3:.2f} kW, peak {figures.peak_w / 1e3:.2f} kW; "
        f"{figures.energy_j:.6e} J, parts adrift by {adrift:.0e}; compiled {figures.compiled}; "
        f"conserved {whole}"
    )
    return text, took_s, whole


def main() -> int:
    """Run all routers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("requests", nargs="?", type=float, default=REQUESTS)
    parser.add_argument("--replicas", type=int, default=REPLICAS)
    parser.add_argument("--processes", type=int, default=2)
    given = parser.parse_args()
    began, good = time.perf_counter(), True
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(given.processes, mp_context=context, max_tasks_per_child=1) as pool:
        jobs = [pool.submit(day, it, given.requests, given.replicas) for it in ROUTERS]
        for job in jobs:
            text, took_s, whole = job.result()
            print(text, flush=True)
            good &= whole and took_s <= MOST_S
    print(f"all routers: {time.perf_counter() - began:.1f} s; at most {MOST_S:.0f} s each: {good}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
