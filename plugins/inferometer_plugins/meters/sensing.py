"""What the meters of real sensors share: reasons, stamps, and the probe of the update period."""

from __future__ import annotations

import statistics
import time
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from inferometer.errors import MachineError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from inferometer.meter import MeterContext
    from inferometer.records import MeterInfo

Unit = Literal["J", "W"]
INSTRUMENTS: Mapping[Unit, Literal["counter", "power"]] = {"J": "counter", "W": "power"}
"""What gives values of a unit: joules are counted, watts are integrated."""
PROBE_S = 0.45
"""How long a sensor is watched for changes: four updates of a sensor with one every 100 ms."""
PAUSE_S = 0.001


class Unreadable(MachineError):  # noqa: N818 -- an answer about a sensor, not a fault
    """A sensor gives no number, here or any more: ``reason`` is a code, ``detail`` the words."""

    def __init__(self, reason: str, detail: str) -> None:
        self.reason = reason
        self.detail = clean(detail)
        super().__init__(f"{self.detail} ({reason})", hint="See docs/reference/meters.md.")


def clean(text: str, most: int = 380) -> str:
    """Return what a driver, a file or a log says as one line of printable characters."""
    words = "".join(char if char.isprintable() else " " for char in text)
    return " ".join(words.split())[:most]


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


def only_processor(context: MeterContext, *, host: bool) -> None:
    """Refuse a sensor of the processor alone where the engine computes on something else.

    Unless it was asked for as the ``host``'s share beside an accelerator.

    Raises:
        Unreadable: it does.
    """
    if (why := blind(context)) and not host:
        raise Unreadable("unsupported", f"{why}; options.host = true has it as the host's share")


def named(boundary: str, context: MeterContext, *, host: bool) -> str:
    """Return the boundary's words: what is the host's alone says so."""
    return f"host {boundary}" if host and blind(context) else boundary
