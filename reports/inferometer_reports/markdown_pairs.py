"""The section of ``report.md`` on verdicts: their level, every pair, how looks ended a study."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inferometer.numbers import number, with_interval
from inferometer_reports import words
from inferometer_reports.escape import block, markdown, table

if TYPE_CHECKING:
    from inferometer.comparison import Pair, Ranking, Stopped
    from inferometer_reports.view import View

MOST = 60
"""So many pairs are in the table."""


def section(view: View) -> list[str]:
    """Return what is said of every pair of stacks, how sure that is, and when it was decided."""
    contested = [ranking for ranking in view.comparison.rankings if ranking.pairs]
    if not contested:
        return []
    stopped = view.comparison.stopped
    lines = ["## Verdicts, pair by pair", "", _level(contested, looks=stopped is not None), ""]
    lines += _sequential(view, stopped) if stopped is not None else []
    own = [ranking for ranking in contested if not ranking.follows_throughput]
    pairs = [(ranking, pair) for ranking in own for pair in ranking.pairs]
    header = ["Ahead", "Behind", "Ranking", "Verdict", "Ratio"]
    header += ["Decided after round"] if stopped is not None else []
    rows = [_row(view, ranking, pair, stopped) for ranking, pair in pairs[:MOST]]
    lines += table(header, rows) if rows else []
    if len(pairs) > MOST:
        lines += [f"{len(pairs) - MOST} more in `report.json`.", ""]
    if len(own) < len(contested):
        text = "Rankings that follow throughput by construction have its verdicts and are left out."
        lines += [text, ""]
    return lines


def _level(contested: list[Ranking], *, looks: bool) -> str:
    """Say what the 95 % are of, and what they are not of."""
    count = words.plural(len(contested), "ranking")
    more = " and all its looks" if looks else ""
    return (
        "The level of 95 % is that of one ranking (one objective by one meter, one model, "
        f"workload and operating point): all its pairs{more} at once. It is not that of the whole "
        f"report, which has {count} of two stacks or more: were all stacks alike, up to one "
        "ranking in 20 would still name a difference. Read a lead that shows in one ranking of "
        "many as such."
    )


def _row(view: View, ranking: Ranking, pair: Pair, stopped: Stopped | None) -> list[str]:
    place = f"{ranking.objective}{view.profile_words(ranking.profile)}"
    place += f", {ranking.meter}" if ranking.meter else ""
    row = [
        markdown(view.label(pair.stack)),
        markdown(view.label(pair.other)),
        markdown(f"{place}: {ranking.model}, {ranking.workload}, {ranking.load}"),
        pair.verdict,
        with_interval(pair.ratio),
    ]
    after = "not decided" if pair.rounds is None else str(pair.rounds)
    return [*row, after] if stopped is not None else row


def _sequential(view: View, stopped: Stopped) -> list[str]:
    """Return how a sequential study went: its end, what was left out, what is open, its priors."""
    end = words.ended(stopped)
    said = [f"{end[:1].upper()}{end[1:]}."] if stopped.reason else ["It goes on."]
    said += [
        f"{view.label(stack)} was launched no more after round {rounds}."
        for stack, rounds in stopped.ended.items()
        if rounds < stopped.rounds
    ]
    said += [
        f"{view.label(one.stack)} was decided at {one.model}, {one.workload}, {one.load} after "
        f"round {one.rounds} and measured there no more."
        for one in stopped.dropped
    ]
    said += [f"Undecided: {text}." for text in stopped.undecided]
    said += _priors(view, stopped)
    return [*(f"- {block(text)}" for text in said), ""]


def _priors(view: View, stopped: Stopped) -> list[str]:
    """Return what earlier launches the verdicts began with, and where there were too few."""
    if not stopped.earlier:
        return []
    # Earlier launches are of load points; where curves are read between them there is no prior.
    points = [ranking for ranking in view.comparison.rankings if ranking.at == "load"]
    contested = [ranking for ranking in points if ranking.pairs]
    groups: dict[tuple[int, int], list[float]] = {}
    for ranking in contested:
        if ranking.prior is not None:
            key = (ranking.prior.launches, ranking.prior.studies)
            groups.setdefault(key, []).append(ranking.prior.variance)
    said = []
    for (launches, studies), found in groups.items():
        low, high = (number(share**0.5 * 100) for share in (min(found), max(found)))
        sd = low if low == high else f"{low} to {high}"
        said.append(
            f"Prior from {launches} launches in {words.studies(studies)}: "
            f"one launch's standard deviation {sd} %, in {words.plural(len(found), 'ranking')}."
        )
    without = sum(ranking.prior is None for ranking in contested)
    if without:
        said.append(
            f"No prior, for want of ten earlier launches, in {words.plural(without, 'ranking')}."
        )
    return said
