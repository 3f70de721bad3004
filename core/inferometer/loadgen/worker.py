"""A worker process: ``python -m inferometer.loadgen.worker FD PARENT``.

It sends a share of a load and does what it is told over the socket ``FD``; everything else it
needs, keys among it, comes that way, too. It ends when the other end closes or its parent dies.
Started by a ``Remote`` it is one of its own processes. Started by a load host, with a third
argument, the other end is on another host, and stdin says how both know each other.
"""

from __future__ import annotations

import asyncio
import collections
import ctypes
import dataclasses
import gc
import os
import signal
import socket
import sys
import time
import traceback
from typing import TYPE_CHECKING, Any

import msgspec
import uvloop

from inferometer import redact
from inferometer.errors import InferometerError
from inferometer.loadgen import wire
from inferometer.loadgen.channel import BEAT_S, Channel, Seal
from inferometer.loadgen.closed import ClosedLoop
from inferometer.loadgen.deal import volume
from inferometer.loadgen.open import OpenLoop

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from inferometer.loadgen.closed import Part
    from inferometer.loadgen.deal import Unit
    from inferometer.loadgen.http import Target
    from inferometer.loadgen.shelf import Row

PR_SET_PDEATHSIG = 1
STOCK_BYTES = 32 * 2**20
"""A worker with so many bytes ready to send asks for no more."""
BATCH = 256
"""Requests in one message."""


class Handed(msgspec.Struct, frozen=True, kw_only=True):
    """What a load host hands to a worker, on stdin: nobody else's process can see it."""

    seal: Seal
    key: str = ""
    """The API key that the host was started with."""


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

    def __init__(self, channel: Channel, setup: wire.Setup, key: str = "") -> None:
        self.channel = channel
        self.hidden = (key,) if key else ()
        self.stock = Stock(setup.stock, lambda count: self._post(wire.Want(count)))
        loop = ClosedLoop if setup.plan.arrivals is None else OpenLoop
        target = _with_key(setup.target, key) if setup.keyed else setup.target
        self.sender = loop(target, setup.plan, self.stock, setup.share)
        self.tasks: set[asyncio.Task[None]] = set()
        self.call: asyncio.Task[None] | None = None
        """The latest; there is one at a time, but that a salvage takes the place of another."""

    async def run(self) -> None:
        """Serve until the other end is gone."""
        self._start(self.sender.watch())
        self._start(self._beat())
        try:
            while True:
                data = await self.channel.receive()
                now_ns = time.monotonic_ns()
                match wire.to_worker(data):
                    case wire.Ping(sent_ns):
                        self._post(wire.Pong(sent_ns, now_ns, time.monotonic_ns()))
                    case wire.Call() as call:
                        if call.name == "salvage" and self.call is not None:
                            self.call.cancel()
                        self.call = self._start(self._call(call))
                    case wire.Ask():
                        self._start(self._progress())
                    case wire.Units(units, ended):
                        self.stock.put(units, ended=ended)
        except (EOFError, OSError):
            os._exit(0)  # whatever is going on: nobody will ask for it any more

    def _post(self, message: wire.FromWorker) -> None:
        self.channel.post(wire.packed(message))

    async def _send(self, message: wire.FromWorker) -> None:
        await self.channel.send(wire.packed(message))

    async def _call(self, call: wire.Call) -> None:
        if call.name == "connect":
            await self.stock.filled()
        result = await getattr(self.sender, call.name)(*call.args)
        if call.name in {"finish", "salvage"}:
            result = await self._rows(result)
        await self._send(wire.done(call.name, result))

    async def _progress(self) -> None:
        await self._send(wire.Told(await self.sender.progress()))

    async def _rows(self, part: Part) -> Part:
        """Send the rows in messages of their own, so that none of them is large."""
        for start in range(0, len(part.rows), BATCH):
            await self._send(wire.Rows([*map(self._hushed, part.rows[start : start + BATCH])]))
        return part._replace(rows=[])

    def _hushed(self, row: Row) -> Row:
        """Keep this host's key here: a server may repeat it."""
        request, chunks = row
        if request.error is None or not self.hidden:
            return row
        said = redact.without(request.error, self.hidden)
        return msgspec.structs.replace(request, error=said), chunks

    async def _beat(self) -> None:
        while True:
            self._post(wire.Alive())
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
            await self._send(wire.failed(error))
        except Exception as error:  # noqa: BLE001 -- the other end raises it
            await self._send(wire.Broken(traceback.format_exception(error)))


def _with_key(target: Target, key: str) -> Target:
    return dataclasses.replace(target, headers={**target.headers, "authorization": f"Bearer {key}"})


async def serve(end: socket.socket, handed: Handed | None = None) -> None:
    """Serve over ``end``."""
    channel = await Channel.over(end, None if handed is None else handed.seal)
    try:
        setup = wire.to_worker(await channel.receive())
    except (EOFError, OSError):  # it wanted to know who is here, and no more
        return
    assert isinstance(setup, wire.Setup)
    await Worker(channel, setup, "" if handed is None else handed.key).run()


def main(argv: list[str]) -> None:
    """Run as a process."""
    descriptor, parent = map(int, argv[:2])
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before it could be watched
        return
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever asked for the load decides
    handed = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=Handed) if argv[2:] else None
    gc.disable()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(socket.socket(fileno=descriptor), handed))


if __name__ == "__main__":
    main(sys.argv[1:])
