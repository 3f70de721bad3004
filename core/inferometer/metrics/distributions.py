"""Percentiles and shares of requests: of one window, or of all launches of a cell together.

Requests of one batch share their fate, so they are looked at in the order in which they ended, and
a number comes with what they are worth (:mod:`inferometer.uncertainty.proportions`).
"""

from __future__ import annotations

import math
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import polars as pl

from inferometer.metrics.goodput import judged
from inferometer.metrics.windows import KEY
from inferometer.numbers import number
from inferometer.uncertainty.percentiles import pooled
from inferometer.uncertainty.proportions import pooled_proportion

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from inferometer.declared import Slo
    from inferometer.metrics.declaration import Metric
    from inferometer.tables import Tables

Place = tuple[str, int]
"""Launch and load point."""
_REQUESTS = ("ttft_ms", "ttft_intended_ms", "e2e_ms", "e2e_intended_ms", "tpot_ms", "met", "failed")


class Outcome(NamedTuple):
    """A percentile or a share over ``n`` launches, or the reason why there is none.

    ``low`` and ``high`` are the 95 % interval over launches: None where one launch alone, or
    nothing, bounds it.
    """

    value: float | None
    n: int
    low: float | None = None
    high: float | None = None
    reason: str | None = None
    detail: str = ""


class Ended:
    """Rows of :func:`requests` of one launch, and what several metrics take from them."""

    def __init__(self, rows: pl.DataFrame) -> None:
        self.rows = rows
        self._samples: dict[str, NDArray[np.float64]] = {}

    @cached_property
    def full(self) -> pl.DataFrame:
        """Those of full length: one of phase stagger was shorter than the workload says."""
        return self.rows.filter(pl.col("phase") == "load")

    @cached_property
    def failed(self) -> int:
        """How many of those of full length failed."""
        return int(self.full["finished"].not_().sum())

    def hits(self, column: str) -> NDArray[np.bool_]:
        """Return a column that says yes or no, of all requests; null is not judged."""
        return self.rows[column].drop_nulls().to_numpy()

    def samples(self, column: str) -> NDArray[np.float64]:
        """Return a latency of the requests of full length, in order of time."""
        if column not in self._samples:
            self._samples[column] = self.full[column].drop_nulls().to_numpy()
        return self._samples[column]


def requests(tables: Tables, slo: Slo | None) -> pl.DataFrame:
    """Return the requests that ended in their windows, in order of time.

    Columns: ``launch``, ``load_point``, ``stack``, ``model``, ``phase``, ``finished``, the
    latencies of :func:`inferometer.metrics.windows.timed`, ``met`` and ``failed``.
    """
    keys = [*KEY, "stack", "model", "phase", "finished"]
    return judged(tables, slo).sort("done_ns", maintain_order=True).select(*keys, *_REQUESTS)


def by_window(found: pl.DataFrame) -> dict[Place, Ended]:
    """Return the rows of :func:`requests` by launch and load point."""
    parts = found.partition_by(KEY, as_dict=True, maintain_order=True)
    return {(str(launch), int(point)): Ended(rows) for (launch, point), rows in parts.items()}


def outcome(metric: Metric, launches: Sequence[Ended]) -> Outcome:
    """Return a percentile or a share over the requests of ``launches``."""
    if metric.hits is not None:
        return _share(metric, [each.hits(metric.hits) for each in launches])
    samples = [each.samples(metric.requires[0]) for each in launches]
    failed = sum(each.failed for each in launches)
    return _percentile(metric, [one for one in samples if one.size], failed)


def _share(metric: Metric, hits: Sequence[NDArray[np.bool_]]) -> Outcome:
    found = [one for one in hits if one.size]
    seen = pooled_proportion(found)
    if seen.value is None:
        return Outcome(None, 0, None, None, "too_few_samples", "no request ended in the window")
    words = _worth(seen.n, seen.design_effect)
    words += " (assumed: none or all tell nothing of it)" if seen.value in {0.0, 1.0} else ""
    return _bounded(metric, Outcome(seen.value, len(found), seen.low, seen.high, None, words))


def _percentile(metric: Metric, samples: Sequence[NDArray[np.float64]], failed: int) -> Outcome:
    assert metric.percentile is not None
    seen = pooled(samples, metric.percentile)
    n = len(samples)
    if seen.value is None:
        words = _needed(metric, seen.needed, seen.design_effect, seen.n)
        return Outcome(None, n, reason="too_few_samples", detail=words)
    if math.isinf(seen.value):
        words = "so many requests failed that this percentile was never reached"
        return Outcome(None, n, reason="failed", detail=words)
    if seen.value <= 0:
        words = "the events of an answer came at once: no time between them"
        return Outcome(None, n, reason="too_few_samples", detail=words)
    words = _worth(seen.n, seen.design_effect)
    words += f"; {failed} failed requests are unfinished" if failed else ""
    high = None if seen.high is None or math.isinf(seen.high) else seen.high
    return _bounded(metric, Outcome(seen.value, n, seen.low, high, None, words))


def _needed(metric: Metric, needed: int, effect: float, n: int) -> str:
    floor = f"{metric.least_requests:,}"
    if effect > 1:
        floor = f"{floor} x {effect:.4g} = {needed:,}"
    return f"p{round((metric.percentile or 0) * 100)} needs {floor} requests, {n:,} ended"


def _worth(n: int, effect: float) -> str:
    return f"{n:,} requests, design effect {effect:.2g}"


def _bounded(metric: Metric, seen: Outcome) -> Outcome:
    """Return ``seen`` with an interval only where launches tell it: one alone is told in words."""
    low, high = seen.low, seen.high
    if low is None or high is None:
        few = "too few that finished" if "unfinished" in seen.detail else "too few"
        return seen._replace(low=None, high=None, detail=f"{seen.detail}; {few} to bound it")
    if seen.n > 1:
        return seen
    unit = "" if metric.unit == "1" else f" {metric.unit}"
    words = f"{seen.detail}; inside this launch {number(low)} to {number(high)}{unit}"
    return seen._replace(low=None, high=None, detail=words)


def of_windows(metric: Metric, found: Mapping[Place, Ended], place: Place) -> Outcome:
    """Return a percentile of one window of ``found``."""
    return outcome(metric, [found[place]] if place in found else [])
