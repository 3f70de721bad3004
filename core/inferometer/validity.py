"""Is a number worth ranking? The checks of each launch and load point, from the tables.

The checks themselves are :mod:`inferometer.checks`, which ``bench`` shares, but for the steady
state, which takes the analysis' own counts. A cell (all launches of
a stack at one load point) shows the worst verdict of each check over its launches, and is valid
when none failed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl
from msgspec import json, structs

from inferometer import checks
from inferometer.checks import Call, Evidence
from inferometer.comparison import Check
from inferometer.load_records import LoadHost
from inferometer.metrics import steadiness
from inferometer.metrics.windows import KEY, load_requests, population, within
from inferometer.records import Window

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from inferometer.checks.evidence import Verdict
    from inferometer.tables import Tables

Point = tuple[str, int]
"""Launch id and load point."""
WORST: dict[Verdict, int] = {"fail": 3, "warn": 2, "unknown": 1, "pass": 0}


def judge(tables: Tables) -> dict[Point, list[Check]]:
    """Return the checks of every launch and load point that has a window."""
    steady = steadiness.judge(tables)
    return {point: [*checks.judge(seen), steady[point]] for point, seen in evidence(tables)}


def combine(checks: Mapping[Point, Sequence[Check]]) -> list[Check]:
    """Return one check a name: the worst verdict over the launches, and how many share it."""
    names = list(dict.fromkeys(check.name for group in checks.values() for check in group))
    return [
        _worst([(point[0], c) for point, group in checks.items() for c in group if c.name == name])
        for name in names
    ]


def valid(checks: Sequence[Check]) -> bool:
    """Say whether a cell may be ranked: it was checked, and nothing failed."""
    return bool(checks) and all(check.verdict != "fail" for check in checks)


def evidence(tables: Tables) -> Iterator[tuple[Point, Evidence]]:
    """Yield what the checks look at, for every launch and load point that has a window.

    One by one: each holds its requests as objects, which take ten times their columns' memory.
    """
    load = load_requests(tables).partition_by(KEY, as_dict=True, maintain_order=True)
    counted = {(row[0], row[1]): row[2:] for row in _counted(tables).iter_rows()}
    received = {(row[0], row[1]): row[2] for row in _received(tables).iter_rows()}
    works = pl.col("work_sha256").n_unique().over("model", "round", "load_point")
    for row in tables.windows.with_columns(works=works).iter_rows(named=True):
        yield (row["launch"], row["load_point"]), _evidence(row, load, counted, received)


def _worst(found: Sequence[tuple[str, Check]]) -> Check:
    launch, worst = max(found, key=lambda pair: WORST[pair[1].verdict])
    if worst.verdict == "pass" or len(found) == 1:
        return worst
    count = sum(check.verdict == worst.verdict for _, check in found)
    words = f"{count} of {len(found)} launches, first {launch}"
    detail = f"{worst.detail}; {words}" if worst.detail else words
    return structs.replace(worst, detail=detail)


def _evidence(
    row: dict[str, Any],
    load: Mapping[tuple[object, ...], pl.DataFrame],
    counted: Mapping[Point, tuple[float, int]],
    received: Mapping[Point, float | None],
) -> Evidence:
    point = (row["launch"], row["load_point"])
    calls = load[point].select(Call.__struct_fields__).rows() if point in load else []
    tokens, usage = counted.get(point, (0.0, 0))
    fields = {name: row[name] for name in Window.__struct_fields__}
    fields["counters"] = json.decode(row["counters"])
    fields["load_hosts"] = json.decode(row["load_hosts"], type=list[LoadHost])
    return Evidence(
        window=Window(**fields),
        load=[Call(*call) for call in calls],
        counted=tokens,
        counted_usage=usage,
        works=row["works"],
        received=received.get(point, 0.0) if fields["counters"] else None,
    )


def _received(tables: Tables) -> pl.DataFrame:
    """Return, a window, the tokens that came between the readings of the engine's counters.

    Null where an event's tokens are unknown.
    """
    spans = tables.windows.select(
        *KEY, start_ns="counters_start_ns", end_ns=pl.col("counters_end_ns") + 1
    ).drop_nulls()
    every = tables.counts["phase"].unique().to_list()
    return within(tables, spans, every).select(*KEY, "output_tokens")


def _counted(tables: Tables) -> pl.DataFrame:
    """Return, a window, the tokens that events hold and usage states, where all were counted."""
    sums = (
        tables.counts.group_by("launch", "request")
        .agg(counted=pl.col("tokens").sum(), known=pl.col("tokens_known").all())
        .filter("known")
    )
    return (
        population(tables)
        .filter("finished")
        .join(sums, left_on=["launch", "index"], right_on=["launch", "request"], how="inner")
        .group_by(KEY)
        .agg(pl.col("counted").sum(), pl.col("output_tokens").sum())
    )
