"""What counts of good and bad requests say of the true share, however often one looks.

Sources: Robbins, Ann. Math. Stat. 41, 1970, for the mixture that allows looking at any time;
uniform mixture over the share, so its Bayes factor is a ratio of beta functions.
"""

from __future__ import annotations

import math

NEAR = 20.0
"""Requests the mixture's narrow part is worth."""


def evidence(good: float, bad: float, target: float, *, passing: bool) -> float:
    """Return the log Bayes factor of "a share above (``passing``) or below" against ``target``.

    Of a beta(a, b) mixture cut off at the target, with ``N = good + bad`` and ``Q`` the part of a
    beta distribution on the side asked about:
    ``ln B(good+a, bad+b) Q(good+a, bad+b) / (B(a, b) Q(a, b)) - good ln p - bad ln(1-p)``; here the
    mean of the uniform mixture and of one worth 20 requests around ``p``, which is quicker to tell
    shares near the target. Whenever it passes ``ln(1/alpha)`` the share lies on that side, with at
    most ``alpha`` chance of ever saying so wrongly.
    """
    null = good * math.log(target) + bad * math.log1p(-target)
    parts = [
        _log_beta(good + a, bad + b)
        - _log_beta(a, b)
        + log_part(target, good + a, bad + b, above=passing)
        - log_part(target, a, b, above=passing)
        for a, b in ((1.0, 1.0), (NEAR * target, NEAR * (1 - target)))
    ]
    top = max(parts)
    return top + math.log(sum(math.exp(part - top) for part in parts) / 2) - null


def _log_beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)


def log_part(x: float, a: float, b: float, *, above: bool) -> float:
    """Return the log of the part of a beta(a, b) distribution above or below ``x``, 0 < x < 1.

    Written out because what measures loads no array library, and in logs because the part may be
    smaller than any number. Continued fraction 8.17.22 of the NIST Digital Library of Mathematical
    Functions by Lentz' method; it converges quickly left of the mean, so the right is mirrored.
    """
    if x > (a + 1) / (a + b + 2):
        return log_part(1 - x, b, a, above=not above)
    c, d = 1.0, 1 / (1 - (a + b) * x / (a + 1))
    value = d
    for m in range(1, 1000):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for term in (even, odd):
            d, c = 1 / (1 + term * d), 1 + term / c
            value *= c * d
        if abs(c * d - 1) < 1e-14:
            break
    front = a * math.log(x) + b * math.log1p(-x) - math.log(a) - _log_beta(a, b)
    below = min(front + math.log(value), -1e-300)
    return math.log1p(-math.exp(below)) if above and below < -1e-16 else below


def divergence(share: float, target: float) -> float:
    """Return the evidence each independent request adds on average, when ``share`` is true."""
    bad = 1 - share
    found = share * math.log(share / target) if share else 0.0
    return found + (bad * math.log(bad / (1 - target)) if bad else 0.0)
