"""The section on verdicts: their level, every pair, how looks ended a study."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inferometer.language import tr, trs
from inferometer.numbers import number, with_interval
from inferometer_reports import stopping, words
from inferometer_reports.blocks import Heading, Mono, item, say, tabled
from inferometer_reports.escape import line

if TYPE_CHECKING:
    from inferometer.comparison import Pair, Ranking, Stopped
    from inferometer_reports.blocks import Block
    from inferometer_reports.view import View

MOST = 60
"""So many pairs are in the table."""


def section(view: View) -> list[Block]:
    """Return what is said of every pair of stacks, how sure that is, and when it was decided."""
    contested = [ranking for ranking in view.comparison.rankings if ranking.pairs]
    if not contested:
        return []
    stopped = view.comparison.stopped
    blocks: list[Block] = [
        Heading(2, tr("Verdicts, pair by pair")),
        say(_level(contested, looks=stopped is not None)),
    ]
    blocks += _sequential(view, stopped) if stopped is not None else []
    own = [ranking for ranking in contested if not ranking.follows_throughput]
    pairs = [(ranking, pair) for ranking in own for pair in ranking.pairs]
    header = trs("Ahead", "Behind", "Ranking", "Verdict", "Ratio")
    header += [tr("Decided after round")] if stopped is not None else []
    rows = [_row(view, ranking, pair, stopped) for ranking, pair in pairs[:MOST]]
    blocks += tabled(header, rows)
    if len(pairs) > MOST:
        blocks.append(
            say(tr("{number} more in ", number=len(pairs) - MOST), Mono("report.json"), ".")
        )
    if len(own) < len(contested):
        text = tr(
            "Rankings that follow throughput by construction have its verdicts and are left out."
        )
        blocks.append(say(text))
    return blocks


def _level(contested: list[Ranking], *, looks: bool) -> str:
    """Say what the 95 % are of, and what they are not of."""
    count = words.plural(len(contested), "ranking")
    more = tr(" and all its looks") if looks else ""
    return tr(
        "The level of 95 % is that of one ranking (one objective by one meter, one model, "
        "workload and operating point): all its pairs{more} at once. It is not that of the whole "
        "report, which has {count} of two stacks or more: were all stacks alike, up to one "
        "ranking in 20 would still name a difference. Read a lead that shows in one ranking of "
        "many as such.",
        more=more,
        count=count,
    )


def _row(view: View, ranking: Ranking, pair: Pair, stopped: Stopped | None) -> list[str]:
    place = f"{tr(ranking.objective)}{view.profile_words(ranking.profile)}"
    place += f", {ranking.meter}" if ranking.meter else ""
    row = [
        line(view.label(pair.stack)),
        line(view.label(pair.other)),
        line(f"{place}: {ranking.model}, {ranking.workload}, {ranking.load}"),
        tr(pair.verdict),
        with_interval(pair.ratio),
    ]
    after = tr("not decided") if pair.rounds is None else str(pair.rounds)
    return [*row, after] if stopped is not None else row


def _sequential(view: View, stopped: Stopped) -> list[Block]:
    """Return how a sequential study went: its end, what was left out, what is open, its priors."""
    said = [
        tr("Stopped {ended}.", ended=stopping.ended(stopped))
        if stopped.reason
        else tr("It goes on.")
    ]
    said += [
        tr(
            "{stack} was launched no more after round {rounds}.",
            stack=view.label(stack),
            rounds=rounds,
        )
        for stack, rounds in stopped.ended.items()
        if rounds < stopped.rounds
    ]
    said += [
        tr(
            "{stack} was decided at {model}, {workload}, {load} after round {rounds} and "
            "measured there no more.",
            stack=view.label(one.stack),
            model=one.model,
            workload=one.workload,
            load=one.load,
            rounds=one.rounds,
        )
        for one in stopped.dropped
    ]
    said += [tr("Undecided: {text}.", text=text) for text in stopped.undecided]
    said += _priors(view, stopped)
    return [item(line(text)) for text in said]


def _priors(view: View, stopped: Stopped) -> list[str]:
    """Return what earlier launches the verdicts began with, and where there were too few."""
    if not stopped.earlier:
        return []
    contested = [one for one in view.comparison.rankings if one.pairs and one.at == "load"]
    groups: dict[tuple[int, int], list[float]] = {}
    for ranking in contested:
        if ranking.prior is not None:
            key = (ranking.prior.launches, ranking.prior.studies)
            groups.setdefault(key, []).append(ranking.prior.variance)
    said = []
    for (launches, studies), found in groups.items():
        low, high = (number(share**0.5 * 100) for share in (min(found), max(found)))
        sd = low if low == high else tr("{low} to {high}", low=low, high=high)
        said.append(
            tr(
                "Prior from {launches} launches in {studies}: one launch's standard deviation "
                "{sd} %, in {number}.",
                launches=launches,
                studies=stopping.studies(studies),
                sd=sd,
                number=words.plural(len(found), "ranking"),
            )
        )
    without = sum(ranking.prior is None for ranking in contested)
    if without:
        said.append(
            tr(
                "No prior, for want of ten earlier launches, in {without}.",
                without=words.plural(without, "ranking"),
            )
        )
    return said
