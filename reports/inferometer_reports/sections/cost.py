"""The section on cost: the words of :mod:`inferometer.costwords`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inferometer.costwords import sections
from inferometer.language import tr
from inferometer_reports.blocks import Heading, Strong, item, say
from inferometer_reports.blocks import Table as Rows
from inferometer_reports.escape import line

if TYPE_CHECKING:
    from inferometer.costwords import Section, Table
    from inferometer_reports.blocks import Block
    from inferometer_reports.view import View


def section(view: View) -> list[Block]:
    """Return every section on cost; nothing where the comparison has no costs."""
    found = sections(view.comparison)
    blocks: list[Block] = [Heading(2, tr("Cost"))] if found else []
    for one in found:
        blocks += _section(one)
    return blocks


def _section(one: Section) -> list[Block]:
    blocks: list[Block] = [Heading(3, line(tr(one.title))), say(line(tr(one.question)))]
    blocks += [say(line(tr(text))) for text in one.lead]
    for it in one.tables:
        blocks += _table(it)
    return [*blocks, *(item(line(tr(text))) for text in one.notes)]


def _table(it: Table) -> list[Block]:
    header = [line(tr(name)) for name in it.header]
    rows = Rows(header, [[line(cell) for cell in row] for row in it.rows])
    return [say(Strong(line(it.title))), rows, *(say(line(tr(text))) for text in it.notes)]
