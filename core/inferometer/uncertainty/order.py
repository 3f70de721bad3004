"""Stacks in order by their launches: rounds fixed beforehand, or looked at one after the other.

Pairs: simultaneous 95 % intervals of log ratios (:mod:`inferometer.stats`), or those of each look
(:mod:`inferometer.uncertainty.decisions`); rank intervals after Mogstad, Romano, Shaikh and Wilhelm
(2024).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import combinations
from typing import TYPE_CHECKING, Literal

import numpy as np

from inferometer import stats
from inferometer.uncertainty import decisions

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from inferometer.uncertainty.components import Prior

Pair = Literal["better", "worse", "tie", "undecided"]
"""A verdict of :mod:`inferometer.uncertainty.decisions`, seen from one of the two."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """Stacks from best to worst: places, rank intervals and the verdicts behind them."""

    names: list[str]
    places: list[int]
    lows: list[int]
    highs: list[int]
    verdicts: list[Pair]
    """Of each stack against the best point estimate, seen from the stack."""
    ratios: list[stats.Estimate]
    """Each stack's value over the best one's, simultaneous intervals."""
    values: list[stats.Estimate]
    rounds: int
    detectable: float
    """Least true difference (log units) found with 80 % power; inf where nothing says so."""
    pairs: list[decisions.Pair]
    best: list[float | None]
    """Probability of being best."""
    looks: int = 0


def order(
    values: Mapping[str, Mapping[int, float]],
    *,
    higher_is_better: bool,
    slack: Mapping[str, Mapping[int, float]] | None = None,
) -> Order:
    """Order stacks by their values (stack -> round -> value) over the rounds all of them have.

    ``slack`` (log units, stack -> round) is by how much a value may be off, beside its scatter:
    twice that of the worst stack, on average over these rounds, widens every interval of a pair.

    Raises:
        ValueError: there is no such round.
    """
    rounds = stats.complete_rounds(values)
    if not rounds:
        raise ValueError("no round is complete for all stacks")
    logs = np.log(np.array([[values[name][r] for name in values] for r in rounds], dtype=float))
    spread = stats.spread(logs)
    off = 2 * max(sum(it[r] for r in rounds) / len(rounds) for it in slack.values()) if slack else 0
    halves = _half_widths(logs, spread) + off
    means = logs.mean(axis=0)
    sign = 1.0 if higher_is_better else -1.0
    by_merit = sorted(range(len(means)), key=lambda i: (-sign * means[i], list(values)[i]))
    best = by_merit[0]
    shared = {name: {r: values[name][r] for r in rounds} for name in values}
    rules = replace(decisions.RULES, last=len(rounds))
    chance = decisions.decide(shared, higher_is_better=higher_is_better, rules=rules).standings
    chances = {standing.stack: standing.best for standing in chance}

    def pair(i: int, j: int) -> Pair:
        difference = sign * float(means[i] - means[j])
        seen = decisions.verdict(difference, float(halves[i, j]))
        return "worse" if seen == "better" and difference < 0 else seen

    def over(i: int, j: int) -> stats.Estimate:
        return _ratio(float(means[i] - means[j]), float(halves[i, j]), len(rounds))

    better = [sum(pair(j, i) == "better" for j in by_merit) for i in by_merit]
    worse = [sum(pair(j, i) == "worse" for j in by_merit) for i in by_merit]
    names = [list(values)[i] for i in by_merit]
    return Order(
        names=names,
        places=[1 + count for count in better],
        lows=[1 + count for count in better],
        highs=[len(names) - count for count in worse],
        verdicts=[pair(i, best) for i in by_merit],
        ratios=[_itself(len(rounds)) if i == best else over(i, best) for i in by_merit],
        values=[stats.estimate([values[name][r] for r in rounds]) for name in names],
        rounds=len(rounds),
        detectable=spread.detectable + off,
        pairs=[
            _pair(list(values)[i], list(values)[j], pair(i, j), over(i, j))
            for i, j in combinations(by_merit, 2)
        ],
        best=[chances[name] for name in names],
    )


def _half_widths(logs: NDArray[np.float64], spread: stats.Spread) -> NDArray[np.float64]:
    """Return the half width of each pair's interval (stacks x stacks, log units).

    The common one, or what the pair's own differences say where that is more: stacks differ in
    noise, and alone the common one would tell a noisy stack from quiet equals too often.
    """
    n, k = logs.shape
    common = np.full((k, k), spread.half_width)
    if not math.isfinite(spread.half_width):
        return common
    own = (logs[:, :, None] - logs[:, None, :]).std(axis=0, ddof=1) / math.sqrt(2)
    quantile = stats.range_quantile(stats.LEVEL, k, spread.df)
    widths: NDArray[np.float64] = np.maximum(common, quantile * own / math.sqrt(n))
    return widths


def _pair(one: str, other: str, seen: Pair, ratio: stats.Estimate) -> decisions.Pair:
    said: decisions.Verdict = "undecided" if seen == "worse" else seen
    return decisions.Pair(stack=one, other=other, verdict=said, ratio=ratio)


def by_looks(
    values: Mapping[str, Mapping[int, float]],
    *,
    higher_is_better: bool,
    last: int,
    prior: Prior | None = None,
) -> Order:
    """Order stacks of a sequential study: after each round from the third on was looked.

    With a ``prior`` from the second on. Rounds may lack stacks: one that was decided is launched
    no more.
    """
    rules = replace(decisions.RULES, last=last)
    found = decisions.decide(values, higher_is_better=higher_is_better, rules=rules, prior=prior)
    names = [standing.stack for standing in found.standings]
    against = [_against(found.pairs, name, names[0]) for name in names]
    return Order(
        names=names,
        places=[standing.place for standing in found.standings],
        lows=[standing.low for standing in found.standings],
        highs=[standing.high for standing in found.standings],
        verdicts=[seen for seen, _ in against],
        ratios=[ratio for _, ratio in against],
        values=[stats.estimate(list(values[name].values())) for name in names],
        rounds=found.rounds,
        detectable=found.detectable,
        pairs=list(found.pairs),
        best=[standing.best for standing in found.standings],
        looks=found.looks,
    )


def _against(pairs: Sequence[decisions.Pair], name: str, best: str) -> tuple[Pair, stats.Estimate]:
    """Return the verdict on a stack against the best one, seen from the stack, and its ratio."""
    for pair in pairs:
        if {pair.stack, pair.other} == {name, best}:
            ahead = pair.stack == name
            if pair.verdict == "better":
                return ("better" if ahead else "worse"), pair.ratio if ahead else _over(pair.ratio)
            return pair.verdict, pair.ratio if ahead else _over(pair.ratio)
    return "tie", _itself(max((pair.ratio.n for pair in pairs), default=1))


def _itself(n: int) -> stats.Estimate:
    return stats.Estimate(value=1.0, low=1.0, high=1.0, n=n)


def _over(ratio: stats.Estimate) -> stats.Estimate:
    """Return 1 / ratio."""
    low = 1 / ratio.high if ratio.high else None
    high = 1 / ratio.low if ratio.low else None
    return stats.Estimate(value=1 / ratio.value, low=low, high=high, n=ratio.n)


def _ratio(difference: float, half: float, n: int) -> stats.Estimate:
    if not math.isfinite(half):
        return stats.Estimate(value=math.exp(difference), low=None, high=None, n=n)
    return stats.Estimate(
        value=math.exp(difference),
        low=math.exp(difference - half),
        high=math.exp(difference + half),
        n=n,
    )
