"""Read files that somebody else wrote: bounded, and every problem is one clear error.

Units: bytes for sizes, lines counted from 1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from inferometer.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MOST_BYTES = 1 << 30
"""Largest file read whole (1 GiB; the widely used ShareGPT file has about 0.7 GB)."""
MOST_LINE_BYTES = 1 << 20
"""Longest line of a file read by lines (1 MiB)."""
MOST_TOKENS = 10_000_000
"""Longest prompt or answer believed: ten million tokens."""
CORRECT = "Correct that line, or leave it out."


def content(path: Path) -> bytes:
    """Return a whole file.

    Raises:
        UsageError: missing, unreadable, or larger than :data:`MOST_BYTES`.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
    except OSError as error:
        _unreadable(path, error)
    if len(data) > MOST_BYTES:
        raise UsageError(
            f"{path}: larger than {MOST_BYTES >> 30} GiB", hint="Give a smaller part of it."
        )
    return data


def lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield (line number, text without its end) of every line that is not blank.

    Memory: one line at a time. A byte order mark is ignored.

    Raises:
        UsageError: missing, unreadable, not UTF-8, or a line over :data:`MOST_LINE_BYTES`.
    """
    try:
        with path.open("rb") as file:
            number = 0
            while line := file.readline(MOST_LINE_BYTES + 1):
                number += 1
                if len(line) > MOST_LINE_BYTES:
                    raise UsageError(
                        f"{path}, line {number}: longer than {MOST_LINE_BYTES >> 20} MiB",
                        hint="Give a text file with one request a line.",
                    )
                text = _decoded(path, number, line)
                if text:
                    yield number, text
    except OSError as error:
        _unreadable(path, error)


def first(path: Path) -> tuple[int, str]:
    """Return the first line that is not blank, with its number.

    Raises:
        UsageError: as :func:`lines`, and for a file without any.
    """
    for number, text in lines(path):
        return number, text
    raise UsageError(f"{path}: empty", hint="Give a file with one request a line.")


def whole_number(text: str, what: str, place: str) -> int:
    """Return a token count written in decimal digits, 0 to :data:`MOST_TOKENS`.

    Raises:
        UsageError: anything else; the message names ``place`` and ``what``.
    """
    digits = text.strip()
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 12):
        raise UsageError(f"{place}: {what} is {shown(text)}, no whole number", hint=CORRECT)
    return tokens(int(digits), what, place)


def tokens(value: int, what: str, place: str) -> int:
    """Return ``value`` if it is a believable token count, else raise :class:`UsageError`."""
    if not 0 <= value <= MOST_TOKENS:
        raise UsageError(f"{place}: {what} is {value}, not within 0 to {MOST_TOKENS}", hint=CORRECT)
    return value


def shown(text: str) -> str:
    """Return foreign text quoted, shortened and harmless to a terminal."""
    quoted = ascii(text)
    return quoted if len(quoted) <= 40 else f"{quoted[:37]}..."


def _decoded(path: Path, number: int, line: bytes) -> str:
    try:
        return line.decode("utf-8-sig" if number == 1 else "utf-8").strip()
    except UnicodeDecodeError as error:
        raise UsageError(
            f"{path}, line {number}: not UTF-8 (byte {error.start} of the line)",
            hint="Give a text file saved as UTF-8; unpack it first if it is compressed.",
        ) from error


def _unreadable(path: Path, error: OSError) -> NoReturn:
    raise UsageError(
        f"{path}: cannot be read: {error.strerror}", hint="Give the path of a readable file."
    ) from error
