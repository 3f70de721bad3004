"""The factor on the time of a step: what is constant in a launch, what moves slowly, what jumps.

What moves slowly is drawn on a grid of 50 ms, so that it does not depend on how many steps an
engine makes, and is constant within a cell.
"""

from __future__ import annotations

import math
from itertools import accumulate
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from inferometer_plugins.simulator.model import Params

GRID_HZ = 20
STEPS = 1 << 16
"""Independent factors drawn at once."""
LOW_CLOCKS = 0.95
LEAST = 0.2
"""No step is faster than this share of its mean: a bound that a normal draw hardly ever meets."""


class Factors:
    """The factors of one launch; from ``drop_s`` on its clocks are 5 % lower."""

    def __init__(self, params: Params, seed: int, *, drop_s: float | None = None) -> None:
        launch, slow, step = np.random.SeedSequence(seed).spawn(3)
        noise = params.noise
        self._noise, self._slowdown, self._drop_s = noise, params.slowdown, drop_s
        self.offset = params.slowdown * (
            1 + noise.launch_sd * float(np.random.default_rng(launch).standard_normal())
        )
        self._slow = np.random.default_rng(slow)
        self._step = np.random.default_rng(step)
        self._state = noise.slow_sd * float(self._slow.standard_normal())
        self.grid: list[float] = []
        """By ``int(seconds * GRID_HZ)``."""

    def reach(self, length_s: float) -> None:
        """Draw the grid up to ``length_s`` and a cell."""
        cells = math.ceil(length_s * GRID_HZ) + 2 - len(self.grid)
        if cells <= 0:
            return
        noise = self._noise
        at_s = (len(self.grid) + np.arange(cells)) / GRID_HZ
        rho = math.exp(-1 / (GRID_HZ * noise.slow_s))
        shocks = self._slow.standard_normal(cells) * noise.slow_sd * math.sqrt(1 - rho * rho)
        shocks[0] += rho * self._state
        slow = np.fromiter(
            accumulate(shocks.tolist(), lambda state, shock: rho * state + shock), float, cells
        )
        self._state = float(slow[-1])
        factor = self.offset * (1 + slow)
        factor *= 1 + noise.warm_up * np.exp(-at_s / noise.warm_up_s)
        factor *= 1 + noise.thermal * (1 - np.exp(-at_s / noise.thermal_s))
        factor *= 1 + noise.drift_per_h * at_s / 3600
        if self._drop_s is not None:
            factor[at_s >= self._drop_s] /= LOW_CLOCKS
        self.grid += np.maximum(factor, LEAST * self._slowdown).tolist()

    def steps(self) -> list[float]:
        """Return the factors of the next ``STEPS`` steps."""
        drawn = 1 + self._noise.step_sd * self._step.standard_normal(STEPS)
        found: list[float] = np.maximum(drawn, LEAST).tolist()
        return found
