"""Prefill and decode in each window, as far as client and engine tell them apart.

A request's first token belongs to its prefill, every other to decode. How long a step of a batch
worked for either only the engine can say: with chunked prefill both are in one step.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl
from msgspec import json

from inferometer.metrics.windows import KEY, first_tokens

if TYPE_CHECKING:
    from inferometer.tables import Tables

UNKNOWN_CACHE = (
    "not_told",
    "prompts share beginnings, and the engine does not say how many tokens its cache held",
)
PHASES = ("prefill", "decode")
_NO_SECONDS = "the engine does not count the seconds in which it was busy with each phase"
_SCHEMA: dict[str, Any] = {
    "prefill_busy_share": pl.Float64,
    "decode_busy_share": pl.Float64,
    "prefill_busy_share_reason": pl.String,
    "decode_busy_share_reason": pl.String,
    "prefill_busy_share_detail": pl.String,
    "decode_busy_share_detail": pl.String,
}


def computed(tables: Tables) -> pl.DataFrame:
    """Return one row a window: ``prefill_tokens``, the prompt tokens that it computed, or why not.

    A prompt counts where its first token fell, like input throughput. One whose usage never came
    (it was cut) is taken to be cached as the others were; in a cold window none is. One that was
    answered without a word of cached tokens, where others have one, had none: some versions of
    vLLM leave out a nought.
    """
    warm = tables.windows.select(*KEY, warm=pl.col("cache") == "warm")
    prompt = pl.coalesce("input_tokens", "input_tokens_expected")
    told = pl.col("cached_tokens").is_not_null() | (pl.col("status") == "ok")
    found = (
        first_tokens(tables)
        .join(warm, on=KEY, how="left")
        .group_by(KEY, maintain_order=True)
        .agg(
            pl.col("warm").first(),
            known=prompt.filter(told).sum(),
            cached=pl.col("cached_tokens").sum(),
            mute=prompt.filter(~told).sum(),
            silent=pl.col("cached_tokens").is_null().all(),
        )
    )
    hidden = pl.col("warm") & pl.col("silent")
    rest = pl.when("warm").then(1 - pl.col("cached") / pl.col("known")).otherwise(1.0)
    words = pl.when("silent").then(
        pl.lit("the engine does not tell cached tokens; prompts share nothing, so all are counted")
    )
    return found.select(
        *KEY,
        prefill_tokens=pl.when(~hidden).then(
            pl.col("known") - pl.col("cached") + pl.col("mute") * rest
        ),
        prefill_tokens_reason=pl.when(hidden).then(pl.lit(UNKNOWN_CACHE[0])),
        prefill_tokens_detail=pl.when(hidden).then(pl.lit(UNKNOWN_CACHE[1])).otherwise(words),
    )


def uncached(tables: Tables) -> dict[tuple[str, int], float | None]:
    """Return the prompt tokens that each window computed; None where the cache's are not told."""
    rows = computed(tables).select(*KEY, "prefill_tokens").iter_rows()
    return {(launch, point): tokens for launch, point, tokens in rows}


def busy(tables: Tables) -> pl.DataFrame:
    """Return one row a window: the share of the time in which the engine was busy in each phase.

    Its own seconds, between two readings of its counters, over the time between them.
    """
    columns = ["counters", "counters_start_ns", "counters_end_ns", "counters_reason"]
    rows = []
    for launch, point, text, start, end, reason in tables.windows.select(
        *KEY, *columns
    ).iter_rows():
        counters = json.decode(text or "{}")
        seconds = (end - start) / 1e9 if start is not None and end is not None else 0.0
        shares = [_share(counters.get(f"{phase}_busy_s"), seconds) for phase in PHASES]
        reasons = [None if share else reason or "not_told" for share in shares]
        rows.append((launch, point, *shares, *reasons, _NO_SECONDS, _NO_SECONDS))
    keys = {name: tables.windows.schema[name] for name in KEY}
    found = pl.DataFrame(rows, schema=keys | _SCHEMA, orient="row")
    return found.with_columns(
        pl.when(pl.col(f"{phase}_busy_share").is_null()).then(f"{phase}_busy_share_detail")
        for phase in PHASES
    )


def _share(busy_s: float | None, seconds: float) -> float | None:
    return busy_s / seconds if busy_s and seconds > 0 else None
