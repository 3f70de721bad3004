"""What was found of the highest rate at which each stack meets the SLO."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from inferometer.comparison.ranks import Architecture
from inferometer.comparison.value import Value

Flag = Literal["ill_posed", "below_range", "above_range", "budget", "starved", "failed"]


class OfferedRate(Struct, frozen=True, kw_only=True):
    """One rate that was offered: requests counted and what they certify."""

    rate: float
    outcome: Literal["pass", "fail", "undecided", "hopeless", "starved"]
    good: int
    bad: int
    missed: dict[str, int]
    """As in :class:`inferometer.capacity_records.CapacityProbe`."""
    seconds: float


class LaunchCapacity(Struct, frozen=True, kw_only=True):
    """The search of one launch: certified rates in requests/s, None where none is."""

    launch: str
    round: int
    passes: float | None
    fails: float | None
    flag: Flag | None
    minutes: float
    design_effect: float
    rates: list[OfferedRate]


class Capacity(Struct, frozen=True, kw_only=True):
    """The capacity of one stack that serves a model, at the SLO, with one workload.

    ``passes`` and ``fails`` are geometric means over the launches that have a bracket, with t
    intervals; ``rate`` is that of the brackets' middles (in logarithms), its interval no narrower
    than the mean bracket.
    """

    stack: str
    model: str
    architecture: Architecture
    workload: str
    slo: str
    """In words: ``TTFT <= 500 ms and TPOT <= 50 ms``."""
    share: float
    """Of the requests that must meet all of it."""
    confidence: float
    """That no certificate of one launch's search is false."""
    low: float
    high: float
    """The range of rates that was searched."""
    passes: Value
    fails: Value
    rate: Value
    flag: Flag | None
    """Why there is no bracket, of most launches; None where there is one."""
    launches: list[LaunchCapacity]
