"""What a section is made of before it is Markdown or HTML: headings, sentences, tables, code.

Text in blocks is plain: each output escapes it. :func:`inferometer_reports.escape.line` shortens
what comes from elsewhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Self, TypeAlias, Union

from inferometer_reports.escape import line, sentences

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from inferometer.comparison import Value
    from inferometer_reports.phrases import Statement


class Strong(str):
    """Text that stands out."""

    __slots__ = ()


class Mono(str):
    """A word that is typed or found in a file."""

    __slots__ = ()


class Said(str):
    """English text of a result, which no language changes; the page marks it as English."""

    __slots__ = ()


class Datum(str):
    """A number as printed, with what it is: its value, and the id by which it is found again."""

    __slots__ = ("id", "value")

    value: Value
    id: str

    def __new__(cls, text: str, value: Value, id_: str) -> Self:
        """Return ``text`` with ``value`` (full precision) and the result's id beside it."""
        made = super().__new__(cls, text)
        made.value, made.id = value, id_
        return made


class Heading(NamedTuple):
    """A title; level 2 is a section."""

    level: int
    text: str


class Paragraph(NamedTuple):
    """Sentences, in parts."""

    parts: tuple[str, ...]


class Quote(NamedTuple):
    """A warning over everything."""

    text: str


class Item(NamedTuple):
    """One item of a list; those that follow each other are one list."""

    parts: tuple[str, ...]


class Table(NamedTuple):
    """Rows of cells below a header."""

    header: Sequence[str]
    rows: Sequence[Sequence[str]]


class Code(NamedTuple):
    """Lines to be copied as they are."""

    text: str
    language: str


class Fold(NamedTuple):
    """Blocks behind a title."""

    title: str
    blocks: Sequence[Block]


class Picture(NamedTuple):
    """A chart: its file, what stands in its place where it is not seen, and its bytes."""

    file: str
    alt: str
    svg: bytes


Block: TypeAlias = Union[Heading, Paragraph, Quote, Item, Table, Code, "Fold", Picture]


def say(*parts: str) -> Paragraph:
    """Return a paragraph."""
    return Paragraph(parts)


def item(*parts: str) -> Item:
    """Return one item of a list."""
    return Item(parts)


def quoted(text: object) -> Said:
    """Return text of a result as one line."""
    return Said(line(text))


def stated(statement: Statement) -> Paragraph:
    """Return a statement as a paragraph, its lead standing out."""
    return Paragraph(_statement(statement))


def stated_items(statements: Iterable[Statement]) -> list[Block]:
    """Return statements as a list."""
    return [Item(_statement(statement)) for statement in statements]


def _statement(statement: Statement) -> tuple[str, ...]:
    return (Strong(line(statement.lead)), " ", sentences(statement.text))


def tabled(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[Block]:
    """Return a table where there are rows, else nothing."""
    return [Table(header, rows)] if rows else []


def deeper(blocks: Iterable[Block], levels: int) -> list[Block]:
    """Return the blocks with every heading moved down by ``levels``."""
    return [
        block._replace(level=block.level + levels) if isinstance(block, Heading) else block
        for block in blocks
    ]
