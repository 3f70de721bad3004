"""``report.md``: the answer in words first, then the tables, then how it was made.

Its charts are files beside it, under ``figures/``.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from inferometer_reports import (
    capacity,
    latency,
    markdown_cost,
    markdown_energy,
    markdown_evidence,
    markdown_fronts,
    markdown_method,
    markdown_moe,
    markdown_pairs,
    markdown_rankings,
    markdown_several,
    markdown_tuning,
    words,
)
from inferometer_reports.escape import block, markdown
from inferometer_reports.view import View

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from inferometer.comparison import Comparison
    from inferometer.comparison.several import Several
    from inferometer_reports.charts import Figure


def render(comparison: Comparison) -> Mapping[str, bytes]:
    """Return ``report.md`` and its charts."""
    lines, charts = _report(comparison)
    return _files(lines, charts)


def render_several(several: Several) -> Mapping[str, bytes]:
    """Return ``report.md`` of several results directories: a summary, then every group."""
    lines = markdown_several.summary(several)
    charts: list[Figure] = []
    for number, group in enumerate(several.groups, start=1):
        own, drawn = _report(group.comparison, f"group-{number}-")
        lines += markdown_several.group(several, group, own)
        charts += drawn
    return _files(lines, charts)


def _files(lines: Sequence[str], charts: Sequence[Figure]) -> Mapping[str, bytes]:
    text = ("\n".join(lines).rstrip("\n") + "\n").encode()
    return {"report.md": text, **{chart.file: chart.svg for chart in charts}}


def _report(comparison: Comparison, prefix: str = "") -> tuple[list[str], list[Figure]]:
    """Return the lines, and the charts they name; ``prefix`` begins the names of the charts."""
    view = View(comparison)
    charts = _figures(view, prefix)
    return _lines(view, charts), charts


def _figures(view: View, prefix: str) -> list[Figure]:
    """Draw charts where two models are compared; only then is their library imported."""
    found = view.comparison.architectures
    if found is None or not found.pairs:
        return []
    charts: list[Figure] = import_module("inferometer_reports.moe_charts").figures(view, prefix)
    return charts


def _lines(view: View, charts: Sequence[Figure]) -> list[str]:
    return [
        *_head(view),
        *markdown_rankings.rankings(view),
        *capacity.section(view),
        *markdown_pairs.section(view),
        *markdown_fronts.sections(view),
        *latency.section(view),
        *markdown_moe.section(view, charts),
        *markdown_energy.section(view),
        *markdown_cost.section(view),
        *markdown_method.launch(view),
        *markdown_tuning.section(view),
        *markdown_evidence.details(view),
        *markdown_evidence.checks(view),
        *markdown_evidence.parity(view),
        *markdown_evidence.missing(view),
        *markdown_method.fairness(view),
        *markdown_method.method(view),
        *markdown_method.provenance(view),
    ]


def _head(view: View) -> list[str]:
    comparison = view.comparison
    label, kinds = words.label(view), words.kinds(view)
    lines = [
        f"# {markdown(comparison.title) or 'Untitled study'}",
        "",
        f"{_bold(label)} {_bold(kinds)}",
        "",
    ]
    banner = words.banner(view)
    if banner:
        lines += [f"> **{markdown(banner)}**", ""]
    lines += ["## Answer", "", *_bullets(words.answers(view)), ""]
    for statement in words.context(view):
        lines += [_bold(statement), ""]
    return [*lines, *_warnings(comparison.warnings)]


def _warnings(warnings: Sequence[str]) -> list[str]:
    """Return the first warnings; the others stand under the validity checks."""
    if not warnings:
        return []
    lines = ["**Warnings:**", "", *(f"- {block(text)}" for text in warnings[: words.MOST])]
    if len(warnings) > words.MOST:
        lines.append(f"- {len(warnings) - words.MOST} more, under the validity checks.")
    return [*lines, ""]


def _bullets(statements: Iterable[words.Statement]) -> list[str]:
    return [f"- {_bold(statement)}" for statement in statements]


def _bold(statement: words.Statement) -> str:
    return f"**{markdown(statement.lead)}** {markdown(statement.text)}"
