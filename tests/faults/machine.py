"""What may happen to us and our machine: signals, the disk, clocks, limits, our own processes."""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import signal
import time
from typing import TYPE_CHECKING

import filelock
from tests.faults.fault import DONE, Expected, Fault

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.faults.running import Run

LONG = {"window_s": 2.0}
"""Long enough to be hit in its middle."""
NONE = {"launch": "none", "others": "none"}
STOPPED = Expected(exit=130, says="hint: Resume with: inferometer run", **NONE)


def sent(number: signal.Signals, *, loading: bool = False) -> Callable[[Run], None]:
    """Return what sends us a signal: under load, or while the engine loads."""

    def send(run: Run) -> None:
        run.under_way("-faulty-*/server.log") if loading else run.loading()
        assert run.process is not None
        run.process.send_signal(number)

    return send


def impatient(run: Run) -> None:
    """Press Ctrl-C again while the engine is being ended, which will not go."""
    run.loading()
    assert run.process is not None
    run.process.send_signal(signal.SIGINT)
    time.sleep(0.5)  # about in the middle of the engine's grace; at any other time it holds, too
    run.process.send_signal(signal.SIGINT)


def asleep(run: Run) -> None:
    """Stop us again and again until the window is over, as a machine that has no time for us."""
    run.loading()
    assert run.process is not None
    while run.process.poll() is None and not run.said("measured"):
        run.process.send_signal(signal.SIGSTOP)
        time.sleep(0.15)  # the fault itself
        run.process.send_signal(signal.SIGCONT)
        time.sleep(0.05)


def worker_killed(run: Run) -> None:
    """Kill one of the processes that send the load."""
    run.loading()
    os.kill(run.pids("inferometer.loadgen.worker")[0], signal.SIGKILL)


def disk_fills(run: Run) -> None:
    """Let the disk be full when the window is stored."""
    (log,) = run.under_way("-faulty-*/server.log")
    (log.parent / "requests.jsonl").symlink_to("/dev/full")


def journal_full(run: Run) -> None:
    """Let there be no room for the run's journal any more."""
    run.under_way("-faulty-*/server.log")
    full = run.folder / "full"
    full.symlink_to("/dev/full")
    full.replace(run.results / "events.jsonl")  # at once: the run may write it at any time


def results_go(run: Run) -> None:
    """Remove the results directory under load."""
    run.loading()
    shutil.rmtree(run.results)


@contextlib.contextmanager
def read_only(run: Run) -> Iterator[None]:
    """Let nothing be written in the results directory."""
    run.results.mkdir()
    run.results.chmod(0o555)
    yield
    run.results.chmod(0o755)


@contextlib.contextmanager
def a_file(run: Run) -> Iterator[None]:
    """Let a file be where the results should go."""
    run.results.write_text("not a directory")
    yield
    run.results.unlink()


@contextlib.contextmanager
def locked(run: Run) -> Iterator[None]:
    """Hold the directory's lock, as another run would."""
    run.results.mkdir()
    with filelock.FileLock(run.results / "lock"):
        yield


def _unwritable(says: str, hint: str = "") -> Expected:
    return Expected(exit=6, says=says, **NONE)


MACHINE = (
    Fault(
        name="SIGINT",
        what="Ctrl-C under load",
        beside=sent(signal.SIGINT),
        protocol=LONG,
        expected=STOPPED,
        resumes=True,
    ),
    Fault(
        name="SIGTERM",
        what="asked to end under load",
        beside=sent(signal.SIGTERM),
        protocol=LONG,
        expected=STOPPED,
    ),
    Fault(
        name="SIGHUP",
        what="the terminal is lost under load",
        beside=sent(signal.SIGHUP),
        protocol=LONG,
        expected=STOPPED,
    ),
    Fault(
        name="SIGINT twice",
        what="Ctrl-C again while an engine is ended that is deaf to SIGTERM",
        engine=("--ignore-sigterm", "true"),
        beside=impatient,
        protocol=LONG,
        expected=STOPPED,
    ),
    Fault(
        name="SIGTERM while loading",
        what="asked to end while an engine loads",
        engine=("--listen-after-s", "600"),
        beside=sent(signal.SIGTERM, loading=True),
        expected=STOPPED,
    ),
    Fault(
        name="SIGKILL",
        what="killed under load: the engine ends with us",
        beside=sent(signal.SIGKILL),
        protocol=LONG,
        expected=Expected(exit=-9, says="[1/2]", **NONE),
        resumes=True,
    ),
    Fault(
        name="load worker killed",
        what="a process that sends the load is killed, as by the kernel",
        inside=("two_workers",),
        beside=worker_killed,
        protocol=LONG,
        expected=Expected(exit=5, launch="serve: failed", says="worker"),
    ),
    Fault(
        name="no file descriptors",
        what="more streams than files may be open",
        limits={resource.RLIMIT_NOFILE: 64},
        streams=64,
        expected=Expected(
            exit=6, says="no more connections can be opened from here: Too many open files", **NONE
        ),
    ),
    Fault(
        name="disk full",
        what="no space left when a window is stored",
        beside=disk_fills,
        protocol=LONG,
        expected=_unwritable("requests.jsonl: cannot write results: No space left on device"),
        resumes=True,
    ),
    Fault(
        name="disk full for the journal",
        what="no space left for what the run says of itself, which is all that is lost",
        beside=journal_full,
        expected=Expected(exit=0, says="events.jsonl"),
    ),
    Fault(
        name="file size limit",
        what="no file may have more than 8 KB",
        limits={resource.RLIMIT_FSIZE: 8192},
        expected=_unwritable("cannot write results: File too large"),
    ),
    Fault(
        name="results read-only",
        what="the results directory may not be written",
        before=read_only,
        bound=True,
        expected=_unwritable("cannot write results: Permission denied"),
    ),
    Fault(
        name="results are a file",
        what="a file is where the directory should be",
        before=a_file,
        expected=Expected(exit=2, says="results", **NONE),
    ),
    Fault(
        name="results deleted",
        what="somebody removes the results directory under load",
        beside=results_go,
        protocol=LONG,
        expected=_unwritable("cannot write results: No such file or directory"),
    ),
    Fault(
        name="results locked",
        what="another run writes into the directory",
        before=locked,
        expected=Expected(exit=2, says="another inferometer run is writing here", **NONE),
    ),
    Fault(
        name="no standard streams",
        what="we are started with stdin and stdout closed",
        wrap=("sh", "-c", 'exec "$@" <&- >&-', "sh"),
        expected=Expected(exit=0, says=DONE),
    ),
    Fault(
        name="wall clock steps",
        what="the wall clock is set an hour ahead inside a window",
        inside=("wall_clock_steps",),
        expected=Expected(exit=0, check="one clock: fail", says=DONE),
    ),
    Fault(
        name="machine sleeps",
        what="we stand still for three quarters of a window",
        beside=asleep,
        protocol=LONG,
        expected=Expected(exit=0, check="loop lag: fail", says=DONE),
    ),
)
