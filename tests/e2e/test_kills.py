"""A run that is killed resumes, repeats nothing and leaves no process."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
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
    assert until(lambda: not using(results), 10), using(results)
    outcome, _ = measure(text, results)
    assert outcome.finished == 4
    after = {record.id: record.started_ns for record in store.launches()}
    assert {key: after[key] for key in first} == first
    assert using(results) == []
