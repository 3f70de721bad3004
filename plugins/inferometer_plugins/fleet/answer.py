"""The fewest replicas that meet a service level."""

from __future__ import annotations

import math
import multiprocessing
import signal
from concurrent.futures import ProcessPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from inferometer_plugins.fleet.day import Day, Summary
from inferometer_plugins.fleet.engine import simulate, tabulate
from inferometer_plugins.fleet.spec import DAY_S, Fleet, Traffic

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from inferometer_plugins.fleet.day import What


SAMPLE = 100_000


class Slo(Struct, frozen=True, kw_only=True):
    """At least ``share`` of the requests within each limit, in seconds; None: not asked for."""

    ttft_s: float | None = None
    tpot_s: float | None = None
    e2e_s: float | None = None
    share: float = 0.99

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        limits = [it for it in (self.ttft_s, self.tpot_s, self.e2e_s) if it is not None]
        if not limits or not all(0 < it < math.inf for it in limits):
            raise ValueError("slo: give ttft_s, tpot_s or e2e_s, a number of seconds above 0")
        if not 0 < self.share < 1:
            raise ValueError(f"slo: share is {self.share}; it is a part of the requests, as 0.99")

    def met(self, day: Day) -> bool:
        """Return whether a day meets every limit; requests lost or never begun count as misses."""
        limits: tuple[tuple[What, float | None], ...] = (
            *(("ttft", self.ttft_s), ("tpot", self.tpot_s), ("e2e", self.e2e_s)),
        )
        return not any(  # where there are no requests a percentile is NaN, and none is late
            day.percentiles(what, (self.share,))[0] > limit
            for what, limit in limits
            if limit is not None
        )


class Case(Struct, frozen=True, kw_only=True):
    """A day to simulate: what a process of its own is given."""

    fleet: Fleet
    traffic: Traffic
    seed: int
    day_s: float = DAY_S
    slo: Slo | None = None


class Tried(Struct, frozen=True, kw_only=True):
    """A number of replicas and what its day says."""

    replicas: int
    met: bool
    """True, too, where no SLO was given."""
    summary: Summary


class Answer(Struct, frozen=True, kw_only=True):
    """The fewest replicas that met the SLO, with the days that show it. Kind: ``simulated``."""

    replicas: int | None
    """None: not even ``most`` did."""
    summary: Summary | None
    """Of that number."""
    tried: tuple[Tried, ...]
    """All, by replicas; the next fewer and the next more are among them."""
    monotone: bool
    """False: some number met the SLO where a higher one did not."""
    why: str


def tried(case: Case) -> Tried:
    """Simulate a case and keep its figures alone."""
    day = simulate(case.fleet, case.traffic, seed=case.seed, day_s=case.day_s)
    met = case.slo is None or case.slo.met(day)
    return Tried(replicas=case.fleet.replicas, met=met, summary=day.summary())


def each(cases: Iterable[Case], workers: int = 1) -> list[Tried]:
    """Simulate independent cases, ``workers`` processes at once; the order is kept.

    Each process holds a day of its own: about 60 bytes a request.
    """
    given = list(cases)
    workers = min(workers, len(given))
    if workers < 2:
        return [tried(it) for it in given]
    # spawned, for the caller may have threads, and a fork of those may hang
    context = multiprocessing.get_context("spawn")
    others = set(multiprocessing.active_children())
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_deaf) as pool:
        try:
            return list(pool.map(tried, given))
        except BaseException:  # Ctrl-C as well: nobody waits for days that nobody will see
            for process in set(multiprocessing.active_children()) - others:
                process.terminate()
            raise


def _deaf() -> None:
    """Leave Ctrl-C to the caller, who ends this process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def smallest(
    fleet: Fleet,
    traffic: Traffic,
    slo: Slo,
    *,
    seed: int,
    day_s: float = DAY_S,
    most: int = 4096,
    workers: int = 1,
    run: Callable[[Iterable[Case], int], list[Tried]] = each,
) -> Answer:
    """Return the fewest replicas of ``fleet`` (whose own number is not used) that meet ``slo``.

    First numbers that grow from what the mean rate takes at least, until one meets it; then the
    gap below is divided, ``workers`` numbers at a time; then the next more is looked at. All days
    have the same requests.

    Args:
        fleet: the replicas, whatever their number.
        traffic: the day.
        slo: what to meet.
        seed: of everything that is drawn.
        day_s: seconds to simulate, from midnight.
        most: replicas.
        workers: processes at once.
        run: what simulates cases, so many at once; an executor may stand here.

    """
    days: dict[int, Tried] = {}

    def look(numbers: Iterable[int]) -> None:
        new = sorted({it for it in numbers if 1 <= it <= most} - days.keys())
        cases = [
            Case(
                fleet=replace(fleet, replicas=it), traffic=traffic, seed=seed, day_s=day_s, slo=slo
            )
            for it in new
        ]
        if cases:
            days.update({it.replicas: it for it in run(cases, workers)})

    first = min(most, least(fleet, traffic))
    look(grown(first, most, workers))
    while not days[max(days)].met and max(days) < most:
        look(grown(max(days) + 1, most, workers))
    while found := [it for it in days if days[it].met]:
        high = min(found)
        low = max((it for it in days if it < high), default=0)
        if high - low == 1:
            break
        look(between(low, high, workers))
    if not found:
        return _answer(None, days, f"not even {most} replicas meet it")
    look([high + 1])
    fewer = f", {high - 1} do not" if high > 1 else ""
    return _answer(high, days, f"{high} replicas meet it{fewer}")


def least(fleet: Fleet, traffic: Traffic) -> int:
    """Return a number of replicas to begin with: the mean rate with every batch full.

    ``requests a second * mean output * seconds of a full step / sequences``; prompts and their
    contexts are left out.
    """
    params, law = fleet.params, tabulate(fleet.params)
    rng = np.random.default_rng(0)
    output = float(traffic.workload.output.draw(rng, SAMPLE).mean())
    batch = params.max_seqs
    step_s = float(max(law.fixed[:, batch] + law.slope * batch)) * params.slowdown
    return max(1, math.floor(traffic.requests_per_day / DAY_S * output * step_s / batch))


def grown(first: int, most: int, count: int) -> list[int]:
    """Return ``count`` numbers from ``first`` on, each half as much again, up to ``most``."""
    found = [first]
    while len(found) < count and found[-1] < most:
        found.append(min(most, max(found[-1] + 1, math.ceil(1.5 * found[-1]))))
    return found


def between(low: int, high: int, count: int) -> list[int]:
    """Return up to ``count`` whole numbers that divide the gap evenly."""
    parts = min(count, high - low - 1) + 1
    return sorted({low + round((high - low) * place / parts) for place in range(1, parts)})


def _answer(replicas: int | None, days: dict[int, Tried], why: str) -> Answer:
    rows = tuple(days[it] for it in sorted(days))
    met = [it.met for it in rows]
    return Answer(
        replicas=replicas,
        summary=None if replicas is None else days[replicas].summary,
        tried=rows,
        monotone=met == sorted(met),
        why=why,
    )
