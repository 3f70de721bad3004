"""Reads a TOML file into a struct; every problem at once, each with its line and key."""

from __future__ import annotations

import datetime as dt
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
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{name}: not TOML: {error}", hint="Correct that line.") from error
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, or [[[[...
        raise UsageError(
            f"{name}: cannot be read as TOML: {error}", hint="Shorten that number or nesting."
        ) from error
    document = _with_days(document)
    found = [problem for rule in rules for problem in rule(document)]
    told = {key for key, _ in found}
    found += [problem for problem in problems.find(document, type_) if problem[0] not in told]
    if found:
        raise StudyError(name, problems.in_file_order(found, document), lines(text))
    return msgspec.convert(document, type_)


def lines(text: str) -> dict[str, int]:
    """Return the line, from 1, at which each key path of a TOML text begins.

    A key begins on the line after which the text up to there first holds it; a value over several
    lines, on the first of them.
    """
    found: dict[str, int] = {}
    counts: dict[str, int] = {}  # tables so far of each array of tables
    rows = [f"{row}\n" for row in text.split("\n")]
    begin = 0
    for end in range(1, len(rows) + 1):
        # Table by table: what stands before one need not be read again for it.
        if end < len(rows) and not rows[end].lstrip().startswith("["):
            continue
        if _toml(rows[begin:end]) is not None:  # else that row is within a value
            for key, line in _lines_of_table(rows[begin:end], counts):
                found.setdefault(key, begin + line)
            begin = end
    return found


def _lines_of_table(rows: list[str], counts: dict[str, int]) -> Iterator[tuple[str, int]]:
    """Yield the keys of one table and its ancestors, with their lines within it."""
    inner, prefix = rows, ""
    if rows[0].lstrip().startswith("["):
        document, inner = _toml(rows[:1]) or {}, rows[1:]
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
        table = _toml(inner[whole:count])
        if table is not None:
            yield from ((key, header + whole + 1) for key in _paths(table, prefix))
            whole = count


def _toml(rows: list[str]) -> dict[str, Any] | None:
    try:
        return tomllib.loads("".join(rows))
    except (ValueError, RecursionError):  # rows that are no TOML by themselves, whatever of them
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
