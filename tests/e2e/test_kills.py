"""A run that is killed resumes, repeats nothing and leaves no process."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import pytest
from tests.benchmarks import kill_runs
from tests.e2e.measuring import measure
from tests.e2e.pipeline import text_of
from tests.programs import module, until, using

from inferometer.store import Store

pytestmark = pytest.mark.usefixtures("cache")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_killed_in_mid_launch_it_resumes_and_leaves_no_process(
    model_files: Path, tmp_path: Path, number: signal.Signals
) -> None:
    text = text_of(model_files, probe=True)
    study, results = tmp_path / "study.toml", tmp_path / "results"
    study.write_text(text)
    ours = module("tests.e2e.measuring", study, results)
    store = Store(results)
    until(
        lambda: store.launches() and list(results.glob("partial/*/probes.jsonl")), 60, every_s=0.05
    )
    first = {record.id: record.started_ns for record in store.launches()}
    assert first
    assert len(first) < 4
    assert using(results)
    ours.send_signal(number)
    ours.communicate()
    assert until(lambda: not using(results), 60), using(results)
    outcome, _ = measure(text, results)
    assert outcome.finished == 4
    after = {record.id: record.started_ns for record in store.launches()}
    assert {key: after[key] for key in first} == first
    assert using(results) == []


def test_killed_again_and_again_with_its_watchdog_it_loses_and_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A short ``tests.benchmarks.kill_runs``, at the same moments each time."""
    monkeypatch.setattr(kill_runs, "LEFT_S", 60.0)  # how soon, it judges where nothing else runs
    with TemporaryDirectory(prefix="kr-", dir="/tmp") as name:
        place = kill_runs.site(Path(name), rounds=1, window_s=0.4)
        monkeypatch.setenv("INFEROMETER_CACHE", place.environment["INFEROMETER_CACHE"])
        watched, tally, draw = (
            kill_runs.Watched(Path(name, "results")),
            kill_runs.Tally(),
            Random(1),
        )
        for mode in ("main", "watchdog", "everything", "main", "watchdog", "everything"):
            kill_runs.one(place, watched, tally, mode, draw, latest_s=3.0)
        wrong = tally.wrong + kill_runs.finish(place, watched) + kill_runs.examine(watched)
        assert [*wrong, *place.shared(), *os.listdir(place.temporary)] == []
        assert tally.kills
        assert len(Store(watched.results).launches()) == 2
