"""Places with ties, from launches paired by round.

One objective, one model, one workload, one load point, one profile at a time. Objectives are
never blended, scopes and simulated numbers never mixed. Pairs: simultaneous 95 % intervals of log
ratios (:mod:`inferometer.stats`); rank intervals after Mogstad, Romano, Shaikh and Wilhelm (2024).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

import msgspec
import numpy as np

from inferometer import comparison, stats
from inferometer.comparison import Kind, RankEntry, Ranking, Unranked, Value, worst_kind
from inferometer.uncertainty import decisions

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from inferometer.comparison import Architecture, Objective

Pair = Literal["better", "worse", "tie", "undecided"]
"""A verdict of :mod:`inferometer.uncertainty.decisions`, seen from one of the two."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contest:
    """What is ranked: one objective by one metric (of one meter), at one load point."""

    objective: Objective
    metric: str
    unit: str
    higher_is_better: bool
    meter: str | None = None
    primary: bool = True
    model: str
    architecture: Architecture
    workload: str
    load: str
    follows_throughput: str | None = None
    profile: str = "defaults"
    looks_until: int | None = None
    """Of a sequential study: the round after which it is looked for the last time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entrant:
    """One stack in a contest: its value in each round, or the reason why it cannot take part.

    With both, it was measured and is shown beside the others.
    """

    stack: str
    cell: str
    by_round: Mapping[int, float] = field(default_factory=dict)
    kind: Kind = "measured"
    reason: str | None = None
    detail: str = ""
    precision: str = ""
    compression: float | None = None


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


def order(values: Mapping[str, Mapping[int, float]], *, higher_is_better: bool) -> Order:
    """Order stacks by their values (stack -> round -> value) over the rounds all of them have.

    Raises:
        ValueError: there is no such round.
    """
    rounds = stats.complete_rounds(values)
    if not rounds:
        raise ValueError("no round is complete for all stacks")
    logs = np.log(np.array([[values[name][r] for name in values] for r in rounds], dtype=float))
    spread = stats.spread(logs)
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
        seen = decisions.verdict(difference, spread.half_width)
        return "worse" if seen == "better" and difference < 0 else seen

    better = [sum(pair(j, i) == "better" for j in by_merit) for i in by_merit]
    worse = [sum(pair(j, i) == "worse" for j in by_merit) for i in by_merit]
    names = [list(values)[i] for i in by_merit]
    return Order(
        names=names,
        places=[1 + count for count in better],
        lows=[1 + count for count in better],
        highs=[len(names) - count for count in worse],
        verdicts=[pair(i, best) for i in by_merit],
        ratios=[_ratio(float(means[i] - means[best]), i == best, spread) for i in by_merit],
        values=[stats.estimate([values[name][r] for r in rounds]) for name in names],
        rounds=len(rounds),
        detectable=spread.detectable,
        pairs=[
            _pair(names[i], names[j], pair(by_merit[i], by_merit[j]), ratio)
            for i in range(len(names))
            for j in range(i + 1, len(names))
            for ratio in [_ratio(float(means[by_merit[i]] - means[by_merit[j]]), False, spread)]
        ],
        best=[chances[name] for name in names],
    )


def _pair(one: str, other: str, seen: Pair, ratio: stats.Estimate) -> decisions.Pair:
    said: decisions.Verdict = "undecided" if seen == "worse" else seen
    return decisions.Pair(stack=one, other=other, verdict=said, ratio=ratio)


def by_looks(
    values: Mapping[str, Mapping[int, float]], *, higher_is_better: bool, last: int
) -> Order:
    """Order stacks of a sequential study: after each round from the third on was looked.

    Rounds may lack stacks: one that was decided is launched no more.
    """
    rules = replace(decisions.RULES, last=last)
    found = decisions.decide(values, higher_is_better=higher_is_better, rules=rules)
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
    n = max((pair.ratio.n for pair in pairs), default=1)
    return "tie", stats.Estimate(value=1.0, low=1.0, high=1.0, n=n)


def _over(ratio: stats.Estimate) -> stats.Estimate:
    """Return 1 / ratio."""
    low = 1 / ratio.high if ratio.high else None
    high = 1 / ratio.low if ratio.low else None
    return stats.Estimate(value=1 / ratio.value, low=low, high=high, n=ratio.n)


def _ratio(difference: float, best: bool, spread: stats.Spread) -> stats.Estimate:
    n, half = spread.rounds, spread.half_width
    if best:
        return stats.Estimate(value=1.0, low=1.0, high=1.0, n=n)
    if not math.isfinite(half):
        return stats.Estimate(value=math.exp(difference), low=None, high=None, n=n)
    return stats.Estimate(
        value=math.exp(difference),
        low=math.exp(difference - half),
        high=math.exp(difference + half),
        n=n,
    )


def rank(contest: Contest, entrants: Sequence[Entrant]) -> list[Ranking]:
    """Rank the entrants that can be ranked; name the others with their reasons.

    Simulated and real stacks are ranked apart: one ranking each, where both are there.
    """
    fit = [entrant for entrant in entrants if entrant.reason is None]
    unfit = [entrant for entrant in entrants if entrant.reason is not None]
    groups = [
        [entrant for entrant in fit if (entrant.kind == "simulated") is simulated]
        for simulated in (False, True)
    ]
    groups = [group for group in groups if group] or [[]]
    return [
        _ranking(contest, group, unfit if index == 0 else []) for index, group in enumerate(groups)
    ]


def _ranking(contest: Contest, fit: Sequence[Entrant], unfit: Sequence[Entrant]) -> Ranking:
    ranked, left_out = (list(fit), []) if contest.looks_until else comparable(fit)
    kind = worst_kind(entrant.kind for entrant in ranked)
    result = None
    if ranked:
        values = {entrant.stack: entrant.by_round for entrant in ranked}
        higher = contest.higher_is_better
        if contest.looks_until:
            result = by_looks(values, higher_is_better=higher, last=contest.looks_until)
        else:
            result = order(values, higher_is_better=higher)
    entries = _entries(contest, {e.stack: e for e in ranked}, result) if result else []
    best = next((e for e in ranked if result and e.stack == result.names[0]), None)
    unranked = [_unranked(contest, entrant, best) for entrant in (*unfit, *left_out)]
    detectable = result.detectable if result else math.inf
    return Ranking(
        objective=contest.objective,
        metric=contest.metric,
        meter=contest.meter,
        primary=contest.primary,
        model=contest.model,
        architecture=contest.architecture,
        workload=contest.workload,
        load=contest.load,
        n_rounds=result.rounds if result else 0,
        entries=entries,
        unranked=unranked,
        separated=sum(entry.place == 1 for entry in entries) == 1 and len(entries) > 1,
        minimum_detectable_percent=(
            math.expm1(detectable) * 100 if math.isfinite(detectable) else None
        ),
        follows_throughput=contest.follows_throughput,
        kind=kind,
        profile=contest.profile,
        pairs=_pairs(result, kind) if result else [],
        looks=result.looks if result else 0,
    )


def _pairs(result: Order, kind: Kind) -> list[comparison.Pair]:
    return [
        comparison.Pair(
            stack=pair.stack,
            other=pair.other,
            verdict=pair.verdict,
            ratio=_shown(pair.ratio, "ratio", worst_kind(["derived", kind])),
            rounds=pair.rounds,
        )
        for pair in result.pairs
    ]


def _unranked(contest: Contest, entrant: Entrant, best: Entrant | None) -> Unranked:
    """Return an entrant without a place; one that was measured is shown against the best."""
    found = Unranked(
        stack=entrant.stack,
        reason=entrant.reason or "not_run",
        detail=entrant.detail,
        precision=entrant.precision,
        compression=entrant.compression,
    )
    if not entrant.by_round:
        return found
    seen = stats.estimate(list(entrant.by_round.values()))
    ratio = stats.paired_ratio(entrant.by_round, best.by_round) if best else None
    return msgspec.structs.replace(
        found,
        value=_shown(seen, contest.unit, entrant.kind),
        ratio_to_best=_shown(ratio, "ratio", worst_kind(["derived", entrant.kind]))
        if ratio
        else None,
    )


def _shown(estimate: stats.Estimate, unit: str, kind: Kind) -> Value:
    return Value(
        value=estimate.value,
        unit=unit,
        kind=kind,
        n=estimate.n,
        low=estimate.low,
        high=estimate.high,
    )


def comparable(entrants: Sequence[Entrant]) -> tuple[list[Entrant], list[Entrant]]:
    """Split into those that share rounds, and those left out for lack of them.

    Only rounds that all have count. While fewer than two are shared, the stack with the fewest
    rounds is left out if that brings two: one bad stack must not undo the others' comparison.
    """
    kept = list(entrants)
    shared = len(stats.complete_rounds({e.stack: e.by_round for e in kept}))
    for entrant in sorted(entrants, key=lambda e: len(e.by_round)):
        if shared >= 2 or len(kept) < 2:
            break
        rest = [other for other in kept if other is not entrant]
        fewer = len(stats.complete_rounds({e.stack: e.by_round for e in rest}))
        if fewer > shared:
            kept, shared = rest, fewer
    out = [
        _unpaired(entrant, f"{len(entrant.by_round)} rounds, too few shared with the others")
        for entrant in entrants
        if entrant not in kept
    ]
    if shared:
        return kept, out
    words = "no round is complete for all stacks"
    return [], [*out, *(_unpaired(entrant, words) for entrant in kept)]


def _unpaired(entrant: Entrant, words: str) -> Entrant:
    return replace(entrant, reason="too_few_samples", detail=words)


def _entries(contest: Contest, entrants: Mapping[str, Entrant], result: Order) -> list[RankEntry]:
    return [
        RankEntry(
            stack=name,
            cell=entrants[name].cell,
            place=result.places[i],
            place_low=result.lows[i],
            place_high=result.highs[i],
            value=_value(contest, result.values[i], contest.unit, entrants[name].kind),
            ratio_to_best=_value(
                contest, result.ratios[i], "ratio", worst_kind(["derived", entrants[name].kind])
            ),
            verdict=_against_best(result, i),
            precision=entrants[name].precision,
            compression=entrants[name].compression,
            probability_best=result.best[i],
        )
        for i, name in enumerate(result.names)
    ]


def _against_best(
    result: Order, index: int
) -> Literal["best", "tie", "behind", "undecided", "alone"]:
    if len(result.names) == 1:
        return "alone"
    if index == 0:
        return "best"
    seen = result.verdicts[index]
    if seen == "tie":
        return "tie"
    return "behind" if seen == "worse" else "undecided"


def _value(contest: Contest, estimate: stats.Estimate, unit: str, kind: Kind) -> Value:
    """Return an estimate with its rounds in words: of a sequential study each stack has its own."""
    many = f"the {estimate.n} rounds" if estimate.n > 1 else "the one round"
    whose = "both were" if unit == "ratio" else "it was"
    words = f"that {whose} measured in" if contest.looks_until else "that all ranked stacks have"
    return msgspec.structs.replace(_shown(estimate, unit, kind), detail=f"over {many} {words}")
