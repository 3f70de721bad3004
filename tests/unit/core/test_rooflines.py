"""Decode steps against the roofline. Four streams, a token each every 100 ms, 2,000 bytes."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from inferometer.analyze import analyze, gather
from inferometer.hardware import loads
from inferometer.metrics.windows import population
from inferometer.records import Device, MeterInfo
from inferometer.store import Store
from inferometer.testing.results import Fixture, write_results

if TYPE_CHECKING:
    from pathlib import Path

    from inferometer.comparison import Comparison, Roofline

PROCESSOR = {
    "read_s": 40_000.0,
    "copy_s": 80_000.0,
    "flops": {"float32": 40_000.0, "bfloat16": 160_000.0},
    "by": {"float32": "numpy", "bfloat16": "torch"},
    "threads": 2,
    "array_bytes": 10**9,
    "cache_bytes": 100,
    "seen": "2026-11-22",
}
"""A processor that reads a step's 2,000 bytes in 25 ms, and computes its 8,000 FLOPs in 50 ms."""
HOST = {"cpu_model": "made up", "gpus": [], "memory_gib": 2, "processor": PROCESSOR}


def card(model: str) -> MeterInfo:
    devices = [Device(name="device-0", model=model, power_limit_w=700.0)]
    return MeterInfo(name="card", scope="L0", kind="simulated", method="made up", devices=devices)


def changed(root: Path, **fields: dict[str, Any]) -> None:
    """Change dictionaries of every launch record, such as its model; each launch ran an engine."""
    for path in root.glob("launches/*/launch.json"):
        record = json.loads(path.read_text())
        record["environment"] = {"kind": "venv", "sha256": "0" * 64}
        for name, values in fields.items():
            record[name] = {**(record.get(name) or {}), **values}
        path.write_text(json.dumps(record))


def real(root: Path, host: dict[str, Any] | None = None, **fields: dict[str, Any]) -> Comparison:
    """Analyse results of an engine that ran on the made-up processor, in bfloat16."""
    write_results(root, Fixture(rates={"a": 40.0}, meter=None, host=HOST | (host or {})))
    model = {"dtype": "bfloat16", "kv_bytes_per_token": 0} | fields.pop("model", {})
    changed(root, model=model, **fields)
    return analyze(root)


def only(found: Comparison) -> Roofline:
    (roofline,) = found.rooflines
    return roofline


def numbers(roofline: Roofline, *names: str) -> list[float | None]:
    found = [getattr(roofline, name).value for name in names]
    return [value if value is None else round(value, 6) for value in found]


def test_a_processor_bounds_by_the_longer_of_reading_and_computing(tmp_path: Path) -> None:
    found = real(tmp_path)
    (hardware,) = found.hardware
    assert (hardware.name, hardware.kind) == ("made up, 2 threads", "measured")
    assert hardware.bytes_s == 80_000
    assert "in float32 by numpy, in bfloat16 by torch" in hardware.source
    seen = only(found)
    assert seen.hardware == hardware.name
    assert numbers(seen, "batch", "context", "step_ms") == [4, 25, 100]
    assert seen.batch_source == "client"
    assert numbers(seen, "weight_bytes", "flops") == [2000, 8000]
    assert numbers(seen, "bandwidth_share", "compute_share", "achieved") == [0.25, 0.5, 0.5]
    assert seen.bound == "compute"
    assert numbers(seen, "ceiling_tok_s") == [80]  # four tokens each 50 ms; 40 were made
    assert (seen.batch.kind, seen.achieved.kind, seen.achieved.n) == ("derived", "estimated", 3)
    assert "input embedding" not in seen.flops.detail
    assert "was not recorded" in seen.flops.detail
    assert seen.experts_touched.reason == seen.experts_seen.reason == "dense"


def test_the_servers_own_steps_tell_the_batch(tmp_path: Path) -> None:
    write_results(tmp_path, Fixture(rates={"a": 40.0}, meter=None, host=HOST))
    changed(tmp_path, model={"dtype": "bfloat16"})
    for path in tmp_path.glob("launches/*/launch.json"):
        record = json.loads(path.read_text())
        record["windows"][0]["counters"] = {"output_tokens": 300, "steps": 100}
        path.write_text(json.dumps(record))
    seen = only(analyze(tmp_path))
    assert seen.batch_source == "server"
    assert numbers(seen, "batch", "flops") == [3, 6000]


def test_a_mixture_of_experts_reads_what_its_batch_touches(tmp_path: Path) -> None:
    model = {
        "architecture": "moe",
        "total_parameters": 1000,
        "active_parameters": 400,
        "experts": 8,
        "top_k": 2,
    }
    seen = only(real(tmp_path, model=model))
    assert (seen.experts, seen.top_k) == (8, 2)
    assert numbers(seen, "experts_touched") == [5.46875]  # 8 * (1 - (3/4)**4)
    # an expert is 600 / 6 = 100 parameters: 2.53125 of them are not read
    assert numbers(seen, "weight_bytes") == [2000 - 2 * 253.125]
    assert "even routing" in seen.experts_touched.detail
    assert seen.experts_seen.reason == "not_told"
    assert seen.bandwidth_share.detail.startswith("weights alone")  # no KV bytes are known


def test_a_share_above_one_is_flagged(tmp_path: Path) -> None:
    slow = {**PROCESSOR, "read_s": 10_000.0, "copy_s": 8_000.0, "cache_bytes": 1500}
    seen = only(real(tmp_path, host={"processor": slow}))
    assert numbers(seen, "bandwidth_share", "achieved") == [2, 2]
    assert "ABOVE 1: more than the probe reached" in seen.bandwidth_share.detail
    assert "the processor's last cache holds" in seen.bandwidth_share.detail
    assert seen.bound == "memory"
    assert "ABOVE" not in seen.compute_share.detail


def test_a_type_slower_than_float32_is_bounded_by_float32(tmp_path: Path) -> None:
    """Without AMX such processors are common: what is stored in bfloat16 is computed in float32."""
    slow = {**PROCESSOR, "flops": {"float32": 160_000.0, "bfloat16": 40_000.0}}
    found = real(tmp_path, host={"processor": slow})
    assert numbers(only(found), "compute_share") == [0.5]
    assert found.hardware[0].flops == {"float32": 160_000, "bfloat16": 160_000}
    assert "no type taken for slower than float32" in found.hardware[0].source


def test_a_type_that_was_not_probed_leaves_memory_alone(tmp_path: Path) -> None:
    plain = {**PROCESSOR, "flops": {"float32": 40_000.0}}
    seen = only(real(tmp_path, host={"processor": plain}))
    assert (seen.compute_share.reason, seen.bound) == ("no_peaks", None)
    assert seen.compute_share.detail == "FLOP/s in bfloat16 are not known"
    assert numbers(seen, "achieved", "ceiling_tok_s") == [0.25, 160]
    assert seen.ceiling_tok_s.detail.startswith("of memory alone")


@pytest.mark.parametrize(
    ("host", "fields", "reason", "words"),
    [
        ({"processor": {"reason": "too \x1b[1mbad"}}, {}, "no_peaks", "too"),
        ({"processor": None}, {}, "no_peaks", "was not probed"),
        ({"processor": {"read_s": "much"}}, {}, "no_peaks", "was not probed"),
        ({"gpus": ["X1"]}, {}, "no_peaks", "not in the table of accelerators: X1"),
        ({"gpus": ["NVIDIA H200", "NVIDIA L4"]}, {}, "no_peaks", "NVIDIA H200, NVIDIA L4"),
        ({}, {"environment": {"kind": "url"}}, "no_peaks", "someone else's server"),
        ({}, {"precision": {"quantization": "fp8"}}, "not_told", "weights as served"),
    ],
)
def test_what_is_not_known_has_its_reason(
    tmp_path: Path, host: dict[str, Any], fields: dict[str, Any], reason: str, words: str
) -> None:
    seen = only(real(tmp_path, host=host, **fields))
    assert (seen.achieved.value, seen.achieved.reason) == (None, reason)
    assert words in seen.achieved.detail
    assert "\x1b" not in seen.achieved.detail
    assert numbers(seen, "batch", "step_ms") == [4, 100]


def test_with_speculative_decoding_nothing_is_said_of_a_step(tmp_path: Path) -> None:
    write_results(tmp_path, Fixture(rates={"a": 40.0}, meter=None, host=HOST))
    changed(tmp_path, model={"dtype": "bfloat16"}, asked={"speculative": {"tokens": 3}})
    for path in tmp_path.glob("launches/*/launch.json"):
        record = json.loads(path.read_text())
        record["windows"][0]["counters"] = {"output_tokens": 300, "steps": 25}
        path.write_text(json.dumps(record))
    seen = only(analyze(tmp_path))
    assert seen.batch_source == "client"  # 300 tokens in 25 steps are no 12 sequences
    assert numbers(seen, "batch", "context") == [4, 25]
    names = ("experts_touched", "weight_bytes", "cache_bytes", "flops", "step_ms", "achieved")
    for value in (getattr(seen, name) for name in names):
        assert (value.value, value.reason) == (None, "speculative")


def test_the_cache_is_as_wide_as_what_the_model_is_served_in(tmp_path: Path) -> None:
    model = {"kv_bytes_per_token": 2}
    own = only(real(tmp_path / "own", model=model))
    cast = only(real(tmp_path / "cast", model=model, precision={"dtype": "float32"}))
    narrow = {"dtype": "float32", "kv_cache_dtype": "fp8"}
    fp8 = only(real(tmp_path / "fp8", model=model, precision=narrow))
    assert numbers(own, "weight_bytes", "cache_bytes") == [2000, 4 * 25 * 2]
    assert numbers(cast, "weight_bytes", "cache_bytes") == [4000, 4 * 25 * 4]
    assert numbers(fp8, "weight_bytes", "cache_bytes") == [4000, 4 * 25]


def test_a_long_answer_is_in_as_many_steps_as_it_has_tokens(tmp_path: Path) -> None:
    """Prompts of 20: answers of 2 and of 10 hold 21 and 25, in 2 and 10 steps."""
    write_results(tmp_path, Fixture(rates={"a": 40.0}, rounds=1, meter=None))
    evidence = gather(Store(tmp_path), None)
    short = pl.col("index") % 2 == 0
    made = pl.when(short).then(pl.lit(2)).otherwise(pl.lit(10))
    requests = evidence.tables.requests.with_columns(output_tokens=made, input_tokens=pl.lit(20))
    tables = replace(evidence.tables, requests=requests)
    full = population(tables).filter("finished")["output_tokens"].to_list()
    twos, tens = full.count(2), full.count(10)
    assert min(twos, tens) > 0
    ((_, load),) = loads(tables, evidence.points).items()
    steps = 2 * twos + 10 * tens
    assert load.context == pytest.approx((2 * twos * 21 + 10 * tens * 25) / steps)


def test_accelerators_count_as_many_as_the_launch_asked_for(tmp_path: Path) -> None:
    host = {"gpus": ["NVIDIA H200"] * 8}
    found = real(tmp_path, host=host, asked={"tensor_parallel_size": 2})
    (hardware,) = found.hardware
    assert (hardware.name, hardware.count, hardware.kind) == ("NVIDIA H200", 2, "declared")
    assert only(found).hardware == "2 x NVIDIA H200"
    assert hardware.bytes_s == 2 * 4.8e12
    assert hardware.flops["float16"] == hardware.flops["bfloat16"] == 2 * 989e12
    assert (hardware.memory_bytes, hardware.tdp_w) == (282e9, 1400)
    assert only(found).bound == "memory"
    assert only(found).bandwidth_share.value == pytest.approx(2000 / 0.1 / 9.6e12)


def test_a_simulated_engine_has_simulated_hardware_and_never_this_machines(tmp_path: Path) -> None:
    write_results(
        tmp_path / "card", Fixture(rates={"a": 40.0}, meter=card("NVIDIA H200"), host=HOST)
    )
    seen = only(analyze(tmp_path / "card"))
    assert seen.hardware == "NVIDIA H200"
    assert {seen.batch.kind, seen.achieved.kind} == {"simulated"}
    write_results(tmp_path / "none", Fixture(rates={"a": 40.0}, meter=None, host=HOST))
    found = analyze(tmp_path / "none")
    assert found.hardware == []
    assert only(found).achieved.reason == "no_peaks"
    assert only(found).achieved.detail == "simulated: no hardware computed it"
