"""Profile ``tuned`` from study to report, with the oracle: a search whose best is known."""

from __future__ import annotations

import json
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e.tunable import (
    BEST,
    FAST,
    KEY,
    REFUSED,
    SLOW,
    Tunable,
    forgiving,
    measure,
)
from tests.programs import module, ran, until
from tests.studies import DECLARED, SHORT, STREAMS, Table, oracle, written

from inferometer import checks
from inferometer.analyze import analyze
from inferometer.comparison import Check
from inferometer.engine import Command
from inferometer.errors import UsageError
from inferometer.store import Store
from inferometer.testing.engine import OracleEngine

pytestmark = pytest.mark.usefixtures("cache")


@pytest.fixture(autouse=True)
def lenient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "judge", forgiving)


PROTOCOL: Table = {
    "rounds": 1,
    "window_s": 0.5,
    "discard_s": 0.1,
    "probe": False,
    "idle_s": 0.1,
}


def text_of(model_files: Path, *extra_args: str, **tuning: object) -> str:
    return written(
        "tuned",
        protocol=PROTOCOL,
        tuning={"window_s": 0.6, **tuning},
        engines=[oracle(*extra_args, profile="tuned")],
        models=[{"name": "dense", "path": model_files / "dense"}],
        workloads=[SHORT],
        loads=[{"rate": 20}, STREAMS],
        meters=[DECLARED],
    )


def searched(folder: Path, text: str) -> Path:
    """Measure once for several tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("INFEROMETER_CACHE", str(folder / "cache"))
        patch.setattr(checks, "judge", forgiving)
        outcome, progress = measure(text, folder / "r")
    assert (outcome.planned, outcome.finished) == (1, 1)
    (folder / "said").write_text("\n".join(text for _, text in progress.said))
    return folder


@pytest.fixture(scope="module")
def whole(model_files: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the results ``r`` of a search to its end, and what was ``said``."""
    return searched(tmp_path_factory.mktemp("whole"), text_of(model_files, trials=8))


@pytest.fixture(scope="module")
def short(model_files: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the results of a search of two trials. A test that changes them takes a copy."""
    return searched(tmp_path_factory.mktemp("short"), text_of(model_files, trials=2)) / "r"


@pytest.fixture
def copied(short: Path, tmp_path: Path) -> Path:
    """Return a copy of the results of two trials."""
    shutil.copytree(short, tmp_path / "r")
    return tmp_path / "r"


TRIED = [{}, SLOW, REFUSED, FAST, FAST | {"ttft": "90 ms"}, BEST]


def settings_of(store: Store) -> Iterator[dict[str, object]]:
    for trial in store.trials():
        yield {one.knob: one.value for one in trial.settings}


def test_the_search_finds_the_best_keeps_what_failed_and_ranks_none_of_it(
    model_files: Path, whole: Path
) -> None:
    results = whole / "r"
    search = Store(results).search(*KEY)
    assert list(settings_of(search)) == TRIED
    refused = search.trials()[2].score
    assert (refused.value, refused.reason) == (None, "bad_flag")
    assert [record.failure is not None for record in search.failures()] == [True]
    found = search.found()
    assert found is not None
    assert (found.chosen, found.stopped, found.left) == (6, "finished", 0)
    # true rates: 4 streams x 8 tokens / (ttft + 7 x itl) ms, less the client's share
    for trial, (ttft_ms, itl_ms) in zip(
        search.trials(), [(30, 10), (30, 20), (0, 0), (30, 1), (90, 1), (5, 1)], strict=True
    ):
        if trial.score.value is not None:
            assert trial.score.kind == "simulated"
            assert trial.score.value < 32 / (ttft_ms + 7 * itl_ms) * 1000 * 1.02
    assert [record.idles for record in search.launches()] == [[]] * 5
    (record,) = Store(results).launches()
    assert [idle.state for idle in record.idles] == ["bare", "loaded"]
    assert record.asked["extra_args"] == ["--itl-ms", "1", "--ttft-ms", "5"]
    assert record.stack["profile"] == "tuned"
    comparison = analyze(results)
    assert {launch for cell in comparison.cells for launch in cell.launches} == {record.id}
    assert {entry.value.n for r in comparison.rankings for entry in r.entries} <= {1}
    (tuning,) = comparison.tuning
    assert (tuning.chosen, tuning.load, tuning.metric) == (6, "4 streams", "output_tok_s")
    assert [trial.settings for trial in tuning.trials] == TRIED
    assert tuning.spent_s == pytest.approx(sum(trial.took_s for trial in tuning.trials))
    assert "trial 3: itl = broken" in (whole / "said").read_text()
    # what is finished is not searched again
    _, again = measure(text_of(model_files, trials=8), results)
    assert not any("trial" in text for _, text in again.said)


def test_the_budget_ends_the_search_with_the_best_so_far(
    model_files: Path, short: Path, tmp_path: Path
) -> None:
    search = Store(short).search(*KEY)
    found = search.found()
    assert found is not None
    assert (found.stopped, found.chosen, found.left) == ("trials", 1, 4)
    (record,) = Store(short).launches()
    assert "extra_args" not in record.asked  # the defaults won
    measure(text_of(model_files, minutes=0.01), tmp_path / "m")
    assert len(Store(tmp_path / "m").search(*KEY).trials()) == 1
    assert analyze(tmp_path / "m").tuning[0].stopped == "minutes"


def test_energy_can_be_the_objective(model_files: Path, tmp_path: Path) -> None:
    measure(text_of(model_files, trials=2, objective="energy"), tmp_path / "r")
    default, slow = Store(tmp_path / "r").search(*KEY).trials()
    assert (default.score.metric, default.score.meter) == ("energy_j_per_output_token", "declared")
    assert default.score.value is not None
    assert slow.score.value is not None
    # 50 W at 32 tokens in 100 ms and in 170 ms
    assert default.score.value > 50 * 0.1 / 32 * 0.98
    assert slow.score.value > 50 * 0.17 / 32 * 0.98


def test_a_search_in_which_nothing_worked_is_made_again(
    model_files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as broken:
        broken.setattr(
            OracleEngine,
            "command",
            lambda _self, _context: Command(argv=(sys.executable, "-c", "")),
        )
        outcome, _ = measure(text_of(model_files, trials=2), tmp_path / "r")
    assert outcome.failed == 1
    search = Store(tmp_path / "r").search(*KEY)
    found = search.found()
    assert found is not None
    assert (found.chosen, found.settings, found.stopped) == (None, (), "trials")
    outcome, _ = measure(text_of(model_files, trials=2), tmp_path / "r")
    assert outcome.finished == 1
    found = search.found()
    assert found is not None
    assert found.chosen == 1
    assert (len(search.trials()), len(search.failures())) == (2, 0)
    earlier = Store(search.root / "earlier" / "1")
    assert (len(earlier.trials()), len(earlier.failures())) == (2, 2)


def test_a_busy_machine_decides_nothing(
    model_files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    busy = Check(name="quiet machine", rule="r", value="60%", verdict="fail")
    other = Check(name="window length", rule="r", value="0.4", verdict="fail")
    text = text_of(model_files, trials=2)
    with monkeypatch.context() as busy_now:
        busy_now.setattr(checks, "judge", lambda _seen: [other, busy])
        measure(text, tmp_path / "r")
    search = Store(tmp_path / "r").search(*KEY)
    assert list(settings_of(search)) == [{}, {}]
    assert {trial.score.reason for trial in search.trials()} == {"disturbed"}
    found = search.found()
    assert found is not None
    assert (found.stopped, found.chosen, found.left) == ("disturbed", None, 5)
    # rounds that rest on it keep it; without them it is made again, with launches of its own
    measure(text, tmp_path / "r")
    assert search.found() == found
    shutil.rmtree(tmp_path / "r" / "launches")
    measure(text, tmp_path / "r")
    assert list(settings_of(search)) == [{}, SLOW]
    assert {trial.score.reason for trial in search.trials()} == {None}


def test_nothing_to_tune_is_refused_by_name_and_costs_no_trial(
    model_files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Tunable, "knobs", lambda _self, _context: ())
    outcome, _ = measure(text_of(model_files, trials=8), tmp_path / "r")
    assert outcome.failed == 1
    (record,) = Store(tmp_path / "r").failures()
    assert record.failure is not None
    assert record.failure.reason == "unsupported"
    assert "profile 'tuned' has nothing to try here: the adapter knows no" in record.failure.message
    assert not (tmp_path / "r" / "tuning").exists()


def test_a_knob_that_the_study_sets_is_not_searched(model_files: Path, tmp_path: Path) -> None:
    text = text_of(model_files, "--itl-ms=3", trials=2)
    measure(text, tmp_path / "r")
    assert list(settings_of(Store(tmp_path / "r").search(*KEY))) == [{}, {"ttft": "90 ms"}]


def test_killed_in_mid_search_it_repeats_no_finished_trial(
    model_files: Path, tmp_path: Path
) -> None:
    text, results = text_of(model_files, trials=8), tmp_path / "r"
    (tmp_path / "study.toml").write_text(text)
    ours = module("tests.e2e.tunable", tmp_path / "study.toml", results)
    search = Store(results).search(*KEY)
    until(lambda: len(search.trials()) >= 2 and list(search.root.glob("partial/*/server.log")), 60)
    ours.send_signal(signal.SIGKILL)
    ours.communicate()
    before = search.trials()
    assert 2 <= len(before) < 6
    assert search.found() is None
    (unfinished,) = analyze(results).tuning
    assert (unfinished.stopped, unfinished.chosen) == (None, None)
    outcome, _ = measure(text, results)
    assert outcome.finished == 1
    assert search.trials()[: len(before)] == before
    assert len(search.trials()) == 6
    assert not list(search.root.glob("partial/*"))


def test_a_trial_that_was_whole_when_a_run_was_killed_is_not_made_again(
    model_files: Path, copied: Path
) -> None:
    search = Store(copied).search(*KEY)
    whole = {record.id: record.started_ns for record in search.launches()}
    trials = search.trials()
    search.put_trials(trials[:1])
    (search.root / "found.json").unlink()
    shutil.rmtree(copied / "launches")
    measure(text_of(model_files, trials=2), copied)
    assert {record.id: record.started_ns for record in search.launches()} == whole
    assert search.trials() == trials


def test_trials_of_another_machine_are_not_gone_on_with(
    model_files: Path, copied: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.rmtree(copied / "launches")
    monkeypatch.setattr("inferometer.provenance.host_sha256", lambda _host: "another")
    with pytest.raises(UsageError, match="another machine"):
        measure(text_of(model_files, trials=2), copied)


def test_the_report_shows_every_trial(whole: Path) -> None:
    done = ran("report", whole / "r")
    assert done.returncode == 0, done.stderr
    text = (whole / "r" / "report" / "report.md").read_text()
    section = text.partition("## Tuning")[2].partition("\n## ")[0]
    assert "chosen" in section
    assert "Correct extra\\_args" in section or "bad flag" in section
    data = json.loads((whole / "r" / "report" / "report.json").read_text())
    assert [trial["settings"] for trial in data["tuning"][0]["trials"]] == TRIED
