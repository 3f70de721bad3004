"""What a launch leaves, found and removed: processes, shared memory, a container.

Used by the supervisor (:mod:`inferometer.scripts.supervise`), so standard library only.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

TRACKER_GRACE_S = 5.0
SHARED_MEMORY = "/dev/shm"  # noqa: S108 -- where shm_open(3) keeps its files
TRACKER = b"multiprocessing.resource_tracker"
"""In the command line of the process that removes what Python's processes shared, once they are
gone: it is ended after them."""
ORDER_S = 15.0
"""A container runtime's time for an order, beyond what it is told to wait."""


class Note:
    """What is to be cleaned up, for whoever comes when none of us is left."""

    def __init__(self, path: str) -> None:
        self.path = path

    def add(self, **fields: object) -> None:
        """Append a line; without the file there is nobody to tell."""
        if self.path:
            with contextlib.suppress(OSError):
                number = os.open(self.path, os.O_WRONLY | os.O_APPEND)
                with open(number, "ab", buffering=0) as file:
                    file.write(json.dumps(fields).encode() + b"\n")

    def shared(self) -> set[tuple[str, int]]:
        """Return name and inode of the shared memory noted so far, by whichever of us."""
        found: set[tuple[str, int]] = set()
        with contextlib.suppress(OSError, ValueError), open(self.path, encoding="utf-8") as file:
            for line in file:  # the last one may have been cut off
                found |= {(name, inode) for name, inode in json.loads(line).get("shared", ())}
        return found

    def drop(self) -> None:
        """Say that nothing is left."""
        if self.path:
            with contextlib.suppress(OSError):
                os.unlink(self.path)


def started(pid: int) -> int:
    """Return when a process was started, in ticks of the kernel: with its number, its identity."""
    with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
        return int(file.read().rpartition(")")[2].split()[19])


def descendants(root: int) -> list[int]:
    """Return every live process below ``root``, from /proc."""
    parents = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", encoding="ascii", errors="replace") as file:
                    fields = file.read().rpartition(")")[2].split()
            except OSError:
                continue
            if fields[0] != "Z":
                parents[int(name)] = int(fields[1])
    found: list[int] = []
    frontier = {root}
    while frontier:
        frontier = {pid for pid, parent in parents.items() if parent in frontier}
        found += frontier
    return found


def open_inodes(pid: int, below: str) -> set[int]:
    """Return the inodes of the files in folder ``below`` that a process has open or mapped.

    Inodes, since a semaphore is mapped under the temporary name that it had before it was linked.
    """
    found: set[int] = set()
    with contextlib.suppress(OSError):
        with open(f"/proc/{pid}/maps", encoding="utf-8", errors="replace") as file:
            rows = (line.split(maxsplit=5) for line in file if below in line)
            found |= {int(row[4]) for row in rows if row[-1].startswith(f"{below}/")}
        device = os.stat(below).st_dev
        for name in os.listdir(f"/proc/{pid}/fd"):
            with contextlib.suppress(OSError):
                status = os.stat(f"/proc/{pid}/fd/{name}")
                if status.st_dev == device:
                    found.add(status.st_ino)
    return found


class SharedMemory:
    """The files of this launch in ``/dev/shm``."""

    def __init__(self, note: Note, folder: str = SHARED_MEMORY) -> None:
        self.note, self.folder = note, folder
        self.seen = self.listed()
        note.add(before=sorted(self.seen))
        self.ours: set[tuple[str, int]] = set()

    def listed(self) -> set[tuple[str, int]]:
        """Return name and inode of every file there that is ours to remove."""
        found: set[tuple[str, int]] = set()
        with contextlib.suppress(OSError), os.scandir(self.folder) as entries:
            for entry in entries:
                with contextlib.suppress(FileNotFoundError):  # gone meanwhile
                    if entry.stat(follow_symlinks=False).st_uid == os.getuid():
                        found.add((entry.name, entry.inode()))
        return found

    def look(self, family: Callable[[], Sequence[int]] | None = None) -> None:
        """Note what has appeared since the last look and is open in a process of ``family()``.

        Without it, in one below us.
        """
        new = self.listed() - self.seen
        if new:
            self.seen |= new
            below = descendants(os.getpid()) if family is None else family()
            held = {inode for pid in below for inode in open_inodes(pid, self.folder)}
            ours = {(name, inode) for name, inode in new if inode in held}
            self.ours |= ours
            if ours:
                self.note.add(shared=sorted(ours))

    def remove(self) -> list[str]:
        """Remove what this launch left and nobody else has open; return the names."""
        left = self.listed() & self.ours
        if not left:
            return []
        living = [int(name) for name in os.listdir("/proc") if name.isdigit()]
        held = {inode for pid in living for inode in open_inodes(pid, self.folder)}
        removed = sorted(name for name, inode in left if inode not in held)
        for name in removed:
            with contextlib.suppress(OSError):
                os.unlink(os.path.join(self.folder, name))
        return removed


def reap() -> None:
    """Collect every child that has ended (the engine's exit code is read before this)."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


def tracker(pid: int) -> bool:
    """Say whether a process is Python's resource tracker."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return TRACKER in file.read()
    except OSError:
        return False


def kill_all(
    family: Callable[[], Sequence[int]], deadline_s: float, look: Callable[[], None]
) -> int:
    """SIGKILL all of ``family()`` until nothing is left; return what remains at the deadline.

    They are stopped before: when ``look()`` is called, none that is about to be killed can make
    anything more. Resource trackers go last, ``TRACKER_GRACE_S`` after the others: until then they
    clean up.
    """
    end = time.monotonic() + deadline_s
    spared_until = 0.0
    stopped: set[int] = set()
    while True:
        left = family()
        if not left or time.monotonic() > end:
            return len(left)
        doomed = {pid for pid in left if not tracker(pid)}
        if not doomed:
            spared_until = spared_until or time.monotonic() + TRACKER_GRACE_S
            doomed = set(left) if time.monotonic() > spared_until else set()
        new = doomed - stopped
        stopped |= new
        _signal(new, signal.SIGSTOP)
        if new:
            continue  # one of them may have started another before it was stopped
        look()
        _signal(doomed, signal.SIGKILL)
        time.sleep(0.05)
        reap()


def _signal(pids: set[int], number: int) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):  # one may have sudo'ed
            os.kill(pid, number)


def told(command: list[str], timeout_s: float) -> str | None:
    """Run one of a container's commands; return what it printed, None when it failed."""
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout_s,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout if done.returncode == 0 else None


def stop_container(
    container: dict[str, list[str]], client: subprocess.Popen[bytes], grace_s: float
) -> bool:
    """Stop the container; return False when it ended by itself or never was.

    One that its client is still having made is waited for: were the client ended now, the runtime
    would go on making it.
    """
    end = time.monotonic() + grace_s + ORDER_S
    while told(container["stop"], grace_s + ORDER_S) is None:
        if client.poll() is not None or time.monotonic() > end:
            return False
        time.sleep(0.2)
    return True


def remove(container: dict[str, list[str]], settle_s: float, deadline_s: float) -> int:
    """Remove the container until its runtime knows it no more; return 1 when it still does.

    It must be unknown for ``settle_s``: one in the making comes late.
    """
    end = time.monotonic() + deadline_s
    unknown_since = None
    while True:
        told(container["remove"], ORDER_S)
        now = time.monotonic()
        if told(container["list"], ORDER_S) == "":
            unknown_since = unknown_since or now
            if now - unknown_since >= settle_s:
                return 0
        else:
            unknown_since = None
        if now > end:
            return 0 if unknown_since else 1
        time.sleep(0.2)
