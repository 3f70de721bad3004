"""What the kernel says of an engine's processes (everything in one session) and of the machine."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

PROC = Path("/proc")


def _stats(session_id: int) -> Iterator[tuple[int, list[str]]]:
    """Yield (pid, fields of /proc/pid/stat after the name) of every process in a session."""
    for name in filter(str.isdigit, os.listdir(PROC)):
        try:
            text = (PROC / name / "stat").read_text(errors="replace")
        except OSError:  # ended meanwhile
            continue
        fields = text.rpartition(")")[2].split()
        if int(fields[3]) == session_id:
            yield int(name), fields


def cpu_seconds(session_id: int) -> float:
    """Return CPU seconds (user and system) of a session, waited-for children included."""
    return _cpu_seconds(_stats(session_id))


def used(session_id: int) -> tuple[float, int | None]:
    """Return :func:`cpu_seconds` of a session, and its memory in bytes (None: no process)."""
    stats = list(_stats(session_id))
    return _cpu_seconds(stats), _memory_bytes(stats)


def _cpu_seconds(stats: Iterable[tuple[int, list[str]]]) -> float:
    """Add up utime, stime, cutime and cstime of proc(5), which are in clock ticks.

    A process that ends moves from the first pair to its parent's second pair when it is waited
    for.
    """
    ticks = sum(sum(map(int, fields[11:15])) for _, fields in stats)
    return ticks / os.sysconf("SC_CLK_TCK")


def _memory_bytes(stats: Iterable[tuple[int, list[str]]]) -> int | None:
    """Add up what processes occupy.

    Private resident pages of each process, plus the largest shared part once (proc(5), statm):
    plain sums of RSS would count shared libraries and shared weights once per process.
    """
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


def alive(session_id: int) -> list[int]:
    """Return the processes of a session that have not ended."""
    return [pid for pid, fields in _stats(session_id) if fields[0] != "Z"]
