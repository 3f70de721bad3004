from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from inferometer.metrics.catalogue import BY_ID, METRICS
from inferometer.metrics.energy import energies
from inferometer.metrics.evaluate import evaluate
from inferometer.metrics.money import nothing
from inferometer.metrics.windows import batches, within
from inferometer.records import MeterInfo
from inferometer.tables import Tables, scan
from inferometer.testing.results import SECOND, Fixture, write_results

if TYPE_CHECKING:
    from pathlib import Path


def money(
    found: Tables, usd_per_hour: float | None = 3.6, input_share: float = 0.2
) -> pl.DataFrame:
    shares = {"input_share": input_share, "output_share": 1 - input_share}
    kinds = dict.fromkeys(("usd_per_hour_kind", "input_share_kind"), "estimated")
    given = {"usd_per_hour": usd_per_hour, **shares, **kinds}
    return nothing(found).with_columns(**{name: pl.lit(value) for name, value in given.items()})


MEASURED = MeterInfo(name="m", scope="L0", kind="measured", method="made up", update_ms=1.0)


def tables(tmp_path: Path, **options: Any) -> Tables:
    options = {"rates": {"a": 40.0}, "rounds": 1, **options}
    return scan(write_results(tmp_path / "r", Fixture(**options)))


def real(found: Tables) -> Tables:
    return replace(found, launches=found.launches.with_columns(simulated=pl.lit(value=False)))


def number(points: pl.DataFrame, metric: str, column: str = "value") -> Any:
    return points.filter(pl.col("metric") == metric)[column].item()


def test_whole_numbers(tmp_path: Path) -> None:
    found = tables(tmp_path)
    points = evaluate(found, money(found))
    expected = {
        "output_tok_s": 40,  # 4 streams, a token every 100 ms each
        "input_tok_s": 80,  # 4 requests a second of 20 prompt tokens
        "total_tok_s": 120,
        "prefill_tok_s": 80,  # nothing came from a cache
        "decode_tok_s": 36,  # nine of ten tokens: the first of an answer is its prefill's
        "requests_s": 4,
        "error_rate": 0,
        "ttft_ms": 100,
        "ttft_p50_ms": 100,
        "ttft_intended_ms": 100,
        "tpot_ms": 100,
        "e2e_ms": 1000,
        "interactivity_tok_s_user": 10,
        "energy_j_per_output_token": 2,  # 80 W / 40 tok/s
        "energy_j_per_total_token": 80 / 120,
        "output_tokens_per_j": 0.5,
        "mean_power_w": 80,
        "bill_usd_per_mtok_output": 25,  # 0.001 USD/s / 40 tok/s * 1e6
        "usd_per_mtok_output": 20,  # four fifths of it
        "usd_per_mtok_input": 2.5,  # a fifth, over twice as many tokens
        "usd_per_mtok_total": 0.001 / 120 * 1e6,
        "output_tok_per_usd": 50_000,
        "input_tok_per_usd": 400_000,
        "total_tok_per_usd": 120_000,
        "usd_per_request": 0.00025,
        "usd_per_user_hour": 0.9,  # four users
    }
    for metric, value in expected.items():
        assert number(points, metric) == pytest.approx(value), metric
    assert points["kind"].unique().to_list() == ["simulated"]


def test_uncounted_events_give_the_same_throughput(tmp_path: Path) -> None:
    points = evaluate(tables(tmp_path, counted=False))
    assert number(points, "output_tok_s") == pytest.approx(40)
    assert "apportioned" in number(points, "output_tok_s", "detail")


def test_value_and_reason_exclude_each_other(tmp_path: Path) -> None:
    points = evaluate(tables(tmp_path))
    assert (points["value"].is_null() == points["reason"].is_not_null()).all()
    assert number(points, "usd_per_mtok_output", "reason") == "no_price"
    assert number(points, "e2e_p99_ms", "reason") == "too_few_samples"


@pytest.mark.parametrize(("cache", "computed"), [("cold", 80), ("warm", None)])
def test_prompts_that_a_cache_may_have_held_count_only_where_that_is_told(
    tmp_path: Path, cache: str, computed: float | None
) -> None:
    found = tables(tmp_path)
    found = replace(found, windows=found.windows.with_columns(cache=pl.lit(cache)))
    mute = found.requests.with_columns(cached_tokens=pl.lit(None, pl.Int64))
    points = evaluate(replace(found, requests=mute))
    assert number(points, "prefill_tok_s") == computed
    assert number(points, "prefill_tok_s", "reason") == (None if computed else "not_told")
    assert "cache" in number(points, "prefill_tok_s", "detail")
    half = found.requests.with_columns(cached_tokens=pl.lit(10, pl.Int64))
    told = evaluate(replace(found, requests=half))
    assert number(told, "prefill_tok_s") == 40
    assert number(told, "prefill_tok_s", "detail") == ""
    # an engine that leaves out a nought: 10 of 20 tokens of 18 of the 36 prompts that were answered
    # in 10 s; in a warm window the 4 that were cut are taken to be cached alike
    prefill = {"cold": 80 - 18, "warm": 0.75 * 80}[cache]
    answered = pl.col("status") == "ok"
    every_other = pl.when(answered & (pl.col("index") % 2 == 0)).then(10).cast(pl.Int64)
    some = found.requests.with_columns(cached_tokens=every_other)
    points = evaluate(replace(found, requests=some))
    assert number(points, "prefill_tok_s") == pytest.approx(prefill)


def test_an_engine_that_counts_its_busy_seconds_tells_how_quick_each_phase_is(
    tmp_path: Path,
) -> None:
    found = tables(tmp_path)
    assert number(evaluate(found), "prefill_busy_tok_s", "reason") == "not_told"
    counting = found.windows.with_columns(
        counters=pl.lit('{"prefill_busy_s": 2.0, "decode_busy_s": 5.0}'),
        counters_start_ns="start_ns",
        counters_end_ns="end_ns",
    )
    points = evaluate(replace(found, windows=counting))
    assert number(points, "prefill_busy_tok_s") == pytest.approx(400)  # 80 in a fifth of the time
    assert number(points, "decode_busy_tok_s") == pytest.approx(72)  # 36 in half of it


def test_kinds(tmp_path: Path) -> None:
    found = real(tables(tmp_path, meter=MEASURED))
    points = evaluate(found, money(found))
    assert number(points, "output_tok_s", "kind") == "measured"
    assert number(points, "usd_per_mtok_output", "kind") == "estimated"
    assert number(points, "energy_j_per_output_token", "kind") == "measured"
    assert "uncorroborated" in number(points, "energy_j_per_output_token", "detail")


def test_declared_watts_make_estimated_joules(tmp_path: Path) -> None:
    declared = MeterInfo(name="d", scope="L1", kind="declared", method="typed")
    found = real(tables(tmp_path, meter=declared))
    points = evaluate(found, money(found))
    assert number(points, "energy_j_per_output_token", "kind") == "estimated"
    assert number(points, "mean_power_w", "kind") == "declared"


def test_answers_that_came_at_once_have_no_time_per_token(tmp_path: Path) -> None:
    found = tables(tmp_path)
    found = replace(found, requests=found.requests.with_columns(first_ns=pl.col("last_ns")))
    points = evaluate(found)
    assert number(points, "tpot_p50_ms") is None
    assert number(points, "tpot_p50_ms", "reason") == "too_few_samples"
    assert number(points, "interactivity_tok_s_user", "reason") == "too_few_samples"
    assert "came at once" in number(points, "interactivity_tok_s_user", "detail")
    assert number(points, "e2e_p50_ms") == pytest.approx(1000)


def test_a_failed_request_is_unfinished_for_ever(tmp_path: Path) -> None:
    found = tables(tmp_path, window_s=20)  # 80 requests end in the window
    failed = pl.col("index") % 2 == 0
    status = pl.when(failed).then(pl.lit("error")).otherwise(pl.col("status"))
    found = replace(found, requests=found.requests.with_columns(status=status))
    points = evaluate(found)
    assert number(points, "ttft_ms") == pytest.approx(100)  # of those that finished
    assert "unfinished" in number(points, "ttft_ms", "detail")
    assert number(points, "ttft_p90_ms") is None
    assert number(points, "ttft_p90_ms", "reason") == "failed"
    assert 0.4 < number(points, "error_rate") < 0.6


def test_a_shortened_request_is_a_request_and_has_no_latency(tmp_path: Path) -> None:
    found = tables(tmp_path, window_s=20)
    short = pl.when(pl.col("index") < 8).then(pl.lit("stagger")).otherwise(pl.col("phase"))
    failed = pl.when(pl.col("index") == 7).then(pl.lit("error")).otherwise(pl.col("status"))
    found = replace(found, requests=found.requests.with_columns(phase=short, status=failed))
    points = evaluate(found)
    assert number(points, "requests_s") == pytest.approx(3.95)  # 80 in 20 s, but for the failed one
    assert number(points, "error_rate") == pytest.approx(1 / 80)
    assert number(points, "ttft_p90_ms") == pytest.approx(100)
    worth = "72 requests, design effect 1; too few to bound it"
    assert number(points, "ttft_p90_ms", "detail") == worth


def test_too_few_requests_say_how_many_it_takes(tmp_path: Path) -> None:
    points = evaluate(tables(tmp_path))
    assert number(points, "ttft_p90_ms") is None
    assert number(points, "ttft_p90_ms", "detail") == "p90 needs 64 requests, 40 ended"
    found = tables(tmp_path / "uneven")
    # eight requests in a row are slow, then eight quick: shares 0 1 0 1 0, 8 * 0.3 / 0.24 = 10
    slow = ((pl.col("last_ns") - pl.col("last_ns").min()) // (2 * SECOND)) % 2 == 1
    first = pl.when(slow).then(pl.col("first_ns") + SECOND // 2).otherwise(pl.col("first_ns"))
    uneven = replace(found, requests=found.requests.with_columns(first_ns=first))
    assert number(evaluate(uneven), "ttft_p50_ms", "detail") == (
        "p50 needs 11 x 10 = 110 requests, 40 ended"
    )
    assert number(points, "ttft_p50_ms", "detail") == (
        "40 requests, design effect 1; inside this launch 100 to 100 ms"
    )


def test_a_cut_request_is_neither_success_nor_error(tmp_path: Path) -> None:
    found = tables(tmp_path)
    assert (found.requests["status"] == "cut").sum() > 0
    points = evaluate(found)
    assert number(points, "error_rate") == 0
    assert number(points, "requests_s") == 4


@pytest.mark.parametrize("gone", ["readings", "requests", "counts"])
def test_missing_rows_never_become_a_number(tmp_path: Path, gone: str) -> None:
    found = tables(tmp_path)
    left = replace(found, **{gone: getattr(found, gone).clear()})
    points = evaluate(left, money(left))
    zero = pl.col("metric").is_in(
        ["error_rate", "window_noise_percent", "energy_noise_percent"]
    )  # may well be 0
    assert not (points.filter(~zero)["value"] == 0).any()
    energy = points.filter(pl.col("meter").is_not_null())
    assert energy.height == len([metric for metric in METRICS if metric.grain == "meter"])
    if gone == "readings":
        assert set(energy["reason"]) == {"coverage_low"}
    if gone == "counts":
        assert number(points, "output_tok_s", "reason") is not None


def test_tokens_of_a_window_s_batches(tmp_path: Path) -> None:
    parts = batches(tables(tmp_path, rates={"a": 40.0, "b": 80.0}))  # windows of 10 s
    assert parts.select("batch", "output_tokens", "events", "tokens_known").rows() == [
        (batch, tokens, tokens, True) for tokens in (80, 160) for batch in range(5)
    ]
    assert (parts["end_ns"] - parts["start_ns"]).unique().to_list() == [2 * SECOND]


def test_a_span_between_edges_is_refused_and_one_without_events_is_not_there(
    tmp_path: Path,
) -> None:
    found = tables(tmp_path)
    spans = found.windows.select("launch", "load_point", "start_ns", "end_ns")
    assert within(found, spans)["output_tokens"].to_list() == [400]
    assert within(found, spans, ("warmup",)).height == 0
    with pytest.raises(ValueError, match="between two edges"):
        within(found, spans.with_columns(pl.col("end_ns") - 1))


def test_an_unreadable_meter_passes_its_reason_on(tmp_path: Path) -> None:
    info = MeterInfo(
        name="rapl", scope="L1", kind="measured", method="counters", reason="no_permission"
    )
    points = evaluate(tables(tmp_path, meter=info))
    energy = points.filter(pl.col("meter") == "rapl")
    assert energy["reason"].unique().to_list() == ["no_permission"]
    assert energy["value"].null_count() == energy.height


def test_a_device_lost_in_one_launch_is_a_hole_and_not_a_saving(tmp_path: Path) -> None:
    found = tables(tmp_path, rounds=2)
    second = found.readings.filter(pl.col("round") == 0).with_columns(device=pl.lit("device-1"))
    energy = energies(replace(found, readings=pl.concat([found.readings, second])))
    by_round = energy.join(found.launches.select("launch", "round"), on="launch").sort("round")
    assert by_round["energy_j"].to_list() == [1600, None]
    assert by_round["energy_j_reason"].to_list() == [None, "device_lost"]


@pytest.mark.parametrize(("factor", "reason"), [(1.01, None), (1.2, "disputed")])
def test_two_instruments_agree_or_are_disputed(
    tmp_path: Path, factor: float, reason: str | None
) -> None:
    found = tables(tmp_path, meter=MEASURED)
    other = found.readings.with_columns(meter=pl.lit("n"), value=pl.col("value") * factor)
    info = found.meters.with_columns(name=pl.lit("n"))
    both = replace(
        found,
        readings=pl.concat([found.readings, other]),
        meters=pl.concat([found.meters, info]),
    )
    energy = energies(both)
    assert energy["energy_j_reason"].to_list() == [reason, reason]
    assert energy["energy_j"].is_null().to_list() == [reason is not None] * 2


def test_declarations_are_complete() -> None:
    assert len(BY_ID) == len(METRICS)
    assert all(metric.formula and metric.unit and metric.title for metric in METRICS)
    assert BY_ID["ttft_p90_ms"].least_requests == 64
    assert BY_ID["ttft_p99_ms"].least_requests == 662
    assert all((metric.grain == "request") >= (metric.percentile is not None) for metric in METRICS)
