"""What is simulated: a fleet of like replicas and the traffic of a day.

All times are in seconds of virtual time, power in watts, lengths in tokens.
"""

from __future__ import annotations

import math
from typing import Literal, get_args

from msgspec import Struct

from inferometer_plugins.simulator.loads import CHAT, Workload
from inferometer_plugins.simulator.model import REFERENCE, Params

Router = Literal["round-robin", "least-loaded", "prefix-aware", "shared-queue"]
ROUTERS: tuple[Router, ...] = get_args(Router)
DAY_S = 86_400.0

FLAT = (1.0,) * 24
OFFICE = (
    *(0.35, 0.28, 0.24, 0.22, 0.23, 0.30, 0.45, 0.70, 1.05, 1.40, 1.60, 1.65),
    *(1.55, 1.60, 1.65, 1.60, 1.50, 1.35, 1.25, 1.20, 1.10, 0.95, 0.75, 0.55),
)
"""Invented, not measured: a low of 0.2 before dawn, a plateau of working hours, a slow evening."""
PATTERNS = {"flat": FLAT, "office": OFFICE}


class Failures(Struct, frozen=True, kw_only=True):
    """Replicas that fail, each by itself: a Poisson process while it is up.

    A failed one draws ``Fleet.down_w`` for ``repair_s``, then boots.
    """

    every_s: float
    """Mean time in service between failures of one replica."""
    repair_s: float = 600.0

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        _positive("failures", every_s=self.every_s)
        _not_negative("failures", repair_s=self.repair_s)


class RollingRestart(Struct, frozen=True, kw_only=True):
    """Every replica once, ``at_once`` at a time: drained, stopped, booted.

    A draining replica gets nothing new. What it has not finished after ``drain_s`` is sent again
    elsewhere. One that is down or boots when its turn comes is left out: it begins anew anyway.
    """

    start_s: float
    """Time of day."""
    at_once: int = 1
    drain_s: float = 600.0

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        _positive("restarts", at_once=self.at_once)
        _not_negative("restarts", start_s=self.start_s, drain_s=self.drain_s)


class Fleet(Struct, frozen=True, kw_only=True):
    """Like replicas behind a router.

    ``round-robin``: the next one in service. ``least-loaded``: the fewest requests in flight, of
    those alike the first. ``prefix-aware``: the home of the request's prefix, or the next one
    whose requests in flight are below ``guard`` times the mean. ``shared-queue``: one queue for
    all; the least loaded replica takes a request when it has fewer than ``params.max_seqs``.
    """

    params: Params = REFERENCE
    """One replica. Of its noise only ``launch_sd`` counts: one draw for each boot."""
    replicas: int = 1
    router: Router = "least-loaded"
    guard: float = 1.25
    boot_s: float = 120.0
    boot_w: float | None = None
    """While booting; None: as when idle."""
    down_w: float = 0.0
    """While being repaired."""
    retries: int = 3
    """How often a request that lost its replica is sent again, from its start; then it is lost."""
    cached_prefixes: int = 0
    """Shared prefixes that a replica keeps, the least recently used goes first; 0: none."""
    failures: Failures | None = None
    restarts: RollingRestart | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        _positive("fleet", replicas=self.replicas)
        _not_negative(
            "fleet",
            boot_s=self.boot_s,
            boot_w=self.boot_w or 0.0,
            down_w=self.down_w,
            retries=self.retries,
            cached_prefixes=self.cached_prefixes,
        )
        if self.router not in ROUTERS:
            raise ValueError(f"fleet: router {self.router!r} is none of {', '.join(ROUTERS)}")
        if not 1 <= self.guard < math.inf:
            raise ValueError(f"fleet: guard is {self.guard}; it is a factor from 1 on")
        if self.replicas > 32_767:
            raise ValueError(f"fleet: {self.replicas} replicas; 32,767 at most")


class Bursts(Struct, frozen=True, kw_only=True):
    """Traffic that is ``factor`` times as much now and then: a Markov-modulated Poisson process.

    Calm lasts ``every_s`` in the mean, a burst ``length_s``, both exponential. The mean rate is
    kept: calm times are lower by as much as bursts are higher.
    """

    factor: float = 2.0
    every_s: float = 3600.0
    length_s: float = 120.0

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        _positive("bursts", factor=self.factor, every_s=self.every_s, length_s=self.length_s)


class Prefixes(Struct, frozen=True, kw_only=True):
    """Beginnings that prompts have in common.

    A request has prefix number k of ``count`` with probability proportional to ``k ** -zipf``,
    and the first ``share`` of its prompt belongs to it.
    """

    count: int = 1000
    zipf: float = 1.0
    share: float = 0.5

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        _positive("prefixes", count=self.count)
        _not_negative("prefixes", zipf=self.zipf)
        if not 0 <= self.share <= 1:
            raise ValueError(f"prefixes: share is {self.share}; it is a part of 1")


class Traffic(Struct, frozen=True, kw_only=True):
    """Requests of a day: an inhomogeneous Poisson process."""

    requests_per_day: float
    """The mean of a whole day."""
    workload: Workload = CHAT
    """Lengths of prompts and outputs."""
    hourly: tuple[float, ...] = FLAT
    """24 weights, one for each hour from midnight: only their ratios count."""
    bursts: Bursts | None = None
    prefixes: Prefixes | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        _positive("traffic", requests_per_day=self.requests_per_day)
        if len(self.hourly) != 24 or not all(0 <= it < math.inf for it in self.hourly):
            raise ValueError("traffic: hourly takes 24 weights from 0 on, one for each hour")
        if not sum(self.hourly) > 0:
            raise ValueError("traffic: hourly says that nothing is ever sent")


def _positive(place: str, **given: float) -> None:
    for name, value in given.items():
        if not 0 < value < math.inf:
            raise ValueError(f"{place}: {name} is {value}; give a number above 0")


def _not_negative(place: str, **given: float) -> None:
    for name, value in given.items():
        if not 0 <= value < math.inf:
            raise ValueError(f"{place}: {name} is {value}; give a number from 0 on")
