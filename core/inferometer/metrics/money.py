"""Metrics of cost. One bill for each window, divided once between input and output.

What an hour costs, and how its bill is divided, come in as columns (:data:`SCHEMA`): they are
made of a scenario, and another scenario needs no new measurement.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from inferometer.metrics.declaration import Metric

if TYPE_CHECKING:
    from inferometer.tables import Tables

SCHEMA = pl.Schema(
    {
        "launch": pl.String(),
        "load_point": pl.Int64(),
        "usd_per_hour": pl.Float64(),
        "usd_per_hour_kind": pl.String(),
        "usd_per_hour_reason": pl.String(),
        "usd_per_hour_detail": pl.String(),
        "input_share": pl.Float64(),
        "output_share": pl.Float64(),
        "input_share_kind": pl.String(),
        "output_share_kind": pl.String(),
        "input_share_reason": pl.String(),
        "output_share_reason": pl.String(),
        "input_share_detail": pl.String(),
        "output_share_detail": pl.String(),
    }
)
"""``usd_per_hour``: of all that was reserved to serve; the two shares of its bill add up to 1."""
_BILL = pl.col("usd_per_hour") / 3600 * pl.col("window_s")
_BASE = ("usd_per_hour", "window_s")
_TOTAL = pl.col("input_tokens") + pl.col("output_tokens")
_ONE_BILL = "bill = price per hour / 3600 * window; "


def nothing(tables: Tables) -> pl.DataFrame:
    """Return the columns for a comparison without a price."""
    rows = tables.windows.select("launch", "load_point")
    return rows.with_columns(
        **{name: pl.lit(None, dtype=type_) for name, type_ in list(SCHEMA.items())[2:]}
    )


def _per_mtok(
    id_: str,
    title: str,
    requires: tuple[str, ...],
    formula: str,
    *,
    tokens: pl.Expr,
    bill: pl.Expr,
) -> tuple[Metric, Metric]:
    """Return dollars per million tokens, and the tokens for a dollar."""
    tokens_, _, of = title.partition(", ")
    per_mtok = Metric(
        id=f"usd_per_mtok_{id_}",
        title=f"Cost per million {title}",
        unit="USD/Mtok",
        direction="lower",
        grain="window",
        requires=requires,
        expression=bill / tokens * 1e6,
        formula=_ONE_BILL + formula,
    )
    per_usd = Metric(
        id=f"{id_}_tok_per_usd",
        title=f"{tokens_.capitalize()} for a dollar, {of}",
        unit="tok/USD",
        direction="higher",
        grain="window",
        requires=requires,
        expression=tokens / bill,
        formula=f"1e6 / usd_per_mtok_{id_}",
    )
    return per_mtok, per_usd


def _shared(side: str, words: str) -> tuple[Metric, Metric]:
    column = f"{side}_tokens"
    return _per_mtok(
        side,
        f"{side} tokens, {words}",
        (*_BASE, f"{side}_share", column),
        f"bill * {side}'s share of it / {side} tokens * 1e6; input and output together are the "
        "bill, once",
        tokens=pl.col(column),
        bill=_BILL * pl.col(f"{side}_share"),
    )


def _per_hour_of(
    id_: str, title: str, unit: str, formula: str, *, column: str, expression: pl.Expr
) -> Metric:
    return Metric(
        id=id_,
        title=title,
        unit=unit,
        direction="lower",
        grain="window",
        requires=(*_BASE, column),
        expression=expression,
        formula=formula,
    )


COST = (
    _per_hour_of(
        "bill_usd_per_mtok_output",
        "Whole bill per million output tokens",
        "USD/Mtok",
        "price per hour / 3600 / output tok/s * 1e6: what ranks, for stacks that got the same work",
        column="output_tokens",
        expression=_BILL / pl.col("output_tokens") * 1e6,
    ),
    *_shared("output", "their part of the bill"),
    *_shared("input", "their part of the bill"),
    *_per_mtok(
        "total",
        "tokens, input and output",
        (*_BASE, "input_tokens", "output_tokens"),
        "bill / (input + output tokens) * 1e6",
        tokens=_TOTAL,
        bill=_BILL,
    ),
    _per_hour_of(
        "usd_per_request",
        "Cost per request",
        "USD",
        f"{_ONE_BILL}bill / requests completed; failed ones cost and earn nothing",
        column="completed",
        expression=_BILL / pl.col("completed"),
    ),
    _per_hour_of(
        "usd_per_good_request",
        "Cost per good request",
        "USD",
        f"{_ONE_BILL}bill / requests that met every SLO; late and failed ones cost and earn "
        "nothing",
        column="good",
        expression=_BILL / pl.col("good"),
    ),
    _per_hour_of(
        "usd_per_user_hour",
        "Cost of one user for an hour",
        "USD/h",
        "price per hour / mean requests in flight: one user with a request in flight all the "
        "time, at this load's interactivity",
        column="in_flight",
        expression=pl.col("usd_per_hour") / pl.col("in_flight"),
    ),
)
