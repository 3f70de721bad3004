"""The true figures of an engine under a load: long runs from which the start is cut off."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from msgspec.structs import replace

from inferometer_plugins.simulator.clock import simulate
from inferometer_plugins.simulator.loads import Closed
from inferometer_plugins.simulator.model import silent, without_launch

if TYPE_CHECKING:
    from inferometer_plugins.simulator.loads import Load, Workload
    from inferometer_plugins.simulator.model import Params

RUNS, LENGTH_S = 4, 20_000.0
SEED = 7_000
"""Of the true runs; nobody else's."""


class Truth(NamedTuple):
    """Means over runs, and the standard error of the first two as a share."""

    tok_s: float
    j_per_token: float
    residence_s: float
    tok_s_error: float
    j_per_token_error: float


@lru_cache
def pilot_s(params: Params, workload: Workload, streams: int, seed: int = SEED) -> float:
    """Return about how long a request stays with ``streams`` others: the mean of a short run."""
    load = Closed(streams=streams, requests=10 * streams)
    ran = simulate(silent(params), workload, load, work_seed=seed, seed=seed)
    return ran.residence_s()


@lru_cache
def truth(
    params: Params,
    workload: Workload,
    load: Load,
    *,
    runs: int = RUNS,
    length_s: float = LENGTH_S,
) -> Truth:
    """Return the long-run figures of launches whose own offset is 0.

    A closed loop begins in equilibrium, and five residence times are cut off besides.
    """
    settle_s = 100.0
    if isinstance(load, Closed):
        stay_s = pilot_s(params, workload, load.streams)
        load = replace(load, start="equilibrium", spread_s=stay_s / 2, requests=None)
        settle_s = 5 * stay_s
    params = without_launch(params)
    rows = []
    for seed in range(SEED, SEED + runs):
        end_s = settle_s + length_s
        ran = simulate(params, workload, load, work_seed=seed, seed=seed, end_s=end_s)
        seen = ran.figures(settle_s, end_s)
        rows.append((seen.tok_s, seen.j_per_token, ran.residence_s(settle_s)))
    table = np.asarray(rows)
    tok_s, j_per_token, residence_s = table.mean(axis=0).tolist()
    errors = [np.inf] * 2 if runs == 1 else table.std(axis=0, ddof=1) / np.sqrt(runs)
    return Truth(
        tok_s, j_per_token, residence_s, float(errors[0] / tok_s), float(errors[1] / j_per_token)
    )
