"""What a forecast is made of: spans, parts of a launch with the reason for each, launches."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING

from msgspec import Struct

from inferometer.comparison import Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

FEW = 3
"""Of fewer past values the range is widened: one launch shows no spread."""
WIDER = 2.0
"""By this factor, to both sides."""
ORDER = (
    *("trials", "cooling down", "without load", "start and stop", "probe", "soak"),
    *("warm-up", "discard", "window", "capacity", "looks"),
)
"""Names of parts, as they follow each other."""


class Span(Struct, frozen=True):
    """How much something takes: at least, probably, at most. Ends of sums are added, too."""

    low: float
    expected: float
    high: float

    def __add__(self, other: Span) -> Span:
        return Span(self.low + other.low, self.expected + other.expected, self.high + other.high)

    def times(self, factor: float) -> Span:
        """Return each of the three times a factor that is not negative."""
        return Span(self.low * factor, self.expected * factor, self.high * factor)

    def through(self, function: Callable[[float], float]) -> Span:
        """Return what a function that never falls makes of the three."""
        return Span(function(self.low), function(self.expected), function(self.high))


NOTHING = Span(0.0, 0.0, 0.0)


def exactly(value: float) -> Span:
    """Return the span of what is known."""
    return Span(value, value, value)


def spread(values: Sequence[float]) -> Span:
    """Return least, median and greatest of past values; of fewer than three from half to twice."""
    low, high = min(values), max(values)
    if len(values) < FEW:
        low, high = low / WIDER, high * WIDER
    return Span(low, statistics.median(values), high)


def total(spans: Iterable[Span]) -> Span:
    """Return the sum."""
    return sum(spans, start=NOTHING)


class Part(Struct, frozen=True, kw_only=True):
    """One part of a launch, s.

    ``kind``: ``declared`` where the study says how long, ``derived`` where past launches do,
    ``estimated`` where nothing but an assumption does.
    """

    name: str
    seconds: Span
    kind: Kind
    basis: str
    """Where the number comes from, in words."""


class LaunchForecast(Struct, frozen=True, kw_only=True):
    """One planned launch. ``gpus``: accelerators that it occupies, 0 on a machine without."""

    id: str
    round: int
    stack: str
    model: str
    gpus: int
    seconds: Span
    parts: list[Part]


class Rounds(Struct, frozen=True, kw_only=True):
    """How many rounds are counted in each of the three: a sequential study may stop earlier."""

    low: int
    expected: int
    high: int


class Forecast(Struct, frozen=True, kw_only=True):
    """A whole plan. All of it is estimated, whatever its parts are; seconds and GPU-hours."""

    seconds: Span
    """Machine time of everything, over all machines."""
    wall: Span
    """From beginning to end, its rounds dealt to ``machines``."""
    machines: int
    gpu_hours: Span
    rounds: Rounds
    parts: list[Part]
    """Of everything that is expected, those alike added up; in the order of a launch."""
    launches: list[LaunchForecast]
    """Every planned one, beyond the expected rounds as well."""


def merged(parts: Iterable[Part]) -> list[Part]:
    """Add up parts of one name, kind and basis, in the order of a launch."""
    sums: dict[tuple[str, Kind, str], Span] = {}
    for part in parts:
        key = (part.name, part.kind, part.basis)
        sums[key] = sums.get(key, NOTHING) + part.seconds
    return [
        Part(name=name, seconds=span, kind=kind, basis=basis)
        for (name, kind, basis), span in sorted(sums.items(), key=lambda it: ORDER.index(it[0][0]))
    ]
