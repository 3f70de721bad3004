"""The section on dense against mixture-of-experts, with its charts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inferometer.language import later, tr
from inferometer_reports import moe_tables, moe_words, words
from inferometer_reports.blocks import Fold, Heading, Strong, item, say
from inferometer_reports.blocks import Table as Rows
from inferometer_reports.escape import line, sentences

if TYPE_CHECKING:
    from collections.abc import Sequence

    from inferometer_reports.blocks import Block, Picture
    from inferometer_reports.moe_tables import Table
    from inferometer_reports.view import View

TITLE = later("Dense against mixture-of-experts")


def section(view: View, figures: Sequence[Picture]) -> list[Block]:
    """Return sentences, charts and tables; nothing where nothing is said of architectures."""
    tables = moe_tables.tables(view)
    statements = moe_words.conclusions(view)
    if not tables and not statements:
        return []
    blocks: list[Block] = [Heading(2, tr(TITLE)), *_items(statements)]
    note = words.routing_words(view, [one.moe for one in view.comparison.moe_ratios])
    blocks += [say(line(note))] if note and not statements else []
    blocks += figures
    more = [one for one in (moe_words.order(view), moe_words.interactions(view)) if one]
    blocks += _items(more)
    blocks += [item(tr("Kept out: {text}", text=line(text))) for text in moe_tables.kept_out(view)]
    for one in tables:
        blocks += _table(one)
    return blocks


def _items(statements: Sequence[words.Statement]) -> list[Block]:
    return [item(Strong(it.lead), " ", sentences(it.text)) for it in statements]


def _table(one: Table) -> list[Block]:
    rows = [[line(cell) for cell in row] for row in one.rows]
    body: list[Block] = [
        *([say(line(one.about))] if one.about else []),
        Rows([line(name) for name in one.header], rows),
    ]
    body += [item(line(text)) for text in one.notes]  # what must be known of the figures above
    return [Fold(one.title, body)] if one.folded else [Heading(3, one.title), *body]
