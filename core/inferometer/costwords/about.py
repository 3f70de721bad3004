"""The formulas of the cost metrics, and what a reader must be told."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inferometer.costwords.shape import Section, Table
from inferometer.language import tr

if TYPE_CHECKING:
    from inferometer.costwords.look import Look


def formulas(look: Look) -> list[Section]:
    """Return title, unit and formula of every cost metric that a cell has."""
    ids = {id_ for cell in look.costs.cells for id_ in cell.values}
    found = [info for info in look.comparison.metrics if info.id in ids]
    if not found or not look.priced:
        return []
    rows = tuple((tr(info.title), info.unit, info.formula) for info in found)
    table = Table(title=tr("Cost metrics"), header=("metric", "unit", "formula"), rows=rows)
    return [
        Section(
            id="formulas",
            title=tr("Formulas"),
            question=tr("How does each figure come about?"),
            tables=(table,),
        )
    ]


def remarks(look: Look) -> list[Section]:
    """Return the warnings, then the notes."""
    costs = look.costs
    if not costs.warnings and not costs.notes:
        return []
    return [
        Section(
            id="remarks",
            title=tr("Warnings and notes"),
            question=tr("What must be known of these figures?"),
            lead=tuple(tr("Warning: {text}", text=text) for text in costs.warnings),
            notes=tuple(costs.notes),
        )
    ]
