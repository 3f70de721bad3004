from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pytest
from msgspec import structs

from inferometer.analyze import gather
from inferometer.comparison import PhaseParts, PhaseSplit, Value
from inferometer.cost.division import busy_shares, covered, divide, together
from inferometer.testing.results import Fixture, write_results

if TYPE_CHECKING:
    from pathlib import Path

    from inferometer.cells import Evidence
    from inferometer.comparison.costs import Division


def evidence(tmp_path: Path, **options: Any) -> Evidence:
    options = {"rates": {"a": 40.0}, "rounds": 1, **options}
    store = write_results(tmp_path / "r", Fixture(**options))
    return gather(store)


def only(found: Evidence, *phases: PhaseSplit) -> Division:
    (division,) = divide(found, phases).values()
    return division


def split(meter: str, prefill_j: float, decode_j: float) -> PhaseSplit:
    nothing = Value(value=1.0, unit="J", kind="measured")
    part = PhaseParts(
        workload="small",
        windows=1,
        prefill_j=prefill_j,
        decode_j=decode_j,
        idle_j=5.0,
        unallocated_j=-1.0,
        metered_j=prefill_j + decode_j + 4.0,
    )
    return PhaseSplit(
        stack="a",
        model="dense",
        meter=meter,
        load="4 streams",
        idle_w=nothing,
        prefill_j_per_token=nothing,
        decode_j_per_token=nothing,
        windows=1,
        workloads=1,
        parts=[part],
    )


def test_by_time_the_wait_for_the_first_token_is_input(tmp_path: Path) -> None:
    found = only(evidence(tmp_path))  # ten tokens a request, one every 100 ms
    assert found.method == "client"
    assert found.input_share == pytest.approx(0.1)
    assert found.output_share == pytest.approx(0.9)
    assert found.idle_share == pytest.approx(0)
    assert found.cached_tokens_share == 0


def test_the_engines_own_seconds_go_before_the_clients(tmp_path: Path) -> None:
    found = evidence(tmp_path)
    (record,) = found.records
    counters = {"prefill_busy_s": 2.0, "decode_busy_s": 6.0}
    windows = [structs.replace(window, counters=counters) for window in record.windows]
    found = replace(found, records=[structs.replace(record, windows=windows)])
    assert only(found).method == "engine"
    assert only(found).input_share == pytest.approx(0.25)


def test_joules_of_prefill_and_decode_go_before_both(tmp_path: Path) -> None:
    found = only(evidence(tmp_path), split("other", 1.0, 1.0), split("fixture", 30.0, 70.0))
    assert found.method == "phases"
    assert found.input_share == pytest.approx(0.3)


def test_idle_time_is_borne_in_proportion(tmp_path: Path) -> None:
    found = evidence(tmp_path)
    start = int(found.tables.windows["start_ns"][0])
    early = found.tables.requests.filter(pl.col("sent_ns") < start + 5 * 10**9)
    found = replace(found, tables=replace(found.tables, requests=early))
    division = only(found)
    assert division.idle_share == pytest.approx(0.4925)  # the last of the streams ends at 5.075 s
    shares = [division.input_share, division.output_share, division.idle_share]
    assert sum(share or 0 for share in shares) == pytest.approx(1)
    both = busy_shares(division)
    assert both is not None
    assert sum(both) == pytest.approx(1)
    assert both[0] == pytest.approx((division.input_share or 0) / (1 - division.idle_share))  # type: ignore[operator]


def test_a_window_without_requests_has_a_reason(tmp_path: Path) -> None:
    found = evidence(tmp_path)
    found = replace(found, tables=replace(found.tables, requests=found.tables.requests.clear()))
    division = only(found)
    assert (division.method, division.reason) == (None, "too_few_samples")
    assert busy_shares(division) is None
    assert together([division]).reason == "too_few_samples"


def test_a_cells_division_is_the_mean_of_its_launches(tmp_path: Path) -> None:
    first = only(evidence(tmp_path))
    second = structs.replace(first, input_share=0.3, output_share=0.7)
    both = together([first, second])
    assert both.input_share == pytest.approx(0.2)
    assert both.output_share == pytest.approx(0.8)


def test_overlaps_count_once() -> None:
    since, until = np.array([5, 0, 2, 20]), np.array([8, 3, 4, 21])
    assert covered(since, until) == 4 + 3 + 1
