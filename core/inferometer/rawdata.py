"""The requests behind a report, one row each: a Parquet file, and what a report says of it.

No text of a prompt or an answer is in it, because none is stored.
"""

from __future__ import annotations

import hashlib
import io
from typing import TYPE_CHECKING

import polars as pl

from inferometer import redact
from inferometer.comparison import DataFile
from inferometer.metrics import windows

if TYPE_CHECKING:
    from inferometer.tables import Tables

NAME = "requests.parquet"
HOLDS = "one request a row, of every whole launch: stack, model, workload, load, times, tokens"
_KEY = ["launch", "load_point", "index"]
_FOREIGN = ("error", "finish_reason")
_OK = pl.col("status") == "ok"


def requests(tables: Tables) -> pl.DataFrame:
    """Return one row a request, in running order.

    The fields of :class:`inferometer.records.Request` with ``launch``, ``stack``, ``model`` and
    ``round`` (from 1) before them, and after them ``workload`` and ``load`` (null where the launch
    has no window of that load), ``ended_in_window`` (completed or failed there: what the error
    rate counts), ``in_latency`` (what latencies are of) and, of answers that ended well,
    ``ttft_ms``, ``e2e_ms`` and ``tpot_ms``. Times in ns are of the machine's monotonic clock: of
    several nodes each has its own, and ``node`` behind ``round`` says which.
    """
    gaps = pl.when(pl.col("output_tokens") > 1).then(pl.col("output_tokens") - 1)

    def latency(nanoseconds: pl.Expr) -> pl.Expr:
        return pl.when(_OK).then(nanoseconds / 1e6)

    ended = _among(windows.ended(tables), "ended_in_window")
    latencies = _among(windows.population(tables), "in_latency")
    places = tables.windows.select("launch", "load_point", "workload", "load")
    found = tables.requests.with_columns(_said(tables.requests[name]) for name in _FOREIGN)
    where = tables.launches.select("launch", "node")
    if where["node"].null_count() < where.height:
        found = found.join(where, on="launch", how="left", maintain_order="left")
        first = ["launch", "stack", "model", "round", "node"]
        found = found.select(*first, pl.exclude(first))
    return (
        found.join(places, on=["launch", "load_point"], how="left", maintain_order="left")
        .join(ended, on=_KEY, how="left", maintain_order="left")
        .join(latencies, on=_KEY, how="left", maintain_order="left")
        .with_columns(
            pl.col("launch", "stack", "model").cast(pl.String),
            pl.col("round") + 1,
            pl.col("ended_in_window", "in_latency").fill_null(value=False),
            ttft_ms=latency(pl.col("first_ns") - pl.col("sent_ns")),
            e2e_ms=latency(pl.col("last_ns") - pl.col("sent_ns")),
            tpot_ms=latency((pl.col("last_ns") - pl.col("first_ns")) / gaps),
        )
    )


def _among(rows: pl.DataFrame, name: str) -> pl.DataFrame:
    return rows.select(_KEY).with_columns(pl.lit(value=True).alias(name))


def _said(column: pl.Series) -> pl.Series:
    """Return an engine's words without control characters and secrets; most are said often."""
    words = {text: redact.text(redact.plain(text)) for text in column.drop_nulls().unique()}
    texts = [None if text is None else words[text] for text in column]
    return pl.Series(column.name, texts, dtype=pl.String)


def files(tables: Tables) -> list[tuple[DataFile, bytes]]:
    """Return the files of raw data with what a report says of each; none without a request."""
    rows = requests(tables)
    if not rows.height:
        return []
    buffer = io.BytesIO()
    rows.write_parquet(buffer, compression="zstd")
    content = buffer.getvalue()
    digest = hashlib.sha256(content).hexdigest()
    told = DataFile(name=NAME, sha256=digest, bytes=len(content), rows=rows.height, holds=HOLDS)
    return [(told, content)]
