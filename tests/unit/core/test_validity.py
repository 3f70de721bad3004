from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from inferometer.comparison import Check
from inferometer.tables import Tables, scan
from inferometer.testing.results import Fixture, write_results
from inferometer.validity import combine, judge, valid

if TYPE_CHECKING:
    from pathlib import Path


CLOSED = {
    *("same work", "prompt length", "output length", "fresh prompts", "cold cache", "errors"),
    *("token counting", "retokenised sample", "tokens per chunk", "window length"),
    *("closed under load", "delivered concurrency", "lost requests", "little's law", "one clock"),
    *("loop lag", "send lag", "client cpu", "steady state"),
}
"""The checks of a closed loop's window."""


@pytest.fixture
def tables(tmp_path: Path) -> Tables:
    fixture = Fixture(rates={"a": 40.0, "b": 80.0}, rounds=1)
    return scan(write_results(tmp_path / "r", fixture))


def verdicts(tables: Tables, stack: str = "a") -> dict[str, Check]:
    launch = tables.launches.filter(pl.col("stack") == stack)["launch"].item()
    return {check.name: check for check in judge(tables)[(launch, 0)]}


def changed(tables: Tables, frame: str, **columns: Any) -> Tables:
    return replace(tables, **{frame: getattr(tables, frame).with_columns(**columns)})


def test_a_clean_window_passes_everything(tables: Tables) -> None:
    seen = verdicts(tables)
    assert set(seen) == CLOSED
    assert {check.verdict for check in seen.values()} == {"pass"}
    assert valid(list(seen.values()))


@pytest.mark.parametrize(
    ("cached", "verdict", "value"),
    [
        (10, "pass", "50.00% of 50.00% declared"),
        (8, "pass", "40.00% of 50.00% declared"),
        (6, "warn", "30.00% of 50.00% declared"),
        (12, "warn", "60.00% of 50.00% declared"),
        (0, "fail", "0.00% of 50.00% declared"),
        (20, "fail", "100.00% of 50.00% declared"),
    ],
)
def test_warm_means_as_warm_as_declared(
    tables: Tables, cached: int, verdict: str, value: str
) -> None:
    warm = changed(tables, "windows", cache=pl.lit("warm"), reuse=pl.lit(0.5))
    seen = verdicts(changed(warm, "requests", cached_tokens=pl.lit(cached, pl.Int64)))
    assert "cold cache" not in seen
    assert (seen["warm cache"].verdict, seen["warm cache"].value) == (verdict, value)


@pytest.mark.parametrize(
    ("name", "frame", "columns", "verdict"),
    [
        ("output length", "requests", {"output_tokens": pl.lit(9)}, "fail"),
        ("output length", "requests", {"output_tokens": pl.lit(None, pl.Int64)}, "unknown"),
        ("prompt length", "requests", {"input_tokens": pl.lit(21)}, "fail"),
        ("fresh prompts", "requests", {"prompt": pl.col("prompt") % 3}, "warn"),
        ("cold cache", "requests", {"cached_tokens": pl.lit(None, pl.Int64)}, "unknown"),
        ("cold cache", "requests", {"cached_tokens": pl.lit(10)}, "fail"),
        ("loop lag", "windows", {"loop_lag_p99_ms": pl.lit(6.0)}, "warn"),
        ("loop lag", "windows", {"loop_lag_p99_ms": pl.lit(51.0)}, "fail"),
        ("loop lag", "windows", {"loop_lag_p99_ms": pl.lit(None, pl.Float64)}, "unknown"),
        ("send lag", "windows", {"send_lag_p99_ms": pl.lit(51.0)}, "fail"),
        ("send lag", "windows", {"send_lag_p99_ms": pl.lit(None, pl.Float64)}, "unknown"),
        ("client cpu", "windows", {"client_cpu_s": pl.lit(8.0)}, "warn"),
        ("client cpu", "windows", {"client_cpu_s": pl.lit(9.5)}, "fail"),
        ("client cpu", "windows", {"client_cpu_s": pl.lit(9.5), "workers": pl.lit(2)}, "pass"),
        ("quiet machine", "windows", {"others_cpu_share": pl.lit(0.04)}, "pass"),
        ("quiet machine", "windows", {"others_cpu_share": pl.lit(0.06)}, "warn"),
        ("quiet machine", "windows", {"others_cpu_share": pl.lit(0.26)}, "fail"),
        ("delivered concurrency", "windows", {"concurrency": pl.lit(5)}, "fail"),
        ("closed under load", "windows", {"end_ns": pl.col("end_ns") + 1}, "fail"),
        ("retokenised sample", "windows", {"retokenised": pl.lit(97)}, "warn"),
        ("retokenised sample", "windows", {"retokenised": pl.lit(None, pl.Int64)}, "unknown"),
        ("one clock", "windows", {"clock_step_ms": pl.lit(-20.0)}, "warn"),
        ("one clock", "windows", {"clock_step_ms": pl.lit(100.0)}, "fail"),
        ("window length", "requests", {"sent_ns": pl.col("sent_ns") - 10**9}, "warn"),
        ("window length", "requests", {"sent_ns": pl.col("sent_ns") - 10**11}, "fail"),
        ("token counting", "counts", {"tokens": pl.col("tokens") * 2}, "fail"),
        ("token counting", "counts", {"tokens_known": pl.lit(value=False)}, "unknown"),
        ("tokens per chunk", "requests", {"chunks": pl.lit(5)}, "warn"),
    ],
)
def test_each_check_sees_its_fault(
    tables: Tables, name: str, frame: str, columns: dict[str, Any], verdict: str
) -> None:
    assert verdicts(changed(tables, frame, **columns))[name].verdict == verdict


def test_reused_prompts_with_a_silent_cache_fail(tables: Tables) -> None:
    doubtful = changed(tables, "requests", prompt=pl.lit(0), cached_tokens=pl.lit(None, pl.Int64))
    assert verdicts(doubtful)["fresh prompts"].verdict == "fail"


def test_lost_completions_break_littles_law(tables: Tables) -> None:
    late = pl.when(pl.col("index") % 2 == 0).then(pl.col("last_ns") + 10**12)
    lost = changed(tables, "requests", last_ns=late.otherwise(pl.col("last_ns")))
    assert verdicts(lost, "b")["little's law"].verdict == "fail"
    assert verdicts(lost, "a")["little's law"].verdict == "unknown"  # under 30 completions


def test_unequal_work_fails_every_stack_of_the_round(tables: Tables) -> None:
    unequal = changed(tables, "windows", work_sha256=pl.col("stack").cast(pl.String))
    for stack in ("a", "b"):
        check = verdicts(unequal, stack)["same work"]
        assert check.verdict == "fail"
        assert "unequal_work" in check.detail


@pytest.mark.parametrize(("every", "verdict"), [(2, "fail"), (10**9, "pass")])
def test_errors(tables: Tables, every: int, verdict: str) -> None:
    status = (
        pl.when(pl.col("index") % every == every - 1)
        .then(pl.lit("error"))
        .otherwise(pl.col("status"))
    )
    assert verdicts(changed(tables, "requests", status=status))["errors"].verdict == verdict


def test_a_window_without_requests_fails_and_does_not_crash(tables: Tables) -> None:
    empty = replace(tables, requests=tables.requests.clear(), counts=tables.counts.clear())
    seen = verdicts(empty)
    assert seen["errors"].verdict == "fail"
    assert not valid(list(seen.values()))


def test_a_cell_takes_the_worst_verdict_of_its_launches() -> None:
    def check(verdict: Any) -> Check:
        return Check(name="x", rule="r", value=str(verdict), verdict=verdict)

    (seen,) = combine({("l1", 0): [check("pass")], ("l2", 0): [check("warn")]})
    assert (seen.verdict, seen.value) == ("warn", "warn")
    assert "1 of 2 launches, first l2" in seen.detail
    assert not valid([])
