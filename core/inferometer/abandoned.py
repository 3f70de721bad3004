"""Engines whose owner was killed together with their supervisor: found, and ended.

A process belongs to such an engine when its environment carries a mark whose owner is gone, when it
descends from one that does, or is in a session that one of them leads. Nothing else is touched: no
process of another user or of another namespace, none whose owner lives, and none by its name.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import stat
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from inferometer import marks
from inferometer.scripts import sweeping

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from inferometer.marks import Mark, Note

PROC = Path("/proc")
SUPERVISOR = "supervise.py"
PATIENCE_S = 60.0
"""For a supervisor that is still ending its engine: it knows best what there is."""
GRACE_S = 5.0
KILL_S = 15.0
LOOK_S = 0.1
NAMED = re.compile(rb"[A-Za-z_]\w*=")


@dataclass(frozen=True, slots=True)
class Process:
    """One of ours, with what it was started with."""

    pid: int
    parent: int
    session: int
    start: int
    mark: Mark | None
    readable: bool
    """Whether its environment looks like one: a title may have been written over it."""
    line: str


@dataclass(slots=True)
class Abandoned:
    """What is left of one launch."""

    mark: Mark
    note: Note | None
    processes: list[Process] = field(default_factory=list)


def orphaned(mark: Mark) -> bool:
    """Say whether nobody owns a launch any more."""
    return not mark.owned


def find(wanted: Callable[[Mark], bool] = orphaned) -> list[Abandoned]:
    """Return what there is of launches whose mark is ``wanted``."""
    found = {
        note.mark.nonce: Abandoned(note.mark, note) for note in marks.notes() if wanted(note.mark)
    }
    table = _table()
    for process in table.values():
        mark = process.mark
        if mark is not None and mark.nonce not in found and wanted(mark):
            found[mark.nonce] = Abandoned(mark, None)
    for each in found.values():
        each.processes = [table[pid] for pid in sorted(_family(each, table))]
    return list(found.values())


def cleaned(root: Path) -> str:
    """End and remove what earlier runs into ``root`` left; return it in words, or nothing."""
    name = marks.hashed(root)
    return ended(lambda mark: mark.results == name and orphaned(mark))


def ended(wanted: Callable[[Mark], bool]) -> str:
    """End and remove what is ``wanted``; return it in words, or nothing."""
    end = time.monotonic() + PATIENCE_S
    found = find(wanted)
    while any(map(_supervised, found)) and time.monotonic() < end:
        time.sleep(LOOK_S)
        found = find(wanted)
    words = [said for each in found if (said := sweep(each, lambda: find(wanted)))]
    return "; ".join(words)


def sweep(left: Abandoned, look: Callable[[], list[Abandoned]]) -> str:
    """End and remove what is left of one launch; return it in words, or nothing.

    ``look`` finds its processes again, before each signal.
    """

    def family() -> list[int]:
        same = (each for each in look() if each.mark.nonce == left.mark.nonce)
        return [process.pid for each in same for process in each.processes]

    began = len(left.processes)
    memory = _memory(left.note, family)
    for pid in family():
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGTERM)
    end = time.monotonic() + GRACE_S
    while family() and time.monotonic() < end:
        time.sleep(LOOK_S)
    remain = sweeping.kill_all(family, KILL_S, lambda: memory.look(family))
    said = {"processes": began - remain, "processes that cannot be ended": remain}
    if left.note is not None:
        said |= _rest(left.note, memory, keep=bool(remain))
    listed = ", ".join(f"{number} {name}" for name, number in said.items() if number)
    return f"{left.mark.launch}: {listed}" if listed else ""


def _memory(note: Note | None, family: Callable[[], list[int]]) -> sweeping.SharedMemory:
    """Return a launch's files in ``/dev/shm``: those noted, and those that its processes hold."""
    memory = sweeping.SharedMemory(sweeping.Note(""))
    if note is not None:
        memory.ours = set(note.shared)
        if note.before is not None:
            memory.seen = set(note.before)
            memory.look(family)
    return memory


def _rest(note: Note, memory: sweeping.SharedMemory, *, keep: bool) -> dict[str, int]:
    """Remove what is no process; the note with it unless something is to be kept for later."""
    said = {}
    if note.container:
        there = sweeping.told(note.container["list"], sweeping.ORDER_S)
        if there != "":
            sweeping.told(note.container["stop"], sweeping.ORDER_S + GRACE_S)
            keep |= bool(sweeping.remove(dict(note.container), 0.0, sweeping.ORDER_S))
        said["containers"] = int(bool(there))
    said["folders"] = int(_removed(note.folder))
    said["files in /dev/shm"] = len(memory.remove())
    if not keep:
        note.path.unlink(missing_ok=True)
    return said


def _removed(folder: str) -> bool:
    """Remove a supervisor's folder for temporary files; say whether it was there."""
    if not os.path.basename(folder).startswith("ifm-"):
        return False
    try:
        status = os.lstat(folder)
    except OSError:
        return False
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid():
        return False
    shutil.rmtree(folder, ignore_errors=True)
    return True


def _supervised(left: Abandoned) -> bool:
    return any(SUPERVISOR in process.line for process in left.processes)


def _family(left: Abandoned, table: Mapping[int, Process]) -> set[int]:
    """Return the processes of a launch."""
    seeds = {
        process.pid
        for process in table.values()
        if process.mark is not None and process.mark.nonce == left.mark.nonce
    }
    sessions = {table[pid].session for pid in seeds}
    engine = left.note.engine if left.note is not None else None
    for process in table.values():
        if process.session in sessions:
            seeds.add(process.pid)
        # One whose environment was written over, in the session of an engine that is gone.
        elif engine is not None and process.session == engine[0] and not process.readable:
            leader = table.get(engine[0])
            if process.start >= engine[1] and (leader is None or leader.start == engine[1]):
                seeds.add(process.pid)
    return _below(seeds, table.values()) - _ourselves(table)


def _below(seeds: set[int], table: Iterable[Process]) -> set[int]:
    found, frontier = set(seeds), set(seeds)
    table = list(table)
    while frontier:
        frontier = {each.pid for each in table if each.parent in frontier} - found
        found |= frontier
    return found


def _ourselves(table: Mapping[int, Process]) -> set[int]:
    """Return this process and those above it: an engine may have started us."""
    found, pid = {os.getpid()}, os.getppid()
    while pid in table and pid not in found:
        found.add(pid)
        pid = table[pid].parent
    return found


def _table() -> dict[int, Process]:
    """Return the living processes of this user in this process namespace."""
    space, found = _space(PROC / "self"), {}
    for name in filter(str.isdigit, os.listdir(PROC)):
        with contextlib.suppress(OSError, ValueError, IndexError):
            place = PROC / name
            if place.stat().st_uid != os.getuid() or _space(place) != space:
                continue
            fields = (place / "stat").read_text(errors="replace").rpartition(")")[2].split()
            if fields[0] in "ZX":
                continue
            words = (place / "environ").read_bytes().split(b"\0")
            line = (place / "cmdline").read_text(errors="replace").replace("\0", " ")
            parent, session, start = (int(fields[at]) for at in (1, 3, 19))
            mark, readable = _marked(words)
            pid = int(name)
            found[pid] = Process(pid, parent, session, start, mark, readable, line)
    return found


def _space(place: Path) -> str:
    return os.readlink(place / "ns" / "pid")


def _marked(words: Iterable[bytes]) -> tuple[Mark | None, bool]:
    """Return the mark of an environment, and whether it is one."""
    variables = [word for word in words if NAMED.match(word)]
    start = f"{marks.VARIABLE}=".encode()
    for word in variables:
        if word.startswith(start):
            return marks.Mark.read(word[len(start) :].decode(errors="replace")), True
    return None, bool(variables)
