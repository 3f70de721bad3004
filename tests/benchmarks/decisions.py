"""Are our intervals, verdicts and capacity brackets right, and what do they cost?

Usage: ``python -m tests.benchmarks.decisions [--only coverage|ranking|capacity] [--share 0.1]``

Replays the estimators and the sequential design in worlds whose truth is known. The worlds stand
below as data; they were written down before anything was tuned on them, and settings were chosen
with other seeds than this script's. ``--share`` runs that part of the studies. Exit status
1 when a target is missed.

The Gaussian world of launches. The log of a stack's value in one window is

    its mean + the round's effect + the launch's effect + drift + a random walk + the window's noise

with window noise of sd 0.8 % made of five independent batches, a round effect of sd 0.5 % (prompts,
shared by all stacks), drift of 2 % an hour and a random walk of sd 0.5 % after an hour. A launch
costs 180 s beside its windows of 60 s. Rounds are in random order, every second one mirrored.

The worlds of an SLO. The share of good requests is a function of the rate alone: ``logistic``
(slope 6 to 12 in log rate), ``cliff`` (99 % before the edge, 5 % two per cent later), ``plateau``
(within 3 points of the target over a factor of 4 to 9). Requests share their fate in fours (design
effect 4). The target is 90 %, the range 1 to 64 requests/s, the truth log-uniform in 4 to 40.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar

import numpy as np

from inferometer import capacity_search, stats
from inferometer.uncertainty import components, decisions

T = TypeVar("T")
SEED = 8_191
STUDIES = {"coverage": 1000, "ranking": 2000, "capacity": 500}


@dataclass(frozen=True, kw_only=True)
class Launches:
    """A world of launches; standard deviations and drift in log units."""

    launch_sd: float
    window_sd: float = 0.008
    round_sd: float = 0.005
    drift_per_hour: float = 0.02
    walk_per_root_hour: float = 0.005
    launch_s: float = 180.0
    window_s: float = 60.0
    uneven: float = 1.0
    """Times as noisy as the others' are the launches of the first stack."""


WORLDS = {
    "quiet": Launches(launch_sd=0.003),
    "usual": Launches(launch_sd=0.01),
    "noisy": Launches(launch_sd=0.02),
}
EQUAL = (1.0, 1.0, 1.0)
APART = (1.0, 1.05, 1.15)
EARLIER = 10
"""Rounds of three stacks, one window a launch, that a prior comes from."""
SLO_TARGET, SLO_EFFECT = 0.9, 4


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of the table; ``holds`` None where there is no target."""

    what: str
    seen: str
    target: str
    holds: bool | None


# -- coverage ---------------------------------------------------------------------------------


def launches(rng: np.random.Generator, world: Launches, n: int) -> dict[str, Any]:
    """Return per-launch values of ``n`` paired launches of two stacks: tok/s, J/token, USD/M.

    Tokens and joules come from the same five batches and share noise; their means are 1,000
    tok/s (the second stack 1,100), 700 W, and 3 USD an hour.
    """
    found: dict[str, Any] = {}
    shared = rng.normal(0, world.round_sd, (n, 1))
    for name, speed in (("a", 1000.0), ("b", 1100.0)):
        launch, power = rng.normal(0, world.launch_sd, (2, n, 1))
        noise = rng.normal(0, world.window_sd * math.sqrt(5), (n, 5))
        tokens = speed * np.exp(shared + launch + noise)
        joules = 700.0 * np.exp(0.5 * noise + power + rng.normal(0, 0.005, (n, 5)))
        found[f"{name} tok/s"] = tokens.mean(axis=1)
        found[f"{name} J/token"] = joules.sum(axis=1) / tokens.sum(axis=1)
        found[f"{name} USD/M"] = 3.0 / 3600 / tokens.mean(axis=1) * 1e6
    return found


def covered(seed: np.random.SeedSequence, world: Launches, n: int) -> list[bool]:
    """Return whether each interval of one study holds the truth, in the order of ``METRICS``."""
    seen = launches(np.random.default_rng(seed), world, n)
    pairs = [
        (stats.estimate(list(seen["a tok/s"])), 1000.0),
        (stats.estimate(list(seen["a J/token"])), 0.7),
        (stats.estimate(list(seen["a USD/M"])), 3.0 / 3600 / 1000 * 1e6),
    ]
    for name, truth in (("tok/s", 1.1), ("J/token", 1 / 1.1), ("USD/M", 1 / 1.1)):
        top, bottom = (dict(enumerate(seen[f"{stack} {name}"])) for stack in "ba")
        ratio = stats.paired_ratio(top, bottom)
        assert ratio is not None
        pairs.append((ratio, truth))
    # The window's five batches move the mean of logs by less than 0.02 %: truth is the centre.
    return [bool(e.low and e.high and e.low <= truth <= e.high) for e, truth in pairs]


METRICS = ("tok/s", "J/token", "USD/M", "ratio tok/s", "ratio J/token", "ratio USD/M")


def coverage(run: Run) -> Iterable[Row]:
    """Must hold: 93 to 97 % for every metric, launch sd and number of launches."""
    count = run.studies("coverage")
    for name, world in WORLDS.items():
        for n in range(3, 9):
            hits = run.map(partial(covered, world=world, n=n), f"coverage {name} {n}", count)
            shares = np.mean(hits, axis=0)
            yield Row(
                what=f"95 % intervals, launch sd {world.launch_sd:.1%}, {n} launches",
                seen=" ".join(f"{share:.1%}" for share in shares),
                target="93 to 97 %",
                holds=bool((shares >= 0.93).all() and (shares <= 0.97).all()),
            )


# -- ranking ----------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Study:
    """What one replayed study said: after each round (minutes, right pairs, ties, wrong)."""

    looks: tuple[tuple[float, float, float, bool], ...]
    stop: str
    values: dict[str, dict[int, float]]
    """Stack -> round -> value."""

    @property
    def minutes(self) -> float:
        return self.looks[-1][0]

    def by(self, minutes: float, column: int) -> float:
        """Return a share as it stood at that minute."""
        return next((look[column] for look in reversed(self.looks) if look[0] <= minutes), 0.0)


class Machine:
    """Launches in sequence on one machine whose speed drifts."""

    def __init__(self, world: Launches, rng: np.random.Generator) -> None:
        self.world, self.rng = world, rng
        self.seconds = self.walk = 0.0
        self.squares, self.freedom = 0.0, 0

    def _pass(self, seconds: float) -> None:
        self.seconds += seconds
        step = self.world.walk_per_root_hour * math.sqrt(seconds / 3600)
        self.walk += self.rng.normal(0, step)

    def launch(self, log_mean: float, windows: int, times: float = 1.0) -> list[float]:
        """Return the values of the windows of one launch, ``times`` as noisy as the world's."""
        world = self.world
        self._pass(world.launch_s)
        own, found = self.rng.normal(0, times * world.launch_sd), []
        for _ in range(windows):
            self._pass(world.window_s)
            batches = self.rng.normal(0, world.window_sd * math.sqrt(5), 5)
            self.squares += float(((batches - batches.mean()) ** 2).sum())
            self.freedom += 4
            drift = world.drift_per_hour * self.seconds / 3600
            found.append(math.exp(log_mean + own + drift + self.walk + float(batches.mean())))
        return found

    def round_of(
        self, names: Sequence[str], means: dict[str, float], windows: int
    ) -> dict[str, list[float]]:
        """Return stack -> windows of one round; the first of ``means`` may be uneven."""
        effect, world = float(self.rng.normal(0, self.world.round_sd)), self.world
        first = next(iter(means))
        return {
            name: self.launch(
                math.log(means[name]) + effect, windows, world.uneven if name == first else 1.0
            )
            for name in names
        }

    @property
    def window_sd(self) -> float:
        """What batch means say of one window's noise."""
        return math.sqrt(self.squares / self.freedom / 5)


Windows = dict[str, dict[int, list[float]]]


def order(names: list[str], round_: int, rng: np.random.Generator, last: list[str]) -> list[str]:
    """Return a random order, or the last one mirrored."""
    return [str(n) for n in rng.permutation(names)] if round_ % 2 == 0 else last[::-1]


def means_of(windows: Windows) -> dict[str, dict[int, float]]:
    """Return stack -> round -> geometric mean of the windows."""
    return {
        stack: {r: math.exp(float(np.log(v).mean())) for r, v in rounds.items()}
        for stack, rounds in windows.items()
    }


def earlier(machine: Machine) -> tuple[components.Prior, int]:
    """Return the prior that an earlier study of equal size gives, and the windows it advises."""
    names, world, rng = ["x", "y", "z"], machine.world, machine.rng
    seen: Windows = {name: {} for name in names}
    turn: list[str] = []
    for round_ in range(EARLIER):
        turn = order(names, round_, rng, turn)
        for name, values in machine.round_of(turn, dict.fromkeys(names, 1.0), 1).items():
            seen[name][round_] = values
    parts = components.components(seen, window_sd=machine.window_sd)
    known = components.prior([means_of(seen)])
    assert known is not None
    wanted = advised(components.cautious(parts, known, windows=1), world, known)
    return components.rescaled(known, parts, measured=1, wanted=wanted), wanted


def advised(parts: components.Components, world: Launches, known: components.Prior | None) -> int:
    """Return the windows a launch that these variances advise."""
    launch_s, window_s = world.launch_s, world.window_s
    most = components.windows_per_launch(parts, launch_s=launch_s, window_s=window_s)
    return decisions.cheapest_windows(
        parts, stacks=3, most=most, prior=known, launch_s=launch_s, window_s=window_s
    )


def replay(
    seed: np.random.SeedSequence,
    world: Launches,
    truth: tuple[float, ...],
    prior: bool,
    launched: Callable[[Launches, np.random.Generator], Machine] = Machine,
) -> Study:
    """Run one study as the protocol does: a round, the verdicts, the drops, until it stops."""
    rng = np.random.default_rng(seed)
    known, windows = earlier(launched(world, rng)) if prior else (None, 1)
    machine = launched(world, rng)
    names = [f"stack{i}" for i in range(len(truth))]
    means = dict(zip(names, truth, strict=True))
    seen: Windows = {name: {} for name in names}
    active, turn, looks, stop = set(names), list[str](), [], None
    round_ = 0
    while stop is None:
        turn = order(names, round_, rng, turn)
        going = [name for name in turn if name in active]
        for name, values in machine.round_of(going, means, windows).items():
            seen[name][round_] = values
        round_ += 1
        said = decisions.decide(means_of(seen), higher_is_better=True, prior=known, draws=0)
        looks.append((machine.seconds / 60, *judge(said, means)))
        active -= decisions.droppable([said])
        stop = decisions.stop([said], rounds=round_)
        if round_ == 3 and known is None:
            parts = components.components(seen, window_sd=machine.window_sd)
            windows = advised(parts, world, None)
    return Study(looks=tuple(looks), stop=stop, values=means_of(seen))


def judge(said: decisions.Decision, means: dict[str, float]) -> tuple[float, float, bool]:
    """Return the share of pairs put in the right order, that of ties, and if one is wrong."""
    named = [pair for pair in said.pairs if pair.verdict == "better"]
    right = [pair for pair in named if means[pair.stack] > means[pair.other]]
    ties = sum(pair.verdict == "tie" for pair in said.pairs)
    total = len(said.pairs)
    return len(right) / total, ties / total, len(right) < len(named)


RIGHT, TIES, WRONG = 1, 2, 3


def ranking(run: Run) -> Iterable[Row]:
    """Must hold: false winners, minutes to a right order, ties among equals."""
    count = run.studies("ranking")
    for prior in (False, True):
        how = "prior" if prior else "no prior"
        for name, world in WORLDS.items():
            job = partial(replay, world=world, truth=EQUAL, prior=prior)
            found = run.map(job, f"equal {name} {prior}", count)
            yield from _equal(found, name, world, how)
        uneven = replace(WORLDS["quiet"], uneven=10.0)
        job = partial(replay, world=uneven, truth=EQUAL, prior=prior)
        wrong = np.mean([s.looks[-1][WRONG] for s in run.map(job, f"uneven {prior}", count)])
        yield Row(
            what=f"... quiet, but one of them 3 % a launch, {how}",
            seen=f"a difference claimed in {wrong:.2%}",
            target="",
            holds=None,
        )
        job = partial(replay, world=WORLDS["usual"], truth=APART, prior=prior)
        found = run.map(job, f"apart {prior}", count)
        yield from _apart(found, how)


def _equal(found: list[Study], name: str, world: Launches, how: str) -> Iterable[Row]:
    wrong = float(np.mean([study.looks[-1][WRONG] for study in found]))
    minutes = float(np.mean([study.minutes for study in found]))
    yield Row(
        what=f"three equal stacks, {name} (launch sd {world.launch_sd:.1%}), {how}",
        seen=f"a difference claimed in {wrong:.2%}, {minutes:.1f} min",
        target="at most 5 %",
        holds=wrong <= 0.05,
    )
    if name != "quiet":
        return
    ties = float(np.mean([study.looks[-1][TIES] for study in found]))
    early = float(np.mean([study.by(80, TIES) for study in found]))
    gated = how == "prior"
    yield Row(
        what=f"... called tie, {how}",
        seen=f"{ties:.1%} of pairs, {minutes:.1f} min a study",
        target="85 %, 80 min" if gated else "",
        holds=ties >= 0.85 and minutes <= 80 if gated else None,
    )
    yield Row(what=f"... by minute 80, {how}", seen=f"{early:.1%} of pairs", target="", holds=None)


def _apart(found: list[Study], how: str) -> Iterable[Row]:
    right = float(np.mean([study.looks[-1][RIGHT] for study in found]))
    minutes = float(np.mean([study.minutes for study in found]))
    early = float(np.mean([study.by(50, RIGHT) for study in found]))
    yield Row(
        what=f"5 % and 15 % apart, launch sd 1 %, {how}",
        seen=f"{right:.1%} of pairs right, {minutes:.1f} min a study",
        target="97 %, 50 min",
        holds=right >= 0.97 and minutes <= 50,
    )
    yield Row(what=f"... by minute 50, {how}", seen=f"{early:.1%} of pairs", target="", holds=None)


# -- capacity ---------------------------------------------------------------------------------

Share = Callable[[float], float]


def logistic(truth: float, rng: np.random.Generator) -> Share:
    """Return a smooth curve through the target."""
    slope = rng.uniform(6, 12)
    odds = math.log(SLO_TARGET / (1 - SLO_TARGET))
    return lambda rate: 1 / (1 + math.exp(slope * math.log(rate / truth) - odds))


def cliff(truth: float, _: np.random.Generator) -> Share:
    """Return 99 % up to the edge and 5 % from 2 % above it; the target lies between."""
    edge = truth / (1 + 0.02 * 0.09 / 0.94)
    return lambda rate: float(np.interp(rate / edge, [1.0, 1.02], [0.99, 0.05]))


def plateau(truth: float, rng: np.random.Generator) -> Share:
    """Return a curve that stays within 3 points of the target for a factor of 2 to 3 each way."""
    reach = math.log(rng.uniform(2, 3))
    at, shares = [-1.5, -1.0, 0.0, 1.0, 2.5], [1.0, 0.93, 0.9, 0.87, 0.0]
    return lambda rate: float(np.interp(math.log(rate / truth) / reach, at, shares))


SLO_WORLDS = {"logistic": logistic, "cliff": cliff, "plateau": plateau}


def searched(seed: np.random.SeedSequence, world: str) -> tuple[float, capacity_search.Capacity]:
    """Run one search; return the true capacity and what was found."""
    rng = np.random.default_rng(seed)
    truth = math.exp(rng.uniform(math.log(4), math.log(40)))
    share = SLO_WORLDS[world](truth, rng)
    asking = capacity_search.search(capacity_search.Rules(target=SLO_TARGET, low=1, high=64))
    ask = next(asking)
    while True:
        groups = int(rng.poisson(ask.rate * ask.seconds / SLO_EFFECT))
        good = SLO_EFFECT * int(rng.binomial(groups, share(ask.rate)))
        told = capacity_search.Told(good=good, bad=SLO_EFFECT * groups - good)
        try:
            ask = asking.send(told)
        except StopIteration as ended:
            return truth, ended.value


def capacity(run: Run) -> Iterable[Row]:
    """Must hold: the bracket covers, is narrow, is cheap; ill-posed cases are flagged."""
    for name in SLO_WORLDS:
        job = partial(searched, world=name)
        found = run.map(job, f"capacity {name}", run.studies("capacity"))
        covers = np.mean([(c.passes or 0) <= t <= (c.fails or math.inf) for t, c in found])
        gaps = [c.gap if c.gap is not None else math.inf for _, c in found]
        minutes = float(np.mean([c.seconds / 60 for _, c in found]))
        flagged = float(np.mean([c.flag == "ill_posed" for _, c in found]))
        yield Row(
            what=f"capacity bracket, {name}: covers the truth",
            seen=f"{covers:.1%}",
            target="95 %",
            holds=bool(covers >= 0.95),
        )
        posed = name != "plateau"
        yield Row(
            what=f"... width (median), minutes (mean), {name}",
            seen=f"{_percent(float(np.median(gaps)))}, {minutes:.1f} min",
            target="15 %, 15 min" if posed else "15 min",
            holds=bool((np.median(gaps) <= 0.15 or not posed) and minutes <= 15),
        )
        yield Row(
            what=f"... flagged ill-posed, {name}",
            seen=f"{flagged:.1%}",
            target="" if posed else "90 %",
            holds=None if posed else flagged >= 0.9,
        )


def _percent(gap: float) -> str:
    return f"{gap:.1%}" if math.isfinite(gap) else "no bracket"


# -- the table --------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Run:
    """How many studies, and where they run. The seed of a study depends on its name alone."""

    share: float = 1.0
    pool: ProcessPoolExecutor | None = None

    def studies(self, part: str) -> int:
        return max(1, round(STUDIES[part] * self.share))

    def map(self, job: Callable[[np.random.SeedSequence], T], name: str, count: int) -> list[T]:
        """Return what ``job`` says of ``count`` seeds."""
        seeds = np.random.SeedSequence([SEED, *name.encode()]).spawn(count)
        if self.pool is None:
            return [job(seed) for seed in seeds]
        return list(self.pool.map(job, seeds, chunksize=25))


PARTS: dict[str, Callable[[Run], Iterable[Row]]] = {
    "coverage": coverage,
    "ranking": ranking,
    "capacity": capacity,
}


def main() -> int:
    """Replay, print, judge."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--only", choices=sorted(PARTS))
    parser.add_argument("--share", type=float, default=1.0)
    asked = parser.parse_args()
    run, missed = Run(share=asked.share), 0
    print(f"intervals: {', '.join(METRICS)}")
    with ProcessPoolExecutor() as pool:
        for name, part in PARTS.items():
            if asked.only in {None, name}:
                for row in part(replace(run, pool=pool)):
                    word = {None: "", True: "ok", False: "MISS"}[row.holds]
                    print(f"{word:4} {row.what:62} {row.seen:46} {row.target}", flush=True)
                    missed += row.holds is False
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
