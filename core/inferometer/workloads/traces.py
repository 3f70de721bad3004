"""Recorded traffic: when requests came, how long they were, what beginnings they shared.

Four formats, told apart by their content, not their name:

- **mooncake** (JSON lines; Qin et al., FAST 2025): ``timestamp`` in ms, ``input_length``,
  ``output_length`` in tokens, ``hash_ids``: one id for each block of 512 prompt tokens, chained,
  so that equal leading ids mean an equal beginning. Optional.
- **burstgpt** (CSV; Wang et al., KDD 2025, arXiv 2401.17644): ``Timestamp`` in s,
  ``Request tokens``, ``Response tokens``; other columns (``Model``, ``Total tokens``,
  ``Log Type``, ``Session ID``, ``Elapsed time``) are not used. Failed calls have 0 tokens.
- **azure** (CSV; Patel et al., ISCA 2024, and Stojkovic et al., HPCA 2025): ``TIMESTAMP`` as date
  and time, ``ContextTokens``, ``GeneratedTokens``. Ten-millionths of a second are cut to
  microseconds; a time without zone is UTC.
- **inferometer** (JSON lines, ours): ``time_s``, ``input_tokens``, ``output_tokens``, and
  ``prefix_hash``: an array of texts, one for each block of 512 prompt tokens, or one text for
  the first block. Optional.

Rows without a prompt or without an answer cannot be replayed: they are skipped and counted.
"""

from __future__ import annotations

import csv
import datetime as dt
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal, TypeVar

import msgspec
from msgspec import Meta, Struct

from inferometer.errors import UsageError, words
from inferometer.workloads import reading

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

BURSTGPT = ("Timestamp", "Request tokens", "Response tokens")
AZURE = ("TIMESTAMP", "ContextTokens", "GeneratedTokens")
MOST_ROWS = 1_000_000
MOST_PREFIXES = 20_000_000
"""Prefix ids kept in all; a trace with more is refused rather than let to fill the memory."""
PREFIXES_PER_ROW = 65_536

T = TypeVar("T")
Format = Literal["mooncake", "burstgpt", "azure", "inferometer"]


@dataclass(frozen=True, slots=True)
class TraceRow:
    """One request: seconds after the trace's first, lengths in tokens, ids of its beginning.

    Two rows share a beginning as far as their ``prefix`` tuples are equal from the start.
    """

    offset_s: float
    input_tokens: int
    output_tokens: int
    prefix: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Trace:
    """A trace in the order of its times."""

    format: Format
    rows: tuple[TraceRow, ...]
    skipped: int
    """Rows without a prompt or an answer."""
    complete: bool
    """False when the file has more rows than were asked for."""


class _Mooncake(Struct, frozen=True):
    timestamp: float
    input_length: int
    output_length: int
    hash_ids: Annotated[list[int | str], Meta(max_length=PREFIXES_PER_ROW)] = []


class _Ours(Struct, frozen=True, forbid_unknown_fields=True):
    time_s: float
    input_tokens: int
    output_tokens: int
    prefix_hash: Annotated[list[str], Meta(max_length=PREFIXES_PER_ROW)] | str | None = None


def read(path: Path, limit: int = MOST_ROWS) -> Trace:
    """Read at most ``limit`` replayable requests of a trace, sorted by time, the first at 0 s.

    Memory: the rows, at most :data:`MOST_PREFIXES` prefix ids, and one line of the file.

    Raises:
        UsageError: unreadable, of no known format, or a bad line (named); or nothing to replay.
    """
    form = detect(path)
    rows: list[TraceRow] = []
    known: dict[str, str] = {}
    skipped = prefixes = 0
    complete = True
    for row in READERS[form](path):
        if not (row.input_tokens and row.output_tokens):
            skipped += 1
            continue
        if len(rows) == limit:
            complete = False
            break
        prefixes += len(row.prefix)
        if prefixes > MOST_PREFIXES:
            raise UsageError(
                f"{path}: more than {MOST_PREFIXES} prefix ids", hint="Give a part of the trace."
            )
        # The same text once: block ids repeat by design.
        prefix = tuple(known.setdefault(id_, id_) for id_ in row.prefix)
        rows.append(TraceRow(row.offset_s, row.input_tokens, row.output_tokens, prefix))
    if not rows:
        raise UsageError(f"{path}: no request with a prompt and an answer", hint=_HINT)
    start = min(row.offset_s for row in rows)
    ordered = sorted(
        (
            TraceRow(row.offset_s - start, row.input_tokens, row.output_tokens, row.prefix)
            for row in rows
        ),
        key=lambda row: row.offset_s,
    )
    return Trace(form, tuple(ordered), skipped, complete)


def detect(path: Path) -> Format:
    """Return the format that the first line of ``path`` shows.

    Raises:
        UsageError: unreadable, or none of the four.
    """
    number, text = reading.first(path)
    if text.startswith("{"):
        keys = set(_decode(path, number, text, dict[str, msgspec.Raw]))
        if {"timestamp", "input_length", "output_length"} <= keys:
            return "mooncake"
        if {"time_s", "input_tokens", "output_tokens"} <= keys:
            return "inferometer"
        raise UsageError(f"{path}, line {number}: a JSON object of no known trace", hint=_HINT)
    columns = set(_cells(path, number, text))
    if {*AZURE} <= columns:
        return "azure"
    if {*BURSTGPT} <= columns:
        return "burstgpt"
    raise UsageError(
        f"{path}, line {number}: neither a JSON object nor the header of a known trace", hint=_HINT
    )


def _mooncake(path: Path) -> Iterator[TraceRow]:
    for number, text in reading.lines(path):
        got = _decode(path, number, text, _Mooncake)
        place = f"{path}, line {number}"
        yield TraceRow(
            _time(got.timestamp / 1000, place),
            reading.tokens(got.input_length, "input_length", place),
            reading.tokens(got.output_length, "output_length", place),
            tuple(str(id_) for id_ in got.hash_ids),
        )


def _ours(path: Path) -> Iterator[TraceRow]:
    for number, text in reading.lines(path):
        got = _decode(path, number, text, _Ours)
        place = f"{path}, line {number}"
        hashes = [got.prefix_hash] if isinstance(got.prefix_hash, str) else got.prefix_hash
        yield TraceRow(
            _time(got.time_s, place),
            reading.tokens(got.input_tokens, "input_tokens", place),
            reading.tokens(got.output_tokens, "output_tokens", place),
            tuple(hashes or ()),
        )


def _logged(
    path: Path, names: tuple[str, str, str], when: Callable[[str, str], float]
) -> Iterator[TraceRow]:
    """Yield the rows of a CSV file with columns of times, input and output tokens."""
    for place, (time, tokens_in, tokens_out) in _table(path, names):
        yield TraceRow(
            when(time, place),
            reading.whole_number(tokens_in, names[1], place),
            reading.whole_number(tokens_out, names[2], place),
        )


READERS: dict[Format, Callable[[Path], Iterator[TraceRow]]] = {
    "mooncake": _mooncake,
    "burstgpt": lambda path: _logged(path, BURSTGPT, _seconds),
    "azure": lambda path: _logged(path, AZURE, _moment),
    "inferometer": _ours,
}
_HINT = (
    "Known traces: Mooncake and Inferometer (JSON lines), BurstGPT and Azure LLM inference (CSV "
    "with their header)."
)


def _table(path: Path, names: tuple[str, ...]) -> Iterator[tuple[str, list[str]]]:
    """Yield (place, the named cells) of each row under the header of a CSV file."""
    columns: list[int] | None = None
    for number, text in reading.lines(path):
        cells = _cells(path, number, text)
        if columns is None:
            columns = [cells.index(name) for name in names]
            continue
        place = f"{path}, line {number}"
        if len(cells) <= max(columns):
            raise UsageError(
                f"{place}: {len(cells)} cells, fewer than the header asks for",
                hint=reading.CORRECT,
            )
        yield place, [cells[column] for column in columns]


def _cells(path: Path, number: int, text: str) -> list[str]:
    try:
        return [cell.strip() for cell in next(csv.reader([text], strict=True), [])]
    except csv.Error as error:
        raise UsageError(f"{path}, line {number}: not CSV: {words(error)}", hint=_HINT) from error


def _decode(path: Path, number: int, text: str, type_: type[T]) -> T:
    try:
        return msgspec.json.decode(text, type=type_)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise UsageError(f"{path}, line {number}: {words(error)}", hint=_HINT) from error


def _seconds(text: str, place: str) -> float:
    try:
        return _time(float(text), place)
    except ValueError as error:
        raise UsageError(
            f"{place}: Timestamp is {reading.shown(text)}, no seconds", hint=reading.CORRECT
        ) from error


def _moment(text: str, place: str) -> float:
    try:
        moment = dt.datetime.fromisoformat(text)
    except ValueError as error:
        raise UsageError(
            f"{place}: TIMESTAMP is {reading.shown(text)}, no date and time",
            hint=reading.CORRECT,
        ) from error
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=dt.UTC)
    return (moment - _EPOCH).total_seconds()


_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


def _time(seconds: float, place: str) -> float:
    if not (math.isfinite(seconds) and abs(seconds) < 1e12):
        raise UsageError(f"{place}: the time is {seconds} s, which cannot be", hint=reading.CORRECT)
    return seconds
