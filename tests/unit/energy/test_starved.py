"""Was the accelerator the bottleneck? The cases are published figures, by card and model."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from inferometer import hardware, validity
from inferometer.analyze import analyze
from inferometer.energy import starved
from inferometer.energy.starved import Seen, Step
from inferometer.metrics.evaluate import evaluate
from inferometer.records import Device, MeterInfo
from inferometer.roofline import accelerators
from inferometer.roofline.steps import step
from inferometer.tables import scan
from inferometer.testing.results import Fixture, write_results

if TYPE_CHECKING:
    from pathlib import Path

    from inferometer.comparison import Check

QWEN3_8B = {
    "total_parameters": 8_190_735_360,
    "active_parameters": 8_190_735_360,
    "kv_bytes_per_token": 36 * 8 * 128 * 2 * 2,
}
QWEN3_30B_A3B = {
    "total_parameters": 30_532_122_624,
    "active_parameters": 3_353_276_416,
    "experts": 128,
    "top_k": 8,
}


def seen(
    card: str,
    watts: float,
    itl_ms: float,
    *,
    batch: int = 8,
    context: float = 4000.0,
    failed: tuple[str, ...] = (),
) -> Check:
    """Judge a point of the 8B model in bfloat16 on one card."""
    peak = accelerators.of(card)
    assert peak is not None
    work = step(QWEN3_8B, 2.0 * QWEN3_8B["total_parameters"], sequences=batch, context=context)
    read = work.weight_bytes + work.cache_bytes
    one = Step(bytes_read=read, seconds=itl_ms / 1e3, bytes_s=peak.bytes_s)
    return starved.judge(Seen(power_w=watts, limit_w=peak.tdp_w, step=one, failed=failed))


@pytest.mark.parametrize(
    ("card", "watts", "itl_ms", "batch", "verdict"),
    [
        ("NVIDIA B200", 294, 32.5, 8, "fail"),  # GPQA: slower than the older card at 29 % power
        ("NVIDIA B200", 294, 44.0, 32, "fail"),  # the rest of that regime: 32 to 44 ms
        ("NVIDIA H100 80GB HBM3", 494, 9.7, 8, "pass"),  # the same task on the older card
        ("NVIDIA B200", 294, 5.0, 8, "pass"),  # chat on the same card and model
        ("NVIDIA H200", 137, 6.0, 8, "pass"),  # decode draws 137 to 300 W of 700
        ("NVIDIA H200", 300, 8.0, 32, "pass"),
        ("NVIDIA H200", 650, 60.0, 32, "pass"),  # prompts: the limit is drawn, decode steps wait
        ("NVIDIA H200", 200, 18.0, 8, "warn"),
    ],
)
def test_published_points(card: str, watts: float, itl_ms: float, batch: int, verdict: str) -> None:
    found = seen(card, watts, itl_ms, batch=batch, context=1000 if itl_ms == 5.0 else 4000)
    assert found.verdict == verdict, found
    if verdict == "fail":
        assert found.detail.startswith("device_starved")
        assert "294 of 1000 W (29%)" in found.value


def test_a_client_that_failed_its_checks_starves_an_accelerator_at_low_power() -> None:
    found = seen("NVIDIA B200", 294, 5.0, failed=("client cpu",))
    assert found.verdict == "fail"
    assert "client cpu failed" in found.detail
    assert seen("NVIDIA B200", 800, 5.0, failed=("client cpu",)).verdict == "pass"


def test_what_is_not_known_is_said() -> None:
    assert starved.judge(Seen(power_w=100, limit_w=None)).verdict == "unknown"
    low = starved.judge(Seen(power_w=100, limit_w=700, why_no_step="no such card"))
    assert (low.verdict, low.detail) == ("unknown", "no roofline: no such card")
    assert starved.judge(Seen(power_w=600, limit_w=700)).verdict == "pass"
    assert accelerators.of("nvidia  h200") == accelerators.of("NVIDIA H200")
    assert accelerators.of("NVIDIA H200 NVL") is None


def test_a_mixture_of_experts_reads_what_its_batch_touches() -> None:
    weights = 2.0 * QWEN3_30B_A3B["total_parameters"]
    bytes_of = {
        batch: step(QWEN3_30B_A3B, weights, sequences=batch, context=0).weight_bytes
        for batch in (1, 32, 1000)
    }
    assert bytes_of[1] == pytest.approx(2 * QWEN3_30B_A3B["active_parameters"], rel=0.01)
    assert 0.85 < bytes_of[32] / weights < 0.95  # 87 % of the experts
    assert bytes_of[1000] == pytest.approx(weights)


CARD = MeterInfo(
    name="card",
    scope="L0",
    kind="simulated",
    method="made up",
    devices=[Device(name="device-0", model="NVIDIA H200", power_limit_w=700.0)],
)


@pytest.mark.parametrize(
    ("watts", "device", "verdict"),
    [(80.0, "NVIDIA H200", "fail"), (500.0, "NVIDIA H200", "pass"), (80.0, "X1", "unknown")],
)
def test_a_starved_point_is_shown_and_not_ranked(
    tmp_path: Path, watts: float, device: str, verdict: str
) -> None:
    card = Device(name="device-0", model=device, power_limit_w=700.0)
    meter = MeterInfo(name="card", scope="L0", kind="simulated", method="made up", devices=[card])
    write_results(tmp_path, Fixture(rates={"a": 40.0, "b": 80.0}, meter=meter, power_w=watts))
    found = analyze(tmp_path)
    for cell in found.cells:
        (check,) = [check for check in cell.checks if check.name == starved.NAME]
        assert check.verdict == verdict, check
        assert cell.values["output_tok_s"].value is not None
    ranking = next(r for r in found.rankings if r.objective == "throughput")
    reasons = {item.reason for item in ranking.unranked}
    assert reasons == ({"device_starved"} if verdict == "fail" else set())
    assert bool(ranking.entries) is (verdict != "fail")


def conditions(tmp_path: Path, **changed: Any) -> dict[str, Check]:
    """Judge the first launch of three, whose conditions are changed; the others' are normal."""
    store = write_results(tmp_path, Fixture(rates={"a": 40.0}, rounds=3, meter=CARD, power_w=500.0))
    tables = scan(store)
    usual = {
        "meter": "card",
        "device": "device-0",
        "temperature_c": 60.0,
        "power_limit_w": 700.0,
        "clock_mhz": 1980.0,
        "memory_clock_mhz": 3200.0,
        "utilisation": 1.0,
        "throttled": "[]",
    }
    windows = tables.windows.select("launch", "stack", "model", "round", t_ns="start_ns")
    first = pl.col("launch") == windows["launch"][0]
    rows = windows.with_columns(
        **{
            name: pl.when(first).then(pl.lit(changed.get(name, value))).otherwise(pl.lit(value))
            for name, value in usual.items()
        }
    )
    looks = pl.concat([rows.with_columns(t_ns=pl.col("t_ns") + n) for n in range(4)])
    tables = replace(tables, conditions=looks.select(tables.conditions.columns))
    judged = hardware.judge(tables, store.launches(), evaluate(tables), validity.judge(tables))
    return {check.name: check for check in judged[windows["launch"][0], 0]}


def test_accelerators_of_one_machine_may_differ_in_temperature(tmp_path: Path) -> None:
    """Those at the end of the air flow are warmer; each is held to itself."""

    def rows(moved: float) -> pl.DataFrame:
        first = tables.windows.select("launch", "stack", "model", "round", "start_ns")
        looks = [
            {"t_ns": pl.col("start_ns") + n, "device": pl.lit(name), "temperature_c": pl.lit(heat)}
            for name, mean in (("device-0", 48.0), ("device-1", 66.0))
            for n, heat in enumerate((mean, mean + moved))
        ]
        found = pl.concat([first.with_columns(**look) for look in looks])
        return pl.concat([tables.conditions, found.drop("start_ns")], how="diagonal_relaxed")

    store = write_results(tmp_path, Fixture(rates={"a": 40.0}, rounds=3, meter=CARD, power_w=500.0))
    tables = scan(store)
    for moved, verdict, words in ((2.0, "pass", ""), (12.0, "warn", "12 C within the window:")):
        looked = replace(tables, conditions=rows(moved))
        judged = hardware.judge(looked, store.launches(), evaluate(looked), validity.judge(looked))
        for checks in judged.values():
            (check,) = [check for check in checks if check.name == "temperature"]
            assert check.verdict == verdict
            assert check.detail.startswith(words)
            assert "another launch" not in check.detail


def test_hardware_in_one_state_passes(tmp_path: Path) -> None:
    found = conditions(tmp_path)
    names = {"power limit", "throttling", "temperature", "clocks"}
    assert {found[name].verdict for name in names} == {"pass"}
    assert found["clocks"].value == "1980 to 1980 MHz, median 1980"


@pytest.mark.parametrize(
    ("name", "changed", "verdict", "words"),
    [
        ("power limit", {"power_limit_w": 500.0}, "fail", "500, 700 W"),
        ("throttling", {"throttled": '["thermal"]'}, "fail", "thermal at 4 of 4 looks"),
        ("throttling", {"throttled": '["hardware_slowdown"]'}, "fail", "hardware slowdown"),
        ("throttling", {"throttled": '["power_cap"]'}, "pass", "power cap at 4 of 4 looks"),
        ("temperature", {"temperature_c": 75.0}, "warn", "75 to 75 C, mean 75"),
        ("clocks", {"clock_mhz": 1500.0}, "warn", "median 1500"),
    ],
)
def test_conditions_are_judged(
    tmp_path: Path, name: str, changed: dict[str, Any], verdict: str, words: str
) -> None:
    found = conditions(tmp_path, **changed)[name]
    assert found.verdict == verdict
    assert words in found.value


@pytest.mark.parametrize(
    ("watts", "times", "verdict"), [(600, 2, "fail"), (600, 1.2, "pass"), (420, 2, "pass")]
)
def test_another_workload_of_the_launch_shows_what_the_accelerator_could_do(
    tmp_path: Path, watts: float, times: float, verdict: str
) -> None:
    made = Fixture(
        rates={"a": 40.0}, rounds=1, meter=CARD, power_w=400.0, workloads={"other": (20, 10)}
    )
    store = write_results(tmp_path, made)
    tables = scan(store)
    other = pl.col("load_point") == 1
    value = (
        pl.when(other & (pl.col("metric") == "mean_power_w"))
        .then(pl.lit(float(watts)))
        .when(other & (pl.col("metric") == "tpot_ms"))
        .then(pl.col("value") / times)
        .otherwise("value")
    )
    points = evaluate(tables).with_columns(value=value)
    judged = hardware.judge(tables, store.launches(), points, validity.judge(tables))
    found = {
        point: check
        for (_, point), checks in judged.items()
        for check in checks
        if check.name == starved.NAME
    }
    # 400 of 700 W are 57 %: enough, if nothing else is known
    assert (found[0].verdict, found[1].verdict) == (verdict, "pass")
    assert ("with as many sequences other had" in found[0].detail) is (verdict == "fail")
