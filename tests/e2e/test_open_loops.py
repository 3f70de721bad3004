"""A study with closed loop, open loop, trace and conversations: measured, analysed, reported."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.measuring import measure, undisturbed
from tests.studies import CPU_TIME, DECLARED, PRICE, SHORT, STREAMS, oracle, written

from inferometer import cli
from inferometer.analyze import analyze
from inferometer.comparison import Cell, Comparison
from inferometer.errors import UsageError
from inferometer.store import Store
from inferometer.testing.engine import write_model

TALK = {
    "name": "talk",
    "input_tokens": 24,
    "output_tokens": 8,
    "turns": 3,
    "think_s": 0.01,
    "cache": "warm",
}


def text_of(folder: Path, window_s: float = 1.0) -> str:
    return written(
        "Capacity and waiting",
        protocol={"rounds": 2, "window_s": window_s, "discard_s": 0.2},
        price=PRICE,
        engines=[oracle("--itl-ms", "2"), oracle("--itl-ms", "6")],
        models=[{"name": "dense", "path": folder / "dense"}],
        workloads=[SHORT, TALK],
        loads=[STREAMS, {"rate": 40}, {"trace": folder / "minute.jsonl"}],
        meters=[CPU_TIME, DECLARED],
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, tokenizer: Path) -> Path:
    """Return a folder with a model, a trace and the results of the study."""
    folder = tmp_path_factory.mktemp("open")
    write_model(folder / "dense", tokenizer.read_text())
    rows = [
        {"time_s": index / 40, "input_tokens": 30 + index % 9, "output_tokens": 4 + index % 5}
        for index in range(200)
    ]
    (folder / "minute.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("INFEROMETER_CACHE", str(folder / "cache"))
        outcome, _ = measure(text_of(folder), folder / "r")
    assert (outcome.planned, outcome.finished) == (4, 4)
    return folder


@pytest.fixture(scope="module")
def seen(folder: Path) -> Comparison:
    with pytest.MonkeyPatch.context() as patch:
        undisturbed(patch)
        return analyze(folder / "r")


def rows_of(folder: Path, launch: str, load_point: int) -> list[dict[str, Any]]:
    lines = (Store(folder / "r").folder(launch) / "requests.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    return [row for row in rows if row["load_point"] == load_point and row["phase"] != "warmup"]


def test_windows_say_what_was_offered_and_all_stacks_got_the_same(folder: Path) -> None:
    records = Store(folder / "r").launches()
    for record in records:
        told = [(w.workload, w.concurrency, w.arrivals, w.rate) for w in record.windows]
        assert told == [
            ("short", 4, "", None),
            ("short", None, "poisson", 40.0),
            ("talk", 4, "", None),
            ("minute", None, "trace", None),
        ]
        assert record.windows[1].load == "40 requests/s, Poisson"
        assert record.windows[2].conversations
        assert record.windows[2].think_s == 0.01
    for round_ in (0, 1):
        left, right = (r for r in records if r.round == round_)
        for place in (0, 1, 2, 3):
            assert left.windows[place].work_sha256 == right.windows[place].work_sha256
    first, second = (r for r in records if r.stack["id"] == records[0].stack["id"])
    assert first.windows[1].work_sha256 != second.windows[1].work_sha256


def test_stacks_of_a_round_meet_the_same_schedule_to_the_microsecond(folder: Path) -> None:
    left, right = (r for r in Store(folder / "r").launches() if r.round == 0)
    for load_point in (1, 3):
        gaps = []
        for record in (left, right):
            rows = sorted(rows_of(folder, record.id, load_point), key=lambda row: row["index"])
            begin = rows[0]["intended_ns"]
            gaps.append([round((row["intended_ns"] - begin) / 1000) for row in rows])
        count = min(map(len, gaps))
        assert count > 30
        assert gaps[0][:count] == gaps[1][:count]


def test_a_trace_is_replayed_length_by_length(folder: Path) -> None:
    record = Store(folder / "r").launches()[0]
    rows = sorted(rows_of(folder, record.id, 3), key=lambda row: row["index"])
    expected = [(30 + index % 9, 4 + index % 5) for index in range(len(rows))]
    assert [(r["input_tokens_expected"], r["output_tokens_expected"]) for r in rows] == expected


def test_conversations_repeat_what_was_said(folder: Path) -> None:
    record = Store(folder / "r").launches()[0]
    lengths = {row["input_tokens_expected"] for row in rows_of(folder, record.id, 2)}
    assert lengths == {24, 56, 88}
    window = record.windows[2]
    assert window.cache == "warm"
    assert window.reuse == (24 + 56) / (24 + 56 + 88)


def by_load(seen: Comparison, workload: str, loop: str) -> list[Cell]:
    return [cell for cell in seen.cells if (cell.workload, cell.loop) == (workload, loop)]


def test_open_loops_are_ranked_by_seen_energy_only(seen: Comparison) -> None:
    ranked = {(r.objective, r.meter, r.workload, r.load) for r in seen.rankings}
    assert {it for it in ranked if it[3] == "40 requests/s, Poisson"} == {
        ("energy", "cpu-time", "short", "40 requests/s, Poisson")
    }
    assert {it[:3] for it in ranked if it[3] == "trace replay"} == {
        ("energy", "cpu-time", "minute")
    }
    assert {it[0] for it in ranked if it[3] == "4 streams"} == {"throughput", "energy", "cost"}
    ids = {cell.id.partition("/")[2] for cell in seen.cells}
    assert ids == {
        "dense/short/4",
        "dense/short/rate-40.0-poisson",
        "dense/talk/4",
        "dense/minute/trace",
    }


def test_latency_of_an_open_loop_is_there_and_tells_the_stacks_apart(seen: Comparison) -> None:
    # 5 ms to the first token, then 7 gaps of 2 or of 6 ms
    waits = sorted(
        cell.values["e2e_intended_p50_ms"].value or 0.0 for cell in by_load(seen, "short", "open")
    )
    assert waits[0] >= 19
    assert waits[1] >= max(47, waits[0])  # a busy machine adds to both
    for cell in by_load(seen, "short", "open"):
        assert (cell.values["ttft_intended_ms"].value or 0.0) >= 5
        few = cell.values["ttft_intended_p99_ms"]  # two windows of a second at 40 requests/s
        assert few.reason == "too_few_samples"
        assert few.detail.startswith("p99 needs 662 ")
        assert 20 < (cell.values["requests_s"].value or 0.0) < 50


def test_what_does_not_fit_is_told(seen: Comparison) -> None:
    told = {item.what: item.reason for item in seen.missing}
    assert told["talk at 40 requests/s, Poisson"] == "not_run"
    assert any("no capacity there" in note for note in seen.notes)


@pytest.mark.usefixtures("alone")
def test_the_report_shows_waiting_and_crowns_nobody_for_it(folder: Path) -> None:
    assert cli.main(["report", str(folder / "r")]) == 0
    report = (folder / "r" / "report" / "report.md").read_text()
    assert "## Latency at offered loads" in report
    assert "### Dense: dense, short, 40 requests/s, Poisson" in report
    assert "(not ranked)." in report
    throughput = [line for line in report.splitlines() if "**Throughput, dense:**" in line]
    assert "at short, 4 streams" in throughput[-1]  # the whole sentence, below the short answer
    assert not [line for line in throughput if "requests/s" in line]
    assert "Throughput, dense: dense, short, 40" not in report


def test_a_trace_that_is_too_short_costs_no_launch(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INFEROMETER_CACHE", str(folder / "cache"))
    with pytest.raises(UsageError, match=r"minute\.jsonl: over after 5\.0 s, but discard_s and"):
        measure(text_of(folder, window_s=9), tmp_path / "r")
    assert not list(tmp_path.glob("r/launches/*"))
