"""Virtual time: one launch of a simulated engine under a load, run by run of like steps.

The loop is plain Python: it looks at the batch only where the batch changes, and inside a run a
step costs a multiplication, an addition and two look-ups. 64 streams of 1,024 tokens in and out
pass 7,000 times as fast as real time on one core of an x86-64 server
(tests/benchmarks/simulator_speed.py), runs being 8 steps long in the mean. Tried for the inside
of a run, microseconds for runs of 1, 14 and 100 steps: this loop 0.7, 2.8 and 17; numba 0.8, 1.3
and 1.5; numpy 8.5, 9.1 and 10.5. Half of the time goes to the batch, so numba would gain a third,
and for that it is not asked of anybody.
"""

from __future__ import annotations

import math
from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING

import numpy as np
from msgspec.structs import replace

from inferometer_plugins.simulator import loads
from inferometer_plugins.simulator.faults import Faults
from inferometer_plugins.simulator.laws import steepest
from inferometer_plugins.simulator.noise import GRID_HZ, STEPS, Factors
from inferometer_plugins.simulator.scheduler import Batch
from inferometer_plugins.simulator.trace import Trace

if TYPE_CHECKING:
    from collections.abc import Iterator

    from inferometer_plugins.simulator.laws import Line
    from inferometer_plugins.simulator.loads import Load, Workload
    from inferometer_plugins.simulator.model import Params
    from inferometer_plugins.simulator.scheduler import Run

NONE = Faults()
FAR_S = 60.0
"""The noise of a launch without an end is drawn by so much at least."""


def simulate(
    params: Params,
    workload: Workload,
    load: Load,
    *,
    work_seed: int,
    seed: int,
    end_s: float = math.inf,
    faults: Faults = NONE,
    work: Iterator[tuple[int, ...]] | None = None,
) -> Trace:
    """Return what one launch does, from the first send to ``end_s`` or until all is answered.

    Args:
        params: the engine.
        workload: what is asked for.
        load: when.
        work_seed: of the requests; the same for stacks that are compared.
        seed: of the engine's noise and of faults; one for each launch.
        end_s: seconds of virtual time. Nothing is sent after it, and what is unfinished is cut.
        faults: what goes wrong.
        work: prompt, output and cached tokens of each request, in place of the workload's.

    Raises:
        ValueError: the load has no end, or a request cannot fit.

    """
    launch = _Launch(params, workload, load, work_seed=work_seed, seed=seed, end_s=end_s)
    launch.work = work or launch.work
    launch.suffer(faults, seed)
    launch.run()
    return _trace(launch)


class _Launch:
    """The state of a launch. Requests are rows in the order of sending."""

    def __init__(
        self,
        params: Params,
        workload: Workload,
        load: Load,
        *,
        work_seed: int,
        seed: int,
        end_s: float,
    ) -> None:
        self.params, self.load, self.end_s = params, load, end_s
        self.closed = load if isinstance(load, loads.Closed) else None
        if self.closed and self.closed.requests is None and end_s == math.inf:
            raise ValueError("a closed loop without a number of requests needs an end")
        self.seed = seed
        self.batch = Batch(params)
        self.work: Iterator[tuple[int, ...]] = loads.requests(workload, work_seed)
        self.early: Iterator[tuple[int, int]] = iter(())
        if self.closed and self.closed.start == "equilibrium":
            self.early = iter(loads.first_ones(workload, self.closed.streams, work_seed))
        self.coming = _coming(load, end_s)
        self.now = 0.0
        self.sent: list[float] = []
        self.first: list[float] = []
        self.last: list[float] = []
        self.asked: list[tuple[int, int, int, bool]] = []
        """Prompt, output, tokens that are to be made, whether it is of the equilibrium start."""
        self.ends: list[float] = []
        self.runs: list[tuple[int, int, int, int]] = []
        """Steps, sequences that decode, tokens of prompts, sequences whose prompt was read."""
        self.idle: list[tuple[int, float]] = []
        """Steps made before an idle time, and when it ended."""

    def suffer(self, faults: Faults, seed: int) -> None:
        """Switch faults on and draw the noise."""
        self.faults = faults
        self.chance = np.random.default_rng([seed, 2**31 + 2])
        noise = self.params.noise
        noise = replace(noise, drift_per_h=noise.drift_per_h + faults.slows_per_h)
        self.factors = Factors(replace(self.params, noise=noise), seed, drop_s=faults.clocks_drop_s)
        self.factors.reach(FAR_S if self.end_s == math.inf else self.end_s)

    def run(self) -> None:
        """Let time pass."""
        batch, coming, law = self.batch, self.coming, self.params.law
        factors = self.factors.steps()
        used = 0
        while self.now < self.end_s:
            while coming and coming[0] <= self.now:
                self._send(heappop(coming))
            run = batch.plan()
            if run is None:
                if not coming or coming[0] >= self.end_s:
                    break
                self.now = coming[0]
                self.idle.append((len(self.ends), self.now))
                continue
            lines = law.lines(run.decoding, run.prefill)
            line, steps = steepest(lines, batch.stored, run.decoding, min(run.steps, STEPS))
            if used + steps > STEPS:
                factors, used = self.factors.steps(), 0
            steps = self._pass(line, run.decoding, factors[used : used + steps])
            used += steps
            self._note(run, steps)

    def _pass(self, line: Line, decoding: int, factors: list[float]) -> int:
        """Make steps until they are done, something is sent or it is the end; return how many."""
        until = min(self.coming[0], self.end_s) if self.coming else self.end_s
        now, ends, grid = self.now, self.ends, self.factors.grid
        slope = line.context_s * decoding
        base = line.fixed_s + line.context_s * self.batch.stored
        if self.end_s == math.inf:
            longest_s = 3 * grid[-1] * len(factors) * (base + slope * len(factors))
            if now + longest_s > len(grid) / GRID_HZ:
                self.factors.reach(now + longest_s + FAR_S)
        before = len(ends)
        for factor in factors:
            base += slope
            now += base * factor * grid[int(now * GRID_HZ)]
            ends.append(now)
            if now >= until:
                break
        self.now = now
        return len(ends) - before

    def _note(self, run: Run, steps: int) -> None:
        """Write down what a run made, and let who has an answer send again."""
        joined, finished = self.batch.done(steps)
        self.runs.append((steps, run.decoding, run.prefill, len(joined)))
        now, first = self.now, self.first
        for number in joined:
            if math.isnan(first[number]):  # else its prompt was read again after a preemption
                first[number] = now
        for number in finished:
            self.last[number] = now
            if self.closed:
                self._again(self.closed.requests)

    def _again(self, most: int | None) -> None:
        if most is None or len(self.sent) + len(self.coming) < most:
            heappush(self.coming, self.now + self.faults.client_delay_s)

    def _send(self, at_s: float) -> None:
        """Send the next request."""
        faults = self.faults
        first = next(self.early, None)
        prompt, output, *known = first or next(self.work)
        read, given, number = prompt, output, len(self.sent)
        if faults is not NONE:
            read = round(prompt * (1 + faults.longer_prompts))
            given = max(1, round(output * (1 - faults.shorter)))
            if faults.ends_early and self.chance.random() < faults.ends_early:
                given = int(self.chance.integers(1, output, endpoint=True))
        cached = known[0] if known else int(read * faults.cached)
        self.batch.submit(number, read, given, cached=cached)
        self.sent.append(at_s)
        self.first.append(math.nan)
        self.last.append(math.nan)
        self.asked.append((read, output, given, first is not None))


def _coming(load: Load, end_s: float) -> list[float]:
    """Return when requests are sent, as far as that is known beforehand: a heap."""
    if not isinstance(load, loads.Closed):
        return loads.arrivals(load, end_s)
    spread_s = 0.0 if load.start == "burst" else load.spread_s / load.streams
    streams = load.streams if load.requests is None else min(load.streams, load.requests)
    found = [number * spread_s for number in range(streams)]
    heapify(found)
    return found


def _trace(launch: _Launch) -> Trace:
    faults, params = launch.faults, launch.params
    asked = np.asarray(launch.asked, np.int64).reshape(-1, 4)
    kept = np.ones(len(asked), bool)
    if faults.dropped:
        kept = launch.chance.random(len(asked)) >= faults.dropped
    steps, decoding, prefill, joined = np.asarray(launch.runs, np.int64).reshape(-1, 4).T
    ends = np.asarray(launch.ends, float)
    begins = np.concatenate(([0.0], ends))[: len(ends)]
    for place, at_s in launch.idle:
        begins[place] = at_s
    watts = [params.watts(run[1], run[2]) for run in launch.runs]
    power_w = np.repeat(np.asarray(watts, float), steps)
    if faults.power_gap_s is not None:
        power_w[(begins >= faults.power_gap_s[0]) & (begins < faults.power_gap_s[1])] = 0.0
    return Trace(
        sent_s=np.asarray(launch.sent, float)[kept],
        first_s=np.asarray(launch.first, float)[kept] + faults.stamp_skew_s,
        last_s=np.asarray(launch.last, float)[kept] + faults.stamp_skew_s,
        prompt=asked[kept, 0],
        output=asked[kept, 1],
        given=asked[kept, 2],
        early=asked[kept, 3] > 0,
        begin_s=begins,
        end_s=ends,
        made=np.repeat(decoding + joined, steps),
        prefill=np.repeat(prefill, steps),
        power_w=power_w,
        idle_w=params.power.base_w,
        preempted=launch.batch.preempted,
    )
