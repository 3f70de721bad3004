"""Every metric of every cell on both sides: ratio of geometric means, interval, verdict."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal, NamedTuple

from inferometer import stats
from inferometer.baseline.apart import blocking
from inferometer.baseline.sides import Told
from inferometer.cells import shown, value_of
from inferometer.comparison import Value, worst_kind
from inferometer.comparison.versus import Line
from inferometer.contests import KEPT_UP
from inferometer.metrics.catalogue import BY_ID, METRICS, PHASES, THROUGHPUT
from inferometer.metrics.money import COST
from inferometer.reasons import listing
from inferometer.uncertainty import decisions, welch

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from inferometer.baseline.apart import Pairs
    from inferometer.baseline.sides import Body, Place
    from inferometer.comparison.versus import Different
    from inferometer.metrics.declaration import Metric
    from inferometer.uncertainty.welch import Difference

COMPARED = tuple(metric for metric in METRICS if metric.positive)
"""A metric of which 0 is an ordinary value has no ratio."""
OFFERED = {metric.id for metric in (*THROUGHPUT, *PHASES, *COST)}
"""What hangs on how much was offered, in an open loop."""
Verdict = Literal["better", "worse", "tie", "undecided", "not_judged"]


class Two(NamedTuple):
    """Both sides of a comparison, with what differs between them."""

    baseline: Body
    current: Body
    pairs: Pairs
    differences: Sequence[Different]
    paired: bool = False
    """Both are of one directory: launches are paired by round."""
    named: bool = False
    """Somebody said which stacks to compare."""


def lines(two: Two) -> list[Line]:
    """Return a line for each metric of each cell that either side planned."""
    return [
        _line(two, metric, meter, stack, place)
        for stack in two.pairs
        for place in _places(two, stack)
        for metric, meter in _columns(two)
    ]


def _columns(two: Two) -> Iterator[tuple[Metric, str | None]]:
    """Yield each metric, those of energy with each meter of either side, or with none at all."""
    meters = dict.fromkeys([*two.baseline.evidence.meters, *two.current.evidence.meters])
    for metric in COMPARED:
        if metric.grain != "meter":
            yield metric, None
        else:
            yield from ((metric, meter) for meter in meters or (None,))


def _places(two: Two, stack: str) -> list[Place]:
    both = ((two.baseline, two.pairs[stack]), (two.current, stack))
    found = [place for body, own in both for place in body.places if body.has(own, place)]
    return list(dict.fromkeys(found))


def _line(two: Two, metric: Metric, meter: str | None, stack: str, place: Place) -> Line:
    before = _told(two.baseline, two.pairs[stack], place, metric, meter)
    now = _told(two.current, stack, place, metric, meter)
    found = _difference(before, now, paired=two.paired)
    said = (
        _missing(two, before, now)
        if found is None
        else _apart(two, metric)
        or _open_loop(two, metric, meter, stack, place)
        or _said(metric, found)
    )
    sides = [
        shown(body.evidence, {"": value_of(metric, told.values, (told.reason, told.detail))})[""]
        for body, told in ((two.baseline, before), (two.current, now))
    ]
    return Line(
        metric=metric.id,
        meter=meter,
        model=place.model,
        workload=place.workload,
        load=place.load,
        stack=stack,
        baseline_stack=two.pairs[stack],
        baseline=sides[0],
        current=sides[1],
        ratio=_ratio(found, sides, said),
        verdict=said.verdict,
        reason=said.reason,
        detail=said.detail,
        detectable_percent=None if found is None else percent_worse(metric, found.detectable()),
        error=found.error if found else None,
        df=found.df if found else None,
    )


def _told(body: Body, stack: str, place: Place, metric: Metric, meter: str | None) -> Told:
    if metric.grain == "meter" and meter is None and body.has(stack, place):
        return Told(None, *body.no_meter)
    return body.told(stack, place, metric.id, meter)


def _difference(before: Told, now: Told, *, paired: bool) -> Difference | None:
    if before.values is None or now.values is None:
        return None
    one, other = before.values.by_round, now.values.by_round
    if not paired:
        return welch.independent(list(one.values()), list(other.values()))
    rounds = sorted(one.keys() & other.keys())
    return welch.paired([one[r] for r in rounds], [other[r] for r in rounds]) if rounds else None


class _Said(NamedTuple):
    """A verdict, or the reason why there is none."""

    verdict: Verdict
    reason: str | None = None
    detail: str = ""


def _missing(two: Two, before: Told, now: Told) -> _Said:
    for body, told in ((two.baseline, before), (two.current, now)):
        if told.values is None:
            return _Said("not_judged", told.reason, f"{body.head.name}: {told.detail}")
    return _Said("not_judged", "too_few_samples", "no round has a number on both sides")


def _apart(two: Two, metric: Metric) -> _Said | None:
    apart = blocking(two.differences, metric.id)
    if not apart:
        return None
    return _Said("not_judged", "not_comparable", f"{listing(one.what for one in apart)} differ")


def _open_loop(
    two: Two, metric: Metric, meter: str | None, stack: str, place: Place
) -> _Said | None:
    """Return why an open loop tells nothing of a metric, where it does not."""
    points = [body.points.get(place[1:]) for body in (two.baseline, two.current)]
    if all(point is None or point.load.closed for point in points):
        return None
    behind = _behind(two, stack, place)
    if behind and metric.grain == "meter":
        return _Said("not_judged", "fell_behind", behind)
    if _offered(two, metric, meter) and not behind:
        return _Said("not_judged", "offered")
    return None


def _said(metric: Metric, found: Difference) -> _Said:
    half = found.half_width
    if half is None:
        detail = "one launch alone does not say how launches scatter"
        return _Said("not_judged", "too_few_samples", detail)
    word = decisions.verdict(found.value, half)
    if word != "better":
        return _Said(word)
    return _Said("better" if (found.value > 0) == (metric.direction == "higher") else "worse")


def _behind(two: Two, stack: str, place: Place) -> str:
    """Say which side delivered too little of what an open loop offered; empty: neither.

    Then tokens per second are not what was offered, and joules are for other work.
    """
    sides = ((two.baseline, two.pairs[stack]), (two.current, stack))
    told = [_told(body, own, place, BY_ID["output_tok_s"], None).values for body, own in sides]
    means = [stats.estimate([*one.by_round.values()]).value for one in told if one is not None]
    if len(means) < len(sides) or min(means) >= KEPT_UP * max(means):
        return ""
    body, own = sides[means.index(min(means))]
    share = min(means) / max(means)
    return f"{own} of {body.head.name} delivered {share:.0%} of the tokens of the other side"


def _offered(two: Two, metric: Metric, meter: str | None) -> bool:
    """Say whether a metric only repeats what an open loop offered, where all keep up."""
    infos = [body.evidence.meters.get(meter or "") for body in (two.baseline, two.current)]
    constant = any(info is not None and info.follows_throughput for info in infos)
    return metric.id in OFFERED or (metric.grain == "meter" and constant)


def _ratio(found: Difference | None, sides: Sequence[Value], said: _Said) -> Value:
    kind = worst_kind(side.kind for side in sides)
    if found is None:
        return Value(value=None, unit="ratio", kind=kind, reason=said.reason, detail=said.detail)
    half = found.half_width
    return Value(
        value=math.exp(found.value),
        unit="ratio",
        kind=kind,
        n=found.n,
        low=None if half is None else math.exp(found.value - half),
        high=None if half is None else math.exp(found.value + half),
    )


def percent_worse(metric: Metric, change: float | None) -> float | None:
    """Return a change for the worse (log units) in per cent of the baseline's value."""
    if change is None:
        return None
    return 100 * (-math.expm1(-change) if metric.direction == "higher" else math.expm1(change))
