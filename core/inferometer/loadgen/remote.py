"""A worker process as seen by the process that started it."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import tempfile
import time
from typing import TYPE_CHECKING, Any, cast

import msgspec

from inferometer.errors import LaunchError
from inferometer.loadgen import wire
from inferometer.loadgen.channel import Channel
from inferometer.loadgen.deal import Dealer, Share, stock_size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from inferometer.loadgen.closed import Part, Warm
    from inferometer.loadgen.http import Target
    from inferometer.loadgen.offer import LoadPlan, Progress
    from inferometer.loadgen.shelf import Row

HANG_S = 60.0
"""A worker silent for so long hangs: it speaks once a second."""
SALVAGE_S = 60.0
"""A worker may take so long to tell what it has of a load that was broken off."""
BLOCK_BYTES = 16 * 2**20
"""Requests in one message to a worker, about."""
TAIL = 20
"""Lines kept of what a dead worker wrote."""


class Remote:
    """Sends its share of a load through a process of its own: a ``Sender`` of the conductor.

    The process starts in :meth:`watch`, which raises when the worker fails, falls silent or dies.
    What it says is heard, and requests are dealt to it, until it is gone: after :meth:`close`, or
    when this process ends in any way.
    """

    reach_s = 0.0

    def __init__(self, target: Target, plan: LoadPlan, dealer: Dealer, share: Share) -> None:
        self._setup = wire.Setup(target, plan, share, stock_size(plan, share))
        self._dealer, self._share = dealer, share
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: Channel | None = None
        self._begun = asyncio.Event()
        self._asked = ""
        """Name of the call that ``_answer`` belongs to."""
        self._answer: asyncio.Future[Any] | None = None
        self._progress: asyncio.Future[Progress] | None = None
        self._listening: asyncio.Task[None] | None = None
        self._failed = asyncio.Event()
        self._failure: Exception | None = None
        """The first thing that went wrong."""
        self._rows: list[Row] = []
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 -- closed in close()

    # -- a sender --------------------------------------------------------------------------------

    async def connect(self) -> None:
        """Open the streams' connections."""
        await self._call("connect")

    async def alone(self) -> None:
        """Send the first request."""
        await self._call("alone")

    async def warm_up(self) -> Warm:
        """Run the warm-up until all of it is answered."""
        return cast("Warm", await self._call("warm_up"))

    async def schedule(self, offsets: list[float], connections: int) -> None:
        """Take the times of an open loop."""
        await self._call("schedule", offsets, connections)

    async def window(self, anchor_ns: int, start_ns: int, end_ns: int, spread_ns: int) -> None:
        """Begin, measure between two times, then cut."""
        await self._call("window", anchor_ns, start_ns, end_ns, spread_ns)

    async def count(self, anchor_ns: int) -> int:
        """Send what is left; return when the last answer ended."""
        return cast("int", await self._call("count", anchor_ns))

    async def finish(self) -> Part:
        """Return everything."""
        part: Part = await self._call("finish")
        return part._replace(rows=self._rows)

    async def progress(self) -> Progress:
        """Return what became of its share since it was last asked."""
        self._progress = asyncio.get_running_loop().create_future()
        self._post(wire.Ask())
        return await self._progress

    async def salvage(self, end_ns: int) -> Part | None:
        """Have it stop in the middle of a call; None from a worker that is gone or hangs."""
        if self._listening is None or self._listening.done():
            return None
        try:
            async with asyncio.timeout(SALVAGE_S):
                part: Part = await self._call("salvage", end_ns)
        except (LaunchError, TimeoutError):
            return None
        return part._replace(rows=self._rows)

    async def watch(self) -> None:
        """Start the worker; raise what goes wrong."""
        try:
            await self._start()
        except ConnectionError:
            raise self._died() from None
        self._listening = asyncio.create_task(self._listen())
        await self._failed.wait()
        assert self._failure is not None
        raise self._failure

    async def close(self) -> None:
        """End the process at once and wait for its end."""
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.gather(self._listening, return_exceptions=True)
        if self._channel is not None:
            self._channel.close()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._said.close()

    # -- the process -----------------------------------------------------------------------------

    async def _start(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = self._spawned(theirs.fileno())
        self._channel = await Channel.over(ours)
        await self._send(self._setup)
        self._begun.set()

    def _spawned(self, descriptor: int) -> subprocess.Popen[bytes]:
        """Start a fresh interpreter: a fork would take our threads' locks along."""
        line = [sys.executable, "-P", "-m", "inferometer.loadgen.worker"]
        return subprocess.Popen(
            [*line, str(descriptor), str(os.getpid())],
            pass_fds=[descriptor],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=self._said,
            process_group=0,  # Ctrl-C is for us; it then ends with us
        )

    def _post(self, message: wire.ToWorker) -> None:
        assert self._channel is not None
        self._channel.post(wire.packed(message))

    async def _send(self, message: wire.ToWorker) -> None:
        assert self._channel is not None
        await self._channel.send(wire.packed(message))

    async def _call(self, name: wire.Phase, *args: int | list[float]) -> Any:
        await self._begun.wait()
        self._asked, self._answer = name, asyncio.get_running_loop().create_future()
        self._post(wire.Call(name, list(args)))
        return await self._answer

    async def _listen(self) -> None:
        """Listen for as long as there is anybody: a worker whose load failed can still tell."""
        try:
            while True:
                async with asyncio.timeout(HANG_S):
                    await self._hear()
        except TimeoutError:
            self._lost(self._error(f"hangs: no sign of life for {HANG_S:g} s"))
        except (EOFError, ConnectionError):
            self._lost(self._died())
        except msgspec.MsgspecError as error:
            self._lost(self._error(f"said what is no message: {error}"))
        except Exception as error:  # noqa: BLE001 -- of the source, which is not ours: watch raises it
            self._lost(error)

    def _lost(self, error: Exception) -> None:
        """Note that nothing more will be heard, and that nobody need wait for it."""
        self._fail(error)
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error)

    def _fail(self, error: Exception) -> None:
        self._failure = self._failure or error
        self._failed.set()

    async def _hear(self) -> None:
        assert self._channel is not None
        data = await self._channel.receive()
        now_ns = time.monotonic_ns()
        match wire.from_worker(data):
            case wire.Want(count):
                units, ended = self._dealer.block(self._share.number, count, BLOCK_BYTES)
                await self._send(wire.Units(units, ended))
            case wire.Rows(rows):
                self._rows += rows
            case wire.Done() as done:
                result = wire.result(done)
                # of a call that was given up for a salvage the result may still come
                answer = self._answer if done.name == self._asked else None
                if answer is not None and not answer.done():
                    answer.set_result(result)
            case wire.Told(progress):
                if self._progress is not None and not self._progress.done():
                    self._progress.set_result(progress)
            case wire.Failed() as failure:
                self._fail(wire.raised(failure))
            case wire.Broken(lines):
                self._fail(self._error(f"failed: {lines[-1].strip()}", lines))
            case wire.Pong() | wire.Alive() as sign:
                self._heard(sign, now_ns)

    def _heard(self, sign: wire.Pong | wire.Alive, now_ns: int) -> None:
        """Take a sign of life, which came at ``now_ns``."""

    def _died(self) -> LaunchError:
        assert self._process is not None
        try:
            code = self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            return self._error("closed its connection to us")
        how = f"was killed by signal {-code}" if code < 0 else f"exited with code {code}"
        self._said.seek(0)
        return self._error(how, self._said.read().decode(errors="replace").splitlines())

    def _error(self, what: str, lines: Sequence[str] = ()) -> LaunchError:
        return LaunchError(
            f"load worker {self._share.number + 1} of {self._share.of} {what}",
            hint="Is there enough memory? Measure again, or with fewer workers.",
            reason="failed",
            stage="serve",
            log_tail=lines[-TAIL:],
        )
