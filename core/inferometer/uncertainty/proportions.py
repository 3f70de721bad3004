"""Shares of requests that met a rule, and how much their dependence costs.

Sources: Wilson, JASA 22, 1927, for the interval; Kish, Survey Sampling, 1965, for the design
effect: the variance of a share over the variance it would have from independent samples.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import special

from inferometer.stats import LEVEL, t_quantile

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike

BATCHES = 5
"""Long batches: with few, neighbours are nearly independent; fewer leave no spread to see."""


ASSUMED = 4.0
"""The design effect of a share of none or all, which shows nothing of it; the capacity search and
the simulated probes that it was tuned on begin with as much."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proportion:
    """A share (0..1) of ``n`` requests and its interval, both None when ``n`` is 0."""

    value: float | None
    low: float | None
    high: float | None
    n: int
    design_effect: float
    """Measured, or :data:`ASSUMED` where none or all are hits."""
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Dependence:
    """How many samples of one or more launches are worth one.

    ``inside``: for what windows resolve, from the spread of their batches. ``counted``: for an
    interval over all launches, which also knows how they differ, and how few tell of it.
    """

    inside: float
    counted: float


def design_effect(hits: ArrayLike, *, batches: int = BATCHES) -> float:
    """Return how many of these dependent yes/no samples (in order of time) are worth one.

    The samples are cut into ``batches`` of equal length ``m`` (what is left over at the start
    falls away): ``deff = m var(batch means) / (share (1 - share))``, at least 1. From five
    batches it is itself uncertain by a factor of about two. 1 where nothing varies or a batch
    would hold fewer than two samples.
    """
    return dependence([hits], batches=batches).inside


def dependence(
    launches: Sequence[ArrayLike], *, level: float = LEVEL, batches: int = BATCHES
) -> Dependence:
    """Return the design effects of yes/no samples, each launch's in order of time.

    Inside: :func:`design_effect` with the spread of the batches about their own launch, over all
    launches, so that ``launches * (batches - 1)`` degrees of freedom tell it. Between:
    ``N var / (share (1 - share))`` with ``var`` that of the common share as the launches' own
    have it. Both are widened for the degrees of freedom they come from, and the greater counts.
    """
    seen = [np.asarray(hits, dtype=float) for hits in launches]
    sizes = np.array([len(hits) for hits in seen])
    total = int(sizes.sum())
    share = float(sum(hits.sum() for hits in seen)) / total if total else 0.0
    usable = [hits for hits in seen if len(hits) >= 2 * batches]
    free = batches - 1
    if share in {0.0, 1.0} or not usable:
        return Dependence(inside=1.0, counted=widened(1.0, level=level, df=free * len(seen)))
    cut = [hits[len(hits) - len(hits) // batches * batches :] for hits in usable]
    parts = [hits.reshape(batches, -1) for hits in cut]
    spread = sum(part.shape[1] * float(part.mean(axis=1).var(ddof=1)) for part in parts)
    common = float(np.concatenate(cut).mean())
    unit = common * (1 - common)
    inside = max(spread / len(parts) / unit, 1.0) if unit else 1.0
    counted = widened(inside, level=level, df=free * len(parts))
    if len(seen) > 1:
        means = np.array([hits.mean() if len(hits) else share for hits in seen])
        n = len(seen)
        variance = float(((sizes / total * (means - share)) ** 2).sum()) * n / (n - 1)
        between = total * variance / (share * (1 - share))
        counted = max(counted, widened(between, level=level, df=n - 1))
    return Dependence(inside=inside, counted=counted)


def widened(effect: float, *, level: float = LEVEL, df: int = BATCHES - 1) -> float:
    """Return the design effect an interval has to count with when ``effect`` was measured.

    Its own uncertainty is Student's: ``effect (t / z)^2`` with ``df`` degrees of freedom, twice
    the effect for five batches. With ``effect`` as it is, 95 % intervals held 88 to 90 %.
    """
    p = 0.5 + level / 2
    return effect * (t_quantile(p, df) / float(special.ndtri(p))) ** 2


def wilson(share: float, n: float, *, level: float = LEVEL) -> tuple[float, float]:
    """Return Wilson's interval of a share seen in ``n`` independent (or effective) samples.

    ``(share + z^2/2n -+ z sqrt(share (1 - share)/n + z^2/4n^2)) / (1 + z^2/n)``.
    """
    z = float(special.ndtri(0.5 + level / 2))
    middle = share + z * z / (2 * n)
    half = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    low, high = (middle - half) / (1 + z * z / n), (middle + half) / (1 + z * z / n)
    # none and all are exact ends, which rounding misses
    return max(low, 0.0) if share else 0.0, min(high, 1.0) if share < 1 else 1.0


def proportion(hits: ArrayLike, *, effect: float | None = None, level: float = LEVEL) -> Proportion:
    """Return the share of ``hits`` (booleans in order of time) with its Wilson interval.

    The interval counts ``n / deff`` samples; without ``effect`` it is measured on the hits, and
    the interval allows for that.
    """
    return pooled_proportion([hits], effect=effect, level=level)


def pooled_proportion(
    launches: Sequence[ArrayLike], *, effect: float | None = None, level: float = LEVEL
) -> Proportion:
    """Return the share of hits in all launches together, each launch's in order of time.

    Wilson's interval with ``n / deff``: the requests of a batch share their fate, and so do those
    of a launch (:func:`dependence`). Where none or all are hits nothing shows by how much, and
    :data:`ASSUMED` stands for it.
    """
    seen = [np.asarray(hits, dtype=bool) for hits in launches]
    n = sum(map(len, seen))
    if n == 0:
        return Proportion(
            value=None, low=None, high=None, n=0, design_effect=1.0, reason="too_few_samples"
        )
    share = float(sum(hits.sum() for hits in seen)) / n
    known = dependence(seen, level=level)
    if effect is not None:
        known = Dependence(inside=max(effect, 1.0), counted=max(effect, 1.0))
    elif share in {0.0, 1.0}:
        known = Dependence(inside=ASSUMED, counted=ASSUMED)
    low, high = wilson(share, max(n / known.counted, 1.0), level=level)
    return Proportion(value=share, low=low, high=high, n=n, design_effect=known.inside)
