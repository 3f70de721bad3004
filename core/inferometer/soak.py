"""Load before anything is measured: the engine compiles, the hardware takes its temperature."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from msgspec import UNSET

from inferometer import pace
from inferometer.loadgen.driver import Hooks, LoadPlan, soaked
from inferometer.loadgen.soak import Patience
from inferometer.point import work_bodies, wrapped
from inferometer.records import Soak
from inferometer.work import work

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from inferometer.plan import LoadPoint
    from inferometer.point import Live
    from inferometer.study import Protocol

LEAST_S = 20.0
MOST_S = 120.0
ROUND = 2_000_000
"""Added to the round where prompts are drawn: they are those of no round and of no search."""


def soak_s(protocol: Protocol, accelerator: str) -> float:
    """Return how long a soak takes at least, s; 0: there is none."""
    if protocol.soak_s is not UNSET:
        return protocol.soak_s
    return 0.0 if accelerator == "cpu" else LEAST_S


def hottest(points: Sequence[LoadPoint]) -> LoadPoint | None:
    """Return the closed load of most streams; None where all loads are open."""
    closed = [point for point in points if point.load.closed]
    return max(closed, key=lambda point: point.load.concurrency or 0, default=None)


def soak(
    live: Live, protocol: Protocol, accelerator: str, say: Callable[[str], None]
) -> Soak | None:
    """Load a live engine until its rate holds still; None where there is nothing to be done.

    Raises:
        LaunchError: the server is gone, or answers nothing but errors.
    """
    least_s, point = soak_s(protocol, accelerator), hottest(live.launch.points)
    if not least_s or point is None:
        return None
    say(f"soak: {point.workload.name}, {point.label}")
    some = msgspec.structs.replace(protocol, window_s=pace.SHORTEST_S)
    planned = work(live.tokenizer, point, ROUND + live.launch.round, some)
    bodies = work_bodies(live, planned)
    seen = soaked(
        live.target,
        lambda index: bodies[wrapped(index, len(bodies), planned.again)],
        LoadPlan(
            concurrency=planned.streams,
            warmup_requests=planned.warmup,
            spread=pace.SPREAD,
            think_s=point.workload.think_s or 0.0,
            request_timeout_s=protocol.request_timeout_s,
            stall_s=protocol.stall_s,
        ),
        Patience(least_s, max(least_s, MOST_S)),
        Hooks(should_stop=live.server.dead),
    )
    return Soak(
        workload=point.workload.name,
        load=point.label,
        seconds=seen.seconds,
        chunks_s=seen.rates,
        settled=seen.settled,
    )
