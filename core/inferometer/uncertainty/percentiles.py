"""Percentiles of dependent samples: a least number, and an interval from order statistics.

Requests of one batch share their fate, so ``n`` of them hold what ``n / deff`` independent ones
would, with ``deff`` the design effect (:mod:`inferometer.uncertainty.proportions`).

Sources: least numbers are those of MLPerf LoadGen's early stopping (``early_stopping.cc``), as a
floor only: by itself that rule takes queries for independent. Interval: the number of samples
below a quantile is binomial (David and Nagaraja, Order Statistics, 2003, section 7.1).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from scipy import special

from inferometer.stats import LEVEL
from inferometer.uncertainty.proportions import design_effect, widened

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

FLOOR_LEVEL = 0.99
"""Certainty with which a floor separates the percentile from the worst sample but one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Percentile:
    """A quantile of one launch with its interval, or ``reason`` why there is none.

    ``value``, ``low`` and ``high`` are samples, never numbers between two; ``n`` counts samples,
    ``design_effect`` how many of them are worth one, ``needed`` the least ``n`` at that effect.
    ``high`` is inf where so many samples are (a request that failed never ended).
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
    """Return the p-quantile of ``samples``, given in the order of time.

    The value is the least sample with at least a share ``p`` at or below it. Without ``effect``
    the design effect is measured on the indicator "above the value", and the interval allows for
    that. Below ``least_number(p) * effect`` samples there is no number but ``too_few_samples``.

    Raises:
        ValueError: ``p`` is not between 0 and 1, or a sample is no number.
    """
    found = np.asarray(samples, dtype=float)
    if np.isnan(found).any():
        raise ValueError("a sample is not a number; failed requests enter as inf")
    n, floor = len(found), least_number(p)
    if n < floor:
        return _none(p, n, math.ceil(floor * max(effect or 1.0, 1.0)), effect or 1.0)
    ordered = np.sort(found)
    value = float(ordered[math.ceil(p * n - 1e-9) - 1])
    known = max(design_effect(found > value) if effect is None else effect, 1.0)
    needed = math.ceil(floor * known)
    if n < needed:
        return _none(p, n, needed, known)
    counted = widened(known, level=level) if effect is None else known
    below, above = ranks(n, p, effect=counted, level=level)
    return Percentile(
        p=p,
        value=value,
        low=float(ordered[below - 1]) if below else None,
        high=float(ordered[above - 1]) if above <= n else math.inf,
        n=n,
        needed=needed,
        design_effect=known,
    )


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
