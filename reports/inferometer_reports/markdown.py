"""``report.md``: the answer in words first, then the tables, then how it was made."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inferometer_reports import (
    capacity,
    latency,
    markdown_cost,
    markdown_energy,
    markdown_evidence,
    markdown_fronts,
    markdown_method,
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


def render(comparison: Comparison) -> Mapping[str, bytes]:
    """Return ``report.md``."""
    return _file(_lines(comparison))


def render_several(several: Several) -> Mapping[str, bytes]:
    """Return ``report.md`` of several results directories: a summary, then every group."""
    lines = markdown_several.summary(several)
    for group in several.groups:
        lines += markdown_several.group(several, group, _lines(group.comparison))
    return _file(lines)


def _file(lines: Sequence[str]) -> Mapping[str, bytes]:
    return {"report.md": ("\n".join(lines).rstrip("\n") + "\n").encode()}


def _lines(comparison: Comparison) -> list[str]:
    view = View(comparison)
    return [
        *_head(view),
        *markdown_rankings.rankings(view),
        *capacity.section(view),
        *markdown_pairs.section(view),
        *markdown_fronts.sections(view),
        *latency.section(view),
        *markdown_rankings.moe_ratios(view),
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
