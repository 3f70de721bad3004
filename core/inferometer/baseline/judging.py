"""The gate: which lines are worse than their margins allow, and whether that is confirmed.

A line fails only where its 95 % interval lies wholly beyond the margin, in the launches at hand and
in the confirming ones. What cannot be told is never a pass.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal, NamedTuple

from inferometer.baseline import margins
from inferometer.baseline.apart import bears
from inferometer.baseline.lines import percent_worse
from inferometer.baseline.sides import Place
from inferometer.comparison.versus import Gate, Judged
from inferometer.contests import primary_meter
from inferometer.errors import closest
from inferometer.metrics.catalogue import BY_ID, METRICS
from inferometer.reasons import reason_words
from inferometer.uncertainty import welch

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from inferometer.baseline.lines import Two
    from inferometer.baseline.margins import Rules
    from inferometer.comparison.versus import Different, Line, Side

Shown = Literal["better", "no_worse", "undecided", "worse", "not_told"]


class Wanted(NamedTuple):
    """One metric that is gated."""

    metric: str
    meter: str | None
    margin: float
    asked: bool
    """By somebody, and not by us."""


class Confirming(NamedTuple):
    """Launches of the current side that were measured again."""

    side: Side
    lines: Sequence[Line]
    strays: Sequence[Different]
    """In what they differ from the first: then they confirm nothing."""


def judge(two: Two, lines: Sequence[Line], rules: Rules, confirming: Confirming | None) -> Gate:
    """Judge every line that ``rules`` name."""
    wanted, refusals, left_out = _wanted(two, rules)
    refusals = [*_apart(two.differences, wanted), *_absent(two), *_lost(two), *refusals]
    if confirming is not None:
        refusals += [_strayed(one) for one in confirming.strays]
    judged: list[Judged] = []
    for one in wanted:
        own = [line for line in lines if (line.metric, line.meter) == (one.metric, one.meter)]
        found, beside = _of_metric(two, own, one, confirming)
        judged += found
        left_out += beside
        if not found and (one.asked or not own):
            refusals.append(f"{name(one.metric, one.meter)}: nothing was judged")
    refusals += [_untold(one) for one in judged if one.line.reason not in {None, "not_comparable"}]
    refusals += [_blunt(one, rules.detect) for one in judged if _is_blunt(one, rules.detect)]
    refusals += [
        _unheard(one, confirming)
        for one in judged
        if one.verdict == "not_told" and not one.line.reason
    ]
    return Gate(
        verdict=_verdict(judged, refusals),
        margins={name(one.metric, one.meter): one.margin for one in wanted},
        lines=judged,
        refusals=list(dict.fromkeys(refusals)),
        left_out=list(dict.fromkeys(left_out)),
        confirming=confirming.side if confirming else None,
    )


def name(metric: str, meter: str | None) -> str:
    """Return ``metric`` or ``metric@meter``, as a file of rules has it."""
    return f"{metric}@{meter}" if meter else metric


def place(line: Line) -> str:
    """Return where a line stands, in words."""
    return f"{line.stack}, {line.model}, {line.workload}, {line.load}"


def shown(line: Line, margin: float) -> Shown:
    """Say what a line's interval shows, against a margin in per cent."""
    low, high = line.ratio.low, line.ratio.high
    if line.reason is not None or low is None or high is None:
        return "not_told"
    if BY_ID[line.metric].direction == "lower":
        low, high = 1 / high, 1 / low
        bound = 1 / (1 + margin / 100)
    else:
        bound = 1 - margin / 100
    if high < bound:
        return "worse"
    if low < bound:
        return "undecided"
    return "better" if low > 1 else "no_worse"


def detectable(line: Line, margin: float) -> float | None:
    """Return the least change for the worse (per cent) found beyond a margin four times in five."""
    if line.reason is not None or line.error is None or line.df is None:
        return None
    metric = BY_ID[line.metric]
    beyond = (
        -math.log1p(-margin / 100) if metric.direction == "higher" else math.log1p(margin / 100)
    )
    seen = welch.Difference(value=0.0, n=line.ratio.n, error=line.error, df=line.df)
    return percent_worse(metric, seen.detectable(beyond))


def _wanted(two: Two, rules: Rules) -> tuple[list[Wanted], list[str], list[str]]:
    """Return what is gated, why something that was asked for cannot be, and what nobody asked."""
    found: list[Wanted] = []
    refusals: list[str] = []
    left_out: list[str] = []
    for key, margin in (rules.margins or margins.USUAL).items():
        metric, _, meter = key.partition("@")
        asked = bool(rules.margins)
        if metric not in BY_ID:
            refusals.append(_unknown(metric))
        elif not BY_ID[metric].positive:
            refusals.append(f"{metric} has no ratio: 0 is an ordinary value of it")
        elif meter and BY_ID[metric].grain != "meter":
            refusals.append(f"{key}: no meter tells {metric}")
        elif BY_ID[metric].grain == "meter":
            meters = two.baseline.evidence.meters
            chosen = meter or primary_meter(meters)
            nobody = not (two.baseline.evidence.study.meters or two.current.evidence.study.meters)
            if chosen:
                found.append(Wanted(metric, chosen, margin, asked))
            elif nobody and not asked:
                left_out.append(f"{metric}: neither study asked for a meter")
            else:
                reason, detail = two.baseline.no_meter
                side = two.baseline.head.name
                refusals.append(f"{metric}, {side}: {reason_words(reason)}: {detail}")
        else:
            found.append(Wanted(metric, None, margin, asked))
    first = {(one.metric, one.meter): one for one in reversed(found)}
    twice = [name(one.metric, one.meter) for one in found if one is not first[one[:2]]]
    refusals += [f"{key} is gated twice" for key in twice]
    return [one for one in found if one is first[one[:2]]], refusals, left_out


def _unknown(metric: str) -> str:
    near = closest(metric, [known.id for known in METRICS])
    return f"no metric named {metric!r}" + (f"; did you mean {near!r}?" if near else "")


def _of_metric(
    two: Two, lines: Sequence[Line], wanted: Wanted, confirming: Confirming | None
) -> tuple[list[Judged], list[str]]:
    """Return a metric's lines, judged, and those that are none of the gate's, in words."""
    again = {_key(line): line for line in confirming.lines} if confirming else None
    judged, left_out = [], []
    for line in lines:
        if not two.baseline.has(line.baseline_stack, _place(line)):
            left_out.append(f"{place(line)}: not in the baseline")
        elif line.reason == "offered":
            words = reason_words(line.reason)
            left_out.append(f"{name(line.metric, line.meter)}, {place(line)}: {words}")
        else:
            judged.append(_judged(line, wanted.margin, again, strays=_strays(confirming)))
    return judged, left_out


def _judged(
    line: Line, margin: float, again: Mapping[tuple[object, ...], Line] | None, *, strays: bool
) -> Judged:
    seen = shown(line, margin)
    other = again.get(_key(line)) if again is not None else None
    verdict: Literal["failed", "unconfirmed", "not_confirmed", "passed", "not_told"] = "passed"
    if seen == "not_told":
        verdict = "not_told"
    elif seen == "worse" and again is None:
        verdict = "unconfirmed"
    elif seen == "worse":
        by: dict[str, Literal["failed", "not_confirmed", "not_told"]]
        by = {"worse": "failed", "not_told": "not_told"}
        verdict = "not_told"
        if other is not None and not strays and not _fewer(line, other, margin):
            verdict = by.get(shown(other, margin), "not_confirmed")
    return Judged(
        line=line,
        margin_percent=margin,
        verdict=verdict,
        shown=seen,
        confirming=other if seen == "worse" else None,
        detectable_percent=detectable(line, margin),
    )


def _fewer(line: Line, other: Line, margin: float) -> bool:
    """Say whether confirming launches leave it open, and are too few to refute the first."""
    return shown(other, margin) == "undecided" and other.ratio.n < line.ratio.n


def _verdict(
    judged: Sequence[Judged], refusals: Sequence[str]
) -> Literal["passed", "failed", "unconfirmed", "inconclusive"]:
    verdicts = {one.verdict for one in judged}
    if "failed" in verdicts:
        return "failed"
    if "unconfirmed" in verdicts:
        return "unconfirmed"
    untold = refusals or not judged or "not_told" in verdicts
    return "inconclusive" if untold else "passed"


def _apart(differences: Sequence[Different], wanted: Sequence[Wanted]) -> list[str]:
    return [
        f"{_differs(one)}"
        + ("" if one.topic == "kind" else f"; --allow {one.topic} judges all the same")
        for one in differences
        if not one.allowed and any(bears(one.bears_on, each.metric) for each in wanted)
    ]


def _differs(one: Different) -> str:
    words = f": {one.baseline} in the baseline, {one.current} now" if one.baseline else ""
    return f"{one.what} differs{words}"


def _strayed(one: Different) -> str:
    words = f": {one.baseline} at first, {one.current} there" if one.baseline else ""
    return f"the confirming launches confirm nothing: {one.what} differs{words}"


def _strays(confirming: Confirming | None) -> bool:
    return confirming is not None and bool(confirming.strays)


def _absent(two: Two) -> list[str]:
    """Return the baseline's stacks that nothing is held against, unless some were named."""
    known = {stack for stack, _ in two.baseline.planned} - {*two.pairs.values()}
    if not two.pairs:
        words = " and ".join(
            f"{body.head.name} ({', '.join(sorted({stack for stack, _ in body.planned}))})"
            for body in (two.baseline, two.current)
        )
        return [f"no stack is in both {words}; --pair NEW=OLD compares two"]
    return [] if two.named else [f"{stack} of the baseline is not here" for stack in sorted(known)]


def _lost(two: Two) -> list[str]:
    """Return the stacks some of whose launches failed: the others are survivors."""
    return [
        f"launches of {stack} on {model} that failed in {two.current.head.name}: {count}; a pass "
        "would be of the others alone"
        for (stack, model), count in sorted(two.current.lost.items())
        if stack in two.pairs and two.current.launches(stack, model)
    ]


def _untold(one: Judged) -> str:
    line = one.line
    words = f"{name(line.metric, line.meter)}, {place(line)}: {reason_words(line.reason)}"
    return f"{words}: {line.detail}" if line.detail else words


def _is_blunt(one: Judged, detect: float | None) -> bool:
    return (
        detect is not None
        and one.shown == "undecided"
        and one.detectable_percent is not None
        and one.detectable_percent > detect
    )


def _blunt(one: Judged, detect: float | None) -> str:
    line = one.line
    return (
        f"{name(line.metric, line.meter)}, {place(line)}: a change of "
        f"{one.detectable_percent:.2g} % is the least that would have been seen, {detect:g} % was "
        "asked for: give more launches"
    )


def _unheard(one: Judged, confirming: Confirming | None) -> str:
    line, other = one.line, one.confirming
    if other is None:
        why = "it is not there"
    elif _strays(confirming):
        why = "the confirming launches are of something else"
    elif other.reason is not None:
        why = reason_words(other.reason)
    else:
        why = f"its {other.ratio.n} confirming launches leave it open, give {line.ratio.n}"
    return f"{name(line.metric, line.meter)}, {place(line)}: not confirmed or refuted: {why}"


def _place(line: Line) -> Place:
    return Place(line.model, line.workload, line.load)


def _key(line: Line) -> tuple[object, ...]:
    where = (line.stack, line.model, line.workload, line.load)
    return (line.metric, line.meter, *where)
