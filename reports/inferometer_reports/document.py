"""The whole report as blocks, in the order of ``report.md``."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from inferometer.language import tr
from inferometer_reports import capacity, latency, words
from inferometer_reports.blocks import (
    Heading,
    Quote,
    Strong,
    item,
    quoted,
    say,
    stated,
    stated_items,
)
from inferometer_reports.escape import line
from inferometer_reports.html import answer
from inferometer_reports.sections import (
    cost,
    energy,
    evidence,
    fronts,
    imported,
    method,
    moe,
    pairs,
    rankings,
    tuning,
)
from inferometer_reports.sections import several as side_by_side
from inferometer_reports.sections import versus as against
from inferometer_reports.view import View

if TYPE_CHECKING:
    from collections.abc import Sequence

    from inferometer.comparison import Comparison
    from inferometer.comparison.several import Several
    from inferometer.comparison.versus import Versus
    from inferometer_reports.blocks import Block, Picture


def report(comparison: Comparison, prefix: str = "") -> list[Block]:
    """Return everything about one comparison; ``prefix`` begins the names of its charts."""
    if comparison.imported and not comparison.stacks:
        return imported.alone(comparison)
    view = View(comparison)
    told = answer.sentences(view)
    title, *ranked = rankings.rankings(view)
    return [
        *_head(view, told),
        title,
        *stated_items(told.left_out),
        *ranked,
        *capacity.section(view),
        *pairs.section(view),
        *fronts.sections(view),
        *latency.section(view),
        *moe.section(view, figures(view, prefix)),
        *energy.section(view),
        *cost.section(view),
        *imported.section(comparison.imported),
        *method.launch(view),
        *tuning.section(view),
        *evidence.details(view),
        *evidence.checks(view),
        *evidence.parity(view),
        *evidence.missing(view),
        *method.fairness(view),
        *method.method(view),
        *method.provenance(view),
    ]


def several(found: Several) -> list[Block]:
    """Return a summary of several results directories, then every group whole."""
    blocks = side_by_side.summary(found)
    for number, group in enumerate(found.groups, start=1):
        own = report(group.comparison, f"group-{number}-")
        blocks += side_by_side.group(found, group, own)
    return blocks


def versus(found: Versus) -> list[Block]:
    """Return one results directory against a baseline."""
    return against.versus(found)


def figures(view: View, prefix: str = "") -> list[Picture]:
    """Draw charts where two models are compared; only then is their library imported."""
    found = view.comparison.architectures
    if found is None or not found.pairs:
        return []
    drawn: list[Picture] = import_module("inferometer_reports.moe_charts").figures(view, prefix)
    return drawn


def _head(view: View, told: answer.Sentences) -> list[Block]:
    comparison = view.comparison
    label, kinds = words.label(view), words.kinds(view)
    banner = words.banner(view)
    return [
        Heading(1, line(comparison.title) or tr("Untitled study")),
        say(*stated(label).parts, " ", *stated(kinds).parts),
        *([Quote(banner)] if banner else []),
        Heading(2, tr("Answer")),
        *stated_items(told.told),
        *map(say, told.notes),
        *(stated(statement) for statement in words.context(view)),
        *warnings(comparison.warnings),
    ]


def warnings(texts: Sequence[str]) -> list[Block]:
    """Return the first warnings; the others stand under the validity checks."""
    if not texts:
        return []
    more = len(texts) - words.MOST
    shown = [item(quoted(text)) for text in texts[: words.MOST]]
    rest = [item(tr("{more} more, under the validity checks.", more=more))] if more > 0 else []
    return [say(Strong(tr("Warnings:"))), *shown, *rest]
