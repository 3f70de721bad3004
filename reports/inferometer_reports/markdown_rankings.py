"""The sections of ``report.md`` that rank: objectives, place by place."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inferometer.comparison import OBJECTIVES
from inferometer.numbers import number, with_interval
from inferometer.reasons import reason_words
from inferometer_reports import instruments
from inferometer_reports.escape import markdown, table
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
    from inferometer.comparison import RankEntry, Ranking, Unranked
    from inferometer_reports.view import View


def rankings(view: View) -> list[str]:
    """Return every ranking: per architecture, one table per objective and load point."""
    lines = [
        "## Rankings",
        "",
        (
            "Values and ratios carry a 95 % interval over n launches; a ratio is paired by round. "
            "`=1` is a shared place; the rank interval holds every place the data allow; `?` "
            "means that one launch each gives no order. Chance of best: the share of draws from "
            "the t posterior of the means in which a stack is first."
        ),
        "",
    ]
    for architecture in ARCHITECTURES:
        for objective in OBJECTIVES:
            for primary in (True, False):
                for ranking in view.rankings(objective, architecture, primary=primary):
                    lines += ranked(view, ranking)
    return lines


def ranked(view: View, ranking: Ranking) -> list[str]:
    """Return one ranking: verdict, what it rests on, table, and who is not in it."""
    title = view.metric_title(key_of(ranking.metric, ranking.meter))
    second = "" if ranking.primary else ", second meter"
    where = f"{ranking.model}, {ranking.workload}, {ranking.load}"
    subject = f"{ranking.objective.capitalize()}, {ARCHITECTURE_WORDS[ranking.architecture]}"
    profile = view.profile_words(ranking.profile)
    lines = [f"### {subject}{second}{profile}: {markdown(where)}", ""]
    lines += [f"**Verdict:** {markdown(clause(view, ranking))}.", ""]
    if ranking.follows_throughput:
        lines += [
            f"**Not independent:** {markdown(ranking.follows_throughput.rstrip('. '))}.",
            "",
        ]
    info = instruments.meter(view, ranking.meter)
    if info is not None:
        lines += [f"**Instrument:** {markdown(instruments.sentence(info).rstrip('. '))}.", ""]
    if not ranking.entries:
        return [*lines, *_unranked(view, ranking)]
    header = ["Place", "Rank interval", "Stack", markdown(title), "n"]
    sizes = view.compressed(ranking)
    header += ["Ratio to best", "Against best", "Chance of best", "Kind", "Precision"]
    header += [*(["Weights"] if sizes else []), "Cell"]
    rows = [_rank_row(view, ranking, entry, sizes=sizes) for entry in by_place(ranking)]
    return [*lines, *table(header, rows), *_unranked(view, ranking)]


def _rank_row(view: View, ranking: Ranking, entry: RankEntry, *, sizes: bool) -> list[str]:
    key = key_of(ranking.metric, ranking.meter)
    return [
        place_words(ranking, entry),
        span(entry.place_low, entry.place_high),
        markdown(view.label(entry.stack)),
        instruments.figure(view, entry.cell, key, entry.value),
        str(entry.value.n),
        with_interval(entry.ratio_to_best),
        entry.verdict,
        chance(entry.probability_best),
        entry.value.kind,
        markdown(entry.precision) or "unknown",
        *([compression(entry.compression)] if sizes else []),
        markdown(entry.cell) or "between load points",
    ]


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
        return "n/a (unknown)"
    return "largest" if times == 1 else f"{number(times)}x smaller"


def _unranked(view: View, ranking: Ranking) -> list[str]:
    lines = [
        f"- Not ranked: {markdown(view.label(item.stack))}: {markdown(reason_words(item.reason))}"
        + (f" ({markdown(item.detail)})" if item.detail else "")
        + _measured(view, ranking, item)
        for item in ranking.unranked
    ]
    return [*lines, ""] if lines else []


def _measured(view: View, ranking: Ranking, item: Unranked) -> str:
    """Return what a stack without a place did, so that it is shown."""
    if item.value is None:
        return ""
    info = view.metric(ranking.metric)
    unit = f" {unit_name(info.unit)}" if info else ""
    parts = [f"{with_interval(item.value)}{unit}"]
    if item.ratio_to_best is not None:
        parts.append(f"{with_interval(item.ratio_to_best)} of the best ranked")
    parts += [markdown(item.precision)] if item.precision else []
    if view.compressed(ranking):
        parts.append(f"weights {compression(item.compression)}")
    return f"; measured: {', '.join(parts)}"
