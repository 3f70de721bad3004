"""The figures of a load, under the names of ``vllm bench serve`` where the quantity is the same.

Formulas (all times from the *actual* send unless the name says ``intended``):

- TTFT = first content event - send; E2EL = last content event - send;
  TPOT = (E2EL - TTFT) / (output tokens - 1), for answers of two tokens and more.
- ITL = a gap between content events / tokens in the later event, once a token; only where every
  event's token count is known. ICL = the gap itself.
- throughput = requests or tokens of the window / its length.
- mean and std (population) are over finished requests. Median and percentiles interpolate linearly
  between order statistics, and failed requests stay among them as unfinished (infinite): a
  percentile that falls there is null. With no failure they are vLLM's.
"""

from __future__ import annotations

import math
from itertools import chain, pairwise, repeat
from typing import TYPE_CHECKING, NamedTuple

from inferometer.checks.hosts import edges_off, schedule_off
from inferometer.records import CHUNK_COUNT_UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from inferometer.loadgen.driver import LoadResult
    from inferometer.records import Request

LEAST = {"p90": 30, "p99": 300}
"""Samples below which a percentile is not told."""
SERIES = ("ttft", "tpot", "itl", "e2el", "icl", "ttft_intended", "e2el_intended")
THROUGHPUTS = ("request_throughput", "output_throughput", "total_token_throughput")
SHARES = {"median": 0.5, "p90": 0.9, "p99": 0.99}

Chunk = tuple[int, int, int, int]


class Seen(NamedTuple):
    """What figures look at. ``finished`` and ``failed`` ended in the window."""

    result: LoadResult
    load: list[Request]
    finished: list[Request]
    failed: list[Request]
    events: dict[int, list[Chunk]]
    """Content events of each request of the load, by its index."""
    counted: bool
    """Every event of a finished request has its token count."""
    whole: bool
    """The load was a number of requests: nothing was cut."""

    @property
    def seconds(self) -> float:
        """Return the length of the window."""
        return (self.result.end_ns - self.result.start_ns) * 1e-9


def look(result: LoadResult, *, whole: bool) -> Seen:
    """Sort what a load left behind."""
    load = [r for r in result.requests if r.phase == "load"]
    inside = [r for r in load if result.start_ns <= _done(r) <= result.end_ns]
    finished = [r for r in inside if r.status == "ok"]
    events = {r.index: list[Chunk]() for r in load}
    for chunk in result.chunks:
        if chunk[0] in events:
            events[chunk[0]].append(chunk)
    counted = bool(finished) and not any(
        flags & CHUNK_COUNT_UNKNOWN for r in finished for _, _, flags, _ in events[r.index]
    )
    return Seen(
        result=result,
        load=load,
        finished=finished,
        failed=[r for r in inside if r.status == "error"],
        events=events,
        counted=counted,
        whole=whole,
    )


def figures(seen: Seen) -> tuple[dict[str, float | int | None], dict[str, str]]:
    """Return the figures by key, and for each that is None the reason by key."""
    values: dict[str, float | int | None] = dict(_totals(seen))
    reasons = {key: "failed" for key, value in values.items() if value is None}
    series = {
        "ttft": ([_ms(r.first_ns, r.sent_ns) for r in seen.finished], len(seen.failed)),
        "tpot": (list(_tpots(seen.finished)), len(seen.failed)),
        "itl": (list(_gaps(seen, per_token=True)) if seen.counted else [], 0),
        "e2el": ([_ms(r.last_ns, r.sent_ns) for r in seen.finished], len(seen.failed)),
        "icl": (list(_gaps(seen, per_token=False)), 0),
        "ttft_intended": (
            [_ms(r.first_ns, r.intended_ns) for r in seen.finished],
            len(seen.failed),
        ),
        "e2el_intended": ([_ms(r.last_ns, r.intended_ns) for r in seen.finished], len(seen.failed)),
    }
    for name, (numbers, unfinished) in series.items():
        for word, value, reason in _summary(numbers, unfinished):
            key = f"{word}_{name}_ms"
            values[key] = value
            if value is None:
                reasons[key] = reason
            if name == "itl" and not seen.counted:
                reasons[key] = "tokens_per_event_unknown"
    return values, reasons


def unsure(seen: Seen) -> list[str]:
    """Return the keys that hang on the clocks of load hosts, where these are not known so well."""
    hosts = seen.result.load_hosts
    found: list[str] = []
    if schedule_off(hosts, [r.first_ns - r.sent_ns for r in seen.finished if r.first_ns]) > 1:
        found += [f"{word}_{name}_ms" for name in SERIES for word in ("mean", "std", *SHARES)]
    if edges_off(hosts, seen.seconds) > 1:
        found += THROUGHPUTS
    return found


def quantile(ordered: Sequence[float], share: float) -> float:
    """Return the quantile of sorted values, linear between neighbours (numpy's default)."""
    place = share * (len(ordered) - 1)
    low = math.floor(place)
    below, above = ordered[low], ordered[math.ceil(place)]
    return below if below == above else below + (above - below) * (place - low)


def _summary(numbers: list[float], unfinished: int) -> Iterator[tuple[str, float | None, str]]:
    """Yield (word, value, reason if None) of one quantity."""
    n = len(numbers)
    mean = math.fsum(numbers) / n if n else None
    yield "mean", mean, "too_few_samples"
    squares = math.fsum((x - mean) ** 2 for x in numbers) / n if mean is not None else None
    yield "std", None if squares is None else math.sqrt(squares), "too_few_samples"
    ordered = [*sorted(numbers), *[math.inf] * unfinished]
    for word, share in SHARES.items():
        if len(ordered) < LEAST.get(word, 1):
            yield word, None, "too_few_samples"
            continue
        value = quantile(ordered, share)
        yield word, value if math.isfinite(value) else None, "failed"


def _totals(seen: Seen) -> Iterator[tuple[str, float | int | None]]:
    seconds, completed = seen.seconds, len(seen.finished)
    given, made = _input_tokens(seen), _output_tokens(seen)
    yield "completed", completed
    yield "failed", len(seen.failed)
    yield "duration", seconds
    yield "total_input_tokens", given
    yield "total_output_tokens", made
    yield "request_throughput", completed / seconds if seconds else None
    yield "output_throughput", made / seconds if seconds and made is not None else None
    both = given + made if made is not None else None
    yield "total_token_throughput", both / seconds if seconds and both is not None else None


def _input_tokens(seen: Seen) -> int:
    """Sum the prompts of finished requests; in a window, of those whose first token fell in it."""
    start, end = seen.result.start_ns, seen.result.end_ns
    counted = (
        seen.finished
        if seen.whole
        else [r for r in seen.load if r.first_ns and start <= r.first_ns < end]
    )
    return sum(
        r.input_tokens_expected if r.input_tokens is None else r.input_tokens for r in counted
    )


def _output_tokens(seen: Seen) -> int | None:
    """Sum the tokens of finished requests; in a window, of the events that fell in it.

    Where events have no counts, each of them stands for the mean of the finished requests'.
    """
    if any(r.output_tokens is None for r in seen.finished):
        return None
    finished = sum(r.output_tokens or 0 for r in seen.finished)
    if seen.whole:
        return finished
    start, end = seen.result.start_ns, seen.result.end_ns
    inside = [c for c in chain(*seen.events.values()) if start <= c[3] < end]
    if seen.counted:
        return sum(tokens for _, tokens, _, _ in inside)
    events = sum(r.chunks for r in seen.finished)
    return round(len(inside) * finished / events) if events else None


def _tpots(finished: Iterable[Request]) -> Iterator[float]:
    for r in finished:
        if r.output_tokens is not None and r.output_tokens > 1:
            yield _ms(r.last_ns, r.first_ns) / (r.output_tokens - 1)


def _gaps(seen: Seen, *, per_token: bool) -> Iterator[float]:
    """Yield the gaps between the events of each finished request in ms.

    An event without a token of its own (text held back until now) ends no token's gap.
    """
    for r in seen.finished:
        events = seen.events[r.index]
        if not per_token:
            yield from ((after[3] - before[3]) * 1e-6 for before, after in pairwise(events))
            continue
        for before, after in pairwise([event for event in events if event[1]]):
            yield from repeat((after[3] - before[3]) * 1e-6 / after[1], after[1])


def _done(request: Request) -> int:
    if request.status == "ok":
        return request.last_ns or 0
    return request.end_ns or request.last_ns or request.sent_ns  # as the checks and a study do


def _ms(later: int | None, earlier: int | None) -> float:
    return ((later or 0) - (earlier or 0)) * 1e-6
