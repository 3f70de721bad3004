"""Start one engine and guarantee its end.

Runs as ``python supervise.py GRACE_S LOG [CONTAINER] -- ARGV...``.

The process that started us holds the other end of our standard input. When it closes (we were
asked to stop, or our parent died in any way, also by ``SIGKILL``), the engine gets ``SIGTERM``,
then ``GRACE_S`` seconds, then every process descending from it gets ``SIGKILL``. Being a child
subreaper (``prctl(2)``), we see orphans too, whatever session they moved to.

The engine's ``TMPDIR`` is a folder of this launch alone, removed when its processes are gone. So is
every file in ``/dev/shm`` that was not there at the start, was open in one of its processes, and is
open in no living one; names are not trusted, inodes are.

A container is no descendant of the client that started it, and outlives it. ``CONTAINER`` is then
a JSON object of commands that end it by its name, whatever became of the client: ``stop`` (which
waits until it has ended), ``remove``, and ``list``, which prints nothing when nothing is left.

Standard output carries one JSON object a line: ``{"pid": n}`` at the start,
``{"exit": code, "left": n, "removed": names}`` at the end: ``left`` counts the processes that could
not be ended, ``removed`` names the shared memory that they left. Only the standard library; needs
Linux.
"""

import contextlib
import ctypes
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time

PR_SET_CHILD_SUBREAPER = 36
ORPHAN_GRACE_S = 2.0
TRACKER_GRACE_S = 5.0
SHARED_MEMORY = "/dev/shm"  # noqa: S108 -- where shm_open(3) keeps its files
TRACKER = b"multiprocessing.resource_tracker"
"""In the command line of the process that removes what Python's processes shared, once they are
gone: it is ended after them."""
LONGEST_BASE = 30
"""Characters of the folder for temporary files. The path of a UNIX socket has at most 107, and
engines add a name of up to 60."""
SHORT_BASE = "/tmp"  # noqa: S108 -- mkdtemp makes a folder of our own in it
ORDER_S = 15.0
"""A container runtime's time for an order, beyond what it is told to wait."""
SETTLE_S = 5.0
"""A container whose client was killed may still be in the making for so long."""


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

    def __init__(self, folder: str = SHARED_MEMORY) -> None:
        self.folder = folder
        self.seen = self.listed()
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

    def look(self) -> None:
        """Note what has appeared since the last look and is open in a process below us."""
        new = self.listed() - self.seen
        if new:
            self.seen |= new
            below = descendants(os.getpid())
            held = {inode for pid in below for inode in open_inodes(pid, self.folder)}
            self.ours |= {(name, inode) for name, inode in new if inode in held}

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


def kill_all(deadline_s: float) -> int:
    """SIGKILL everything below us until nothing is left; return what remains at the deadline.

    Resource trackers go last, ``TRACKER_GRACE_S`` after the others: until then they clean up.
    """
    end = time.monotonic() + deadline_s
    spared_until = 0.0
    while True:
        left = descendants(os.getpid())
        if not left or time.monotonic() > end:
            return len(left)
        doomed = [pid for pid in left if not tracker(pid)]
        if not doomed:
            spared_until = spared_until or time.monotonic() + TRACKER_GRACE_S
            doomed = left if time.monotonic() > spared_until else []
        for pid in doomed:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        time.sleep(0.05)
        reap()


def wait_for_end(engine: "subprocess.Popen[bytes]", shared: SharedMemory, parent: int) -> None:
    """Return when the engine has ended, standard input is let go of, or ``parent`` is gone.

    Who started us sees ``parent`` alone, and takes its end for ours.
    """
    while engine.poll() is None and os.getppid() == parent:
        readable, _, _ = select.select([sys.stdin], [], [], 0.2)
        shared.look()
        if readable and not os.read(0, 4096):
            return


def stop(engine: "subprocess.Popen[bytes]", grace_s: float) -> None:
    """SIGTERM the engine; give it ``grace_s`` to go, and what it leaves ``ORPHAN_GRACE_S``."""
    if engine.poll() is None:
        engine.terminate()
    end = time.monotonic() + grace_s
    while engine.poll() is None and time.monotonic() < end:
        time.sleep(0.05)
    end = min(end, time.monotonic() + ORPHAN_GRACE_S)
    while descendants(os.getpid()) and time.monotonic() < end:
        reap()
        time.sleep(0.05)


def private_folder() -> str:
    """Make a folder for temporary files, with a path that is short enough for sockets."""
    base = tempfile.gettempdir()
    if len(base) > LONGEST_BASE and os.access(SHORT_BASE, os.W_OK | os.X_OK):
        base = SHORT_BASE
    return tempfile.mkdtemp(prefix="ifm-", dir=base)


def told(command: "list[str]", timeout_s: float) -> "str | None":
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
    container: "dict[str, list[str]]", client: "subprocess.Popen[bytes]", grace_s: float
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


def remove(container: "dict[str, list[str]]", settle_s: float, deadline_s: float) -> int:
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


def say(**fields: object) -> None:
    """Write one JSON line; our reader may be gone."""
    with contextlib.suppress(OSError):
        os.write(1, json.dumps(fields).encode() + b"\n")


def ignore(_number: int, _frame: object) -> None:
    """Outlive signals meant for our parent. A handler, unlike SIG_IGN, is not inherited."""


def supervise(
    grace_s: float,
    log: str,
    argv: list[str],
    folder: str,
    container: "dict[str, list[str]] | None",
    *,
    parent: int,
) -> int:
    """Run ``argv`` to its end, with ``folder`` for its temporary files; return our exit status."""
    shared = SharedMemory()
    with contextlib.ExitStack() as stack:
        try:
            output = stack.enter_context(open(log, "ab", buffering=0))
        except OSError as error:
            say(error=f"{log}: {error.strerror}")
            return 127
        try:
            engine = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env={**os.environ, "TMPDIR": folder},
            )
        except OSError as error:
            say(error=f"{argv[0]}: {error.strerror}")
            return 127
    say(pid=engine.pid)
    wait_for_end(engine, shared, parent)
    stopped = bool(container) and stop_container(container, engine, grace_s)
    stop(engine, grace_s)
    left = kill_all(15.0)
    if container:
        killed = not stopped and engine.wait() < 0
        left += remove(container, SETTLE_S if killed else 0.0, ORDER_S)
    removed = shared.remove()
    shutil.rmtree(folder, ignore_errors=True)
    say(exit=engine.wait(), left=left, removed=removed)
    return 0 if left == 0 else 1


def relay() -> int:
    """Go on as a child, and end as it does; the child gets the number of its parent.

    What kills the children of a process that it ends, as Ray does with its workers, would end a
    supervisor and leave its engine. A grandchild sees that its parent is gone.
    """
    parent = os.getpid()
    child = os.fork()
    if child:
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        os._exit(code if code >= 0 else 128 - code)
    return parent


def main() -> int:
    """Run the engine named after ``--``."""
    grace_s, log = float(sys.argv[1]), sys.argv[2]
    start = sys.argv.index("--")
    argv = sys.argv[start + 1 :]
    container = json.loads(sys.argv[3]) if start > 3 else None
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, ignore)
    parent = relay()
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    try:
        folder = private_folder()
    except OSError as error:
        say(error=f"no folder for temporary files: {error}")
        return 127
    try:
        return supervise(grace_s, log, argv, folder, container, parent=parent)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
