"""Many timers for the price of one: calls that are due in the same slot share a wake-up.

An event loop's own timers cost a handle and a closure for every written event and count whole
milliseconds. Here a Linux timerfd wakes the loop when the next slot is due, to about 0.1 ms.
"""

from __future__ import annotations

import ctypes
import heapq
import os
import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

SLOT_NS = 500_000
"""A call comes so much late at most, by design."""
AT_ONCE = 16
"""Calls before the loop gets to read what arrived meanwhile: arrivals are stamped when read."""
_ABSOLUTE = 1
"""``TFD_TIMER_ABSTIME`` of ``<sys/timerfd.h>``."""
_NEVER = sys.maxsize


class Wheel:
    """Calls functions at times of ``time.monotonic_ns``, never early; not to be cancelled."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._slots: dict[int, list[Callable[[], None]]] = {}
        self._order: list[int] = []
        self._armed = _NEVER
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._moment = (ctypes.c_long * 4)()
        flags = os.O_NONBLOCK | os.O_CLOEXEC
        self._fd = self._libc.timerfd_create(time.CLOCK_MONOTONIC, flags)
        if self._fd < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create")
        loop.add_reader(self._fd, self._ring)

    def close(self) -> None:
        """Forget every call that has not come."""
        self._loop.remove_reader(self._fd)
        os.close(self._fd)

    def at(self, t_ns: int, call: Callable[[], None]) -> None:
        """Call ``call`` when ``t_ns`` has come; a past time comes at once."""
        slot = -(-t_ns // SLOT_NS)
        calls = self._slots.get(slot)
        if calls is None:
            self._slots[slot] = [call]
            heapq.heappush(self._order, slot)
            if slot < self._armed:
                self._arm(slot)
        else:
            calls.append(call)

    def _arm(self, slot: int) -> None:
        self._armed = slot
        # struct itimerspec: interval, then first expiry, each in seconds and nanoseconds; all 0 is
        # never. Setting it also takes back an expiry that was not read.
        t_ns = 0 if slot == _NEVER else slot * SLOT_NS
        self._moment[2], self._moment[3] = divmod(t_ns, 1_000_000_000)
        if self._libc.timerfd_settime(self._fd, _ABSOLUTE, self._moment, None):
            raise OSError(ctypes.get_errno(), "timerfd_settime")

    def _ring(self) -> None:
        self._armed = 0  # nothing is armed while calls are made
        order, slots, made = self._order, self._slots, 0
        now = time.monotonic_ns() // SLOT_NS
        while order and order[0] <= now and made < AT_ONCE:
            calls = slots[order[0]]
            now_due, later = calls[: AT_ONCE - made], calls[AT_ONCE - made :]
            made += len(now_due)
            if later:
                slots[order[0]] = later
            else:
                del slots[heapq.heappop(order)]
            for call in now_due:
                call()
        self._arm(order[0] if order else _NEVER)
