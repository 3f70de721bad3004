"""The fewest replicas that meet a service level."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from inferometer_plugins.fleet.day import Summary
from inferometer_plugins.fleet.spec import DAY_S

if TYPE_CHECKING:
    from inferometer_plugins.fleet.spec import Fleet, Traffic


class Slo(Struct, frozen=True, kw_only=True):
    """At least ``share`` of the requests within each limit, in seconds; None: not asked for."""

    ttft_s: float | None = None
    tpot_s: float | None = None
    e2e_s: float | None = None
    share: float = 0.99


class Tried(Struct, frozen=True, kw_only=True):
    """A number of replicas and what its day says."""

    replicas: int
    met: bool
    summary: Summary


class Answer(Struct, frozen=True, kw_only=True):
    """The fewest replicas that met the SLO, with the days that show it. Kind: ``simulated``."""

    replicas: int | None
    """None: not even ``most`` did."""
    summary: Summary | None
    """Of that number."""
    tried: tuple[Tried, ...]
    """All, by replicas; the next fewer and the next more are among them."""
    monotone: bool
    """False: some number met the SLO where a higher one did not."""
    why: str


def smallest(
    fleet: Fleet,
    traffic: Traffic,
    slo: Slo,
    *,
    seed: int,
    day_s: float = DAY_S,
    most: int = 4096,
    workers: int = 1,
) -> Answer:
    """Return the fewest replicas of ``fleet`` (whose own number is not used) that meet ``slo``.

    Bisection between what meets it and what does not, then the neighbours.
    """
    raise NotImplementedError
