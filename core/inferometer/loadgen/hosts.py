"""What each of several hosts did for a load, put together from what its workers leave behind."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inferometer.load_records import LoadHost
from inferometer.loadgen.answer import percentile

if TYPE_CHECKING:
    from collections.abc import Sequence

    from inferometer.loadgen.clocks import Clock
    from inferometer.loadgen.closed import Part
    from inferometer.loadgen.conduct import Bounds

MS = 1e-6


def load_hosts(parts: Sequence[Part], bounds: Bounds) -> list[LoadHost]:
    """Return the hosts of ``parts`` in the order they were named; none when all came from here."""
    by_host: dict[str, list[Part]] = {}
    for part in parts:
        if part.clock is not None:
            by_host.setdefault(part.host, []).append(part)
    return [_host(address, mine, bounds) for address, mine in by_host.items()]


def _host(address: str, parts: Sequence[Part], bounds: Bounds) -> LoadHost:
    start, end = bounds
    clocks = [part.clock for part in parts if part.clock is not None]
    best = min(clocks, key=lambda clock: clock.bound_ns)
    load = [row for part in parts for row, _ in part.rows if row.phase == "load"]
    late = [(r.sent_ns - r.intended_ns) * MS for r in load if start <= r.sent_ns <= end]
    lags = [lag for part in parts for t_ns, lag in part.lags if start <= t_ns <= end]
    return LoadHost(
        address=address,
        workers=len(parts),
        requests=len(load),
        offset_ms=best.offset_ns(start) * MS,
        bound_ms=max(clock.bound_ns for clock in clocks) * MS,
        drift_ppm=best.drift * 1e6,
        edge_ms=max((_edge_ns(clock, end) for clock in clocks), key=abs) * MS,
        round_trip_ms=2 * min(clock.before.slack_ns for clock in clocks) * MS,
        client_cpu_s=sum(part.cpu_s for part in parts),
        loop_lag_p99_ms=percentile(lags, 0.99),
        send_lag_p99_ms=percentile(late, 0.99),
    )


def _edge_ns(clock: Clock, end_ns: int) -> int:
    """Return when a worker cut, by our clock, after ``end_ns``: it was told with the old offset."""
    return clock.ours(end_ns + clock.before.offset_ns) - end_ns
