"""Profile ``tuned`` from study to report, with the oracle: a search whose best is known."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

import pytest

from inferometer import checks, hookimpl
from inferometer import study as studies
from inferometer.analyze import analyze
from inferometer.checks import Evidence
from inferometer.comparison import Check
from inferometer.engine import Command, Engine, Knob, LaunchContext
from inferometer.errors import UsageError
from inferometer.hooks import GROUP
from inferometer.plugins import Registry
from inferometer.progress import Silent
from inferometer.runner import RunOutcome, run
from inferometer.store import Store
from inferometer.testing.engine import OracleEngine, write_model

STUDY = """
name = "tuned"

[protocol]
rounds = 1
window_s = 0.5
discard_s = 0.1
probe = false
idle_s = 0.1

[tuning]
{tuning}
window_s = 0.6

[[engines]]
name = "oracle"
profile = "tuned"
python = "{python}"
{engine}

[[models]]
name = "dense"
path = "{model}"

[[workloads]]
name = "short"
input_tokens = 32
output_tokens = 8

[[loads]]
rate = 20

[[loads]]
concurrency = 4

[[meters]]
name = "declared"
options = {{ power_w = 50 }}
"""
KNOBS = (
    Knob(
        name="itl",
        values=("20 ms", "broken", "1 ms"),
        why="slower, refused, faster",
        flags={
            "20 ms": ("--itl-ms", "20"),
            "broken": ("--no-such-flag",),
            "1 ms": ("--itl-ms", "1"),
        },
    ),
    Knob(
        name="ttft",
        values=("90 ms", "5 ms"),
        why="slower, faster",
        flags={"90 ms": ("--ttft-ms", "90"), "5 ms": ("--ttft-ms", "5")},
    ),
)
DEFAULTS = ("--ttft-ms", "30", "--itl-ms", "10")
SLOW, REFUSED, FAST = ({"itl": value} for value in KNOBS[0].values)
BEST = FAST | {"ttft": "5 ms"}
KEY = ("oracle", "dense")


class Tunable(OracleEngine):
    """The oracle with other defaults, and knobs."""

    __slots__ = ()

    def command(self, context: LaunchContext) -> Command:
        flags = (*DEFAULTS, *context.spec.extra_args)
        return super().command(replace(context, spec=replace(context.spec, extra_args=flags)))

    def knobs(self, context: LaunchContext) -> Sequence[Knob]:
        assert context.streams == 4  # of the first closed loop, in trials and rounds
        return KNOBS


@hookimpl
def inferometer_engines() -> Sequence[Engine]:
    """Return the engine of these tests: this module is its plugin."""
    return [Tunable()]


def registry() -> Registry:
    own = EntryPoint(name="tunable", value=__name__, group=GROUP)
    return Registry([*entry_points(group=GROUP), own])


JUDGE = checks.judge


def forgiving(seen: Evidence) -> list[Check]:
    """Judge without what a busy machine can break, and so would shape the search."""
    return [check for check in JUDGE(seen) if check.name in {"errors", "token counting"}]


@pytest.fixture(autouse=True)
def surroundings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("INFEROMETER_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(checks, "judge", forgiving)


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory, tokenizer: Path) -> Path:
    return write_model(tmp_path_factory.mktemp("models") / "dense", tokenizer.read_text())


def text_of(model: Path, tuning: str = "trials = 8", engine: str = "") -> str:
    return STUDY.format(python=sys.executable, model=model, tuning=tuning, engine=engine)


def measure(text: str, results: Path) -> tuple[RunOutcome, Silent]:
    progress = Silent()
    outcome = run(studies.parse(text, "study.toml"), text, results, registry(), progress)
    return outcome, progress


def settings_of(store: Store) -> Iterator[dict[str, object]]:
    for trial in store.trials():
        yield {one.knob: one.value for one in trial.settings}


def test_the_search_finds_the_best_keeps_what_failed_and_ranks_none_of_it(
    model: Path, tmp_path: Path
) -> None:
    results = tmp_path / "r"
    outcome, progress = measure(text_of(model), results)
    assert (outcome.planned, outcome.finished) == (1, 1)
    search = Store(results).search(*KEY)
    tried = [{}, SLOW, REFUSED, FAST, FAST | {"ttft": "90 ms"}, BEST]
    assert list(settings_of(search)) == tried
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
    assert [trial.settings for trial in tuning.trials] == tried
    assert tuning.spent_s == pytest.approx(sum(trial.took_s for trial in tuning.trials))
    assert any("trial 3: itl = broken" in text for _, text in progress.said)
    # what is finished is not searched again
    _, again = measure(text_of(model), results)
    assert not any("trial" in text for _, text in again.said)


def test_the_budget_ends_the_search_with_the_best_so_far(model: Path, tmp_path: Path) -> None:
    measure(text_of(model, "trials = 2"), tmp_path / "r")
    search = Store(tmp_path / "r").search(*KEY)
    found = search.found()
    assert found is not None
    assert (found.stopped, found.chosen, found.left) == ("trials", 1, 4)
    (record,) = Store(tmp_path / "r").launches()
    assert "extra_args" not in record.asked  # the defaults won
    measure(text_of(model, "minutes = 0.01"), tmp_path / "m")
    assert len(Store(tmp_path / "m").search(*KEY).trials()) == 1
    assert analyze(tmp_path / "m").tuning[0].stopped == "minutes"


def test_energy_can_be_the_objective(model: Path, tmp_path: Path) -> None:
    measure(text_of(model, 'trials = 2\nobjective = "energy"'), tmp_path / "r")
    default, slow = Store(tmp_path / "r").search(*KEY).trials()
    assert (default.score.metric, default.score.meter) == ("energy_j_per_output_token", "declared")
    assert default.score.value is not None
    assert slow.score.value is not None
    # 50 W at 32 tokens in 100 ms and in 170 ms
    assert default.score.value > 50 * 0.1 / 32 * 0.98
    assert slow.score.value > 50 * 0.17 / 32 * 0.98


def test_a_search_in_which_nothing_worked_is_made_again(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as broken:
        broken.setattr(
            OracleEngine,
            "command",
            lambda _self, _context: Command(argv=(sys.executable, "-c", "")),
        )
        outcome, _ = measure(text_of(model, "trials = 2"), tmp_path / "r")
    assert outcome.failed == 1
    search = Store(tmp_path / "r").search(*KEY)
    found = search.found()
    assert found is not None
    assert (found.chosen, found.settings, found.stopped) == (None, (), "trials")
    outcome, _ = measure(text_of(model, "trials = 2"), tmp_path / "r")
    assert outcome.finished == 1
    found = search.found()
    assert found is not None
    assert found.chosen == 1
    assert (len(search.trials()), len(search.failures())) == (2, 0)
    earlier = Store(search.root / "earlier" / "1")
    assert (len(earlier.trials()), len(earlier.failures())) == (2, 2)


def test_a_busy_machine_decides_nothing(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    busy = Check(name="quiet machine", rule="r", value="60%", verdict="fail")
    other = Check(name="window length", rule="r", value="0.4", verdict="fail")
    text = text_of(model, "trials = 2")
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
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Tunable, "knobs", lambda _self, _context: ())
    outcome, _ = measure(text_of(model), tmp_path / "r")
    assert outcome.failed == 1
    (record,) = Store(tmp_path / "r").failures()
    assert record.failure is not None
    assert record.failure.reason == "unsupported"
    assert "profile 'tuned' has nothing to try here: the adapter knows no" in record.failure.message
    assert not (tmp_path / "r" / "tuning").exists()


def test_a_knob_that_the_study_sets_is_not_searched(model: Path, tmp_path: Path) -> None:
    text = text_of(model, "trials = 2", 'extra_args = ["--itl-ms=3"]')
    measure(text, tmp_path / "r")
    assert list(settings_of(Store(tmp_path / "r").search(*KEY))) == [{}, {"ttft": "90 ms"}]


SCRIPT = """
import sys
sys.path[:0] = [sys.argv[3]]
from pathlib import Path
from inferometer import study as studies
from inferometer.progress import Silent
from inferometer.runner import run
from inferometer import checks
from test_tuning import forgiving, registry
checks.judge = forgiving
text = Path(sys.argv[1]).read_text()
run(studies.parse(text, "s"), text, Path(sys.argv[2]), registry(), Silent())
"""


def test_killed_in_mid_search_it_repeats_no_finished_trial(model: Path, tmp_path: Path) -> None:
    text, results = text_of(model), tmp_path / "r"
    (tmp_path / "study.toml").write_text(text)
    (tmp_path / "run.py").write_text(SCRIPT)
    ours = subprocess.Popen(
        [
            *(sys.executable, str(tmp_path / "run.py"), str(tmp_path / "study.toml")),
            *(str(results), str(Path(__file__).parent)),
        ],
        stderr=subprocess.PIPE,
    )
    search = Store(results).search(*KEY)
    for _ in range(1200):
        if len(search.trials()) >= 2 and list(search.root.glob("partial/*/server.log")):
            break
        time.sleep(0.02)
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
    model: Path, tmp_path: Path
) -> None:
    results = tmp_path / "r"
    measure(text_of(model, "trials = 2"), results)
    search = Store(results).search(*KEY)
    whole = {record.id: record.started_ns for record in search.launches()}
    trials = search.trials()
    search.put_trials(trials[:1])
    (search.root / "found.json").unlink()
    shutil.rmtree(results / "launches")
    measure(text_of(model, "trials = 2"), results)
    assert {record.id: record.started_ns for record in search.launches()} == whole
    assert search.trials() == trials


def test_trials_of_another_machine_are_not_gone_on_with(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = tmp_path / "r"
    measure(text_of(model, "trials = 2"), results)
    shutil.rmtree(results / "launches")
    monkeypatch.setattr("inferometer.provenance.host_sha256", lambda _host: "another")
    with pytest.raises(UsageError, match="another machine"):
        measure(text_of(model, "trials = 2"), results)


def test_the_report_shows_every_trial(model: Path, tmp_path: Path) -> None:
    results = tmp_path / "r"
    measure(text_of(model, "trials = 3"), results)
    line = [sys.executable, "-m", "inferometer", "report", str(results)]
    subprocess.run(line, check=True, capture_output=True)
    text = (results / "report" / "report.md").read_text()
    section = text.partition("## Tuning")[2].partition("\n## ")[0]
    assert "chosen" in section
    assert "Correct extra\\_args" in section or "bad flag" in section
    data = json.loads((results / "report" / "report.json").read_text())
    assert [trial["settings"] for trial in data["tuning"][0]["trials"]] == [{}, SLOW, REFUSED]
