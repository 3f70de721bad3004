"""A probe of a search for capacity while it is on: who met the SLO, and what the search is told.

A request is good when it ended well within every limit, all counted from its intended send. It is
bad as soon as it cannot be good any more, ended or not. In between it is pending, and requests are
counted in the order in which they were meant to be sent, up to the first that is pending: whoever
is quick must not be counted before the slow ones that were sent with them.
"""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from inferometer.capacity_search import Ask, Capacity, Told

if TYPE_CHECKING:
    from collections.abc import Generator

    from inferometer.declared import Slo
    from inferometer.loadgen.offer import Progress, Seen

MS = 1_000_000
GRACE_MS = 100.0
LAG_MS = 50.0
"""A client that is later than this in 1 % of its ticks or sends cannot tell; the checks' limit."""
CPU_SHARE = 0.9
"""Of a core, for each process of the client; the checks' limit."""
LEAST_LAG_MS = 5.0
LEAST_LATE = 5
"""So few late ones are chance."""


def limits(slo: Slo) -> dict[str, float]:
    """Return the limits that a request must meet, in ms."""
    every = {"ttft_ms": slo.ttft_ms, "tpot_ms": slo.tpot_ms, "e2e_ms": slo.e2e_ms}
    return {name: limit for name, limit in every.items() if limit is not None}


def missed(seen: Seen, now_ns: int, wanted: dict[str, float]) -> list[str] | None:
    """Return the limits that a request missed; None: pending.

    ``failed`` for one that did, ``unfinished`` for one that missed TTFT or TPOT, one of the two.
    """
    if seen.state == "error":
        return ["failed"]
    if seen.state == "ok":
        found = {
            "ttft_ms": (seen.first_ns - seen.intended_ns) / MS,
            "tpot_ms": (seen.last_ns - seen.first_ns) / MS / max(seen.output_tokens - 1, 1),
            "e2e_ms": (seen.last_ns - seen.intended_ns) / MS,
        }
        return [name for name, limit in wanted.items() if found[name] > limit]
    over = _overdue(seen, (now_ns - seen.intended_ns) / MS - GRACE_MS, wanted)
    return [over] if over else None


def _overdue(seen: Seen, late_ms: float, wanted: dict[str, float]) -> str:
    """Return a limit that a request without an end can no longer meet; empty: it still may.

    That nothing came yet tells of the time to first token; that it has not ended, of the whole, of
    which TTFT and TPOT together allow ``ttft_ms + (output tokens - 1) * tpot_ms``. Lateness has
    some grace, for an answer may be over and not be read yet.
    """
    ttft, tpot = wanted.get("ttft_ms", math.inf), wanted.get("tpot_ms", math.inf)
    if seen.state == "waiting" and late_ms > ttft:
        return "ttft_ms"
    if seen.state != "undecoded" and late_ms > wanted.get("e2e_ms", math.inf):
        return "e2e_ms"
    if seen.state != "undecoded" and late_ms > ttft + tpot * max(seen.output_tokens - 1, 0):
        return "unfinished"
    return ""


@dataclass(slots=True, kw_only=True)
class Watching:
    """One probe: takes what the load path sees, asks the search on, says when the rate changes.

    ``ask`` is what the search asked for last; after the probe it is the next rate, or None with
    ``found`` set.
    """

    asking: Generator[Ask, Told, Capacity]
    ask: Ask | None
    wanted: dict[str, float]
    first: int
    """Index of the first request behind the warm-up; then of the first that is not counted yet."""
    fresh: float = math.inf
    """Index of the first request whose prompt was sent before."""
    found: Capacity | None = None
    start_ns: int = 0
    why: dict[str, int] = field(default_factory=dict)
    growing: bool = False
    _known: dict[int, list[str] | None] = field(default_factory=dict)
    """What a request missed, by index; None where it was due before the window and never counts."""
    _reused: bool = False
    _looked_ns: int = 0
    _levels: list[float] = field(default_factory=list)
    _waits_ms: list[float] = field(default_factory=list)
    _ticks: list[int] = field(default_factory=lambda: [0, 0])
    _sends: list[int] = field(default_factory=lambda: [0, 0])

    def opened(self, start_ns: int, _end_ns: int) -> None:
        """Hear when the window opens."""
        self.start_ns = self._looked_ns = start_ns

    def look(self, seen: Progress) -> bool:
        """Tell the search what was seen since the last look; True: this rate is done with."""
        for one in (*seen.ended, *seen.open):
            self._judge(one, seen.as_of_ns)
        self._client(seen)
        self.growing = self._grows(seen)
        good, bad = self._count()
        told = Told(
            good=good,
            bad=bad,
            growing=self.growing,
            starved=self._starved(seen),
            reused=self._reused,
            in_flight=self._levels[-1],
        )
        return self._tell(told)

    def broke(self) -> Capacity:
        """Tell the search that the load broke off; return what it has found until then."""
        if self.found is None:
            self._tell(Told(good=0, bad=0, broken=True))
        assert self.found is not None
        return self.found

    def _tell(self, told: Told) -> bool:
        try:
            self.ask = self.asking.send(told)
        except StopIteration as ended:
            self.ask, self.found = None, ended.value
            return True
        return self.ask.settle_s > 0

    # -- requests --------------------------------------------------------------------------------

    def _judge(self, one: Seen, now_ns: int) -> None:
        if one.intended_ns > now_ns or one.place in self._known:  # not due yet, or judged before
            return
        self._reused = self._reused or one.place >= self.fresh
        if one.intended_ns < self.start_ns:
            self._known[one.place] = None
        elif (why := missed(one, now_ns, self.wanted)) is not None:
            self._known[one.place] = why

    def _count(self) -> tuple[int, int]:
        """Return the good and the bad among those that can be counted since the last look."""
        good = bad = 0
        while self.first in self._known:
            why = self._known[self.first]
            if why is not None:
                bad, good = bad + bool(why), good + (not why)
                for name in why:
                    self.why[name] = self.why.get(name, 0) + 1
            self.first += 1
        return good, bad

    def _grows(self, seen: Progress) -> bool:
        """Say whether this rate is not steady: the queue grows, or the wait for a first token.

        The queue: requests in flight, meant to be sent and not ended, on average between two looks;
        it grew when it rose since the last look, and since the first by three standard deviations
        of the difference of two Poisson numbers and a quarter of its mean. The wait: the median of
        those that ended between two looks; it grew when the later half of the looks is above the
        earlier by an eighth of the limit. A server that is a little too slow meets an SLO for a
        while, and that is how it shows.
        """
        since, until = self._looked_ns, seen.as_of_ns
        self._looked_ns = until
        inside = [*seen.open, *seen.ended]
        level = sum(_overlap(one, since, until) for one in inside) / max(until - since, 1)
        waits = [
            (one.first_ns - one.intended_ns) / MS
            for one in seen.ended
            if one.first_ns and one.intended_ns >= self.start_ns
        ]
        if waits:
            self._waits_ms.append(statistics.median(waits))
        before, half = self._levels[-1:], len(self._waits_ms) // 2
        self._levels.append(level)
        mean, rise = statistics.fmean(self._levels), level - self._levels[0]
        if before and level > before[0] and rise > max(3 * (2 * mean) ** 0.5, 0.25 * mean):
            return True
        later, earlier = self._waits_ms[-half:], self._waits_ms[:half]
        return half > 0 and sum(later) - sum(earlier) > half * self._limit_ms() / 8

    def _limit_ms(self) -> float:
        return min(limit for name, limit in self.wanted.items() if name != "tpot_ms")

    # -- the client ------------------------------------------------------------------------------

    def _client(self, seen: Progress) -> None:
        late_ms = max(LEAST_LAG_MS, min(LAG_MS, self._limit_ms() / 10))
        sends = [
            (one.sent_ns - one.intended_ns) / MS
            for one in seen.ended
            if one.sent_ns and one.intended_ns >= self.start_ns
        ]
        for count, lags in ((self._ticks, seen.lags_ms), (self._sends, sends)):
            count[0] += len(lags)
            count[1] += sum(lag > late_ms for lag in lags)

    def _starved(self, seen: Progress) -> bool:
        """Say whether the client was too slow for what is asked of it here."""
        late = any(
            count[1] > max(0.01 * count[0], LEAST_LATE) for count in (self._ticks, self._sends)
        )
        seconds = max(seen.as_of_ns - self.start_ns, 1) * 1e-9
        return late or seen.cpu_s / seen.workers / seconds > CPU_SHARE


def _overlap(one: Seen, since_ns: int, until_ns: int) -> int:
    """Return for how long between two moments a request was meant to be sent and not ended."""
    end_ns = one.last_ns if one.state == "ok" else until_ns
    return max(0, min(end_ns, until_ns) - max(one.intended_ns, since_ns))
