"""The two grains without a meter: a window's totals, and the requests that ended in it.

A window is half open, ``start_ns <= t < end_ns``, so that adjacent windows share no event.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

if TYPE_CHECKING:
    from inferometer.declared import Price
    from inferometer.tables import Tables

KEY = ["launch", "load_point"]
UNDER_LOAD = ("load", "stagger")
_ENDED = pl.coalesce("end_ns", "last_ns", "sent_ns")


def load_requests(tables: Tables) -> pl.DataFrame:
    """Return the requests under load with their window's ``start_ns`` and ``end_ns``.

    Phases ``load`` and ``stagger``: the shortened first request of each stream is load as well.

    Adds ``done_ns``: when the client was through with the request (null while in flight).
    """
    bounds = tables.windows.select(*KEY, "start_ns", "concurrency", window_end_ns="end_ns")
    return (
        tables.requests.filter(pl.col("phase").is_in(UNDER_LOAD))
        .join(bounds, on=KEY, how="inner", maintain_order="left")
        .with_columns(
            done_ns=pl.when(pl.col("status") == "cut").then(pl.col("end_ns")).otherwise(_ENDED)
        )
    )


def population(tables: Tables) -> pl.DataFrame:
    """Return the latency population: one row a request that ended in its window.

    Finished: status ok and last event in the window. Failed: status error and end in the window;
    its latencies are +inf, it is unfinished for ever. A cut request is in neither, nor is one of
    phase ``stagger``: it was shorter than the workload says. Columns
    ``ttft_ms``, ``ttft_intended_ms``, ``e2e_ms``, ``e2e_intended_ms``, ``tpot_ms`` (null for a
    one-token answer).
    """
    finished = (pl.col("status") == "ok") & _inside("last_ns")
    failed = (pl.col("status") == "error") & _inside("done_ns")
    whole = load_requests(tables).filter(pl.col("phase") == "load")
    ended = whole.filter(finished | failed)

    def latency(nanoseconds: pl.Expr) -> pl.Expr:
        return pl.when(pl.col("status") == "ok").then(nanoseconds / 1e6).otherwise(float("inf"))

    gaps = pl.when(pl.col("output_tokens") > 1).then(pl.col("output_tokens") - 1)
    return ended.with_columns(
        finished=pl.col("status") == "ok",
        ttft_ms=latency(pl.col("first_ns") - pl.col("sent_ns")),
        ttft_intended_ms=latency(pl.col("first_ns") - pl.col("intended_ns")),
        e2e_ms=latency(pl.col("last_ns") - pl.col("sent_ns")),
        e2e_intended_ms=latency(pl.col("last_ns") - pl.col("intended_ns")),
        tpot_ms=latency((pl.col("last_ns") - pl.col("first_ns")) / gaps),
    )


def totals(tables: Tables, price: Price | None) -> pl.DataFrame:
    """Return one row a window: ``window_s``, tokens, requests, and the price.

    ``output_tokens`` is null where an event's tokens are unknown or no event fell in the window;
    ``input_tokens`` uses the pinned length for a request whose usage never came (the prompt was
    sent whole; the check of prompt lengths proves the pinned length on those that ended).
    ``ended`` = ``completed`` + ``failed``, null when none did.
    """
    simulated = tables.launches.select("launch", "simulated")
    return (
        tables.windows.join(simulated, on="launch", how="left", maintain_order="left")
        .join(_output(tables), on=KEY, how="left", maintain_order="left")
        .join(_input(tables), on=KEY, how="left", maintain_order="left")
        .join(_ended(tables), on=KEY, how="left", maintain_order="left")
        .with_columns(
            window_s=(pl.col("end_ns") - pl.col("start_ns")) / 1e9,
            usd_per_hour=pl.lit(price.usd_per_hour if price else None, dtype=pl.Float64),
            usd_per_hour_kind=pl.lit("estimated"),  # a price is declared
        )
        .with_columns(window_s=pl.when(pl.col("window_s") > 0).then(pl.col("window_s")))
    )


def in_flight(tables: Tables) -> pl.DataFrame:
    """Return each window's time-averaged number of requests in flight.

    ``in_flight`` = sum over requests of the part of [send, done] inside the window / its length;
    ``open_at_end``: requests still in flight when it closed.
    """
    until = pl.min_horizontal(pl.col("done_ns").fill_null(pl.col("window_end_ns")), "window_end_ns")
    since = pl.max_horizontal("sent_ns", "start_ns")
    length = (pl.col("window_end_ns") - pl.col("start_ns")).first()
    late = pl.col("done_ns").is_null() | (pl.col("done_ns") >= pl.col("window_end_ns"))
    return (
        load_requests(tables)
        .group_by(KEY, maintain_order=True)
        .agg(
            in_flight=(until - since).clip(lower_bound=0).sum() / length,
            open_at_end=(late & (pl.col("sent_ns") < pl.col("window_end_ns"))).sum(),
        )
    )


def _inside(column: str, end: str = "window_end_ns") -> pl.Expr:
    return (pl.col(column) >= pl.col("start_ns")) & (pl.col(column) < pl.col(end))


def _output(tables: Tables) -> pl.DataFrame:
    tokens = pl.col("tokens")
    return (
        tables.chunks.filter(pl.col("phase").is_in(UNDER_LOAD))
        .join(tables.windows.select(*KEY, "start_ns", "end_ns"), on=KEY, how="inner")
        .filter(_inside("t_ns", "end_ns"))
        .group_by(KEY, maintain_order=True)
        .agg(
            output_tokens=pl.when(tokens.has_nulls().not_() & (tokens.sum() > 0)).then(
                tokens.sum()
            ),
            events=pl.len(),
            tokens_known=pl.col("tokens_known").all(),
        )
    )


def _input(tables: Tables) -> pl.DataFrame:
    prompt = pl.coalesce("input_tokens", "input_tokens_expected")
    return (
        load_requests(tables)
        .filter(_inside("first_ns"))
        .group_by(KEY, maintain_order=True)
        .agg(input_tokens=prompt.sum())
    )


def _ended(tables: Tables) -> pl.DataFrame:
    return (
        population(tables)
        .group_by(KEY, maintain_order=True)
        .agg(
            completed=pl.col("finished").sum(),
            failed=pl.col("finished").not_().sum(),
            ended=pl.len(),
        )
    )
