"""What ends an engine from our side: a launch that takes too long, memory or disk running out.

A thread looks once in a while and, when a limit is passed, ends the engine: whatever waits for it
then fails, and the failure has the limit for its reason.
"""

from __future__ import annotations

import os
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from inferometer import oom
from inferometer.errors import StorageError

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from inferometer.supervised import Supervised

LOOK_S = 0.5
LOOKS = 2
"""So many looks in a row must find too little memory: a peak may pass."""
DISK_FLOOR = 64 << 20
"""Bytes that must be free where the results are: what is in flight is written within them."""
MEMORY_SHARE = 0.01
MEMORY_FLOOR = 256 << 20
"""Memory that must be left: so many bytes, and no more than this share of all there is."""
DISK_HINT = "Free space, then run the same command again: it resumes, and finished launches stay."


@dataclass(frozen=True, slots=True)
class Trip:
    """A limit that was passed, in words; ``storage`` ends the run, anything else this launch."""

    reason: str
    words: str
    hint: str
    storage: bool = False


@dataclass(frozen=True, slots=True)
class Limits:
    """What a launch may take. ``total_s`` None: as long as it likes."""

    total_s: float | None = None
    disk_bytes: int = DISK_FLOOR
    memory_bytes: int | None = None
    """None: as :func:`memory_floor` says."""


class Guard:
    """Watches one engine until the context ends. ``session_id`` is that of its processes."""

    def __init__(
        self, supervised: Supervised, limits: Limits, folder: Path, session_id: int | None
    ) -> None:
        self.supervised, self.limits, self.folder = supervised, limits, folder
        self.session_id = session_id
        self._floor = memory_floor() if limits.memory_bytes is None else limits.memory_bytes
        self._began = time.monotonic()
        self._short = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="guard", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._over.wait(LOOK_S):
            trip = self._late() or short_of_disk(self.folder, self.limits.disk_bytes)
            scarce = None if trip else self._short_of_memory()
            if trip := trip or scarce:
                self.supervised.trip(trip, at_once=bool(scarce), session_id=self.session_id)
                return

    def _late(self) -> Trip | None:
        limit = self.limits.total_s
        if limit is None or time.monotonic() - self._began < limit:
            return None
        return Trip(
            "timed_out",
            f"the launch was not over after {limit:.0f} s",
            "See in server.log what it was doing; protocol.launch_timeout_s gives it longer.",
        )

    def _short_of_memory(self) -> Trip | None:
        left = oom.available_bytes()
        self._short = self._short + 1 if left is not None and left < self._floor else 0
        if left is None or self._short < LOOKS:
            return None
        return Trip(
            "out_of_memory",
            f"{_mib(left)} of memory were left, so the engine was ended before the kernel kills",
            oom.HINT,
        )


def memory_floor() -> int:
    """Return the bytes of memory that must be left."""
    total = oom.total_bytes()
    return min(MEMORY_FLOOR, round(MEMORY_SHARE * total)) if total else MEMORY_FLOOR


def short_of_disk(folder: Path, floor: int) -> Trip | None:
    """Return a trip when fewer than ``floor`` bytes can be written below ``folder``."""
    try:
        status = os.statvfs(folder)
    except OSError:
        return None  # writing will tell
    left = status.f_bavail * status.f_frsize
    if left >= floor or not status.f_blocks:  # some network storage tells nothing
        return None
    words = f"{folder}: {_mib(left)} of disk are left, and {_mib(floor)} are needed"
    return Trip("disk_full", words, DISK_HINT, storage=True)


def refuse_full(folder: Path) -> None:
    """Raise StorageError before a launch that would not have the disk to be stored."""
    if trip := short_of_disk(folder, DISK_FLOOR):
        raise StorageError(trip.words, hint=trip.hint)


def _mib(size: int) -> str:
    return f"{size / 2**20:.0f} MiB"
