"""A load that goes on until its rate holds still, and is measured for nothing else."""

from __future__ import annotations

import asyncio
import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from inferometer.loadgen.closed import ClosedLoop
from inferometer.loadgen.conduct import Conductor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from inferometer.loadgen.answer import Call
    from inferometer.loadgen.http import Client, Exchange
    from inferometer.loadgen.offer import Hooks, LoadPlan

LOOK_S = 5.0
"""One rate is over so long."""
LOOKS = 3
WITHIN = 0.05
EVENT = b"data:"


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a soak may take, in s."""

    least_s: float
    most_s: float


class Soaked(NamedTuple):
    """What a soak saw."""

    seconds: float
    """From the first send of the load."""
    rates: list[float]
    """Streamed events a second, each over :data:`LOOK_S`."""
    settled: bool


def settled(rates: Sequence[float], least_s: float) -> bool:
    """Say whether the last three rates differ by 5 % at most, and ``least_s`` is over."""
    last = rates[-LOOKS:]
    enough = len(rates) >= max(LOOKS, math.ceil(least_s / LOOK_S))
    return enough and min(last) > 0 and max(last) <= min(last) * (1 + WITHIN)


class Listener(ClosedLoop):
    """A closed loop in one process that can say how many events have arrived."""

    ended = 0
    """Events of the answers that have ended."""

    async def _ask(self, client: Client, call: Call, request: bytes) -> None:
        await super()._ask(client, call, request)
        self.ended += _events(call.exchange)  # which is decoded, and let go, in a later pause

    def events(self) -> int:
        """Return how many there were so far."""
        return self.ended + sum(_events(call.exchange) for call in self.open)


def _events(exchange: Exchange) -> int:
    return sum(part.count(EVENT) for _, part in exchange.packets)


class Soak(Conductor):
    """Runs the load of a closed loop; ``result`` is there when it is over."""

    def __init__(
        self, plan: LoadPlan, hooks: Hooks, listener: Listener, patience: Patience
    ) -> None:
        super().__init__(plan, hooks, [listener])
        self.listener, self.patience = listener, patience
        self.result = Soaked(0.0, [], settled=False)

    async def _window(self, request_s: float) -> None:
        """Begin as before any window; end it when the rates agree, or patience does."""
        anchor_ns = time.monotonic_ns()
        end_ns = anchor_ns + round((self.patience.most_s + LOOK_S) * 1e9)
        spread_ns = round((self.plan.spread * request_s + self.plan.think_s) * 1e9)
        load = asyncio.create_task(self.listener.window(anchor_ns, anchor_ns, end_ns, spread_ns))
        try:
            await self._look(anchor_ns * 1e-9)
        finally:
            load.cancel()
            await asyncio.gather(load, return_exceptions=True)
        await self.listener.close()

    async def _look(self, begun_s: float) -> None:
        rates: list[float] = []
        seen, looked_s = self.listener.events(), begun_s
        while not self.result.settled and (looked_s - begun_s) < self.patience.most_s - LOOK_S / 2:
            await asyncio.sleep(max(0.0, looked_s + LOOK_S - time.monotonic()))
            now, now_s = self.listener.events(), time.monotonic()
            rates.append((now - seen) / (now_s - looked_s))
            seen, looked_s = now, now_s
            done = settled(rates, self.patience.least_s)
            self.result = Soaked(now_s - begun_s, rates, done)
