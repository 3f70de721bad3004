"""``report.md``: the report's blocks as Markdown.

Its charts are files beside it, under ``figures/``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from inferometer_reports import document
from inferometer_reports.blocks import (
    Code,
    Fold,
    Heading,
    Item,
    Mono,
    Paragraph,
    Picture,
    Quote,
    Strong,
    Table,
)
from inferometer_reports.escape import block, fence, markdown, table

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from inferometer.comparison import Comparison
    from inferometer.comparison.several import Several
    from inferometer.comparison.versus import Versus
    from inferometer_reports.blocks import Block


def render(comparison: Comparison) -> Mapping[str, bytes]:
    """Return ``report.md`` and its charts."""
    return _files(document.report(comparison))


def render_several(several: Several) -> Mapping[str, bytes]:
    """Return ``report.md`` of several results directories: a summary, then every group."""
    return _files(document.several(several))


def render_versus(versus: Versus) -> Mapping[str, bytes]:
    """Return ``report.md`` of one results directory against a baseline."""
    return _files(document.versus(versus))


def _files(blocks: Sequence[Block]) -> Mapping[str, bytes]:
    text = ("\n".join(lines(blocks)).rstrip("\n") + "\n").encode()
    charts = {one.file: one.svg for one in blocks if isinstance(one, Picture)}
    return {"report.md": text, **charts}


def lines(blocks: Iterable[Block]) -> Iterator[str]:
    """Yield the lines of the blocks; an empty one follows each block, and each list."""
    listing = False
    for one in blocks:
        if listing and not isinstance(one, Item):
            yield ""
        listing = isinstance(one, Item)
        yield from _lines(one)
    if listing:
        yield ""


def _lines(one: Block) -> Iterator[str]:
    match one:
        case Heading(level, text):
            yield from (f"{'#' * level} {markdown(text)}", "")
        case Paragraph(parts):
            yield from (_inline(parts), "")
        case Quote(text):
            yield from (f"> **{markdown(text)}**", "")
        case Item(parts):
            yield f"- {_inline(parts)}"
        case Table(header, rows):
            yield from table(map(_cell, header), (map(_cell, row) for row in rows))
        case Code(text, language):
            yield from (*fence(text, language), "")
        case Fold(title, blocks):
            yield from (f"<details><summary>{markdown(title)}</summary>", "")
            yield from (*lines(blocks), "</details>", "")
        case Picture(file, alt, _):
            yield from (f"![{markdown(alt)}]({file})", "")


def _inline(parts: Sequence[str]) -> str:
    first, *rest = parts
    start = _cell(first) if isinstance(first, Strong | Mono) else block(first)
    return "".join([start, *map(_cell, rest)])


def _cell(text: str) -> str:
    if isinstance(text, Strong):
        return f"**{markdown(text)}**"
    return f"`{text}`" if isinstance(text, Mono) else markdown(text)
