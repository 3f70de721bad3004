"""Two independent samples of launches: the ratio of their geometric means.

Launches of two results directories share no round, so nothing is paired, and the sides may scatter
differently.

Sources: Welch, Biometrika 34, 1947; degrees of freedom after Satterthwaite, Biometrics Bulletin 2,
1946.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import special

from inferometer.stats import LEVEL, POWER

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_ROUNDING = 1e-9
"""Least half width, in log units: below it a difference is only floating-point rounding."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A difference in log units with its standard error and degrees of freedom.

    ``n`` launches of the side that has fewer (or so many pairs); ``error`` and ``df`` are None
    where that is one.
    """

    value: float
    n: int
    error: float | None = None
    df: float | None = None

    @property
    def half_width(self) -> float | None:
        """Return half the 95 % interval."""
        if self.error is None or self.df is None:
            return None
        return max(quantile(0.5 + LEVEL / 2, self.df) * self.error, _ROUNDING)

    def detectable(self, margin: float = 0.0) -> float | None:
        """Return the least true difference found beyond ``margin`` with 80 % power, log units.

        ``margin + half width + t(0.8) * error``, approximately.
        """
        half = self.half_width
        if half is None or self.error is None or self.df is None:
            return None
        return margin + half + quantile(POWER, self.df) * self.error


def independent(baseline: Sequence[float], current: Sequence[float]) -> Difference:
    """Return ``ln current - ln baseline``, means over launches that nothing pairs.

    ``error^2 = s1^2 / n1 + s2^2 / n2`` and ``df = error^4 / sum((si^2 / ni)^2 / (ni - 1))``.

    Raises:
        ValueError: a side without a value, or a value that has no logarithm.
    """
    sides = [_logs(baseline), _logs(current)]
    value, n = float(sides[1].mean() - sides[0].mean()), min(side.size for side in sides)
    if n < 2:
        return Difference(value=value, n=n)
    parts = [float(side.var(ddof=1)) / side.size for side in sides]
    total = sum(parts)
    if total == 0:
        return Difference(value=value, n=n, error=0.0, df=float(sum(s.size for s in sides) - 2))
    df = total**2 / sum(p**2 / (s.size - 1) for p, s in zip(parts, sides, strict=True))
    return Difference(value=value, n=n, error=math.sqrt(total), df=df)


def paired(baseline: Sequence[float], current: Sequence[float]) -> Difference:
    """Return the same of launches that are paired, one of each side in each round.

    Raises:
        ValueError: no pair, sides of unequal length, or a value that has no logarithm.
    """
    one, other = _logs(baseline), _logs(current)
    if one.size != other.size:
        raise ValueError("pairs need as many values on either side")
    each = other - one
    if each.size < 2:
        return Difference(value=float(each.mean()), n=each.size)
    error = float(each.std(ddof=1)) / math.sqrt(each.size)
    return Difference(value=float(each.mean()), n=each.size, error=error, df=float(each.size - 1))


def quantile(p: float, df: float) -> float:
    """Return Student's t quantile; ``df`` need not be whole."""
    return float(special.stdtrit(df, p))


def _logs(values: Sequence[float]) -> NDArray[np.float64]:
    if not values:
        raise ValueError("a side without any value cannot be compared")
    if min(values) <= 0:
        raise ValueError("a value that is not positive has no logarithm")
    logs: NDArray[np.float64] = np.log(np.asarray(values, dtype=float))
    return logs
