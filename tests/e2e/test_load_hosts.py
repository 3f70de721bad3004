"""A study whose loads two other hosts send: measured, analysed, judged."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.e2e.pipeline import text_of
from tests.load_hosts import TOKEN, load_host

from inferometer import study as studies
from inferometer.analyze import analyze
from inferometer.errors import UsageError
from inferometer.loadgen.driver import Host
from inferometer.progress import Silent
from inferometer.runner import RunOutcome, run
from inferometer.store import Store
from inferometer.testing.engine import registry, write_model

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def text(tmp_path: Path, tokenizer: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    write_model(tmp_path / "dense", tokenizer.read_text())
    monkeypatch.setenv("INFEROMETER_CACHE", str(tmp_path / "cache"))
    return text_of(tmp_path, only="dense")


def measured(text: str, results: Path, *hosts: Host) -> RunOutcome:
    loaded = studies.parse(text, "study.toml")
    return run(loaded, text, results, registry(), Silent(), load_hosts=hosts)


def test_windows_say_where_their_load_came_from_and_are_judged_by_it(
    text: str, tmp_path: Path
) -> None:
    with load_host() as one, load_host() as other:
        outcome = measured(text, tmp_path / "r", one, other)
    assert (outcome.planned, outcome.finished) == (2, 2)
    for record in Store(tmp_path / "r").launches():
        for window in record.windows:
            assert [host.address for host in window.load_hosts] == [one.address, other.address]
            assert window.workers == 2
    (cell, *_) = analyze(tmp_path / "r").cells
    (clocks,) = (check for check in cell.checks if check.name == "host clocks")
    assert clocks.verdict == "pass"
    assert "within" in clocks.value


def test_an_engine_that_is_started_here_is_out_of_other_hosts_reach(
    text: str, tmp_path: Path
) -> None:
    elsewhere = Host("192.0.2.77:7433", TOKEN.encode())
    with pytest.raises(UsageError, match=r"127\.0\.0\.1 is this machine here") as info:
        measured(text, tmp_path / "r", elsewhere)
    assert "stack's `url`" in info.value.hint
