"""How long a launch may take: added up from what the study lets each part of it take.

The sum is generous, for its only purpose is that nothing hangs a study for ever: what a part takes
is bounded by its own limits, and this one bounds what those have forgotten.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from msgspec import UNSET

from inferometer import pace
from inferometer.metering import IDLE_S, SETTLE
from inferometer.soak import MOST_S as SOAK_S
from inferometer.work import STREAMS

if TYPE_CHECKING:
    from inferometer.plan import Launch, LoadPoint, Plan
    from inferometer.study import Protocol

OVERHEAD_S = 120.0
"""Of each part: decoding and storing, cooling down, slow meters."""
SEARCHES = 3
"""A search for capacity may take so many times the minutes it offers load for."""
PROBE_WAVES = 20
"""Requests one after the other in the greedy probe and the scores, at most."""


def launch_s(plan: Plan, launch: Launch, ready_s: float) -> float:
    """Return the most seconds a launch may take from the start of its engine.

    ``ready_s`` is the limit on the engine's start.
    """
    protocol = plan.protocol
    if protocol.launch_timeout_s is not UNSET:
        return protocol.launch_timeout_s
    idle_s = IDLE_S if protocol.idle_s is UNSET else protocol.idle_s
    total_s = ready_s + idle_s * (1 + SETTLE) + 2 * OVERHEAD_S
    if (soak_s := SOAK_S if protocol.soak_s is UNSET else protocol.soak_s) > 0:
        total_s += max(SOAK_S, soak_s) + 3 * protocol.request_timeout_s
    if launch.round == 0 and protocol.probe:
        total_s += PROBE_WAVES * protocol.request_timeout_s
    total_s += sum(point_s(point, protocol) for point in launch.left)
    if plan.capacity is not None and plan.capacity.wanted(launch):
        each_s = SEARCHES * (plan.capacity.asked.minutes * 60 + protocol.request_timeout_s)
        total_s += len(plan.capacity.workloads) * (each_s + OVERHEAD_S)
    return total_s


def point_s(point: LoadPoint, protocol: Protocol) -> float:
    """Return the most seconds a load point may take.

    Each request of the warm-up may take ``request_timeout_s``, one alone and the rest on all
    streams; so may the stretch before the window, which follows from them.
    """
    streams = point.load.concurrency or STREAMS
    warmup = protocol.warmup_requests
    if warmup is None:
        warmup = max(streams + 1, point.workload.prefix_groups)
    waves = 1 + math.ceil(warmup / streams)
    window_s = protocol.window_s or pace.LONGEST_S
    before_s = waves * protocol.request_timeout_s + (point.workload.think_s or 0.0)
    discard_s = protocol.discard_s
    if discard_s is None:
        discard_s = max(protocol.request_timeout_s, pace.LEAST_DISCARD_S)
    return before_s + discard_s + window_s + OVERHEAD_S
