"""What a metric is: data. One expression over one grain, with its unit, direction and formula."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from inferometer.comparison import MetricInfo
from inferometer.uncertainty.percentiles import least_number

if TYPE_CHECKING:
    import polars as pl

Grain = Literal["request", "window", "meter"]
"""``request``: an aggregate over a window's finished and failed requests; ``window``: the totals
of one window; ``meter``: those totals with one meter's joules."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One metric. ``expression`` gives one number a window from the columns in ``requires``.

    ``percentile`` (0..1): it is that of the expression's values, one a request, and
    :mod:`inferometer.metrics.distributions` computes it. ``hits``: it is a share of requests, those
    of this yes/no column, and over launches it is that of all of them. ``positive`` is False where
    0 is an ordinary value, so that no logarithm is taken. A column ``x`` may bring ``x_reason``
    (why it is null), ``x_detail`` and ``x_kind``.
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
    hits: str | None = None
    positive: bool = True

    @property
    def least_requests(self) -> int:
        """Return the least number of independent requests this metric may be computed from."""
        return 1 if self.percentile is None else least_number(self.percentile)

    @property
    def of_requests(self) -> bool:
        """Say whether the requests of all launches together tell it, and no mean over launches."""
        return self.percentile is not None or self.hits is not None

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
