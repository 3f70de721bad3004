"""Text from engines, models and studies is untrusted: here it becomes harmless."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
LIMIT = 400
"""Longest piece of foreign text in a sentence or a cell."""
_UNSAFE = {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}
_MARKUP = re.compile(r"([\\`*\[\]~|$]|(?<![^\W_])_|_(?![^\W_]))")
_SPACES = re.compile(r"[^\S\u202f]+")
"""White space, but not the thin space that sets thousands apart."""
_BLOCK_START = re.compile(r"^([#+=>-]|\d+(?=[.)]))")


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
    one = printable(" ".join(part for part in _SPACES.split(str(text)) if part))
    return one if len(one) <= LIMIT else f"{one[: LIMIT - 1]}\N{HORIZONTAL ELLIPSIS}"


def sentences(text: str) -> str:
    """Return several sentences or clauses, each as one :func:`line`."""
    return " ".join(line(part) for part in re.split(r"(?<=[.;]) ", text))


def flat(text: str) -> str:
    """Return printable text with its runs of white space as single spaces."""
    return printable(_SPACES.sub(" ", text))


def markdown(text: str) -> str:
    """Return ``text`` as Markdown that means only itself inside a cell or sentence."""
    plain = flat(text).replace("&", "&amp;").replace("<", "&lt;")
    return _MARKUP.sub(r"\\\1", plain)


def block(text: str) -> str:
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


def table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> list[str]:
    """Return the lines of a pipe table; every cell must already be Markdown."""
    head = list(header)
    return [_row(head), _row(["---"] * len(head)), *map(_row, rows), ""]


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
