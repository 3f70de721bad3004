"""Checks of the client: was the load there, all of it, on time, and stamped by one clock."""

from __future__ import annotations

import statistics
from itertools import pairwise
from typing import TYPE_CHECKING

from inferometer.checks.evidence import Evidence, check, graded
from inferometer.checks.hosts import host_clocks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from inferometer.checks.evidence import Call, Verdict
    from inferometer.comparison import Check

MS = 1_000_000
PARTS = 5
"""Equal parts of a window in which a growing queue is looked for."""
SKEW_MS = 20.0
"""A stream sends within a loop's turn of its last answer; pauses beyond are another clock's."""


def window_length(seen: Evidence) -> Check | None:
    """Compare the window with the requests in it; a whole load has the length it has."""
    name, rule = "window length", "window >= 10 mean request times pass, >= 1 warn"
    if seen.whole:
        return None
    times = [
        (c.last_ns or c.sent_ns) - c.sent_ns
        for c in seen.load
        if c.status == "ok" and c.phase == "load"
    ]
    if not times:
        return check(name, rule, "no request finished", "fail", "the window is too short")
    length = seen.seconds * 1e9 / max(statistics.fmean(times), 1.0)
    verdict: Verdict = "pass" if length >= 10 else "warn" if length >= 1 else "fail"
    return check(name, rule, f"{length:.1f} request times", verdict)


def under_load(seen: Evidence) -> Check | None:
    """Say whether load was still on when the window closed, or had begun to drain.

    An open loop may have nothing in flight by chance; it counts as on while the last send is less
    than 12 mean gaps old (more for bursty arrivals), which a Poisson process exceeds once in
    160,000 windows.
    """
    name, rule = "closed under load", "load still on when the window closes"
    if seen.whole:
        return None
    if seen.open_at_end:
        return check(name, rule, f"{seen.open_at_end} in flight at the end", "pass")
    end_ns = seen.window.end_ns
    pausing = sum(since <= end_ns < until for since, until in _pauses(seen))
    if pausing:
        return check(name, rule, f"{pausing} streams between two turns at the end", "pass")
    detail = "the load ended before the window did"
    sends = sum(seen.inside(c.sent_ns) for c in seen.load)
    if seen.closed or not sends:
        return check(name, rule, "nothing in flight at the end", "fail", detail)
    ago = (seen.window.end_ns - seen.last_send_ns) * 1e-9
    value = f"nothing in flight, last send {ago:.2f} s before the end"
    on = ago <= 12 * max(1.0, seen.scatter) * seen.seconds / sends
    return check(name, rule, value, "pass" if on else "fail", "" if on else detail)


def concurrency(seen: Evidence) -> Check | None:
    """Compare the mean requests in flight of a closed loop with the streams asked for.

    A whole load is looked at until its last send: it drains afterwards by design. A stream that
    pauses between two turns, as it was asked to, counts as busy.
    """
    asked = seen.window.concurrency
    if asked is None:
        return None
    name = "delivered concurrency"
    rule = "mean requests in flight / asked: within 2 % pass, 5 % warn"
    start, end = seen.window.start_ns, seen.window.end_ns
    if seen.whole:
        end = seen.last_send_ns
        if len(seen.load) <= asked or end <= start:
            return check(name, rule, "too few requests", "unknown")
    mean = seen.in_flight(start, end) + _thinking(seen, start, end)
    return check(name, rule, f"{mean:.2f} of {asked}", graded(abs(mean / asked - 1), 0.02, 0.05))


def _thinking(seen: Evidence, start_ns: int, end_ns: int) -> float:
    """Return the mean number of streams that pause before a turn, no longer than they should."""
    paused = sum(
        max(0, min(until, end_ns) - max(since, start_ns)) for since, until in _pauses(seen)
    )
    return paused / max(1, end_ns - start_ns)


def _pauses(seen: Evidence) -> Iterator[tuple[int, int]]:
    """Yield when each pause before a turn began and was over, or would have been."""
    think_ns = round(seen.window.think_s * 1e9)
    if not think_ns:
        return
    for before, after in _chains(seen):
        done = before.done_ns or 0
        yield done, min(after.sent_ns, done + think_ns)
    # with a conversation's last answer the next one begins, so who sends no more pauses
    for last in (calls[-1] for calls in _streams(seen)):
        if last.status == "ok" and last.done_ns is not None:
            yield last.done_ns, last.done_ns + think_ns


def achieved_rate(seen: Evidence) -> Check | None:
    """Compare sends with the schedule, and the schedule with the rate it was to have.

    Of a whole load by the spans of its sends, of a window by the counts in it, where one send may
    slip over the edge. A random schedule holds rate x length requests within four standard
    deviations (of its own gaps), or it was not the one asked for.
    """
    if seen.closed or seen.window.arrivals == "burst":
        return None
    name, rule = "achieved rate", "achieved / offered rate: >= 99 % pass, >= 95 % warn"
    intended, sent = [c.intended_ns for c in seen.load], [c.sent_ns for c in seen.load]
    if seen.whole:
        offered, achieved, slip = _per_s(intended), _per_s(sent), 0.0
    else:
        offered = sum(map(seen.inside, intended)) / seen.seconds
        achieved = sum(map(seen.inside, sent)) / seen.seconds
        slip = 1 / seen.seconds
    if not offered:
        return check(name, rule, "too few requests", "unknown")
    value = f"{achieved:.2f} of {offered:.2f} requests/s"
    rate = seen.window.rate
    if rate is not None and not seen.whole:
        due = rate * seen.seconds
        if abs(offered * seen.seconds - due) > 2 + 4 * (due * seen.scatter) ** 0.5:
            return check(name, rule, value, "fail", f"the schedule should hold {rate:g} requests/s")
    return check(name, rule, value, graded(1 - (achieved + slip) / offered, 0.01, 0.05))


def _per_s(times_ns: Sequence[int]) -> float:
    span = max(times_ns, default=0) - min(times_ns, default=0)
    return (len(times_ns) - 1) / (span * 1e-9) if span else 0.0


def lost_requests(seen: Evidence) -> Check:
    """Look for requests that were taken and left no record: gaps in their numbering.

    Three gaps are as they should be, at the end of a window. A request taken in its last moment
    may never have been sent. A conversation that was cut has turns left, behind its stream's last
    request. And with several workers, each with every n-th stream, the fastest is ahead of the
    others, so that only numbers that all have passed tell.
    """
    name = "lost requests"
    rule = "requests without a record (gaps in their numbers): < 0.1 % pass, < 1 % warn"
    late_ns = seen.last_send_ns - MS * 250
    calls = sorted(seen.load, key=lambda c: c.index)
    ends = {c.stream: c.index for c in calls} if seen.closed else {}
    workers = max(1, seen.window.workers) if seen.closed else 1
    passed: dict[int, int] = {}
    for c in calls:
        passed[c.stream % workers] = c.index
    common = min(passed.values(), default=0)
    lost = sum(
        after.index - before.index - 1
        for before, after in pairwise(calls)
        if after.sent_ns < late_ns
        and after.index <= common
        and ends.get(before.stream) != before.index
    )
    share = lost / max(1, lost + len(calls))
    verdict: Verdict = "pass" if share < 0.001 else "warn" if share < 0.01 else "fail"
    return check(name, rule, f"{lost} of {lost + len(calls)}", verdict)


def growing_queue(seen: Evidence) -> Check | None:
    """Look for an open loop that the server does not keep up with.

    The mean requests in flight (from the intended send, so that requests held back count) of five
    equal parts of the window. Chance alone moves the difference of two parts by about
    sqrt(2 x mean x scatter of the arrivals): in flight is Poisson distributed where service does
    not depend on load. A queue fails when it rises in every part, by four times that and by a
    quarter of its mean; a smaller rise may be a server near its limit, and is a warning. So is
    any rise of a whole load, until its last send: it begins with an empty server.
    """
    if seen.closed or seen.window.arrivals == "burst":
        return None
    name = "growing queue"
    rule = "in flight, last fifth - first: rises by chance pass; fails at 4 sd, 25 %, and steadily"
    if len(seen.load) < 4 * PARTS:
        return check(name, rule, "too few requests", "unknown")
    start = seen.window.start_ns
    length = (seen.last_send_ns if seen.whole else seen.window.end_ns) - start
    edges = [start + length * part // PARTS for part in range(PARTS + 1)]
    levels = [seen.in_flight(a, b, intended=True) for a, b in pairwise(edges)]
    mean, rise = statistics.fmean(levels), levels[-1] - levels[0]
    chance = (2 * mean * max(1.0, seen.scatter)) ** 0.5
    value = f"{levels[0]:.1f} to {levels[-1]:.1f} in flight"
    steady = all(later > earlier for earlier, later in pairwise(levels))
    if steady and rise > max(4 * chance, 0.25 * mean):
        words = "the server falls behind: a longer load would show higher latency"
        return check(name, rule, value, "warn" if seen.whole else "fail", words)
    warn = rise > max(3 * chance, 0.25 * mean)
    return check(name, rule, value, "warn" if warn else "pass")


def little(seen: Evidence) -> Check:
    """Compare both sides of Little's law.

    A window cuts the requests at its edges: with streams in step, the count of completions is off
    by up to what is in flight. So up to 5 % + in flight / completions is a warning, no failure.
    """
    name, rule = "little's law", "in flight = completions/s x mean latency, within 5 %"
    n, mean = len(seen.ended) - len(seen.failed), seen.mean_in_flight
    if n < 30 or not mean:
        return check(name, rule, f"{n} completions, 30 are needed", "unknown")
    busy_ns = sum((c.done_ns or 0) - c.sent_ns for c in seen.ended)
    off = busy_ns * 1e-9 / seen.seconds / mean - 1
    return check(name, rule, f"{off:+.1%}", graded(abs(off), 0.05, 0.05 + mean / n))


def one_clock(seen: Evidence) -> Check:
    """Look for stamps that another clock made.

    All stamps should come from one monotonic clock. One that is off, as of another machine, of
    another time namespace or out of the answers themselves, shows in three ways: an order that
    cannot be (an answer before its request, a stream's next send before the last answer's end);
    in a closed loop streams that pause between answer and send, though the client was quick; and a
    wall clock that disagrees with the monotonic one about the window's length, which a step of
    either makes. An offset that is smaller than every latency stays hidden in an open loop whose
    connections rest for longer than it between two requests.
    """
    name = "one clock"
    rule = "sends, answers and next sends in order; pauses <= 20 ms; clock step <= 5 ms, 50 ms warn"
    chains = list(_chains(seen))
    wrong = sum(map(_disordered, seen.load))
    wrong += sum(after.sent_ns < (before.done_ns or 0) - MS for before, after in chains)
    if wrong:
        value = f"{wrong} of {len(seen.load)} requests out of order"
        return check(name, rule, value, "fail", "an answer before its request, or a send too early")
    pauses = [after.sent_ns - (before.done_ns or 0) for before, after in chains]
    pause_ms = statistics.median(pauses) / MS if pauses and seen.closed else 0.0
    pause_ms -= seen.window.think_s * 1e3
    lag_ms = seen.window.loop_lag_p99_ms
    if pause_ms > SKEW_MS and (lag_ms is None or lag_ms <= SKEW_MS):
        value = f"streams pause {pause_ms:.0f} ms before a send"
        if lag_ms is None:
            words = "whether the client was slow is not known: its ticker never came"
            return check(name, rule, value, "unknown", words)
        return check(name, rule, value, "fail", "answers seem to have ended earlier than they did")
    step = seen.window.clock_step_ms
    if step is None:
        return check(name, rule, "in order", "pass", "clock steps were not looked for")
    return check(name, rule, f"in order, step {step:+.2f} ms", graded(abs(step), 5, 50))


def _disordered(c: Call) -> bool:
    """Say whether a request's stamps cannot be."""
    before = c.intended_ns or 0
    for t_ns in (c.sent_ns, c.first_ns, c.last_ns, c.end_ns):
        if t_ns:
            if t_ns < before - MS:
                return True
            before = t_ns
    return False


def _chains(seen: Evidence) -> Iterator[tuple[Call, Call]]:
    """Yield each finished request with the next one of its stream, or of its connection."""
    for calls in _streams(seen):
        yield from (pair for pair in pairwise(calls) if pair[0].status == "ok")


def _streams(seen: Evidence) -> list[list[Call]]:
    """Return the requests of each stream in the order they were sent."""
    streams: dict[int, list[Call]] = {}
    for c in sorted(seen.load, key=lambda c: c.sent_ns):
        streams.setdefault(c.stream, []).append(c)
    return list(streams.values())


def loop_lag(seen: Evidence) -> Check:
    """Judge how late the client's own ticker came."""
    rule = "how late a 10 ms ticker came, p99: <= 5 ms pass, <= 50 ms warn"
    return _lag("loop lag", rule, seen.window.loop_lag_p99_ms, "the ticker never came")


def send_lag(seen: Evidence) -> Check:
    """Judge how late requests were sent."""
    rule = "actual minus intended send, p99: <= 5 ms pass, <= 50 ms warn"
    return _lag("send lag", rule, seen.window.send_lag_p99_ms, "nothing was sent in the window")


def _lag(name: str, rule: str, lag_ms: float | None, unseen: str) -> Check:
    if lag_ms is None:
        return check(name, rule, unseen, "unknown")
    return check(name, rule, f"{lag_ms:.2f} ms", graded(lag_ms, 5, 50))


def client_cpu(seen: Evidence) -> Check:
    """Judge the processor time of the client, of each of its processes on average."""
    rule = "client's processor time: <= 70 % of a core a process pass, <= 90 % warn"
    workers = max(1, seen.window.workers)
    share = seen.window.client_cpu_s / workers / seen.seconds
    words = f"each of {workers} processes" if workers > 1 else ""
    for host in seen.window.load_hosts:
        mine = host.client_cpu_s / max(1, host.workers) / seen.seconds
        if mine >= share:
            share, words = mine, f"each of {host.workers} processes on {host.address}"
    return check("client cpu", rule, f"{share:.0%}", graded(share, 0.7, 0.9), words)


def quiet_machine(seen: Evidence) -> Check | None:
    """Judge what else the machine did: it took processors, caches and watts from the engine."""
    share = seen.window.others_cpu_share
    if share is None:
        return None
    rule = "processors busy with neither engine nor client: <= 5 % pass, <= 25 % warn"
    verdict = graded(share, 0.05, 0.25)
    words = "" if verdict == "pass" else "something else runs on this machine: stop it, and repeat"
    return check("quiet machine", rule, f"{share:.0%} of the machine", verdict, words)


CHECKS: tuple[Callable[[Evidence], Check | None], ...] = (
    window_length,
    under_load,
    concurrency,
    achieved_rate,
    growing_queue,
    lost_requests,
    little,
    one_clock,
    loop_lag,
    send_lag,
    client_cpu,
    host_clocks,
    quiet_machine,
)
