"""Results against a baseline for a terminal of 100 columns."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from inferometer.language import tr
from inferometer_reports import words_versus as words
from inferometer_reports.escape import line

if TYPE_CHECKING:
    from rich.console import Console

    from inferometer.comparison.versus import Versus


def print_versus(versus: Versus, console: Console, width: int) -> None:
    """Print the outcome, what differs, and the tables."""
    console.print(Text(line(words.title(versus)), style="bold"))
    if versus.simulated:
        console.print(Text(tr(words.SIMULATED), style="bold reverse"))
    for statement in words.statements(versus):
        console.print(Text.assemble((line(statement.lead), "bold"), " ", line(statement.text)))
    console.print()
    for one in words.tables(versus):
        console.print(_table(one, width))
    for text in words.notes(versus):
        console.print(Text(f"- {line(text)}"))


def _table(one: words.Table, width: int) -> Table:
    table = Table(
        box=SIMPLE_HEAD,
        title=Text(line(one.title), style="bold"),
        title_justify="left",
        width=width,
        pad_edge=False,
    )
    for header, wide in zip(one.header, one.widths, strict=True):
        table.add_column(Text(line(header)), ratio=wide, overflow="fold")
    for row in one.rows:
        table.add_row(*(Text(line(text)) for text in row))
    return table
