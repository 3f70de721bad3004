"""Where the launches of each ranking differ from each other, and what to repeat because of it."""

from __future__ import annotations

import math
import statistics
from typing import TYPE_CHECKING

from inferometer.cells import values
from inferometer.comparison import Noise
from inferometer.stats import LEVEL, t_quantile
from inferometer.tables import BATCHES, model_name, stack_id
from inferometer.uncertainty.components import components, windows_per_launch
from inferometer.uncertainty.decisions import cheapest_windows

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import polars as pl

    from inferometer.cells import Evidence
    from inferometer.comparison import Ranking


def build_noise(evidence: Evidence, rankings: Sequence[Ranking]) -> list[Noise]:
    """Return the variance components of every ranking at an offered load that has an order."""
    groups = evidence.points.partition_by("stack", "model", "load_point", as_dict=True)
    points = {(point.workload.name, point.label): point.index for point in evidence.load_points}
    return [
        _noise(evidence, ranking, points[ranking.workload, ranking.load], groups)
        for ranking in rankings
        if ranking.at == "load" and len(ranking.entries) > 1 and ranking.n_rounds > 1
    ]


def _noise(
    evidence: Evidence,
    ranking: Ranking,
    point: int,
    groups: Mapping[tuple[object, ...], pl.DataFrame],
) -> Noise:
    stacks = [entry.stack for entry in ranking.entries]
    rows = [groups[stack, ranking.model, point] for stack in stacks]
    found = {
        stack: values(each, ranking.metric, ranking.meter).by_round
        for stack, each in zip(stacks, rows, strict=True)
    }
    launches = [
        record
        for record in evidence.records
        if stack_id(record) in stacks and model_name(record) == ranking.model
    ]
    window_sd, why = _window_sd(ranking, rows)
    parts = components(
        {stack: {r: [value] for r, value in rounds.items()} for stack, rounds in found.items()},
        window_sd=window_sd,
    )
    spent = [sum(window.end_ns - window.start_ns for window in r.windows) / 1e9 for r in launches]
    took = [(record.ended_ns - record.started_ns) / 1e9 for record in launches]
    window_s = statistics.fmean(spent)
    beside_s = max(statistics.fmean(took) - window_s, 0.0)
    advised = None
    if window_sd is not None and parts.launch_df >= 1:
        advised = cheapest_windows(
            parts,
            stacks=len(stacks),
            launch_s=beside_s,
            window_s=window_s,
            most=windows_per_launch(parts, launch_s=beside_s, window_s=window_s),
        )
    return Noise(
        objective=ranking.objective,
        metric=ranking.metric,
        meter=ranking.meter,
        model=ranking.model,
        workload=ranking.workload,
        load=ranking.load,
        profile=ranking.profile,
        launches=sum(map(len, found.values())),
        launch_sd_percent=math.expm1(parts.launch_sd) * 100 if parts.launch_df >= 1 else None,
        window_sd_percent=None if window_sd is None else math.expm1(window_sd) * 100,
        window_sd_reason=why,
        detectable_percent=ranking.minimum_detectable_percent,
        beside_s=beside_s,
        window_s=window_s,
        windows=advised,
    )


def _window_sd(ranking: Ranking, rows: Iterable[pl.DataFrame]) -> tuple[float | None, str]:
    """Return one window's standard deviation (log units) as its batches tell it, or why not.

    Of joules per token by that meter; else of tokens per second, which cost is a constant over.
    """
    metric = "energy_noise_percent" if ranking.meter else "window_noise_percent"
    found = [values(each, metric, ranking.meter) for each in rows]
    gone = [detail for one in found for _, detail in one.reasons]
    if gone:
        return None, gone[0]
    halves = [math.log1p(half / 100) for one in found for half in one.by_round.values()]
    if not halves:
        return None, "no window"
    quantile = t_quantile(0.5 + LEVEL / 2, BATCHES - 1)
    return math.sqrt(statistics.fmean(half**2 for half in halves)) / quantile, ""
