"""Where the launches of each ranking differ from each other, and what to repeat because of it."""

from __future__ import annotations

import math
import statistics
from typing import TYPE_CHECKING

from inferometer.cells import values
from inferometer.comparison import Noise
from inferometer.metrics import steadiness
from inferometer.tables import model_name, stack_id
from inferometer.uncertainty.components import components, windows_per_launch
from inferometer.uncertainty.decisions import cheapest_windows

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import polars as pl

    from inferometer.cells import Evidence
    from inferometer.comparison import Ranking
    from inferometer.metrics.steadiness import Course, Place

NO_BATCHES = "joules are not counted by batches"
HEAVY = "windows under ten request times of answers of very different lengths"
NO_TOKENS = "some batch of a window has no output token"


def build_noise(evidence: Evidence, rankings: Sequence[Ranking]) -> list[Noise]:
    """Return the variance components of every ranking at an offered load that has an order."""
    courses = steadiness.courses(evidence.tables)
    groups = evidence.points.partition_by("stack", "model", "load_point", as_dict=True)
    points = {(point.workload.name, point.label): point.index for point in evidence.load_points}
    return [
        _noise(evidence, ranking, points[ranking.workload, ranking.load], groups, courses)
        for ranking in rankings
        if ranking.at == "load" and len(ranking.entries) > 1 and ranking.n_rounds > 1
    ]


def _noise(
    evidence: Evidence,
    ranking: Ranking,
    point: int,
    groups: Mapping[tuple[object, ...], pl.DataFrame],
    courses: Mapping[Place, Course],
) -> Noise:
    stacks = [entry.stack for entry in ranking.entries]
    found = {
        stack: values(groups[stack, ranking.model, point], ranking.metric, ranking.meter).by_round
        for stack in stacks
    }
    launches = [
        record
        for record in evidence.records
        if stack_id(record) in stacks and model_name(record) == ranking.model
    ]
    seen = [courses[record.id, point] for record in launches if (record.id, point) in courses]
    window_sd, why = _window_sd(ranking, seen)
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


def _window_sd(ranking: Ranking, seen: Sequence[Course]) -> tuple[float | None, str]:
    """Return one window's standard deviation (log units) as its batches tell it, or why not.

    Of tokens per second, and of what is a constant over them.
    """
    if ranking.objective != "throughput" and not ranking.follows_throughput:
        return None, NO_BATCHES
    if not seen or not all(course.told for course in seen):
        return None, NO_TOKENS
    if not all(course.honest for course in seen):
        return None, HEAVY
    return math.sqrt(statistics.fmean(course.sd**2 for course in seen)), ""
