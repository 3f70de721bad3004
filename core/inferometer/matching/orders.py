"""Whether two stacks change places between a dense and a MoE model, and who gains more."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, NamedTuple

from msgspec.structs import replace

from inferometer.comparison import Interaction, OrderChange
from inferometer.matching.gains import absent, interaction, quotient
from inferometer.matching.sides import side

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from inferometer.comparison import Pair, Ranking, Value
    from inferometer.comparison.architectures import Side
    from inferometer.matching.cases import Case, Reason
    from inferometer.matching.points import Reading

    Both = tuple[Case, Reading, Case, Reading]


class _Said(NamedTuple):
    """``stack`` over ``other`` on one model, and whose side it takes (``moe``: of ``stack``)."""

    ratio: Value
    side: Side | None


def interactions(cases: Sequence[Case]) -> list[Interaction]:
    """Return who gains more from MoE, for every two stacks, wherever both were read.

    Stacks of which one may not be ranked on a model serve another function there, so that the
    gains are of different work.
    """
    return [
        Interaction(
            stack=one.stack,
            other=other.stack,
            dense=one.dense.name,
            moe=one.moe.name,
            metric=one.asked.metric,
            meter=one.asked.meter,
            workload=one.workload,
            load=here.load,
            at=here.at,
            ratio=ratio,
            gains_more={"moe": one.stack, "dense": other.stack}.get(
                side(ratio, higher_is_better=one.asked.higher_is_better) or "", ""
            ),
        )
        for one, here, other, there in _pairs(cases)
        for wrong in [_refused(one, other, one.dense.name, one.moe.name)]
        for ratio in [
            absent(here.kind, *wrong) if wrong else interaction(here, there),
        ]
    ]


def order_changes(cases: Sequence[Case], rankings: Sequence[Ranking]) -> list[OrderChange]:
    """Return the order of every two stacks on dense and on MoE, and whether it turns round.

    Where a ranking has the pair, its verdict is this one's too; elsewhere (each at its best) the
    pair has an interval of its own.
    """
    return [
        OrderChange(
            stack=one.stack,
            other=other.stack,
            dense=one.dense.name,
            moe=one.moe.name,
            metric=one.asked.metric,
            meter=one.asked.meter,
            workload=one.workload,
            load=here.load,
            at=here.at,
            dense_ratio=dense.ratio,
            moe_ratio=moe.ratio,
            changed=_changed(dense.side, moe.side),
        )
        for one, here, other, there in _pairs(cases)
        for dense, moe in [
            [_order((one, here, other, there), rankings, moe=which) for which in (False, True)]
        ]
    ]


def _pairs(cases: Sequence[Case]) -> Iterator[Both]:
    """Yield two stacks' cases of one question with their readings of one operating point.

    Never of two profiles, and never a simulated stack with a real one. Where neither has a ratio,
    the ratios themselves say why.
    """
    for one, other in combinations(cases, 2):
        if one.question != other.question or one.profile != other.profile:
            continue
        if {one.simulated, other.simulated} >= {True, False}:
            continue
        places = {(reading.at, reading.load): reading for reading in other.readings}
        for here in one.readings:
            there = places.get((here.at, here.load))
            if there is not None and not (here.reason and there.reason):
                yield one, here, other, there


def _changed(dense: Side | None, moe: Side | None) -> bool | None:
    if dense is None or moe is None or "undecided" in {dense, moe}:
        return None
    if dense == moe:
        return False
    return None if "tie" in {dense, moe} else True


def _order(both: Both, rankings: Sequence[Ranking], *, moe: bool) -> _Said:
    one, here, other, there = both
    model = one.moe if moe else one.dense
    for ranking in rankings:
        if (
            ranking.at == here.at
            and (ranking.metric, ranking.meter) == (one.asked.metric, one.asked.meter)
            and (ranking.model, ranking.workload) == (model.name, one.workload)
            and ranking.profile == one.profile
            and _same_place(ranking, here)
            and (said := _ranked(ranking, one.stack, other.stack)) is not None
        ):
            return said
    for reading in (here, there):
        if reading.reason is not None:
            return _Said(absent(reading.kind, reading.reason, reading.detail), None)
    if (wrong := _refused(one, other, model.name)) is not None:
        return _Said(absent(here.kind, *wrong), None)
    index = 1 if moe else 0
    mine, theirs = (here.moe, there.moe) if moe else (here.dense, there.dense)
    slack = here.slacks[index] + there.slacks[index]
    ratio = quotient(mine, theirs, here.kind, slack=slack)
    return _Said(ratio, side(ratio, higher_is_better=one.asked.higher_is_better))


def _refused(one: Case, other: Case, *models: str) -> Reason | None:
    """Return why a stack may not be set beside others on one of the models, as in rankings."""
    for case in (one, other):
        for name in models:
            if (refusal := case.refused.get(name)) is not None:
                return refusal.reason, f"{case.stack} on {name}: {refusal.detail}"
    return None


def _same_place(ranking: Ranking, here: Reading) -> bool:
    if here.at == "interactivity":
        return ranking.interactivity is not None and ranking.interactivity == here.interactivity
    return ranking.load == here.load


def _ranked(ranking: Ranking, stack: str, other: str) -> _Said | None:
    """Return what a ranking says of two stacks; None where it says nothing of either."""
    for unranked in ranking.unranked:
        if unranked.stack in {stack, other}:
            words = f"{unranked.stack}: {unranked.detail}"
            return _Said(absent(ranking.kind, unranked.reason, words), None)
    for pair in ranking.pairs:
        if {pair.stack, pair.other} == {stack, other}:
            ahead = pair.stack == stack
            if pair.verdict == "better":
                return _Said(_turned(pair, ahead=ahead), "moe" if ahead else "dense")
            return _Said(_turned(pair, ahead=ahead), pair.verdict)
    return None


def _turned(pair: Pair, *, ahead: bool) -> Value:
    """Return the pair's ratio with the wanted stack above."""
    ratio = pair.ratio
    if ahead or not ratio.value:
        return ratio
    return replace(
        ratio,
        value=1 / ratio.value,
        low=1 / ratio.high if ratio.high else None,
        high=1 / ratio.low if ratio.low else None,
    )
