"""Percentiles and shares of a cell: all launches' requests are one sample."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import polars as pl
import pytest

from inferometer.analyze import analyze, gather
from inferometer.cells import build_cells, build_models
from inferometer.declared import Slo
from inferometer.metrics.goodput import judged
from inferometer.store import Store
from inferometer.testing.results import Fixture, write_results
from inferometer.uncertainty.proportions import wilson

if TYPE_CHECKING:
    from pathlib import Path

    from inferometer.comparison import Value


def cell(root: Path, slo: Slo | None = None, **options: object) -> dict[str, Value]:
    fixture = Fixture(**{"rates": {"a": 40.0}, "rounds": 2, **options})  # type: ignore[arg-type] # any
    evidence = gather(Store(write_results(root, fixture).root), slo)
    (found,) = build_cells(evidence, build_models(evidence))
    return dict(found.values)


def test_two_launches_have_what_one_has_too_few_for(tmp_path: Path) -> None:
    seen = cell(tmp_path)["ttft_p90_ms"]  # 40 requests in each launch, 64 are needed
    assert (seen.value, seen.low, seen.high) == pytest.approx((100, 100, 100))
    assert (seen.n, seen.reason) == (2, None)
    assert seen.detail == "80 requests, design effect 1"


def test_what_is_missing_is_counted_over_all_launches(tmp_path: Path) -> None:
    seen = cell(tmp_path, rounds=3)["ttft_p99_ms"]
    assert (seen.value, seen.n, seen.reason) == (None, 0, "too_few_samples")
    assert seen.detail == "p99 needs 662 requests, 120 ended"


def test_one_launch_has_no_interval_over_launches(tmp_path: Path) -> None:
    seen = cell(tmp_path, rounds=1)["ttft_p50_ms"]
    assert seen.value == pytest.approx(100)
    assert (seen.n, seen.low) == (1, None)
    assert seen.detail.endswith("inside this launch 100 to 100 ms")


def test_a_share_of_good_requests_never_looks_certain(tmp_path: Path) -> None:
    seen = cell(tmp_path, Slo(ttft_ms=100.0))["slo_attainment"]
    assert (seen.value, seen.n, seen.unit) == (1, 2, "1")
    assert (seen.low, seen.high) == pytest.approx(wilson(1.0, 80 / 4))
    words = "80 requests, design effect 4 (assumed: none or all tell nothing of it)"
    assert seen.detail == f"{words}; TTFT <= 100 ms"


def test_no_errors_in_few_requests_do_not_prove_that_there_are_none(tmp_path: Path) -> None:
    seen = cell(tmp_path)["error_rate"]
    assert (seen.value, seen.low) == (0, 0)
    assert seen.high == pytest.approx(1 - wilson(1.0, 80 / 4)[0])


def test_without_objectives_there_is_no_share(tmp_path: Path) -> None:
    assert cell(tmp_path)["slo_attainment"].reason == "not_declared"


def test_a_launch_that_never_ran_has_its_own_reason(tmp_path: Path) -> None:
    gone = frozenset({("b", 0)})
    write_results(tmp_path, Fixture(rates={"a": 40.0, "b": 80.0}, rounds=1, failed=gone))
    (lost,) = [found for found in analyze(tmp_path).cells if found.stack == "b"]
    assert lost.values["ttft_p50_ms"].reason == "failed"
    assert lost.values["error_rate"].reason == "failed"


def test_an_answer_whose_tokens_nobody_counted_meets_no_limit_of_tpot(tmp_path: Path) -> None:
    write_results(tmp_path, Fixture(rates={"a": 40.0}, rounds=1))
    tables = gather(Store(tmp_path), Slo(tpot_ms=1000.0)).tables
    first = pl.col("index") == 20  # behind the first of each stream

    def met(tokens: int | None) -> list[bool | None]:
        counted = pl.when(first).then(pl.lit(tokens)).otherwise("output_tokens")
        changed = tables.requests.with_columns(output_tokens=counted)
        seen = replace(tables, requests=changed)
        rows = judged(seen, Slo(tpot_ms=1000.0)).filter(first)
        return rows["met"].to_list()

    assert met(1) == [True]
    assert met(None) == [None]


def test_what_failed_is_no_share_where_nobody_counted_the_tokens_of_the_others(
    tmp_path: Path,
) -> None:
    write_results(tmp_path, Fixture(rates={"a": 40.0}, rounds=1))
    slo = Slo(ttft_ms=0.001, tpot_ms=1000.0)
    tables = gather(Store(tmp_path), slo).tables
    failed = pl.col("index") == 20
    status = pl.when(failed).then(pl.lit("error")).otherwise("status")

    def met(tokens: pl.Expr) -> set[bool | None]:
        changed = tables.requests.with_columns(status=status, output_tokens=tokens)
        return set(judged(replace(tables, requests=changed), slo)["met"].to_list())

    assert met(pl.col("output_tokens")) == {False}  # and null of no stream's first, here
    assert met(pl.lit(None, pl.Int64)) == {None}
