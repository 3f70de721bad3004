"""Checks of a load that came from several hosts: are their clocks known well enough.

A latency is the difference of two stamps of one host, so no offset is in it. What hangs on the
offsets is the load itself: the hosts keep one absolute schedule as well as their clocks are known,
and arrivals that come early or late by more than a small part of the time to first token meet
another queue than those that were asked for. Counts in the window hang on them at its edges.
"""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING

from inferometer.checks.evidence import check

if TYPE_CHECKING:
    from collections.abc import Sequence

    from inferometer.checks.evidence import Evidence
    from inferometer.comparison import Check
    from inferometer.load_records import LoadHost

LEAST_MS = 1.0
"""An offset so well known is good enough: so much a client's own stamps may be off in the mean."""
TTFT_SHARE = 0.05
EDGE_SHARE = 0.005
"""Of the window: what may be counted on the wrong side of its two edges, at most."""


def schedule_off(hosts: Sequence[LoadHost], ttfts_ns: Sequence[int]) -> float:
    """Return the worst bound of a host's clock / what it may be: 1 ms or 5 % of median TTFT.

    The larger of the two holds. Above 1 latencies are those of another load than was asked for. 0
    without hosts.
    """
    if not hosts:
        return 0.0
    ttft_ms = statistics.median(ttfts_ns) * 1e-6 if ttfts_ns else 0.0
    return max(host.bound_ms for host in hosts) / max(LEAST_MS, TTFT_SHARE * ttft_ms)


def edges_off(hosts: Sequence[LoadHost], seconds: float) -> float:
    """Return how much of a window its two edges may hold in error / the 0.5 % that may be."""
    if not hosts:
        return 0.0
    off_ms = max(2 * host.bound_ms + abs(host.edge_ms) for host in hosts)
    return off_ms * 1e-3 / max(seconds, 1e-9) / EDGE_SHARE


def host_clocks(seen: Evidence) -> Check | None:
    """Judge how well the clocks of load hosts are known; None for a load that came from here."""
    hosts = seen.window.load_hosts
    if not hosts:
        return None
    ttfts = [c.first_ns - c.sent_ns for c in seen.finished if c.first_ns is not None]
    schedule, edges = schedule_off(hosts, ttfts), edges_off(hosts, seen.seconds)
    worst = max(hosts, key=lambda host: host.bound_ms)
    rule = "offset of each load host known within 1 ms or 5 % of median TTFT; edges within 0.5 %"
    words = ""
    if schedule > 1:
        words = "the hosts did not keep one schedule: latencies are those of another load"
    elif edges > 1:
        words = "which tokens fell into the window is not certain: make it longer"
    value = f"within {worst.bound_ms:.3f} ms ({worst.address})"
    return check("host clocks", rule, value, "fail" if words else "pass", words)
