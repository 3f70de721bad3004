"""Quux as an executor of Inferometer: on this machine, one launch after the other.

Each order is carried out by a process of its own. Put your cluster's way of starting one there.
"""

import os
import platform
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from threading import Lock

from inferometer import api, hookimpl
from inferometer.executor import Done, Heard, Lost, Node, Option, Order, Said


def carry_out(to_run: Connection, shared: bytes, content: bytes) -> None:
    """Carry out one order in a process of its own; say what it says, then its answer."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    lock = Lock()  # it may be called from any thread

    def say(message: bytes) -> None:
        with lock:
            to_run.send((False, message))

    to_run.send((True, api.perform(shared, content, say)))


@dataclass
class QuuxCluster:
    """This machine while a run lasts."""

    per_node: int = 1
    carries: bool = False  # what is measured is written where the run looks for it
    shared: bytes = b""
    waiting: list[Order] = field(default_factory=list)
    running: tuple[Order, BaseProcess, Connection] | None = None

    def nodes(self) -> Sequence[Node]:
        """Return this machine; your cluster's nodes in its place."""
        cpus = float(os.cpu_count() or 1)
        return [Node(key="here", machine=platform.node() or "here", cpus=cpus)]

    def share(self, content: bytes) -> None:
        """Keep what all orders share."""
        self.shared = content

    def start(self, order: Order) -> None:
        """Have an order wait for its turn."""
        self.waiting.append(order)

    def heard(self, timeout_s: float) -> Sequence[Heard]:
        """Return what the order that is carried out said, or that it is over."""
        if self.running is None and self.waiting:
            self.begin(self.waiting.pop(0))
        if self.running is None:
            return []
        order, process, connection = self.running
        if not connection.poll(timeout_s):
            return []
        try:
            over, message = connection.recv()
        except EOFError:
            self.end()
            return [Lost(order.id, f"its process ended with {process.exitcode}")]
        if not over:
            return [Said(order.id, message)]
        self.end()
        return [Done(order.id, message)]

    def begin(self, order: Order) -> None:
        """Start the process of an order."""
        mine, its = get_context("spawn").Pipe(duplex=False)
        process = get_context("spawn").Process(
            target=carry_out, args=(its, self.shared, order.content)
        )
        process.start()
        its.close()
        self.running = (order, process, mine)

    def end(self) -> None:
        """Wait until the process that runs is over; what it still says is not heard."""
        if self.running is not None:
            _, process, connection = self.running
            with suppress(EOFError):
                while True:
                    connection.recv()
            process.join()
            connection.close()
            self.running = None

    def settle(self) -> Sequence[Said]:
        """Return nothing: what is said is heard in its order."""
        return []

    def cancel(self) -> None:
        """Interrupt what runs, as Ctrl-C does: it ends its engine, and then itself."""
        self.waiting.clear()
        if self.running is not None and self.running[1].pid is not None:
            os.kill(self.running[1].pid, signal.SIGINT)
        self.end()

    def left(self) -> Iterator[Path]:
        """Return nothing: no launch is left anywhere else."""
        return iter(())


@dataclass(frozen=True)
class QuuxExecutor:
    """What ``--executor quux`` names."""

    name: str = "quux"
    options: Mapping[str, type] = field(default_factory=dict)

    @contextmanager
    def open(
        self, options: Mapping[str, Option], results: Path, plan_sha256: str
    ) -> Iterator[QuuxCluster]:
        """Begin a run; nothing of it is left in the end."""
        cluster = QuuxCluster()
        try:
            yield cluster
        finally:
            cluster.cancel()


@hookimpl
def inferometer_executors() -> list[QuuxExecutor]:
    """Return the executors of this plugin."""
    return [QuuxExecutor()]
