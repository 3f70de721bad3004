"""What the simulated engine does in a window that was measured, in the same figures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from inferometer_plugins.simulator.clock import simulate
from inferometer_plugins.simulator.faults import Faults
from inferometer_plugins.simulator.loads import BLOCK, Closed, Given, Listed, Workload

if TYPE_CHECKING:
    from inferometer_plugins.calibration.reading import Counts, Floats, Seen
    from inferometer_plugins.simulator.loads import Load
    from inferometer_plugins.simulator.model import Params
    from inferometer_plugins.simulator.trace import Trace

FIGURES = {
    "output_tok_s": "tok/s",
    "ttft_p50_ms": "ms",
    "ttft_p99_ms": "ms",
    "tpot_p50_ms": "ms",
    "tpot_p99_ms": "ms",
    "e2e_p50_ms": "ms",
    "e2e_p99_ms": "ms",
    "energy_j_per_output_token": "J/token",
}
"""What is predicted and held against the measurement, with its unit. Latencies from the send."""
SEEDS = 8
"""Simulated launches for each measured one."""


class Replayed(Workload, frozen=True, kw_only=True):
    """The requests of a window in their order, then again from the first."""

    pairs: tuple[tuple[int, int], ...]

    def draw(self, seed: int, block: int, count: int = BLOCK) -> tuple[list[int], list[int]]:  # noqa: ARG002 -- these are given
        """Return a block of them: prompts and outputs."""
        places = [place % len(self.pairs) for place in range(block * count, (block + 1) * count)]
        return [self.pairs[at][0] for at in places], [self.pairs[at][1] for at in places]


def latencies(
    sent_s: Floats, first_s: Floats, last_s: Floats, output: Counts, window_s: tuple[float, float]
) -> dict[str, float]:
    """Return the percentiles of requests that ended in a window; none where none did.

    Both sides come through here, so that a p99 of ten requests is held against one of ten.
    """
    ended = (last_s >= window_s[0]) & (last_s < window_s[1])
    if not ended.any():
        return {}
    sent_s, first_s, last_s, output = sent_s[ended], first_s[ended], last_s[ended], output[ended]
    found = {"ttft": first_s - sent_s, "e2e": last_s - sent_s}
    several = output > 1
    if several.any():
        found["tpot"] = (last_s - first_s)[several] / (output[several] - 1)
    return {
        f"{name}_p{share}_ms": 1e3 * float(np.quantile(values, share / 100))
        for name, values in found.items()
        for share in (50, 99)
    }


def measured(seen: Seen) -> dict[str, float]:
    """Return the figures of a window but for joules."""
    inside = (seen.at_s >= seen.start_s) & (seen.at_s < seen.end_s)
    full = ~seen.early
    found = latencies(
        seen.sent_s[full],
        seen.first_s[full],
        seen.last_s[full],
        seen.output[full],
        (seen.start_s, seen.end_s),
    )
    return {"output_tok_s": float(seen.tokens[inside].sum()) / seen.length_s, **found}


def predicted(
    params: Params, start_s: float, seen: Seen, seeds: int = SEEDS, *, powered: bool = True
) -> dict[str, float]:
    """Return the figures of ``seen``'s window as simulated: means over ``seeds`` launches.

    The same requests in the same order; an open loop's at their times, a closed loop in the
    equilibrium in which it was started. ``start_s`` passes between the send and the engine.
    """
    workload, load = offered(seen)
    faults = Faults(client_delay_s=start_s)
    rows: dict[str, list[float]] = {}
    for seed in range(seeds):
        trace = simulate(
            params,
            workload,
            load,
            work_seed=seed,
            seed=1_000 + seed,
            end_s=seen.end_s,
            faults=faults,
        )
        for name, value in _figures(trace, seen, start_s, powered=powered).items():
            rows.setdefault(name, []).append(value)
    return {name: float(np.mean(values)) for name, values in rows.items()}


def _figures(trace: Trace, seen: Seen, start_s: float, *, powered: bool) -> dict[str, float]:
    full = ~trace.early
    window_s = (seen.start_s, seen.end_s)
    found = latencies(
        trace.sent_s[full] - start_s,
        trace.first_s[full],
        trace.last_s[full],
        trace.output[full],
        window_s,
    )
    figures = trace.figures(*window_s)
    found["output_tok_s"] = figures.tok_s
    if powered and np.isfinite(figures.j_per_token):
        found["energy_j_per_output_token"] = figures.j_per_token
    return found


def offered(seen: Seen) -> tuple[Workload, Load]:
    """Return the work and the load of a window, to be simulated."""
    full = ~seen.early
    kept = full if full.any() else seen.early
    pairs = tuple(zip(seen.prompt[kept].tolist(), seen.output[kept].tolist(), strict=True))
    workload = Replayed(
        name=seen.load.workload,
        prompt=Listed(tuple(pair[0] for pair in pairs)),
        output=Listed(tuple(pair[1] for pair in pairs)),
        pairs=pairs,
    )
    if seen.load.streams is None:
        times_s = np.sort(seen.intended_s - min(0.0, float(seen.intended_s.min())))
        return workload, Given(times_s=tuple(times_s.tolist()))
    stays_s = (seen.last_s - seen.sent_s)[~np.isnan(seen.last_s)]
    spread_s = float(stays_s.mean()) / 2 if len(stays_s) else seen.start_s
    return workload, Closed(
        streams=seen.load.streams, start="equilibrium", spread_s=min(spread_s, seen.start_s)
    )
