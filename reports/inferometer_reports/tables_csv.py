"""``tables/*.csv``: what ``report.json`` holds as tables, numbers unrounded.

UTF-8 and RFC 4180 with line feeds. An absent number is an empty cell, with its reason in the row.
"""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

from inferometer.comparison import rows
from inferometer_reports.escape import printable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from inferometer.comparison import Comparison
    from inferometer.comparison.rows.table import Cell
    from inferometer.comparison.several import Several

FOLDER = "tables"
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""What a spreadsheet may take for the beginning of a formula, full-width forms among it."""


def render(comparison: Comparison) -> Mapping[str, bytes]:
    """Return a file a table; one without rows has its header."""
    return _files(comparison, FOLDER)


def render_several(several: Several) -> Mapping[str, bytes]:
    """Return the tables of several results directories, a folder for each group."""
    return {
        name: content
        for number, group in enumerate(several.groups, start=1)
        for name, content in _files(group.comparison, f"{FOLDER}/group-{number}").items()
    }


def _files(comparison: Comparison, folder: str) -> dict[str, bytes]:
    names = rows.names(comparison)
    return {f"{folder}/{name}.csv": _csv(rows.table(comparison, name)) for name in names}


def _csv(table: rows.Rows) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(table.columns)
    writer.writerows([_cell(cell) for cell in row] for row in table.rows)
    return text.getvalue().encode()


def _cell(cell: Cell) -> str:
    """Return a cell as text; foreign text that looks like a formula begins with an apostrophe."""
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if not isinstance(cell, str):
        return repr(cell)
    shown = printable(cell.replace("\r\n", "\n").replace("\r", "\n"), keep="\t\n")
    return f"'{shown}" if shown.lstrip(" ").startswith(FORMULA) else shown
