from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from inferometer.analyze import analyze
from inferometer.comparison import Comparison, Ranking
from inferometer.contests import primary_meter
from inferometer.records import LaunchRecord, MeterInfo
from inferometer.store import Store, decode, encode
from inferometer.testing.results import METER, Fixture, write_results

if TYPE_CHECKING:
    from pathlib import Path

TWO = {"a": 40.0, "b": 80.0}


def make(tmp_path: Path, **options: Any) -> Store:
    return write_results(tmp_path / "r", Fixture(**{"rates": TWO, **options}))


def ranking(seen: Comparison, objective: str, model: str = "dense") -> Ranking:
    (found,) = [r for r in seen.rankings if r.objective == objective and r.model == model]
    return found


def rewrite(store: Store, **fields: object) -> None:
    for record in store.launches():
        path = store.folder(record.id) / "launch.json"
        path.write_bytes(encode(msgspec.structs.replace(decode(path, LaunchRecord), **fields)))


def test_a_whole_study(tmp_path: Path) -> None:
    store = make(tmp_path, models=("dense", "moe"))
    seen = analyze(store.root)
    assert (seen.rounds_planned, seen.rounds_complete) == (3, 3)
    assert len(seen.cells) == 4
    assert all(cell.valid for cell in seen.cells)
    assert seen.missing == []
    for objective in ("throughput", "energy", "cost"):
        for model in ("dense", "moe"):
            found = ranking(seen, objective, model)
            assert [(e.stack, e.place) for e in found.entries] == [("b", 1), ("a", 2)]
            assert found.separated
            assert found.kind == "simulated"
    assert ranking(seen, "cost").follows_throughput is not None
    assert ranking(seen, "energy").follows_throughput is None
    cell = next(c for c in seen.cells if c.id == "a/dense/small/4")
    assert cell.values["output_tok_s"].value == pytest.approx(40)
    assert cell.values["energy_j_per_output_token@fixture"].value == pytest.approx(2)
    assert cell.values["bill_usd_per_mtok_output"].value == pytest.approx(25)
    assert cell.values["usd_per_mtok_output"].value == pytest.approx(22.5)  # nine tenths of it
    assert cell.values["usd_per_mtok_input"].value == pytest.approx(1.25)  # a tenth, twice as many
    assert cell.values["output_tok_s"].n == 3
    assert cell.commands == ["fixture --model dense --api-key '[hidden]'"]
    assert seen.created == "2026-01-01T03:05:11+00:00"
    assert any("SIMULATED" in text for text in seen.warnings)


def test_moe_over_dense(tmp_path: Path) -> None:
    seen = analyze(make(tmp_path, models=("dense", "moe")).root)
    found = {(r.stack, r.metric): r for r in seen.moe_ratios}
    assert len(found) == 6
    assert found["a", "output_tok_s"].ratio.value == pytest.approx(0.5)
    assert found["b", "energy_j_per_output_token"].ratio.value == pytest.approx(2)
    assert found["b", "bill_usd_per_mtok_output"].ratio.value == pytest.approx(2)
    assert "equal quality by construction" in found["a", "output_tok_s"].match
    assert "synthetic" in found["a", "output_tok_s"].match
    assert any("synthetic routing" in note for note in seen.notes)


def test_analysis_repeats_byte_for_byte_and_round_trips(tmp_path: Path) -> None:
    root = make(tmp_path).root
    first, second = encode(analyze(root)), encode(analyze(root))
    assert first == second
    assert encode(msgspec.json.decode(first, type=Comparison)) == first


def test_failed_launches_are_told_and_never_crash(tmp_path: Path) -> None:
    failed = frozenset({("b", 0), ("b", 1), ("b", 2)})
    seen = analyze(make(tmp_path, failed=failed).root)
    found = ranking(seen, "throughput")
    assert [e.verdict for e in found.entries] == ["alone"]
    assert [(u.stack, u.reason) for u in found.unranked] == [("b", "failed")]
    assert "out of memory" in found.unranked[0].detail
    (absent,) = seen.missing
    assert (absent.what, absent.reason) == ("b on dense, rounds 1, 2, 3", "failed")
    assert absent.fix == "Give it more memory."
    cell = next(c for c in seen.cells if c.stack == "b")
    assert not cell.valid
    assert {value.reason for value in cell.values.values()} == {"failed"}
    assert seen.rounds_complete == 0


def test_everything_failed(tmp_path: Path) -> None:
    failed = frozenset({(stack, i) for stack in TWO for i in range(3)})
    seen = analyze(make(tmp_path, failed=failed, models=("dense", "moe")).root)
    assert all(not r.entries for r in seen.rankings)
    assert len(seen.missing) == 4
    assert encode(seen)


def test_nothing_was_run_yet(tmp_path: Path) -> None:
    absent = frozenset({(stack, i) for stack in TWO for i in range(3)})
    seen = analyze(make(tmp_path, absent=absent).root)
    assert (seen.cells, seen.rankings, seen.created) == ([], [], "")
    assert [m.reason for m in seen.missing] == ["not_run", "not_run"]


def test_a_run_that_stopped_half_way_ranks_its_complete_rounds(tmp_path: Path) -> None:
    seen = analyze(make(tmp_path, absent=frozenset({("b", 2)})).root)
    assert (seen.rounds_planned, seen.rounds_complete) == (3, 2)
    assert ranking(seen, "throughput").n_rounds == 2
    cells = {cell.stack: cell.values["output_tok_s"].n for cell in seen.cells}
    assert cells == {"a": 3, "b": 2}
    assert [(m.what, m.reason) for m in seen.missing] == [("b on dense, round 3", "not_run")]


@pytest.mark.parametrize("name", ["readings", "requests", "probes"])
def test_a_deleted_file_never_becomes_a_zero(tmp_path: Path, name: str) -> None:
    store = make(tmp_path, rounds=2)
    for record in store.launches():
        (store.folder(record.id) / f"{name}.jsonl").unlink(missing_ok=True)
    (tmp_path / "r" / "host.json").unlink()
    seen = analyze(store.root)
    for cell in seen.cells:
        for key, value in cell.values.items():
            assert (value.value is None) == (value.reason is not None), key
            assert value.value != 0 or key == "error_rate" or "noise_percent" in key, key
    if name == "readings":
        assert [u.reason for u in ranking(seen, "energy").unranked] == ["coverage_low"] * 2
        assert len(ranking(seen, "throughput").entries) == 2


@pytest.mark.parametrize(
    "name", ["launch.json", "requests.jsonl", "chunks.bin", "readings.jsonl", "probes.jsonl"]
)
def test_what_one_stack_lost_changes_no_number_of_another(tmp_path: Path, name: str) -> None:
    store = make(tmp_path, rounds=2)
    before = {cell.id: cell for cell in analyze(store.root).cells}
    for record in store.launches():
        if record.stack["id"] == "a":
            (store.folder(record.id) / name).unlink(missing_ok=True)
    after = {cell.id: cell for cell in analyze(store.root).cells}
    assert after["b/dense/small/4"] == before["b/dense/small/4"]


def test_no_price_no_meter(tmp_path: Path) -> None:
    seen = analyze(make(tmp_path, usd_per_hour=None, meter=None).root)
    assert [u.reason for u in ranking(seen, "cost").unranked] == ["no_price"] * 2
    energy = ranking(seen, "energy")
    assert (energy.meter, [u.reason for u in energy.unranked]) == (None, ["no_sensor"] * 2)
    assert seen.price.reason == "no_price"
    assert [(m.what, m.reason) for m in seen.missing] == [
        ("energy", "no_sensor"),
        ("cost", "no_price"),
    ]


def test_a_meter_without_a_sensor_is_missing_with_its_reason(tmp_path: Path) -> None:
    info = MeterInfo(
        name="rapl", scope="L1", kind="measured", method="counters", reason="no_sensor"
    )
    seen = analyze(make(tmp_path, meter=info).root)
    assert [(m.what, m.reason) for m in seen.missing] == [("energy meter rapl (L1)", "no_sensor")]
    assert [u.reason for u in ranking(seen, "energy").unranked] == ["no_sensor"] * 2
    assert seen.cells[0].values["mean_power_w@rapl"].reason == "no_sensor"


def test_a_constant_wattage_says_that_energy_follows_throughput(tmp_path: Path) -> None:
    info = msgspec.structs.replace(METER, kind="declared", follows_throughput=True)
    store = make(tmp_path, meter=info)
    rewrite(store, environment={"kind": "venv"})
    energy = ranking(analyze(store.root), "energy")
    assert energy.kind == "estimated"
    assert "by construction" in (energy.follows_throughput or "")


def test_the_primary_meter_sees_the_load() -> None:
    def meter(name: str, kind: Any, **options: Any) -> MeterInfo:
        return MeterInfo(name=name, scope="L1", kind=kind, method="x", **options)

    constant = meter("declared", "declared", follows_throughput=True)
    model, counter = meter("cpu", "estimated"), meter("rapl", "measured")
    blind = meter("rapl", "measured", reason="no_permission")
    assert primary_meter({"d": constant, "c": model, "r": counter}) == "rapl"
    assert primary_meter({"d": constant, "c": model, "r": blind}) == "cpu"
    assert primary_meter({"r": blind}) is None


def test_an_invalid_cell_is_shown_and_not_ranked(tmp_path: Path) -> None:
    store = make(tmp_path)
    record = next(r for r in store.launches() if r.stack["id"] == "a")
    window = msgspec.structs.replace(record.windows[0], loop_lag_p99_ms=80.0)
    path = store.folder(record.id) / "launch.json"
    path.write_bytes(encode(msgspec.structs.replace(record, windows=[window])))
    seen = analyze(store.root)
    found = ranking(seen, "throughput")
    assert [(u.stack, u.reason) for u in found.unranked] == [("a", "starved")]
    cell = next(c for c in seen.cells if c.stack == "a")
    assert not cell.valid
    assert cell.values["output_tok_s"].value == pytest.approx(40)
    assert any("a/dense/small/4 is invalid" in text for text in seen.warnings)


def test_the_measuring_half_stays_out(tmp_path: Path) -> None:
    measuring = ("launch", "load", "runner", "environment", "measure", "metering")
    code = (
        "import sys, inferometer.analyze, inferometer.testing.results\n"
        f"print([n for n in sys.modules for m in {measuring!r} "
        "if n == 'inferometer.' + m or n.startswith(f'inferometer.{m}.')])"
    )
    seen = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert seen.stdout.strip() == "[]"


class Entries(Fixture):
    """With further keys of ``[[engines]]`` for stack ``b``."""

    def study_text(self) -> str:
        return super().study_text().replace('name = "b"', f'name = "b"\n{KEYS}')


KEYS = ""


def entries(tmp_path: Path, keys: str, monkeypatch: pytest.MonkeyPatch, **options: Any) -> Store:
    monkeypatch.setitem(globals(), "KEYS", keys)
    return write_results(tmp_path / "r", Entries(**{"rates": TWO, **options}))


def test_profiles_are_ranked_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rates = {"a": 40.0, "b": 80.0, "c": 60.0}
    store = entries(tmp_path, 'profile = "equalized"', monkeypatch, rates=rates)
    found = [r for r in analyze(store.root).rankings if r.objective == "throughput"]
    assert [(r.profile, [e.stack for e in r.entries]) for r in found] == [
        ("defaults", ["c", "a"]),
        ("equalized", ["b"]),
    ]


def answers(store: Store, stack: str, ids: list[int], model: str = "dense") -> None:
    for record in store.launches():
        path = store.folder(record.id) / "probes.jsonl"
        if (record.stack["id"], record.model["name"]) == (stack, model) and path.exists():
            lines = [decode_line(it) | {"token_ids": ids} for it in path.read_bytes().splitlines()]
            path.write_bytes(b"".join(msgspec.json.encode(line) + b"\n" for line in lines))


def decode_line(line: bytes) -> dict[str, Any]:
    return msgspec.json.decode(line, type=dict[str, Any])


def test_other_answers_are_shown_beside_the_ranked_and_have_no_place(tmp_path: Path) -> None:
    store = make(tmp_path, rates={"a": 40.0, "b": 80.0, "c": 60.0})
    answers(store, "b", [9, 2, 3, 4])
    seen = analyze(store.root)
    found = ranking(seen, "throughput")
    assert [e.stack for e in found.entries] == ["c", "a"]
    (out,) = found.unranked
    assert (out.stack, out.reason) == ("b", "parity_failed")
    assert "0.0% of greedy tokens agree up to the first difference (limit 90%)" in out.detail
    assert out.value is not None
    assert out.ratio_to_best is not None
    assert out.value.value == pytest.approx(80)
    assert out.ratio_to_best.value == pytest.approx(80 / 60)
    assert {r.objective for r in seen.rankings if r.unranked} == {"throughput", "energy", "cost"}
    assert {cell.refused for cell in seen.cells if cell.stack == "b"} == {"parity_failed"}
    assert any("b on dense is shown and not ranked" in text for text in seen.warnings)


def test_a_twin_that_answers_otherwise_has_no_ratio_to_its_dense_model(tmp_path: Path) -> None:
    store = make(tmp_path, models=("dense", "moe"))
    answers(store, "b", [9, 2, 3, 4], "moe")
    found = {r.stack: r.ratio for r in analyze(store.root).moe_ratios if r.metric == "output_tok_s"}
    assert found["a"].value == pytest.approx(0.5)
    assert (found["b"].value, found["b"].reason) == (None, "parity_failed")
    assert "0.0% of greedy tokens agree" in found["b"].detail


def test_a_ratio_of_two_precisions_says_so(tmp_path: Path) -> None:
    store = make(tmp_path, models=("dense", "moe"))
    for record in store.launches():
        known = {"dtype": "bfloat16"}
        if (record.stack["id"], record.model["name"]) == ("b", "moe"):
            known["quantization"] = "fp8"
        path = store.folder(record.id) / "launch.json"
        path.write_bytes(encode(msgspec.structs.replace(record, precision=known)))
    found = {r.stack: r.match for r in analyze(store.root).moe_ratios}
    assert "precision" not in found["a"]
    assert "NOT the precision: bfloat16, weights fp8 over bfloat16" in found["b"]


def test_another_precision_is_ranked_when_it_answers_alike(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = entries(tmp_path, 'dtype = "float32"', monkeypatch)
    for record in store.launches():
        if record.stack["id"] == "b":
            path = store.folder(record.id) / "launch.json"
            known = {"dtype": "float32", "kv_cache_dtype": "fp8"}
            model = record.model | {"dtype": "bfloat16"}
            path.write_bytes(encode(msgspec.structs.replace(record, precision=known, model=model)))
    found = ranking(analyze(store.root), "throughput")
    assert [(e.stack, e.precision, e.compression) for e in found.entries] == [
        ("b", "float32, KV fp8", 1.0),
        ("a", "bfloat16", 2.0),
    ]
    for record in store.launches():
        (store.folder(record.id) / "probes.jsonl").unlink(missing_ok=True)
    (out,) = ranking(analyze(store.root), "throughput").unranked
    assert (out.stack, out.reason) == ("b", "not_compared")


def test_a_stack_with_a_checkpoint_of_its_own_is_pooled_with_the_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = entries(tmp_path, 'checkpoints = { dense = "/models/awq" }', monkeypatch)
    for record in store.launches():
        if record.stack["id"] == "b":
            model = record.model | {"sha256": "9" * 64, "checkpoint": True, "weights_bytes": 500}
            path = store.folder(record.id) / "launch.json"
            path.write_bytes(encode(msgspec.structs.replace(record, model=model)))
    seen = analyze(store.root)
    assert seen.models[0].sha256 == "0" * 64
    assert {e.stack: e.compression for e in ranking(seen, "cost").entries} == {"a": 1.0, "b": 4.0}


def test_ratios_of_joules_and_dollars_are_paired_by_round(tmp_path: Path) -> None:
    both = {(stack, 1): 1.25 for stack in TWO}  # a round in which everything is quicker
    seen = analyze(make(tmp_path, models=("dense", "moe"), drift=both).root)
    for objective in ("throughput", "energy", "cost"):
        entry = ranking(seen, objective).entries[1]
        twice = 0.5 if objective == "throughput" else 2
        ratio = entry.ratio_to_best
        assert (ratio.value, ratio.low, ratio.high) == pytest.approx((twice,) * 3)
        assert entry.value.low is not None
        assert entry.value.high is not None
        assert entry.value.high / entry.value.low > 1.5  # the launches themselves differ
    assert {found.metric for found in seen.moe_ratios} == {
        *("output_tok_s", "energy_j_per_output_token", "bill_usd_per_mtok_output")
    }
    for found in seen.moe_ratios:
        twice = 0.5 if found.metric == "output_tok_s" else 2
        assert (found.ratio.value, found.ratio.low, found.ratio.high) == pytest.approx((twice,) * 3)
        assert found.ratio.n == 3


def test_a_paired_ratio_is_the_geometric_mean_of_the_rounds_own(tmp_path: Path) -> None:
    drift = {("b", 0): 0.5, ("b", 1): 2.0, ("a", 2): 1.0}
    entry = ranking(analyze(make(tmp_path, drift=drift).root), "energy").entries[1]
    assert entry.stack == "a"
    # J/token of a over b: 1, 4 and 2 by round, whose geometric mean is 2
    assert entry.ratio_to_best.value == pytest.approx(2)
