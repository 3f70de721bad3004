"""Several results directories for a terminal of 100 columns: side by side, then every group."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from inferometer.language import tr
from inferometer_reports import words_several as words
from inferometer_reports.escape import line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from inferometer.comparison.several import Group, Several, SideBySide


COLUMNS = 5
"""So many fit beside each other; more stand in a table below."""


def print_head(several: Several, console: Console, width: int) -> None:
    """Print what is apart and why, and a table for each question."""
    console.print(Text(line(several.title), style="bold"))
    banner = words.simulated(several)
    if banner:
        console.print(Text(banner, style="bold reverse"))
    for statement in words.head(several):
        console.print(Text.assemble((line(statement.lead), "bold"), " ", _whole(statement.text)))
    console.print()
    _print_tables(several, several.tables, console, width)


def print_group(several: Several, group: Group, console: Console, width: int) -> None:
    """Print a group's name, how it was pooled, and its directories side by side."""
    console.print(Text(f"=== {line(group.name)} ".ljust(width, "="), style="bold"))
    for text in words.pooled(group):
        console.print(Text(line(text)))
    if len(group.parts) > 1:
        console.print()
    _print_tables(several, group.tables, console, width)


def _whole(text: str) -> str:
    return " ".join(line(part) for part in text.split(" "))


def _print_tables(
    several: Several, tables: Sequence[SideBySide], console: Console, width: int
) -> None:
    for one in tables:
        for first in range(0, len(one.columns), COLUMNS):
            console.print(_table(several, one, width, slice(first, first + COLUMNS)))
    if tables:
        console.print(Text(f"{tr(words.SCOPE)}\n"))


def _table(several: Several, one: SideBySide, width: int, shown: slice) -> Table:
    table = Table(
        box=SIMPLE_HEAD,
        title=Text(line(words.title(several, one)), style="bold"),
        title_justify="left",
        width=width,
        pad_edge=False,
    )
    for header in (tr("Operating point"), tr("Stack"), *one.columns[shown]):
        table.add_column(Text(line(header)), ratio=2, overflow="fold")
    for each in one.lines:
        figures = [words.cell(figure) for figure in each.figures[shown]]
        cells = [words.place(each), each.stack, *figures]
        table.add_row(*(Text(line(text)) for text in cells))
    return table
