"""Checks of a session's life: two at once, threads, closing, and what is left behind."""

from __future__ import annotations

import math
import os
import statistics
import tempfile
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from inferometer.testing.check import applies, check, checks_of, need, printed
from inferometer.testing.meters.kit import Kit, Opened, named

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from inferometer.testing.check import Check
    from inferometer.testing.meters.kit import Look

LOOKS = 9
QUICK_S = 0.010
"""A look may take so long, or a tenth of the period that the meter asks for."""
CPU_SHARE = 0.01
"""Of one core that reading may cost."""
PATIENCE_S = 0.5
DESCRIPTORS = Path("/proc/self/fd")


@check
def opens(kit: Kit) -> None:
    """Where it says that it can be read, it opens, reads and closes."""
    with kit.readable() as (context, _):
        session = kit.meter.open(context)
        session.read()
        session.close()


@check
def opens_again(kit: Kit) -> None:
    """Closed, it can be opened and read again."""
    with kit.readable() as (context, info):
        for _ in range(3):
            with kit.session(context, info) as opened:
                opened.looks(1)


@check
def two_at_once(kit: Kit) -> None:
    """Two sessions live side by side, and the end of one is not the end of the other."""
    with kit.readable() as (context, info), kit.session(context, info) as one:
        with kit.session(context, info) as other:
            one.looks(1)
            other.looks(1)
            other.close()
        one.looks(2)


@check
def closing_twice_is_closing(kit: Kit) -> None:
    """A second close does nothing."""
    with kit.opened() as opened:
        opened.looks(1)
        opened.close()
        opened.session.close()


@check
def closed_is_silent(kit: Kit) -> None:
    """A closed session gives an error, nothing, or a true reading: nothing old or made up."""
    with kit.opened() as opened:
        last = named(opened.rows())
        opened.close()
        before = time.monotonic_ns()
        try:
            rows = list(opened.session.read())
        except Exception:  # noqa: BLE001 -- any clean error will do
            return
        if not kit.world.recorded:
            need(all(row.t_ns >= before for row in rows), "an old reading")
        for row in rows:
            was = last[row.device][-1].value if row.device in last else 0.0
            need(math.isfinite(row.value) and not (was > 0 >= row.value), f"reads {row.value}")


@check
def read_from_any_thread(kit: Kit) -> None:
    """It is opened in one thread, read in another and closed in a third."""
    with ExitStack() as stack:
        context, info = stack.enter_context(kit.readable())
        # three that live until the end: a thread that has ended hands its number on
        one, other, third = (stack.enter_context(ThreadPoolExecutor(1)) for _ in range(3))
        session = one.submit(kit.meter.open, context).result()
        try:
            other.submit(Opened(session, info, kit.world).looks).result()
        finally:
            third.submit(session.close).result()


@check
def survives_a_fork(kit: Kit) -> None:
    """A child process that comes and goes does not disturb it."""
    with kit.opened() as opened:
        opened.looks(1)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # later Pythons warn of threads; the child only ends
            child = os.fork()
        if not child:
            os._exit(0)
        os.waitpid(child, 0)
        opened.looks(2)


@check
def children_inherit_nothing(kit: Kit) -> None:
    """What it opens is not handed on to engines, which would keep it open."""
    with kit.readable() as (context, info):
        before = set(_open_files())
        with kit.session(context, info) as opened:
            opened.looks(1)
            new = set(_open_files()) - before
            handed = [path for number, path in new if _inherited(number)]
            need(not handed, f"inheritable: {', '.join(handed)}")


@check
def leaves_no_thread(kit: Kit) -> None:
    """Closed, it has no thread."""
    with kit.readable() as (context, info):
        before = set(threading.enumerate())
        with kit.session(context, info) as opened:
            opened.looks(1)
        _soon(lambda: set(threading.enumerate()) <= before)
        left = [each.name for each in set(threading.enumerate()) - before]
        need(not left, f"still runs: {', '.join(left)}")


@check
def leaves_nothing_open(kit: Kit) -> None:
    """Closed, it has no file or connection; libraries that stay loaded are opened once."""
    with kit.readable() as (context, info):
        with kit.session(context, info) as opened:
            opened.looks(1)
        before = len(_open_files())
        for _ in range(3):
            kit.meter.info(context)
            with kit.session(context, info) as opened:
                opened.looks(1)
        need(
            _soon(lambda: len(_open_files()) <= before),
            f"{len(_open_files()) - before} more are open than after the first time",
        )


@check
def leaves_no_file(kit: Kit) -> None:
    """It writes no file, neither where the run was started nor among the temporary ones."""
    with kit.readable() as (context, info), _empty_temporary() as folder:
        here = set(os.listdir())
        kit.meter.info(context)
        with kit.session(context, info) as opened:
            opened.looks(1)
        left = [*(set(os.listdir()) - here), *os.listdir(folder)]
        need(not left, f"left behind: {', '.join(left)}")


@check
def leaves_no_process(kit: Kit) -> None:
    """Closed, it has no process of its own."""
    with kit.readable() as (context, info):
        before = _children()
        with kit.session(context, info) as opened:
            opened.looks(1)
        _soon(lambda: _children() <= before)
        left = sorted(_children() - before)
        need(not left, f"still runs: process {', '.join(map(str, left))}")


@check
def prints_nothing(kit: Kit) -> None:
    """Nothing goes to stdout, which is for results."""
    with kit.readable() as (context, info):
        with printed() as written:
            kit.meter.info(context)
            with kit.session(context, info) as opened:
                opened.looks(1)
                opened.close()
        need(not written, f"printed {b''.join(written)[:60]!r}")


@check
def tells_no_secret(kit: Kit) -> None:
    """No password it uses comes out: not in its words, its readings or its errors."""
    applies(kit.world.secrets, "this world has none")
    with kit.readable() as (context, info):
        said = [repr(info), repr(kit.meter), repr(context.options)]
        with kit.session(context, info) as opened:
            said += map(repr, opened.rows())
            said.append(repr(opened.session))
            if kit.world.failing is not None:
                with kit.world.failing():
                    try:
                        opened.session.read()
                    except Exception as error:  # noqa: BLE001 -- its words are what is looked at
                        said.append(f"{error!r} {error}")
        told = [text for text in said if any(secret in text for secret in kit.world.secrets)]
        need(not told, f"{len(told)} of its words hold a secret")


@check
def reading_is_quick(kit: Kit) -> None:
    """A look takes less than 10 ms, or than a tenth of the period that it asks for."""
    with kit.opened() as opened:
        opened.looks(1)
        took = [(look.after_ns - look.before_ns) * 1e-9 for look in _often(opened)]
        limit_s = max(QUICK_S, opened.info.period_s / 10)
        median_s = statistics.median(took)
        need(median_s <= limit_s, f"{median_s * 1e3:.1f} ms, more than {limit_s * 1e3:g} ms")


@check
def reading_costs_little(kit: Kit) -> None:
    """Read as often as it asks for, it costs at most 1 % of one core."""
    with kit.opened() as opened:
        opened.looks(1)
        began = time.thread_time()
        looks = _often(opened)
        share = (time.thread_time() - began) / len(looks) / opened.info.period_s
        need(share <= CPU_SHARE, f"{share:.1%} of a core each {opened.info.period_s:g} s")


# -- inside ----------------------------------------------------------------------------------


def _often(opened: Opened) -> list[Look]:
    """Look several times in a row."""
    return [opened.look() for _ in range(LOOKS)]


def _open_files() -> set[tuple[int, str]]:
    """Return this process's descriptors with what they stand for."""
    found = set()
    for entry in DESCRIPTORS.iterdir():
        with suppress(OSError):  # the folder's own descriptor is gone by now
            found.add((int(entry.name), os.readlink(entry)))
    return found


def _inherited(number: int) -> bool:
    try:
        return os.get_inheritable(number)
    except OSError:  # closed meanwhile
        return False


def _children() -> set[int]:
    return {each.pid for each in psutil.Process().children(recursive=True)}


def _soon(true: Callable[[], bool]) -> bool:
    """Return whether ``true`` comes true in a moment: threads and peers need one to end."""
    until = time.monotonic() + PATIENCE_S
    while not true():
        if time.monotonic() > until:
            return False
        time.sleep(0.005)
    return True


@contextmanager
def _empty_temporary() -> Iterator[str]:
    """Make a new, empty folder the one for temporary files, for libraries and children, too."""
    kept, variable = tempfile.tempdir, os.environ.get("TMPDIR")
    with tempfile.TemporaryDirectory() as folder:
        tempfile.tempdir = os.environ["TMPDIR"] = folder
        try:
            yield folder
        finally:
            tempfile.tempdir = kept
            if variable is None:
                del os.environ["TMPDIR"]
            else:
                os.environ["TMPDIR"] = variable


CHECKS: tuple[Check[Kit], ...] = checks_of(list(globals().values()))
