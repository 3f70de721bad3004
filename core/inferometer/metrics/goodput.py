"""The requests of each window that met every objective of the study's ``[slo]``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from inferometer.metrics.windows import KEY, timed

if TYPE_CHECKING:
    from inferometer.declared import Slo
    from inferometer.tables import Tables

_LATENCIES = {"ttft_ms": "ttft_intended_ms", "tpot_ms": "tpot_ms", "e2e_ms": "e2e_intended_ms"}
"""Objective -> column of the population."""
UNJUDGED = "no request of full length ended in the window, or nobody counted its tokens"


def judged(tables: Tables, slo: Slo | None) -> pl.DataFrame:
    """Return :func:`timed` with ``met`` (every objective; null without any) and ``failed``.

    The population is that of the latencies: ``met`` is null for a stream's shortened first request,
    which would meet an end-to-end limit that none of full length does. A one-token answer has no
    TPOT, and so meets any. An answer whose tokens nobody counted is not judged by a limit of TPOT;
    nor are the failed ones of a window that has no others, or their share would be all there is.
    """
    found = timed(tables).with_columns(failed=pl.col("finished").not_())
    if slo is None:
        return found.with_columns(met=pl.lit(None, dtype=pl.Boolean))
    alone = pl.col("output_tokens") <= 1
    every = [
        pl.when(alone).then(True).otherwise(pl.col(_LATENCIES[name]) <= limit)
        if name == "tpot_ms"
        else pl.col(_LATENCIES[name]) <= limit
        for name, limit in _limits(slo).items()
    ]
    met = pl.col("finished") & pl.all_horizontal(every)
    blind = pl.col("finished") & pl.col("output_tokens").is_null() & (slo.tpot_ms is not None)
    load, told = pl.col("phase") == "load", pl.col("finished") & pl.col("met").is_not_null()
    lost = (load & blind).any().over(KEY) & told.any().over(KEY).not_()
    return found.with_columns(met=pl.when(load & blind.not_()).then(met)).with_columns(
        met=pl.when(lost.not_()).then(pl.col("met"))
    )


def _limits(slo: Slo) -> dict[str, float]:
    return {name: getattr(slo, name) for name in _LATENCIES if getattr(slo, name) is not None}


def good(tables: Tables, slo: Slo | None) -> pl.DataFrame:
    """Return one row a window: ``met`` requests, their ``met_tokens``, and ``good``.

    ``met`` is the share of the judged requests that met every objective, times all that ended, so
    that it stands beside the joules and the dollars of all; ``met_tokens`` likewise, of tokens.
    ``good`` is ``met`` where it is not 0, so that nothing is divided by it then.
    """
    keys = tables.windows.select(*KEY)
    if slo is None:
        return keys.with_columns(
            met=pl.lit(None, dtype=pl.Float64),
            met_tokens=pl.lit(None, dtype=pl.Float64),
            good=pl.lit(None, dtype=pl.Float64),
            **{
                f"{name}_{part}": pl.lit(text)
                for name in ("met", "met_tokens", "good")
                for part, text in (("reason", "not_declared"), ("detail", "the study has no [slo]"))
            },
        )
    words = ", ".join(
        f"{name.removesuffix('_ms').upper()} <= {x:g} ms" for name, x in _limits(slo).items()
    )
    judging = pl.when(pl.col("met").is_null()).then(pl.lit(UNJUDGED)).otherwise(pl.lit(words))
    return (
        keys.join(_met(judged(tables, slo)), on=KEY, how="left", maintain_order="left")
        .with_columns(good=pl.when(pl.col("met") > 0).then(pl.col("met")))
        .with_columns(
            good_reason=pl.when(pl.col("met") == 0).then(pl.lit("slo_never_met")),
            good_detail=judging,
            met_detail=judging,
            met_tokens_detail=judging,
        )
    )


def _met(ended: pl.DataFrame) -> pl.DataFrame:
    """Return ``met`` and ``met_tokens`` of windows; null where no request was judged."""
    met, finished = pl.col("met"), pl.col("finished")
    tokens = pl.col("output_tokens").cast(pl.Float64)
    whole = tokens.filter(finished & met.is_not_null()).sum()
    of_all, of_met = tokens.filter(finished).sum(), tokens.filter(met).sum()
    return (
        ended.group_by(KEY, maintain_order=True)
        .agg(
            judged=met.count(),
            met=met.sum().cast(pl.Float64) * pl.len() / met.count(),
            met_tokens=pl.when(whole > 0).then(of_met * of_all / whole).otherwise(0.0),
        )
        .with_columns(
            pl.when(pl.col("judged") > 0).then(name).alias(name) for name in ("met", "met_tokens")
        )
        .drop("judged")
    )
