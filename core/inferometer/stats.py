"""Estimators, pure: the launch is the sample, the round is the pair.

Everything works on natural logarithms, because stacks differ by factors: a cell's estimate is the
geometric mean over its launches, so the ratio of two estimates is the paired estimate of their
ratio, and cost (a constant over tok/s) has tok/s' interval with the ends swapped.

Sources: Tukey's studentised range for all pairs of a two-way layout without
interaction (Scheffe 1959, section 3.6); t intervals over launches, never a bootstrap of three.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from scipy import special

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

LEVEL = 0.95
POWER = 0.8
_ROUNDING = 1e-9
"""Least half width, in log units: below it a difference is only floating-point rounding."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A point and its 95 % interval over ``n`` launches (``low``/``high`` None when n < 2)."""

    value: float
    low: float | None
    high: float | None
    n: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """What separates pairs: in log units, from ``rounds`` complete rounds of ``stacks`` stacks.

    ``half_width`` is of any pair's simultaneous interval, ``detectable`` the difference found
    with 80 % power; both are inf when one round (or one stack) leaves no residual.
    """

    stacks: int
    rounds: int
    df: int
    sd: float
    half_width: float
    detectable: float


def estimate(values: Sequence[float], *, log: bool = True, level: float = LEVEL) -> Estimate:
    """Return the mean over launches with its t interval.

    ``log``: geometric mean, ``exp(mean(ln x) -+ t(n-1) * sd(ln x) / sqrt(n))``; every value must
    be positive. Otherwise the same with the values as they are.

    Raises:
        ValueError: no value, or a value that has no logarithm.
    """
    if not values:
        raise ValueError("an estimate needs at least one value")
    if log and min(values) <= 0:
        raise ValueError("a value that is not positive has no logarithm")
    if len(values) == 1:
        return Estimate(value=values[0], low=None, high=None, n=1)
    sample = np.log(np.asarray(values, dtype=float)) if log else np.asarray(values, dtype=float)
    back = math.exp if log else float
    n, mean = len(values), float(sample.mean())
    half = t_quantile(0.5 + level / 2, n - 1) * float(sample.std(ddof=1)) / math.sqrt(n)
    return Estimate(value=back(mean), low=back(mean - half), high=back(mean + half), n=n)


def paired_ratio(
    numerator: Mapping[int, float], denominator: Mapping[int, float]
) -> Estimate | None:
    """Return numerator / denominator, paired by round: exp of the mean log ratio, t interval.

    Only rounds that both have count; None when there is none.
    """
    rounds = complete_rounds({"numerator": numerator, "denominator": denominator})
    if not rounds:
        return None
    return estimate([numerator[round_] / denominator[round_] for round_ in rounds])


def complete_rounds(values: Mapping[str, Mapping[int, object]]) -> list[int]:
    """Return the rounds in which every one of ``values`` has a number, ascending."""
    if not values:
        return []
    return sorted(set.intersection(*(set(by_round) for by_round in values.values())))


def spread(logs: NDArray[np.float64], *, level: float = LEVEL) -> Spread:
    """Return what separates the columns (stacks) of ``logs`` (rounds x stacks, log values).

    Model: ``y[round, stack] = mu[stack] + round + residual``. With ``K`` stacks and ``n`` rounds,
    ``df = (K - 1)(n - 1)``, ``s^2 = sum(residual^2) / df``; half width of every pair at once:
    ``q(level; K, df) * s / sqrt(n)`` with q the studentised range. See :func:`detectable`.
    """
    n, k = logs.shape
    df = (k - 1) * (n - 1)
    if df < 1:
        return Spread(
            stacks=k, rounds=n, df=df, sd=math.nan, half_width=math.inf, detectable=math.inf
        )
    residual = logs - logs.mean(axis=0) - logs.mean(axis=1, keepdims=True) + logs.mean()
    sd = math.sqrt(float((residual**2).sum()) / df)
    half = max(range_quantile(level, k, df) * sd / math.sqrt(n), _ROUNDING)
    return Spread(
        stacks=k, rounds=n, df=df, sd=sd, half_width=half, detectable=detectable(half, sd, df, n)
    )


def detectable(half_width: float, sd: float, df: int, n: int, *, power: float = POWER) -> float:
    """Return the least true difference (log units) that is found with ``power``, approximately.

    ``half_width + t(power; df) * sd * sqrt(2 / n)``: the estimated difference of two stacks has
    standard error ``sd * sqrt(2 / n)`` and must exceed ``half_width``.
    """
    return half_width + t_quantile(power, df) * sd * math.sqrt(2 / n)


@lru_cache(maxsize=256)
def t_quantile(p: float, df: int) -> float:
    """Return Student's t quantile."""
    return float(special.stdtrit(df, p))


@lru_cache(maxsize=256)
def range_quantile(level: float, k: int, df: int) -> float:
    """Return the studentised range quantile of ``k`` means; for two it is ``sqrt(2) t``."""
    if k == 2:
        return math.sqrt(2) * t_quantile(0.5 + level / 2, df)
    from scipy.stats import studentized_range  # noqa: PLC0415 -- takes a second to import

    return float(studentized_range.ppf(level, k, df))
