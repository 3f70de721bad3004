"""What the kernel says of an engine's processes (everything in one session) and of the machine."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

PROC = Path("/proc")


Stats = tuple[int, list[str]]
"""A process and the fields of ``/proc/pid/stat`` after its name."""


class Session:
    """The processes of one session.

    Those of others are looked at once: a process gets into a session with its birth, or leads it.
    So a look costs as much as the session is large, and not the machine.
    """

    def __init__(self, session_id: int) -> None:
        self.id = session_id
        self._others: set[str] = set()

    def cpu_seconds(self) -> float:
        """Return CPU seconds (user and system) so far, waited-for children included.

        Source: proc(5), fields utime, stime, cutime, cstime, in clock ticks. A process that ends
        moves from the first pair to its parent's second pair when it is waited for.
        """
        return _cpu_seconds(self._stats())

    def used(self) -> tuple[float, int | None]:
        """Return :meth:`cpu_seconds` and the memory in use in bytes (None: there is no process).

        Private resident pages of each process, plus the largest shared part once (proc(5), statm):
        plain sums of RSS would count shared libraries and shared weights once per process.
        """
        stats = self._stats()
        return _cpu_seconds(stats), _memory_bytes(stats)

    def alive(self) -> list[int]:
        """Return the processes that have not ended."""
        return [pid for pid, fields in self._stats() if fields[0] != "Z"]

    def _stats(self) -> list[Stats]:
        names = set(filter(str.isdigit, os.listdir(PROC)))
        others = self._others & names
        found = []
        for name in sorted(names - others, key=int):
            try:
                text = (PROC / name / "stat").read_text(errors="replace")
            except OSError:  # ended meanwhile
                continue
            fields = text.rpartition(")")[2].split()
            if int(fields[3]) == self.id:
                found.append((int(name), fields))
            elif int(name) != self.id:  # which may be about to lead it
                others.add(name)
        self._others = others
        return found


def alive(session_id: int) -> list[int]:
    """Return the processes of a session that have not ended."""
    return Session(session_id).alive()


def start_of(pid: int) -> int | None:
    """Return when a living process was started, in ticks of the kernel; None: there is none.

    With its number it names a process for as long as the machine is up.
    """
    try:
        fields = (PROC / str(pid) / "stat").read_text(errors="replace").rpartition(")")[2].split()
        return None if fields[0] in "ZX" else int(fields[19])
    except (OSError, IndexError, ValueError):
        return None


def _cpu_seconds(stats: Sequence[Stats]) -> float:
    ticks = sum(sum(map(int, fields[11:15])) for _, fields in stats)
    return ticks / os.sysconf("SC_CLK_TCK")


def _memory_bytes(stats: Sequence[Stats]) -> int | None:
    private, shared, seen = 0, 0, False
    for pid, _ in stats:
        try:
            fields = (PROC / str(pid) / "statm").read_text().split()
        except OSError:
            continue
        seen = True
        private += int(fields[1]) - int(fields[2])
        shared = max(shared, int(fields[2]))
    return (private + shared) * os.sysconf("SC_PAGE_SIZE") if seen else None


def machine_cpu_seconds() -> float | None:
    """Return CPU seconds in which this machine's processors were not idle; None if not told.

    Source: proc(5), ``/proc/stat``: user, nice, system, irq, softirq and steal, of all processors
    (guest time is part of user). Steal is what a hypervisor gave to other machines.
    """
    try:
        fields = (PROC / "stat").read_text().splitlines()[0].split()[1:]
        busy = [int(fields[at]) for at in (0, 1, 2, 5, 6, 7)]
    except (OSError, IndexError, ValueError):
        return None
    return sum(busy) / os.sysconf("SC_CLK_TCK")
