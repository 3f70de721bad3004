"""What a study says and keeps when something of it fails, with the oracle as the engine."""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path

import pytest
from tests.e2e.measuring import measure
from tests.e2e.pipeline import SLOWER, second, text_of
from tests.studies import DECLARED, oracle

from inferometer import abandoned
from inferometer import study as studies
from inferometer.analyze import analyze
from inferometer.cli.run import measure as run_command
from inferometer.errors import IncompleteError, MachineError, UsageError
from inferometer.progress import Silent
from inferometer.runner import run
from inferometer.store import Store
from inferometer.testing.engine import registry

pytestmark = pytest.mark.usefixtures("cache", "alone")


def test_an_engine_that_dies_while_loading_loses_its_launches_only(
    model_files: Path, tmp_path: Path
) -> None:
    text = text_of(model_files, rounds=2, engines=second("--no-such-flag"))
    outcome, _progress = measure(text, tmp_path / "r")
    assert (outcome.planned, outcome.finished, outcome.failed) == (8, 4, 4)
    failures = Store(tmp_path / "r").failures()
    assert len(failures) == 2  # one for each model; later rounds were not tried
    assert failures[0].failure is not None
    assert failures[0].failure.reason == "bad_flag"
    assert "exit code 2" in failures[0].failure.message
    assert any("unrecognized arguments" in line for line in failures[0].failure.log_tail)
    comparison = analyze(tmp_path / "r")
    throughput = next(r for r in comparison.rankings if r.objective == "throughput")
    assert len(throughput.entries) == 1
    assert throughput.unranked


def test_an_engine_that_is_silent_from_the_first_request_on_has_stalled(
    model_files: Path, tmp_path: Path
) -> None:
    """The probe comes first, so the study's limit must hold for it as well."""
    engines = [oracle("--fault", "silent")]
    text = text_of(
        model_files, only="dense", engines=engines, probe=True, stall_timeout_s=0.5, window_s=0.3
    )
    outcome, _progress = measure(text, tmp_path / "r")
    (record,) = Store(tmp_path / "r").failures()
    assert (outcome.failed, outcome.planned) == (1, 1)
    assert record.failure is not None
    assert (record.failure.reason, record.failure.stage) == ("stalled", "serve")
    assert not list(tmp_path.glob("r/failed/*/probes.jsonl"))


GPU_ENGINES = [{"name": "sglang"}, {"name": "tensorrt-llm"}]


def test_engines_that_cannot_run_here_are_reported_and_the_others_measured(
    model_files: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("inferometer.environment.accelerator", lambda: "cpu")
    engines = [oracle("--itl-ms", "2"), SLOWER, *GPU_ENGINES]
    text = text_of(model_files, only="dense", rounds=2, engines=engines)
    study = studies.parse(text, "study.toml")
    with pytest.raises(IncompleteError) as error:
        run_command(study, text, tmp_path / "r", registry())
    assert (error.value.exit_code, error.value.message[:12]) == (5, "4 of 8 launc")
    failures = {str(r.stack["engine"]): r for r in Store(tmp_path / "r").failures()}
    assert set(failures) == {"sglang", "tensorrt-llm"}
    for name, record in failures.items():
        assert record.failure is not None
        assert (record.failure.reason, record.failure.stage) == ("unsupported", "environment")
        assert name in record.failure.message
        assert record.failure.hint
        assert record.environment == {}
    comparison = analyze(tmp_path / "r")
    throughput = next(r for r in comparison.rankings if r.objective == "throughput")
    assert len(throughput.entries) == 2
    missing = {item.what: item for item in comparison.missing if item.reason == "unsupported"}
    assert "sglang on dense, rounds 1, 2" in missing
    assert len(missing) == 2
    report = (tmp_path / "r" / "report" / "report.md").read_text()
    assert "tensorrt-llm: needs an NVIDIA GPU" in report
    assert "its CPU kernels are built from source and not published" in report
    assert "Set python = PATH to an interpreter that has SGLang" in report


def test_a_study_of_which_nothing_can_run_starts_nothing(
    model_files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("inferometer.environment.accelerator", lambda: "cpu")
    text = text_of(model_files, engines=GPU_ENGINES)
    with pytest.raises(MachineError, match=r"sglang: .*; tensorrt-llm: needs an NVIDIA GPU"):
        measure(text, tmp_path / "r")
    assert not list(tmp_path.glob("r/failed/*"))


def test_an_engine_that_never_gets_ready_is_given_up_when_the_study_says(
    model_files: Path, tmp_path: Path
) -> None:
    engines = [oracle("--ready-after-s", "600")]
    text = text_of(model_files, only="dense", engines=engines, ready_timeout_s=1.0)
    outcome, _ = measure(text, tmp_path / "r")
    (record,) = Store(tmp_path / "r").failures()
    assert (outcome.failed, outcome.planned) == (1, 1)
    assert record.failure is not None
    assert record.failure.reason == "not_ready"


def test_a_port_in_use_is_one_clear_error(model_files: Path, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(UsageError, match=f"port {port} on 127.0.0.1 is in use"):
            measure(text_of(model_files, port=port), tmp_path / "r")


def test_a_missing_model_directory_is_named(model_files: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="/nowhere/moe"):
        measure(text_of(model_files, moe=Path("/nowhere/moe")), tmp_path / "r")


def test_a_wrong_meter_option_is_refused_before_any_engine_starts(
    model_files: Path, tmp_path: Path
) -> None:
    text = text_of(model_files, meters=[DECLARED | {"options": {"power_w": 0}}])
    with pytest.raises(UsageError, match=r"options\.power_w must be a positive number"):
        measure(text, tmp_path / "r")
    assert not (tmp_path / "r").exists()


class Killing(Silent):
    """Kills the first engine as soon as it is loaded."""

    killed = False

    def stage(self, text: str) -> None:
        super().stage(text)
        if text.startswith("short") and not self.killed:
            self.killed = True
            (left,) = abandoned.find(lambda mark: mark.owner == os.getpid())
            for process in left.processes:
                if "supervise.py" not in process.line:
                    os.kill(process.pid, signal.SIGKILL)


def test_an_engine_that_somebody_killed_is_started_again_and_that_is_told(
    model_files: Path, tmp_path: Path
) -> None:
    text, results = text_of(model_files, only="dense"), tmp_path / "r"
    display = Killing()
    outcome = run(studies.parse(text, "study.toml"), text, results, registry(), display)
    assert (outcome.finished, outcome.failed) == (2, 0)
    (attempt,) = Store(results).failures()
    assert attempt.failure is not None
    assert attempt.failure.reason == "killed"
    assert "was killed (SIGKILL)" in attempt.failure.message
    first, second = Store(results).launches()
    assert [(each.reason, each.stage) for each in first.retried] == [("killed", "serve")]
    assert second.retried == []
    assert any("tried again" in said for _, said in display.said)
