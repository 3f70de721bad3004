"""Study file to report, with the oracle standing in for engines."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
from tests.e2e.measuring import measure
from tests.e2e.pipeline import second, text_of
from tests.programs import ran

from inferometer import provenance
from inferometer.analyze import analyze
from inferometer.errors import UsageError
from inferometer.store import Store

pytestmark = pytest.mark.usefixtures("cache", "alone")


@pytest.fixture(scope="module")
def study(model_files: Path) -> str:
    return text_of(model_files, rounds=2, probe=True)


@pytest.fixture(scope="module")
def measured(study: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the results of the study."""
    folder = tmp_path_factory.mktemp("measured")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("INFEROMETER_CACHE", str(folder / "cache"))
        outcome, _ = measure(study, folder / "results")
    assert (outcome.planned, outcome.finished, outcome.failed) == (8, 8, 0)
    return folder / "results"


def test_a_study_becomes_a_report_and_resuming_repeats_nothing(study: str, measured: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in measured.glob("launches/*/launch.json")}
    again, progress = measure(study, measured)
    assert again.finished == 8
    assert not any("round" in line for line in progress.said)
    assert before == {path: path.stat().st_mtime_ns for path in before}

    comparison = analyze(measured)
    assert {ranking.objective for ranking in comparison.rankings} == {
        "throughput",
        "energy",
        "cost",
    }
    assert {ranking.architecture for ranking in comparison.rankings} == {"dense", "moe"}
    assert {value.kind for cell in comparison.cells for value in cell.values.values()} == {
        "simulated"
    }
    dense = next(r for r in comparison.rankings if r.metric == "output_tok_s")
    assert dense.n_rounds == 2
    assert len(dense.entries) == 2
    # true rates: 4 streams x 8 tokens / (5 + 7 x itl) ms, a little less for the client's share
    fast = max(entry.value.value or 0 for entry in dense.entries)
    slow = min(entry.value.value or 0 for entry in dense.entries)
    assert 1000 < fast <= 32 / 0.019 * 1.02
    assert 600 < slow <= 32 / 0.033 * 1.02
    assert any(item.reason in {"no_sensor", "no_permission"} for item in comparison.missing) == (
        not _rapl_readable()
    )
    assert comparison.moe_ratios
    assert all(check.verdict != "fail" for cell in comparison.cells for check in cell.checks)


def _rapl_readable() -> bool:
    return any(
        os.access(zone / "energy_uj", os.R_OK)
        for zone in Path("/sys/class/powercap").glob("intel-rapl:*")
    )


def test_the_report_command_writes_every_format(measured: Path) -> None:
    done = ran("report", measured)
    assert done.returncode == 0, done.stderr
    report = (measured / "report" / "report.md").read_text()
    assert "SIMULATED" in report.upper()
    data = json.loads((measured / "report" / "report.json").read_text())
    assert data["schema"] == "inferometer/report/2"


def test_results_of_another_machine_are_not_added_to(
    study: str, measured: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = tmp_path / "r"
    shutil.copytree(measured, results)
    shutil.rmtree(next((results / "launches").glob("r1-*-moe-*")))
    monkeypatch.setattr(provenance, "host_sha256", lambda _host: "another")
    with pytest.raises(UsageError, match="another machine"):
        measure(study, results)


def test_a_stack_may_serve_another_checkpoint_of_a_model(model_files: Path, tmp_path: Path) -> None:
    other = tmp_path / "quantised"
    shutil.copytree(model_files / "dense", other)
    config = json.loads((other / "config.json").read_text())
    config["quantization_config"] = {"quant_method": "awq", "bits": 4}
    (other / "config.json").write_text(json.dumps(config))
    engines = second("--itl-ms", "4", checkpoints={"dense": other})
    outcome, _ = measure(text_of(model_files, engines=engines), tmp_path / "results")
    assert outcome.failed == 0
    found = {
        (record.model["name"], Path(record.model["path"]).name, record.precision["dtype"]): (
            record.precision.get("quantization")
        )
        for record in Store(tmp_path / "results").launches()
    }
    assert found == {
        ("dense", "dense", "bfloat16"): None,
        ("dense", "quantised", "bfloat16"): "awq 4-bit",
        ("moe", "moe", "bfloat16"): None,
    }


# -- lengths that differ -----------------------------------------------------------------


def varied(model_files: Path, pairs: Path) -> str:
    """The study with one model, and workloads whose lengths differ."""
    warm = {
        "name": "warm",
        "input_tokens": 64,
        "output": {"distribution": "lognormal", "mean": 2, "sigma": 0.5, "max": 20},
        "cache": "warm",
        "reuse": 0.5,
    }
    workloads = [{"name": "varied", "file": pairs}, warm]
    return text_of(model_files, only="dense", workloads=workloads)


def test_lengths_that_differ_stay_exact_and_warm_is_judged_as_warm(
    model_files: Path, tmp_path: Path
) -> None:
    pairs = tmp_path / "pairs.csv"
    pairs.write_text("input,output\n40,9\n48,4\n")
    measure(varied(model_files, pairs), tmp_path / "r")
    comparison = analyze(tmp_path / "r")
    for cell in comparison.cells:
        checks = {check.name: check for check in cell.checks}
        for name in ("output length", "prompt length", "same work", "fresh prompts"):
            assert checks[name].verdict == "pass", checks[name]
        assert ("warm cache" in checks) == (cell.workload == "warm")
        assert cell.load == ("4 streams, warm cache" if cell.workload == "warm" else "4 streams")
    # The oracle caches nothing: that is cold, not as warm as declared.
    warm = [check for cell in comparison.cells for check in cell.checks if "warm" in check.name]
    assert {check.value for check in warm} <= {"0.00% of 50.00% declared", "unknown"}
    assert {check.verdict for check in warm} <= {"fail", "unknown"}


def test_a_bad_file_of_lengths_costs_no_launch(model_files: Path, tmp_path: Path) -> None:
    pairs = tmp_path / "pairs.csv"
    pairs.write_text("40,9\n48\n")
    with pytest.raises(UsageError, match=r"pairs\.csv, line 2: '48' is not input,output"):
        measure(varied(model_files, pairs), tmp_path / "r")
    assert not list(tmp_path.glob("r/launches/*"))
