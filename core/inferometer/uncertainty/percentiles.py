"""Percentiles of dependent samples: a least number, and an interval from order statistics.

Requests of one batch share their fate, so ``n`` of them hold what ``n / deff`` independent ones
would, with ``deff`` the design effect (:mod:`inferometer.uncertainty.proportions`).

Launches are pooled, because a percentile far out takes more requests than one window holds. The
interval is then as wide as batches *or* launches differ, whichever says more.

Sources: least numbers are those of MLPerf LoadGen's early stopping (``early_stopping.cc``), as a
floor only: by itself that rule takes queries for independent. Interval: the number of samples
below a quantile is binomial (David and Nagaraja, Order Statistics, 2003, section 7.1), with the
effective number of a cluster sample (Korn and Graubard, Survey Methodology 24, 1998); where no
sample bounds it, the jackknife that leaves out one launch at a time (Shao and Wu, Annals of
Statistics 17, 1989: sound for quantiles when what is left out is large).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from scipy import special

from inferometer.stats import LEVEL, t_quantile
from inferometer.uncertainty.proportions import Dependence, dependence

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

FLOOR_LEVEL = 0.99
"""Certainty with which a floor separates the percentile from the worst sample but one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Percentile:
    """A quantile of one or more launches with its interval, or ``reason`` why there is none.

    ``value`` is a sample, never a number between two; ``n`` counts samples, ``design_effect`` how
    many of them are worth one, ``needed`` the least ``n`` at that effect. ``high`` is inf where so
    many samples are (a request that failed never ended); ``low`` None and ``high`` inf where
    nothing bounds it.
    """

    p: float
    value: float | None
    low: float | None
    high: float | None
    n: int
    needed: int
    design_effect: float
    reason: str | None = None


@lru_cache(maxsize=64)
def least_number(p: float, *, level: float = FLOOR_LEVEL) -> int:
    """Return the least number of independent samples from which the p-quantile may be told.

    The least ``n`` with ``P(at most 1 of n above the quantile) <= 1 - level``, that is
    ``p^n + n p^(n-1) (1-p) <= 1 - level``: 11 for p50, 64 for p90, 130 for p95, 662 for p99.

    Raises:
        ValueError: ``p`` is not between 0 and 1.
    """
    if not 0 < p < 1:
        raise ValueError(f"a percentile lies between 0 and 1, not at {p}")
    n = 2
    while p**n + n * p ** (n - 1) * (1 - p) > 1 - level:
        n += 1
    return n


def percentile(
    samples: ArrayLike, p: float, *, effect: float | None = None, level: float = LEVEL
) -> Percentile:
    """Return the p-quantile of ``samples`` of one launch: :func:`pooled`."""
    return pooled([samples], p, effect=effect, level=level)


def pooled(
    launches: Sequence[ArrayLike], p: float, *, effect: float | None = None, level: float = LEVEL
) -> Percentile:
    """Return the p-quantile of all launches' samples, each launch's in the order of time.

    The value is the least sample with at least a share ``p`` at or below it. Without ``effect``
    the design effect is measured on the indicator "above the value", and the interval allows for
    that. Below ``least_number(p) * effect`` samples there is no number but ``too_few_samples``:
    what counts there is the dependence inside windows, since launches that differ blur no
    percentile but make its interval wide.

    Raises:
        ValueError: ``p`` is not between 0 and 1, or a sample is no number.
    """
    found = [np.asarray(samples, dtype=float) for samples in launches]
    found = [samples for samples in found if samples.size]
    if any(np.isnan(samples).any() for samples in found):
        raise ValueError("a sample is not a number; failed requests enter as inf")
    floor = least_number(p)
    if not found:
        return _none(p, 0, math.ceil(floor * max(effect or 1.0, 1.0)), max(effect or 1.0, 1.0))
    ordered = np.sort(np.concatenate(found))
    n, value = len(ordered), _quantile(ordered, p)
    known = dependence([samples > value for samples in found], level=level)
    if effect is not None:
        known = Dependence(inside=max(effect, 1.0), counted=max(effect, 1.0))
    needed = math.ceil(floor * known.inside - 1e-9)
    if n < needed:
        return _none(p, n, needed, known.inside)
    below, above = ranks(n, p, effect=known.counted, level=level)
    low = float(ordered[below - 1]) if below else None
    high = float(ordered[above - 1]) if above <= n else math.inf
    if len(found) > 1 and (not below or above > n):
        ends = _jackknife(found, p, level)
        low = low if below else ends[0]
        high = high if above <= n else ends[1]
    return Percentile(
        p=p, value=value, low=low, high=high, n=n, needed=needed, design_effect=known.inside
    )


def _quantile(ordered: NDArray[np.float64], p: float) -> float:
    return float(ordered[math.ceil(p * len(ordered) - 1e-9) - 1])


def _jackknife(
    found: Sequence[NDArray[np.float64]], p: float, level: float
) -> tuple[float | None, float]:
    """Return the ends of the t interval of the pseudo-values, on logarithms; open without them."""
    n = len(found)
    value = _quantile(np.sort(np.concatenate(found)), p)
    rests = [_quantile(np.sort(np.concatenate([*found[:i], *found[i + 1 :]])), p) for i in range(n)]
    if not all(0 < seen < math.inf for seen in (value, *rests)):
        return None, math.inf
    spread = (n - 1) * float(np.log(rests).std(ddof=1)) / math.sqrt(n)
    half = t_quantile(0.5 + level / 2, n - 1) * spread
    return value * math.exp(-half), value * math.exp(half)


def ranks(n: int, p: float, *, effect: float = 1.0, level: float = LEVEL) -> tuple[int, int]:
    """Return the ranks (1 is the least) of the samples that bound the p-quantile.

    With ``m = floor(n / effect)`` and ``B`` binomial(m, p): the greatest ``l`` with
    ``P(B < l) <= (1 - level) / 2`` and the least ``u`` with ``P(B >= u) <= (1 - level) / 2``,
    scaled outwards to ``n`` samples. 0 or ``n + 1``: no sample bounds it on that side.
    """
    m = max(math.floor(n / effect), 1)
    tail = (1 - level) / 2
    counts = np.arange(m + 1)
    up_to = special.bdtr(counts, m, p)  # P(B <= k), ascending
    low = int(np.searchsorted(up_to, tail, side="right"))  # P(B <= low - 1) <= tail
    high = int(np.searchsorted(up_to, 1 - tail, side="left")) + 1  # P(B <= high - 1) >= 1 - tail
    below = math.floor(low * n / m) if low else 0
    above = n + 1 if high > m else math.ceil(high * n / m)
    return below, min(above, n + 1)


def _none(p: float, n: int, needed: int, effect: float) -> Percentile:
    return Percentile(
        p=p,
        value=None,
        low=None,
        high=None,
        n=n,
        needed=needed,
        design_effect=effect,
        reason="too_few_samples",
    )
