"""What the checks of one load look at, and the counts that several of them share."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

from msgspec import Struct

from inferometer.comparison import Check
from inferometer.records import CHUNK_COUNT_UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from inferometer.records import Request, Window

Verdict = Literal["pass", "warn", "fail", "unknown"]
UNDER_LOAD = ("load", "stagger")


class Call(Struct, frozen=True, gc=False):
    """The fields of :class:`records.Request` that checks need, under the same names."""

    index: int
    phase: str
    stream: int
    prompt: int
    intended_ns: int
    sent_ns: int
    first_ns: int | None
    last_ns: int | None
    end_ns: int | None
    status: str
    error: str | None
    input_tokens_expected: int
    output_tokens_expected: int
    input_tokens: int | None
    output_tokens: int | None
    cached_tokens: int | None
    chunks: int
    tokens_from: str

    @property
    def done_ns(self) -> int | None:
        """Return when the client was through with it; None while it was in flight."""
        if self.status == "cut":
            return self.end_ns
        return self.end_ns or self.last_ns or self.sent_ns

    def open_at(self, t_ns: int) -> bool:
        """Say whether it had not ended at that moment; one that ended just then had."""
        done = self.done_ns
        return done is None or done > t_ns or (done == t_ns and self.status == "cut")


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """One window, or one whole load of a number of requests.

    ``load`` is every request under load, those of the discarded stretch among them. ``counted``
    are the tokens in the events of those finished requests whose events were all counted, and
    ``counted_usage`` what their usage says. ``works`` is how many different hashes of work the
    stacks of the round got (None: nothing to compare with). ``whole``: nothing was cut, the window
    is the load from first send to last end. ``pinned``: prompt lengths are known beforehand.
    ``received`` are the tokens that came between the two readings of the engine's counters,
    None where nothing tells those of every event.
    """

    window: Window
    load: Sequence[Call]
    counted: float = 0.0
    counted_usage: int = 0
    works: int | None = None
    whole: bool = False
    pinned: bool = True
    received: float | None = None

    @property
    def seconds(self) -> float:
        """Return the length of the window, which is never 0."""
        return max(1, self.window.end_ns - self.window.start_ns) * 1e-9

    @property
    def closed(self) -> bool:
        """Say whether the load was a closed loop."""
        return self.window.concurrency is not None

    def inside(self, t_ns: int | None) -> bool:
        """Say whether a moment lies in the window, which is half open unless it is the load."""
        if t_ns is None or t_ns < self.window.start_ns:
            return False
        return t_ns < self.window.end_ns or (self.whole and t_ns == self.window.end_ns)

    @cached_property
    def finished(self) -> list[Call]:
        """Return the requests of full length that ended well in the window."""
        return [c for c in self.ended if c.phase == "load" and c.status == "ok"]

    @cached_property
    def ended(self) -> list[Call]:
        """Return every request that ended in the window, well or not, shortened ones as well."""
        return [
            c
            for c in self.load
            if (c.status == "ok" and self.inside(c.last_ns))
            or (c.status == "error" and self.inside(c.done_ns))
        ]

    @cached_property
    def failed(self) -> list[Call]:
        """Return the requests that failed in the window."""
        return [c for c in self.ended if c.status == "error"]

    @cached_property
    def last_send_ns(self) -> int:
        """Return when the last request was sent."""
        return max((c.sent_ns for c in self.load), default=self.window.start_ns)

    @cached_property
    def open_at_end(self) -> int:
        """Return how many requests were in flight when the window closed."""
        return self.open_at(self.window.end_ns)

    def open_at(self, t_ns: int) -> int:
        """Return how many requests were in flight at a moment."""
        return sum(c.sent_ns < t_ns and c.open_at(t_ns) for c in self.load)

    def in_flight(self, start_ns: int, end_ns: int, *, intended: bool = False) -> float:
        """Return the mean number of requests in flight between two moments.

        A request is in flight from its send (``intended``: from when it was meant to be sent)
        until the client was through with it.
        """
        busy = 0
        for c in self.load:
            since = max(c.intended_ns if intended else c.sent_ns, start_ns)
            until = end_ns if c.done_ns is None else min(c.done_ns, end_ns)
            busy += max(0, until - since)
        return busy / (end_ns - start_ns) if end_ns > start_ns else 0.0

    @cached_property
    def mean_in_flight(self) -> float:
        """Return the mean number of requests in flight in the window."""
        return self.in_flight(self.window.start_ns, self.window.end_ns)

    @cached_property
    def scatter(self) -> float:
        """Return the squared coefficient of variation of the gaps between intended sends.

        0 is a constant rate, 1 a Poisson process, more is burstier.
        """
        times = sorted(c.intended_ns for c in self.load)
        gaps = [later - earlier for earlier, later in pairwise(times)]
        mean = statistics.fmean(gaps) if gaps else 0.0
        return statistics.pvariance(gaps, mean) / mean**2 if mean else 0.0


def observe(
    window: Window,
    requests: Iterable[Request],
    chunks: Iterable[tuple[int, int, int, int]],
    *,
    works: int | None = None,
    whole: bool = False,
    pinned: bool = True,
) -> Evidence:
    """Gather the evidence of a load just measured; chunks are those of ``LoadResult``."""
    load = [
        Call(*(getattr(r, name) for name in Call.__struct_fields__))
        for r in requests
        if r.phase in UNDER_LOAD and r.load_point == window.load_point
    ]
    seen = Evidence(window=window, load=load, works=works, whole=whole, pinned=pinned)
    tokens: dict[int, int] = {}
    unknown = set()
    for index, held, flags, _ in chunks:
        tokens[index] = tokens.get(index, 0) + held
        if flags & CHUNK_COUNT_UNKNOWN:
            unknown.add(index)
    sure = [c for c in seen.finished if c.index in tokens and c.index not in unknown]
    return Evidence(
        window=window,
        load=load,
        counted=sum(tokens[c.index] for c in sure),
        counted_usage=sum(c.output_tokens or 0 for c in sure),
        works=works,
        whole=whole,
        pinned=pinned,
    )


def graded(off: float, good: float, fair: float) -> Verdict:
    """Return pass up to ``good``, warn up to ``fair``, fail beyond."""
    return "pass" if off <= good else "warn" if off <= fair else "fail"


def check(name: str, rule: str, value: str, verdict: Verdict, detail: str = "") -> Check:
    """Return a check."""
    return Check(name=name, rule=rule, value=value, verdict=verdict, detail=detail)
