"""Verdicts after each round, and when to stop: a group-sequential design over launches.

A look after round 3 (2 with a prior of the variance), 4, ... 8 judges every pair by Tukey's
studentised range at 98.6 %, with the common variance or the pair's own, whichever is greater. Six
looks together then err in 3.8 % of studies of three equal stacks, and in 8 % when one of them is
ten times as noisy as the others (4.9 and 12 % with the common variance alone). A pair once decided
stays decided, because the level counts every look; a stack whose pairs are all decided needs no
more launches.

Sources: Tukey-Kramer intervals of the two-way layout (Scheffe 1959, section 3.6; Kramer,
Biometrics 12, 1956); equal levels at each look after Pocock, Biometrika 64, 1977; rank intervals
of Mogstad, Romano, Shaikh and Wilhelm, Review of Economic Studies 91, 2024; equivalence as an
interval inside a margin (Schuirmann, 1987).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Literal

import numpy as np

from inferometer.nodes import round_of
from inferometer.stats import Estimate, detectable, range_quantile
from inferometer.uncertainty.components import layout

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from inferometer.uncertainty.components import Components, Layout, Prior

    ByRound = Mapping[str, Mapping[int, float]]
    """Stack -> round -> value, all positive; a round may lack stacks. One that was split over
    nodes is several blocks (:mod:`inferometer.nodes`), each with a level of its own, and one round
    to look at."""

Verdict = Literal["better", "tie", "undecided"]
Stop = Literal["decided", "failed", "rounds", "budget"]
DRAWS = 4000


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """How to decide: simultaneous ``level`` of each look, equivalence ``margin``, which looks."""

    level: float = 0.986
    margin: float = 0.02
    first: int = 3
    first_with_prior: int = 2
    last: int = 8


RULES = Rules()


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """What is said of two stacks, ``stack`` being the one that looks better.

    ``ratio`` is the value of ``stack`` over that of ``other`` with its simultaneous interval, as
    at the look that decided (else at the last look); ``rounds`` the number of rounds seen then,
    None while undecided.
    """

    stack: str
    other: str
    verdict: Verdict
    ratio: Estimate
    rounds: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """One stack's place (shared where nobody is surely better), rank interval, chance of best.

    ``best`` is the share of draws from the t posterior in which it is first; None without any
    spread to draw from.
    """

    stack: str
    place: int
    low: int
    high: int
    best: float | None
    rounds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Everything said of one contest after ``rounds`` rounds, standings from best to worst.

    ``sd``: one launch, log units, after the prior; ``detectable``: the least true difference (log
    units) found with 80 % power; ``looks``: how often was looked.
    """

    standings: tuple[Standing, ...]
    pairs: tuple[Pair, ...]
    rounds: int
    looks: int
    sd: float
    df: float
    detectable: float

    @property
    def decided(self) -> bool:
        """Say whether no pair is undecided."""
        return all(pair.verdict != "undecided" for pair in self.pairs)


def verdict(difference: float, half_width: float, margin: float = RULES.margin) -> Verdict:
    """Judge a pair's log ratio: ``better`` (whoever is ahead) when the interval excludes 0.

    ``tie``: it lies inside the margin.
    """
    if not math.isfinite(half_width):
        return "undecided"
    if abs(difference) > half_width:
        return "better"
    return "tie" if abs(difference) + half_width <= math.log1p(margin) else "undecided"


def decide(
    values: ByRound,
    *,
    higher_is_better: bool,
    rules: Rules = RULES,
    prior: Prior | None = None,
    draws: int = DRAWS,
    seed: int = 0,
) -> Decision:
    """Replay every look over ``values`` and return what is said now.

    A pure function of the stored values: the looks of a study that ran on are the same when its
    results are read again. Rounds beyond ``rules.last`` are left out.

    Raises:
        ValueError: a stack without a value, or a value that has no logarithm.
    """
    if any(v <= 0 for by_round in values.values() for v in by_round.values()):
        raise ValueError("a value that is not positive has no logarithm")
    sign = 1.0 if higher_is_better else -1.0
    logs = {s: {r: math.log(v) for r, v in rounds.items()} for s, rounds in values.items()}
    seen = sorted({round_of(r) for by_round in logs.values() for r in by_round})[: rules.last]
    if not seen or not all(logs.values()):
        raise ValueError("a stack without any value cannot be judged")
    first = rules.first_with_prior if prior else rules.first
    settled: dict[frozenset[str], Pair] = {}
    looks = range(first, len(seen) + 1)
    for count in looks:
        state = _State.of(logs, seen[:count], rules, prior)
        settled |= {
            frozenset((pair.stack, pair.other)): pair
            for pair in state.pairs(sign, rules, first)
            if pair.verdict != "undecided" and frozenset((pair.stack, pair.other)) not in settled
        }
    state = _State.of(logs, seen, rules, prior)
    now = [
        settled.get(frozenset((pair.stack, pair.other)), pair)
        for pair in state.pairs(sign, rules, math.inf)
    ]
    return Decision(
        standings=_standings(state, now, sign, draws, seed),
        pairs=tuple(now),
        rounds=len(seen),
        looks=len(looks),
        sd=state.sd,
        df=state.df,
        detectable=state.detectable(),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _State:
    """The layout fitted to the rounds of one look."""

    fit: Layout
    logs: ByRound
    prior: Prior | None
    rounds: int
    sd: float
    df: float
    quantile: float

    @classmethod
    def of(cls, logs: ByRound, seen: Sequence[int], rules: Rules, prior: Prior | None) -> _State:
        inside = {
            s: {r: y for r, y in rounds.items() if round_of(r) in seen}
            for s, rounds in logs.items()
        }
        fit = layout(inside)
        assert fit is not None
        total, df = fit.left, float(fit.df)
        if prior:
            total, df = total + prior.variance * prior.df, df + prior.df
        k = len(logs)
        usable = df >= 1 and k > 1
        return cls(
            fit=fit,
            logs=inside,
            prior=prior,
            rounds=len(seen),
            sd=math.sqrt(total / df) if df > 0 else math.nan,
            df=df,
            quantile=range_quantile(rules.level, k, int(df)) if usable else math.inf,
        )

    def pairs(self, sign: float, rules: Rules, first: float) -> list[Pair]:
        """Return all pairs; those with fewer than ``first`` rounds in common are undecided."""
        return [
            self.pair(i, j, sign, rules, first)
            for i, j in combinations(range(len(self.fit.stacks)), 2)
        ]

    def pair(self, i: int, j: int, sign: float, rules: Rules, first: float) -> Pair:
        """Return the pair with the one that looks better in front."""
        means, unit = self.fit.means, self.fit.unit
        if sign * (means[j] - means[i]) > 0:
            i, j = j, i
        one, other = self.fit.stacks[i], self.fit.stacks[j]
        shared = self.logs[one].keys() & self.logs[other].keys()
        difference = float(means[i] - means[j])
        # With equal numbers of launches n this is q s / sqrt(n).
        width = float(unit[i, i] + unit[j, j] - 2 * unit[i, j])
        sd = max(self.sd, self.own_sd(one, other, shared))
        half = max(self.quantile * sd * math.sqrt(width / 2), 1e-9) if shared else math.inf
        said = verdict(difference, half, rules.margin) if len(shared) >= first else "undecided"
        return Pair(
            stack=one,
            other=other,
            verdict=said,
            ratio=_ratio(difference, half, len(shared)),
            rounds=self.rounds if said != "undecided" else None,
        )

    def own_sd(self, one: str, other: str, shared: Iterable[int]) -> float:
        """Return one launch's sd as this pair's own differences have it; 0 where they say none.

        Stacks differ in noise. Where this pair's is more than the common one, it counts: alone the
        common one would tell a noisy stack from quiet equals too often.
        """
        differences = [self.logs[one][r] - self.logs[other][r] for r in shared]
        df = len(differences) - 1.0
        if df < 1:
            return 0.0
        total = float(np.var(differences)) * len(differences) / 2
        if self.prior:
            total, df = total + self.prior.variance * self.prior.df, df + self.prior.df
        return math.sqrt(total / df)

    def detectable(self) -> float:
        if not math.isfinite(self.quantile):
            return math.inf
        least = min(len(rounds) for rounds in self.logs.values()) or 1
        half = self.quantile * self.sd / math.sqrt(least)
        return detectable(half, self.sd, int(self.df), least)


def _ratio(difference: float, half: float, n: int) -> Estimate:
    if not math.isfinite(half):
        return Estimate(value=math.exp(difference), low=None, high=None, n=n)
    return Estimate(
        value=math.exp(difference),
        low=math.exp(difference - half),
        high=math.exp(difference + half),
        n=n,
    )


def _standings(
    state: _State, pairs: Sequence[Pair], sign: float, draws: int, seed: int
) -> tuple[Standing, ...]:
    stacks = state.fit.stacks
    worse = [pair.other for pair in pairs if pair.verdict == "better"]
    better = [pair.stack for pair in pairs if pair.verdict == "better"]
    best = _best(state, sign, draws, seed)
    by_merit = sorted(range(len(stacks)), key=lambda i: (-sign * state.fit.means[i], stacks[i]))
    return tuple(
        Standing(
            stack=stacks[i],
            place=1 + worse.count(stacks[i]),
            low=1 + worse.count(stacks[i]),
            high=len(stacks) - better.count(stacks[i]),
            best=best[i] if best else None,
            rounds=len(state.logs[stacks[i]]),
        )
        for i in by_merit
    )


def _best(state: _State, sign: float, draws: int, seed: int) -> list[float] | None:
    """Return each stack's share of first places over draws of all means at once."""
    k = len(state.fit.stacks)
    if state.df < 1 or not draws or k < 2 or min(map(len, state.logs.values())) == 0:
        return None
    rng = np.random.default_rng(seed)
    spread, axes = np.linalg.eigh(state.fit.unit)
    root = axes * np.sqrt(np.maximum(spread, 0.0))
    normal = rng.standard_normal((draws, k)) @ root.T
    scale = state.sd / np.sqrt(rng.chisquare(state.df, draws) / state.df)
    first = np.argmax(sign * (state.fit.means + normal * scale[:, None]), axis=1)
    return [float((first == i).mean()) for i in range(k)]


def cheapest_windows(
    parts: Components,
    *,
    stacks: int,
    launch_s: float,
    window_s: float,
    most: int,
    rules: Rules = RULES,
    prior: Prior | None = None,
) -> int:
    """Return the windows a launch, 1 to ``most``, by which equal stacks are soonest a tie.

    The cheapest number of Kalibera and Jones (``most``) counts variance alone; but fewer, longer
    launches also leave fewer degrees of freedom, and rounds come whole. For each number: the
    first look at which ``half width + 0.67 standard errors`` (three pairs in four) fits the
    margin, times the seconds of its rounds. ``most`` where no look does: there is no tie to win.
    """
    if stacks < 2 or parts.window_sd is None:
        return most
    costs: dict[int, float] = {}
    first = rules.first_with_prior if prior else rules.first
    for windows in range(1, most + 1):
        variance = parts.launch_sd**2 + parts.window_sd**2 / windows
        for n in range(first, rules.last + 1):
            df = (stacks - 1) * (n - 1) + int(prior.df if prior else 0)
            half = range_quantile(rules.level, stacks, df) + 0.67 * math.sqrt(2)
            if half * math.sqrt(variance / n) <= math.log1p(rules.margin):
                costs[windows] = n * (launch_s + windows * window_s)
                break
    return min(costs, key=lambda w: (costs[w], w)) if costs else most


def droppable(decisions: Sequence[Decision]) -> frozenset[str]:
    """Return the stacks that no more launches can tell anything about.

    Those whose pairs are decided in every one of ``decisions``, the contests one launch serves.
    """
    stacks = {standing.stack for decision in decisions for standing in decision.standings}
    wanted = {
        name
        for decision in decisions
        for pair in decision.pairs
        if pair.verdict == "undecided"
        for name in (pair.stack, pair.other)
    }
    return frozenset(stacks - wanted)


def stop(
    decisions: Sequence[Decision],
    *,
    rounds: int,
    spent_min: float = 0.0,
    next_min: float = 0.0,
    budget_min: float | None = None,
    rules: Rules = RULES,
) -> Stop | None:
    """Return why no further round is started, or None: go on; ``failed`` is for the caller to say.

    ``decided``: every pair of every contest. ``rounds``: the last look was made. ``budget``: the
    next round, of ``next_min`` machine minutes, would not fit into what is left.
    """
    if decisions and all(decision.decided for decision in decisions):
        return "decided"
    if rounds >= rules.last:
        return "rounds"
    if budget_min is not None and spent_min + next_min > budget_min:
        return "budget"
    return None
