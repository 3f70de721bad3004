"""A results directory as typed frames: the first step of the analysing half.

Every frame carries ``launch``, ``stack``, ``model`` and ``round``. Times are integer nanoseconds
of the measuring host's monotonic clock. Unknown is null, never 0.
"""

from __future__ import annotations

import functools
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from operator import attrgetter
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
import polars as pl
from msgspec import inspect

from inferometer import chunklog, nodes
from inferometer import store as files
from inferometer.errors import UsageError, words
from inferometer.records import (
    NOT_ENGINES,
    Condition,
    Idle,
    LaunchRecord,
    MeterInfo,
    Reading,
    Request,
    Window,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from inferometer.store import Store

R = TypeVar("R", bound=msgspec.Struct)
BATCHES = 5
"""Equal parts of a window whose scatter is looked at (batch means)."""
_DTYPES: dict[type[inspect.Type], Any] = {
    inspect.IntType: pl.Int64,
    inspect.FloatType: pl.Float64,
    inspect.BoolType: pl.Boolean,
    inspect.StrType: pl.String,
    inspect.LiteralType: pl.String,
    inspect.DictType: pl.String,  # as JSON
    inspect.ListType: pl.String,  # as JSON
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Tables:
    """The frames of one results directory; whole launches only.

    ``launches``  one row a launch: ``position``, ``node``, ``block`` (launches that may be
                  paired: :func:`nodes.blocks`), ``simulated``, ``started_ns``, ``ended_ns``
    ``windows``   one row a launch and load point: the fields of :class:`records.Window`
    ``meters``    one row a launch and meter: the fields of :class:`records.MeterInfo`
    ``requests``  one row a request: the fields of :class:`records.Request`
    ``counts``    one row a request and stretch between two edges with content events in it:
                  ``request``, ``load_point``, ``phase``, ``since_ns <= t < until_ns`` (null: no
                  edge there), ``events``, ``tokens`` (fractional where apportioned),
                  ``tokens_known``; the edges are those of :func:`edges`
    ``readings``  one row a meter reading: the fields of :class:`records.Reading`
    ``conditions``  one row a device and look: the fields of :class:`records.Condition`
    ``idles``     one row a launch and stretch without load: the fields of :class:`records.Idle`

    ``events`` reads again what was added up: given a launch, some of its requests, and a start and
    an end, it returns when their content events came (int64 ns, half open, as logged).
    """

    launches: pl.DataFrame
    windows: pl.DataFrame
    meters: pl.DataFrame
    requests: pl.DataFrame
    counts: pl.DataFrame
    readings: pl.DataFrame
    conditions: pl.DataFrame
    idles: pl.DataFrame
    events: Callable[[str, Sequence[int], int, int], NDArray[np.int64]]


def scan(store: Store) -> Tables:
    """Read every whole launch of ``store``.

    Raises:
        UsageError: launches of another plan or of another machine lie in the directory, or a
            file in it is damaged.
    """
    records = store.launches()
    refuse_mixture(store, records)
    folders = [store.folder(record.id) for record in records]
    requests = [_frame(folder, "requests", Request) for folder in folders]
    counts = [
        chunklog.count(folder, rows, edges(record))
        for record, folder, rows in zip(records, folders, requests, strict=True)
    ]

    def listed(name: str, type_: type[msgspec.Struct]) -> pl.DataFrame:
        return _stack(records, [_frame(folder, name, type_) for folder in folders], _schema(type_))

    return Tables(
        launches=_launches(store, records),
        windows=_parts(store, records, "windows", Window),
        meters=_parts(store, records, "meters", MeterInfo),
        requests=_stack(records, requests, _schema(Request)),
        counts=_stack(records, counts, chunklog.COUNTS),
        readings=listed("readings", Reading),
        conditions=listed("conditions", Condition),
        idles=_parts(store, records, "idles", Idle),
        events=partial(_events, store),
    )


def scan_requests(store: Store) -> Tables:
    """Read windows and requests of every whole launch, and leave the other frames empty.

    Raises:
        UsageError: as :func:`scan`.
    """
    records = store.launches()
    refuse_mixture(store, records)
    requests = [_frame(store.folder(record.id), "requests", Request) for record in records]
    none = pl.DataFrame()
    return Tables(
        launches=_launches(store, records),
        windows=_parts(store, records, "windows", Window),
        requests=_stack(records, requests, _schema(Request)),
        meters=none,
        counts=none,
        readings=none,
        conditions=none,
        idles=none,
        events=partial(_events, store),
    )


def edges(record: LaunchRecord) -> dict[int, list[int]]:
    """Return, by load point, the moments between which events can be added up.

    Those of the window and its batches, and those between which the engine's counters were read
    (both of these count, so that the second edge is a nanosecond later).
    """
    found: dict[int, list[int]] = {}
    for window in record.windows:
        at = batch_edges(window.start_ns, window.end_ns)
        if window.counters_start_ns is not None and window.counters_end_ns is not None:
            at += [window.counters_start_ns, window.counters_end_ns + 1]
        found.setdefault(window.load_point, []).extend(at)
    return found


def batch_edges(start_ns: int, end_ns: int) -> list[int]:
    """Return the edges of the :data:`BATCHES` equal parts of a window, its own among them."""
    return [start_ns + (end_ns - start_ns) * part // BATCHES for part in range(BATCHES + 1)]


def _events(
    store: Store, launch: str, requests: Sequence[int], start_ns: int, end_ns: int
) -> NDArray[np.int64]:
    return chunklog.times(store.folder(launch), requests, start_ns, end_ns)


def refuse_mixture(store: Store, records: Sequence[LaunchRecord]) -> None:
    """Raise :class:`UsageError` unless all launches share one plan and one machine.

    Launches of one stack must also share its environment, version, profile, precision and
    parallelism, and those of one model its weights (its own checkpoint's, where a stack has one).
    """
    plan = store.plan().sha256
    first: dict[tuple[str, str], LaunchRecord] = {}
    for record in records:
        _same("plan_sha256", record.id, record.plan_sha256, "plan.json", plan)
        _same("host_sha256", record.id, record.host_sha256, records[0].id, records[0].host_sha256)
        like = first.setdefault(("stack", stack_id(record)), record)
        value, expected = environment_sha256(record), environment_sha256(like)
        _same("environment.sha256", record.id, value, like.id, expected)
        for key in ("engine_version", "profile", "precision", "parallelism"):
            value, expected = str(record.stack.get(key)), str(like.stack.get(key))
            _same(f"stack.{key}", record.id, value, like.id, expected)
        own = stack_id(record) if record.model.get("checkpoint") else ""
        like = first.setdefault((f"model of {own}", model_name(record)), record)
        value, expected = str(record.model.get("sha256")), str(like.model.get("sha256"))
        _same("model.sha256", record.id, value, like.id, expected)


def environment_sha256(record: LaunchRecord) -> str:
    """Return the hash of what was installed with the engine; empty when it was not recorded."""
    return str(record.environment.get("sha256", ""))


def _same(field: str, launch: str, value: str, other: str, expected: str) -> None:
    if value != expected:
        raise UsageError(
            f"launch {launch}: {field} is {value[:12] or 'empty'!r}, "
            f"but {expected[:12] or 'empty'!r} in {other}",
            hint="Results of different plans or machines cannot be pooled: "
            "keep them in separate directories.",
        )


def read_rows(folder: Path, name: str, type_: type[R]) -> Sequence[R]:
    """Return the rows of one of a launch's JSON-lines files, none when it is absent.

    Raises:
        UsageError: a line is damaged; the message names the file.
    """
    return files.read_lines(folder / f"{name}.jsonl", type_)


def _frame(folder: Path, name: str, type_: type[msgspec.Struct]) -> pl.DataFrame:
    """Return the rows of one of a launch's JSON-lines files as a frame."""
    rows = read_rows(folder, name, type_)
    with _fitting(folder / f"{name}.jsonl", type_):
        return _rows(rows, type_)


def _parts(
    store: Store, records: Sequence[LaunchRecord], name: str, type_: type[msgspec.Struct]
) -> pl.DataFrame:
    """Return what each launch's record lists under ``name``, as one frame."""
    frames = []
    for record in records:
        with _fitting(store.folder(record.id) / "launch.json", type_):
            frames.append(_rows(getattr(record, name), type_))
    return _stack(records, frames, _schema(type_))


@contextmanager
def _fitting(path: Path, type_: type[msgspec.Struct]) -> Iterator[None]:
    """Turn what a number beyond 64 bits raises into an error that names the file."""
    try:
        yield
    except (OverflowError, TypeError, pl.exceptions.PolarsError) as error:
        raise _damaged(path, type_, error) from error


def _damaged(path: Path, type_: type[msgspec.Struct], error: Exception) -> UsageError:
    return UsageError(
        f"{path}: not readable as {type_.__name__}: {words(error)}",
        hint="The file was edited or damaged; restore it, or delete its folder to re-measure.",
    )


@functools.cache
def _fields(struct: type[msgspec.Struct]) -> tuple[inspect.Field, ...]:
    """Return the fields of a record type."""
    info = inspect.type_info(struct)
    assert isinstance(info, inspect.StructType)
    return info.fields


@functools.cache
def _schema(struct: type[msgspec.Struct]) -> pl.Schema:
    """Return the polars schema of a record type; every column may be null."""
    return pl.Schema({field.name: _dtype(field.type) for field in _fields(struct)})


def _dtype(kind: inspect.Type) -> Any:
    if isinstance(kind, inspect.UnionType):
        kind = next(part for part in kind.types if not isinstance(part, inspect.NoneType))
    return _DTYPES[type(kind)]


def _rows(rows: Sequence[msgspec.Struct], struct: type[msgspec.Struct]) -> pl.DataFrame:
    columns: dict[str, list[Any]] = {}
    for field in _fields(struct):
        cells = list(map(attrgetter(field.name), rows))
        if isinstance(field.type, inspect.DictType | inspect.ListType):
            cells = [msgspec.json.encode(cell).decode() for cell in cells]
        columns[field.name] = cells
    return pl.DataFrame(columns, schema=_schema(struct))


def _launches(store: Store, records: Sequence[LaunchRecord]) -> pl.DataFrame:
    schema = pl.Schema(
        {
            "position": pl.Int64(),
            "node": pl.String(),
            "block": pl.Int64(),
            "simulated": pl.Boolean(),
            "started_ns": pl.Int64(),
            "ended_ns": pl.Int64(),
        }
    )
    blocks = nodes.blocks(records)
    rows = []
    for record in records:
        cells = {
            "position": [record.position],
            "node": [record.node],
            "block": [blocks[record.id]],
            "simulated": [is_simulated(record)],
            "started_ns": [record.started_ns],
            "ended_ns": [record.ended_ns],
        }
        with _fitting(store.folder(record.id) / "launch.json", LaunchRecord):
            rows.append(pl.DataFrame(cells, schema=schema))
    return _stack(records, rows, schema)


def is_simulated(record: LaunchRecord) -> bool:
    """Say whether no real engine was run: ``environment.kind`` is ``simulated`` or ``fixture``."""
    kind = record.environment.get("kind")
    return isinstance(kind, str) and kind in NOT_ENGINES


def stack_id(record: LaunchRecord) -> str:
    """Return the id of the launch's stack."""
    return str(record.stack.get("id") or record.stack.get("engine") or "unknown")


def model_name(record: LaunchRecord) -> str:
    """Return the name of the launch's model."""
    return str(record.model.get("name") or "unknown")


def _stack(
    records: Sequence[LaunchRecord], frames: Iterable[pl.DataFrame], schema: pl.Schema
) -> pl.DataFrame:
    """Put the launches' frames under each other, with the columns that say whose they are."""
    keys: dict[str, Any] = {
        "launch": pl.Enum([record.id for record in records]),
        "stack": pl.Enum(sorted({stack_id(record) for record in records})),
        "model": pl.Enum(sorted({model_name(record) for record in records})),
        "round": pl.Int64,
    }
    parts = [
        frame.select(
            pl.lit(record.id).cast(keys["launch"]).alias("launch"),
            pl.lit(stack_id(record)).cast(keys["stack"]).alias("stack"),
            pl.lit(model_name(record)).cast(keys["model"]).alias("model"),
            pl.lit(record.round, dtype=pl.Int64).alias("round"),
            pl.all(),
        )
        for record, frame in zip(records, frames, strict=True)
    ]
    return pl.concat(parts) if parts else pl.DataFrame(schema={**keys, **schema})
