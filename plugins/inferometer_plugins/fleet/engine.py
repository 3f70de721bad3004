"""Simulate a day."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inferometer_plugins.fleet.spec import DAY_S

if TYPE_CHECKING:
    from inferometer_plugins.fleet.day import Day
    from inferometer_plugins.fleet.spec import Fleet, Traffic


def simulate(fleet: Fleet, traffic: Traffic, *, seed: int, day_s: float = DAY_S) -> Day:
    """Return what a fleet does from midnight for ``day_s``; it begins with nothing to do.

    The same arguments give the same bytes, with numba and without.

    Raises:
        ValueError: a request cannot fit into a replica's cache, or the fleet is none.

    """
    raise NotImplementedError
