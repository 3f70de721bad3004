"""A results directory as typed frames: the first step of the analysing half.

Every frame carries ``launch``, ``stack``, ``model`` and ``round``. Times are integer nanoseconds
of the measuring host's monotonic clock. Unknown is null, never 0.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
import numpy as np
import polars as pl
from msgspec import inspect

from inferometer import store as files
from inferometer.errors import UsageError
from inferometer.records import (
    CHUNK,
    CHUNK_COUNT_UNKNOWN,
    Condition,
    Idle,
    LaunchRecord,
    MeterInfo,
    Reading,
    Request,
    Window,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from inferometer.store import Store

R = TypeVar("R", bound=msgspec.Struct)
CHUNK_DTYPE = np.dtype([("request", "<u4"), ("tokens", "<u2"), ("flags", "<u2"), ("t_ns", "<i8")])
"""``records.CHUNK`` as numpy sees it."""
NOT_ENGINES = frozenset({"simulated", "fixture"})
"""Values of ``environment.kind`` that mean that no real engine was run."""
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

    ``launches``  one row a launch: ``position``, ``simulated``, ``started_ns``, ``ended_ns``
    ``windows``   one row a launch and load point: the fields of :class:`records.Window`
    ``meters``    one row a launch and meter: the fields of :class:`records.MeterInfo`
    ``requests``  one row a request: the fields of :class:`records.Request`
    ``chunks``    one row a content event: ``request``, ``load_point``, ``phase``, ``t_ns``,
                  ``tokens`` (fractional where apportioned), ``tokens_known``
    ``readings``  one row a meter reading: the fields of :class:`records.Reading`
    ``conditions``  one row a device and look: the fields of :class:`records.Condition`
    ``idles``     one row a launch and stretch without load: the fields of :class:`records.Idle`
    """

    launches: pl.DataFrame
    windows: pl.DataFrame
    meters: pl.DataFrame
    requests: pl.DataFrame
    chunks: pl.DataFrame
    readings: pl.DataFrame
    conditions: pl.DataFrame
    idles: pl.DataFrame


def scan(store: Store) -> Tables:
    """Read every whole launch of ``store``.

    Raises:
        UsageError: launches of another plan or of another machine lie in the directory, or a
            file in it is damaged.
    """
    records = store.launches()
    refuse_mixture(store, records)
    folders = [store.folder(record.id) for record in records]
    requests = _stack(
        records,
        [_rows(read_rows(folder, "requests", Request), Request) for folder in folders],
        _schema(Request),
    )
    events = _stack(records, [read_chunks(folder) for folder in folders], _events_schema())
    return Tables(
        launches=_launches(records),
        windows=_stack(records, [_rows(r.windows, Window) for r in records], _schema(Window)),
        meters=_stack(records, [_rows(r.meters, MeterInfo) for r in records], _schema(MeterInfo)),
        requests=requests,
        chunks=count_tokens(events, requests),
        readings=_stack(
            records,
            [_rows(read_rows(folder, "readings", Reading), Reading) for folder in folders],
            _schema(Reading),
        ),
        conditions=_stack(
            records,
            [_rows(read_rows(folder, "conditions", Condition), Condition) for folder in folders],
            _schema(Condition),
        ),
        idles=_stack(records, [_rows(r.idles, Idle) for r in records], _schema(Idle)),
    )


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


def count_tokens(events: pl.DataFrame, requests: pl.DataFrame) -> pl.DataFrame:
    """Give every event its tokens.

    Where the engine did not count (flag 1), the request's ``output_tokens`` (usage), less what
    its other events hold, is spread evenly over its uncounted events. A request without usage
    (cut, failed) takes the mean tokens per uncounted event of its load point; null when there is
    none to take. ``tokens_known`` is False for all of these.
    """
    requests = requests.select("launch", "load_point", "phase", "output_tokens", request="index")
    known = (pl.col("flags") & CHUNK_COUNT_UNKNOWN) == 0
    by_request, by_point = ["launch", "request"], ["launch", "load_point", "phase"]
    counted = (
        events.with_columns(pl.col("request").cast(pl.Int64), tokens_known=known)
        .join(requests, on=by_request, how="inner", maintain_order="left")
        .with_columns(
            _rest=pl.col("output_tokens")
            - pl.col("tokens").filter(pl.col("tokens_known")).sum().over(by_request),
            _blank=(~pl.col("tokens_known")).sum().over(by_request),
        )
        .with_columns(
            _share=pl.when(~pl.col("tokens_known")).then(
                pl.col("_rest").clip(lower_bound=0) / pl.col("_blank")
            )
        )
        .with_columns(_typical=pl.col("_share").mean().over(by_point))
    )
    tokens = pl.when("tokens_known").then(pl.col("tokens").cast(pl.Float64))
    return counted.with_columns(tokens=tokens.otherwise(pl.coalesce("_share", "_typical"))).drop(
        "_rest", "_blank", "_share", "_typical", "output_tokens", "flags"
    )


def read_rows(folder: Path, name: str, type_: type[R]) -> Sequence[R]:
    """Return the rows of one of a launch's JSON-lines files, none when it is absent.

    Raises:
        UsageError: a line is damaged; the message names the file.
    """
    path = folder / f"{name}.jsonl"
    try:
        return files.read_lines(path, type_)
    except msgspec.DecodeError as error:
        raise UsageError(
            f"{path}: not readable as {type_.__name__}: {error}",
            hint="The file was edited or damaged; restore it, or delete its folder to re-measure.",
        ) from error


def read_chunks(folder: Path) -> pl.DataFrame:
    """Return a launch's raw events: ``request``, ``tokens``, ``flags``, ``t_ns``.

    They are kept as ``chunks.parquet`` beside ``chunks.bin`` from the first scan on; a copy
    with another number of rows is stale and made again. A read-only directory is no obstacle.
    """
    source, cache = folder / "chunks.bin", folder / "chunks.parquet"
    if not source.is_file():
        return pl.DataFrame(schema=_events_schema())
    size = source.stat().st_size
    if size % CHUNK.size:
        raise UsageError(
            f"{source}: {size} bytes are no whole number of {CHUNK.size}-byte records",
            hint="The file was cut or edited; restore it, or delete its folder to re-measure.",
        )
    kept = _cached(cache, size // CHUNK.size)
    if kept is not None:
        return kept
    records = np.frombuffer(source.read_bytes(), dtype=CHUNK_DTYPE)
    frame = pl.DataFrame(
        {name: np.ascontiguousarray(records[name]) for name in _events_schema()},
        schema=_events_schema(),
    )
    _keep(frame, cache)
    return frame


def _cached(cache: Path, rows: int) -> pl.DataFrame | None:
    if not cache.is_file():
        return None
    try:
        frame = pl.read_parquet(cache)
    except (OSError, pl.exceptions.PolarsError):
        return None
    return frame if frame.height == rows and frame.schema == _events_schema() else None


def _keep(frame: pl.DataFrame, cache: Path) -> None:
    temporary = cache.with_name(f".{cache.name}.{os.getpid()}.tmp")
    with contextlib.suppress(OSError):
        frame.write_parquet(temporary, compression="zstd", statistics=False)
        temporary.replace(cache)


def _events_schema() -> pl.Schema:
    return pl.Schema(
        {"request": pl.UInt32(), "tokens": pl.UInt16(), "flags": pl.UInt16(), "t_ns": pl.Int64()}
    )


def _schema(struct: type[msgspec.Struct]) -> pl.Schema:
    """Return the polars schema of a record type; every column may be null."""
    info = inspect.type_info(struct)
    assert isinstance(info, inspect.StructType)
    return pl.Schema({field.name: _dtype(field.type) for field in info.fields})


def _dtype(kind: inspect.Type) -> Any:
    if isinstance(kind, inspect.UnionType):
        kind = next(part for part in kind.types if not isinstance(part, inspect.NoneType))
    return _DTYPES[type(kind)]


def _rows(rows: Sequence[msgspec.Struct], struct: type[msgspec.Struct]) -> pl.DataFrame:
    schema = _schema(struct)
    return pl.DataFrame(
        {name: [_cell(getattr(row, name)) for row in rows] for name in schema}, schema=schema
    )


def _cell(value: object) -> object:
    return msgspec.json.encode(value).decode() if isinstance(value, dict | list) else value


def _launches(records: Sequence[LaunchRecord]) -> pl.DataFrame:
    schema = pl.Schema(
        {
            "position": pl.Int64(),
            "simulated": pl.Boolean(),
            "started_ns": pl.Int64(),
            "ended_ns": pl.Int64(),
        }
    )
    rows = [
        pl.DataFrame(
            {
                "position": [record.position],
                "simulated": [is_simulated(record)],
                "started_ns": [record.started_ns],
                "ended_ns": [record.ended_ns],
            },
            schema=schema,
        )
        for record in records
    ]
    return _stack(records, rows, schema)


def is_simulated(record: LaunchRecord) -> bool:
    """Say whether no real engine was run: ``environment.kind`` is ``simulated`` or ``fixture``."""
    return record.environment.get("kind") in NOT_ENGINES


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
