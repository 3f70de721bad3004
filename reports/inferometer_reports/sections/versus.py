"""Results against a baseline: short enough for a pull request."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inferometer.language import tr
from inferometer_reports import words_versus as words
from inferometer_reports.blocks import Fold, Heading, Quote, Said, Strong, Table, item, say
from inferometer_reports.escape import line, sentences

if TYPE_CHECKING:
    from collections.abc import Sequence

    from inferometer.comparison.versus import Versus
    from inferometer_reports.blocks import Block, Item, Picture


MOST_ROWS = 12
"""Rows of a table with some that matter most; where there are more, the others are folded."""


def versus(found: Versus, charts: Sequence[Picture] = ()) -> list[Block]:
    """Return the outcome, ``charts``, what differs, and the tables."""
    blocks: list[Block] = [Heading(1, line(words.title(found)))]
    blocks += [Quote(tr(words.SIMULATED))] if found.simulated else []
    for statement in words.statements(found):
        blocks.append(say(Strong(line(statement.lead)), " ", sentences(statement.text)))
    blocks += charts
    for one in words.tables(found):
        blocks += [Heading(2, line(one.title)), *_table(one)]
    return [*blocks, *(_note(found, text) for text in words.notes(found))]


def _note(found: Versus, text: str) -> Item:
    note = sentences(text)
    return item(Said(note) if text in found.notes else note)


def _table(one: words.Table) -> list[Block]:
    header, rows = [line(it) for it in one.header], [[line(cell) for cell in r] for r in one.rows]
    if one.first is None or len(rows) <= MOST_ROWS:
        return [Table(header, rows)]
    title = tr("{number} numbers passed", number=len(rows) - one.first)
    rest = Fold(title, [Table(header, rows[one.first :])])
    return [*([Table(header, rows[: one.first])] if one.first else []), rest]
