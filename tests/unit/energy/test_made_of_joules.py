"""What is computed from a window's joules: units, baselines, the host, carbon, good requests."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import polars as pl
import pytest

from inferometer.declared import Energy, Slo
from inferometer.energy import power
from inferometer.energy.idle import baseline
from inferometer.energy.series import series
from inferometer.metrics.evaluate import evaluate
from inferometer.records import Device, MeterInfo
from inferometer.tables import Tables, scan
from inferometer.testing.results import BEGIN, SECOND, Fixture, write_results

if TYPE_CHECKING:
    from pathlib import Path

START = BEGIN + SECOND
DECLARED = Energy(
    pue=1.25, carbon_g_per_kwh=400.0, host_power_w=320.0, source="made up", date="2026-01-01"
)
CARD = Device(name="device-0", model="NVIDIA H200", power_limit_w=160.0)
METER = MeterInfo(name="card", scope="L0", kind="measured", method="made up", devices=[CARD])


def tables(tmp_path: Path, **options: Any) -> Tables:
    """One launch: 4 streams, 40 tok/s for 10 s; 80 W by a watched counter of 100 ms."""
    fixture = Fixture(**{"rates": {"a": 40.0}, "rounds": 1, "meter": METER, **options})
    found = scan(write_results(tmp_path / "r", fixture))
    return replace(
        found,
        launches=found.launches.with_columns(simulated=pl.lit(value=False)),
        readings=ticks(found.readings, START - SECOND, 13, 80.0),
    )


def ticks(like: pl.DataFrame, begin_ns: int, seconds: int, watts: float) -> pl.DataFrame:
    """Return readings of a counter every 100 ms; the other columns are those of ``like``."""
    steps = np.arange(seconds * 10 + 1)
    t_ns = begin_ns + steps * SECOND // 10
    columns = {"t_ns": t_ns, "value": watts / 10 * steps, "since_ns": t_ns - SECOND // 1000}
    return pl.concat([like.head(1)] * steps.size).with_columns(
        **{name: pl.Series(column) for name, column in columns.items()}
    )


def with_idle(found: Tables, state: str, watts: float, seconds: int = 10) -> Tables:
    """Put a stretch of idle before the load, and its readings."""
    begin = BEGIN - 50 * SECOND
    row = {"state": state, "start_ns": begin + SECOND, "end_ns": begin + (1 + seconds) * SECOND}
    head = found.windows.select("launch", "stack", "model", "round")
    idles = head.with_columns(**{name: pl.lit(value) for name, value in row.items()})
    rows = ticks(found.readings, begin, seconds + 2, watts)
    later = found.readings.with_columns(value=pl.col("value") + rows["value"].max())
    return replace(
        found,
        idles=pl.concat([found.idles, idles.select(found.idles.columns)]),
        readings=pl.concat([rows, later]),
    )


def row(points: pl.DataFrame, metric: str) -> dict[str, Any]:
    return points.filter(pl.col("metric") == metric).row(0, named=True)


def value(points: pl.DataFrame, metric: str) -> float:
    found = row(points, metric)
    assert found["reason"] is None, found
    assert isinstance(found["value"], float)
    return found["value"]


def test_units_of_energy_per_token(tmp_path: Path) -> None:
    points = evaluate(tables(tmp_path))
    expected = {
        "energy_j_per_output_token": 2,  # 80 W / 40 tok/s
        "output_tokens_per_j": 0.5,
        "tok_s_per_kw": 500,
        "tok_s_per_mw": 500_000,
        "output_tokens_per_kwh": 1.8e6,
        "energy_j_per_request": 20,  # 800 J / 40 requests
        "mean_power_w": 80,
        "peak_power_w": 80,
        "power_share": 0.5,
    }
    got = {metric: value(points, metric) for metric in expected}
    assert got == pytest.approx(expected)
    assert {row(points, metric)["kind"] for metric in expected} == {"measured"}


@pytest.mark.parametrize(("state", "watts"), [("bare", 30.0), ("loaded", 50.0)])
def test_net_energy_names_its_baseline(tmp_path: Path, state: str, watts: float) -> None:
    points = evaluate(with_idle(tables(tmp_path), state, watts))
    metric = f"net_{state}_j_per_output_token"
    assert value(points, metric) == pytest.approx((80 - watts) / 40)
    assert f"net of {state} idle: {watts:.1f} W over 10 s" in row(points, metric)["detail"]
    other = {"bare": "loaded", "loaded": "bare"}[state]
    absent = row(points, f"net_{other}_j_per_output_token")
    assert (absent["value"], absent["reason"]) == (None, "no_baseline")


@pytest.mark.parametrize(("update_ms", "told"), [(1000.0, True), (4000.0, False)])
def test_a_stretch_of_few_new_values_is_no_baseline(
    tmp_path: Path, update_ms: float, told: bool
) -> None:
    """What a slow sensor says just before and after idle is of an engine that works."""
    found = with_idle(tables(tmp_path), "loaded", 50.0)
    meter = msgspec.structs.replace(METER, instrument="power", update_ms=update_ms)
    begin, beat = BEGIN - 53 * SECOND, round(update_ms) * SECOND // 1000
    t_ns = np.arange(begin, BEGIN - 30 * SECOND, beat)
    idle = (t_ns > begin + 2 * SECOND) & (t_ns < begin + 16 * SECOND)
    watts = np.where(idle, 50.0, 300.0) + np.arange(t_ns.size) / 100
    base = baseline(
        "loaded",
        (int(found.idles["start_ns"][0]), int(found.idles["end_ns"][0])),
        meter,
        {"device-0": [series(t_ns, watts, "W")]},
    )
    assert (base.watts is not None) is told
    if told:
        assert base.watts == pytest.approx(50, rel=0.05)
    else:
        assert base.reason == "edges_unsure"
        assert "10 s hold less than 5 new values, one each 4 s" in base.detail


def test_less_than_idle_is_no_saving(tmp_path: Path) -> None:
    points = evaluate(with_idle(tables(tmp_path), "loaded", 90.0))
    absent = row(points, "net_loaded_j_per_output_token")
    assert (absent["value"], absent["reason"]) == (None, "below_idle")
    assert absent["detail"] == "no more than loaded idle: 90.0 W over 10 s"


def test_carbon_is_declared_and_so_an_estimate(tmp_path: Path) -> None:
    points = evaluate(tables(tmp_path), energy=DECLARED)
    found = row(points, "carbon_g_per_mtok_output")
    # 2 J a token: 2e6 J / 3.6e6 J/kWh x 1.25 x 400 g
    assert found["value"] == pytest.approx(2 / 3.6 * 1.25 * 400)
    assert found["kind"] == "estimated"
    assert "L0 energy x PUE 1.25 x 400 g/kWh, declared: made up, 2026-01-01" in found["detail"]
    assert row(points, "energy_j_per_output_token")["kind"] == "measured"
    assert row(evaluate(tables(tmp_path / "n")), "carbon_g_per_mtok_output")["reason"] == (
        "not_declared"
    )


def test_pue_is_not_applied_to_the_facility_and_its_absence_is_said(tmp_path: Path) -> None:
    meter = MeterInfo(name="card", scope="L4", kind="measured", method="made up")
    found = row(
        evaluate(tables(tmp_path, meter=meter), energy=DECLARED), "carbon_g_per_mtok_output"
    )
    assert found["value"] == pytest.approx(2 / 3.6 * 400)
    bare = Energy(carbon_g_per_kwh=400.0, source="made up", date="2026-01-01")
    found = row(evaluate(tables(tmp_path / "n"), energy=bare), "carbon_g_per_mtok_output")
    assert "without the building's overhead" in found["detail"]


def test_the_hosts_share_is_declared_or_measured(tmp_path: Path) -> None:
    found = tables(tmp_path)
    declared = row(evaluate(found, energy=DECLARED), "host_share")
    assert declared["value"] == pytest.approx(320 / 400)
    assert declared["kind"] == "estimated"
    assert "host: a constant 320 W, declared: made up" in declared["detail"]
    assert row(evaluate(found), "host_share")["reason"] == "not_declared"
    host = found.meters.with_columns(
        name=pl.lit("rapl"), scope=pl.lit("L1"), boundary=pl.lit("package"), devices=pl.lit("[]")
    )
    rows = found.readings.with_columns(meter=pl.lit("rapl"), value=pl.col("value") / 4)
    both = replace(
        found,
        meters=pl.concat([found.meters, host]),
        readings=pl.concat([found.readings, rows]),
    )
    points = evaluate(both, energy=DECLARED).filter(pl.col("meter") == "card")
    measured = row(points, "host_share")
    assert measured["value"] == pytest.approx(20 / 100)
    assert measured["kind"] == "measured"
    assert "host: rapl (package, measured)" in measured["detail"]


@pytest.mark.parametrize(
    ("slo", "good"),
    [
        (Slo(ttft_ms=100.0), 40),
        (Slo(ttft_ms=100.0, e2e_ms=1000.0, tpot_ms=100.0), 40),
        (Slo(ttft_ms=99.0), 0),
        (Slo(tpot_ms=100.0, e2e_ms=999.0), 0),
    ],
)
def test_goodput_counts_requests_that_meet_every_objective(
    tmp_path: Path, slo: Slo, good: int
) -> None:
    points = evaluate(tables(tmp_path), slo=slo)
    assert value(points, "goodput_requests_s") == good / 10
    assert value(points, "goodput_tok_s") == good
    found = row(points, "energy_j_per_good_request")
    assert found["value"] == (pytest.approx(20) if good else None)
    assert found["reason"] == (None if good else "slo_never_met")


def test_goodput_counts_the_shortened_requests_that_throughput_counts(tmp_path: Path) -> None:
    found = tables(tmp_path)
    short = pl.when(pl.col("index") < 20).then(pl.lit("stagger")).otherwise(pl.col("phase"))
    found = replace(found, requests=found.requests.with_columns(phase=short))
    points = evaluate(found, slo=Slo(ttft_ms=100.0))
    assert value(points, "goodput_requests_s") == value(points, "requests_s") == 4.0
    each = value(points, "energy_j_per_good_request")
    assert each == value(points, "energy_j_per_request") == pytest.approx(20)


def test_a_shortened_request_meets_no_limit_that_none_of_full_length_does(tmp_path: Path) -> None:
    found = tables(tmp_path)
    first = pl.col("index") < 20
    short = pl.when(first).then(pl.lit("stagger")).otherwise(pl.col("phase"))
    # the shortened ones took 900 ms, the others a second
    sent = pl.when(first).then(pl.col("intended_ns") + SECOND // 10).otherwise("intended_ns")
    found = replace(found, requests=found.requests.with_columns(phase=short, intended_ns=sent))
    points = evaluate(found, slo=Slo(e2e_ms=900.0))
    assert value(points, "slo_attainment") == value(points, "goodput_tok_s") == 0
    assert row(points, "energy_j_per_good_request")["reason"] == "slo_never_met"
    # 10 of the 21 of full length are good, and so is taken to be that share of all 40
    slow = pl.when(pl.col("index") % 2 == 0).then(pl.col("intended_ns") - SECOND)
    late = found.requests.with_columns(intended_ns=slow.otherwise("intended_ns"))
    points = evaluate(replace(found, requests=late), slo=Slo(ttft_ms=100.0))
    assert value(points, "slo_attainment") == pytest.approx(10 / 21)
    assert value(points, "goodput_requests_s") == pytest.approx(4 * 10 / 21)
    assert value(points, "goodput_tok_s") == pytest.approx(40 * 10 / 21)
    none = found.requests.with_columns(phase=pl.lit("stagger"))
    points = evaluate(replace(found, requests=none), slo=Slo(ttft_ms=100.0))
    for metric in ("slo_attainment", "goodput_requests_s", "energy_j_per_good_request"):
        assert row(points, metric)["reason"] == "too_few_samples", metric
        assert "no request of full length ended" in row(points, metric)["detail"]


def test_without_objectives_nothing_is_good_or_bad(tmp_path: Path) -> None:
    points = evaluate(tables(tmp_path))
    for metric in ("goodput_requests_s", "goodput_tok_s", "energy_j_per_good_request"):
        assert row(points, metric)["reason"] == "not_declared", metric


def test_a_peak_is_the_highest_second_of_all_devices() -> None:
    t_s = np.arange(-1, 12, 0.1)
    one = np.where((t_s >= 3) & (t_s < 4), 300.0, 100.0)
    other = np.where((t_s >= 7) & (t_s < 8), 250.0, 100.0)
    made = [series(np.round(t_s * SECOND), watts, "W") for watts in (one, other)]
    assert power.peak_w(made, 0, 10 * SECOND) == pytest.approx(400, rel=0.06)
    joules = np.concatenate([[0.0], np.cumsum(one[1:] * 0.1)])
    counter = series(np.round(t_s * SECOND), joules, "J")
    assert power.peak_w([counter], 0, 10 * SECOND) == pytest.approx(300, rel=0.08)
    slow = series(np.array([0, 5, 10]) * SECOND, [100.0, 100.0, 100.0], "W")
    assert power.peak_w([slow], 0, 10 * SECOND) is None


def test_joules_per_token_scatter_as_their_batches_do(tmp_path: Path) -> None:
    found = tables(tmp_path)
    assert value(evaluate(found), "energy_noise_percent") == pytest.approx(0, abs=1e-6)
    # a tenth more watts in the second batch of two seconds: 16 J more than 160 J
    late = pl.col("t_ns") - (START + 2 * SECOND)
    more = 8.0 * (late.clip(0, 2 * SECOND) / SECOND)
    warm = replace(found, readings=found.readings.with_columns(value=pl.col("value") + more))
    # joules 160, 176, 160, ...: sd 16 / sqrt(5), mean 163.2; t(0.975; 4) 2.776 / sqrt(5) of both
    assert value(evaluate(warm), "energy_noise_percent") == pytest.approx(
        2.7764 * 16 / 5 / 163.2 * 100, rel=1e-3
    )


def test_a_sensor_too_coarse_for_a_batch_tells_no_noise(tmp_path: Path) -> None:
    found = tables(tmp_path)
    coarse = replace(found, meters=found.meters.with_columns(update_ms=pl.lit(201.0)))
    seen = row(evaluate(coarse), "energy_noise_percent")
    assert (seen["value"], seen["reason"]) == (None, "window_short")
    assert "fewer than 10 values" in seen["detail"]
