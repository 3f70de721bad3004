"""The two grains without a meter: a window's totals, and the requests that ended in it.

A window is half open, ``start_ns <= t < end_ns``, so that adjacent windows share no event.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import polars as pl

from inferometer.tables import batch_edges

if TYPE_CHECKING:
    from collections.abc import Sequence

    from inferometer.tables import Tables

KEY = ["launch", "load_point"]
UNDER_LOAD = ("load", "stagger")
_FIRST, _LAST = -(2**63), 2**63 - 1
_ENDED = pl.coalesce("end_ns", "last_ns", "sent_ns")
"""When the client was through with a request that was not cut."""


def load_requests(tables: Tables) -> pl.DataFrame:
    """Return the requests under load with their window's ``start_ns`` and ``window_end_ns``.

    Phases ``load`` and ``stagger``: the shortened first request of each stream is load as well.
    """
    bounds = tables.windows.select(*KEY, "start_ns", window_end_ns="end_ns")
    return tables.requests.filter(pl.col("phase").is_in(UNDER_LOAD)).join(
        bounds, on=KEY, how="inner", maintain_order="left"
    )


def ended(tables: Tables) -> pl.DataFrame:
    """Return one row a request under load that ended in its window, with column ``finished``.

    Finished: status ok and last event in the window; else failed: status error and end in the
    window. A cut request is neither.
    """
    finished = (pl.col("status") == "ok") & _inside("last_ns")
    failed = (pl.col("status") == "error") & _inside("done_ns")
    return (
        load_requests(tables)
        .with_columns(done_ns=_ENDED)
        .filter(finished | failed)
        .with_columns(finished=pl.col("status") == "ok")
    )


def timed(tables: Tables) -> pl.DataFrame:
    """Return :func:`ended` with the latencies of each request; a failed one's are +inf.

    It is unfinished for ever. Columns ``ttft_ms``, ``ttft_intended_ms``, ``e2e_ms``,
    ``e2e_intended_ms``, ``tpot_ms`` (null for a one-token answer).
    """

    def latency(nanoseconds: pl.Expr) -> pl.Expr:
        return pl.when("finished").then(nanoseconds / 1e6).otherwise(float("inf"))

    gaps = pl.when(pl.col("output_tokens") > 1).then(pl.col("output_tokens") - 1)
    return ended(tables).with_columns(
        ttft_ms=latency(pl.col("first_ns") - pl.col("sent_ns")),
        ttft_intended_ms=latency(pl.col("first_ns") - pl.col("intended_ns")),
        e2e_ms=latency(pl.col("last_ns") - pl.col("sent_ns")),
        e2e_intended_ms=latency(pl.col("last_ns") - pl.col("intended_ns")),
        tpot_ms=latency((pl.col("last_ns") - pl.col("first_ns")) / gaps),
    )


def population(tables: Tables) -> pl.DataFrame:
    """Return the latency population: the requests of full length among :func:`timed`.

    One of phase ``stagger`` was shorter than the workload says.
    """
    return timed(tables).filter(pl.col("phase") == "load")


def totals(tables: Tables) -> pl.DataFrame:
    """Return one row a window: ``window_s``, tokens, requests, and those ``in_flight``.

    ``output_tokens`` is null where an event's tokens are unknown or no event fell in the window;
    ``input_tokens`` uses the pinned length for a request whose usage never came (the prompt was
    sent whole; the check of prompt lengths proves the pinned length on those that ended).
    ``decode_tokens`` are the output tokens beyond each request's first.
    ``ended`` = ``completed`` + ``failed``, null when none did.
    """
    simulated = tables.launches.select("launch", "simulated")
    return (
        tables.windows.join(simulated, on="launch", how="left", maintain_order="left")
        .join(_output(tables), on=KEY, how="left", maintain_order="left")
        .join(_first(tables), on=KEY, how="left", maintain_order="left")
        .join(_ended(tables), on=KEY, how="left", maintain_order="left")
        .join(in_flight(tables), on=KEY, how="left", maintain_order="left")
        .with_columns(window_s=(pl.col("end_ns") - pl.col("start_ns")) / 1e9)
        .with_columns(
            window_s=pl.when(pl.col("window_s") > 0).then(pl.col("window_s")),
            decode_tokens=pl.col("output_tokens") - pl.col("first_tokens").fill_null(0),
        )
    )


def first_tokens(tables: Tables) -> pl.DataFrame:
    """Return the rows of :func:`load_requests` whose first token fell in the window."""
    return load_requests(tables).filter(_inside("first_ns"))


def in_flight(tables: Tables) -> pl.DataFrame:
    """Return each window's time-averaged number of requests in flight, ``in_flight``.

    The sum over requests of the part of [send, done] inside the window / its length.
    """
    done = pl.when(pl.col("status") == "cut").then(pl.col("end_ns")).otherwise(_ENDED)
    until = pl.min_horizontal(done.fill_null(pl.col("window_end_ns")), "window_end_ns")
    since = pl.max_horizontal("sent_ns", "start_ns")
    length = (pl.col("window_end_ns") - pl.col("start_ns")).first()
    return (
        load_requests(tables)
        .group_by(KEY, maintain_order=True)
        .agg(in_flight=(until - since).clip(lower_bound=0).sum() / length)
    )


def _inside(column: str, end: str = "window_end_ns") -> pl.Expr:
    return (pl.col(column) >= pl.col("start_ns")) & (pl.col(column) < pl.col(end))


def batches(tables: Tables) -> pl.DataFrame:
    """Return :func:`within` for each of the equal parts of every window, numbered in ``batch``."""
    parts = [
        (launch, point, batch, since, until)
        for launch, point, start_ns, end_ns in tables.windows.select(
            *KEY, "start_ns", "end_ns"
        ).iter_rows()
        for batch, (since, until) in enumerate(pairwise(batch_edges(start_ns, end_ns)))
    ]
    keys = pl.Schema({name: tables.windows.schema[name] for name in KEY})
    schema = pl.Schema({**keys, "batch": pl.Int64(), "start_ns": pl.Int64(), "end_ns": pl.Int64()})
    return within(tables, pl.DataFrame(parts, schema=schema, orient="row"))


def within(tables: Tables, spans: pl.DataFrame, phases: Sequence[str] = UNDER_LOAD) -> pl.DataFrame:
    """Return ``spans`` that hold events, with ``output_tokens``, ``events`` and ``tokens_known``.

    ``spans`` has ``launch``, ``load_point``, ``start_ns`` and ``end_ns`` (half open), which must
    be edges as in :func:`inferometer.tables.edges`. ``output_tokens`` is null where an event's
    tokens are unknown.

    Raises:
        ValueError: a span begins or ends between two edges, so that it cannot be told.
    """
    since, until = pl.col("since_ns").fill_null(_FIRST), pl.col("until_ns").fill_null(_LAST)
    start, end = pl.col("start_ns"), pl.col("end_ns")
    columns = [*KEY, "since_ns", "until_ns", "events", "tokens", "tokens_known"]
    found = (
        tables.counts.filter(pl.col("phase").is_in(phases))
        .select(columns)
        .join(spans, on=KEY, how="inner", maintain_order="left")
        .filter((since < end) & (until > start) & (start < end))
    )
    if found.filter((since < start) | (until > end)).height:
        raise ValueError("a span begins or ends between two edges of the counts")
    tokens = pl.col("tokens")
    return found.group_by(spans.columns, maintain_order=True).agg(
        output_tokens=pl.when(tokens.has_nulls().not_()).then(tokens.sum()),
        events=pl.col("events").sum(),
        tokens_known=pl.col("tokens_known").all(),
    )


def _output(tables: Tables) -> pl.DataFrame:
    spans = tables.windows.select(*KEY, "start_ns", "end_ns")
    found = within(tables, spans).drop("start_ns", "end_ns")
    some = pl.col("output_tokens") > 0
    return found.with_columns(output_tokens=pl.when(some).then(pl.col("output_tokens")))


def _first(tables: Tables) -> pl.DataFrame:
    prompt = pl.coalesce("input_tokens", "input_tokens_expected")
    return (
        first_tokens(tables)
        .group_by(KEY, maintain_order=True)
        .agg(input_tokens=prompt.sum(), first_tokens=pl.len())
    )


def _ended(tables: Tables) -> pl.DataFrame:
    return (
        ended(tables)
        .group_by(KEY, maintain_order=True)
        .agg(
            completed=pl.col("finished").sum(),
            failed=pl.col("finished").not_().sum(),
            ended=pl.len(),
        )
    )
