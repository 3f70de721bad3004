"""The open loop: requests sent when the schedule says, however the server is doing."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING

from inferometer.load.alarm import Alarm
from inferometer.load.arrivals import most_within
from inferometer.load.closed import DEAD_AFTER, ClosedLoop
from inferometer.load.http import Client

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from contextlib import AbstractAsyncContextManager

    from inferometer.load.answer import Call
    from inferometer.load.http import Target
    from inferometer.load.offer import Hooks, LoadPlan, LoadResult, Source
    from inferometer.records import Phase

SLACK_S = 1.0
"""The schedule goes on for this long after the window, so that it closes under load."""
HEADROOM = 1.5
"""Connections opened beforehand: for the most arrivals within this many request times."""
OPEN_AT_ONCE = 128
"""Connections opened at the same time; a listening server's backlog is often 128 or more."""
YIELD_EVERY = 16
"""Late requests created before the loop gets to send them."""


class OpenLoop(ClosedLoop):
    """One run on an absolute schedule. It warms up as the closed loop does, on its streams.

    Every request keeps the time it was meant for: one that is sent late, because the client, a cap
    or a connection held it up, shows that in its latency from ``intended_ns``. Requests take an
    idle connection, or open another one.
    """

    def __init__(
        self, target: Target, source: Source, plan: LoadPlan, hooks: Hooks, phase: Phase = "warmup"
    ) -> None:
        super().__init__(target, source, plan, hooks, phase)
        assert plan.arrivals is not None
        self.arrivals = plan.arrivals
        self.idle = list(self.clients)
        self.refused = 0
        self.room: AbstractAsyncContextManager[object] = contextlib.nullcontext()
        if plan.max_in_flight is not None:
            self.room = asyncio.Semaphore(plan.max_in_flight)

    # -- phases ----------------------------------------------------------------------------------

    async def _counted(self, requests: int) -> None:
        """Drain the warm-up, then send ``requests`` on schedule and wait for the answers."""
        await self._warmed_up()
        if not requests:
            return
        offsets = self.arrivals.first(requests)
        await self._open_ahead(offsets)
        self._open(time.monotonic_ns())
        async with _group() as group:
            await self._send(offsets, group)
        self._close(max(call.exchange.end_ns for call in self.calls))

    async def _window(self) -> None:
        """Drain the warm-up; then discard, measure and cut while the schedule goes on."""
        await self._warmed_up()
        discard_s = self._discard_s()
        offsets = self.arrivals.until(discard_s + self.plan.window_s + SLACK_S)
        await self._open_ahead(offsets)
        load = asyncio.create_task(self._endless(offsets))
        try:
            await self._or_failed(load, asyncio.sleep(discard_s))
            self._open(time.monotonic_ns())
            await self._or_failed(load, asyncio.sleep(self.plan.window_s))
            self._close(time.monotonic_ns())
        finally:
            for client in self.clients:
                client.close()
            load.cancel()
            await asyncio.gather(load, return_exceptions=True)

    async def _warmed_up(self) -> None:
        await self._streams(self.plan.concurrency, upto=self.warmup)
        self._check_warmup()

    async def _endless(self, offsets: list[float]) -> None:
        """Send on schedule; when it is over (a short trace) the window still runs its length."""
        async with _group() as group:
            await self._send(offsets, group)
            await asyncio.Event().wait()

    # -- sending ---------------------------------------------------------------------------------

    async def _send(self, offsets: list[float], group: asyncio.TaskGroup) -> None:
        """Start one task a request at its time; requests are built before they are due."""
        with Alarm() as alarm:
            anchor_ns = time.monotonic_ns()
            for number, offset in enumerate(offsets):
                call, request = self._take(-1, anchor_ns + round(offset * 1e9))
                await alarm.until(call.intended_ns)
                group.create_task(self._serve(call, request))
                if number % YIELD_EVERY == YIELD_EVERY - 1:
                    await asyncio.sleep(0)

    async def _serve(self, call: Call, request: bytes) -> None:
        async with self.room:
            client = self.idle.pop() if self.idle else self._another()
            call.stream = client.number
            await client.ask(request, call.exchange, self.plan.request_timeout_s)
            self.idle.append(client)
        self._ended(call)
        # A server under an open load may drop connections; one that takes none at all is gone.
        self.refused = self.refused + 1 if call.exchange.outcome == "refused" else 0
        if self.refused == DEAD_AFTER:
            raise self._dead(call.exchange.detail)

    def _another(self) -> Client:
        client = Client(self.target, len(self.clients))
        self.clients.append(client)
        return client

    async def _open_ahead(self, offsets: list[float]) -> None:
        """Open about as many connections as will be busy at once; those it lacks open later."""
        wanted = most_within(offsets, HEADROOM * self._request_s())
        if self.plan.max_in_flight:
            wanted = min(wanted, self.plan.max_in_flight)
        fresh = [self._another() for _ in range(wanted - len(self.clients))]
        self.idle = [*fresh, *self.idle]
        for start in range(0, len(fresh), OPEN_AT_ONCE):
            part = fresh[start : start + OPEN_AT_ONCE]
            opened = await asyncio.gather(*(c.open() for c in part), return_exceptions=True)
            if any(isinstance(result, BaseException) for result in opened):
                return

    # -- afterwards ------------------------------------------------------------------------------

    def _result(self) -> LoadResult:
        """Count a request that was due but still held back when the window closed as sent then."""
        for call in self.calls:
            if not call.exchange.sent_ns and call.intended_ns <= self.end_ns:
                call.exchange.sent_ns = self.end_ns
        return super()._result()


@contextlib.asynccontextmanager
async def _group() -> AsyncIterator[asyncio.TaskGroup]:
    """Give a task group that raises the first failure itself."""
    try:
        async with asyncio.TaskGroup() as group:
            yield group
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None
