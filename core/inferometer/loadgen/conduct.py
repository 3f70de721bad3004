"""The phases of a load, called in turn on everybody who sends it, and what comes of all of them.

The order: one request alone (the first may compile for a minute), the rest of the warm-up on all
streams until it has drained, the load, of which a stretch is discarded, the window, then everything
in flight is cut.
A sender is this process itself or stands for another one; the bounds of the window are agreed
before they come, as absolute times of the monotonic clock, which all processes of a host share; a
sender on another host translates them.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, NamedTuple, Protocol

from inferometer import pace
from inferometer.errors import LaunchError
from inferometer.loadgen.alarm import Alarm
from inferometer.loadgen.answer import Chunks, percentile
from inferometer.loadgen.arrivals import most_within
from inferometer.loadgen.deal import Share
from inferometer.loadgen.hosts import load_hosts
from inferometer.loadgen.offer import SAMPLE, LoadResult, Progress

if TYPE_CHECKING:
    from collections.abc import Sequence

    from inferometer.loadgen.closed import Part, Warm
    from inferometer.loadgen.offer import Hooks, LoadPlan

POLL_S = 0.2
LEAD_S = 0.05
"""Between several workers' being told a time, or the hooks a window, and that time."""
SLACK_S = 1.0
"""A schedule goes on for this long after the window, so that it closes under load."""
HEADROOM = 1.5
"""Connections opened beforehand: for the most arrivals within this many request times."""


class Sender(Protocol):
    """Somebody who sends a share of a load: see :class:`inferometer.loadgen.closed.ClosedLoop`."""

    reach_s: float
    """How long a word to it may take, in s."""

    async def connect(self) -> None:
        """Open the streams' connections."""

    async def alone(self) -> None:
        """Send the first request."""

    async def warm_up(self) -> Warm:
        """Run the warm-up until all of it is answered."""

    async def schedule(self, offsets: list[float], connections: int) -> None:
        """Take the times of an open loop."""

    async def window(self, anchor_ns: int, start_ns: int, end_ns: int, spread_ns: int) -> None:
        """Begin, measure between two times, then cut."""

    async def count(self, anchor_ns: int) -> int:
        """Send what is left; return when the last answer ended."""

    async def finish(self) -> Part:
        """Return everything."""

    async def progress(self) -> Progress:
        """Return what became of its share since it was last asked."""

    async def salvage(self, end_ns: int) -> Part | None:
        """Stop in the middle and return what there was until then; None when it is lost."""

    async def watch(self) -> None:
        """Run beside all of it; raise what goes wrong."""

    async def close(self) -> None:
        """End at once."""


class Bounds(NamedTuple):
    """A window, in monotonic ns."""

    start_ns: int
    end_ns: int


class Conductor:
    """One load. ``run`` may be called once."""

    def __init__(self, plan: LoadPlan, hooks: Hooks, senders: Sequence[Sender]) -> None:
        self.plan, self.hooks, self.senders = plan, hooks, senders
        self.bounds = Bounds(0, 0)
        self.wall_start_ns = self.wall_end_ns = 0
        """Wall minus monotonic time at both bounds."""
        self.residence_s: float | None = None
        self.over = False
        self.windowed = asyncio.Event()

    @property
    def lead_ns(self) -> int:
        """Return how long beforehand a time is told: so that it has come to everybody by then."""
        reach_s = max(sender.reach_s for sender in self.senders)
        alone = len(self.senders) == 1 and not reach_s
        return 0 if alone else round((LEAD_S + 2 * reach_s) * 1e9)

    async def run(self) -> LoadResult:
        """Run every phase; return what came of them."""
        return self._merged(await self.run_parts())

    async def run_parts(self) -> list[Part]:
        """Run every phase; return what each sender leaves behind."""
        phases = asyncio.create_task(self._phases())
        looks = asyncio.create_task(self._looking())
        tasks = [phases, looks, asyncio.create_task(self._poll())]
        tasks += [asyncio.create_task(sender.watch()) for sender in self.senders]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done - {phases}:
                task.result()
            return phases.result() if phases in done else await self._ended_early(phases)
        except BaseException:  # Ctrl-C among them
            phases.cancel()
            whole = await self._salvage()
            if whole is not None:
                self.hooks.on_broken_off(self._merged(whole))
            raise
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await asyncio.gather(*(sender.close() for sender in self.senders))

    # -- phases ----------------------------------------------------------------------------------

    async def _phases(self) -> list[Part]:
        await asyncio.gather(*(sender.connect() for sender in self.senders))
        if self.plan.warmup:
            await self.senders[0].alone()
        parts = await asyncio.gather(*(sender.warm_up() for sender in self.senders))
        self.residence_s = self._checked(parts)
        if self.plan.requests is None:
            await self._window(self.residence_s or 0.0)
        elif self.plan.requests:
            await self._counted(self.plan.requests, self.residence_s or 0.0)
        self.over = True
        left = list(await asyncio.gather(*(sender.finish() for sender in self.senders)))
        if self.plan.requests:  # stamps of another host moved when its drift was known
            rows = [row for part in left for row, _ in part.rows if row.phase == "load"]
            last_ns = max((row.end_ns or 0 for row in rows), default=0)
            self.bounds = Bounds(self.bounds.start_ns, last_ns or self.bounds.end_ns)
        return left

    async def _counted(self, requests: int, request_s: float) -> None:
        """Send exactly ``requests``, of an open loop on schedule, and wait for the answers."""
        if self.plan.arrivals is not None:
            await self._schedule(self.plan.arrivals.first(requests), request_s)
        start_ns = time.monotonic_ns()
        self.bounds = Bounds(start_ns, 0)
        self._opened()
        anchor_ns = start_ns + self.lead_ns
        ends = await asyncio.gather(*(sender.count(anchor_ns) for sender in self.senders))
        self.bounds = Bounds(start_ns, max(ends))
        self._closed()

    async def _window(self, request_s: float) -> None:
        """Begin the load; discard, measure, cut, while it goes on."""
        plan = self.plan
        round_s = request_s + plan.think_s
        window_s = pace.window_s(round_s) if plan.window_s is None else plan.window_s
        discard_s = plan.discard_s
        if discard_s is None:
            # a load that begins with requests of one age takes twice as long to settle
            discard_s = pace.discard_s(
                request_s * plan.spread / pace.SPREAD + plan.think_s, window_s
            )
        if plan.arrivals is not None:
            end_s = discard_s + window_s + SLACK_S
            await self._schedule(plan.arrivals.until(end_s), request_s)
        anchor_ns = time.monotonic_ns() + max(self.lead_ns, round(LEAD_S * 1e9))
        start_ns = anchor_ns + round(discard_s * 1e9)
        self.bounds = Bounds(start_ns, start_ns + round(window_s * 1e9))
        # every stream has begun when the window does, however short the discard that was asked for
        spread_ns = round(min(plan.spread * request_s + plan.think_s, discard_s) * 1e9)
        self.hooks.on_window_set(*self.bounds)
        self.windowed.set()
        with Alarm() as alarm:
            await asyncio.gather(
                self._call_hooks(alarm),
                *(sender.window(anchor_ns, *self.bounds, spread_ns) for sender in self.senders),
            )

    async def _call_hooks(self, alarm: Alarm) -> None:
        await alarm.until(self.bounds.start_ns)
        self._opened()
        await alarm.until(self.bounds.end_ns)
        self._closed()

    def _opened(self) -> None:
        self.wall_start_ns = _wall_ns()
        self.hooks.on_window_start(self.bounds.start_ns)

    def _closed(self) -> None:
        self.wall_end_ns = _wall_ns()
        self.hooks.on_window_end(self.bounds.end_ns)

    async def _schedule(self, offsets: list[float], request_s: float) -> None:
        """Divide the schedule, and the connections that will be busy at once (about)."""
        wanted = most_within(offsets, HEADROOM * request_s)
        if self.plan.max_in_flight:
            wanted = min(wanted, self.plan.max_in_flight)
        shares = [Share(number, len(self.senders)) for number in range(len(self.senders))]
        await asyncio.gather(
            *(
                sender.schedule(offsets[share.number :: share.of], len(share.among(wanted)))
                for sender, share in zip(self.senders, shares, strict=True)
            )
        )

    def _checked(self, parts: list[Warm]) -> float | None:
        """Return the mean duration of the warm-up's requests after the first; None without any.

        Raises LaunchError for a server that answered none of them: it is not measured.
        """
        sent = [part for part in parts if part.requests]
        if self.plan.requests != 0 and sent and all(part.error is not None for part in sent):
            raise LaunchError(
                f"every one of {sum(part.requests for part in sent)} warm-up requests failed: "
                f"{sent[-1].error}",
                hint="Read the engine's log and the request body its adapter builds.",
                stage="serve",
            )
        times_s = dict(pair for part in parts for pair in part.times_s)
        later_s = [time_s for index, time_s in times_s.items() if index] or list(times_s.values())
        return sum(later_s) / len(later_s) if later_s else None

    async def _looking(self) -> None:
        """Ask every ``look_s`` of the window whether it has lasted long enough; end when it has."""
        look_s, number = self.hooks.look_s, 0
        await self.windowed.wait()
        while look_s:
            number += 1
            due_ns = self.bounds.start_ns + round(number * look_s * 1e9)
            await asyncio.sleep(max(0.0, (due_ns - time.monotonic_ns()) * 1e-9))
            parts = await asyncio.gather(*(sender.progress() for sender in self.senders))
            if self.over:
                break
            if self.hooks.enough(_together(parts)):
                return
        await asyncio.Event().wait()

    async def _ended_early(self, phases: asyncio.Task[list[Part]]) -> list[Part]:
        if self.over:  # by itself, in the same moment
            return await phases
        phases.cancel()
        whole = await self._salvage()
        self.over = True
        if whole is None:
            raise LaunchError(
                "a load worker was lost when the load ended",
                hint="Is there enough memory? Measure again.",
                stage="serve",
            )
        return whole

    async def _salvage(self) -> list[Part] | None:
        """Return what an unfinished window holds: it then ends now, and what is in flight is cut.

        None where there is none, or a sender cannot tell.
        """
        start_ns, now_ns = self.bounds.start_ns, time.monotonic_ns()
        if self.over or not 0 < start_ns < now_ns:
            return None
        end_ns = now_ns + self.lead_ns
        parts = await asyncio.gather(*(sender.salvage(end_ns) for sender in self.senders))
        if not self.wall_end_ns:
            self.bounds = Bounds(start_ns, end_ns)
            self._closed()
        whole = [part for part in parts if part is not None]
        return whole if len(whole) == len(parts) else None

    async def _poll(self) -> None:
        while True:
            reason = None if self.over else self.hooks.should_stop()
            if reason is not None:
                raise LaunchError(reason, hint="Read the engine's log.", stage="serve")
            await asyncio.sleep(POLL_S)

    def _merged(self, parts: list[Part]) -> LoadResult:
        """Return the result of all senders."""
        start, end = self.bounds
        rows = sorted((row for part in parts for row in part.rows), key=lambda row: row[0].index)
        requests = [request for request, _ in rows]
        load = [request for request in requests if request.phase == "load"]
        by_host = load_hosts(parts, self.bounds)
        first_load = min((request.sent_ns for request in load), default=start)
        late = [(r.sent_ns - r.intended_ns) * 1e-6 for r in load if start <= r.sent_ns <= end]
        lags = [lag for part in parts for t_ns, lag in part.lags if start <= t_ns <= end]
        whole = sorted(
            (pair for part in parts for pair in part.whole.items()), key=lambda pair: pair[0]
        )
        step = max(1, -(-len(whole) // SAMPLE))
        return LoadResult(
            requests=requests,
            chunks=Chunks(b"".join(packed for _, packed in rows)),
            start_ns=start,
            end_ns=end,
            discarded_ns=max(0, start - first_load),
            client_cpu_s=sum(part.cpu_s for part in parts),
            loop_lag_p99_ms=_worst([h.loop_lag_p99_ms for h in by_host], lags),
            send_lag_p99_ms=_worst([h.send_lag_p99_ms for h in by_host], late),
            retries=sum(part.retries for part in parts),
            clock_step_ms=(self.wall_end_ns - self.wall_start_ns) * 1e-6,
            sample=[answer for _, answer in whole[::step]],
            workers=len(parts),
            residence_s=self.residence_s,
            load_hosts=by_host,
        )


def _wall_ns() -> int:
    """Return wall minus monotonic time; the best of three, for a pause between the two is lag."""
    return max(time.time_ns() - time.monotonic_ns() for _ in range(3))


def _worst(by_host: list[float | None], all_ms: list[float]) -> float | None:
    """Return the p99 of a lag; of several hosts the worst, None when one of them has none."""
    if not by_host:
        return percentile(all_ms, 0.99)
    known = [lag for lag in by_host if lag is not None]
    return max(known) if len(known) == len(by_host) else None


def _together(parts: Sequence[Progress]) -> Progress:
    """Return the progress of all senders as one."""
    return Progress(
        as_of_ns=min(part.as_of_ns for part in parts),
        ended=[seen for part in parts for seen in part.ended],
        open=[seen for part in parts for seen in part.open],
        lags_ms=[lag for part in parts for lag in part.lags_ms],
        cpu_s=sum(part.cpu_s for part in parts),
        workers=len(parts),
    )
