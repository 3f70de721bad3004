"""The sections that rank: objectives, place by place."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inferometer.comparison import OBJECTIVES
from inferometer.language import tr, trs
from inferometer.numbers import number, with_interval
from inferometer.reasons import reason_words
from inferometer_reports import instruments
from inferometer_reports.blocks import Datum, Heading, Mono, Strong, Table, item, say
from inferometer_reports.escape import line
from inferometer_reports.verdicts import clause, span
from inferometer_reports.view import (
    ARCHITECTURE_WORDS,
    ARCHITECTURES,
    by_place,
    key_of,
    place_words,
    unit_name,
)

if TYPE_CHECKING:
    from inferometer.comparison import Architecture, RankEntry, Ranking, Unranked
    from inferometer_reports.blocks import Block
    from inferometer_reports.view import View


def about() -> Block:
    """Return how a table of a ranking is read."""
    return say(
        tr("Values and ratios carry a 95 % interval over n launches; a ratio is paired by round. "),
        Mono("=1"),
        tr(" is a shared place; the rank interval holds every place the data allow; "),
        Mono("?"),
        tr(
            " means that one launch each gives no order. Chance of best: the share of draws from "
            "the t posterior of the means in which a stack is first."
        ),
    )


def rankings(view: View) -> list[Block]:
    """Return every ranking: per architecture, one table per objective and load point."""
    blocks: list[Block] = [Heading(2, tr("Rankings")), about()]
    for architecture in ARCHITECTURES:
        blocks += of(view, architecture)
    return blocks


def of(view: View, architecture: Architecture) -> list[Block]:
    """Return the rankings of the models of one architecture."""
    blocks: list[Block] = []
    for objective in OBJECTIVES:
        for primary in (True, False):
            for ranking in view.rankings(objective, architecture, primary=primary):
                blocks += ranked(view, ranking)
    return blocks


def ranked(view: View, ranking: Ranking) -> list[Block]:
    """Return one ranking: verdict, what it rests on, table, and who is not in it."""
    title = view.metric_title(key_of(ranking.metric, ranking.meter))
    second = "" if ranking.primary else tr(", second meter")
    where = f"{view.apart(ranking)}{ranking.model}, {ranking.workload}, {ranking.load}"
    subject = f"{tr(ranking.objective).capitalize()}, {ARCHITECTURE_WORDS[ranking.architecture]}"
    profile = view.profile_words(ranking.profile)
    blocks: list[Block] = [
        Heading(3, f"{subject}{second}{profile}: {line(where)}"),
        say(Strong(tr("Verdict:")), f" {line(clause(view, ranking))}."),
    ]
    if ranking.follows_throughput:
        follows = line(tr(ranking.follows_throughput.rstrip(". ")))
        blocks.append(say(Strong(tr("Not independent:")), f" {follows}."))
    info = instruments.meter(view, ranking.meter)
    if info is not None:
        sentence = line(instruments.sentence(info).rstrip(". "))
        blocks.append(say(Strong(tr("Instrument:")), f" {sentence}."))
    if not ranking.entries:
        return [*blocks, *_unranked(view, ranking)]
    header = [tr("Place"), tr("Rank interval"), tr("Stack"), line(title), "n"]
    sizes = view.compressed(ranking)
    header += trs("Ratio to best", "Against best", "Chance of best", "Kind", "Precision")
    header += [*([tr("Weights")] if sizes else []), tr("Cell")]
    rows = [_rank_row(view, ranking, entry, sizes=sizes) for entry in by_place(ranking)]
    return [*blocks, Table(header, rows), *_unranked(view, ranking)]


def _rank_row(view: View, ranking: Ranking, entry: RankEntry, *, sizes: bool) -> list[str]:
    key = key_of(ranking.metric, ranking.meter)
    return [
        place_words(ranking, entry),
        span(entry.place_low, entry.place_high),
        line(view.label(entry.stack)),
        Datum(instruments.figure(view, entry.cell, key, entry.value), entry.value, _id(entry, key)),
        str(entry.value.n),
        Datum(with_interval(entry.ratio_to_best), entry.ratio_to_best, f"{_id(entry, key)}/best"),
        tr(entry.verdict),
        chance(entry.probability_best),
        tr(entry.value.kind),
        line(entry.precision) or tr("unknown"),
        *([compression(entry.compression)] if sizes else []),
        line(entry.cell) or tr("between load points"),
    ]


def _id(entry: RankEntry, key: str) -> str:
    """Return the id of a ranked value: where in ``report.json`` it stands."""
    return f"{entry.cell or entry.stack}#{key}"


def chance(share: float | None) -> str:
    """Return a probability as a percentage; none where one launch tells of no spread."""
    if share is None:
        return "n/a"
    return (
        "> 99 %" if share > 0.99 else "< 1 %" if share < 0.01 else f"{share:.0%}".replace("%", " %")
    )


def compression(times: float | None) -> str:
    """Return how much smaller the weights are than the largest of the same model."""
    if times is None:
        return tr("n/a (unknown)")
    return tr("largest") if times == 1 else tr("{times}x smaller", times=number(times))


def _unranked(view: View, ranking: Ranking) -> list[Block]:
    return [
        item(
            tr(
                "Not ranked: {stack}: {reason}",
                stack=line(view.label(one.stack)),
                reason=line(reason_words(one.reason)),
            )
            + (f" ({line(one.detail)})" if one.detail else "")
            + _measured(view, ranking, one)
        )
        for one in ranking.unranked
    ]


def _measured(view: View, ranking: Ranking, one: Unranked) -> str:
    """Return what a stack without a place did, so that it is shown."""
    if one.value is None:
        return ""
    info = view.metric(ranking.metric)
    unit = f" {unit_name(info.unit)}" if info else ""
    parts = [f"{with_interval(one.value)}{unit}"]
    if one.ratio_to_best is not None:
        parts.append(
            tr("{ratio_to_best} of the best ranked", ratio_to_best=with_interval(one.ratio_to_best))
        )
    parts += [line(one.precision)] if one.precision else []
    if view.compressed(ranking):
        parts.append(tr("weights {compression}", compression=compression(one.compression)))
    return tr("; measured: {parts}", parts=", ".join(parts))
