"""Where the launches of each ranking differ from each other, and what to repeat because of it."""

from __future__ import annotations

import math
import statistics
from typing import TYPE_CHECKING

from inferometer import nodes
from inferometer.cells import values
from inferometer.comparison import Noise
from inferometer.metrics.steadiness import courses
from inferometer.tables import model_name, stack_id
from inferometer.uncertainty.components import components, shared_windows, windows_per_launch
from inferometer.uncertainty.decisions import cheapest_windows

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import polars as pl

    from inferometer.cells import Evidence
    from inferometer.comparison import Ranking
    from inferometer.metrics.steadiness import Course, Place
    from inferometer.records import LaunchRecord


def build_noise(evidence: Evidence, rankings: Sequence[Ranking]) -> list[Noise]:
    """Return the variance components of every ranking at an offered load that has an order."""
    groups = evidence.points.partition_by("stack", "model", "load_point", as_dict=True)
    points = {(point.workload.name, point.label): point.index for point in evidence.load_points}
    fit = [r for r in rankings if r.at == "load" and len(r.entries) > 1 and r.n_rounds > 1]
    known = courses(evidence.tables) if fit else {}
    return [
        _noise(evidence, ranking, points[ranking.workload, ranking.load], groups, known)
        for ranking in fit
    ]


def _noise(
    evidence: Evidence,
    ranking: Ranking,
    point: int,
    groups: Mapping[tuple[object, ...], pl.DataFrame],
    known: Mapping[Place, Course],
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
    window_sd, why = _window_sd(ranking, launches, point, known)
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
        launch_sd_percent=_percent(parts.launch_sd) if parts.launch_df >= 1 else None,
        window_sd_percent=None if window_sd is None else math.expm1(window_sd) * 100,
        window_sd_reason=why,
        detectable_percent=ranking.minimum_detectable_percent,
        beside_s=beside_s,
        window_s=window_s,
        windows=advised,
    )


def _percent(sd: float) -> float:
    """Return a standard deviation of logarithms in percent.

    To nine figures: it is fitted by matrix products, whose last digits belong to the processor,
    and a report is to have the same bytes on every one.
    """
    return float(f"{math.expm1(sd) * 100:.9g}")


def _window_sd(
    ranking: Ranking,
    launches: Sequence[LaunchRecord],
    point: int,
    known: Mapping[Place, Course],
) -> tuple[float | None, str]:
    """Return one window's standard deviation (log units), or in words why it is not known.

    Of tokens per second, which cost is a constant over.
    """
    if ranking.objective == "energy":
        return None, "told for tokens only"
    blocks = nodes.blocks(launches)
    blocked: dict[int, list[LaunchRecord]] = {}
    for record in launches:
        if (record.id, point) in known:
            blocked.setdefault(blocks[record.id], []).append(record)
    batches = []
    for together in blocked.values():
        if len({_length_ns(record, point) for record in together}) > 1:
            return None, "the windows of a round differ in length"
        batches.append([known[record.id, point] for record in together])
    refused = [one.refusal[1] for courses_ in batches for one in courses_ if one.refusal]
    if refused:
        return None, refused[0]
    found = shared_windows([[one.batches for one in courses_] for courses_ in batches])
    return (None, "no round has two stacks") if found is None else (math.sqrt(found[0]), "")


def _length_ns(record: LaunchRecord, point: int) -> int:
    """Return the length of a launch's window to the millisecond, in ns."""
    spans = [w.end_ns - w.start_ns for w in record.windows if w.load_point == point]
    return round(sum(spans), -6)
