"""Files of a results directory: written so that each is whole or absent, read as what they are.

What is synced is on disk, and the name of a new file is only when its directory is synced, too.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from contextlib import contextmanager
from functools import cache
from operator import attrgetter
from typing import TYPE_CHECKING, TypeVar

import msgspec
from msgspec import Struct, inspect

from inferometer import redact, withheld
from inferometer.capacity_records import CapacitySearch
from inferometer.errors import StorageError, UsageError, words
from inferometer.records import CHUNK, SCHEMA, LaunchRecord, Probe, Reading, Request

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

T = TypeVar("T")
OURS = {
    *(inspect.IntType, inspect.FloatType, inspect.BoolType, inspect.NoneType),
    *(inspect.LiteralType, inspect.EnumType),
}
"""Types of fields that hold no words of somebody else's."""
_ENCODER = msgspec.json.Encoder()
DAMAGED = "The file was edited or damaged; restore it"

LAUNCHES = {"launches", "failed"}
"""Whose folders each hold one launch."""


class _Versioned(Struct):
    schema: int = 1


@contextmanager
def storage_errors(root: Path) -> Iterator[None]:
    """Turn an OSError about ``root`` into a :class:`StorageError` that says what to do."""
    try:
        yield
    except OSError as error:
        name = error.filename or root
        raise StorageError(
            f"{name}: cannot write results: {error.strerror or error}",
            hint="Free space or fix permissions, then run the same command again: it resumes.",
        ) from error


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that it is either whole or absent, also after a power cut."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:  # Ctrl-C as well
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
    sync(path.parent)


def write_files(folder: Path, files: Mapping[str, str]) -> None:
    """Write an engine's configuration files, by name; the folder is made when there are any."""
    with storage_errors(folder):
        for name, text in files.items():
            folder.mkdir(parents=True, exist_ok=True)
            write_whole(folder / name, text.encode())


def is_temporary(name: str) -> bool:
    """Say whether a file of that name is what a killed :func:`write_whole` left."""
    return name.startswith(".") and name.endswith(".tmp")


def make_folder(path: Path) -> None:
    """Make a folder, whose name is on disk afterwards; one that is there stays."""
    if not path.is_dir():
        make_folder(path.parent)
        path.mkdir(exist_ok=True)
        sync(path.parent)


def append_lines(path: Path, rows: Iterable[object]) -> None:
    """Append structs as JSON lines and flush them to the operating system."""
    with storage_errors(path), path.open("ab") as file:
        file.write(encode_lines(rows))


def append_chunks(path: Path, rows: Iterable[tuple[int, int, int, int]]) -> None:
    """Append ``(request, tokens, flags, t_ns)`` as fixed-width records."""
    with storage_errors(path), path.open("ab") as file:
        file.write(b"".join(CHUNK.pack(*row) for row in rows))


def read_lines(path: Path, type_: type[T]) -> Sequence[T]:
    """Return the rows of a JSON-lines file (none when the file is absent).

    Raises:
        UsageError: a line is damaged; the message names the file and the line.
    """
    if not path.is_file():
        return []
    decoder, found = msgspec.json.Decoder(type_), list[T]()
    lines = _content(path).splitlines()
    try:
        found.extend(map(decoder.decode, lines))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UsageError(
            f"{path}: not readable as {type_.__name__}: line {len(found) + 1}: {words(error)}",
            hint=_mend(path),
        ) from error
    return found


def read_text(path: Path) -> str:
    """Read a text, or raise :class:`UsageError` naming the file."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"{path}: not readable as text: {words(error)}", hint=_mend(path)
        ) from error


def _mend(path: Path) -> str:
    """Return what to do about a damaged file; only a launch can be measured anew."""
    if path.parent.parent.name in LAUNCHES:
        return f"{DAMAGED}, or delete its folder to re-measure."
    if path.name in {"plan.json", "study.toml"}:
        return f"{DAMAGED}, or delete plan.json and study.toml alone and run the same study again."
    return f"{DAMAGED} from a copy."


def encode_lines(rows: Iterable[object]) -> bytes:
    """Return structs as JSON lines, in which no known secret stands."""
    rows = list(rows)
    content = _ENCODER.encode_lines(rows)
    if not withheld.holds(_foreign(rows, content)):
        return content
    return b"".join(redact.encoded(msgspec.json.encode(row)) + b"\n" for row in rows)


def _foreign(rows: Sequence[object], content: bytes) -> bytes:
    """Return what of ``rows``, which are ``content``, may hold somebody else's words.

    A load point has 100,000 requests, and nearly all that is in them are numbers of ours.
    """
    types = set(map(type, rows))
    if len(types) != 1 or not issubclass(type_ := types.pop(), Struct):
        return content
    columns: list[object] = []
    for name, is_text in _columns(type_):
        values = map(attrgetter(name), rows)
        columns.append(list(set(values)) if is_text else list(values))
    return _ENCODER.encode(columns)


@cache
def _columns(type_: type[Struct]) -> tuple[tuple[str, bool], ...]:
    """Return the fields that may hold words that are not ours; and whether they are plain text."""
    info = inspect.type_info(type_)
    assert isinstance(info, inspect.StructType)
    found = []
    for field in info.fields:
        kind = field.type
        kinds = set(map(type, kind.types if isinstance(kind, inspect.UnionType) else [kind]))
        if not kinds <= OURS and not field.name.endswith("sha256"):  # which we computed
            found.append((field.name, kinds <= OURS | {inspect.StrType}))
    return tuple(found)


def encode(value: object) -> bytes:
    """Return readable JSON with a final newline."""
    return msgspec.json.format(redact.encoded(msgspec.json.encode(value)), indent=1) + b"\n"


def decode(path: Path, type_: type[T]) -> T:
    """Read one JSON file as ``type_``, or raise :class:`UsageError` naming it.

    So does one that a newer Inferometer made, whose ``schema`` says so: what it holds may mean
    something else.
    """
    content = _content(path)
    try:
        value = msgspec.json.decode(content, type=type_)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        _refuse_newer(path, _schema(content))
        raise UsageError(
            f"{path}: not readable as {getattr(type_, '__name__', type_)}: {words(error)}",
            hint=_mend(path),
        ) from error
    schema = getattr(value, "schema", 1)
    _refuse_newer(path, schema if isinstance(schema, int) else 1)
    return value


def launch_in(folder: Path) -> LaunchRecord:
    """Read the record of the launch in a folder, whose name is its id: files are sought by that.

    Raises:
        UsageError: it is not readable, or of another launch.
    """
    path = folder / "launch.json"
    record = decode(path, LaunchRecord)
    failed = record.status == "failed" and folder.name.startswith(f"{record.id}-")
    if folder.name != record.id and not failed:
        raise UsageError(
            f"{path}: is of launch {record.id[:80]!r}, but lies in another one's folder",
            hint="The folder was renamed or the file edited; restore it, or delete the folder.",
        )
    return record


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(
            f"{path}: cannot be read: {error.strerror or error}",
            hint="Restore it, or give yourself permission to read it.",
        ) from error


def _schema(content: bytes) -> int:
    try:
        return msgspec.json.decode(content, type=_Versioned).schema
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return 1


def _refuse_newer(path: Path, schema: int) -> None:
    if schema > SCHEMA:
        raise UsageError(
            f"{path}: made by a newer Inferometer (format {schema}; this one knows up to {SCHEMA})",
            hint="Update it: pip install --upgrade inferometer",
        )


def sync(path: Path) -> None:
    """Flush a file or a directory to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def requests(folder: Path) -> Sequence[Request]:
    """Return a launch's requests."""
    return read_lines(folder / "requests.jsonl", Request)


def readings(folder: Path) -> Sequence[Reading]:
    """Return a launch's meter readings."""
    return read_lines(folder / "readings.jsonl", Reading)


def probes(folder: Path) -> Sequence[Probe]:
    """Return a launch's parity probes."""
    return read_lines(folder / "probes.jsonl", Probe)


def capacities(folder: Path) -> Sequence[CapacitySearch]:
    """Return a launch's searches for capacity."""
    return read_lines(folder / "capacity.jsonl", CapacitySearch)
