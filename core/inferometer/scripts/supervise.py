"""Start one engine and guarantee its end.

Runs as ``python supervise.py GRACE_S LOG [CONTAINER] -- ARGV...``.

The process that started us holds the other end of our standard input. When it closes (we were
asked to stop, or our parent died in any way, also by ``SIGKILL``), the engine gets ``SIGTERM``,
then ``GRACE_S`` seconds, then every process descending from it gets ``SIGKILL``. Being a child
subreaper (``prctl(2)``), we see orphans too, whatever session they moved to.

A container is no descendant of the client that started it, and outlives it. ``CONTAINER`` is then
a JSON object of commands that end it by its name, whatever became of the client: ``stop`` (which
waits until it has ended), ``remove``, and ``list``, which prints nothing when nothing is left.

Standard output carries one JSON object a line: ``{"pid": n}`` at the start,
``{"exit": code, "left": n}`` at the end, ``left`` being the processes that could not be ended.
Only the standard library; needs Linux.
"""

import contextlib
import ctypes
import json
import os
import select
import signal
import subprocess
import sys
import time

PR_SET_CHILD_SUBREAPER = 36
ORPHAN_GRACE_S = 2.0
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


def reap() -> None:
    """Collect every child that has ended (the engine's exit code is read before this)."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


def kill_all(deadline_s: float) -> int:
    """SIGKILL everything below us until nothing is left; return what remains at the deadline."""
    end = time.monotonic() + deadline_s
    while True:
        left = descendants(os.getpid())
        if not left or time.monotonic() > end:
            return len(left)
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        time.sleep(0.05)
        reap()


def wait_for_end(engine: "subprocess.Popen[bytes]") -> None:
    """Return when the engine has ended or our parent has let go of standard input."""
    while engine.poll() is None:
        readable, _, _ = select.select([sys.stdin], [], [], 0.2)
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


def main() -> int:
    """Run the engine named after ``--``."""
    grace_s, log = float(sys.argv[1]), sys.argv[2]
    start = sys.argv.index("--")
    argv = sys.argv[start + 1 :]
    container = json.loads(sys.argv[3]) if start > 3 else None
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, ignore)
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
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
            )
        except OSError as error:
            say(error=f"{argv[0]}: {error.strerror}")
            return 127
    say(pid=engine.pid)
    wait_for_end(engine)
    stopped = bool(container) and stop_container(container, engine, grace_s)
    stop(engine, grace_s)
    left = kill_all(10.0)
    if container:
        killed = not stopped and engine.wait() < 0
        left += remove(container, SETTLE_S if killed else 0.0, ORDER_S)
    say(exit=engine.wait(), left=left)
    return 0 if left == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
