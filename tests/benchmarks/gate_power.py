"""How often a gate fails what is equal, and how often it finds what is slower.

Simulated pairs of results directories: launches scatter by 2 % about a true rate, the margin is
2 %. The confirming launches are new ones of the current side, held against the same baseline.
Prints a Markdown table; exit status 1 where equal sides fail more than once in a thousand, or a
true -6 % is found less than 95 times in a hundred by ten launches a side, confirmation included.

    python -m tests.benchmarks.gate_power [pairs]
"""

from __future__ import annotations

import math
import sys
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from inferometer.baseline.judging import shown
from inferometer.comparison import Value
from inferometer.comparison.versus import Line
from inferometer.uncertainty import welch

if TYPE_CHECKING:
    from collections.abc import Sequence

NOISE, MARGIN, RATE = 0.02, 2.0, 100.0
MOST_FALSE, LEAST_POWER, DECIDING = 0.001, 0.95, 10
CHANGES = (0.0, -0.02, -0.04, -0.05, -0.06, -0.08)
NOTHING = Value(value=RATE, unit="tok/s", kind="simulated")


class Rates(NamedTuple):
    """Shares of pairs that fail at first, and that fail with the confirming launches too."""

    first: float
    confirmed: float


def line(baseline: Sequence[float], current: Sequence[float]) -> Line:
    """Return the line of two samples of tok/s, as ``inferometer compare`` makes it."""
    found = welch.independent(baseline, current)
    half = found.half_width or math.inf
    return Line(
        metric="output_tok_s",
        meter=None,
        model="",
        workload="",
        load="",
        stack="",
        baseline_stack="",
        baseline=NOTHING,
        current=NOTHING,
        ratio=Value(
            value=math.exp(found.value),
            unit="ratio",
            kind="simulated",
            n=found.n,
            low=math.exp(found.value - half),
            high=math.exp(found.value + half),
        ),
        verdict="undecided",
    )


def rates(launches: int, change: float, pairs: int, *, seed: int = 1) -> Rates:
    """Return how often the gate fails where the true change is ``change``."""
    rng = np.random.default_rng(seed)
    first = confirmed = 0
    for _ in range(pairs):
        sides = RATE * np.exp(rng.normal(0, NOISE, (3, launches)))
        before, now, again = sides[0], sides[1] * (1 + change), sides[2] * (1 + change)
        if shown(line(before.tolist(), now.tolist()), MARGIN) == "worse":
            first += 1
            confirmed += shown(line(before.tolist(), again.tolist()), MARGIN) == "worse"
    return Rates(first / pairs, confirmed / pairs)


def missed(launches: int, change: float, found: Rates) -> bool:
    """Say whether a target is missed."""
    if change == 0.0:
        return found.confirmed > MOST_FALSE
    return (launches, change) == (DECIDING, -0.06) and found.confirmed < LEAST_POWER


def main(pairs: int) -> int:
    """Print the table; return 1 when a target is missed."""
    wrong = 0
    print("| launches a side | true change (%) | fails at first (%) | and confirmed (%) |")
    print("|---|---|---|---|")
    for launches in (3, 5, 10):
        for change in CHANGES:
            found = rates(launches, change, pairs)
            shares = " | ".join(f"{100 * share:.2f}" for share in found)
            print(f"| {launches} | {100 * change:g} | {shares} |")
            wrong |= missed(launches, change, found)
    return int(wrong)


if __name__ == "__main__":
    raise SystemExit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 20000))
