"""What happens on a node: a process that Ray keeps carries out one order after another.

It hangs on the run by a leash, a call that returns when the run is given up. Then, and when the
run is gone, the process interrupts itself as Ctrl-C would: Ray's own cancelling reaches no process
that waits in the kernel.
"""

from __future__ import annotations

import asyncio
import signal
import threading
from contextlib import contextmanager, suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any

from inferometer import api
from inferometer_plugins.executors import carry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

GONE = "the run is over"
END_S = 140.0
"""For those that follow to end their engine: what a supervisor takes at most, and a little."""


class Ear:
    """The run's end of all messages: an actor beside it, which goes when it goes."""

    def __init__(self) -> None:
        self._heard: list[tuple[str, bytes]] = []
        self._some = asyncio.Event()
        self._over = asyncio.Event()
        self._ended: dict[str, asyncio.Event] = {}

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

    async def ended(self, order: str) -> None:
        """Return when an order is over for those that follow it."""
        await self._ended.setdefault(order, asyncio.Event()).wait()

    async def end(self, order: str) -> None:
        """Let go of those that follow an order."""
        self._ended.setdefault(order, asyncio.Event()).set()

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
            self.interrupt()

    def interrupt(self) -> None:
        """Interrupt what is worked on as Ctrl-C would; ``lock`` is held."""
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


class FollowerLostError(Exception):
    """A node that followed an order is gone (``node_gone``), or its process alone."""

    def __init__(self, why: str, node_gone: bool) -> None:
        super().__init__(why, node_gone)
        self.why, self.node_gone = why, node_gone


class Gathering:
    """The tasks that follow an order, each in its bundle of the order's placement group."""

    def __init__(self, ear: Any, order: str, shared: bytes) -> None:
        self._ear, self._order, self._shared = ear, order, shared
        self._ray: Any = import_module("ray")
        self._ending = False
        self._answer: bytes | None = None
        self.lost: FollowerLostError | None = None

    @contextmanager
    def __call__(self, contents: Sequence[bytes]) -> Iterator[Callable[[], bytes | None]]:
        """Start a task for each content; wait for all of them in the end."""
        refs = [self._started(number + 1, each) for number, each in enumerate(contents)]
        watcher = threading.Thread(target=self._watch, args=(refs,), daemon=True)
        watcher.start()
        try:
            yield lambda: self._answer
        finally:
            with _held.lock:
                self._ending = True
            self._ear.end.remote(self._order)
            _, left = self._ray.wait(refs, num_returns=len(refs), timeout=END_S)
            for ref in left:
                self._ray.cancel(ref, force=True)
            watcher.join()

    def _started(self, bundle: int, content: bytes) -> Any:
        strategies: Any = import_module("ray.util.scheduling_strategies")
        group = self._ray.util.get_current_placement_group()
        has = group.bundle_specs[bundle]
        task = self._ray.remote(follow).options(
            num_cpus=has["CPU"],
            num_gpus=has.get("GPU", 0),
            memory=has.get("memory", 0),
            max_retries=0,
            name=f"{self._order}.{bundle}",
            scheduling_strategy=strategies.PlacementGroupSchedulingStrategy(
                group, placement_group_bundle_index=bundle
            ),
        )
        return task.remote(self._ear, self._order, self._shared, content)

    def _watch(self, refs: Sequence[Any]) -> None:
        """Hear of the first follower that is over before the order is."""
        errors = self._ray.exceptions
        for ref in self._ray.wait(list(refs), num_returns=1)[0]:
            try:
                answer = self._ray.get(ref)
            except errors.RayError as error:
                gone = isinstance(error, errors.NodeDiedError | errors.TaskUnschedulableError)
                with _held.lock:
                    if not self._ending:
                        self.lost = FollowerLostError(type(error).__name__, gone)
                        _held.interrupt()
            else:
                self._answer = answer


def follow(ear: Any, order: str, shared: bytes, content: bytes) -> bytes:
    """Follow an order until it is over; return the answer."""
    ray: Any = import_module("ray")
    _held.hold(ear)
    ended = ear.ended.remote(order)
    if not _held.begin():
        raise InterruptedError(GONE)
    try:
        return api.perform(
            shared,
            content,
            lambda _: None,
            over=lambda: bool(ray.wait([ended], timeout=0)[0]),
        )
    finally:
        _held.end()


def carry_out(
    ear: Any, order: str, shared: bytes, content: bytes, store: str, *, parted: bool = False
) -> tuple[bytes, int, bool]:
    """Carry out one order; return its answer, how often it said something, and if it was carried.

    A launch that was made beside the results directory is carried to ``store``. One that is
    ``parted`` has other nodes follow, in the placement group of this task.

    Raises:
        FollowerLostError: one of them is gone; what was measured is given up.
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
        gathering = Gathering(ear, order, shared) if parted else None
        answer = api.perform(shared, content, say, gather=gathering)
        if gathering is not None and gathering.lost is not None:
            raise gathering.lost
        folder = api.folder_of(answer)
        if folder is not None:
            carry.away(folder, store, order)
    finally:
        _held.end()
    return answer, said, folder is not None
