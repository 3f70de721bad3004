"""Does the search for capacity hold the truth where requests share their fate?

Usage: ``python -m tests.benchmarks.capacity_worlds [--searches 60]``

The simulated engine in virtual time, measured by the very rules of a study: a probe is judged
look by look by ``inferometer.capacity_watch``, and ``inferometer.capacity_search`` asks for the
rates. The truth is the rate at which 90 % of the requests are good in runs of 3,000 s. In
``decisions`` the worlds are curves and counts; here are queues, batches and slow noise.
"""

from __future__ import annotations

import argparse
import math
import sys
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from msgspec.structs import replace

from inferometer import capacity_search
from inferometer.capacity import rules_of
from inferometer.capacity_search import Capacity, Rules
from inferometer.capacity_watch import Watching, missed
from inferometer.declared import Capacity as Asked
from inferometer.loadgen.offer import Progress, Seen
from inferometer_plugins.simulator.clock import simulate
from inferometer_plugins.simulator.loads import LogNormal, Poisson, Workload
from inferometer_plugins.simulator.model import NOISES, REFERENCE, Params

WORK = Workload(name="short", prompt=LogNormal(4.0, 0.5, 256), output=LogNormal(3.5, 0.6, 128))
LOW, HIGH, TARGET = 5.0, 45.0, 0.9
ENGINE = replace(REFERENCE, slowdown=5.0, noise=replace(NOISES["usual"], launch_sd=0.0))
LONG_S, CUT_S = 3000.0, 60.0


class World(NamedTuple):
    """An engine, an SLO in ms and its capacity's cause."""

    engine: Params
    wanted: dict[str, float]
    why: str


WORLDS = {
    "pace": World(ENGINE, {"ttft_ms": 400.0, "tpot_ms": 60.0}, "the batch slows all in it"),
    "queue": World(replace(ENGINE, max_seqs=16), {"ttft_ms": 400.0}, "16 places, and a line"),
}


@dataclass(frozen=True, slots=True)
class Trace:
    """Requests of one rate in ns: sent, first and last token; output tokens."""

    rows: list[tuple[int, int, int, int]]

    def seen(self, place: int, now_ns: int) -> Seen:
        """Return a request as the load path would at ``now_ns``."""
        sent, first, last, tokens = self.rows[place]
        if last <= now_ns:
            return Seen(place, sent, sent, first, last, tokens, "ok")
        state = "answering" if first <= now_ns else "waiting"
        return Seen(place, sent, sent, 0, 0, tokens, state)  # type: ignore[arg-type]

    def progress(self, since_ns: int, now_ns: int) -> Progress:
        """Return what a look at ``now_ns`` is told."""
        due = [place for place, row in enumerate(self.rows) if row[0] <= now_ns]
        ended = [self.seen(p, now_ns) for p in due if since_ns < self.rows[p][2] <= now_ns]
        still = [self.seen(p, now_ns) for p in due if self.rows[p][2] > now_ns]
        return Progress(now_ns, ended, still, [], 0.0)


def offered(world: World, rate: float, seed: int, seconds: float) -> Trace:
    """Offer a rate in virtual time."""
    load = Poisson(rate=rate, seed=seed)
    ran = simulate(world.engine, WORK, load, work_seed=seed, seed=seed, end_s=seconds)
    times = (np.nan_to_num(np.asarray(it), nan=1e6) for it in (ran.sent_s, ran.first_s, ran.last_s))
    columns = [(it * 1e9).astype(np.int64).tolist() for it in times]
    return Trace(list(zip(*columns, np.asarray(ran.output).tolist(), strict=True)))


def share(world: World, rate: float, seed: int) -> float:
    """Return the share of good requests in a long run."""
    trace = offered(world, rate, seed, LONG_S)
    end_ns = round((LONG_S + 1e4) * 1e9)
    inside = [
        trace.seen(place, end_ns)
        for place, row in enumerate(trace.rows)
        if CUT_S <= row[0] * 1e-9 <= LONG_S - CUT_S
    ]
    return float(np.mean([not missed(one, end_ns, world.wanted) for one in inside]))


def truth(world: World) -> float:
    """Return the capacity by bisection of long runs."""
    low, high = LOW, HIGH
    for _ in range(10):
        middle = math.sqrt(low * high)
        good = np.mean([share(world, middle, seed) for seed in (1, 2)])
        low, high = (middle, high) if good >= TARGET else (low, middle)
    return math.sqrt(low * high)


RULES: Rules = rules_of(Asked(low=LOW, high=HIGH))
"""Of a search of 15 minutes; answers are over so soon that the rules are not slowed down."""


def searched(world: World, seed: int) -> Capacity:
    """Search once."""
    chosen = RULES
    asking = capacity_search.search(chosen)
    ask, number = next(asking), 0
    while True:
        number += 1
        trace = offered(world, ask.rate, 1000 * seed + number, chosen.settle_s + chosen.most_s + 60)
        watching = Watching(asking=asking, ask=ask, wanted=world.wanted, first=0)
        at_ns = round(chosen.settle_s * 1e9)
        watching.opened(at_ns, 0)
        over, since_ns = False, 0
        while not over:
            at_ns += round(chosen.chunk_s * 1e9)
            over, since_ns = watching.look(trace.progress(since_ns, at_ns)), at_ns
        if watching.found is not None:
            return watching.found
        assert watching.ask is not None
        ask = watching.ask


def main() -> int:
    """Print a row for each world; fail where fewer than 90 % of the brackets hold the truth."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--searches", type=int, default=60)
    count = parser.parse_args().searches
    wrong = 0
    for name, world in WORLDS.items():
        true = truth(world)
        found = [searched(world, seed) for seed in range(1, count + 1)]
        held = np.mean([(c.passes or 0) <= true <= (c.fails or math.inf) for c in found])
        gaps = [c.gap if c.gap is not None else math.inf for c in found]
        whole = [c for c in found if c.flag is None]
        own = sum((c.passes or 0) <= true <= (c.fails or math.inf) for c in whole)
        minutes = np.mean([c.seconds for c in found]) / 60
        flagged = np.mean([c.flag is not None for c in found])
        print(
            f"{name} ({world.why}): capacity {true:.2f} requests/s, held by {held:.0%} of {count}, "
            f"width {np.median(gaps):.1%}, {minutes:.1f} min, flagged {flagged:.0%}; "
            f"without a flag {own} of {len(whole)} hold it",
            flush=True,
        )
        wrong += int(held < 0.9)
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
