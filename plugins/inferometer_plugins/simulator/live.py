"""The model in real time: steps happen when the clock says so, and whoever listens gets tokens."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from inferometer_plugins.simulator.laws import steepest
from inferometer_plugins.simulator.noise import GRID_HZ, Factors
from inferometer_plugins.simulator.scheduler import Batch

if TYPE_CHECKING:
    from inferometer_plugins.simulator.model import Params

AHEAD_S = 60.0


class Listener(Protocol):
    """Who sent a request."""

    def token(self) -> None:
        """Hear that one more token is made."""


@dataclass(slots=True)
class Counts:
    """What the server has done since its start."""

    prompt: int = 0
    output: int = 0
    finished: int = 0
    aborted: int = 0
    joules: float = 0.0


class Live:
    """A simulated engine in the running event loop. Requests are known by number.

    Steps follow each other on an absolute schedule: what a timer is late by is not added up.
    """

    def __init__(self, params: Params, seed: int) -> None:
        self.params = params
        self.batch = Batch(params)
        self.counts = Counts()
        self._factors = Factors(params, seed)
        self._factors.reach(AHEAD_S)
        self._steps: list[float] = []
        self._listeners: dict[int, Listener] = {}
        self._gone: list[int] = []
        self._number = 0
        self._work = asyncio.Event()
        self._began_s = time.monotonic()

    def submit(self, listener: Listener, prompt: int, output: int) -> int:
        """Queue a request and return its number.

        Raises:
            ValueError: it could never fit.

        """
        self._number += 1
        self.batch.submit(self._number, prompt, output)
        self._listeners[self._number] = listener
        self.counts.prompt += prompt
        self._work.set()
        return self._number

    def leave(self, number: int) -> None:
        """End a request whose client has gone, at the next step."""
        if self._listeners.pop(number, None) is not None:
            self._gone.append(number)
            self.counts.aborted += 1
            self._work.set()

    async def run(self) -> None:
        """Make steps for ever."""
        at_s = time.monotonic()
        while True:
            for number in self._gone:
                self.batch.drop(number)
            self._gone.clear()
            took_s = self._begin()
            if took_s is None:
                self._work.clear()
                await self._work.wait()
                at_s = time.monotonic()
                continue
            at_s += took_s
            await asyncio.sleep(max(0.0, at_s - time.monotonic()))
            self._end()

    def _begin(self) -> float | None:
        """Return how long the next step takes, None when there is nothing to do."""
        run = self.batch.plan()
        if run is None:
            return None
        law, stored = self.params.law, self.batch.stored
        line, _ = steepest(law.lines(run.decoding, run.prefill), stored, run.decoding, 1)
        calm_s = line.fixed_s + line.context_s * (stored + run.decoding)
        if not self._steps:
            self._steps = self._factors.steps()
        now_s = time.monotonic() - self._began_s
        if int(now_s * GRID_HZ) >= len(self._factors.grid):
            self._factors.reach(now_s + AHEAD_S)
        took_s = calm_s * self._steps.pop() * self._factors.grid[int(now_s * GRID_HZ)]
        self.counts.joules += self.params.watts(run.decoding, run.prefill) * took_s
        return took_s

    def _end(self) -> None:
        """Hand out what the step has made."""
        decoding = list(self.batch.decoding)
        joined, finished = self.batch.done(1)
        decoding += joined
        self.counts.output += len(decoding)
        self.counts.finished += sum(number in self._listeners for number in finished)
        for number in decoding:
            if (listener := self._listeners.get(number)) is not None:
                listener.token()
        for number in finished:
            self._listeners.pop(number, None)
