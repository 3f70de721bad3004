"""How much faster than real time the simulator is: simulated seconds over processor seconds.

Usage: ``python -m tests.benchmarks.simulator_speed [--seconds N]``

One launch of each workload at 64 streams, the best of three. Target: 1,000 for prompts and outputs
of 1,024 tokens. Exit status 1 when it is missed.
"""

from __future__ import annotations

import argparse
import sys
import time

from inferometer_plugins.simulator.clock import simulate
from inferometer_plugins.simulator.loads import EVEN, WORKLOADS, Closed, Workload
from inferometer_plugins.simulator.model import REFERENCE

STREAMS, TARGET = 64, 1000


def speed(workload: Workload, seconds: float) -> tuple[float, int]:
    """Return seconds of virtual time per second of processor time, and steps made."""
    load = Closed(streams=STREAMS, start="equilibrium", spread_s=5)
    best, steps = 0.0, 0
    for seed in range(3):
        began_s = time.process_time()
        ran = simulate(REFERENCE, workload, load, work_seed=seed, seed=seed, end_s=seconds)
        best = max(best, seconds / (time.process_time() - began_s))
        steps = len(ran.end_s)
    return best, steps


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.simulator_speed")
    parser.add_argument("--seconds", type=float, default=2000.0)
    given = parser.parse_args(argv)
    missed = False
    print(f"{STREAMS} streams, {given.seconds:.0f} simulated seconds")
    for name, workload in WORKLOADS.items():
        found, steps = speed(workload, given.seconds)
        off = workload is EVEN and found < TARGET
        missed |= off
        print(f"{name:10} {found:8,.0f} x real time, {steps:,} steps{'  MISSED' if off else ''}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
