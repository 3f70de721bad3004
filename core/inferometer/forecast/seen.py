"""How small a difference rounds can show, without a table or array library.

Multiples of the standard deviation of one launch, from :func:`inferometer.stats.detectable` with
80 % power: ``q(level; K, df) / sqrt(n) + t(0.8; df) sqrt(2 / n)``, df = (K - 1)(n - 1), q the
studentised range. A test holds these numbers to that function.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

FIRST = 2
"""Rounds of the first number in each row."""
ONCE: dict[int, tuple[float, ...]] = {
    2: (14.08, 4.38, 2.94, 2.35, 2.02, 1.79, 1.63, 1.51, 1.41),
    3: (6.95, 3.68, 2.81, 2.37, 2.09, 1.89, 1.74, 1.62, 1.53),
    4: (5.80, 3.57, 2.83, 2.43, 2.16, 1.97, 1.82, 1.70, 1.61),
    5: (5.39, 3.55, 2.87, 2.48, 2.22, 2.03, 1.88, 1.76, 1.66),
    6: (5.19, 3.55, 2.91, 2.53, 2.27, 2.08, 1.93, 1.81, 1.71),
    8: (5.01, 3.59, 2.98, 2.61, 2.35, 2.16, 2.01, 1.88, 1.78),
}
"""Stacks -> multiples for 2 to 10 rounds, judged once at 95 %."""
LOOKING: dict[int, tuple[float, ...]] = {
    2: (46.84, 7.69, 4.35, 3.23, 2.67, 2.32, 2.07, 1.89, 1.75),
    3: (12.40, 5.03, 3.58, 2.93, 2.54, 2.27, 2.08, 1.93, 1.80),
    4: (8.63, 4.52, 3.44, 2.89, 2.55, 2.30, 2.12, 1.97, 1.85),
    5: (7.36, 4.33, 3.40, 2.90, 2.57, 2.34, 2.16, 2.01, 1.90),
    6: (6.75, 4.24, 3.39, 2.91, 2.60, 2.37, 2.19, 2.05, 1.93),
    8: (6.18, 4.17, 3.40, 2.95, 2.64, 2.42, 2.24, 2.10, 1.99),
}
"""The same for a sequential study, which judges at 98.6 % at each of its looks."""
ALONE = (8.98, 2.48, 1.59, 1.24, 1.05, 0.92, 0.84, 0.77, 0.72)
"""Half width of one stack's own 95 % interval for 2 to 10 rounds: ``t(0.975; n - 1) / sqrt(n)``."""
LAUNCH_SD = 0.013
"""Assumed where no past launch says more: of real engines nobody has published it."""


def detectable(stacks: int, rounds: int, sd: float, *, sequential: bool = False) -> float | None:
    """Return the least difference, as a share (0.05 is 5 %), that is found with 80 % power.

    ``sd`` is of one launch in log units. Of more stacks or rounds than the table has, the nearest
    row, and in proportion to the root of the rounds. None for one stack or one round: nothing is
    compared then.
    """
    if stacks < 2 or rounds < FIRST:
        return None
    table = LOOKING if sequential else ONCE
    return _share(table[min(table, key=lambda k: abs(k - stacks))], rounds, sd)


def half_width(rounds: int, sd: float) -> float | None:
    """Return the half width of one stack's 95 % interval, as a share; None for one round."""
    return _share(ALONE, rounds, sd) if rounds >= FIRST else None


def _share(row: Sequence[float], rounds: int, sd: float) -> float:
    place = min(rounds - FIRST, len(row) - 1)
    beyond = math.sqrt(max(1.0, rounds / (FIRST + len(row) - 1)))
    return math.expm1(row[place] * sd / beyond)
