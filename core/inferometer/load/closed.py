"""The closed loop: streams that send their next request when the last one ended."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from inferometer.errors import LaunchError
from inferometer.load.answer import Answer, Call, percentile
from inferometer.load.http import Client, Target, frame
from inferometer.load.offer import SAMPLE, Hooks, LoadPlan, LoadResult, Source

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from inferometer.records import Phase

TICK_S = 0.010
POLL_S = 0.2
DEAD_AFTER = 3
"""Connection failures in a row on one stream after which the server counts as dead."""
PAUSE_S = 0.25
"""Pause after a failed request, so that a refusing server is not hammered."""
HOLD_BYTES = 512 * 2**20
"""Raw answers held undecoded; above this the oldest is decoded whenever a request ends."""


@dataclass(slots=True)
class _Watch:
    """The client watching itself: lag of a 10 ms ticker, processor time, wall - monotonic time."""

    lags: list[tuple[int, float]] = field(default_factory=list)
    cpu_start_s: float = 0.0
    cpu_end_s: float = 0.0
    wall_start_ns: int = 0
    wall_end_ns: int = 0

    async def tick(self) -> None:
        """Note how late each tick comes; the loop's own clock only knows whole milliseconds."""
        while True:
            began_ns = time.monotonic_ns()
            await asyncio.sleep(TICK_S)
            now_ns = time.monotonic_ns()
            self.lags.append((now_ns, max(0.0, (now_ns - began_ns) * 1e-6 - TICK_S * 1e3)))


class ClosedLoop:
    """One run. Tasks: one per stream, a ticker, a poller; the main one waits on phases.

    The order: one request alone (the first may compile for a minute), the rest of the warm-up on
    all streams, load without draining, a discarded stretch, the window, then everything in flight
    is cut. Nothing is decoded while a window is open, unless memory asks for it.
    """

    def __init__(
        self, target: Target, source: Source, plan: LoadPlan, hooks: Hooks, phase: Phase = "warmup"
    ) -> None:
        self.target, self.source, self.plan, self.hooks = target, source, plan, hooks
        self.first_phase = phase
        self.head = target.head()
        warmup = plan.warmup_requests
        self.warmup = plan.concurrency + 1 if warmup is None else warmup
        self.clients = [Client(target, number) for number in range(plan.concurrency)]
        self.calls: list[Call] = []
        self.watch = _Watch()
        self.warm = asyncio.Event()
        self.warm_open = self.warmup
        self.next = 0
        self.limit: int | None = None
        self.held = 0
        self.undecoded = 0
        self.start_ns = self.end_ns = 0

    # -- phases ----------------------------------------------------------------------------------

    async def run(self) -> LoadResult:
        """Run every phase and return the result."""
        try:
            await self._guarded()
        except BaseException:  # Ctrl-C among them: what was measured until now is told
            if self.start_ns:
                if not self.end_ns:
                    self._close(time.monotonic_ns())
                self.hooks.on_broken_off(self._result())
            raise
        return self._result()

    async def run_answers(self) -> list[Answer]:
        """Run every phase and return the warm-up's answers."""
        await self._guarded()
        return [call.answer(self.plan.load_point) for call in self.calls]

    async def _guarded(self) -> None:
        tasks = [
            asyncio.create_task(self.watch.tick()),
            asyncio.create_task(self._poll()),
            asyncio.create_task(self._phases()),
        ]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for client in self.clients:
                client.close()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _phases(self) -> None:
        for client in self.clients:
            try:
                await client.open()
            except OSError as error:
                raise self._dead(str(error) or type(error).__name__) from error
        if self.warmup:
            await self._streams(1, upto=1)
        else:
            self.warm.set()
        if self.plan.requests is None:
            await self._window()
        else:
            await self._counted(self.plan.requests)

    async def _counted(self, requests: int) -> None:
        """Drain the warm-up, then send exactly ``requests``."""
        await self._streams(self.plan.concurrency, upto=self.warmup)
        if not requests:
            return
        self._check_warmup()
        self._open(time.monotonic_ns())
        await self._streams(self.plan.concurrency, upto=self.warmup + requests)
        self._close(max(call.exchange.end_ns for call in self.calls))

    async def _window(self) -> None:
        """Warm up, and go on without draining: discard, measure, cut."""
        streams = asyncio.create_task(self._streams(self.plan.concurrency, upto=None))
        try:
            await self._or_failed(streams, self._warmed())
            self._check_warmup()
            await self._or_failed(streams, asyncio.sleep(self._discard_s()))
            self._open(time.monotonic_ns())
            await self._or_failed(streams, asyncio.sleep(self.plan.window_s))
            self._close(time.monotonic_ns())
        finally:
            for client in self.clients:
                client.close()
            streams.cancel()
            await asyncio.gather(streams, return_exceptions=True)

    @staticmethod
    async def _or_failed(streams: asyncio.Task[None], step: Coroutine[None, None, None]) -> None:
        """Wait for ``step``; if the streams fail before it is done, raise what they raised."""
        waiting = asyncio.create_task(step)
        try:
            await asyncio.wait((streams, waiting), return_when=asyncio.FIRST_COMPLETED)
            if streams.done():
                streams.result()
        finally:
            waiting.cancel()

    def _open(self, now_ns: int) -> None:
        self.start_ns = now_ns
        self.watch.wall_start_ns = _wall_ns()
        self.watch.cpu_start_s = time.process_time()
        self.hooks.on_window_start(now_ns)

    def _close(self, now_ns: int) -> None:
        self.end_ns = now_ns
        self.watch.wall_end_ns = _wall_ns()
        self.watch.cpu_end_s = time.process_time()
        self.hooks.on_window_end(now_ns)

    # -- streams ---------------------------------------------------------------------------------

    async def _streams(self, count: int, *, upto: int | None) -> None:
        """Run ``count`` streams until request ``upto`` was taken and answered (None: for ever)."""
        self.limit = upto
        tasks = [asyncio.create_task(self._stream(number)) for number in range(count)]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _stream(self, number: int) -> None:
        client, dead, intended_ns = self.clients[number], 0, time.monotonic_ns()
        while self.limit is None or self.next < self.limit:
            call, request = self._take(number, intended_ns)
            await client.ask(request, call.exchange, self.plan.request_timeout_s)
            self._ended(call)
            dead = dead + 1 if call.exchange.outcome in ("refused", "lost") else 0
            if dead == DEAD_AFTER:
                raise self._dead(call.exchange.detail)
            intended_ns = call.exchange.end_ns
            if call.exchange.outcome != "complete" or call.exchange.status != 200:
                await asyncio.sleep(PAUSE_S)
                intended_ns = time.monotonic_ns()

    def _take(self, stream: int, intended_ns: int) -> tuple[Call, bytes]:
        """Take the next request: its call, and the bytes to send."""
        index, self.next = self.next, self.next + 1
        body = self.source(index)
        call = Call(
            index=self.plan.first_index + index,
            phase=self.first_phase if index < self.warmup else "load",
            stream=stream,
            prompt=body.prompt,
            input_tokens=body.input_tokens,
            output_tokens=body.output_tokens,
            intended_ns=intended_ns,
        )
        self.calls.append(call)
        return call, frame(self.head, body.content)

    def _ended(self, call: Call) -> None:
        """Keep an ended answer raw; decode the oldest one when too much is held."""
        self.warm_open -= call.phase != "load"
        if self.warm_open <= 0:
            self.warm.set()
        self.held += call.size()
        if self.held > HOLD_BYTES and self.calls[self.undecoded].exchange.outcome != "open":
            oldest = self.calls[self.undecoded]
            self.held -= oldest.size()
            oldest.decode()
            self.undecoded += 1

    async def _warmed(self) -> None:
        await self.warm.wait()

    def _check_warmup(self) -> None:
        """Refuse to measure a server that answered no warm-up request."""
        calls = [call for call in self.calls if call.phase == "warmup"]
        if calls and all(call.answer(0).request.status == "error" for call in calls):
            error = calls[-1].answer(0).request.error
            raise LaunchError(
                f"every one of {len(calls)} warm-up requests failed: {error}",
                hint="Read the engine's log and the request body its adapter builds.",
                stage="serve",
            )

    def _discard_s(self) -> float:
        if self.plan.discard_s is not None:
            return self.plan.discard_s
        return max(1.0, self._request_s())

    def _request_s(self) -> float:
        """Return the mean duration of the warm-up's requests after the first; 0 without any."""
        warm = [call.exchange for call in self.calls if call.phase == "warmup"]
        times = [
            (exchange.end_ns - exchange.sent_ns) * 1e-9
            for exchange in warm[1:] or warm
            if exchange.outcome == "complete"
        ]
        return sum(times) / len(times) if times else 0.0

    async def _poll(self) -> None:
        while True:
            reason = self.hooks.should_stop()
            if reason is not None:
                raise LaunchError(reason, hint="Read the engine's log.", stage="serve")
            await asyncio.sleep(POLL_S)

    def _dead(self, detail: str) -> LaunchError:
        return LaunchError(
            f"{self.target.host}:{self.target.port}: the server is gone: {detail}",
            hint="Read the end of the engine's log: it died or stopped listening.",
            reason="failed",
            stage="serve",
        )

    # -- afterwards ------------------------------------------------------------------------------

    def _result(self) -> LoadResult:
        sent = [call for call in self.calls if call.exchange.sent_ns]
        answers = [call.answer(self.plan.load_point) for call in sent]
        start, end = self.start_ns, self.end_ns
        inside = [c for c in sent if start <= c.exchange.sent_ns <= end and c.phase == "load"]
        first_load = min((c.exchange.sent_ns for c in sent if c.phase == "load"), default=start)
        return LoadResult(
            requests=[answer.request for answer in answers],
            chunks=[chunk for answer in answers for chunk in answer.chunks],
            start_ns=start,
            end_ns=end,
            discarded_ns=max(0, start - first_load),
            client_cpu_s=self.watch.cpu_end_s - self.watch.cpu_start_s,
            loop_lag_p99_ms=percentile(
                [lag for t_ns, lag in self.watch.lags if start <= t_ns <= end], 0.99
            ),
            send_lag_p99_ms=percentile([c.send_lag_ms() for c in inside], 0.99),
            retries=sum(call.exchange.retried for call in sent),
            clock_step_ms=(self.watch.wall_end_ns - self.watch.wall_start_ns) * 1e-6,
            sample=_spread([a for a in answers if _finished(a)], SAMPLE),
        )


def _wall_ns() -> int:
    """Return wall minus monotonic time; the best of three, for a pause between the two is lag."""
    return max(time.time_ns() - time.monotonic_ns() for _ in range(3))


def _finished(answer: Answer) -> bool:
    return answer.request.phase == "load" and answer.request.status == "ok"


def _spread(answers: list[Answer], count: int) -> list[Answer]:
    """Return at most ``count`` of ``answers``, evenly spaced."""
    step = max(1, -(-len(answers) // count))
    return answers[::step]
