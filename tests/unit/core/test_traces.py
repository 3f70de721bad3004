"""What charts show of launches: their order, the spread of latencies, the power over time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from inferometer.analyze import analyze
from inferometer.comparison import Comparison
from inferometer.criteria import targets
from inferometer.testing.results import Fixture, write_results

if TYPE_CHECKING:
    from pathlib import Path


def made(root: Path, fixture: Fixture) -> Comparison:
    return analyze(write_results(root, fixture).root)


def test_launches_stand_in_running_order_against_the_mean_of_their_like(tmp_path: Path) -> None:
    drift = {("a", 0): 1.0, ("a", 1): 1.21}
    fixture = Fixture(
        rates={"a": 100, "b": 50}, rounds=2, drift=drift, failed=frozenset({("b", 1)}), meter=None
    )
    found = made(tmp_path, fixture).launched
    assert [it.position for it in found] == sorted(it.position for it in found)
    assert sorted((it.stack, it.round, it.status) for it in found) == [
        ("a", 0, "ok"),
        ("a", 1, "ok"),
        ("b", 0, "ok"),
        ("b", 1, "failed"),
    ]
    by_launch = {(it.stack, it.round): it.speed for it in found}
    slow, fast = by_launch["a", 0].value, by_launch["a", 1].value
    assert slow is not None
    assert fast is not None
    assert slow * fast == pytest.approx(1)
    assert fast / slow == pytest.approx(1.21, rel=0.01)
    assert by_launch["a", 0].kind == "simulated"
    assert by_launch["b", 0].reason == "too_few_samples"
    assert by_launch["b", 1].reason == "failed"


def test_the_spread_ends_at_the_percentile_that_so_many_requests_tell(tmp_path: Path) -> None:
    paces = {2: {"a": (30.0, 10.0)}, 4: {"a": (50.0, 10.0)}}
    comparison = made(tmp_path, Fixture(rates={"a": 1}, rounds=1, paces=paces, meter=None))
    (cell,) = [it for it in comparison.cells if it.load == "4 streams"]
    found = {it.metric: it for it in comparison.distributions}
    assert {it.cell for it in comparison.distributions} == {cell.id}
    first = found["ttft_ms"]
    known = dict(zip(first.shares, first.values, strict=True))
    assert known[0.5] == pytest.approx(50)
    assert known[0.5] == cell.values["ttft_p50_ms"].value
    assert known[0.9] == cell.values["ttft_p90_ms"].value
    assert found["tpot_ms"].values[9] == pytest.approx(10)
    assert first.requests == found["tpot_ms"].requests > 100


def test_power_is_a_mean_of_each_second_at_the_highest_load(tmp_path: Path) -> None:
    paces = {2: {"a": (30.0, 10.0)}, 4: {"a": (50.0, 10.0)}}
    fixture = Fixture(rates={"a": 1}, rounds=2, paces=paces, window_s=12, power_w=80.0)
    (trace,) = made(tmp_path, fixture).power
    assert (trace.load, trace.step_s, trace.meter) == ("4 streams", 1.0, "fixture")
    assert trace.watts == [80.0] * 12
    assert trace.kind == "simulated"


def test_without_a_meter_there_is_no_power(tmp_path: Path) -> None:
    assert made(tmp_path, Fixture(rates={"a": 100}, rounds=1, meter=None)).power == []


@pytest.mark.parametrize(
    ("ranges", "expected"),
    [
        ([(8.0, 90.0), (20.0, 70.0)], [10, 15, 20, 30, 50, 70]),
        ([(1.0, 1000.0)], [1, 5, 15, 70, 200, 1000]),
        ([(0.21, 0.26), None], [0.21, 0.22, 0.23, 0.24, 0.25, 0.26]),
        ([(41.0, 43.0)], [41, 42, 43]),
        ([None], []),
    ],
)
def test_targets_are_round_and_within_reach(
    ranges: list[tuple[float, float] | None], expected: list[float]
) -> None:
    assert targets.at(ranges) == pytest.approx(expected)


def test_values_at_a_speed_are_read_between_load_points_and_not_beyond(tmp_path: Path) -> None:
    paces = {
        1: {"a": (20.0, 10.0), "b": (20.0, 20.0)},
        4: {"a": (20.0, 40.0), "b": (20.0, 50.0)},
    }
    comparison = made(tmp_path, Fixture(rates={"a": 1, "b": 1}, paces=paces))
    (tokens,) = [it for it in comparison.targets if it.objective == "throughput"]
    assert [it.interactivity for it in tokens.targets] == [20, 30, 50, 70, 100]
    for it in tokens.targets:
        a, b = it.values["a"], it.values["b"]
        assert (a.value is not None) == (25 <= it.interactivity <= 100)
        assert (b.value is not None) == (20 <= it.interactivity <= 50)
        assert it.best == ("b" if it.interactivity == 20 else "a")
        for value in (a, b):
            assert value.kind == "simulated"
            assert value.reason in {None, "out_of_range"}
