"""What a simulated launch leaves: one row a request, one a step; exact sums over any window."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Counts = NDArray[np.int64]


class Figures(NamedTuple):
    """What a window says. Ratios are NaN where nothing was made."""

    tok_s: float
    j_per_token: float
    input_tok_s: float


@dataclass(frozen=True, kw_only=True)
class Trace:
    """Times in seconds from the first send. Arrays of requests are in the order of sending.

    ``first_s`` and ``last_s`` are NaN where that token was not made before the end. A step makes
    ``made`` tokens at its end and draws ``power_w`` from its begin to its end; between steps the
    server draws ``idle_w``.
    """

    sent_s: Floats
    first_s: Floats
    last_s: Floats
    prompt: Counts
    output: Counts
    """Tokens asked for."""
    given: Counts
    """Tokens that were to be made; other than ``output`` where a fault shortens answers."""
    early: NDArray[np.bool_]
    """True for the first requests of an equilibrium start, which are nobody's measurement."""
    begin_s: Floats
    end_s: Floats
    made: Counts
    prefill: Counts
    power_w: Floats
    idle_w: float
    preempted: int

    @cached_property
    def cut(self) -> NDArray[np.bool_]:
        """Requests that were still unfinished at the end."""
        return np.isnan(self.last_s)

    @cached_property
    def _made_by(self) -> Counts:
        return np.concatenate(([0], np.cumsum(self.made)))

    @cached_property
    def _joules_by(self) -> Floats:
        """Above idle, at the end of each step."""
        return np.concatenate(
            ([0.0], np.cumsum((self.power_w - self.idle_w) * (self.end_s - self.begin_s)))
        )

    def tokens(self, start_s: float, stop_s: float) -> int:
        """Return the tokens made after ``start_s`` and up to ``stop_s``."""
        edges = np.searchsorted(self.end_s, (start_s, stop_s), side="right")
        low, high = self._made_by[edges]
        return int(high - low)

    def input_tokens(self, start_s: float, stop_s: float) -> int:
        """Return the prompt tokens of requests whose first token came within."""
        return int(self.prompt[(self.first_s > start_s) & (self.first_s <= stop_s)].sum())

    def energy_j(self, start_s: float, stop_s: float) -> float:
        """Return the joules drawn within."""
        above = [self._above(at_s) for at_s in (start_s, stop_s)]
        return above[1] - above[0] + self.idle_w * (stop_s - start_s)

    def _above(self, at_s: float) -> float:
        place = int(np.searchsorted(self.end_s, at_s, side="right"))
        found = float(self._joules_by[place])
        if place < len(self.end_s) and at_s > self.begin_s[place]:
            found += float((self.power_w[place] - self.idle_w) * (at_s - self.begin_s[place]))
        return found

    def figures(self, start_s: float, stop_s: float) -> Figures:
        """Return output tok/s, J per output token and input tok/s of a window."""
        length_s, tokens = stop_s - start_s, self.tokens(start_s, stop_s)
        return Figures(
            tokens / length_s,
            self.energy_j(start_s, stop_s) / tokens if tokens else float("nan"),
            self.input_tokens(start_s, stop_s) / length_s,
        )

    def in_flight(self, start_s: float, stop_s: float) -> float:
        """Return the mean number of requests in the server, waiting ones with them."""
        last_s = np.where(self.cut, np.inf, self.last_s)
        stay_s = np.minimum(last_s, stop_s) - np.maximum(self.sent_s, start_s)
        return float(np.maximum(stay_s, 0).sum() / (stop_s - start_s))

    def residence_s(self, start_s: float = 0.0, stop_s: float = float("inf")) -> float:
        """Return the mean time from send to last token of requests that ended within."""
        ended = (self.last_s > start_s) & (self.last_s <= stop_s) & ~self.early
        return float((self.last_s[ended] - self.sent_s[ended]).mean())
