"""A run seen from another process: while it goes on, when it is over, when it was killed."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from tests.e2e.measuring import measure
from tests.e2e.pipeline import text_of
from tests.programs import module, until
from tests.studies import DECLARED

from inferometer import cli
from inferometer.journal_records import read
from inferometer.metrics.evaluate import evaluate
from inferometer.standing import look
from inferometer.store import Store
from inferometer.tables import scan

pytestmark = [pytest.mark.usefixtures("cache", "alone"), pytest.mark.waiting]
S = 1_000_000_000


@pytest.fixture(scope="module")
def study(model_files: Path) -> str:
    return text_of(model_files, rounds=2, meters=[DECLARED])


@pytest.fixture(scope="module")
def measured(study: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the results of the study."""
    folder = tmp_path_factory.mktemp("seen")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("INFEROMETER_CACHE", str(folder / "cache"))
        measure(study, folder / "results")
    return folder / "results"


def test_nothing_is_written_while_a_window_is_open(measured: Path) -> None:
    events = read(measured)
    windows = [at for at, event in enumerate(events) if event.what == "window"]
    assert len(windows) == 8
    for at in windows:
        opened_ns = events[at].until_ns - round(events[at].seconds * S)
        assert events[at].t_ns < opened_ns
        assert events[at + 1].what == "measured"
        assert events[at + 1].t_ns >= events[at].until_ns - S // 1000


def test_the_glance_is_near_to_what_the_analysis_counts(measured: Path) -> None:
    points = evaluate(scan(Store(measured)))
    rows = points.select("launch", "metric", "value").iter_rows()
    counted = {launch: value for launch, metric, value in rows if metric == "output_tok_s"}
    figures = look(Store(measured)).figures
    assert len(figures) == len(counted) == 8
    for figure in figures:
        assert figure.output_tps == pytest.approx(
            counted[figure.launch], rel=0.05
        )  # eight tokens each
        assert [(power.kind, power.watts) for power in figure.powers] == [("declared", 50.0)]


def test_a_run_that_is_over_says_so(measured: Path) -> None:
    found = look(Store(measured))
    assert (found.state, found.planned, found.done, found.left) == ("finished", 8, 8, 0)
    assert cli.main(["status", str(measured)]) == 0


def test_another_shell_sees_a_run_and_its_death(study: str, tmp_path: Path) -> None:
    file, store = tmp_path / "study.toml", Store(tmp_path / "r")
    file.write_text(study)
    run = module("tests.e2e.measuring", file, store.root)
    try:
        assert until((store.root / "events.jsonl").is_file, 60)
        assert until(lambda: look(store).window_until_ns is not None, 60)
        found = look(store)
        assert (found.state, found.pid) == ("running", run.pid)
        assert found.launch.startswith("round 1, ")
        assert until(lambda: look(store).done >= 1, 60)
        assert until(lambda: look(store).left_s is not None, 60)
    finally:
        run.send_signal(signal.SIGKILL)
        run.communicate()
    found = look(store)
    assert (found.state, found.launch) == ("died", "")
    assert found.done + found.left == 8
    assert cli.main(["status", str(store.root)]) == 5
    outcome, _ = measure(study, store.root)
    assert (outcome.finished, look(store).state) == (8, "finished")
