"""How often equal stacks are told apart when directories are pooled, and how often they are not.

Three equal stacks, three rounds in each directory; a launch scatters by 1 %, a round by 2 %, a
directory by 5 %; each stack gains or loses something of its own in each directory (``gain``, the
standard deviation). Two questions: of these very directories (the gains of a stack add up to
nothing over them), and of any directory (they do not). Prints a Markdown table.

    python -m tests.benchmarks.pooled_directories [studies]
"""

from __future__ import annotations

import sys

import numpy as np

from inferometer import stats
from inferometer.several.pooling import LEVEL
from inferometer.uncertainty.blocks import disagreement

STACKS, ROUNDS, LAUNCH = 3, 3, 0.01
MOST = 0.06
"""Studies in which equal stacks may be told apart, of these directories: 5 % and chance."""


def false_winners(directories: int, gain: float, *, centred: bool, studies: int) -> tuple[int, int]:
    """Return how many studies were refused, and how many of the pooled ones named a winner."""
    rng = np.random.default_rng(1)
    refused = named = 0
    for _ in range(studies):
        gains = rng.normal(0, gain, (directories, STACKS))
        if centred:
            gains -= gains.mean(axis=0)
        blocks = [
            gains[index]
            + rng.normal(0, 0.05)
            + rng.normal(0, 0.02, (ROUNDS, 1))
            + rng.normal(0, LAUNCH, (ROUNDS, STACKS))
            for index in range(directories)
        ]
        p = disagreement(blocks)
        logs = np.concatenate(blocks)
        means = logs.mean(axis=0)
        apart = bool(np.ptp(means) > stats.spread(logs).half_width)
        if p is not None and p <= LEVEL:
            refused += 1
        else:
            named += apart
    return refused, named


def main(studies: int) -> int:
    """Print the table; return 1 when equal stacks are told apart too often."""
    missed = 0
    print("| directories | gain (%) | refused (%) | false, of these (%) | false, of any (%) |")
    print("|---|---|---|---|---|")
    for directories in (1, 2, 3):
        for gain in (0.0, 0.003, 0.005, 0.01, 0.02):
            _, these = false_winners(directories, gain, centred=True, studies=studies)
            refused, any_ = false_winners(directories, gain, centred=False, studies=studies)
            figures = [100 * count / studies for count in (refused, these, any_)]
            shown = " | ".join(f"{figure:.1f}" for figure in figures)
            print(f"| {directories} | {100 * gain:g} | {shown} |")
            missed = max(missed, int(these > MOST * studies))
    return missed


if __name__ == "__main__":
    raise SystemExit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 4000))
