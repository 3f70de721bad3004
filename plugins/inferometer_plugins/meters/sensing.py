"""What the meters of real sensors share: reasons, stamps, and the probe of the update period."""

from __future__ import annotations

import statistics
import time
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from inferometer.meter import MeterContext
    from inferometer.records import MeterInfo

PROBE_S = 0.45
"""How long a sensor is watched for changes: four updates of a sensor with one every 100 ms."""
PAUSE_S = 0.001


class Unreadable(Exception):  # noqa: N818 -- an answer about a sensor, not a fault
    """A sensor gives no number here: ``reason`` is a code, ``detail`` the words for it."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


def stamped(look: Callable[[], float]) -> tuple[float, int]:
    """Return what ``look`` returns and the middle of the call, in ns of the monotonic clock."""
    before = time.monotonic_ns()
    value = look()
    return value, (before + time.monotonic_ns()) // 2


def described(info: MeterInfo, **facts: Any) -> MeterInfo:
    """Return ``info`` with ``facts`` in place of what it said."""
    return msgspec.structs.replace(info, **facts)


def update_ms(looks: Sequence[Callable[[], float]], seconds: float = PROBE_S) -> float | None:
    """Watch sensors for ``seconds``; return ms between new values, of the slowest one.

    None where one of them did not change at least twice: then its period is not known. Whatever
    a look raises is passed on.
    """
    changes: list[list[float]] = [[] for _ in looks]
    last = [look() for look in looks]
    end = time.monotonic() + seconds
    while (now := time.monotonic()) < end:
        for index, look in enumerate(looks):
            value = look()
            if value != last[index]:
                last[index] = value
                changes[index].append(now)
        time.sleep(PAUSE_S)
    if not changes or any(len(times) < 2 for times in changes):
        return None
    gaps = [
        statistics.median(later - before for before, later in pairwise(times)) for times in changes
    ]
    return round(max(gaps) * 1e3, 1)


def blind(context: MeterContext) -> str:
    """Say why a meter of the processor alone must not speak for this engine; empty if it may."""
    if context.accelerator == "cpu":
        return ""
    return f"sees the processor only, and the engine computes on {context.accelerator}"


def only_processor(context: MeterContext) -> None:
    """Refuse a sensor of the processor alone where the engine computes on something else.

    Raises:
        Unreadable: it does.
    """
    if why := blind(context):
        raise Unreadable("unsupported", why)
