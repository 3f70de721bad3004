"""The sentences on dense against mixture-of-experts: rules over the comparison, plain text."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from inferometer.comparison import OBJECTIVES
from inferometer.language import later, tr
from inferometer.numbers import times
from inferometer.reasons import listing, reason_words
from inferometer_reports.phrases import MOST, Statement
from inferometer_reports.view import ARCHITECTURES, key_of
from inferometer_reports.words import depends_on, opposite, span

if TYPE_CHECKING:
    from collections.abc import Sequence

    from inferometer.comparison import (
        Finding,
        Interaction,
        MatchDependence,
        ModelPair,
        MoeRatio,
        OrderChange,
    )
    from inferometer.comparison.architectures import OperatingPoint, Side
    from inferometer_reports.view import View

POINTS: dict[OperatingPoint, str] = {
    "load": later("equal load"),
    "interactivity": later("equal interactivity"),
    "best": later("each at its best"),
}
MATCHES = {
    "total_parameters": later("total parameters"),
    "active_parameters": later("active parameters"),
    "memory": later("memory"),
    "quality": later("quality"),
}
SIDES: dict[Side | None, str] = {
    "moe": later("MoE better"),
    "dense": later("dense better"),
    "tie": later("equal within the margin"),
    "undecided": later("undecided"),
    None: later("not judged"),
}


def subjects(view: View) -> list[tuple[str, str | None]]:
    """Return (metric, meter) of throughput, energy by the primary meter, and cost, where there.

    All that there are ratios of, where no ranking says which is primary.
    """
    there = dict.fromkeys((ratio.metric, ratio.meter) for ratio in view.comparison.moe_ratios)
    primary = dict.fromkeys(
        (ranking.metric, ranking.meter)
        for objective in OBJECTIVES
        for architecture in ARCHITECTURES
        for ranking in view.rankings(objective, architecture)
    )
    return [one for one in primary if one in there] or list(there)


def asked(view: View, one: MoeRatio | Interaction | OrderChange | MatchDependence) -> bool:
    """Say whether a row is of one of the :func:`subjects`; other meters stand in tables alone."""
    return (one.metric, one.meter) in subjects(view)


def where(one: MoeRatio | Interaction | OrderChange) -> str:
    """Return the name of a load point, or what another operating point is called."""
    if one.at == "best":
        return tr(one.load)
    speed = one.load.removeprefix("at ")
    if one.at == "load" or speed == one.load:
        return one.load
    return tr("at {load}", load=speed)


def of_pair(view: View, pair: ModelPair) -> list[MoeRatio]:
    """Return the ratios of one pair of models, of every metric and operating point."""
    return [
        ratio
        for ratio in view.comparison.moe_ratios
        if (ratio.dense, ratio.moe) == (pair.dense, pair.moe)
    ]


def conclusions(view: View) -> list[Statement]:
    """Return the conclusion for every pair of models, or why there is none."""
    found = view.comparison.architectures
    if found is None:
        return []
    if found.why_not:
        return [Statement(tr("Cannot answer:"), f"{found.why_not.rstrip('. ')}.")]
    return [_conclusion(view, pair) for pair in found.pairs] + flags(view)


def _conclusion(view: View, pair: ModelPair) -> Statement:
    lead = tr(
        "{moe} against {dense} ({matched}):", moe=pair.moe, dense=pair.dense, matched=matched(pair)
    )
    own = [one for one in of_pair(view, pair) if asked(view, one)]
    at = next((at for at in POINTS if any(_there(one, at) for one in own)), None)
    said = f"{pair.statement.rstrip('. ')}." if pair.statement else ""
    if at is None:
        reasons = listing(dict.fromkeys(reason_words(one.ratio.reason) for one in own))
        text = tr(
            "cannot answer: there is no ratio ({reasons}). {said}",
            reasons=reasons or tr("not run"),
            said=said,
        )
        return Statement(lead, text.strip())
    judged = [one for one in own if one.at == at]
    outcome, alike = _outcome(pair, judged)
    clauses = [
        f"{_noun(view, *subject)} {listing(stacks)}"
        for subject in subjects(view)
        if (stacks := _by_stack(view, judged, subject, verdicts=not alike))
    ]
    words = tr("each at its best") if at == "best" else tr("at {at}", at=tr(POINTS[at]))
    text = tr(
        "{words}, {outcome}. MoE over dense: {clauses}. {said}",
        words=words,
        outcome=outcome,
        clauses="; ".join(clauses),
        said=said,
    )
    return Statement(lead, text.strip())


def _outcome(pair: ModelPair, ratios: Sequence[MoeRatio]) -> tuple[str, bool]:
    """Return which of the two is better over all these ratios, and whether all of them say so."""
    sides = [one.better for one in ratios if one.better]
    sure = {side for side in sides if side in {"moe", "dense"}}
    if not sure:
        tie = bool(sides) and set(sides) == {"tie"}
        words = (
            tr("the two are equal within the margin")
            if tie
            else tr("it is undecided which is better")
        )
        return words, tie
    if len(sure) > 1:
        return tr("which is better differs between stacks, metrics or loads"), False
    winner = pair.moe if "moe" in sure else pair.dense
    decided = sum(side in sure for side in sides)
    if decided == len(sides):
        return tr("{winner} is better throughout", winner=winner), True
    words = tr(
        "{winner} is better in {decided} of {number} ratios, the others are no decision",
        winner=winner,
        decided=decided,
        number=len(sides),
    )
    return words, False


def _there(ratio: MoeRatio, at: str) -> bool:
    return ratio.at == at and ratio.ratio.value is not None


def matched(pair: ModelPair) -> str:
    """Return what is equal between the two, or that nothing is."""
    held = [tr(MATCHES[match.kind]) for match in pair.matches if match.holds]
    return tr("matched by {held}", held=listing(held)) if held else tr("no match holds")


def _noun(view: View, metric: str, meter: str | None) -> str:
    """Return a metric's title inside a sentence."""
    title = view.metric_title(key_of(metric, meter), unit=False)
    return f"{title[:1].lower()}{title[1:]}"


def _by_stack(
    view: View, ratios: Sequence[MoeRatio], subject: tuple[str, str | None], *, verdicts: bool
) -> list[str]:
    own = [one for one in ratios if (one.metric, one.meter) == subject]
    stacks = list(dict.fromkeys(one.stack for one in own))
    told = [
        spread(
            [one for one in own if one.stack == stack],
            tr(" on {label}", label=label),
            verdicts=verdicts,
        )
        for stack in stacks[:MOST]
        for label in [view.label(stack)]
    ]
    return told + [tr("{number} stacks more below", number=len(stacks) - MOST)] * (
        len(stacks) > MOST
    )


def spread(ratios: Sequence[MoeRatio], where: str = "", *, verdicts: bool = True) -> str:
    """Return one ratio with its verdict, or the range of several and how often which is better."""
    sides = [one.better for one in ratios if one.ratio.value is not None]
    if len(ratios) == 1:
        tail = f" ({tr(SIDES[sides[0]])})" if sides and verdicts else ""
        return f"{times(ratios[0].ratio)}{where}{tail}"
    tally = [
        tr("{words} at {number}", words=tr(words), number=sides.count(side))
        for side, words in SIDES.items()
        if verdicts and sides.count(side)
    ]
    absent = len(ratios) - len(sides)
    tally += [tr("no ratio at {absent}", absent=absent)] * (0 < absent < len(ratios))
    points = tr("load points") if {one.at for one in ratios} == {"load"} else tr("operating points")
    text = f"{span(ratios, points)}{where}"
    return f"{text} ({', '.join(tally)})" if tally else text


def flags(view: View) -> list[Statement]:
    """Return every answer that depends on what is matched, surely or by point values alone."""
    found = view.comparison.architectures
    flagged = [one for one in found.dependences if one.depends] if found else []
    flagged = [one for one in flagged if asked(view, one)]
    flagged.sort(key=lambda one: one.point_only)
    told = [_flag(view, one) for one in flagged[:MOST]]
    if len(flagged) > MOST:
        more = tr("{number} more in the table.", number=len(flagged) - MOST)
        told.append(Statement(tr("Depends:"), more))
    return told


def _flag(view: View, one: MatchDependence) -> Statement:
    sides = _points(view, one) if one.point_only else _sure(one)
    weak = tr(" (by point values alone: one launch each)") if one.point_only else ""
    where = tr(
        "{moe} on {stack}, {noun}",
        moe=one.moe,
        stack=view.label(one.stack),
        noun=_noun(view, one.metric, one.meter),
    )
    lead = tr("Depends on {depends_on}:", depends_on=depends_on(view, one))
    return Statement(lead, f"{where}, {one.workload}{weak}: {'; '.join(sides)}.")


def _sure(one: MatchDependence) -> list[str]:
    """Return a finding of either side, and how many more there are."""
    sides = []
    for side, words in (("moe", tr("MoE is better")), ("dense", tr("dense is better"))):
        own = [found for found in one.findings if found.better == side]
        more = tr(" and {number} more", number=len(own) - 1) if len(own) > 1 else ""
        sides += [f"{words} {finding(own[0])}{more}"] if own else []
    return sides


def _points(view: View, one: MatchDependence) -> list[str]:
    """Return the findings that are farthest apart: not of both is somebody surely better."""
    told = []
    for side, own in zip(("MoE", "dense"), opposite(view, one), strict=True):
        if not own:
            continue
        far = max(own, key=lambda found: abs(math.log(found.ratio.value or 1.0)))
        told.append(tr("{side} looks better {finding}", side=side, finding=finding(far)))
    return told


def finding(found: Finding) -> str:
    """Return what one match says: against whom, where, and by how much."""
    at = tr(POINTS[found.at])
    at = f"{at}, {found.load}" if found.load else at
    return tr(
        "against {dense}, matched by {match} ({at}): {ratio}",
        dense=found.dense,
        match=tr(MATCHES[found.match]),
        at=at,
        ratio=times(found.ratio),
    )


def dependence(view: View, one: MatchDependence) -> str:
    """Return whether an answer depends on the match, in words."""
    if one.depends is None:
        return tr("cannot be told: fewer than two findings have a side")
    words = (
        tr("depends on {depends_on}", depends_on=depends_on(view, one))
        if one.depends
        else tr("no two findings are opposite")
    )
    return tr("{words}, by point values alone", words=words) if one.point_only else words


def order(view: View) -> Statement | None:
    """Return whether the order of the stacks is another on the MoE than on the dense model."""
    found = view.comparison.architectures
    changes = [one for one in found.order_changes if asked(view, one)] if found else []
    if not changes:
        return None
    turned = [one for one in changes if one.changed]
    same = sum(one.changed is False for one in changes)
    absent = sum(None in {one.dense_ratio.value, one.moe_ratio.value} for one in changes)
    total = len(changes)
    rest = total - len(turned) - same - absent
    text = tr(
        "surely another in {number} of {total}, surely the same in {same}",
        number=len(turned),
        total=total,
        same=same,
    )
    text += tr(", undecided in {rest}", rest=rest) if rest else ""
    text += tr(", not both measured in {absent}", absent=absent) if absent else ""
    named = [_turned(view, one) for one in turned[:MOST]]
    tail = f": {'; '.join(named)}" if named else ""
    return Statement(tr("Order of stacks, MoE against dense:"), f"{text}{tail}.")


def winner(view: View) -> str:
    """Return whether the order of stacks changes, with the ratios of one pair that says so.

    Empty where no two stacks have a number on both models.
    """
    found = view.comparison.architectures
    told = [
        one
        for one in (found.order_changes if found else [])
        if asked(view, one) and None not in {one.dense_ratio.value, one.moe_ratio.value}
    ]
    if not told:
        return ""
    turned = [one for one in told if one.changed]
    same = [one for one in told if one.changed is False]
    text = later("No change of the order of stacks is sure; it surely stays in {same} of {total}.")
    if turned:
        text = later("The order of stacks surely changes in {turned} of {total} comparisons.")
    elif len(same) == len(told):
        text = later("The order of stacks surely stays in all {total} comparisons.")
    said = tr(text, turned=len(turned), same=len(same), total=len(told))
    example = _turned(view, (turned or told)[0])
    return tr("{said} {example}.", said=said, example=example)


def _turned(view: View, one: OrderChange) -> str:
    names = tr("{stack} over {other}", stack=view.label(one.stack), other=view.label(one.other))
    return tr(
        "{names} is {dense_ratio} on {dense} and {moe_ratio} on {moe} ({noun}, {load})",
        names=names,
        dense_ratio=times(one.dense_ratio),
        dense=one.dense,
        moe_ratio=times(one.moe_ratio),
        moe=one.moe,
        noun=_noun(view, one.metric, one.meter),
        load=one.load,
    )


def interactions(view: View) -> Statement | None:
    """Return which stack gains more from a MoE, in what, and how often surely."""
    found = view.comparison.architectures
    rows = [one for one in found.interactions if asked(view, one)] if found else []
    if not rows:
        return None
    lead = tr("Who gains more from a MoE:")
    groups: dict[tuple[str, ...], list[Interaction]] = {}
    for one in rows:
        if one.gains_more:
            key = (one.gains_more, one.stack, one.other, one.dense, one.moe, one.metric)
            groups.setdefault((*key, one.meter or ""), []).append(one)
    told = [_more(view, own) for own in groups.values()]
    more = [tr("{number} more in the table", number=len(told) - MOST)] if len(told) > MOST else []
    absent = sum(one.ratio.value is None for one in rows)
    rest = sum(not one.gains_more for one in rows) - absent
    more += [tr("undecided in {rest} of {number} comparisons", rest=rest, number=len(rows))] * bool(
        rest
    )
    more += [tr("no ratio in {absent} of {number}", absent=absent, number=len(rows))] * bool(absent)
    return Statement(lead, f"{'; '.join([*told[:MOST], *more])}.")


def _more(view: View, own: Sequence[Interaction]) -> str:
    one = own[0]
    where = (
        tr("at {load}", load=one.load)
        if len(own) == 1
        else tr("at {number} operating points", number=len(own))
    )
    return tr(
        "{gains_more}, in {noun} of {moe} over {dense} {where}: the gain of {stack} over that of "
        "{other} is {gain}",
        gains_more=view.label(one.gains_more),
        noun=_noun(view, one.metric, one.meter),
        moe=one.moe,
        dense=one.dense,
        where=where,
        stack=view.label(one.stack),
        other=view.label(one.other),
        gain=span(own, tr("operating points")),
    )
