"""Is the figure the server's, or the client's? Named checks of one load, each with its rule."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from inferometer.comparison import Check

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from inferometer.bench.figures import Seen
    from inferometer.bench.options import Options
    from inferometer.records import Request

Verdict = Literal["pass", "warn", "fail", "unknown"]


def checks(seen: Seen, options: Options, reuse: float = 0.0) -> list[Check]:
    """Return every check that applies to the load; ``reuse`` is what a cache may have held."""
    return list(_checks(seen, options, reuse))


def _checks(seen: Seen, options: Options, reuse: float) -> Iterator[Check]:
    result = seen.result
    yield _lag("loop lag", "how late a 10 ms ticker came, p99", result.loop_lag_p99_ms)
    yield _lag("send lag", "actual minus intended send, p99", result.send_lag_p99_ms)
    yield _cpu(seen)
    if options.concurrency is not None:
        yield _concurrency(seen, options.concurrency)
    elif not options.burst:
        yield _rate(seen)
    yield _errors(seen)
    yield _length(seen, "output")
    if options.tokenizer is not None and options.endpoint == "completions":
        yield _length(seen, "input")
    yield _tokens_per_chunk(seen)
    yield _cached(seen, reuse)


def _graded(off: float, good: float, fair: float) -> Verdict:
    return "pass" if off <= good else "warn" if off <= fair else "fail"


def _lag(name: str, what: str, lag_ms: float) -> Check:
    rule = f"{what}: <= 5 ms pass, <= 50 ms warn"
    return Check(name=name, rule=rule, value=f"{lag_ms:.2f} ms", verdict=_graded(lag_ms, 5, 50))


def _cpu(seen: Seen) -> Check:
    rule = "processor time in the window, of a core for each worker: <= 70 % pass, <= 90 % warn"
    length_s = seen.seconds * seen.result.workers
    share = seen.result.client_cpu_s / length_s if length_s else 0.0
    verdict = _graded(share, 0.7, 0.9)
    return Check(name="client cpu", rule=rule, value=f"{share:.0%}", verdict=verdict)


def _concurrency(seen: Seen, asked: int) -> Check:
    """Compare the time-averaged requests in flight with those asked for, until the last send."""
    name = "delivered concurrency"
    rule = "mean requests in flight / asked: within 2 % pass, within 5 % warn"
    start = seen.result.start_ns
    end = max((r.sent_ns for r in seen.load), default=start) if seen.whole else seen.result.end_ns
    if len(seen.load) <= asked or end <= start:
        return Check(name=name, rule=rule, value="too few requests", verdict="unknown")
    busy = sum(max(0, min(_until(r, end), end) - max(r.sent_ns, start)) for r in seen.load)
    mean = busy / (end - start)
    verdict = _graded(abs(mean / asked - 1), 0.02, 0.05)
    return Check(name=name, rule=rule, value=f"{mean:.2f} of {asked}", verdict=verdict)


def _until(request: Request, end_ns: int) -> int:
    return end_ns if request.status == "cut" or request.end_ns is None else request.end_ns


def _rate(seen: Seen) -> Check:
    """Compare rates: of a whole load by the spans of its sends, of a window by the counts in it."""
    name, rule = "achieved rate", "achieved / offered rate: >= 99 % pass, >= 95 % warn"
    intended = [r.intended_ns for r in seen.load]
    sent = [r.sent_ns for r in seen.load]
    if seen.whole:
        offered, achieved = _per_s(intended), _per_s(sent)
    else:
        bounds = (seen.result.start_ns, seen.result.end_ns)
        offered, achieved = _within(intended, bounds), _within(sent, bounds)
    if not offered:
        return Check(name=name, rule=rule, value="too few requests", verdict="unknown")
    value = f"{achieved:.2f} of {offered:.2f} requests/s"
    verdict = _graded(1 - achieved / offered, 0.01, 0.05)
    return Check(name=name, rule=rule, value=value, verdict=verdict)


def _per_s(times_ns: Sequence[int]) -> float:
    span = max(times_ns, default=0) - min(times_ns, default=0)
    return (len(times_ns) - 1) / (span * 1e-9) if span else 0.0


def _within(times_ns: Sequence[int], bounds: tuple[int, int]) -> float:
    start, end = bounds
    return sum(start <= t < end for t in times_ns) / ((end - start) * 1e-9)


def _errors(seen: Seen) -> Check:
    rule = "failed requests: < 0.1 % pass, < 1 % warn"
    failed, ended = len(seen.failed), len(seen.failed) + len(seen.finished)
    value = f"{failed} of {ended}"
    if not ended:
        return Check(name="errors", rule=rule, value="no request ended", verdict="fail")
    share = failed / ended
    verdict: Verdict = "pass" if share < 0.001 else "warn" if share < 0.01 else "fail"
    return Check(name="errors", rule=rule, value=value, verdict=verdict)


def _length(seen: Seen, side: Literal["input", "output"]) -> Check:
    rule = f"{side} tokens (usage) equal those asked for, in every finished request"
    name = f"{side} length"
    pairs = [
        (getattr(r, f"{side}_tokens"), getattr(r, f"{side}_tokens_expected")) for r in seen.finished
    ]
    told = [(got, asked) for got, asked in pairs if got is not None]
    exact = sum(got == asked for got, asked in told)
    verdict: Verdict = "pass" if exact == len(told) else "fail"
    if len(told) < len(pairs) or not pairs:
        verdict = "unknown" if exact == len(told) else "fail"
    return Check(name=name, rule=rule, value=f"{exact} of {len(pairs)} exact", verdict=verdict)


def _tokens_per_chunk(seen: Seen) -> Check:
    name, rule = "tokens per chunk", "one token an event (<= 1.05), so that gaps are per token"
    events = sum(len(seen.events[r.index]) for r in seen.finished)
    tokens = sum(r.output_tokens or 0 for r in seen.finished)
    if not (events and tokens):
        return Check(name=name, rule=rule, value="no counts", verdict="unknown")
    detail = "" if seen.counted else "from the final usage: no count an event, so no ITL"
    verdict: Verdict = "pass" if tokens / events <= 1.05 else "warn"
    return Check(
        name=name, rule=rule, value=f"{tokens / events:.3f}", verdict=verdict, detail=detail
    )


def _cached(seen: Seen, reuse: float) -> Check:
    """Compare cached prompt tokens with what the prompts themselves share."""
    name, rule = "cached tokens", "prompt tokens from a cache: 0 pass, < 1 % warn"
    if reuse:
        rule = f"prompt tokens from a cache: at most the {reuse:.1%} shared pass, 1 % more warn"
    told = [r for r in seen.finished if r.cached_tokens is not None]
    if not told or len(told) < len(seen.finished):
        return Check(name=name, rule=rule, value="the server does not say", verdict="unknown")
    prompt = sum(r.input_tokens or r.input_tokens_expected for r in told)
    share = sum(r.cached_tokens or 0 for r in told) / max(prompt, 1)
    verdict: Verdict = "pass" if share <= reuse else "warn" if share - reuse < 0.01 else "fail"
    return Check(name=name, rule=rule, value=f"{share:.2%}", verdict=verdict)
