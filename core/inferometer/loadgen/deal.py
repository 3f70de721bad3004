"""How a load is divided: over how many processes, and which requests each of them sends.

Requests are dealt in turn, so that every worker's share is known before anything is sent: worker k
of W takes the requests k, k + W, k + 2W, ... of the load, and likewise of the warm-up after its
first. With one worker that is the source's own order. A conversation is dealt as one.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from inferometer.errors import UsageError
from inferometer.loadgen.arrivals import most_within
from inferometer.loadgen.offer import Body

if TYPE_CHECKING:
    from collections.abc import Sequence

    from inferometer.loadgen.offer import LoadPlan, Source

Unit = list[tuple[int, Body]]
"""One request, or the turns of a conversation: ``(index in the source, body)``."""

STREAMS_PER_WORKER = 128
"""At 50 tokens/s a stream, 6,400 events/s: about a tenth of what one core can stamp."""
RATE_PER_WORKER = 50.0
"""Requests/s; at 200 tokens a request that is 10,000 events/s."""
CORES_PER_WORKER = 4
"""The server under test needs cores, too."""
CORES_PER_FAR_WORKER = 2
"""Of a load host, where nothing else runs."""
MOST_WORKERS = 16
STOCK_S = 4.0
"""An open loop's worker holds the requests of so long beforehand."""
LEAST_STOCK = 8


@dataclass(frozen=True, slots=True)
class Share:
    """Worker ``number`` of ``of``; it has every ``of``-th thing, beginning with its number."""

    number: int = 0
    of: int = 1

    def among(self, count: int) -> range:
        """Return which of ``count`` numbered things belong to it."""
        return range(self.number, count, self.of)


def worker_count(plan: LoadPlan, cores: int) -> int:
    """Return how many processes send ``plan`` on a machine with ``cores`` usable cores.

    One for each 128 streams of a closed loop or 50 requests/s of an open one (of a trace: in its
    densest second; a burst counts as streams), but at most one for 4 cores, and 16. So it is one
    for small loads and on small machines, and the same for every server measured there. A cap on
    requests in flight is kept by one worker alone; where ``plan.workers`` forces more, each has
    its share of the cap. There are never more workers than streams, or requests under the cap.
    """
    most = plan.concurrency if plan.arrivals is None else plan.max_in_flight
    wanted = plan.workers
    if wanted is None:
        alone = plan.arrivals is not None and plan.max_in_flight is not None
        wanted = 1 if alone else min(_needed(plan), cores // CORES_PER_WORKER, MOST_WORKERS)
    return max(1, wanted if most is None else min(wanted, most))


def far_workers(plan: LoadPlan, cores: Sequence[int]) -> int:
    """Return how many processes each load host runs for ``plan``: the same number on all of them.

    As :func:`worker_count` has it, divided over the hosts, but at most one for 2 cores of the
    smallest of them: nothing else should run there. ``cores`` are those of each host. A cap on
    requests in flight is divided over all workers. Raises UsageError for more hosts than streams,
    or than requests under the cap.
    """
    hosts = len(cores)
    most = plan.concurrency if plan.arrivals is None else plan.max_in_flight
    if most is not None and most < hosts:
        raise UsageError(
            f"{hosts} load hosts for {most} requests at once: some would have nothing to send",
            hint="Name as many hosts as there are streams, at most.",
        )
    each = -(-plan.workers // hosts) if plan.workers is not None else -(-_needed(plan) // hosts)
    if plan.workers is None:
        each = min(each, min(cores) // CORES_PER_FAR_WORKER, MOST_WORKERS)
    return max(1, each if most is None else min(each, most // hosts))


def _needed(plan: LoadPlan) -> int:
    arrivals = plan.arrivals
    if arrivals is None:
        return -(-plan.concurrency // STREAMS_PER_WORKER)
    if arrivals.kind == "burst":
        return -(-(plan.requests or 1) // STREAMS_PER_WORKER)
    return -int(-_arriving(plan, 1.0) // RATE_PER_WORKER)


def _arriving(plan: LoadPlan, span_s: float) -> float:
    """Return about the most arrivals within ``span_s``; of a random process the mean."""
    assert plan.arrivals is not None
    if plan.arrivals.kind == "trace":
        return most_within(list(plan.arrivals.offsets_s), span_s)
    return plan.arrivals.rate * span_s


def stock_size(plan: LoadPlan, share: Share) -> int:
    """Return how many requests (or conversations) a worker should hold ready to send."""
    if plan.arrivals is None:
        return max(LEAST_STOCK, 2 * len(share.among(plan.concurrency)))
    if plan.arrivals.kind == "burst":
        return max(LEAST_STOCK, len(share.among(plan.requests or 0)))
    return max(LEAST_STOCK, int(_arriving(plan, STOCK_S)) // share.of)


class Dealer:
    """Asks the source once for each request, in order, and deals what it gives.

    The first request is a unit of its own, for it is sent alone. No unit crosses the end of the
    warm-up, or that of the requests (``warmup + requests``, where given).
    """

    def __init__(self, source: Source, plan: LoadPlan, workers: int = 1) -> None:
        self._source = source
        self._warmup = plan.warmup
        self._total = None if plan.requests is None else plan.warmup + plan.requests
        self._next = 0
        self._ahead: Body | None = None
        self._dealt = 0
        """Units dealt since the first, or since the warm-up's last."""
        self._queues: list[deque[Unit]] = [deque() for _ in range(workers)]

    async def take(self, upto: int | None = None) -> Unit | None:
        """Return the next unit of a sole worker; see :meth:`next`."""
        return self.next(0, upto)

    def next(self, worker: int, upto: int | None = None) -> Unit | None:
        """Return the next unit of ``worker``; None at the end, or when it begins at ``upto``."""
        queue = self._queues[worker]
        while not queue:
            if self._next == self._total or (upto is not None and self._next >= upto):
                return None
            owner, unit = self._unit()
            self._queues[owner].append(unit)
        if upto is not None and queue[0][0][0] >= upto:
            return None
        return queue.popleft()

    def block(self, worker: int, count: int, size: int) -> tuple[list[Unit], bool]:
        """Return at most ``count`` units of ``worker``, and whether they are its last.

        It ends once they hold ``size`` bytes, so that long prompts do not fill the memory twice.
        """
        units: list[Unit] = []
        while len(units) < count and size > 0:
            unit = self.next(worker)
            if unit is None:
                return units, True
            units.append(unit)
            size -= volume([unit])
        return units, False

    def _unit(self) -> tuple[int, Unit]:
        """Return the source's next unit and whose it is."""
        start, unit = self._next, [self._body()]
        if start == self._warmup:
            self._dealt = 0
        bounds = (min(1, self._warmup), self._warmup, self._total)
        talk = unit[0][1].conversation
        while talk is not None and self._next not in bounds:
            index, body = self._body()
            if body.conversation != talk:
                self._next, self._ahead = index, body
                break
            unit.append((index, body))
        owner = self._dealt % len(self._queues)
        self._dealt += start > 0 or self._warmup == 0
        return owner, unit

    def _body(self) -> tuple[int, Body]:
        body, self._ahead = self._ahead, None
        if body is None:
            body = self._source(self._next)
        self._next += 1
        return self._next - 1, body


def volume(units: Sequence[Unit]) -> int:
    """Return the bytes of the requests in ``units``."""
    return sum(len(body.content) for unit in units for _, body in unit)
