"""Sensitivity: what each input of an hour does to the cost of a cell, the widest swing first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inferometer.costwords.shape import Section, Table
from inferometer.numbers import number

if TYPE_CHECKING:
    from inferometer.comparison.costs import Swing, Tornado
    from inferometer.costwords.look import Look

BAR = 20
"""Characters of the widest bar."""


def section(look: Look) -> list[Section]:
    """Return one table for each cell and hour whose inputs were varied."""
    found = look.costs.tornados
    if not found:
        return []
    tables = tuple(_table(look, one) for one in found)
    return [
        Section(
            id="tornado",
            title="What the cost hangs on",
            question="Which input moves the result most?",
            lead=(
                (
                    "Each input goes from its lowest to its highest value while the others stay. "
                    "(+-20 %) is a range that the scenario does not give."
                ),
            ),
            tables=tables,
        )
    ]


def _table(look: Look, one: Tornado) -> Table:
    infos = {info.id: info.title for info in look.comparison.metrics}
    widest = max((abs(swing.at_high - swing.at_low) for swing in one.swings), default=0.0)
    figure = f"{infos.get(one.metric, one.metric)} {number(one.base, grouped=True)} {one.unit}"
    return Table(
        title=f"{look.paid(one.hour)}: {look.at(one.cell)}: {figure}",
        header=("input", "from", "to", f"{one.unit} from", f"{one.unit} to", "swing"),
        rows=tuple(_row(swing, widest) for swing in one.swings),
    )


def _row(swing: Swing, widest: float) -> tuple[str, ...]:
    width = abs(swing.at_high - swing.at_low)
    bar = "=" * max(round(BAR * width / widest), 1) if width else "none"
    return (
        f"{swing.input}{' (+-20 %)' if swing.assumed else ''}",
        f"{number(swing.low_input, grouped=True)} {swing.unit}".rstrip(),
        f"{number(swing.high_input, grouped=True)} {swing.unit}".rstrip(),
        number(swing.at_low, grouped=True),
        number(swing.at_high, grouped=True),
        bar,
    )
