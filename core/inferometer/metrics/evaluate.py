"""From tables to one number per launch, load point and metric: the long table of points."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import polars as pl

from inferometer.comparison import worst_kind
from inferometer.metrics import distributions, phases, steadiness
from inferometer.metrics import money as cost
from inferometer.metrics.catalogue import METRICS
from inferometer.metrics.goodput import UNJUDGED, good
from inferometer.metrics.shares import by_meter
from inferometer.metrics.windows import KEY, totals

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from inferometer.comparison import Kind
    from inferometer.declared import Energy, Slo
    from inferometer.metrics.declaration import Metric
    from inferometer.tables import Tables

POINTS = pl.Schema(
    {
        "launch": pl.String(),
        "stack": pl.String(),
        "model": pl.String(),
        "round": pl.Int64(),
        "block": pl.Int64(),
        "load_point": pl.Int64(),
        "metric": pl.String(),
        "meter": pl.String(),
        "value": pl.Float64(),
        "kind": pl.String(),
        "reason": pl.String(),
        "detail": pl.String(),
    }
)
"""``value`` is null exactly when ``reason`` is not; ``meter`` is null outside grain ``meter``.
Pairs are made by ``block``: the round, where that is whole on one node."""
_ABSENT = {
    "usd_per_hour": ("no_price", "neither the study nor a scenario says what an hour costs"),
    "input_share": ("no_division", "nothing tells how the bill is divided"),
    "output_share": ("no_division", "nothing tells how the bill is divided"),
    "in_flight": ("too_few_samples", "no request was in flight in the window"),
    "output_tokens": ("too_few_samples", "no output token was counted in the window"),
    "input_tokens": ("too_few_samples", "no first token fell in the window"),
    "prefill_tokens": ("too_few_samples", "no first token fell in the window"),
    "decode_tokens": ("too_few_samples", "no output token was counted in the window"),
    "completed": ("too_few_samples", "no request ended in the window"),
    "met": ("too_few_samples", UNJUDGED),
    "met_tokens": ("too_few_samples", UNJUDGED),
    "good": ("too_few_samples", UNJUDGED),
    "power_limit_w": ("not_recorded", "the meter names no power limit"),
    "energy_pm_j": ("not_recorded", "no plus-minus is known of this meter"),
    "ended": ("too_few_samples", "no request ended in the window"),
}
"""Reason and words for a column that is null and brings no reason of its own."""
_ON_DEMAND = {
    frozenset({"prefill_tokens"}): phases.computed,
    frozenset({"prefill_busy_share", "decode_busy_share"}): phases.busy,
    frozenset({"batch_noise"}): steadiness.noise,
}
"""Columns of a window that are made only where a metric asks for them."""
DECLARED_WATTS = {"mean_power_w", "peak_power_w"}
"""What repeats the watts of a declared meter, so that it is declared and no estimate."""
_APPORTIONED = "token times apportioned from usage"


def evaluate(
    tables: Tables,
    money: pl.DataFrame | None = None,
    *,
    slo: Slo | None = None,
    energy: Energy | None = None,
    metrics: Sequence[Metric] = METRICS,
) -> pl.DataFrame:
    """Return every metric at every launch and load point (schema :data:`POINTS`).

    ``money`` has the columns of :data:`inferometer.metrics.money.SCHEMA`; without it there are
    reasons in place of costs.
    """
    priced = cost.nothing(tables) if money is None else money
    priced = priced.cast({"launch": tables.windows.schema["launch"]})
    asked = {column for metric in metrics for column in metric.requires}
    parts = [priced, good(tables, slo)]
    parts += [made(tables) for columns, made in _ON_DEMAND.items() if asked & columns]
    blocks = tables.launches.select("launch", "block")
    window = totals(tables).join(blocks, on="launch", how="left", maintain_order="left")
    for part in parts:
        window = window.join(part, on=KEY, how="left", maintain_order="left")
    frames = {"window": window}
    if any(metric.grain == "meter" for metric in metrics):
        energies = by_meter(tables, energy)
        frames["meter"] = window.join(energies, on=KEY, how="inner", maintain_order="left")
    rows: list[tuple[Any, ...]] = []
    of_requests = [metric for metric in metrics if metric.grain == "request"]
    if of_requests:
        rows += _of_requests(of_requests, window, distributions.requests(tables, slo))
    for metric in metrics:
        if metric.grain in frames:
            rows += _points(metric, frames[metric.grain].with_columns(_value=metric.expression))
    return pl.DataFrame(rows, schema=POINTS, orient="row")


def _of_requests(
    metrics: Sequence[Metric], window: pl.DataFrame, every: pl.DataFrame
) -> Iterator[tuple[Any, ...]]:
    full, by_window = every.filter(pl.col("phase") == "load"), distributions.by_window(every)
    for metric in metrics:
        if metric.percentile is not None:
            yield from _percentiles(metric, window, by_window)
            continue
        found = _aggregate(metric, full)
        yield from _points(metric, window.join(found, on=KEY, how="left", maintain_order="left"))


def _aggregate(metric: Metric, ended: pl.DataFrame) -> pl.DataFrame:
    return ended.group_by(KEY, maintain_order=True).agg(
        _value=metric.expression.cast(pl.Float64),
        _requests=pl.col(metric.requires[0]).count(),
        _failed=pl.col("finished").not_().sum(),
    )


def _percentiles(
    metric: Metric, window: pl.DataFrame, found: Mapping[distributions.Place, distributions.Ended]
) -> Iterator[tuple[Any, ...]]:
    for row in window.iter_rows(named=True):
        seen = distributions.of_windows(metric, found, (row["launch"], row["load_point"]))
        yield _point(metric, row, (seen.value, seen.reason, seen.detail))


def _points(metric: Metric, frame: pl.DataFrame) -> Iterator[tuple[Any, ...]]:
    for row in frame.iter_rows(named=True):
        yield _point(metric, row, _outcome(metric, row))


def _point(
    metric: Metric, row: dict[str, Any], outcome: tuple[float | None, str | None, str]
) -> tuple[Any, ...]:
    value, reason, detail = outcome
    return (
        row["launch"],
        row["stack"],
        row["model"],
        row["round"],
        row["block"],
        row["load_point"],
        metric.id,
        row.get("meter"),
        value,
        _kind(metric, row),
        reason,
        detail,
    )


def _outcome(metric: Metric, row: dict[str, Any]) -> tuple[float | None, str | None, str]:
    """Return value, reason and detail: exactly one of value and reason is None."""
    if metric.grain == "request":
        return _request_outcome(metric, row)
    for column in metric.requires:
        if row[column] is None:
            usual = _ABSENT.get(column, ("failed", f"{column} is unknown in this window"))
            reason = row.get(f"{column}_reason") or usual[0]
            return None, reason, row.get(f"{column}_detail") or usual[1]
    value = row["_value"]
    if value is None or not math.isfinite(value) or (metric.positive and value <= 0):
        return None, "too_few_samples", "nothing was counted in this window"
    details = [row.get(f"{column}_detail") or "" for column in metric.requires]
    if {"output_tokens", "decode_tokens"} & set(metric.requires) and row["tokens_known"] is False:
        details.append(_APPORTIONED)
    return value, None, "; ".join(filter(None, details))


def _request_outcome(metric: Metric, row: dict[str, Any]) -> tuple[float | None, str | None, str]:
    value = row["_value"]
    if not row["_requests"]:
        return None, "too_few_samples", "no request ended in the window"
    if value is None or math.isnan(value):
        return None, "too_few_samples", "no request finished in the window"
    if math.isinf(value) or (metric.positive and value <= 0):
        return None, "too_few_samples", "the events of an answer came at once: no time between them"
    failed = row["_failed"]
    return value, None, f"{failed} failed requests are unfinished" if failed else ""


def _kind(metric: Metric, row: dict[str, Any]) -> Kind:
    """Return the worst kind of what goes in; declared watts are declared, their joules are not."""
    if row["simulated"]:
        return "simulated"
    kinds: list[Kind] = [row.get(f"{column}_kind") or "measured" for column in metric.requires]
    if metric.grain == "meter":
        declared = row["meter_kind"] == "declared" and metric.id not in DECLARED_WATTS
        kinds.append("estimated" if declared else row["meter_kind"])
    return worst_kind(kinds)
