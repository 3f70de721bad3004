"""Is a calibrated simulator right where it was not fitted? From results of a real engine.

``python -m tests.benchmarks.calibration RESULTS [--stack S] [--model M]``: measure RESULTS with
``inferometer run docs/examples/studies/calibration.toml`` first. Three ways to leave out: each
load point by itself; each workload whole; the most streams of all workloads, an extrapolation.
Exits 1 where the median error of output tok/s or TPOT p50 with each load point left out by itself
is above 10 %.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from inferometer_plugins.calibration.build import calibrate
from inferometer_plugins.calibration.file import Calibration
from inferometer_plugins.calibration.reading import Stack, read
from inferometer_plugins.simulate import words

TARGETS = {"output_tok_s": 0.10, "tpot_p50_ms": 0.10}


def extrapolated(title: str, found: Calibration) -> None:
    """Print how wrong each figure is at load points beyond what was fitted."""
    print(f"\n{title}: {len(found.held_out)} load points")
    rows = [("figure", "median", "largest", "at")]
    for it in found.errors:
        name = words.FIGURES[it.metric]
        rows.append((name, f"{it.median:.1%}", f"{it.largest:.1%}", it.largest_at))
    print("\n".join(words.columns(rows)))
    for point in found.held_out:
        print(f"extrapolated: {point.workload} at {point.load}: {'; '.join(point.beyond)}")


def most_streams(stack: Stack) -> list[str]:
    """Return the load points with the most streams."""
    most = max(load.streams or 0 for load in stack.loads)
    return [load.words for load in stack.loads if load.streams == most]


def main() -> int:
    """Print all and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path)
    parser.add_argument("--stack")
    parser.add_argument("--model")
    given = parser.parse_args()
    stack = read(given.results, given.stack, given.model)
    each = calibrate(stack)
    print("\n".join(words.calibration(each)))
    extrapolated("The most streams, all together", calibrate(stack, hold_out=most_streams(stack)))
    missed = [
        f"{metric}: median {found.median:.1%}, target {target:.0%}"
        for metric, target in TARGETS.items()
        if (found := each.error(metric)) is not None and found.median > target
    ]
    print("\nmissed: " + "; ".join(missed) if missed else "\ntargets met")
    return bool(missed)


if __name__ == "__main__":
    sys.exit(main())
