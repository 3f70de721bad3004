"""The sections of ``report.md`` that rank: objectives, then MoE against dense."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inferometer.comparison import OBJECTIVES
from inferometer_reports import words
from inferometer_reports.escape import markdown, table
from inferometer_reports.numbers import with_interval
from inferometer_reports.reasons import reason_words
from inferometer_reports.verdicts import clause, span
from inferometer_reports.view import (
    ARCHITECTURE_WORDS,
    ARCHITECTURES,
    by_place,
    key_of,
    place_words,
)

if TYPE_CHECKING:
    from inferometer.comparison import RankEntry, Ranking
    from inferometer_reports.view import View


def rankings(view: View) -> list[str]:
    """Return every ranking: per architecture, one table per objective and load point."""
    lines = [
        "## Rankings",
        "",
        (
            "Values and ratios carry a 95 % interval over n launches; a ratio is paired by round. "
            "`=1` is a shared place; the rank interval holds every place the data allow; `?` "
            "means that one launch each gives no order."
        ),
        "",
    ]
    for architecture in ARCHITECTURES:
        for objective in OBJECTIVES:
            for primary in (True, False):
                for ranking in view.rankings(objective, architecture, primary=primary):
                    lines += _ranking(view, ranking)
    return lines


def _ranking(view: View, ranking: Ranking) -> list[str]:
    title = view.metric_title(key_of(ranking.metric, ranking.meter))
    second = "" if ranking.primary else ", second meter"
    where = f"{ranking.model}, {ranking.workload}, {ranking.load}"
    subject = f"{ranking.objective.capitalize()}, {ARCHITECTURE_WORDS[ranking.architecture]}"
    lines = [f"### {subject}{second}: {markdown(where)}", ""]
    lines += [f"**Verdict:** {markdown(clause(view, ranking))}.", ""]
    if ranking.follows_throughput:
        lines += [
            f"**Not independent:** {markdown(ranking.follows_throughput.rstrip('. '))}.",
            "",
        ]
    if not ranking.entries:
        return [*lines, *_unranked(view, ranking)]
    header = ["Place", "Rank interval", "Stack", markdown(title), "n"]
    header += ["Ratio to best", "Against best", "Kind", "Cell"]
    rows = [_rank_row(view, ranking, entry) for entry in by_place(ranking)]
    return [*lines, *table(header, rows), *_unranked(view, ranking)]


def _rank_row(view: View, ranking: Ranking, entry: RankEntry) -> list[str]:
    return [
        place_words(ranking, entry),
        span(entry.place_low, entry.place_high),
        markdown(view.label(entry.stack)),
        with_interval(entry.value),
        str(entry.value.n),
        with_interval(entry.ratio_to_best),
        entry.verdict,
        entry.value.kind,
        markdown(entry.cell),
    ]


def _unranked(view: View, ranking: Ranking) -> list[str]:
    lines = [
        f"- Not ranked: {markdown(view.label(item.stack))}: {markdown(reason_words(item.reason))}"
        + (f" ({markdown(item.detail)})" if item.detail else "")
        for item in ranking.unranked
    ]
    return [*lines, ""] if lines else []


def moe_ratios(view: View) -> list[str]:
    """Return the MoE-to-dense table: per stack, metric and load point."""
    ratios = view.comparison.moe_ratios
    if not ratios:
        return []
    rows = [
        [
            markdown(view.label(ratio.stack)),
            markdown(view.metric_title(key_of(ratio.metric, ratio.meter), unit=False)),
            with_interval(ratio.ratio),
            str(ratio.ratio.n),
            ratio.ratio.kind,
            markdown(f"{ratio.moe} / {ratio.dense}"),
            markdown(f"{ratio.workload}, {ratio.load}"),
            markdown(ratio.match),
        ]
        for ratio in ratios
    ]
    header = [
        "Stack",
        "Metric",
        "MoE / dense",
        "n",
        "Kind",
        "Models",
        "Load point",
        "What is equal",
    ]
    note = words.routing_words(view)
    return ["## MoE to dense", "", *([note, ""] if note else []), *table(header, rows)]
