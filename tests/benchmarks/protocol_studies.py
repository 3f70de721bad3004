"""Studies replayed by a rule in a world: windows of a bank, offsets of launches, drift and walk.

The world of launches is that of :mod:`tests.benchmarks.decisions`; its window noise and its effect
of prompts come from the simulated windows instead. A launch costs every rule the same 180 s; what
is sent costs what it takes, warm-up, start and drain with it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy import stats as scipy_stats
from tests.benchmarks import decisions
from tests.benchmarks.protocol_banks import Bank, Key, Stack, duration_s

from inferometer import stats
from inferometer.uncertainty.decisions import RULES as LOOKS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray
    from tests.benchmarks.decisions import Launches
    from tests.benchmarks.protocol_rules import Rule

    Runs = NDArray[np.float64]
    """Values of one stack."""

FIRST = Stack()
SCENES: dict[str, tuple[Stack, ...]] = {
    "equal": (FIRST, FIRST, FIRST),
    "5 and 15 % apart": (FIRST, Stack(speed=1.05), Stack(speed=1.15)),
    "decode": (FIRST, Stack("decode")),
}
"""``decode`` makes tokens faster and reads prompts slower than the reference."""


class Claim(NamedTuple):
    """What is said of a pair: how clearly it is told apart, and whether in the true direction."""

    clear: float
    right: bool


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a study came to: machine seconds, right decisions, whether a winner is false.

    ``held``: of each stated interval, whether the truth lies in it. ``claims``: each pair, of a
    published rule.
    """

    seconds: float
    right: int
    false: bool
    held: tuple[bool, ...] = ()
    claims: tuple[Claim, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Case:
    """A rule at work on some stacks. ``logs``: their true log tok/s."""

    rule: Rule
    stacks: tuple[Stack, ...]
    workload: str
    banks: Mapping[Key, Bank] = field(repr=False)
    logs: tuple[float, ...]

    def bank(self, stack: Stack) -> Bank:
        return self.banks[Key(self.rule.window, stack, self.workload)]

    def tied(self, i: int, j: int) -> bool:
        """Say whether the truth is a tie."""
        return abs(self.logs[i] - self.logs[j]) <= math.log1p(LOOKS.margin)


class Host:
    """A machine on which time passes; its speed drifts."""

    def __init__(self, world: Launches, rng: np.random.Generator) -> None:
        self.world, self.rng = world, rng
        self.seconds = self.walk = 0.0

    def spend(self, seconds: float) -> None:
        """Let time pass."""
        self.seconds += seconds
        sd = self.world.walk_per_root_hour * math.sqrt(seconds / 3600)
        self.walk += float(self.rng.normal(0, sd))

    def read(self, value: float, seconds: float) -> float:
        """Return a log value as seen now, in the middle of ``seconds`` that it takes."""
        self.spend(seconds / 2)
        seen = value + self.world.drift_per_hour * self.seconds / 3600 + self.walk
        self.spend(seconds / 2)
        return seen

    def launch(self) -> float:
        """Start a server; return its offset."""
        self.spend(self.world.launch_s)
        return float(self.rng.normal(0, self.world.launch_sd))


def play(seed: np.random.SeedSequence, case: Case, world: Launches) -> Outcome:
    """Replay one study."""
    if case.rule.decision == "verdicts":
        return ours(seed, case, world)
    return published(np.random.default_rng(seed), case, world)


# -- published rules --------------------------------------------------------------------------


def published(rng: np.random.Generator, case: Case, world: Launches) -> Outcome:
    """Measure one stack after the other, the same prompts for all, and compare."""
    host, rule = Host(world, rng), case.rule
    work = int(rng.integers(case.bank(case.stacks[0]).works))
    draws = {stack: iter(rng.permutation(case.bank(stack).draws)) for stack in case.stacks}
    seen = []
    for stack in case.stacks:
        bank, runs = case.bank(stack), []
        for _ in range(rule.launches):
            own = host.launch()
            if rule.warm_up:
                host.spend(duration_s(stack, case.workload, rule.warm_up))
            for _ in range(rule.runs):
                draw = next(draws[stack])
                runs.append(host.read(own + bank.tok_s[work, draw], bank.seconds[work, draw]))
        seen.append(np.exp(runs))
    return compared(case, seen, host.seconds)


def compared(case: Case, seen: Sequence[Runs], seconds: float) -> Outcome:
    """Return what the rule says of these runs."""
    claims, right, false = [], 0, False
    for i in range(len(seen)):
        for j in range(i):
            clear, better = told(case.rule, seen[i], seen[j])
            tied = case.tied(i, j)
            agrees = not tied and better == (case.logs[i] > case.logs[j])
            claims.append(Claim(clear, agrees))
            right += agrees and clear > limit(case.rule)
            false |= not agrees and clear > limit(case.rule)
    held = tuple(
        low <= math.exp(log) <= high
        for runs, log in zip(seen, case.logs, strict=True)
        for low, high in stated(case.rule, runs)
    )
    return Outcome(seconds=seconds, right=right, false=false, held=held, claims=tuple(claims))


def limit(rule: Rule) -> float:
    """Return how clear a difference must be to be claimed."""
    if rule.decision == "t intervals":
        return float(scipy_stats.t.ppf(0.975, rule.runs * rule.launches - 1))
    return 0.0


def told(rule: Rule, one: Runs, other: Runs) -> tuple[float, bool]:
    """Return how clear the difference is and whether ``one`` is greater.

    Clear: of ``t intervals`` in standard errors of both; else in log units.
    """
    top, bottom = (float(runs.max() if rule.decision == "best" else runs.mean())
                   for runs in (one, other))  # fmt: skip
    if rule.decision == "t intervals":
        errors = sum(float(runs.std(ddof=1)) / math.sqrt(len(runs)) for runs in (one, other))
        return abs(top - bottom) / errors, top > bottom
    if rule.decision == "ranges":
        apart = max(one.min() / other.max(), other.min() / one.max())
        return math.log(apart), top > bottom
    return abs(math.log(top / bottom)), top > bottom


def stated(rule: Rule, runs: Runs) -> list[tuple[float, float]]:
    """Return the interval that the rule states for one stack, if it states one."""
    if rule.decision == "t intervals":
        half = limit(rule) * float(runs.std(ddof=1)) / math.sqrt(len(runs))
        return [(float(runs.mean()) - half, float(runs.mean()) + half)]
    return [(float(runs.min()), float(runs.max()))] if rule.decision == "ranges" else []


# -- ours -------------------------------------------------------------------------------------


class Rounds(decisions.Machine):
    """Rounds of launches whose windows come from a bank, fresh prompts for each window.

    A window's noise is taken from what its batches differ by between stacks: what the prompts do to
    a batch they do to all, and it is no part of a difference. Batches of one stack alone would have
    it more than twice as great in chat, and a prior rescaled with that would be far too small.
    """

    def __init__(self, world: Launches, rng: np.random.Generator, case: Case) -> None:
        super().__init__(world, rng)
        self.case, self.host = case, Host(world, rng)
        self._stacks = {f"stack{number}": it for number, it in enumerate(case.stacks)}

    def round_of(
        self, names: Sequence[str], means: dict[str, float], windows: int
    ) -> dict[str, list[float]]:
        """Return stack -> windows of one round."""
        first = self.case.bank(self.case.stacks[0])
        works = self.rng.choice(first.works, windows, replace=False).tolist()
        draws = self.rng.permutation(first.draws).tolist()
        found, batches = {}, []
        for name, draw in zip(names, draws, strict=False):
            bank = self.case.bank(self._stacks.get(name, self.case.stacks[0]))
            found[name] = self._windows(bank, works, draw % bank.draws)
            batches.append(bank.batches[works, draw % bank.draws])
        self._noise(np.asarray(batches))
        self.seconds = self.host.seconds
        return found

    def _windows(self, bank: Bank, works: Sequence[int], draw: int) -> list[float]:
        own = self.host.launch()
        return [
            math.exp(self.host.read(own + bank.tok_s[work, draw], bank.seconds[work, draw]))
            for work in works
        ]

    def _noise(self, batches: Runs) -> None:
        """Add what is left of logs by stack, window and batch when the means of both are out."""
        stacks, windows, count = batches.shape
        left = batches - batches.mean(axis=2, keepdims=True)
        left -= left.mean(axis=0)
        self.squares += float((left**2).sum())
        self.freedom += (stacks - 1) * windows * (count - 1)


def ours(seed: np.random.SeedSequence, case: Case, world: Launches) -> Outcome:
    """Run one study as the protocol does."""
    window_s = float(case.bank(case.stacks[0]).seconds.mean())
    study = decisions.replay(
        seed,
        replace(world, window_s=window_s),
        tuple(math.exp(log) for log in case.logs),
        case.rule.prior,
        lambda world, rng: Rounds(world, rng, case),
    )
    pairs = len(case.stacks) * (len(case.stacks) - 1) // 2
    tied = case.tied(0, 1)
    share = study.looks[-1][decisions.TIES if tied else decisions.RIGHT]
    held = []
    for number, log in enumerate(case.logs):
        said = stats.estimate(list(study.values[f"stack{number}"].values()))
        held.append(bool(said.low and said.high and said.low <= math.exp(log) <= said.high))
    return Outcome(
        seconds=60 * study.minutes,
        right=round(share * pairs),
        false=bool(study.looks[-1][decisions.WRONG]),
        held=tuple(held),
    )
