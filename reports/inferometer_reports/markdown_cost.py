"""The section of ``report.md`` on cost: the words of :mod:`inferometer.costwords`, escaped."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inferometer.costwords import sections
from inferometer_reports.escape import block, markdown, table

if TYPE_CHECKING:
    from inferometer.costwords import Section, Table
    from inferometer_reports.view import View


def section(view: View) -> list[str]:
    """Return every section on cost; nothing where the comparison has no costs."""
    found = sections(view.comparison)
    lines = ["## Cost", ""] if found else []
    for one in found:
        lines += _section(one)
    return lines


def _section(one: Section) -> list[str]:
    lines = [f"### {markdown(one.title)}", "", block(one.question), ""]
    for text in one.lead:
        lines += [block(text), ""]
    for it in one.tables:
        lines += _table(it)
    lines += [f"- {block(text)}" for text in one.notes]
    return [*lines, ""] if one.notes else lines


def _table(it: Table) -> list[str]:
    lines = [
        f"**{markdown(it.title)}**",
        "",
        *table(
            [markdown(name) for name in it.header],
            [[markdown(cell) for cell in row] for row in it.rows],
        ),
    ]
    for text in it.notes:
        lines += [block(text), ""]
    return lines
