"""The closed loop: streams that send their next request when the last one ended."""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol

from inferometer.errors import LaunchError
from inferometer.loadgen.alarm import Alarm
from inferometer.loadgen.answer import Answer, Call
from inferometer.loadgen.clocks import Clock
from inferometer.loadgen.deal import Share, Unit
from inferometer.loadgen.http import Client, Target, frame
from inferometer.loadgen.offer import Progress, Seen
from inferometer.loadgen.shelf import Row, Shelf

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from inferometer.loadgen.offer import Body, LoadPlan
    from inferometer.records import Phase, Request

TICK_S = 0.010
DEAD_AFTER = 3
"""Connection failures in a row on one stream after which the server counts as dead."""
PAUSE_S = 0.25
"""Pause after a failed request, so that a refusing server is not hammered."""


class Stock(Protocol):
    """Where a sender gets its requests: the dealer itself, or what it has sent to a worker."""

    async def take(self, upto: int | None = None) -> Unit | None:
        """Return the next unit; None at the end, or when it begins at index ``upto`` or later."""


class Warm(NamedTuple):
    """How a sender's part of the warm-up went."""

    requests: int
    times_s: list[tuple[int, float]]
    """``(index, duration)`` of those that were answered."""
    error: str | None
    """Of the last one, where every one failed."""


class Part(NamedTuple):
    """What a sender leaves behind. Times are monotonic ns."""

    rows: list[Row]
    whole: dict[int, Answer]
    lags: list[tuple[int, float]]
    """``(time, lag in ms)`` of the ticks."""
    cpu_s: float
    """Processor time of the process inside the window."""
    retries: int
    clock: Clock | None = None
    """Of another host, whose stamps these were; None for this one's."""
    host: str = ""
    """Address of the load host; empty for this one."""


@dataclass(slots=True)
class _Pulse:
    """The client watching itself: lag of a 10 ms ticker, processor time."""

    lags: list[tuple[int, float]] = field(default_factory=list)
    start_s: float = 0.0
    end_s: float = 0.0

    async def tick(self) -> None:
        """Note how late each tick comes; the loop's own clock only knows whole milliseconds."""
        while True:
            began_ns = time.monotonic_ns()
            await asyncio.sleep(TICK_S)
            now_ns = time.monotonic_ns()
            self.lags.append((now_ns, max(0.0, (now_ns - began_ns) * 1e-6 - TICK_S * 1e3)))


class ClosedLoop:
    """One process's part of a load: its streams, and what they got. Its phases are called in turn.

    Answers are decoded between other work (see :mod:`inferometer.loadgen.shelf`). :meth:`watch`
    runs beside the phases and raises what ends the streams in between.
    """

    def __init__(
        self,
        target: Target,
        plan: LoadPlan,
        stock: Stock,
        share: Share = Share(),  # noqa: B008 -- a frozen value
        phase: Phase = "warmup",
    ) -> None:
        self.target, self.plan, self.stock, self.share = target, plan, stock, share
        self.first_phase = phase
        self.head = target.head()
        self.context = target.tls.context() if target.tls is not None else None
        streams = share.among(max(plan.concurrency, share.of))  # an open loop's warm-up may be less
        self.clients = [self._client(number) for number in streams]
        self.open: set[Call] = set()
        self.calls: list[Call] = []
        """The ended ones of the warm-up."""
        self.shelf = Shelf(plan.load_point, plan.first_index, every=phase == "probe")
        self.pulse = _Pulse()
        self.alarm = Alarm()
        self.stack = contextlib.ExitStack()
        self.anchor_ns = self.spread_ns = 0
        self.cut_ns: int | None = None
        self.last_ns = self.heard_ns = 0
        self.retries = 0
        self.task: asyncio.Task[None] | None = None
        self.failed = asyncio.Event()
        self.told_rows = self.told_lags = 0

    # -- phases ----------------------------------------------------------------------------------

    reach_s = 0.0

    async def connect(self) -> None:
        """Open a connection for each stream. Raises LaunchError."""
        self.stack.enter_context(self.alarm)
        for client in self.clients:
            try:
                await client.open()
            except OSError as error:
                raise self._dead(str(error) or type(error).__name__) from error

    async def alone(self) -> None:
        """Send the first request, and nothing beside it."""
        await self._streams(self.clients[:1], upto=1)

    async def warm_up(self) -> Warm:
        """Run the warm-up on all streams until all of it is answered."""
        await self._streams(self.clients, upto=self.plan.warmup)
        verdicts = [call.verdict() for call in self.calls]
        answered = any(status != "error" for status, _ in verdicts)
        times_s = [
            (call.index, (call.exchange.end_ns - call.exchange.sent_ns) * 1e-9)
            for call, (status, _) in zip(self.calls, verdicts, strict=True)
            if status == "ok"  # a server that refuses does so in no time
        ]
        error = verdicts[-1][1] if verdicts and not answered else None
        return Warm(len(verdicts), times_s, error)

    async def schedule(self, offsets: list[float], connections: int) -> None:
        """Take the schedule of an open loop, which alone has one."""

    async def window(self, anchor_ns: int, start_ns: int, end_ns: int, spread_ns: int) -> None:
        """Send from ``anchor_ns`` to ``end_ns``; then drop what is in flight.

        The streams begin one after the other, within ``spread_ns``.
        """
        self.anchor_ns, self.spread_ns, self.cut_ns = anchor_ns, spread_ns, end_ns
        self.shelf.cut_at(end_ns)
        self._begin()
        await self.alarm.until(start_ns)
        self.pulse.start_s = time.process_time()
        await self.alarm.until(end_ns)
        self.pulse.end_s = time.process_time()
        for client in self.clients:
            client.close()
        await self._halt()

    async def count(self, anchor_ns: int) -> int:
        """Send what is left of the stock, wait for the answers, return when the last one ended."""
        self.anchor_ns = anchor_ns
        self.pulse.start_s = time.process_time()
        await self._all()
        self.pulse.end_s = time.process_time()
        return self.last_ns

    def _begin(self) -> None:
        """Start what a window measures."""
        self._background(self._streams(self.clients))

    async def _all(self) -> None:
        await self._streams(self.clients)

    async def finish(self) -> Part:
        """Decode what is left and return everything."""
        await self.shelf.finish([call for call in self.open if self._counts(call)])
        pulse = self.pulse
        cpu_s = pulse.end_s - pulse.start_s
        return Part(self.shelf.rows, self.shelf.whole, pulse.lags, cpu_s, self.retries)

    async def progress(self) -> Progress:
        """Return what became of the load since it was last asked.

        Requests whose answer is not decoded yet are among the open ones.
        """
        as_of_ns, rows, lags = time.monotonic_ns(), self.shelf.rows, self.pulse.lags
        new = [row for row, _ in rows[self.told_rows :] if row.phase == "load"]
        ended = [_ended(row, row.index - self.plan.first_index) for row in new]
        late = [lag for _, lag in lags[self.told_lags :]]
        self.told_rows, self.told_lags = len(rows), len(lags)
        still = [call for call in (*self.open, *self.shelf.undecoded()) if call.phase == "load"]
        cpu_s = time.process_time() - self.pulse.start_s
        return Progress(as_of_ns, ended, [*map(_open, still)], late, cpu_s)

    async def salvage(self, end_ns: int) -> Part | None:
        """Stop in the middle of a window and return what there was until ``end_ns``."""
        self.cut_ns = end_ns
        self.shelf.cut_at(end_ns)
        await asyncio.sleep(max(0.0, (end_ns - time.monotonic_ns()) * 1e-9))
        self.pulse.end_s = time.process_time()
        await self.close()
        return await self.finish()

    async def watch(self) -> None:
        """Measure the loop's lag for ever; raise what ended the streams too early, or a stall."""
        watched = (self.pulse.tick(), self._broken(), self._stalled())
        tasks = [asyncio.create_task(each) for each in watched]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()

    async def _broken(self) -> None:
        await self.failed.wait()
        assert self.task is not None
        self.task.result()
        await asyncio.Event().wait()

    async def _stalled(self) -> None:
        """Raise LaunchError when nothing arrives for too long while requests are in flight."""
        limit_s = self.plan.silence_s
        while True:
            await asyncio.sleep(min(1.0, limit_s / 4))
            waiting = [call.exchange for call in self.open if call.exchange.sent_ns]
            if not waiting:
                continue
            heard = (each.packets[-1][0] for each in waiting if each.packets)
            oldest_ns = min(each.sent_ns for each in waiting)
            since_ns = max(self.heard_ns, oldest_ns, *heard)
            if time.monotonic_ns() - since_ns > limit_s * 1e9:
                raise LaunchError(
                    f"nothing arrived on any stream for {limit_s:g} s, with {len(waiting)} "
                    "requests in flight",
                    hint="Read the end of the engine's log; if it is only slow, raise "
                    "protocol.stall_timeout_s.",
                    reason="stalled",
                    stage="serve",
                )

    async def close(self) -> None:
        """Drop every connection; may be called at any time, also twice."""
        for client in self.clients:
            client.close()
        await self._halt()
        self.stack.close()

    def _counts(self, call: Call) -> bool:
        """Say whether a call that never ended was sent before the end of the window."""
        sent_ns = call.exchange.sent_ns
        return sent_ns > 0 and (self.cut_ns is None or sent_ns <= self.cut_ns)

    def _background(self, load: Coroutine[None, None, None]) -> None:
        self.task = asyncio.create_task(load)
        self.task.add_done_callback(lambda task: None if task.cancelled() else self.failed.set())

    async def _halt(self) -> None:
        if self.task is not None:
            self.task.cancel()
            await asyncio.gather(self.task, return_exceptions=True)

    # -- streams ---------------------------------------------------------------------------------

    async def _streams(self, clients: list[Client], upto: int | None = None) -> None:
        """Run streams until the stock ends, or is at index ``upto``, and all is answered."""
        tasks = [asyncio.create_task(self._stream(client, upto)) for client in clients]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _stream(self, client: Client, upto: int | None) -> None:
        dead, intended_ns = 0, max(self._begins_ns(client), time.monotonic_ns())
        # the first one is taken before anybody waits, so that no stream takes another's
        while (unit := await self.stock.take(upto)) is not None:
            for turn, (index, body) in enumerate(unit):
                if turn and body.think_s:
                    intended_ns += round(body.think_s * 1e9)
                await self.alarm.until(intended_ns)
                await self._unless_over()
                call, request = self._call(index, body, client.number, intended_ns)
                await self._ask(client, call, request)
                exchange = call.exchange
                dead = dead + 1 if exchange.outcome in ("refused", "lost") else 0
                if dead == DEAD_AFTER:
                    raise self._dead(exchange.detail)
                intended_ns = exchange.end_ns
                if exchange.outcome != "complete" or exchange.status != 200:
                    await asyncio.sleep(PAUSE_S)
                    intended_ns = time.monotonic_ns()

    def _begins_ns(self, client: Client) -> int:
        """Return when a stream sends its first request of the load, at the earliest."""
        streams = max(self.plan.concurrency, self.share.of)
        return self.anchor_ns + self.spread_ns * client.number // streams

    def _call(self, index: int, body: Body, stream: int, intended_ns: int) -> tuple[Call, bytes]:
        """Return the call of a request, and the bytes to send."""
        call = Call(
            index=index,
            phase=self.first_phase if index < self.plan.warmup else "load",
            stream=stream,
            prompt=body.prompt,
            input_tokens=body.input_tokens,
            output_tokens=body.output_tokens,
            intended_ns=intended_ns,
        )
        self.open.add(call)
        return call, frame(self.head, body.content)

    async def _ask(self, client: Client, call: Call, request: bytes) -> None:
        await client.ask(request, call.exchange, self.plan.request_timeout_s)
        self.open.discard(call)
        if call.exchange.outcome != "timeout":
            self.heard_ns = max(self.heard_ns, call.exchange.end_ns)
        self.shelf.add(call)
        self.retries += call.exchange.retried
        if call.phase == "load":
            self.last_ns = max(self.last_ns, call.exchange.end_ns)
        else:
            self.calls.append(call)

    async def _unless_over(self) -> None:
        """Send nothing more once the window has ended, even before somebody is told so."""
        if self.cut_ns is not None and time.monotonic_ns() >= self.cut_ns:
            await asyncio.Event().wait()

    def _client(self, number: int) -> Client:
        return Client(self.target, number, self.context)

    def _dead(self, detail: str) -> LaunchError:
        return LaunchError(
            f"{self.target.host}:{self.target.port}: the server is gone: {detail}",
            hint="Read the end of the engine's log: it died or stopped listening.",
            reason="failed",
            stage="serve",
        )


def _open(call: Call) -> Seen:
    exchange = call.exchange
    state: Literal["waiting", "answering", "undecoded"]
    state = "answering" if exchange.packets else "waiting"
    if exchange.outcome != "open":
        state = "undecoded"
    times = (call.intended_ns, exchange.sent_ns)
    return Seen(call.index, *times, 0, 0, call.output_tokens, state)


def _ended(row: Request, index: int) -> Seen:
    tokens = row.output_tokens_expected if row.output_tokens is None else row.output_tokens
    state: Literal["ok", "error"] = "ok" if row.status == "ok" and row.first_ns else "error"
    times = (row.intended_ns, row.sent_ns, row.first_ns or 0, row.last_ns or 0)
    return Seen(index, *times, tokens, state)
