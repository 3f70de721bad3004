"""What a plugin may not do to us while it is called: print, move us, deafen us, keep us."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

LONGEST_S = 60.0
"""A plugin that does not return for so long is given up. Importing torch takes ten from a disk."""
AGAIN_S = 1.0
"""A plugin that catches what ends it gets it again."""

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextlib.contextmanager
def hosted() -> Iterator[list[str]]:
    """Call a stranger's code inside; what it did to us is undone, and told in the list given.

    What it prints, also below Python, goes to stderr: stdout carries results only. The working
    directory is what it was, and so are the handlers of the signals that end us. In the main
    thread it ends after :data:`LONGEST_S`, unless it waits where no signal is heard.

    Raises:
        TimeoutError: it did not return.
    """
    said: list[str] = []
    with stdout_to_stderr(), in_place(said), hearing(said), within():
        yield said


@contextlib.contextmanager
def stdout_to_stderr() -> Iterator[None]:
    """Send what is printed, also below Python, to stderr."""
    if sys.stdout is not None:  # as where descriptor 1 was closed when we began
        sys.stdout.flush()
    with contextlib.ExitStack() as stack:
        stack.enter_context(contextlib.redirect_stdout(sys.stderr))
        with contextlib.suppress(OSError):  # no such descriptor: nothing to redirect
            kept = os.dup(1)
            stack.callback(os.close, kept)
            os.dup2(2, 1)
            stack.callback(os.dup2, kept, 1)
        yield


@contextlib.contextmanager
def in_place(said: list[str]) -> Iterator[None]:
    """Come back to the working directory; ``said`` gets a line if it was another one."""
    before = _directory()
    try:
        yield
    finally:
        if before and (after := _directory()) != before:
            os.chdir(before)
            said.append(f"changed the working directory to {after or 'nowhere'}: changed back")


def _directory() -> str:
    try:
        return os.getcwd()
    except OSError:  # it was removed
        return ""


@contextlib.contextmanager
def hearing(said: list[str]) -> Iterator[None]:
    """Take back the signals that end us; ``said`` gets a line if they were taken from us."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in ENDING}
    try:
        yield
    finally:
        for number, handler in before.items():
            if handler is not None and signal.getsignal(number) is not handler:
                signal.signal(number, handler)
                said.append(f"took {number.name} from us: taken back")


@contextlib.contextmanager
def within(seconds: float | None = None) -> Iterator[None]:
    """Raise TimeoutError in what takes longer (None: :data:`LONGEST_S`).

    Outside the main thread there is no limit. Somebody else's alarm comes when it would have come,
    or right afterwards.
    """
    if seconds is None:
        seconds = LONGEST_S
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def over(_number: int, _frame: FrameType | None) -> None:
        raise TimeoutError(f"did not return for {seconds:g} s")

    handler = signal.signal(signal.SIGALRM, over)
    left_s, every_s = signal.setitimer(signal.ITIMER_REAL, seconds, AGAIN_S)
    began_s = time.monotonic()
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
        if left_s:
            rest_s = left_s - (time.monotonic() - began_s)
            signal.setitimer(signal.ITIMER_REAL, max(rest_s, 1e-3), every_s)
