"""Text from engines, models and studies is untrusted: here it becomes harmless Markdown."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
LIMIT = 400
"""Longest piece of foreign text in a sentence or a cell."""
_UNSAFE = {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}
_MARKUP = re.compile(r"([\\`*\[\]~|$]|(?<![^\W_])_|_(?![^\W_]))")
_BLOCK_START = re.compile(r"^([#+=-]|\d+(?=[.)]))")


def encodable(text: str) -> str:
    """Return ``text`` with lone surrogates replaced, so that it encodes as UTF-8."""
    return "".join(REPLACEMENT if unicodedata.category(char) == "Cs" else char for char in text)


def printable(text: str, *, keep: str = "") -> str:
    """Return ``text`` with control, format and private characters made visible."""
    return "".join(
        REPLACEMENT if char not in keep and unicodedata.category(char) in _UNSAFE else char
        for char in text
    )


def line(text: object) -> str:
    """Return one line of printable text, shortened to :data:`LIMIT` characters."""
    one = printable(" ".join(str(text).split()))
    return one if len(one) <= LIMIT else f"{one[: LIMIT - 1]}\N{HORIZONTAL ELLIPSIS}"


def markdown(text: object) -> str:
    """Return ``text`` as one line of Markdown that means only itself inside a cell or sentence."""
    plain = line(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _MARKUP.sub(r"\\\1", plain)


def block(text: object) -> str:
    """Return ``text`` as :func:`markdown` that may begin a paragraph or a list item."""
    return _BLOCK_START.sub(_break_block, markdown(text))


def _break_block(match: re.Match[str]) -> str:
    start = match.group(1)
    return f"&#{ord(start[0])};{start[1:]}" if start[0].isdigit() else f"\\{start}"


def fence(text: str, language: str = "") -> list[str]:
    """Return the lines of a code block whose fence is longer than any run of backticks inside."""
    body = printable(text.replace("\r\n", "\n").replace("\r", "\n"), keep="\n\t")
    longest = max((len(run) for run in re.findall(r"`+", body)), default=0)
    mark = "`" * max(3, longest + 1)
    return [f"{mark}{language}", *body.rstrip("\n").split("\n"), mark]


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return the lines of a pipe table; every cell must already be Markdown."""
    lines = [_row(header), _row(["---"] * len(header))]
    lines += [_row(row) for row in rows]
    return [*lines, ""]


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
