"""What happens on a node: a process that Ray keeps carries out one order after another.

It hangs on the run by a leash, a call that returns when the run is given up. Then, and when the
run is gone, the process interrupts itself as Ctrl-C would: Ray's own cancelling reaches no process
that waits in the kernel.
"""

from __future__ import annotations

import asyncio
import signal
import threading
from contextlib import suppress
from importlib import import_module
from typing import Any

from inferometer import api
from inferometer_plugins.executors import carry

GONE = "the run is over"


class Ear:
    """The run's end of all messages: an actor beside it, which goes when it goes."""

    def __init__(self) -> None:
        self._heard: list[tuple[str, bytes]] = []
        self._some = asyncio.Event()
        self._over = asyncio.Event()

    async def hear(self, order: str, message: bytes) -> None:
        """Take what an order says."""
        self._heard.append((order, message))
        self._some.set()

    async def take(self) -> list[tuple[str, bytes]]:
        """Return what was heard since the last call, at the latest when there is something."""
        await self._some.wait()
        self._some.clear()
        found, self._heard = self._heard, []
        return found

    async def leash(self) -> None:
        """Return when the run is given up."""
        await self._over.wait()

    async def give_up(self) -> None:
        """Let go of every leash."""
        self._over.set()


class _Held:
    """What a process knows of its run."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.working = False
        self.over = False
        self.leash: threading.Thread | None = None

    def hold(self, ear: Any) -> None:
        """Hang on the run, once a process, and hear signals: Ray starts us with SIGINT blocked."""
        if self.leash is None:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
            self.leash = threading.Thread(target=self._wait, args=(ear,), daemon=True)
            self.leash.start()

    def _wait(self, ear: Any) -> None:
        ray: Any = import_module("ray")
        with suppress(ray.exceptions.RayError):  # the run is gone, and its ear with it
            ray.get(ear.leash.remote())
        with self.lock:
            self.over = True
            if self.working:
                signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    def begin(self) -> bool:
        """Say whether an order may begin."""
        with self.lock:
            self.working = not self.over
            return self.working

    def end(self) -> None:
        """Say that nothing is to be interrupted any more."""
        with self.lock:
            self.working = False


_held = _Held()


def carry_out(
    ear: Any, order: str, shared: bytes, content: bytes, store: str
) -> tuple[bytes, int, bool]:
    """Carry out one order; return its answer, how often it said something, and if it was carried.

    A launch that was made beside the results directory is carried to ``store``.
    """
    _held.hold(ear)
    said = 0
    lock = threading.Lock()

    def say(message: bytes) -> None:
        nonlocal said
        with lock:
            said += 1
        ear.hear.remote(order, message)

    if not _held.begin():
        raise InterruptedError(GONE)
    try:
        say(b"")
        answer = api.perform(shared, content, say)
        folder = api.folder_of(answer)
        if folder is not None:
            carry.away(folder, store, order)
    finally:
        _held.end()
    return answer, said, folder is not None
