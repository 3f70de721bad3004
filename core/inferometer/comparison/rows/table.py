"""What a table is, and how a number with its origin becomes cells of it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from inferometer.comparison import Value

Cell: TypeAlias = "str | float | bool | None"
Row: TypeAlias = tuple[Cell, ...]
VALUE: Mapping[str, type] = {
    "value": float,
    "unit": str,
    "kind": str,
    "n": int,
    "low": float,
    "high": float,
    "result": str,
    "reason": str,
    "detail": str,
}
"""Columns of a number: ``low`` and ``high`` are the 95 % interval over ``n`` launches; ``result``
is the id under which other outputs show it."""
RATIO: Mapping[str, type] = {
    "ratio": float,
    "ratio_n": int,
    "ratio_low": float,
    "ratio_high": float,
    "ratio_reason": str,
}


class Rows(NamedTuple):
    """A table: its columns with the type of their cells (any may be None), and its rows."""

    columns: Mapping[str, type]
    rows: Sequence[Row]


def rows(columns: Mapping[str, type], found: Iterable[Row]) -> Rows:
    """Return a table whose cells every output can hold: finite numbers, text that is Unicode."""
    return Rows(columns, [tuple(map(_sound, row)) for row in found])


def _sound(cell: Cell) -> Cell:
    if isinstance(cell, str):
        return cell.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(cell, float) and not math.isfinite(cell):
        return None
    return cell


def number(value: Value, result: str) -> Row:
    """Return the cells of :data:`VALUE`."""
    return (
        value.value,
        value.unit,
        value.kind,
        value.n,
        value.low,
        value.high,
        result,
        value.reason,
        value.detail,
    )


def unknown(reason: str) -> Row:
    """Return the cells of :data:`VALUE` where nothing was measured."""
    return None, None, None, None, None, None, None, reason, None


def ratio(value: Value | None) -> Row:
    """Return the cells of :data:`RATIO`; all None where nothing is said of a ratio."""
    if value is None:
        return (None,) * len(RATIO)
    return value.value, value.n, value.low, value.high, value.reason


def key_of(metric: str, meter: str | None) -> str:
    """Return the key of a value in a cell: ``metric`` or ``metric@meter``."""
    return f"{metric}@{meter}" if meter else metric


def texts(*names: str) -> dict[str, type]:
    """Return columns of text."""
    return dict.fromkeys(names, str)
