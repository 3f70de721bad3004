"""Simulate a day."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from inferometer_plugins.fleet import state as at
from inferometer_plugins.fleet.arrivals import requests
from inferometer_plugins.fleet.day import BIN_S, MODES, Day
from inferometer_plugins.fleet.spec import DAY_S, ROUTERS
from inferometer_plugins.simulator.laws import Linear

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from inferometer_plugins.fleet.arrivals import Requests
    from inferometer_plugins.fleet.spec import Fleet, Traffic
    from inferometer_plugins.simulator.model import Params

    Floats = NDArray[np.float64]

LEAST_FACTOR = 0.2
MOST = 2e9
"""Requests: their numbers have 31 bits."""
EVENTS = 1 << 18
"""At once: a part of a second where compiled."""


class Table(NamedTuple):
    """The law of a step in arrays: seconds of a step without context, and for each of context."""

    fixed: Floats
    slope: Floats
    prompt_s: float
    by_tokens: bool


def simulate(fleet: Fleet, traffic: Traffic, *, seed: int, day_s: float = DAY_S) -> Day:
    """Return what a fleet does from midnight for ``day_s``; it begins with nothing to do.

    The same arguments give the same bytes, with numba and without.

    Raises:
        ValueError: a request cannot fit into a replica's cache, or there are too many.

    """
    # loading numba takes a second, so only who simulates waits for it
    from inferometer_plugins.fleet.compiling import COMPILED  # noqa: PLC0415
    from inferometer_plugins.fleet.kernel import run  # noqa: PLC0415

    expected = traffic.requests_per_day * day_s / DAY_S
    if expected > MOST:
        raise ValueError(f"{expected:.3g} requests are more than can be numbered: simulate fewer")
    work = requests(traffic, seed, day_s)
    _check(fleet.params, work)
    state = _state(fleet, traffic, work, seed, day_s)
    while not run(state, EVENTS):
        pass  # compiled code hears no signal, so that Ctrl-C waits for a part of the day alone
    return _day(fleet, traffic, state, seed, compiled=COMPILED)


def _check(params: Params, work: Requests) -> None:
    if params.budget <= params.max_seqs:
        raise ValueError(f"a budget of {params.budget} tokens leaves none for prompts")
    if params.kv_tokens is not None and len(work.at_s):
        longest = int((work.prompt + work.output).max())
        if longest > params.kv_tokens:
            raise ValueError(f"{longest} tokens do not fit in a cache of {params.kv_tokens}")


def tabulate(params: Params) -> Table:
    """Return the law of ``params``, slowdown and all, as the compiled functions read it."""
    law = params.law
    if isinstance(law, Linear):
        fixed = [[line.fixed_s for line in law.lines(n, 0)] for n in range(params.max_seqs + 1)]
        slope = [law.c_s]
        return Table(_floats(fixed).T.copy(), _floats(slope), float(law.d_s), by_tokens=False)
    fixed = [[line.fixed_s for line in law.lines(n, 0)] for n in range(params.budget + 1)]
    slope = [line.context_s for line in law.lines(1, 0)]
    return Table(_floats(fixed).T.copy(), _floats(slope), 0.0, by_tokens=True)


def _floats(values: list[Any]) -> Floats:
    """Return an array of floats, whatever was given: another type would be compiled anew."""
    return np.asarray(values, float)


def _chance(fleet: Fleet, seed: int, day_s: float) -> Floats:
    """Return times to failures and factors of boots, [K, 2], more than are ever needed."""
    fails, boots = (np.random.default_rng([seed, stream]) for stream in (1, 2))
    often = 0.0
    if fleet.failures is not None:
        expected = fleet.replicas * day_s / fleet.failures.every_s
        often = 2 * expected + 10 * math.sqrt(expected) + 100
    count = 2 * fleet.replicas + int(often)
    found = np.full((count, 2), math.inf)
    if fleet.failures is not None:
        found[:, at.BY_GAP] = fails.exponential(fleet.failures.every_s, count)
    drawn = 1 + fleet.params.noise.launch_sd * boots.standard_normal(count)
    found[:, at.BY_BOOT] = fleet.params.slowdown * np.maximum(drawn, LEAST_FACTOR)
    return found


def _state(fleet: Fleet, traffic: Traffic, work: Requests, seed: int, day_s: float) -> at.State:
    params, total, count = fleet.params, fleet.replicas, len(work.at_s)
    power, law = params.power, tabulate(params)
    kinds = traffic.prefixes.count if traffic.prefixes else 0
    keeps = min(fleet.cached_prefixes, kinds)
    floats, longs = np.zeros((total, at.FLOATS)), np.zeros((total, at.LONGS), np.int64)
    floats[:, at.END] = floats[:, at.CHANGE] = math.inf
    longs[:, at.READING] = at.NONE
    longs[:, at.STATUS] = at.STARTING
    x, y = np.zeros(3), np.zeros(at.WHOLE, np.int64)
    x[at.NEXT_CHANGE] = math.inf
    x[at.WAVE_AT] = fleet.restarts.start_s if fleet.restarts else math.inf
    homes = np.random.default_rng([seed, 3]).integers(total, size=kinds)
    requested = np.zeros((count, at.COLUMNS), np.int32)
    requested[:, at.PROMPT], requested[:, at.OUTPUT] = work.prompt, work.output
    requested[:, at.PREFIX] = work.prefix
    requested[:, at.PLACE] = requested[:, at.CACHED] = at.NONE
    return at.State(
        f=floats,
        g=longs,
        x=x,
        y=y,
        at=work.at_s,
        q=requested,
        t=np.full((count, 2), -1, np.float32),
        heap=np.zeros((total, params.max_seqs, 2), np.int64),
        ranks=np.repeat(np.arange(total)[:, None], 2, axis=1),
        kept=np.full((total, (kinds if keeps else 0) + 1, 2), at.NONE, np.int32),
        home=homes,
        table=law.fixed,
        slope=law.slope,
        prompt_s=law.prompt_s,
        by_tokens=law.by_tokens,
        chance=_chance(fleet, seed, day_s),
        spent=np.zeros((total, len(MODES), 2)),
        bins=np.zeros((math.ceil(day_s / BIN_S), len(MODES) + 1)),
        bin_s=BIN_S,
        day_s=float(day_s),
        budget=params.budget,
        most=params.max_seqs,
        kv=params.kv_tokens or 0,
        keeps=keeps,
        share=float(traffic.prefixes.share if traffic.prefixes else 0.0),
        router=ROUTERS.index(fleet.router),
        guard=float(fleet.guard),
        idle_w=float(power.base_w),
        busy_w=float(power.base_w + power.busy_w),
        prefill_w=float(power.prefill_w),
        batch_w=float(power.batch_w),
        boot_w=float(power.base_w if fleet.boot_w is None else fleet.boot_w),
        down_w=float(fleet.down_w),
        boot_s=float(fleet.boot_s),
        repair_s=float(fleet.failures.repair_s if fleet.failures else 0.0),
        retries=fleet.retries,
        at_once=fleet.restarts.at_once if fleet.restarts else 1,
        drain_s=float(fleet.restarts.drain_s if fleet.restarts else 0.0),
    )


def _day(fleet: Fleet, traffic: Traffic, s: at.State, seed: int, *, compiled: bool) -> Day:
    """Close the books: requests that are under way count with the time they have lasted."""
    lasted = (s.day_s - s.at).astype(np.float32)
    ttft, e2e = (np.where(it < 0, lasted, it) for it in (s.t[:, at.TTFT], s.t[:, at.E2E]))
    up = s.g[:, at.STATUS] == at.UP
    lengths = np.minimum(s.bin_s, s.day_s - s.bin_s * np.arange(len(s.bins)))
    names = {
        "tokens_made": at.MADE,
        "tokens_wasted": at.WASTED,
        "tokens_read": at.READ,
        "preempted": at.PREEMPTED,
        "retried": at.RETRIED,
        "failures": at.FAILED,
        "restarts": at.RESTARTED,
        "hits": at.HITS,
        "lookups": at.LOOKUPS,
        "queue_max": at.QUEUE_MAX,
    }
    return Day(
        fleet=fleet,
        traffic=traffic,
        seed=seed,
        day_s=s.day_s,
        bin_s=s.bin_s,
        compiled=compiled,
        at_s=s.at,
        prompt=s.q[:, at.PROMPT],
        output=s.q[:, at.OUTPUT],
        made=s.q[:, at.HAS],
        ttft_s=ttft,
        e2e_s=e2e,
        begun=np.isfinite(ttft) & (s.t[:, at.TTFT] >= 0),
        replica=s.q[:, at.PLACE],
        cached=np.maximum(s.q[:, at.CACHED], 0),
        tries=s.q[:, at.TRIES],
        outcome=s.q[:, at.OUTCOME],
        joules=s.spent[:, :, at.JOULES],
        factor=np.where(up, s.f[:, at.FACTOR], math.nan),
        serves_s=np.where(up, s.f[:, at.SERVES], math.nan),
        seconds=s.spent[:, :, at.SECONDS],
        joules_by_bin=s.bins[:, : at.QUEUE],
        queue_by_bin=s.bins[:, at.QUEUE] / lengths,
        counts={name: int(s.y[place]) for name, place in names.items()},
    )
