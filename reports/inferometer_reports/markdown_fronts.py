"""The sections of ``report.md`` on several criteria: equal interactivity, fronts, weights."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from inferometer.numbers import percent, with_interval
from inferometer.reasons import listing, reason_words
from inferometer_reports import equal, instruments, markdown_rankings
from inferometer_reports.escape import block, markdown, table
from inferometer_reports.view import ARCHITECTURE_WORDS, key_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from inferometer.comparison import Front, FrontPoint, LeftOut, Ranking, Weighing
    from inferometer_reports.view import View

EQUAL = (
    "At equal concurrency stacks are at different latencies. Here they are compared where a user "
    "is served equally fast (interactivity, 1 / mean TPOT): the closed load points of a launch are "
    "a curve, interpolated and never extrapolated. How far off that may be is in every interval "
    "and verdict; two load points leave most orders open. Cells that failed a check or the gate "
    "are in no curve."
)
FRONTS = (
    "Every valid closed load point of every stack. On the front are those that no other beats in "
    "one and equals or beats in the other. The chance is the share of draws of the launches' means "
    "in which that is so."
)
WEIGHTS = (
    "Asked for by `--weights`; it is no verdict, and no ranking goes by it. A stack's score is the "
    "weighted mean of the logarithms of its point estimates, whose intervals do not count here. "
    "Share: of all ways to weigh the criteria, spread evenly, those for which a stack is first."
)


def sections(view: View) -> list[str]:
    """Return all three; weights only where they were asked for."""
    return [*_equal(view), *_fronts(view), *_weights(view)]


def _equal(view: View) -> list[str]:
    lines = ["## At equal interactivity", ""]
    found = equal.rankings(view)
    if not found:
        return [*lines, f"Not compared: {markdown(equal.why_not(view))}.", ""]
    lines += [EQUAL, ""]
    for ranking in found:
        lines += markdown_rankings.ranked(view, ranking)
        lines += _slack(view, ranking)
    return lines


def _slack(view: View, ranking: Ranking) -> list[str]:
    """Return how far off each stack's interpolation may be."""
    words = listing(
        f"{view.label(stack)} to within {percent(math.expm1(slack) * 100)}"
        for stack, slack in ranking.slack.items()
    )
    return [f"Interpolated: {markdown(words)}.", ""] if words else []


def _fronts(view: View) -> list[str]:
    lines = ["## Pareto fronts", ""]
    fronts = view.comparison.fronts
    if not fronts:
        words = "a front needs two valid cells at closed load points of one model and workload"
        return [*lines, f"There is none: {words}.", ""]
    lines += [FRONTS, ""]
    for front in fronts:
        lines += _front(view, front)
    return lines


def _front(view: View, front: Front) -> list[str]:
    kind = "simulated, " if front.kind == "simulated" else ""
    second = "" if front.primary else ", second meter"
    subject = f"{front.objective.capitalize()} against interactivity{second}"
    title = f"{subject}, {kind}{ARCHITECTURE_WORDS[front.architecture]}"
    title += view.profile_words(front.profile)
    metric = view.metric_title(key_of(front.metric, front.meter))
    per = f", per {front.per}" if front.per else ""
    best = [point for point in front.points if point.on_front]
    header = ["Stack", "Load point", "Interactivity (tok/s/user)", markdown(f"{metric}{per}")]
    lines = [
        f"### {title}: {markdown(f'{front.model}, {front.workload}')}",
        "",
        f"**On the front:** {markdown(_named(view, best))}.{_sure(front)}",
        "",
        *_follows(front),
        *table(
            [*header, "n", "On the front", "Chance", "Kind"],
            [_row(view, front, point) for point in front.points],
        ),
    ]
    return [*lines, *_left_out(view, front.left_out)]


def _named(view: View, points: Sequence[FrontPoint]) -> str:
    """Return ``A at 2 streams and 8 streams, B at 8 streams``."""
    loads: dict[str, list[str]] = {}
    for point in points:
        loads.setdefault(point.stack, []).append(point.load)
    return "; ".join(f"{view.label(stack)} at {listing(found)}" for stack, found in loads.items())


def _sure(front: Front) -> str:
    """Return a sentence where no chance is known."""
    if any(point.probability is None for point in front.points):
        return " They share one round alone, so nothing says how sure this is."
    return ""


def _follows(front: Front) -> list[str]:
    words = front.follows_throughput
    return [f"**Not independent:** {markdown(words.rstrip('. '))}.", ""] if words else []


def _row(view: View, front: Front, point: FrontPoint) -> list[str]:
    return [
        markdown(view.label(point.stack)),
        markdown(point.load),
        with_interval(point.interactivity),
        instruments.figure(view, point.cell, key_of(front.metric, front.meter), point.value),
        str(point.value.n),
        "yes" if point.on_front else "no",
        markdown_rankings.chance(point.probability),
        point.value.kind,
    ]


def _left_out(view: View, items: Sequence[LeftOut]) -> list[str]:
    lines = [
        f"- Left out: {markdown(view.label(item.stack))}"
        + (f", {markdown(item.load)}" if item.load else "")
        + f": {markdown(reason_words(item.reason))}"
        + (f" ({markdown(item.detail)})" if item.detail else "")
        for item in items
    ]
    return [*lines, ""] if lines else []


def _weights(view: View) -> list[str]:
    found = view.comparison.weights
    if found is None:
        return []
    lines = ["## What weights would choose (no verdict)", "", WEIGHTS, ""]
    for one in found:
        lines += _weighing(view, one)
    return lines if found else [*lines, "There are none: no closed load point was measured.", ""]


def _weighing(view: View, one: Weighing) -> list[str]:
    kind = "simulated, " if one.kind == "simulated" else ""
    title = f"{kind}{ARCHITECTURE_WORDS[one.architecture]}{view.profile_words(one.profile)}"
    title = f"{title[:1].upper()}{title[1:]}"
    lines = [f"### {title}: {markdown(f'{one.model}, {one.workload}, {one.load}')}", ""]
    lines += [f"{block(_sentence(text))} It has no weight of its own." for text in one.follows]
    lines += [""] if one.follows else []
    if one.why_not:
        return [*lines, f"No map: {markdown(one.why_not)}.", "", *_left_out(view, one.left_out)]
    shares = sorted(one.first.items(), key=lambda item: -item[1])
    lines += table(
        ["Stack", f"Share of weights of {listing(one.criteria)}"],
        [[markdown(view.label(stack)), markdown_rankings.chance(share)] for stack, share in shares],
    )
    lines += _pairs(view, one) if len(one.criteria) == 2 else _triangle(view, one)
    return [*lines, *_left_out(view, one.left_out)]


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}".rstrip(". ") + "."


def _pairs(view: View, one: Weighing) -> list[str]:
    """Return the ranges of weights in which each stack is first."""
    runs: list[tuple[str, list[list[float]]]] = []
    for cell in sorted(one.cells, key=lambda cell: cell.weights):
        if not runs or runs[-1][0] != cell.stack:
            runs.append((cell.stack, []))
        runs[-1][1].append(cell.weights)
    rows = [
        [
            markdown(view.label(stack)),
            *(f"{weights[0][i]:.2f} to {weights[-1][i]:.2f}" for i in range(2)),
        ]
        for stack, weights in runs
    ]
    return table(["First", *(f"Weight of {name}" for name in one.criteria)], rows)


def _triangle(view: View, one: Weighing) -> list[str]:
    """Return who is first by the weights of two criteria; the third has the rest."""
    across, down, rest = (one.criteria[index] for index in (0, 1, 2))
    winners = {(round(it.weights[0], 2), round(it.weights[1], 2)): it.stack for it in one.cells}
    columns = sorted({column for column, _ in winners})
    lines = [
        f"First by the weights of {across} (across) and {down} (down); {rest} has the rest.",
        "",
    ]
    rows = [
        [
            f"{row:g}",
            *(
                markdown(view.label(winners[column, row])) if (column, row) in winners else "none"
                for column in columns
            ),
        ]
        for row in sorted({row for _, row in winners})
    ]
    return [*lines, *table([f"{down} / {across}", *(f"{it:g}" for it in columns)], rows)]
