"""The requests of a day: when, how long, with which beginning. Vectorised.

Arrivals are an inhomogeneous Poisson process by inversion: a unit-rate process in operational
time, mapped back through the cumulative rate, which is piecewise linear.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from inferometer_plugins.fleet.spec import DAY_S

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from inferometer_plugins.fleet.spec import Bursts, Traffic

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int32]

MINUTE_S = 60.0
BLOCK = 1 << 20
"""Requests drawn at once, so that memory stays small."""


class Requests(NamedTuple):
    """N requests by time."""

    at_s: Floats
    prompt: Ints
    output: Ints
    prefix: Ints
    """-1: none."""


def requests(traffic: Traffic, seed: int, day_s: float) -> Requests:
    """Return what is sent from midnight to ``day_s``; it does not depend on the fleet."""
    times, bursts, lengths, prefixes = np.random.SeedSequence([seed, 0]).spawn(4)
    edges, rate = rates(traffic, np.random.default_rng(bursts), day_s)
    at_s = _times(edges, rate, np.random.default_rng(times))
    count = len(at_s)
    prompt, output = np.empty(count, np.int32), np.empty(count, np.int32)
    rng = np.random.default_rng(lengths)
    for low in range(0, count, BLOCK):
        some = min(BLOCK, count - low)
        prompt[low : low + some] = traffic.workload.prompt.draw(rng, some)
        output[low : low + some] = traffic.workload.output.draw(rng, some)
    return Requests(
        at_s, prompt, output, _prefixes(traffic, count, np.random.default_rng(prefixes))
    )


def rates(traffic: Traffic, rng: np.random.Generator, day_s: float) -> tuple[Floats, Floats]:
    """Return edges in seconds, [K + 1], and the rate between them in requests a second, [K].

    The hours' weights hold at the middle of each hour and are joined by straight lines around
    the clock, read off at the middle of each minute.
    """
    edges = np.append(np.arange(0.0, day_s, MINUTE_S), day_s)
    whole = (np.arange(DAY_S / MINUTE_S) + 0.5) * MINUTE_S
    scale = traffic.requests_per_day / MINUTE_S / _weights(traffic, whole).sum()
    if traffic.bursts is None:
        return edges, scale * _weights(traffic, (edges[:-1] + edges[1:]) / 2)
    starts, ends = _bursts(traffic.bursts, rng, day_s)
    edges = np.unique(np.concatenate((edges, starts, ends)))
    ends = np.append(ends, 0.0)  # of no burst, which place -1 names
    middles = (edges[:-1] + edges[1:]) / 2
    place = np.searchsorted(starts, middles, side="right") - 1
    inside = middles < ends[place]
    bursts = traffic.bursts
    share = bursts.length_s / (bursts.every_s + bursts.length_s)
    mean = 1 + share * (bursts.factor - 1)
    return edges, scale * _weights(traffic, middles) * np.where(inside, bursts.factor, 1.0) / mean


def _weights(traffic: Traffic, at_s: Floats) -> Floats:
    hours = np.arange(-1, 25) + 0.5
    values = np.asarray((traffic.hourly[-1], *traffic.hourly, traffic.hourly[0]), float)
    return np.asarray(np.interp(at_s / 3600 % 24, hours, values))


def _bursts(bursts: Bursts, rng: np.random.Generator, day_s: float) -> tuple[Floats, Floats]:
    """Return begins and ends; midnight is as likely inside a burst as any other time."""
    cycle_s = bursts.every_s + bursts.length_s
    count = int(2 * day_s / cycle_s + 20 + 10 * np.sqrt(day_s / cycle_s))
    calm, hot = rng.exponential(bursts.every_s, count), rng.exponential(bursts.length_s, count)
    if rng.random() < bursts.length_s / cycle_s:
        calm[0] = 0.0
    ends = np.cumsum(calm + hot)
    starts = ends - hot
    inside = starts < day_s
    return starts[inside], np.minimum(ends[inside], day_s)


def _times(edges: Floats, rate: Floats, rng: np.random.Generator) -> Floats:
    """Return the times of a Poisson process: exponential gaps in units of expected requests."""
    expected = np.concatenate(([0.0], np.cumsum(rate * np.diff(edges))))
    count = rng.poisson(expected[-1])
    # given how many there are, the gaps and the rest to the end are in the ratio of exponentials
    gaps = rng.exponential(1.0, count + 1)
    np.cumsum(gaps, out=gaps)
    gaps *= expected[-1] / gaps[-1]
    return np.asarray(np.interp(gaps[:-1], expected, edges))


def _prefixes(traffic: Traffic, count: int, rng: np.random.Generator) -> Ints:
    if traffic.prefixes is None:
        return np.full(count, -1, np.int32)
    weights = np.arange(1, traffic.prefixes.count + 1, dtype=float) ** -traffic.prefixes.zipf
    upto = np.cumsum(weights)
    upto /= upto[-1]
    found = np.empty(count, np.int32)
    for low in range(0, count, BLOCK):
        some = min(BLOCK, count - low)
        found[low : low + some] = np.searchsorted(upto, rng.random(some), side="right")
    return found
