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

from inferometer import comparison, nodes, stats
from inferometer.comparison import Kind, RankEntry, Ranking, Unranked, Value, worst_kind
from inferometer.uncertainty import components
from inferometer.uncertainty.order import by_looks, order

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from inferometer.comparison import Architecture, Objective
    from inferometer.records import Prior
    from inferometer.uncertainty.order import Order


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
    priors: Sequence[Prior] = ()
    """What earlier launches say of their variance: measured ones, simulated ones, or both."""
    slack: Mapping[str, Mapping[int, float]] = field(default_factory=dict)
    """By how much (log units) each stack's value of a round may be off, beside its scatter."""


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
    ranked, left_out = linked(fit) if contest.looks_until else comparable(fit)
    kind = worst_kind(entrant.kind for entrant in ranked)
    result, known = None, _prior(contest, simulated=kind == "simulated")
    if ranked:
        values = {entrant.stack: entrant.by_round for entrant in ranked}
        higher = contest.higher_is_better
        if contest.looks_until:
            prior = components.Prior(variance=known.variance, df=known.df) if known else None
            last = contest.looks_until
            result = by_looks(values, higher_is_better=higher, last=last, prior=prior)
        else:
            slack = {name: contest.slack[name] for name in values} if contest.slack else None
            result = order(values, higher_is_better=higher, slack=slack)
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
        prior=known if result and contest.looks_until else None,
    )


def _prior(contest: Contest, *, simulated: bool) -> comparison.Prior | None:
    """Return what earlier launches of the same sort say, where they were enough to say it."""
    for prior in contest.priors:
        if prior.simulated is simulated and prior.variance is not None:
            return comparison.Prior(
                launches=prior.launches,
                studies=prior.studies,
                variance=prior.variance,
                df=prior.df,
            )
    return None


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
        _elsewhere(entrant, kept)
        or _unpaired(entrant, f"{len(entrant.by_round)} rounds, too few shared with the others")
        for entrant in entrants
        if entrant not in kept
    ]
    # who is left over because the others ran on other nodes is first of nothing
    alone = len(kept) == 1 and any(one.reason == "other_node" for one in out)
    if alone:
        kept, out = list(entrants), []
    elif shared:
        return kept, out
    words = "no round is complete for all stacks"
    return [], [*out, *(_elsewhere(one, kept) or _unpaired(one, words) for one in kept)]


def linked(entrants: Sequence[Entrant]) -> tuple[list[Entrant], list[Entrant]]:
    """Split into the most that launches of one node hold together, and those on other nodes.

    Of a sequential study rounds may lack stacks. But where rounds were split over nodes, a stack
    that ran on none together with any of the others differs from them by the node as well.
    """
    if all(block < nodes.APART for entrant in entrants for block in entrant.by_round):
        return list(entrants), []
    groups: list[list[Entrant]] = []
    for entrant in entrants:
        near = [g for g in groups if any(e.by_round.keys() & entrant.by_round.keys() for e in g)]
        groups = [g for g in groups if g not in near] + [[entrant, *(e for g in near for e in g)]]
    most = max(groups, key=lambda group: (len(group), sum(len(e.by_round) for e in group)))
    alone = len(most) == 1 < len(entrants)  # nobody is with anybody: nothing to be first of
    kept = [] if alone else [entrant for entrant in entrants if entrant in most]
    words = "no round in which it ran on one node with another stack"
    beside = kept or entrants
    out = [_elsewhere(one, beside) or _unpaired(one, words) for one in entrants if one not in kept]
    return kept, out


def _elsewhere(entrant: Entrant, others: Sequence[Entrant]) -> Entrant | None:
    """Return an entrant out of the contest where only its node keeps it from the others."""
    values = [one.by_round for one in (entrant, *(o for o in others if o is not entrant))]
    rounds = nodes.rounds_shared(values)
    blocks = len(stats.complete_rounds({str(i): one for i, one in enumerate(values)}))
    if rounds <= blocks:
        return None
    words = f"of the {rounds} rounds shared with the others {blocks} ran on one node"
    return replace(entrant, reason="other_node", detail=words)


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
