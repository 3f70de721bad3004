"""What is asked of the engine: lengths of requests, and when they are sent.

Lengths depend on a workload, a seed and a request's place alone, so every stack is asked for the
same work: common random numbers.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

import numpy as np
from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

BLOCK = 4096
LARGE = 65_536
"""Requests of which the first ones of an equilibrium start are chosen."""


class Uniform(Struct, frozen=True, tag="uniform"):
    """Whole numbers from ``low * most`` to ``most``, all alike."""

    most: int
    low: float = 0.8

    def draw(self, rng: np.random.Generator, count: int) -> NDArray[np.int64]:
        """Return ``count`` lengths."""
        return rng.integers(round(self.low * self.most), self.most, count, endpoint=True)


class LogNormal(Struct, frozen=True, tag="log-normal"):
    """The exponential of a normal draw, rounded, from 1 to ``most``."""

    mu: float
    sigma: float
    most: int

    def draw(self, rng: np.random.Generator, count: int) -> NDArray[np.int64]:
        """Return ``count`` lengths."""
        drawn = np.rint(rng.lognormal(self.mu, self.sigma, count))
        return np.clip(drawn, 1, self.most).astype(np.int64)


class Listed(Struct, frozen=True, tag="listed"):
    """One of these, all alike."""

    tokens: tuple[int, ...]

    def draw(self, rng: np.random.Generator, count: int) -> NDArray[np.int64]:
        """Return ``count`` lengths."""
        return rng.choice(np.asarray(self.tokens, np.int64), count)


class Exponential(Struct, frozen=True, tag="exponential"):
    """Exponential with ``mean``, rounded up, up to ``most``: for the theory of queues."""

    mean: float
    most: int

    def draw(self, rng: np.random.Generator, count: int) -> NDArray[np.int64]:
        """Return ``count`` lengths."""
        drawn = np.ceil(rng.exponential(self.mean, count))
        return np.clip(drawn, 1, self.most).astype(np.int64)


Lengths = Uniform | LogNormal | Listed | Exponential


class Workload(Struct, frozen=True, kw_only=True):
    """Lengths of prompts and outputs in tokens, drawn independently."""

    name: str
    prompt: Lengths
    output: Lengths

    def draw(self, seed: int, block: int, count: int = BLOCK) -> tuple[list[int], list[int]]:
        """Return a block of the requests of ``seed``: prompts and outputs."""
        rng = np.random.default_rng([seed, block])
        return self.prompt.draw(rng, count).tolist(), self.output.draw(rng, count).tolist()


LONG_PROMPT = Workload(name="8k/1k", prompt=Uniform(8192), output=Uniform(1024))
EVEN = Workload(name="1k/1k", prompt=Uniform(1024), output=Uniform(1024))
CHAT = Workload(
    name="chat",
    prompt=LogNormal(5.3, 1.0, 8192),
    output=LogNormal(5.3, 0.9, 2048),
)
REASONING = Workload(
    name="reasoning",
    prompt=LogNormal(5.3, 1.0, 8192),
    output=LogNormal(7.6, 0.9, 16_384),
)
WORKLOADS = {it.name: it for it in (LONG_PROMPT, EVEN, CHAT, REASONING)}


def requests(workload: Workload, seed: int) -> Iterator[tuple[int, int]]:
    """Yield prompt and output of the requests of ``seed``, for ever."""
    block = 0
    while True:
        yield from zip(*workload.draw(seed, block), strict=True)
        block += 1


class Closed(Struct, frozen=True, kw_only=True):
    """``streams`` clients, each of which sends its next request when it has its answer.

    ``burst``: all begin at once; ``ramp``: spread over ``spread_s``; ``equilibrium``: so spread,
    and each first request stands for one that began earlier: it is chosen with probability
    proportional to its output length, its age is uniform, and what it would have made by then is
    sent as prompt.
    """

    streams: int
    start: Literal["burst", "ramp", "equilibrium"] = "burst"
    spread_s: float = 0.0
    requests: int | None = None
    """Stop sending after so many; None: never."""


class Poisson(Struct, frozen=True, kw_only=True):
    """Requests that arrive independently of each other and of the answers, ``rate`` a second."""

    rate: float
    seed: int = 0


class Given(Struct, frozen=True, kw_only=True):
    """Requests that arrive at ``times_s``, in order."""

    times_s: tuple[float, ...]


Load = Closed | Poisson | Given


def first_ones(workload: Workload, streams: int, seed: int) -> list[tuple[int, int]]:
    """Return prompt and output of the first requests of an equilibrium start."""
    rng = np.random.default_rng([seed, 2**31])
    prompts = workload.prompt.draw(rng, LARGE)
    outputs = workload.output.draw(rng, LARGE)
    chosen = rng.choice(LARGE, streams, p=outputs / outputs.sum())
    made = np.floor(rng.random(streams) * outputs[chosen]).astype(np.int64)
    return list(
        zip((prompts[chosen] + made).tolist(), (outputs[chosen] - made).tolist(), strict=True)
    )


def arrivals(load: Poisson | Given, end_s: float) -> list[float]:
    """Return the times of arrival until ``end_s``."""
    if isinstance(load, Given):
        return [at_s for at_s in load.times_s if at_s < end_s]
    if not math.isfinite(end_s):
        raise ValueError("arrivals at random need an end")
    rng = np.random.default_rng([load.seed, 2**31 + 1])
    found: list[float] = []
    at_s = 0.0
    while at_s < end_s:
        gaps = rng.exponential(1 / load.rate, BLOCK)
        found += (at_s + np.cumsum(gaps)).tolist()
        at_s = found[-1]
    return [at_s for at_s in found if at_s < end_s]
