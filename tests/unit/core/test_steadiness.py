from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import polars as pl
import pytest

from inferometer.analyze import analyze
from inferometer.metrics.evaluate import evaluate
from inferometer.metrics.steadiness import NAME, Course, courses, judge, judged
from inferometer.tables import Tables, scan
from inferometer.testing.results import Fixture, write_results
from inferometer.validity import judge as judge_all

if TYPE_CHECKING:
    from pathlib import Path


def ramped(found: Tables, factor: float) -> Tables:
    """Return tables in which every batch has ``factor`` times the tokens of the one before."""
    edges = found.counts["since_ns"].drop_nulls().unique().sort().to_list()
    batch = pl.col("since_ns").replace_strict(
        edges, range(len(edges)), default=0, return_dtype=pl.Int64
    )
    counts = found.counts.with_columns(tokens=pl.col("tokens") * factor**batch)
    return replace(found, counts=counts)


@pytest.fixture
def tables(tmp_path: Path) -> Tables:
    return scan(write_results(tmp_path / "r", Fixture(rates={"a": 40.0}, rounds=1)))


def test_a_course_is_what_the_batches_of_a_window_hold(tables: Tables) -> None:
    (course,) = courses(tables).values()
    assert course.batches == (80.0,) * 5  # 40 tok/s for 10 s
    assert course.residences == pytest.approx(10)  # a request takes a second
    assert not course.heavy
    check, monotone = judged(course)
    assert (check.verdict, monotone) == ("pass", False)
    assert check.value == "slope +0.00%, largest step +0.00%"


def test_a_window_that_speeds_up_has_no_steady_state(tables: Tables) -> None:
    ((_, checks),) = judge_all(ramped(tables, 1.01)).items()
    (seen,) = [check for check in checks if check.name == NAME]
    assert seen.verdict == "warn"
    assert seen.value.startswith("no steady state: a slope of +5.1 % over the window")


def test_batches_without_tokens_tell_nothing() -> None:
    assert judged(Course())[0].verdict == "unknown"
    assert judged(Course(batches=(1.0, 1.0, 0.0, 1.0, 1.0)))[0].verdict == "unknown"


def test_a_small_rise_counts_when_the_launch_before_had_it(tmp_path: Path) -> None:
    fixture = Fixture(rates={"a": 40.0, "b": 40.0}, rounds=2)
    found = judge(ramped(scan(write_results(tmp_path, fixture)), 1.001))
    verdicts = sorted(check.verdict for check in found.values())
    assert verdicts == ["pass", "pass", "warn", "warn"]
    warned = next(check for check in found.values() if check.verdict == "warn")
    assert warned.value.endswith("here and in the launch before")


def test_noise_is_half_of_the_batch_means_interval(tables: Tables) -> None:
    def row(found: Tables) -> dict[str, object]:
        points = evaluate(found)
        return points.filter(pl.col("metric") == "window_noise_percent").row(0, named=True)

    assert row(tables)["value"] == pytest.approx(0)
    # logs 0 to 4 times ln 1.01: sd 0.01573, times t(0.975; 4) 2.776 / sqrt(5): 1.972 %
    assert row(ramped(tables, 1.01))["value"] == pytest.approx(1.972, abs=1e-3)
    long = pl.when(pl.col("index") % 4 == 0).then(200).otherwise(10)
    heavy = replace(tables, requests=tables.requests.with_columns(output_tokens=long))
    slow = pl.col("sent_ns") - 1_000_000_000  # ... and five residence times
    heavy = replace(heavy, requests=heavy.requests.with_columns(sent_ns=slow))
    assert row(heavy)["value"] is None
    assert "5 residence times of heavy-tailed answers, 10 needed" in str(row(heavy)["detail"])


def test_an_unsteady_cell_is_told_and_ranked(tmp_path: Path) -> None:
    write_results(tmp_path, Fixture(rates={"a": 40.0, "b": 80.0}, rounds=2))
    seen = analyze(tmp_path)
    assert all(NAME in {check.name for check in cell.checks} for cell in seen.cells)
    assert seen.cells[0].values["window_noise_percent"].value == pytest.approx(0)
