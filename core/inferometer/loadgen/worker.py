"""A worker process: ``python -m inferometer.loadgen.worker FD PARENT``, started by a ``Remote``.

It sends a share of a load and does what it is told over the socket ``FD``; everything else it
needs, keys among it, comes that way, too. It ends when the other end closes or its parent dies.
"""

from __future__ import annotations

import asyncio
import collections
import ctypes
import gc
import os
import signal
import socket
import sys
import traceback
from typing import TYPE_CHECKING, Any

import uvloop

from inferometer.errors import InferometerError
from inferometer.loadgen.channel import BEAT_S, Channel, Setup
from inferometer.loadgen.closed import ClosedLoop
from inferometer.loadgen.deal import volume
from inferometer.loadgen.open import OpenLoop

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from inferometer.loadgen.closed import Part
    from inferometer.loadgen.deal import Unit

PR_SET_PDEATHSIG = 1
STOCK_BYTES = 32 * 2**20
"""A worker with so many bytes ready to send asks for no more."""
BATCH = 256
"""Requests in one message."""


class Stock:
    """Requests on hand. More are asked for when half of them are gone, long before the last is."""

    def __init__(self, size: int, ask: Callable[[int], None]) -> None:
        self._size, self._ask = size, ask
        self._units: collections.deque[Unit] = collections.deque()
        self._bytes = 0
        self._asked = self._ended = False
        self._arrived = asyncio.Event()

    async def take(self, upto: int | None = None) -> Unit | None:
        """Return the next unit; None at the end, or when it begins at ``upto`` or later."""
        await self.filled()
        if not self._units or (upto is not None and self._units[0][0][0] >= upto):
            return None
        unit = self._units.popleft()
        self._bytes -= volume([unit])
        self._replenish()
        return unit

    async def filled(self) -> None:
        """Wait until something is on hand, or nothing will ever be."""
        while not self._units and not self._ended:
            self._replenish()
            await self._arrived.wait()

    def put(self, units: list[Unit], *, ended: bool) -> None:
        """Take what was asked for."""
        self._units.extend(units)
        self._bytes += volume(units)
        self._asked, self._ended = False, ended
        self._arrived.set()

    def _replenish(self) -> None:
        low = len(self._units) <= self._size // 2 and self._bytes <= STOCK_BYTES // 2
        if low and not self._asked and not self._ended:
            self._asked = True
            self._arrived.clear()
            self._ask(self._size - len(self._units))


class Worker:
    """The child's end: calls come in, what became of them goes out."""

    def __init__(self, channel: Channel, setup: Setup) -> None:
        self.channel = channel
        self.stock = Stock(setup.stock, lambda count: channel.post("want", count))
        target, plan, share, _ = setup
        loop = ClosedLoop if plan.arrivals is None else OpenLoop
        self.sender = loop(target, plan, self.stock, share)
        self.tasks: set[asyncio.Task[None]] = set()
        self.call: asyncio.Task[None] | None = None
        """The latest; there is one at a time, but that a salvage takes the place of another."""

    async def run(self) -> None:
        """Serve until the other end is gone."""
        self._start(self.sender.watch())
        self._start(self._beat())
        try:
            while True:
                kind, *content = await self.channel.receive()
                if kind == "call":
                    if content[0] == "salvage" and self.call is not None:
                        self.call.cancel()
                    self.call = self._start(self._call(*content))
                elif kind == "progress":
                    self._start(self._progress())
                else:
                    units, ended = content
                    self.stock.put(units, ended=ended)
        except (EOFError, OSError):
            os._exit(0)  # whatever is going on: nobody will ask for it any more

    async def _call(self, name: str, args: tuple[Any, ...], words: dict[str, Any]) -> None:
        if name == "connect":
            await self.stock.filled()
        result = await getattr(self.sender, name)(*args, **words)
        if name in {"finish", "salvage"}:
            result = await self._rows(result)
        await self.channel.send("done", name, result)

    async def _progress(self) -> None:
        await self.channel.send("progress", await self.sender.progress())

    async def _rows(self, part: Part) -> Part:
        """Send the rows in messages of their own, so that none of them is large."""
        for start in range(0, len(part.rows), BATCH):
            await self.channel.send("rows", part.rows[start : start + BATCH])
        return part._replace(rows=[])

    async def _beat(self) -> None:
        while True:
            self.channel.post("alive")
            await asyncio.sleep(BEAT_S)

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(self._reported(work))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return task

    async def _reported(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except InferometerError as error:
            await self.channel.send("failed", error)
        except Exception as error:  # noqa: BLE001 -- the other end raises it
            await self.channel.send("broken", traceback.format_exception(error))


async def serve(end: socket.socket) -> None:
    """Serve over ``end``."""
    channel = await Channel.over(end)
    setup = Setup(*await channel.receive())
    await Worker(channel, setup).run()


def main(argv: list[str]) -> None:
    """Run as a process."""
    descriptor, parent = map(int, argv)
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before it could be watched
        return
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever asked for the load decides
    gc.disable()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(socket.socket(fileno=descriptor)))


if __name__ == "__main__":
    main(sys.argv[1:])
