"""The open loop: requests sent when the schedule says, however the server is doing."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from inferometer.loadgen.closed import DEAD_AFTER, ClosedLoop

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from contextlib import AbstractAsyncContextManager

    from inferometer.loadgen.answer import Call
    from inferometer.loadgen.closed import Stock
    from inferometer.loadgen.deal import Share, Unit
    from inferometer.loadgen.http import Client, Target
    from inferometer.loadgen.offer import LoadPlan

OPEN_AT_ONCE = 128
"""Connections opened at the same time; a listening server's backlog is often 128 or more."""
YIELD_EVERY = 16
"""Late requests created before the loop gets to send them."""


class OpenLoop(ClosedLoop):
    """One process's part of an absolute schedule. It warms up as the closed loop does.

    Every request keeps the time it was meant for: one that is sent late, because the client, a cap
    or a connection held it up, shows that in its latency from ``intended_ns``. Requests take an
    idle connection, or open another one; a conversation keeps its own.
    """

    def __init__(self, target: Target, plan: LoadPlan, stock: Stock, share: Share) -> None:
        super().__init__(target, plan, stock, share)
        self.idle = list(self.clients)
        self.offsets: list[float] = []
        self.refused = 0
        self.room: AbstractAsyncContextManager[object] = contextlib.nullcontext()
        if plan.max_in_flight is not None:
            self.room = asyncio.Semaphore(len(share.among(plan.max_in_flight)))

    # -- phases ----------------------------------------------------------------------------------

    async def schedule(self, offsets: list[float], connections: int) -> None:
        """Take the times of its share, in s from the anchor; open connections for them ahead.

        Those it turns out to lack are opened when they are needed.
        """
        self.offsets = offsets
        fresh = [self._another() for _ in range(connections - len(self.clients))]
        self.idle = [*fresh, *self.idle]
        for start in range(0, len(fresh), OPEN_AT_ONCE):
            part = fresh[start : start + OPEN_AT_ONCE]
            opened = await asyncio.gather(*(c.open() for c in part), return_exceptions=True)
            if any(isinstance(result, BaseException) for result in opened):
                return

    def _begin(self) -> None:
        self._background(self._endless())

    async def _endless(self) -> None:
        """Send on schedule; when it is over (a short trace) the window still runs its length."""
        async with _group() as group:
            await self._send(group)
            await asyncio.Event().wait()

    async def _all(self) -> None:
        async with _group() as group:
            await self._send(group)

    # -- sending ---------------------------------------------------------------------------------

    async def _send(self, group: asyncio.TaskGroup) -> None:
        """Start one task a request at its time; requests are built before they are due."""
        for number, offset in enumerate(self.offsets):
            unit = await self.stock.take()
            if unit is None:
                return
            index, body = unit[0]
            call, request = self._call(index, body, -1, self.anchor_ns + round(offset * 1e9))
            await self.alarm.until(call.intended_ns)
            group.create_task(self._serve(unit, call, request))
            if number % YIELD_EVERY == YIELD_EVERY - 1:
                await asyncio.sleep(0)

    async def _serve(self, unit: Unit, call: Call, request: bytes) -> None:
        """Send a request, and the later turns of its conversation, on one connection."""
        client: Client | None = None
        last = len(unit) - 1
        for turn in range(len(unit)):
            async with self.room:
                await self._unless_over()
                client = client or (self.idle.pop() if self.idle else self._another())
                call.stream = client.number
                await self._ask(client, call, request)
                if turn == last:
                    self.idle.append(client)
            # A server under an open load may drop connections; one that takes none is gone.
            self.refused = self.refused + 1 if call.exchange.outcome == "refused" else 0
            if self.refused == DEAD_AFTER:
                raise self._dead(call.exchange.detail)
            if turn < last:
                index, body = unit[turn + 1]
                due_ns = call.exchange.end_ns + round(body.think_s * 1e9)
                call, request = self._call(index, body, client.number, due_ns)
                await self.alarm.until(due_ns)

    def _another(self) -> Client:
        client = self._client(self.share.number + self.share.of * len(self.clients))
        self.clients.append(client)
        return client

    # -- afterwards ------------------------------------------------------------------------------

    def _counts(self, call: Call) -> bool:
        """Count a request that was due but still held back when the window closed as sent then."""
        held = call.exchange.sent_ns == 0 or call.exchange.sent_ns > (self.cut_ns or 0)
        if self.cut_ns is not None and held and call.intended_ns <= self.cut_ns:
            call.exchange.sent_ns = self.cut_ns
        return super()._counts(call)


@contextlib.asynccontextmanager
async def _group() -> AsyncIterator[asyncio.TaskGroup]:
    """Give a task group that raises the first failure itself."""
    try:
        async with asyncio.TaskGroup() as group:
            yield group
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None
