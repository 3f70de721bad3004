"""What a metric is: data. One expression over one grain, with its unit, direction and formula."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from inferometer.comparison import MetricInfo

if TYPE_CHECKING:
    import polars as pl

Grain = Literal["request", "window", "meter"]
"""``request``: an aggregate over a window's finished and failed requests; ``window``: the totals
of one window; ``meter``: those totals with one meter's joules."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One metric. ``expression`` gives one number a window from the columns in ``requires``.

    ``percentile`` (0..1) sets the least number of requests: 3 / (1 - p), so p90 needs 30, p95 60,
    p99 300. ``positive`` is False where 0 is an ordinary value, so that no logarithm is taken.
    A column ``x`` may bring ``x_reason`` (why it is null), ``x_detail`` and ``x_kind``.
    """

    id: str
    title: str
    unit: str
    direction: Literal["higher", "lower"]
    grain: Grain
    requires: tuple[str, ...]
    expression: pl.Expr
    formula: str
    source: str = ""
    percentile: float | None = None
    positive: bool = True

    @property
    def least_requests(self) -> int:
        """Return the least number of requests this metric may be computed from."""
        if self.percentile is None:
            return 1
        return round(3 / (1 - self.percentile))

    @property
    def info(self) -> MetricInfo:
        """Return the definition as reports print it."""
        return MetricInfo(
            id=self.id,
            title=self.title,
            unit=self.unit,
            direction=self.direction,
            formula=self.formula,
            source=self.source,
        )
