"""Do the intervals of percentiles and shares hold what they say? Studies of a simulated engine.

Usage: ``python -m tests.benchmarks.percentile_coverage [--studies N]``

Each study has a few launches of the reference engine with its usual noise; the truth of a case is
the percentile of all its studies together. One line a percentile: the median design effect, the
share of studies with too few requests for it, and how often the 95 % intervals of the percentile
and of the share of requests at or below the truth held the truth. Exit status 1 where either held
less than 93 %, of the percentile only where at least half of the studies had it: those that look
independent by luck are the others' worst.
"""

from __future__ import annotations

import argparse
import math
import sys
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from inferometer.uncertainty.percentiles import pooled
from inferometer.uncertainty.proportions import pooled_proportion
from inferometer_plugins.simulator.clock import simulate
from inferometer_plugins.simulator.loads import CHAT, Closed, Poisson
from inferometer_plugins.simulator.model import REFERENCE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Launch = tuple[NDArray[np.float64], NDArray[np.float64]]
    """TTFT and TPOT of the requests that ended in the window, in order of time."""

DISCARD_S = 20.0
LEAST = 0.93
HEADER = " ".join(
    f"{name:>{width}}"
    for name, width in (
        *(("load", 11), ("launches", 8), ("what", 5), ("p", 4)),
        *(("deff", 5), ("too few", 8), ("held", 7), ("share", 7)),
    )
)


class Case(NamedTuple):
    """One load, measured ``launches`` times a study for ``window_s``."""

    name: str
    launches: int
    window_s: float
    streams: int | None = None
    rate: float = 0.0


CASES = (
    Case("32 streams", 3, 60.0, streams=32),
    Case("32 streams", 5, 60.0, streams=32),
    Case("64 streams", 3, 120.0, streams=64),
    Case("6/s Poisson", 3, 120.0, rate=6.0),
)


def launch(case: Case, seed: int) -> Launch:
    """Return one launch with work and noise of its own."""
    load: Closed | Poisson = Poisson(rate=case.rate, seed=seed)
    if case.streams is not None:
        load = Closed(streams=case.streams, start="equilibrium", spread_s=5.0)
    end_s = DISCARD_S + case.window_s
    seen = simulate(REFERENCE, CHAT, load, work_seed=seed, seed=seed, end_s=end_s)
    whole = (seen.last_s >= DISCARD_S) & ~seen.early & (seen.given > 1)
    order = np.argsort(seen.last_s[whole], kind="stable")
    streaming = (seen.last_s - seen.first_s)[whole] / (seen.given[whole] - 1)
    return (seen.first_s - seen.sent_s)[whole][order], streaming[order]


def held(studies: Sequence[Sequence[NDArray[np.float64]]], p: float) -> tuple[float, ...]:
    """Return the median design effect, and the shares: too few, percentile held, share held."""
    ordered = np.sort(np.concatenate([one for study in studies for one in study]))
    truth = float(ordered[math.ceil(p * len(ordered)) - 1])
    seen = [pooled(study, p) for study in studies]
    told = [one for one in seen if one.value is not None]
    inside = [(one.low or 0.0) <= truth <= (one.high or math.inf) for one in told]
    shares = [pooled_proportion([one <= truth for one in study]) for study in studies]
    good = [(one.low or 0.0) <= p <= (one.high or 1.0) for one in shares]
    effect = float(np.median([one.design_effect for one in seen]))
    few = 1 - len(told) / len(seen)
    return effect, few, float(np.mean(inside)) if told else math.nan, float(np.mean(good))


def main(arguments: Sequence[str] | None = None) -> int:
    """Print a line for each case, quantity and percentile; 1 where one held too little."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--studies", type=int, default=500)
    options = parser.parse_args(arguments)
    print(HEADER)
    missed = False
    for case in CASES:
        seeds = np.arange(options.studies * case.launches).reshape(options.studies, -1)
        studies = [[launch(case, int(seed)) for seed in row] for row in seeds]
        for place, what in enumerate(("TTFT", "TPOT")):
            samples = [[one[place] for one in study] for study in studies]
            for p in (0.5, 0.9, 0.99):
                effect, few, inside, share = held(samples, p)
                missed |= share < LEAST or (few <= 0.5 and inside < LEAST)
                print(
                    f"{case.name:>11} {case.launches:>8} {what:>5} {p * 100:>4.0f} {effect:>5.1f} "
                    f"{few:>8.0%} {inside:>7.1%} {share:>7.1%}",
                    flush=True,
                )
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
