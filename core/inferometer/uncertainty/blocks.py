"""Whether the rounds of several blocks (days, machines) may be judged together.

Launches of one block share what the block does to each stack. Where that is the same factor for all
stacks it leaves the pairs of a round alone; where it is not, the ratio of two stacks differs from
block to block, and rounds of one block are no independent evidence of their mean.

Source: analysis of variance with interaction, blocks by stacks, rounds nested in blocks
(Scheffe 1959, sections 4.3 and 5.3).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from scipy import special

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_ROUNDING = 1e-12
"""Log units squared: scatter below it is only floating-point rounding."""


def disagreement(blocks: Sequence[NDArray[np.float64]]) -> float | None:
    """Return the p value of "the stacks' ratios are the same in all blocks".

    ``blocks`` are arrays of log values, rounds x stacks, one a block. Each round's mean is taken
    out; then ``F = (between / df1) / (within / df2)`` with ``df1 = (D - 1)(K - 1)`` and
    ``df2 = (K - 1)(n - D)`` for ``n`` rounds in ``D`` blocks of ``K`` stacks. None where nothing
    can be said: one block, one stack, or no block with two rounds.
    """
    kept = [block - block.mean(axis=1, keepdims=True) for block in blocks if len(block)]
    if len(kept) < 2 or kept[0].shape[1] < 2:
        return None
    rounds, stacks = sum(len(block) for block in kept), kept[0].shape[1]
    df1, df2 = (len(kept) - 1) * (stacks - 1), (stacks - 1) * (rounds - len(kept))
    if not df2:
        return None
    mean = np.concatenate(kept).mean(axis=0)
    between = sum(len(b) * float(((b.mean(axis=0) - mean) ** 2).sum()) for b in kept)
    within = sum(float(((b - b.mean(axis=0)) ** 2).sum()) for b in kept)
    if between <= _ROUNDING:
        return 1.0
    if within <= _ROUNDING:
        return 0.0
    p = float(special.fdtrc(df1, df2, (between / df1) / (within / df2)))
    return p if math.isfinite(p) else None
