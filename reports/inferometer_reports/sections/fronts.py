"""The sections on several criteria: equal interactivity, fronts, weights."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from inferometer.language import later, tr, trs
from inferometer.numbers import percent, shown, with_interval
from inferometer.reasons import listing, reason_words
from inferometer_reports import equal, instruments
from inferometer_reports.blocks import Datum, Heading, Mono, Strong, Table, item, say
from inferometer_reports.escape import line
from inferometer_reports.sections import rankings
from inferometer_reports.view import ARCHITECTURE_WORDS, key_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from inferometer.comparison import Front, FrontPoint, LeftOut, Ranking, Weighing
    from inferometer_reports.blocks import Block
    from inferometer_reports.view import View

EQUAL = later(
    "At equal concurrency stacks are at different latencies. Here they are compared where a user "
    "is served equally fast (interactivity, 1 / mean TPOT): the closed load points of a launch "
    "are a curve, interpolated and never extrapolated. How far off that may be is in every "
    "interval and verdict; two load points leave most orders open. Cells that failed a check or "
    "the gate are in no curve."
)
FRONTS = later(
    "Every valid closed load point of every stack. On the front are those that no other beats in "
    "one and equals or beats in the other. The chance is the share of draws of the launches' "
    "means in which that is so."
)


def sections(view: View) -> list[Block]:
    """Return all three; weights only where they were asked for."""
    return [*at_equal_interactivity(view), *fronts(view), *weights(view)]


def at_equal_interactivity(view: View) -> list[Block]:
    """Return the rankings where a user is served equally fast, or why there are none."""
    title = Heading(2, tr("At equal interactivity"))
    found = equal.rankings(view)
    if not found:
        return [title, say(tr("Not compared: {why_not}.", why_not=line(equal.why_not(view))))]
    blocks: list[Block] = [title, say(tr(EQUAL))]
    for ranking in found:
        blocks += rankings.ranked(view, ranking)
        blocks += _slack(view, ranking)
    return blocks


def _slack(view: View, ranking: Ranking) -> list[Block]:
    """Return how far off each stack's interpolation may be."""
    words = listing(
        tr(
            "{stack} to within {share}",
            stack=view.label(stack),
            share=percent(math.expm1(slack) * 100),
        )
        for stack, slack in ranking.slack.items()
    )
    return [say(tr("Interpolated: {words}.", words=line(words)))] if words else []


def fronts(view: View) -> list[Block]:
    """Return every front, with all its points."""
    title = Heading(2, tr("Pareto fronts"))
    found = view.comparison.fronts
    if not found:
        words = tr("a front needs two valid cells at closed load points of one model and workload")
        return [title, say(tr("There is none: {words}.", words=words))]
    blocks: list[Block] = [title, say(tr(FRONTS))]
    for front in found:
        blocks += _front(view, front)
    return blocks


def _front(view: View, front: Front) -> list[Block]:
    kind = tr("simulated, ") if front.kind == "simulated" else ""
    second = "" if front.primary else tr(", second meter")
    subject = tr(
        "{objective} against interactivity{second}",
        objective=tr(front.objective).capitalize(),
        second=second,
    )
    title = f"{subject}, {kind}{ARCHITECTURE_WORDS[front.architecture]}"
    title += view.profile_words(front.profile)
    metric = view.metric_title(key_of(front.metric, front.meter))
    per = tr(", per {per}", per=front.per) if front.per else ""
    best = [point for point in front.points if point.on_front]
    header = [
        tr("Stack"),
        tr("Load point"),
        tr("Interactivity (tok/s/user)"),
        line(f"{metric}{per}"),
    ]
    return [
        Heading(3, f"{title}: {line(f'{front.model}, {front.workload}')}"),
        say(Strong(tr("On the front:")), f" {line(_named(view, best))}.{_sure(front)}"),
        *_follows(front),
        Table(
            [*header, *trs("n", "On the front", "Chance", "Kind")],
            [_row(view, front, point) for point in front.points],
        ),
        *_left_out(view, front.left_out),
    ]


def _named(view: View, points: Sequence[FrontPoint]) -> str:
    """Return ``A at 2 streams and 8 streams, B at 8 streams``."""
    loads: dict[str, list[str]] = {}
    for point in points:
        loads.setdefault(point.stack, []).append(point.load)
    return "; ".join(
        tr("{stack} at {loads}", stack=view.label(stack), loads=listing(found))
        for stack, found in loads.items()
    )


def _sure(front: Front) -> str:
    """Return a sentence where no chance is known."""
    if any(point.probability is None for point in front.points):
        return tr(" They share one round alone, so nothing says how sure this is.")
    return ""


def _follows(front: Front) -> list[Block]:
    words = front.follows_throughput
    return (
        [say(Strong(tr("Not independent:")), f" {line(tr(words.rstrip('. ')))}.")] if words else []
    )


def _row(view: View, front: Front, point: FrontPoint) -> list[str]:
    key = key_of(front.metric, front.meter)
    id_ = f"{point.cell}#{key}"
    return [
        line(view.label(point.stack)),
        line(point.load),
        Datum(
            with_interval(point.interactivity),
            point.interactivity,
            f"{point.cell}#{equal.INTERACTIVITY}",
        ),
        Datum(instruments.figure(view, point.cell, key, point.value), point.value, id_),
        str(point.value.n),
        tr("yes") if point.on_front else tr("no"),
        rankings.chance(point.probability),
        tr(point.value.kind),
    ]


def _left_out(view: View, left_out: Sequence[LeftOut]) -> list[Block]:
    return [
        item(
            tr("Left out: {stack}", stack=line(view.label(one.stack)))
            + (f", {line(one.load)}" if one.load else "")
            + f": {line(reason_words(one.reason))}"
            + (f" ({line(one.detail)})" if one.detail else "")
        )
        for one in left_out
    ]


def weights(view: View) -> list[Block]:
    """Return what weights would choose; nothing where nobody asked."""
    found = view.comparison.weights
    if found is None:
        return []
    blocks: list[Block] = [
        Heading(2, tr("What weights would choose (no verdict)")),
        _weights(),
    ]
    for one in found:
        blocks += _weighing(view, one)
    none = say(tr("There are none: no closed load point was measured."))
    return blocks if found else [*blocks, none]


def _weighing(view: View, one: Weighing) -> list[Block]:
    kind = tr("simulated, ") if one.kind == "simulated" else ""
    title = f"{kind}{ARCHITECTURE_WORDS[one.architecture]}{view.profile_words(one.profile)}"
    title = f"{title[:1].upper()}{title[1:]}"
    blocks: list[Block] = [
        Heading(3, f"{title}: {line(f'{one.model}, {one.workload}, {one.load}')}")
    ]
    follows = [
        tr("{sentence} It has no weight of its own.", sentence=line(_sentence(text)))
        for text in one.follows
    ]
    blocks += [say(" ".join(follows))] if follows else []
    if one.why_not:
        return [
            *blocks,
            say(tr("No map: {why_not}.", why_not=line(one.why_not))),
            *_left_out(view, one.left_out),
        ]
    shares = sorted(one.first.items(), key=lambda pair: -pair[1])
    blocks.append(
        Table(
            [tr("Stack"), tr("Share of weights of {criteria}", criteria=listing(one.criteria))],
            [[line(view.label(stack)), rankings.chance(share)] for stack, share in shares],
        )
    )
    blocks += _pairs(view, one) if len(one.criteria) == 2 else _triangle(view, one)
    return [*blocks, *_left_out(view, one.left_out)]


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}".rstrip(". ") + "."


def _weights() -> Block:
    """Return what the section is, and is not."""
    return say(
        tr("Asked for by "),
        Mono("--weights"),
        tr(
            "; it is no verdict, and no ranking goes by it. A stack's score is the weighted mean "
            "of the logarithms of its point estimates, whose intervals do not count here. Share: "
            "of all ways to weigh the criteria, spread evenly, those for which a stack is first."
        ),
    )


def _pairs(view: View, one: Weighing) -> list[Block]:
    """Return the ranges of weights in which each stack is first."""
    runs: list[tuple[str, list[list[float]]]] = []
    for cell in sorted(one.cells, key=lambda cell: cell.weights):
        if not runs or runs[-1][0] != cell.stack:
            runs.append((cell.stack, []))
        runs[-1][1].append(cell.weights)
    rows = [
        [
            line(view.label(stack)),
            *(
                tr(
                    "{low} to {high}",
                    low=shown(weights[0][i], ".2f"),
                    high=shown(weights[-1][i], ".2f"),
                )
                for i in range(2)
            ),
        ]
        for stack, weights in runs
    ]
    return [
        Table([tr("First"), *(tr("Weight of {name}", name=name) for name in one.criteria)], rows)
    ]


def _triangle(view: View, one: Weighing) -> list[Block]:
    """Return who is first by the weights of two criteria; the third has the rest."""
    across, down, rest = (one.criteria[index] for index in (0, 1, 2))
    winners = {(round(it.weights[0], 2), round(it.weights[1], 2)): it.stack for it in one.cells}
    columns = sorted({column for column, _ in winners})
    about = tr(
        "First by the weights of {across} (across) and {down} (down); {rest} has the rest.",
        across=across,
        down=down,
        rest=rest,
    )
    rows = [
        [
            shown(row, "g"),
            *(
                line(view.label(winners[column, row])) if (column, row) in winners else tr("none")
                for column in columns
            ),
        ]
        for row in sorted({row for _, row in winners})
    ]
    return [say(about), Table([f"{down} / {across}", *(shown(it, "g") for it in columns)], rows)]
