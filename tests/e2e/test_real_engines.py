"""Real engines on the processor: vLLM and transformers, killed in mid-run and resumed.

The environments are built (a few minutes) the first time and cached outside the checkout.
"""

from __future__ import annotations

import json
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from tests.programs import ROOT, program, ran, until, using
from tests.studies import CPU_TIME, PRICE, RAPL, SHORT, STREAMS, Table, written

from inferometer.store import Store, probes, requests

pytestmark = [pytest.mark.engine, pytest.mark.timeout(1800)]

TRANSFORMERS = {"name": "transformers", "graphs": False}
# Or the first log-probabilities wait for a kernel to be compiled: more than half of a launch.
VLLM = {"name": "vllm", "graphs": False, "extra_env": {"TORCHDYNAMO_DISABLE": "1"}}


def text_of(*engines: Table) -> str:
    return written(
        "real engines",
        preset="quick look",
        protocol={"rounds": 1, "window_s": 6.0},
        price=PRICE | {"usd_per_hour": 0.1},
        engines=engines,
        models=[{"name": "dense", "packaged": "smollm2-135m"}],
        workloads=[SHORT | {"output_tokens": 16}],
        loads=[STREAMS],
        meters=[CPU_TIME, RAPL],
    )


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, int], str]:
    """Run, kill with SIGKILL in the middle of the second launch, run again."""
    folder = tmp_path_factory.mktemp("real")
    study, results = folder / "study.toml", folder / "results"
    study.write_text(text_of(TRANSFORMERS, VLLM))
    store = Store(results)

    def second() -> bool:
        return len(store.launches()) == 1 and bool(list(results.glob("partial/*/server.log")))

    with (folder / "first.log").open("w") as log:
        line = program("run", study, "--results", results)
        ours = subprocess.Popen(line, stdout=log, stderr=log)
        until(lambda: ours.poll() is not None or second(), 1500, every_s=0.2)
        time.sleep(5.0)  # well inside the second engine's start
        assert ours.poll() is None, (folder / "first.log").read_text()
        assert using(results)
        ours.send_signal(signal.SIGKILL)
        ours.wait()
    first = {record.id: record.started_ns for record in store.launches()}
    assert until(lambda: not using(results), 30), using(results)
    done = ran("run", study, "--results", results)
    assert done.returncode == 0, done.stderr
    return results, first, done.stdout


def test_resuming_repeats_nothing_and_leaves_no_process(
    measured: tuple[Path, dict[str, int], str],
) -> None:
    results, first, _ = measured
    after = {record.id: record.started_ns for record in Store(results).launches()}
    assert len(first) == 1
    assert len(after) == 2
    assert {key: after[key] for key in first} == first
    assert using(results) == []


def test_both_engines_did_identical_work_of_exact_length(
    measured: tuple[Path, dict[str, int], str],
) -> None:
    store = Store(measured[0])
    records = store.launches()
    assert {record.stack["engine"] for record in records} == {"vllm", "transformers"}
    assert len({record.windows[0].work_sha256 for record in records}) == 1
    for record in records:
        done = [row for row in requests(store.folder(record.id)) if row.status == "ok"]
        assert len(done) >= 5
        assert {row.input_tokens for row in done if row.phase != "stagger"} == {32}
        assert all(row.input_tokens == row.input_tokens_expected for row in done)
        assert all(row.output_tokens == row.output_tokens_expected for row in done)
        assert max(row.output_tokens_expected for row in done) == 16
        assert len(probes(store.folder(record.id))) == 16
        told = (store.folder(record.id) / "scores.jsonl").is_file()
        assert told == (record.stack["engine"] == "vllm")
        assert record.precision == {"dtype": "bfloat16"}
        assert record.ready_s is not None
        assert (record.peak_memory_bytes or 0) > 200 << 20


def test_vllm_says_what_it_resolved_and_counts_what_we_received(
    measured: tuple[Path, dict[str, int], str],
) -> None:
    records = Store(measured[0]).launches()
    vllm = next(record for record in records if record.stack["engine"] == "vllm")
    told = {name: said.value for name, said in vllm.told.items()}
    assert int(str(told["kv_cache_tokens"])) > 10_000
    assert float(str(told["max_concurrency"])) > 1
    assert (told["graphs"], told["prefix_caching"]) == (False, True)
    (window,) = vllm.windows
    assert window.cache_reset == "done"
    assert window.counters["output_tokens"] > 0
    assert window.counters["prefix_cache_hits"] == 0
    cell = next(c for c in report(measured[0])["cells"] if c["stack"] == vllm.stack["id"])
    checks = {check["name"]: check["verdict"] for check in cell["checks"]}
    assert checks["engine's count"] in {"pass", "warn"}
    assert checks["engine's cache"] == "pass"
    assert cell["values"]["kv_cache_tokens"]["value"] == told["kv_cache_tokens"]
    assert cell["values"]["peak_device_memory_gib"]["reason"]


def test_the_engines_agree_on_greedy_tokens(
    measured: tuple[Path, dict[str, int], str],
) -> None:
    data = report(measured[0])
    (pair,) = data["parity"]
    assert pair["prompts"] == 16
    assert pair["verdict"] == "pass", pair
    assert "no log-probabilities from transformers" in pair["note"]


def test_the_report_ranks_all_three_objectives(
    measured: tuple[Path, dict[str, int], str],
) -> None:
    results, _, printed = measured
    data = report(results)
    ranked = {ranking["objective"]: ranking for ranking in data["rankings"]}
    assert set(ranked) == {"throughput", "energy", "cost"}
    assert all(len(ranking["entries"]) == 2 for ranking in ranked.values()), ranked
    assert ranked["energy"]["kind"] == "estimated"
    text = (results / "report" / "report.md").read_text()
    assert "vllm 0.32.0" in text
    assert "transformers 5.19.0" in printed
    server = next(stack for stack in data["stacks"] if stack["engine"] == "vllm")
    assert "--enforce-eager" in server["command"]
    assert server["resolved_configuration"]


def test_it_is_priced_twice_and_sized_with_no_engine_started(
    measured: tuple[Path, dict[str, int], str],
) -> None:
    results, scenario = measured[0], ROOT / "docs" / "examples" / "two-prices.toml"
    before = {path: path.stat().st_mtime_ns for path in results.rglob("*") if path.is_file()}
    cost = ran("cost", results, scenario, "--json")
    fleet = ran("fleet", results, scenario, "--json")
    assert (cost.returncode, fleet.returncode) == (0, 0), cost.stderr + fleet.stderr
    assert using(results) == []
    assert before == {path: path.stat().st_mtime_ns for path in before}
    flips = json.loads(cost.stdout)["flips"]
    assert {flip["hour"] for flip in flips} == {"rented", "owned"}
    for flip in flips:
        ratio, at = flip["price_ratio"]["value"], flip["flip_usd_per_hour"]["value"]
        assert at == pytest.approx(flip["leader_usd_per_hour"]["value"] * ratio)
    sized = json.loads(fleet.stdout)["fleet"]
    assert sized["demand"]["requests_per_day"] == 1_000_000
    assert {row["stack"] for row in sized["rows"]} == {flips[0]["leader"], flips[0]["follower"]}
    assert all(row["usd_per_month"]["kind"] == "estimated" for row in sized["rows"])


def report(results: Path) -> dict[str, Any]:
    data: dict[str, Any] = json.loads((results / "report" / "report.json").read_text())
    return data
