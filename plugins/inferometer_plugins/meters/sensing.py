"""What the meters of real sensors share: reasons, stamps, and the probe of the update period."""

from __future__ import annotations

import statistics
import time
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from inferometer.errors import MachineError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from inferometer.meter import MeterContext
    from inferometer.records import MeterInfo

Unit = Literal["J", "W"]
INSTRUMENTS: Mapping[Unit, Literal["counter", "power"]] = {"J": "counter", "W": "power"}
"""What gives values of a unit: joules are counted, watts are integrated."""
Sample = tuple[object, int, float]
"""A device, ns of any one clock, and what it showed then."""
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


def update_ms(samples: Iterable[Sample]) -> float | None:
    """Return ms between new values: the median of each device's gaps, of the slowest device.

    ``samples`` are in order of time for each device. None where one of them did not change at
    least twice: then its period is not known.
    """
    changes: dict[object, list[int]] = {}
    last: dict[object, float] = {}
    for device, t_ns, value in samples:
        times = changes.setdefault(device, [])
        if value != last.setdefault(device, value):
            times.append(t_ns)
        last[device] = value
    if not changes or any(len(times) < 2 for times in changes.values()):
        return None
    slowest = max(
        statistics.median(later - sooner for sooner, later in pairwise(times))
        for times in changes.values()
    )
    return round(slowest / 1e6, 1)


def watched(looks: Sequence[Callable[[], float]], seconds: float = PROBE_S) -> Iterator[Sample]:
    """Look at sensors for ``seconds``, at least once; whatever a look raises is passed on."""
    end = time.monotonic() + seconds
    while True:
        now = time.monotonic_ns()
        for index, look in enumerate(looks):
            yield index, now, look()
        if time.monotonic() >= end:
            return
        time.sleep(PAUSE_S)


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
