"""The report's blocks as HTML."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inferometer.language import ENGLISH, current, tr
from inferometer_reports.blocks import (
    Code,
    Datum,
    Fold,
    Heading,
    Item,
    Mono,
    Paragraph,
    Picture,
    Quote,
    Said,
    Strong,
    Table,
)
from inferometer_reports.escape import printable
from inferometer_reports.html import drawing
from inferometer_reports.html.markup import Markup, element, join, text
from inferometer_reports.view import HOLLOW

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from inferometer_reports.blocks import Block


EXACT = {"Place", "J/output token"}
"""Columns of tables that the script computes with: rankings, and the one at your own prices."""

KNOWN = ("Place", "Stack", "Operating point")
"""Heads of columns by which the script finds them."""


class Writer:
    """Writes blocks; a table's caption is the last title above it.

    ``ids``: numbers carry the id of their result. What is folded repeats numbers and does not.
    ``anchor``: titles have the ids ``anchor-1``, ``anchor-2`` and so on.
    """

    def __init__(self, caption: str, *, ids: bool = True, anchor: str = "") -> None:
        self._caption = caption
        self._ids = ids
        self._anchor = anchor
        self._titles = 0

    def write(self, blocks: Iterable[Block]) -> Markup:
        """Return the blocks as HTML, items that follow each other as one list."""
        return join(self._blocks(blocks))

    def _blocks(self, blocks: Iterable[Block]) -> Iterator[Markup]:
        listed: list[Markup] = []
        for one in blocks:
            if isinstance(one, Item):
                listed.append(element("li", inline(one.parts)))
                continue
            if listed:
                yield element("ul", *listed)
                listed = []
            yield self._block(one)
        if listed:
            yield element("ul", *listed)

    def _block(self, one: Block) -> Markup:
        match one:
            case Heading(level, words):
                self._caption = words
                self._titles += 1
                id_ = f"{self._anchor}-{self._titles}" if self._anchor else None
                made = element(f"h{level}", words, id=id_)
            case Paragraph(parts) | Item(parts):
                made = element("p", inline(parts))
            case Quote(words):
                made = element("p", words, class_="banner")
            case Table(header, rows):
                made = table(self._caption, header, rows, ids=self._ids)
            case Code(lines, _):
                made = code(lines)
            case Fold(title, blocks):
                inner = Writer(title, ids=False).write(blocks)
                made = element("details", element("summary", title), inner)
            case Picture():
                made = drawing.figure(one)
        return made


def inline(parts: Sequence[str]) -> Markup:
    """Return the parts of a sentence."""
    return join(map(_part, parts))


def _part(part: str) -> Markup:
    if isinstance(part, Strong):
        return element("strong", part)
    if isinstance(part, Said) and current().code != ENGLISH.code:
        return element("span", part, lang=ENGLISH.code)
    return element("code", part) if isinstance(part, Mono) else text(part)


def code(lines: str) -> Markup:
    """Return lines to be copied, exactly as they are but for control characters."""
    kept = printable(lines.replace("\r\n", "\n").replace("\r", "\n").rstrip("\n"), keep="\n\t")
    escaped = "\n".join(text_line(one) for one in kept.split("\n"))
    return element("pre", element("code", Markup(escaped)), tabindex="0")


def text_line(one: str) -> str:
    """Return one line of code with its white space as it is."""
    return one.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def table(
    caption: str, header: Sequence[str], rows: Sequence[Sequence[str]], *, ids: bool = True
) -> Markup:
    """Return a table that scrolls by itself where the page is too narrow.

    Of values that the script computes with, every digit is there, and not only as they are read.
    """
    exact = bool({*map(tr, EXACT)}.intersection(header))
    head = element("tr", *map(_head, header))
    body = [_row(row, ids=ids, exact=exact) for row in rows]
    made = element(
        "table",
        element("caption", caption, class_="vh"),
        element("thead", head),
        element("tbody", *body),
    )
    return element("div", made, class_="scroll", tabindex="0", role="group", aria_label=caption)


def _head(name: str) -> Markup:
    """Return a column's head; in another language one that the script knows keeps its key."""
    key = next((key for key in KNOWN if name == tr(key) != key), None)
    return element("th", _part(name), scope="col", data_head=key)


def _row(row: Sequence[str], *, ids: bool, exact: bool) -> Markup:
    """Return a row; it names the cell of the comparison that its numbers are of."""
    found = next((cell.id.partition("#")[0] for cell in row if isinstance(cell, Datum)), None)
    cells = (_cell(cell, numbers=ids, exact=exact) for cell in row)
    return element("tr", *cells, data_cell=found if ids else None)


def _cell(cell: str, *, numbers: bool, exact: bool) -> Markup:
    if not isinstance(cell, Datum) or not numbers:
        return element("td", _part(cell))
    value = cell.value
    if value.value is None:
        return element("td", str(cell), class_="na", data_reason=value.reason)
    look = "num est" if value.kind in HOLLOW else "num"
    said = f"{value.value:.6g}" if exact else None
    return element("td", str(cell), class_=look, data_v=said)
