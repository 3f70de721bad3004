"""One replica looked at closely: its requests again, iteration by iteration."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from inferometer_plugins.simulator.clock import simulate
from inferometer_plugins.simulator.loads import Given
from inferometer_plugins.simulator.model import silent, without_launch

if TYPE_CHECKING:
    from inferometer_plugins.fleet.day import Day
    from inferometer_plugins.simulator.trace import Trace

LEAD_S = 600.0


class Close(Struct, frozen=True, kw_only=True):
    """The same requests twice: as the fleet had them, and iteration by iteration. Seconds."""

    requests: int
    """Sent within the hours that were asked for, and finished both times."""
    ttft_p99_s: float
    ttft_p99_close_s: float
    tpot_p99_s: float
    tpot_p99_close_s: float
    energy_j: float
    """Of the close look, from ``start_s`` to ``stop_s``."""


def closely(
    day: Day, replica: int, start_s: float, stop_s: float, *, seed: int = 0, noise: bool = True
) -> Close:
    """Replay what ``replica`` was sent, with the noise of its steps or without.

    It begins empty, 600 s before ``start_s``. Requests that had been sent before to another
    replica, which then failed, are left out.

    Raises:
        ValueError: the replica was not in service all the time from then to the end of the day,
            or had no queue of its own.

    """
    lead_s = max(start_s - LEAD_S, 0.0)
    if day.fleet.router == "shared-queue":
        raise ValueError("closely: with a shared queue no replica has a queue of its own")
    if not day.serves_s[replica] <= lead_s:
        raise ValueError(
            f"closely: replica {replica} was not in service from {lead_s:.0f} s to the end of the "
            f"day (since {day.serves_s[replica]:.0f} s): choose a later time or another replica"
        )
    chosen = (day.replica == replica) & (day.tries == 0) & (day.at_s >= lead_s)
    rows = np.flatnonzero(chosen & (day.at_s < stop_s))
    trace = _again(day, rows, replica, lead_s, seed=seed, noise=noise)
    inside = day.at_s[rows] >= start_s
    inside &= ~np.isnan(trace.last_s) & (day.outcome[rows] == 1)
    rows, several = rows[inside], day.output[rows[inside]] > 1
    ttft, whole = (trace.first_s - trace.sent_s)[inside], (trace.last_s - trace.first_s)[inside]
    later = np.maximum(day.output[rows] - 1, 1)
    tpot = (day.e2e_s[rows] - day.ttft_s[rows]) / later
    return Close(
        requests=len(rows),
        ttft_p99_s=_p99(day.ttft_s[rows]),
        ttft_p99_close_s=_p99(ttft),
        tpot_p99_s=_p99(tpot[several]),
        tpot_p99_close_s=_p99((whole / later)[several]),
        energy_j=trace.energy_j(start_s - lead_s, stop_s - lead_s),
    )


def _again(
    day: Day, rows: np.ndarray, replica: int, lead_s: float, *, seed: int, noise: bool
) -> Trace:
    params = replace(day.fleet.params, slowdown=float(day.factor[replica]))
    params = without_launch(params) if noise else silent(params)
    asked = (day.prompt[rows].tolist(), day.output[rows].tolist(), day.cached[rows].tolist())
    return simulate(
        params,
        day.traffic.workload,
        Given(times_s=tuple((day.at_s[rows] - lead_s).tolist())),
        work_seed=0,
        seed=seed,
        work=iter(zip(*asked, strict=True)),
    )


def _p99(values: np.ndarray) -> float:
    return float(np.quantile(values, 0.99, method="inverted_cdf")) if len(values) else float("nan")
