"""When requests are meant to be sent: open-loop arrivals as offsets from the start of a load.

The whole schedule is known before the first send, and nothing that happens later moves it. The
processes are those of ``vllm bench serve``: gaps of mean 1 / rate, gamma distributed with shape
``burstiness`` (1: a Poisson process; below 1 burstier, above 1 more even), but never rescaled, so
that a Poisson process stays one.
"""

from __future__ import annotations

import itertools
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator

Kind = Literal["constant", "poisson", "gamma", "burst", "trace"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrivals:
    """An arrival process. ``rate`` is in requests/s; the same values give the same offsets.

    ``burst`` sends everything at once; ``trace`` replays ``offsets_s``, in seconds, ascending.
    """

    kind: Kind
    rate: float = 1.0
    burstiness: float = 1.0
    seed: int = 0
    offsets_s: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what is no process. Raises ValueError."""
        if not (self.rate > 0 and self.burstiness > 0):
            raise ValueError(f"rate {self.rate} and burstiness {self.burstiness} must be above 0")
        if any(b < a for a, b in itertools.pairwise((0.0, *self.offsets_s))):
            raise ValueError("offsets of a trace must ascend from 0 or later")

    def first(self, count: int) -> list[float]:
        """Return the offsets of the first ``count`` requests in seconds; of a trace at most all."""
        return list(itertools.islice(self._offsets(), count))

    def until(self, end_s: float) -> list[float]:
        """Return every offset before ``end_s``. Raises ValueError for a burst, which has no end."""
        if self.kind == "burst":
            raise ValueError("a burst has a number of requests, not a duration")
        return list(itertools.takewhile(lambda offset: offset < end_s, self._offsets()))

    def _offsets(self) -> Iterator[float]:
        if self.kind == "trace":
            return iter(self.offsets_s)
        if self.kind == "burst":
            return itertools.repeat(0.0)
        if self.kind == "constant":
            return (index / self.rate for index in itertools.count())
        return itertools.accumulate(self._gaps())

    def _gaps(self) -> Iterator[float]:
        """Draw gaps: gamma with shape k and scale 1 / (rate * k), whose mean is 1 / rate."""
        draw = random.Random(self.seed)  # noqa: S311 -- a seeded schedule, no secret
        shape = 1.0 if self.kind == "poisson" else self.burstiness
        while True:
            yield draw.gammavariate(shape, 1.0 / (self.rate * shape))


def most_within(offsets_s: list[float], span_s: float) -> int:
    """Return the largest number of arrivals within any ``span_s`` seconds."""
    most = first = 0
    for last, offset in enumerate(offsets_s):
        while offset - offsets_s[first] > span_s:
            first += 1
        most = max(most, last - first + 1)
    return most
