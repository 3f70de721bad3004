"""A simulated engine is found again from its stored launches, and its errors are told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from msgspec.structs import replace
from tests.unit.simulator import virtual

from inferometer import api
from inferometer.errors import InconclusiveError, InferometerError, UsageError
from inferometer_plugins.calibration import file, predict
from inferometer_plugins.calibration.build import calibrate
from inferometer_plugins.calibration.file import Calibration, Figure
from inferometer_plugins.calibration.reading import read
from inferometer_plugins.simulator.model import REFERENCE, Noise, Params, Power

START_S = 0.02
WORKLOADS = (("even", 100, 100), ("reading", 2000, 20), ("writing", 500, 300))
TRUE = Params(
    power=Power(base_w=100.0, busy_w=80.0, prefill_w=300.0, batch_w=120.0),
    noise=Noise(launch_sd=0.005, slow_sd=0.01, step_sd=0.05),
    max_seqs=128,
    budget=4096,
)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    text = virtual.study(WORKLOADS, streams=(1, 32), rates=(2.0,), rounds=2)
    return virtual.write(tmp_path_factory.mktemp("virtual") / "r", TRUE, text, start_s=START_S)


@pytest.fixture(scope="module")
def found(results: Path) -> Calibration:
    return calibrate(read(results))


def figures(found: Calibration, metric: str) -> list[Figure]:
    return [it for point in found.held_out for it in point.figures if it.metric == metric]


def test_the_law_is_found_again(found: Calibration) -> None:
    values = {it.name: it.value for it in found.parameters}
    assert values["a_s"] == pytest.approx(6e-3, rel=0.03)
    assert values["b_s"] == pytest.approx(2e-5, rel=0.15)
    assert values["c_s"] == pytest.approx(4e-8, rel=0.1)
    assert values["d_s"] == pytest.approx(4e-5, rel=0.03)
    assert values["start_s"] == pytest.approx(START_S, rel=0.05)
    assert values["step_sd"] == pytest.approx(0.05, rel=0.15)
    assert all(it.error is not None for it in found.parameters[:5])
    assert found.residual_share < 0.05


def test_watts_are_found_again(found: Calibration) -> None:
    power = found.params.power
    assert power.base_w == pytest.approx(100, rel=0.1)
    assert power.busy_w == pytest.approx(80, rel=0.15)
    assert power.prefill_w == pytest.approx(300, rel=0.15)
    assert found.power.meter == "watts"
    assert found.power.kind == "simulated"


def test_limits_are_the_engine_s_own_where_it_tells(found: Calibration) -> None:
    assert (found.params.max_seqs, found.params.budget) == (128, 4096)
    assert {it.name: it.origin for it in found.limits} == {
        "max_seqs": "told",
        "budget": "told",
        "kv_tokens": "assumed",
    }


def test_load_points_that_were_left_out_are_predicted(found: Calibration) -> None:
    assert len(found.held_out) == 9
    for metric in ("output_tok_s", "tpot_p50_ms", "e2e_p50_ms"):
        errors = [it.error for it in figures(found, metric)]
        assert max(abs(error) for error in errors if error is not None) < 0.05
    joules = found.error("energy_j_per_output_token")
    assert joules is not None
    assert joules.median < 0.05
    unseen = found.workload_error("output_tok_s")
    assert unseen is not None
    assert unseen.points == 9
    tail = found.error("ttft_p99_ms")
    assert tail is not None
    assert tail.points == 9
    assert tail.median < 0.1


def test_what_was_measured_is_what_the_report_says(results: Path, found: Calibration) -> None:
    cells = {(it.workload, it.load): it for it in api.analyze(results).cells}
    for point in found.held_out:
        tok_s = next(it for it in point.figures if it.metric == "output_tok_s")
        said = cells[point.workload, point.load].values["output_tok_s"].value
        assert said is not None
        assert tok_s.measured == pytest.approx(said, rel=1e-6)
        assert tok_s.kind == "simulated"
        assert tok_s.low is not None


def test_it_says_where_it_comes_from(results: Path, found: Calibration) -> None:
    assert found.basis == "simulated"
    assert found.origin.plan_sha256 == api.results(results).plan().sha256
    assert len(found.origin.launches) == 2
    assert "even at 32 streams" in found.used


def test_a_point_outside_of_what_was_fitted_is_an_extrapolation(results: Path) -> None:
    names = [f"{name} at 32 streams" for name, _, _ in WORKLOADS]
    found = calibrate(read(results), hold_out=names)
    assert [len(it.beyond) for it in found.held_out] == [1, 1, 1]
    assert "32 in flight" in found.held_out[0].beyond[0]
    assert not set(names) & set(found.used)
    assert found.reach.in_flight < 10


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hold_out": ["even at 33 streams"]}, "no load point named 'even at 33 streams'"),
        ({"meter": "wats"}, "no meter named 'wats'"),
    ],
)
def test_names_that_are_not_there_are_refused(
    results: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        calibrate(read(results), **options)


def test_no_meter_gives_a_reason_and_no_watts(tmp_path: Path) -> None:
    text = virtual.study(WORKLOADS, streams=(1, 8), rounds=1, window_s=10.0)
    found = calibrate(read(virtual.write(tmp_path / "r", REFERENCE, text, metered=False)))
    assert found.power.reason == "no_sensor"
    assert found.params.power == Power(base_w=0.0, prefill_w=0.0, batch_w=0.0)
    assert {it.reason for it in figures(found, "energy_j_per_output_token")} == {"no_sensor"}
    assert [it.error for it in found.parameters[:5]] == [None] * 5  # one launch


def test_one_workload_alone_does_not_tell_the_parameters_apart(tmp_path: Path) -> None:
    text = virtual.study((("even", 100, 100),), streams=(8,), rounds=1, window_s=10.0)
    stack = read(virtual.write(tmp_path / "r", REFERENCE, text))
    with pytest.raises(InconclusiveError, match="no law of a step can be fitted"):
        calibrate(stack)


def test_a_file_is_read_as_it_was_written(tmp_path: Path, found: Calibration) -> None:
    path = tmp_path / "c.json"
    file.write(path, found)
    assert file.read(path) == found
    assert not list(tmp_path.glob(".*"))
    with pytest.raises(InconclusiveError, match="cannot be simulated: start_s is -1"):
        file.write(tmp_path / "none.json", replace(found, start_s=-1.0))
    assert [it.name for it in tmp_path.iterdir()] == ["c.json"]


def changed(found: Calibration, path: str, value: Any) -> bytes:
    """Return the file's content with one field changed, by dotted path; None takes it away."""
    tree = msgspec.to_builtins(found)
    *parents, last = path.split(".")
    at = tree
    for name in parents:
        at = at[name]
    at[last] = value
    return json.dumps(tree).encode()  # of any size of number


def error(median: float, largest: float) -> dict[str, Any]:
    sizes = {"median": median, "largest": largest}
    return {"metric": "x", "points": 1, "largest_at": "here", **sizes}


def roofline(flops_s: float = 1e15, top_k: int = 2) -> dict[str, Any]:
    sizes = {"always_bytes": 1e9, "flops_per_token": 1e9, "kv_bytes_per_token": 1e5}
    return {
        "type": "roofline",
        "hardware": {"flops_s": flops_s, "bytes_s": 1e12, "memory_bytes": 8e10},
        "sizes": {**sizes, "experts": 8, "top_k": top_k, "expert_bytes": 1e9},
    }


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("schema", "inferometer/calibration/2", "Invalid enum value"),
        ("surprise", 1, "unknown field"),
        ("params.law.a_s", -1.0, "params.law.a_s is -1.0, and must not be below 0"),
        ("params.law.a_s", "fast", "Expected `float`"),
        ("params.budget", 7, "must be above max_seqs"),
        ("params.budget", 10**12, "must be at most 1,000,000"),
        ("params.law.a_s", 0.0, "a step takes less than a microsecond"),
        ("params.kv_tokens", 0, "params.kv_tokens is 0"),
        ("params.noise.step_sd", -0.1, "params.noise.step_sd"),
        ("params.noise.slow_s", 0.0, "must be above 0"),
        ("start_s", -1.0, "start_s is -1.0"),
        ("errors", [{"metric": "x"}], "missing required field"),
        ("errors", [error(0.1, -1.0)], "0.1 to -1: no absolute errors"),
        ("workload_errors", [error(-0.2, 0.1)], "no absolute errors"),
        ("params.power.base_w", 1e300, "must be a number, and below"),
        ("params.max_seqs", 10**400, "must be a number, and below"),
        ("params.law", roofline(flops_s=0), "tells no time of a step: float division by zero"),
        ("params.law", roofline(top_k=9), "top_k is above the number of experts"),
        ("label", "x" * 20_000, "label has 20000 characters"),
    ],
)
def test_a_file_that_cannot_be_is_one_clear_error(
    tmp_path: Path, found: Calibration, path: str, value: Any, message: str
) -> None:
    bad = tmp_path / "bad.json"
    bad.write_bytes(changed(found, path, value))
    with pytest.raises(UsageError, match=message) as raised:
        file.read(bad)
    assert str(bad) in raised.value.message
    assert "inferometer simulate calibrate" in raised.value.hint


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"[" * 100_000, b"{}", b"1e999"])
def test_what_is_no_calibration_at_all_is_refused(tmp_path: Path, content: bytes) -> None:
    bad = tmp_path / "bad.json"
    bad.write_bytes(content)
    with pytest.raises(InferometerError):
        file.read(bad)
    with pytest.raises(UsageError, match="No such file"):
        file.read(tmp_path / "absent.json")


def test_both_sides_are_measured_alike() -> None:
    sent, first = np.array([0.0, 1.0, 2.0]), np.array([0.5, 1.5, 2.5])
    last, output = np.array([1.5, 2.5, np.nan]), np.array([11, 1, 5])
    found = predict.latencies(sent, first, last, output, (0.0, 10.0))
    assert found["ttft_p50_ms"] == pytest.approx(500)
    assert found["tpot_p99_ms"] == pytest.approx(100)  # of the one with several tokens
    assert found["e2e_p99_ms"] == pytest.approx(1500)
    assert predict.latencies(sent, first, last, output, (3.0, 4.0)) == {}
