"""The requests of each window that met every objective of the study's ``[slo]``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from inferometer.metrics.windows import KEY, timed

if TYPE_CHECKING:
    from inferometer.declared import Slo
    from inferometer.tables import Tables

_LATENCIES = {"ttft_ms": "ttft_intended_ms", "tpot_ms": "tpot_ms", "e2e_ms": "e2e_intended_ms"}
"""Objective -> column of the population; a one-token answer has no TPOT, and so meets any."""


def judged(tables: Tables, slo: Slo | None) -> pl.DataFrame:
    """Return :func:`timed` with ``met`` (every objective; null without any) and ``failed``.

    All that are counted as completed are judged, a stream's shortened first request as well: its
    joules are in the window, too.
    """
    found = timed(tables).with_columns(failed=pl.col("finished").not_())
    if slo is None:
        return found.with_columns(met=pl.lit(None, dtype=pl.Boolean))
    every = [pl.col(_LATENCIES[name]).fill_null(0.0) <= x for name, x in _limits(slo).items()]
    return found.with_columns(met=pl.col("finished") & pl.all_horizontal(every))


def _limits(slo: Slo) -> dict[str, float]:
    return {name: getattr(slo, name) for name in _LATENCIES if getattr(slo, name) is not None}


def good(tables: Tables, slo: Slo | None) -> pl.DataFrame:
    """Return one row a window: ``met`` requests, their ``met_tokens``, and ``good``.

    ``good`` is ``met`` where it is not 0, so that nothing is divided by it then.
    """
    keys = tables.windows.select(*KEY)
    if slo is None:
        return keys.with_columns(
            met=pl.lit(None, dtype=pl.Int64),
            met_tokens=pl.lit(None, dtype=pl.Int64),
            good=pl.lit(None, dtype=pl.Int64),
            **{
                f"{name}_{part}": pl.lit(text)
                for name in ("met", "met_tokens", "good")
                for part, text in (("reason", "not_declared"), ("detail", "the study has no [slo]"))
            },
        )
    words = ", ".join(
        f"{name.removesuffix('_ms').upper()} <= {x:g} ms" for name, x in _limits(slo).items()
    )
    met = pl.col("met")
    found = (
        judged(tables, slo)
        .group_by(KEY, maintain_order=True)
        .agg(met=met.sum().cast(pl.Int64), met_tokens=pl.col("output_tokens").filter(met).sum())
    )
    return (
        keys.join(found, on=KEY, how="left", maintain_order="left")
        .with_columns(good=pl.when(pl.col("met") > 0).then(pl.col("met")))
        .with_columns(
            good_reason=pl.when(pl.col("met") == 0).then(pl.lit("slo_never_met")),
            good_detail=pl.lit(words),
            met_detail=pl.lit(words),
        )
    )
