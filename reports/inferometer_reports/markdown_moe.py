"""The section of ``report.md`` on dense against mixture-of-experts, with its charts."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from inferometer_reports import moe_tables, moe_words, words
from inferometer_reports.escape import block, markdown, table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from inferometer_reports.charts import Figure
    from inferometer_reports.moe_tables import Table
    from inferometer_reports.view import View

TITLE = "## Dense against mixture-of-experts"


def section(view: View, figures: Sequence[Figure]) -> list[str]:
    """Return sentences, charts and tables; nothing where nothing is said of architectures."""
    tables = moe_tables.tables(view)
    statements = moe_words.conclusions(view)
    if not tables and not statements:
        return []
    lines = [TITLE, "", *_bullets(statements)]
    note = words.routing_words(view, [one.moe for one in view.comparison.moe_ratios])
    lines += [block(note), ""] if note and not statements else []
    for figure in figures:
        lines += [f"![{markdown(figure.alt)}]({figure.file})", ""]
    more = [one for one in (moe_words.order(view), moe_words.interactions(view)) if one]
    lines += _bullets(more)
    kept = moe_tables.kept_out(view)
    lines += [*(f"- Kept out: {markdown(text)}" for text in kept), ""] if kept else []
    for one in tables:
        lines += _table(one)
    return lines


def _bullets(statements: Sequence[words.Statement]) -> list[str]:
    found = [f"- **{markdown(it.lead)}** {_long(it.text)}" for it in statements]
    return [*found, ""] if found else []


def _long(text: str) -> str:
    """Escape a text that may be longer than a cell: clause by clause."""
    return " ".join(markdown(part) for part in re.split(r"(?<=[.;]) ", text))


def _table(one: Table) -> list[str]:
    rows = [[markdown(cell) for cell in row] for row in one.rows]
    body = [
        *([block(one.about), ""] if one.about else []),
        *table([markdown(name) for name in one.header], rows),
        *(f"- {markdown(text)}" for text in one.notes),
        *([""] if one.notes else []),
    ]
    if one.folded:
        head = f"<details><summary>{one.title}</summary>"
        return [head, "", *body, "</details>", ""]
    return [f"### {one.title}", "", *body]
