"""Capacity at an SLO, searched on a server whose capacity is known, and reported."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.e2e.measuring import measure
from tests.studies import PRICE, SHORT, oracle, written

from inferometer import store
from inferometer.analyze import analyze
from inferometer.capacity_records import CapacitySearch
from inferometer.records import Request
from inferometer.store import Store, read_lines
from inferometer.testing.engine import write_model

SLOTS, SERVICE_MS = 10, 30 + 7 * 10
SATURATED = SLOTS / SERVICE_MS * 1000
"""Requests/s: 10 are answered at once, each for 100 ms (8 tokens, the first after 30 ms)."""


def text_of(folder: Path, *more: str) -> str:
    slots = ("--capacity", str(SLOTS), "--ttft-ms", "30", "--itl-ms", "10")
    return written(
        "Capacity",
        protocol={"rounds": 1, "window_s": 1.0, "discard_s": 0.2, "probe": False},
        price=PRICE,
        slo={"ttft_ms": 150.0, "tpot_ms": 60.0},
        capacity={"low": 40.0, "high": 490.0, "minutes": 0.3, "tolerance": 1.0},
        engines=[oracle(*slots, *more)],
        models=[{"name": "dense", "path": folder / "dense"}],
        workloads=[SHORT],
        loads=[{"concurrency": 2}],
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, tokenizer: Path) -> Path:
    """Return a folder with a model and the results of the study."""
    folder = tmp_path_factory.mktemp("capacity")
    write_model(folder / "dense", tokenizer.read_text())
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("INFEROMETER_CACHE", str(folder / "cache"))
        outcome, _ = measure(text_of(folder), folder / "r")
    assert (outcome.planned, outcome.finished) == (1, 1)
    return folder


def search_of(folder: Path) -> CapacitySearch:
    results = Store(folder / "r")
    (found,) = store.capacities(results.folder(results.launches()[0].id))
    return found


def test_the_bracket_lies_around_what_the_server_can_do(folder: Path) -> None:
    found = search_of(folder)
    assert found.limits == {"ttft_ms": 150.0, "tpot_ms": 60.0}
    assert found.passes is None or found.passes < SATURATED
    assert found.fails is None or found.fails > SATURATED
    if found.flag != "starved":  # a busy machine says so, and certifies nothing too high
        assert found.passes is not None
        assert found.fails is not None
        assert found.passes < found.fails
        assert {name for p in found.probes for name in p.missed} <= {"ttft_ms", "unfinished"}
    assert all(probe.good + probe.bad > 0 for probe in found.probes if probe.outcome == "pass")


def test_rates_that_were_told_early_were_cut_early_and_their_requests_are_kept(
    folder: Path,
) -> None:
    results, found = Store(folder / "r"), search_of(folder)
    (record,) = results.launches()
    rows = read_lines(results.folder(record.id) / "capacity_requests.jsonl", Request)
    for probe in found.probes:
        window = probe.window
        assert window.end_ns - window.start_ns < 7e9  # of 18 s a third, and a look
        mine = [row for row in rows if row.load_point == window.load_point]
        assert len(mine) >= probe.good + probe.bad
        assert window.rate == probe.rate
    # load points and their numbers know nothing of it
    assert [window.load_point for window in record.windows] == [0]
    assert {row.load_point for row in store.requests(results.folder(record.id))} == {0}
    assert {row.load_point for row in rows} == set(range(1, 1 + len(found.probes)))


def test_the_report_says_what_was_certified(folder: Path) -> None:
    seen = analyze(folder / "r")
    (one,) = seen.capacities
    found = search_of(folder)
    assert one.slo == "TTFT <= 150 ms and TPOT <= 60 ms"
    assert [rate.rate for rate in one.launches[0].rates] == [p.rate for p in found.probes]
    at_slo = [ranking for ranking in seen.rankings if ranking.at == "slo"]
    assert {ranking.objective for ranking in at_slo} == {"throughput", "energy", "cost"}


def test_a_server_that_dies_in_a_search_keeps_its_load_points(tmp_path: Path, folder: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("INFEROMETER_CACHE", str(folder / "cache"))
        outcome, _ = measure(text_of(folder, "--die-at-s", "8"), tmp_path / "r")
    assert (outcome.planned, outcome.finished) == (1, 1)
    results = Store(tmp_path / "r")
    (record,) = results.launches()
    assert (record.status, [window.load_point for window in record.windows]) == ("ok", [0])
    (found,) = store.capacities(results.folder(record.id))
    assert (found.flag, found.failure[:3]) == ("failed", "at ")
    assert [one.flag for one in analyze(tmp_path / "r").capacities] == ["failed"]
