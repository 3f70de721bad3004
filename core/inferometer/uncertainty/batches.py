"""Inside one window: batch means, and whether there was a steady state.

The interval here is a diagnostic. It says how far the window's own noise reaches; what stacks are
compared by is the spread over launches (:mod:`inferometer.stats`), which one launch cannot show.

Sources: Law and Carson, Operations Research 27, 1979, for batch means; Barrett et al., OOPSLA
2017, for "no steady state" as a result; Law, Simulation Modeling and Analysis, section 9.5.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from inferometer.stats import LEVEL, Estimate, t_quantile

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

RESIDENCES = 10.0
"""Residence times a window of heavy-tailed answers must last for an interval of its own."""
HEAVY_TAIL = 0.5
"""Coefficient of variation of the output lengths from which answers count as heavy-tailed."""
SLOPE, STEP = 0.01, 0.03
"""Relative change over the window that is a trend, and between two neighbours that is a step."""
SURE = 0.995
"""A change this small may be noise: it counts when its own t statistic is beyond this quantile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchMeans:
    """The mean over a window's batches with its interval, or ``reason`` why it has none."""

    value: float
    low: float | None
    high: float | None
    batches: int
    reason: str | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stationarity:
    """Whether a window was steady. ``slope`` (over the window) and ``step`` are relative changes.

    ``monotone``: every batch above, or every batch below, the one before. Alone that is chance
    once in 60 steady windows; ``trends`` says what was found, in words.
    """

    steady: bool
    slope: float
    step: float
    monotone: bool
    trends: tuple[str, ...] = ()


def batch_means(
    batches: Sequence[float],
    *,
    residences: float,
    heavy_tailed: bool,
    level: float = LEVEL,
) -> BatchMeans:
    """Return the geometric mean of ``batches`` with a t interval on the log scale.

    ``residences`` is the window's length in mean residence times of a request. Heavy tails in
    fewer than ten of them make batches depend on each other so much that no interval from inside
    the window is honest; then there is none.

    Raises:
        ValueError: fewer than two batches, or one that is not positive.
    """
    if len(batches) < 2 or min(batches) <= 0:
        raise ValueError("batch means need at least two batches, all of them positive")
    logs = np.log(np.asarray(batches, dtype=float))
    mean, n = float(logs.mean()), len(batches)
    value = math.exp(mean)
    if heavy_tailed and residences < RESIDENCES:
        words = f"{residences:.3g} residence times of heavy-tailed answers, {RESIDENCES:g} needed"
        return BatchMeans(
            value=value, low=None, high=None, batches=n, reason="too_few_samples", detail=words
        )
    half = t_quantile(0.5 + level / 2, n - 1) * float(logs.std(ddof=1)) / math.sqrt(n)
    return BatchMeans(value=value, low=math.exp(mean - half), high=math.exp(mean + half), batches=n)


def ratio_of_sums(
    numerators: Sequence[float], denominators: Sequence[float], *, level: float = LEVEL
) -> Estimate:
    """Return ``sum(numerators) / sum(denominators)`` over batches with its delta-method interval.

    For joules and tokens of the same batches: ``var = var(E - theta N) / (b mean(N)^2)``, t with
    ``b - 1`` degrees of freedom (Fieller's interval agrees while N varies little).

    Raises:
        ValueError: fewer than two batches, or denominators that do not add up to more than 0.
    """
    above, below = np.asarray(numerators, dtype=float), np.asarray(denominators, dtype=float)
    b = len(below)
    if b < 2 or len(above) != b or below.sum() <= 0:
        raise ValueError("a ratio needs two batches or more, and something to divide by")
    theta = float(above.sum() / below.sum())
    error = float((above - theta * below).std(ddof=1)) / (math.sqrt(b) * float(below.mean()))
    half = t_quantile(0.5 + level / 2, b - 1) * error
    return Estimate(value=theta, low=theta - half, high=theta + half, n=b)


def heavy_tailed(lengths: ArrayLike) -> bool:
    """Say whether output lengths spread so far that long answers set the pace."""
    found = np.asarray(lengths, dtype=float)
    return bool(len(found) > 1 and found.std(ddof=1) > HEAVY_TAIL * found.mean())


def stationarity(batches: Sequence[float], *, monotone_before: bool = False) -> Stationarity:
    """Judge a window by its batches (at least five, in order of time, positive).

    Not steady when one of these holds: the batches rise (or fall) from first to last, and did so
    in the launch before (``monotone_before``); the fitted line changes by more than 1 % over the
    window; the means before and after some batch differ by more than 3 %. A slope or a step also
    has to stand out of the batches' own noise, or noisy windows would all be called unsteady.

    Raises:
        ValueError: fewer than five batches, or one that is not positive.
    """
    if len(batches) < 5 or min(batches) <= 0:
        raise ValueError("stationarity needs at least five batches, all of them positive")
    logs = np.log(np.asarray(batches, dtype=float))
    rises = np.diff(logs)
    monotone = bool((rises > 0).all() or (rises < 0).all())
    slope, slope_sure = _slope(logs)
    step, step_sure = _step(logs)
    trends = []
    if monotone and monotone_before:
        trends.append("the batches rise or fall throughout, here and in the launch before")
    if abs(slope) > SLOPE and slope_sure:
        trends.append(f"a slope of {slope * 100:+.2g} % over the window")
    if abs(step) > STEP and step_sure:
        trends.append(f"a step of {step * 100:+.2g} %")
    return Stationarity(
        steady=not trends, slope=slope, step=step, monotone=monotone, trends=tuple(trends)
    )


def _slope(logs: NDArray[np.float64]) -> tuple[float, bool]:
    """Return the fitted change over the whole window, and whether it stands out of the noise."""
    n = len(logs)
    at = (np.arange(n) + 0.5) / n - 0.5
    slope = float(at @ logs / (at @ at))
    left = logs - logs.mean() - slope * at
    error = math.sqrt(float(left @ left) / (n - 2) / float(at @ at))
    return math.expm1(slope), abs(slope) > t_quantile(SURE, n - 2) * error


def _step(logs: NDArray[np.float64]) -> tuple[float, bool]:
    """Return the largest change of level, as the split that leaves the least, and if it is sure.

    Each side keeps one batch at least; the quantile is divided among the places tried.
    """
    n = len(logs)
    left, cut = min(
        (
            float(
                ((logs[:k] - logs[:k].mean()) ** 2).sum()
                + ((logs[k:] - logs[k:].mean()) ** 2).sum()
            ),
            k,
        )
        for k in range(1, n)
    )
    step = float(logs[cut:].mean() - logs[:cut].mean())
    error = math.sqrt(left / (n - 2) * (1 / cut + 1 / (n - cut)))
    return math.expm1(step), abs(step) > t_quantile(1 - (1 - SURE) / (n - 1), n - 2) * error
