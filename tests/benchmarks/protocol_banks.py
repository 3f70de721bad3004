"""Banks of simulated windows, of which studies are put together.

A bank holds what one rule's window says of launches whose own offset is nought: for some sets of
prompts, several draws of the engine's noise each. A study adds the offset of a launch, drift and
the random walk to the logarithm, because all of these stretch every step alike.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from msgspec.structs import replace
from tests.benchmarks.protocol_rules import STREAMS, Share, Steady, Whole

from inferometer_plugins.simulator.clock import simulate
from inferometer_plugins.simulator.loads import WORKLOADS, Closed
from inferometer_plugins.simulator.model import PRESETS, Params, silent, without_launch
from inferometer_plugins.simulator.truth import pilot_s

if TYPE_CHECKING:
    from multiprocessing.pool import Pool

    from numpy.typing import NDArray
    from tests.benchmarks.protocol_rules import Window

    from inferometer_plugins.simulator.trace import Trace

    Floats = NDArray[np.float64]

WORK_SEED = 40_000
BATCHES = 5


class Read(NamedTuple):
    """One window: logarithms of tok/s and J/token, machine seconds with start and drain, and the
    logarithms of the tokens of its batches."""

    tok_s: float
    j_per_token: float
    seconds: float
    batches: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class Bank:
    """Windows by set of prompts (rows) and draw of noise (columns); batches along a third axis."""

    tok_s: Floats
    j_per_token: Floats
    seconds: Floats
    batches: Floats

    @property
    def works(self) -> int:
        return len(self.tok_s)

    @property
    def draws(self) -> int:
        return len(self.tok_s[0])


class Stack(NamedTuple):
    """A simulated engine: a preset, and how many times as fast as that it is."""

    preset: str = "reference"
    speed: float = 1.0

    def params(self) -> Params:
        """Return it with launches that are alike."""
        return replace(without_launch(PRESETS[self.preset]), slowdown=1 / self.speed)


class Key(NamedTuple):
    """What a bank is of."""

    window: Window
    stack: Stack
    workload: str


@lru_cache
def steady(window: Steady, stack: Stack, workload: str) -> tuple[float, float, float]:
    """Return residence time, end of the discarded stretch and end of the window, in seconds."""
    stay_s = pilot_s(stack.params(), WORKLOADS[workload], STREAMS)
    start_s = max(window.discard_s, stay_s)
    return stay_s, start_s, start_s + min(max(10 * stay_s, window.least_s), window.most_s)


@lru_cache
def duration_s(stack: Stack, workload: str, requests: int) -> float:
    """Return how long so many requests take."""
    load = Closed(streams=STREAMS, requests=requests)
    ran = simulate(silent(stack.params()), WORKLOADS[workload], load, work_seed=1, seed=1)
    return float(ran.last_s.max())


@lru_cache
def enough(window: Whole, stack: Stack, workload: str) -> int:
    """Return the number of requests that fills the least duration."""
    if not window.least_s:
        return window.requests
    took_s = duration_s(stack, workload, window.requests)
    return math.ceil(window.requests * max(1.0, window.least_s / took_s))


def read(key: Key, work: int, draw: int, slower: float = 1.0) -> Read:
    """Simulate one window, of a launch that is ``slower`` than its stack."""
    window, stack, workload = key
    name = f"{stack.preset} {stack.speed}".encode()
    seed = int(np.random.SeedSequence([work, draw, *name]).generate_state(1)[0])
    params = stack.params()
    params = replace(params, slowdown=params.slowdown * slower)
    run = partial(simulate, params, WORKLOADS[workload], work_seed=WORK_SEED + work, seed=seed)
    if isinstance(window, Steady):
        stay_s, start_s, stop_s = steady(window, stack, workload)
        load = Closed(streams=STREAMS, start="equilibrium", spread_s=stay_s / 2)
        return _figures(run(load, end_s=stop_s), start_s, stop_s, stop_s + stay_s)
    if isinstance(window, Share):
        ran = run(Closed(streams=STREAMS), end_s=window.length_s)
        start_s, stop_s = window.cut * window.length_s, (1 - window.cut) * window.length_s
        return _figures(ran, start_s, stop_s, window.length_s)
    requests = window.requests
    if isinstance(window, Whole):
        requests = enough(window, stack, workload)
    ran = run(Closed(streams=STREAMS, requests=requests))
    end_s = float(ran.last_s.max())
    if isinstance(window, Whole):
        return _figures(ran, 0.0, end_s, end_s)
    return _middle(ran, requests, end_s)


def _middle(ran: Trace, requests: int, end_s: float) -> Read:
    start_s = float(np.sort(ran.first_s)[STREAMS - 1])
    stop_s = float(np.sort(ran.last_s)[requests - STREAMS - 2])
    return _figures(ran, start_s, stop_s, end_s)


def _figures(ran: Trace, start_s: float, stop_s: float, seconds: float) -> Read:
    seen = ran.figures(start_s, stop_s)
    edges = np.linspace(start_s, stop_s, BATCHES + 1)
    batches = [ran.tokens(*pair) for pair in pairwise(edges.tolist())]
    logs = tuple(np.log(np.maximum(batches, 1)).tolist())
    return Read(math.log(seen.tok_s), math.log(seen.j_per_token), seconds, logs)


def bank(key: Key, works: int, draws: int, pool: Pool | None = None) -> Bank:
    """Simulate a bank."""
    places = [(key, work, draw) for work in range(works) for draw in range(draws)]
    rows = pool.starmap(read, places, chunksize=8) if pool else [read(*it) for it in places]
    tok_s, j_per_token, seconds, batches = (
        np.asarray(column, float).reshape(works, draws, -1) for column in zip(*rows, strict=True)
    )
    return Bank(
        tok_s=tok_s[:, :, 0],
        j_per_token=j_per_token[:, :, 0],
        seconds=seconds[:, :, 0],
        batches=batches,
    )


def stretched(key: Key, slower: float, works: int) -> tuple[float, float]:
    """Return by how much, in log tok/s, adding an offset is off where the engine is that slow.

    Mean and standard deviation of simulated less composed, with the same prompts and noise.
    """
    off = [
        read(key, work, 0, slower).tok_s + math.log(slower) - read(key, work, 0).tok_s
        for work in range(works)
    ]
    return float(np.mean(off)), float(np.std(off, ddof=1))
