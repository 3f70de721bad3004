"""Start one engine and guarantee its end.

Runs as ``python supervise.py GRACE_S LOG [ORDERS] -- ARGV...``.

The process that started us holds the other end of our standard input. When it closes (we were
asked to stop, or our parent died in any way, also by ``SIGKILL``), the engine gets ``SIGTERM``,
then ``GRACE_S`` seconds, then every process descending from it gets ``SIGKILL``. Being a child
subreaper (``prctl(2)``), we see orphans too, whatever session they moved to.

We are two: a parent, and a child that has the engine. When the parent is gone, the child ends the
engine; when the child is killed, the kernel kills the engine's own process, and the parent, a
subreaper as well, all the others. Only both killed at once leave something, which the next run
finds by the note.

The engine's ``TMPDIR`` is a folder of this launch alone, removed when its processes are gone. So is
every file in ``/dev/shm`` that was not there at the start, was open in one of its processes, and is
open in no living one; names are not trusted, inodes are.

``ORDERS`` is a JSON object. ``note`` is a file to which we append what will have to be cleaned up,
one JSON object a line, and which we remove when nothing is left. A container is no descendant of
the client that started it, and outlives it: ``container`` has commands that end it by its name,
whatever became of the client: ``stop`` (which waits until it has ended), ``remove``, and ``list``,
which prints nothing when nothing is left.

Standard output carries one JSON object a line: ``{"pid": n}`` at the start,
``{"exit": code, "left": n, "removed": names}`` at the end: ``exit`` is null where the one of us was
killed who knew it, ``left`` counts the processes that could not be ended, ``removed`` names the
shared memory that they left. Only the standard library; needs Linux.
"""

from __future__ import annotations

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

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from inferometer.scripts import sweeping
else:  # a script has no package, and the package imports more than we need
    sys.path.append(os.path.dirname(os.path.abspath(__file__)))
    import sweeping

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
ORPHAN_GRACE_S = 2.0
LONGEST_BASE = 30
"""Characters of the folder for temporary files. The path of a UNIX socket has at most 107, and
engines add a name of up to 60."""
SHORT_BASE = "/tmp"  # noqa: S108 -- mkdtemp makes a folder of our own in it
SETTLE_S = 5.0
"""A container whose client was killed may still be in the making for so long."""
LIBC = ctypes.CDLL(None, use_errno=True)


def wait_for_end(
    engine: subprocess.Popen[bytes], shared: sweeping.SharedMemory, parent: int
) -> None:
    """Return when the engine has ended, standard input is let go of, or ``parent`` is gone.

    Who started us sees ``parent`` alone, and takes its end for ours.
    """
    while engine.poll() is None and os.getppid() == parent:
        readable, _, _ = select.select([sys.stdin], [], [], 0.2)
        shared.look()
        if readable and not os.read(0, 4096):
            return


def stop(engine: subprocess.Popen[bytes], grace_s: float) -> None:
    """SIGTERM the engine; give it ``grace_s`` to go, and what it leaves ``ORPHAN_GRACE_S``."""
    if engine.poll() is None:
        engine.terminate()
    end = time.monotonic() + grace_s
    while engine.poll() is None and time.monotonic() < end:
        time.sleep(0.05)
    end = min(end, time.monotonic() + ORPHAN_GRACE_S)
    while sweeping.descendants(os.getpid()) and time.monotonic() < end:
        sweeping.reap()
        time.sleep(0.05)


def private_folder() -> str:
    """Make a folder for temporary files, with a path that is short enough for sockets."""
    base = tempfile.gettempdir()
    if len(base) > LONGEST_BASE and os.access(SHORT_BASE, os.W_OK | os.X_OK):
        base = SHORT_BASE
    return tempfile.mkdtemp(prefix="ifm-", dir=base)


def say(**fields: object) -> None:
    """Write one JSON line; our reader may be gone."""
    with contextlib.suppress(OSError):
        os.write(1, json.dumps(fields).encode() + b"\n")


def ignore(_number: int, _frame: object) -> None:
    """Outlive signals meant for our parent. A handler, unlike SIG_IGN, is not inherited."""


def private(path: str, flags: int) -> int:
    """Open a file that its owner alone may read: secrets are hidden in it when a launch is over."""
    return os.open(path, flags, 0o600)


def die_with(parent: int) -> None:
    """Have the kernel kill this process, about to become the engine, when ``parent`` dies."""
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it was quicker
        os._exit(1)


def supervise(
    grace_s: float,
    log: str,
    argv: list[str],
    launch: Launch,
    *,
    parent: int,
) -> int:
    """Run ``argv`` to its end; return our exit status."""
    ourselves = os.getpid()
    with contextlib.ExitStack() as stack:
        try:
            output = stack.enter_context(open(log, "ab", buffering=0, opener=private))
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
                env={**os.environ, "TMPDIR": launch.folder},
                preexec_fn=lambda: die_with(ourselves),  # noqa: PLW1509 -- there are no threads
            )
        except OSError as error:
            say(error=f"{argv[0]}: {error.strerror}")
            return 127
    with contextlib.suppress(OSError):
        launch.note.add(engine=[engine.pid, sweeping.started(engine.pid)])
    say(pid=engine.pid)
    wait_for_end(engine, launch.shared, parent)
    container = launch.container
    stopped = bool(container) and sweeping.stop_container(container, engine, grace_s)
    stop(engine, grace_s)
    left, removed = launch.swept(lambda: not stopped and engine.wait() < 0)
    say(exit=engine.wait(), left=left, removed=removed)
    return 0 if left == 0 else 1


class Launch:
    """What a launch may leave, known to both of us."""

    def __init__(self, note: sweeping.Note, container: dict[str, list[str]]) -> None:
        self.note, self.container = note, container
        self.shared = sweeping.SharedMemory(note)
        self.folder = private_folder()
        note.add(folder=self.folder)

    def swept(self, doubtful: Callable[[], bool]) -> tuple[int, list[str]]:
        """End and remove everything; return how much could not be, and the shared memory removed.

        ``doubtful`` says, when all processes are gone, whether the container's client was killed.
        """
        left = sweeping.kill_all(lambda: sweeping.descendants(os.getpid()), 15.0, self.shared.look)
        if self.container:
            settle_s = SETTLE_S if doubtful() else 0.0
            left += sweeping.remove(self.container, settle_s, sweeping.ORDER_S)
        removed = self.shared.remove()
        if not left:
            self.dropped()
        return left, removed

    def dropped(self) -> None:
        """Remove the folder and the note."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.note.drop()


def stand_in(launch: Launch, grace_s: float) -> int:
    """End everything in the place of the child, which was killed."""
    launch.shared.look()
    launch.shared.ours |= launch.note.shared()
    if launch.container:
        sweeping.told(launch.container["stop"], grace_s + sweeping.ORDER_S)
    left, removed = launch.swept(lambda: True)
    say(exit=None, left=left, removed=removed)
    return 0 if left == 0 else 1


def relay(launch: Launch, grace_s: float) -> int:
    """Go on as a child, and end as it does; the child gets the number of its parent.

    What kills the children of a process that it ends, as Ray does with its workers, would end a
    supervisor and leave its engine. A grandchild sees that its parent is gone, and the parent sees
    that the child was killed.
    """
    parent = os.getpid()
    LIBC.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    child = os.fork()
    if child:
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        os._exit(code if code >= 0 else stand_in(launch, grace_s))
    LIBC.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    return parent


def main() -> int:
    """Run the engine named after ``--``."""
    grace_s, log = float(sys.argv[1]), sys.argv[2]
    start = sys.argv.index("--")
    argv = sys.argv[start + 1 :]
    orders = json.loads(sys.argv[3]) if start > 3 else {}
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, ignore)
    note = sweeping.Note(orders.get("note", ""))
    try:
        launch = Launch(note, orders.get("container") or {})
    except OSError as error:
        say(error=f"no folder for temporary files: {error}")
        note.drop()
        return 127
    parent = relay(launch, grace_s)
    code = supervise(grace_s, log, argv, launch, parent=parent)
    if code == 127:
        launch.dropped()
    return code


if __name__ == "__main__":
    sys.exit(main())
