"""Every number of a report in one table, wherever it stands."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from inferometer.comparison.rows.table import VALUE, Rows, number, rows
from inferometer.comparison.value import Value

if TYPE_CHECKING:
    from collections.abc import Iterator

    from inferometer.comparison import Comparison


def numbers(comparison: Comparison) -> Rows:
    """Return one row a number; ``result`` is where ``report.json`` has it (RFC 6901)."""
    return rows(VALUE, (number(value, place) for place, value in _found(comparison, "")))


def _found(item: object, place: str) -> Iterator[tuple[str, Value]]:
    """Yield every :class:`Value` in ``item`` with its JSON pointer."""
    if isinstance(item, Value):
        yield place, item
    elif isinstance(item, Struct):
        for name in item.__struct_fields__:
            yield from _found(getattr(item, name), f"{place}/{name}")
    elif isinstance(item, dict):
        for key, value in item.items():
            escaped = str(key).replace("~", "~0").replace("/", "~1")
            yield from _found(value, f"{place}/{escaped}")
    elif isinstance(item, list | tuple):
        for index, value in enumerate(item):
            yield from _found(value, f"{place}/{index}")
