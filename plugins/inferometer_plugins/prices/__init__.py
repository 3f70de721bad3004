"""The bundled price books: dated prices with their sources, none of them fresh.

What a book holds, and how to bring one: docs/reference/prices.md.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from inferometer import hookimpl
from inferometer.prices import FileBook

if TYPE_CHECKING:
    from collections.abc import Sequence

    from inferometer.prices import PriceBook

BOOKS = ("inferencex-2026-04", "market-2026")


@hookimpl
def inferometer_price_books() -> Sequence[PriceBook]:
    """Return the bundled books."""
    return [FileBook(name, Path(__file__).parent / f"{name}.toml") for name in BOOKS]
