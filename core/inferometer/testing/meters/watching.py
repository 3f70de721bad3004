"""Checks of the conditions that a session may also tell: temperature, clocks, throttling."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

from inferometer.meter import WatchesConditions
from inferometer.records import Condition
from inferometer.testing.check import applies, check, checks_of, need
from inferometer.testing.meters.kit import Kit, Opened

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from inferometer.testing.check import Check

BOUNDS: Mapping[str, tuple[float, float]] = {
    "temperature_c": (-40, 150),
    "power_limit_w": (1, 1e6),
    "clock_mhz": (1, 1e5),
    "memory_clock_mhz": (1, 1e5),
    "utilisation": (0, 1),
}


@check
def conditions_are_records(kit: Kit) -> None:
    """Conditions are records of this meter, stamped while they were looked at."""
    with kit.opened() as opened:
        before = time.monotonic_ns()
        rows = _conditions(opened)
        for row in rows:
            need(isinstance(row, Condition), f"a condition is {type(row).__name__}")
            need(row.meter == kit.meter.name, f"bears the name {row.meter!r}")
            need(before <= row.t_ns <= time.monotonic_ns(), "stamped at another time")


@check
def conditions_of_listed_devices(kit: Kit) -> None:
    """Conditions are of devices that are listed, one row each."""
    with kit.opened() as opened:
        devices = [row.device for row in _conditions(opened)]
        more = set(devices) - {each.name for each in opened.info.devices}
        need(not more, f"not listed: {', '.join(sorted(more))}")
        need(len(set(devices)) == len(devices), f"a device stands twice: {devices}")


@check
def conditions_are_possible(kit: Kit) -> None:
    """Temperatures are in degrees Celsius, clocks in MHz, limits in watts, use from 0 to 1."""
    with kit.opened() as opened:
        for row in _conditions(opened):
            for key, (low, high) in BOUNDS.items():
                value = getattr(row, key)
                need(value is None or low <= value <= high, f"{row.device}: {key} is {value}")


@check
def throttling_is_in_words(kit: Kit) -> None:
    """Reasons for throttling are words in lower case, such as ``power_cap``."""
    with kit.opened() as opened:
        for row in _conditions(opened):
            odd = [word for word in row.throttled if not re.fullmatch(r"[a-z][a-z0-9_]*", word)]
            need(not odd, f"{row.device}: {odd}")


@check
def unknown_conditions_are_none(kit: Kit) -> None:
    """What cannot be seen of a device is None or an error, not a number."""
    applies(kit.world.failing is not None, "this world cannot silence the sensor")
    assert kit.world.failing is not None
    with kit.opened() as opened:
        _conditions(opened)
        with kit.world.failing():
            try:
                rows = _conditions(opened)
            except Exception:  # noqa: BLE001 -- any error will do
                return
        for row in rows:
            told = [key for key in BOUNDS if getattr(row, key) is not None]
            need(not told, f"{row.device}: tells {', '.join(told)} of nothing")


def _conditions(opened: Opened) -> Sequence[Condition]:
    session = opened.session
    applies(isinstance(session, WatchesConditions), "it does not watch conditions")
    assert isinstance(session, WatchesConditions)
    return session.conditions()


CHECKS: tuple[Check[Kit], ...] = checks_of(list(globals().values()))
