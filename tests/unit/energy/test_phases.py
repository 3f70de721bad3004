"""From a results directory to prefill and decode: which windows are fitted, what is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pytest

from inferometer.analyze import gather
from inferometer.comparison import Check
from inferometer.metrics.evaluate import evaluate
from inferometer.phases import build_phases
from inferometer.records import MeterInfo
from inferometer.testing.results import SECOND, Fixture, write_results

if TYPE_CHECKING:
    from pathlib import Path

    from inferometer.cells import Evidence

IDLE_W, PREFILL_J, DECODE_J = 50.0, 0.01, 0.5
METER = MeterInfo(
    name="card", scope="L0", kind="simulated", method="made up", instrument="counter", period_s=0.1
)
SHAPES = {"even": (200, 20), "long": (2000, 2)}  # beside "small": 20 in, 10 out


def evidence(tmp_path: Path, *, idle: bool = True, **options: Any) -> Evidence:
    """Three launches of 40 tok/s, three workloads each; every window takes what the terms say."""
    fixture = Fixture(
        **{"rates": {"a": 40.0}, "rounds": 3, "meter": METER, "workloads": SHAPES, **options}
    )
    found = gather(write_results(tmp_path, fixture))
    tables = found.tables
    readings, idles = [], []
    for record in found.records:
        begin = record.started_ns - 12 * SECOND
        t_ns = np.arange(begin, record.ended_ns + SECOND, SECOND // 10)
        watts = np.full(t_ns.shape, IDLE_W)
        for window in record.windows:
            lengths = {"small": (20, 10), **SHAPES}[window.workload]
            dynamic = 40 * (PREFILL_J * lengths[0] / lengths[1] + DECODE_J)
            watts[(t_ns >= window.start_ns - SECOND) & (t_ns < window.end_ns)] += dynamic
        joules = np.concatenate([[0.0], np.cumsum(watts[:-1] * 0.1)])
        like = tables.readings.filter(pl.col("launch") == record.id).head(1)
        readings.append(
            pl.concat([like] * t_ns.size).with_columns(
                t_ns=pl.Series(t_ns),
                value=pl.Series(joules),
                since_ns=pl.Series(t_ns - SECOND // 1000),
            )
        )
        head = like.select("launch", "stack", "model", "round")
        idles.append(
            head.with_columns(
                state=pl.lit("loaded"),
                start_ns=pl.lit(begin + SECOND),
                end_ns=pl.lit(begin + 11 * SECOND),
            )
        )
    tables = replace(
        tables,
        readings=pl.concat(readings),
        idles=pl.concat(idles).select(tables.idles.columns) if idle else tables.idles,
    )
    return replace(found, tables=tables, points=evaluate(tables))


def test_the_terms_are_found_again(tmp_path: Path) -> None:
    (found,) = build_phases(evidence(tmp_path))
    assert (found.stack, found.model, found.meter) == ("a", "dense", "card")
    assert found.load == "4 streams"
    assert (found.windows, found.workloads) == (9, 3)
    assert found.idle_w.value == pytest.approx(IDLE_W, rel=0.02)
    assert found.prefill_j_per_token.value == pytest.approx(PREFILL_J, rel=0.05)
    assert found.decode_j_per_token.value == pytest.approx(DECODE_J, rel=0.05)
    assert found.decode_j_per_token.n == 3
    assert found.decode_j_per_token.kind == "simulated"
    assert found.engine_prefill_share is None
    assert [part.workload for part in found.parts] == ["small", "even", "long"]
    for part in found.parts:
        whole = part.prefill_j + part.decode_j + part.idle_j + part.unallocated_j
        assert whole == pytest.approx(part.metered_j, rel=1e-9)
        assert part.windows == 3


def test_without_loaded_idle_there_is_no_split(tmp_path: Path) -> None:
    (found,) = build_phases(evidence(tmp_path, idle=False))
    assert found.decode_j_per_token.reason == "no_baseline"
    assert found.parts == []


def test_one_workload_or_a_constant_has_no_phases(tmp_path: Path) -> None:
    assert build_phases(evidence(tmp_path / "one", workloads={})) == []
    constant = MeterInfo(
        name="card", scope="L2", kind="declared", method="65 W", follows_throughput=True
    )
    assert build_phases(evidence(tmp_path / "constant", meter=constant)) == []


def test_a_cache_that_is_not_told_hides_the_prompts(tmp_path: Path) -> None:
    found = evidence(tmp_path)
    tables = replace(
        found.tables,
        windows=found.tables.windows.with_columns(cache=pl.lit("warm")),
        requests=found.tables.requests.with_columns(cached_tokens=pl.lit(None, dtype=pl.Int64)),
    )
    (split,) = build_phases(replace(found, tables=tables))
    assert split.prefill_j_per_token.reason == "not_told"


def test_a_warm_prompt_that_was_cut_is_cached_like_the_others(tmp_path: Path) -> None:
    found = evidence(tmp_path)
    half = pl.when(pl.col("cached_tokens").is_not_null()).then(pl.col("input_tokens") // 2)
    tables = replace(
        found.tables,
        windows=found.tables.windows.with_columns(cache=pl.lit("warm")),
        requests=found.tables.requests.with_columns(cached_tokens=half),
    )
    assert (tables.requests["status"] == "cut").any()
    (split,) = build_phases(replace(found, tables=tables))
    assert split.prefill_j_per_token.value == pytest.approx(2 * PREFILL_J, rel=0.05)


def test_a_window_that_failed_a_check_is_left_out(tmp_path: Path) -> None:
    found = evidence(tmp_path)
    wrong = Check(name="errors", rule="none", value="9 failed", verdict="fail")
    place = next(iter(found.checks))
    checks = {**found.checks, place: [*found.checks[place], wrong]}
    (split,) = build_phases(replace(found, checks=checks))
    assert split.windows == 8
    assert split.decode_j_per_token.value == pytest.approx(DECODE_J, rel=0.05)
