"""Reads a TOML file into a struct; every problem at once, each with its line and key."""

from __future__ import annotations

import contextlib
import datetime as dt
import re
import tomllib
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from inferometer import problems
from inferometer.errors import StudyError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    Rule = Callable[[dict[str, Any]], Iterable[problems.Problem]]

S = TypeVar("S", bound=msgspec.Struct)
MOST_BYTES = 1_000_000
MOST_REREAD = 500_000
"""Characters that are read again to find the lines of keys, beside three times the text."""
MOST_PARTS = 64
PART = r"""(?:[\w-]+|"[^"\n]*"|'[^'\n]*')[ \t]*\.[ \t]*"""
PARTS = re.compile(rf"(?<![\w-])(?:{PART}){{{MOST_PARTS}}}", re.ASCII)
"""A dotted key of so many parts that the parser would take minutes."""


def read(path: Path, *, what: str, hint: str) -> str:
    """Return a file's text; ``what`` names its kind in messages.

    Raises:
        UsageError: it is missing, unreadable, not UTF-8 or over a megabyte.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise UsageError(f"{path}: no such {what}", hint=hint) from error
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}", hint=hint) from error
    if len(content) > MOST_BYTES:
        raise UsageError(f"{path}: over a megabyte, which no {what} is", hint=hint)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(
            f"{path}: not UTF-8 (byte {error.start})", hint="Save the file as UTF-8."
        ) from error


def parse(text: str, name: str, type_: type[S], rules: Iterable[Rule] = ()) -> S:
    """Return the struct written in ``text``; ``name`` stands for the file in messages.

    Days may stand with or without quotes. ``rules`` see the decoded document; what one says of a
    key goes before what the types say of it.

    Raises:
        UsageError: not TOML.
        StudyError: it does not hold together; lists every problem by line and key.
    """
    if PARTS.search(text):
        raise UsageError(
            f"{name}: has a key of more than {MOST_PARTS} parts", hint="Write tables: [name]."
        )
    try:
        document = _with_days(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{name}: not TOML: {error}", hint="Correct that line.") from error
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, or [[[[...
        raise UsageError(
            f"{name}: cannot be read as TOML: {error}", hint="Shorten that number or nesting."
        ) from error
    found = [problem for rule in rules for problem in rule(document)]
    told = {key for key, _ in found}
    found += [problem for problem in problems.find(document, type_) if problem[0] not in told]
    if found:
        raise StudyError(name, problems.in_file_order(found, document), lines(text))
    return msgspec.convert(document, type_)


def lines(text: str) -> dict[str, int]:
    """Return the line, from 1, at which each key path of a TOML text begins.

    A key begins on the line after which the text up to there first holds it; a value over several
    lines, on the first of them. A text of which too much would have to be read again is one that
    nobody wrote: lines of its later keys are left out.
    """
    found: dict[str, int] = {}
    with contextlib.suppress(_TooMuchError):
        _find_lines(text, found, _Reader(MOST_REREAD + 3 * len(text)))
    return found


def _find_lines(text: str, found: dict[str, int], reader: _Reader) -> None:
    counts: dict[str, int] = {}  # tables so far of each array of tables
    rows = [f"{row}\n" for row in text.split("\n")]
    begin = 0
    for end in range(1, len(rows) + 1):
        # Table by table: what stands before one need not be read again for it.
        if end < len(rows) and not rows[end].lstrip().startswith("["):
            continue
        if reader.toml(rows[begin:end]) is not None:  # else that row is within a value
            for key, line in _lines_of_table(rows[begin:end], counts, reader):
                found.setdefault(key, begin + line)
            begin = end


def _lines_of_table(
    rows: list[str], counts: dict[str, int], reader: _Reader
) -> Iterator[tuple[str, int]]:
    """Yield the keys of one table and its ancestors, with their lines within it."""
    inner, prefix = rows, ""
    if rows[0].lstrip().startswith("["):
        document, inner = reader.toml(rows[:1]) or {}, rows[1:]
        while document:
            ((name, value),) = document.items()
            prefix = f"{prefix}.{name}" if prefix else name
            yield prefix, 1
            if isinstance(value, list):
                counts[prefix] = counts.get(prefix, 0) + 1
            if prefix in counts:
                prefix += f"[{counts[prefix] - 1}]"
                yield prefix, 1
            document = value[0] if isinstance(value, list) else value
    header = len(rows) - len(inner)
    whole = 0  # so many rows are TOML by themselves, and are not read again
    for count in range(1, len(inner) + 1):
        table = reader.toml(inner[whole:count])
        if table is not None:
            yield from ((key, header + whole + 1) for key in _paths(table, prefix))
            whole = count


class _TooMuchError(Exception):
    """So much was read again that the text was made for it."""


class _Reader:
    """Reads rows of a text, so many characters in all."""

    def __init__(self, left: int) -> None:
        self.left = left

    def toml(self, rows: list[str]) -> dict[str, Any] | None:
        """Return what rows say; None where they are no TOML by themselves, whatever of them."""
        text = "".join(rows)
        self.left -= len(text)
        if self.left < 0:
            raise _TooMuchError
        try:
            return tomllib.loads(text)
        except (ValueError, RecursionError):
            return None


def _paths(value: object, key: str) -> Iterator[str]:
    if key:
        yield key
    if isinstance(value, dict):
        for name, item in value.items():
            yield from _paths(item, f"{key}.{name}" if key else name)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _paths(item, f"{key}[{index}]")


def _with_days(value: Any) -> Any:
    """Return ``value`` with its days as text, so that quotes around one make no difference."""
    if isinstance(value, dict):
        return {key: _with_days(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_with_days(item) for item in value]
    return value.isoformat() if type(value) is dt.date else value
