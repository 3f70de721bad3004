"""Study file to report, with the oracle standing in for engines: what happens when things fail."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import pytest

from inferometer import provenance
from inferometer import store as storing
from inferometer import study as studies
from inferometer.analyze import analyze
from inferometer.cli.run import measure as run_command
from inferometer.errors import IncompleteError, MachineError, StorageError, UsageError
from inferometer.hooks import GROUP
from inferometer.plugins import Registry
from inferometer.progress import Silent
from inferometer.records import Condition, MeterInfo, Reading
from inferometer.runner import RunOutcome, run
from inferometer.store import Store, readings
from inferometer.testing.engine import registry, write_model

if TYPE_CHECKING:
    from inferometer.meter import EnergyMeter, MeterContext, MeterSession

STUDY = """
name = "pipeline"

[protocol]
rounds = {rounds}
window_s = 0.6
discard_s = 0.1
probe = true
idle_s = 0
{protocol}

[price]
usd_per_hour = 2.0
source = "test"
date = "2026-11-01"
contract = "assumed"

[[engines]]
name = "oracle"
python = "{python}"
extra_args = ["--itl-ms", "2"]

[[engines]]
name = "oracle"
python = "{python}"
extra_args = [{second}]

[[models]]
name = "dense"
path = "{models}/dense"

[[models]]
name = "moe"
path = "{models}/moe"
twin_of = "dense"

[[workloads]]
name = "short"
input_tokens = 32
output_tokens = 8

[[loads]]
concurrency = 4

[[meters]]
name = "declared"
options = {{ power_w = 50 }}

[[meters]]
name = "cpu-time"
options = {{ watts_per_busy_core = 10 }}

[[meters]]
name = "rapl"
"""
FAST = '"--itl-ms", "4"'


@pytest.fixture(scope="session")
def model_files(tmp_path_factory: pytest.TempPathFactory, tokenizer: Path) -> Path:
    folder = tmp_path_factory.mktemp("models")
    write_model(folder / "dense", tokenizer.read_text())
    write_model(folder / "moe", tokenizer.read_text(), experts=4)
    return folder


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INFEROMETER_CACHE", str(tmp_path / "cache"))


def text_of(model_files: Path, *, rounds: int = 1, second: str = FAST, protocol: str = "") -> str:
    return STUDY.format(
        python=sys.executable, models=model_files, rounds=rounds, second=second, protocol=protocol
    )


def measure(text: str, results: Path) -> tuple[RunOutcome, Silent]:
    progress = Silent()
    outcome = run(studies.parse(text, "study.toml"), text, results, registry(), progress)
    return outcome, progress


def test_a_stack_may_serve_another_checkpoint_of_a_model(model_files: Path, tmp_path: Path) -> None:
    other = tmp_path / "quantised"
    shutil.copytree(model_files / "dense", other)
    config = json.loads((other / "config.json").read_text())
    config["quantization_config"] = {"quant_method": "awq", "bits": 4}
    (other / "config.json").write_text(json.dumps(config))
    text = text_of(model_files, second=f'{FAST}]\ncheckpoints = {{ dense = "{other}" }}\n#')
    outcome, _ = measure(text, tmp_path / "results")
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


def test_a_study_becomes_a_report_and_resuming_repeats_nothing(
    model_files: Path, tmp_path: Path
) -> None:
    text = text_of(model_files, rounds=2)
    results = tmp_path / "results"
    outcome, _ = measure(text, results)
    assert (outcome.planned, outcome.finished, outcome.failed) == (8, 8, 0)
    before = {path: path.stat().st_mtime_ns for path in results.glob("launches/*/launch.json")}
    again, progress = measure(text, results)
    assert again.finished == 8
    assert not any("round" in line for line in progress.said)
    assert before == {path: path.stat().st_mtime_ns for path in before}

    comparison = analyze(results)
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


class Ticking:
    """A counter of 50 W that ticks every 100 ms, and a thermometer."""

    name = "ticking"
    options: ClassVar[dict[str, type]] = {}

    def __init__(self) -> None:
        self.contexts: list[MeterContext] = []

    def info(self, context: MeterContext) -> MeterInfo:
        self.contexts.append(context)
        return MeterInfo(
            name=self.name,
            scope="L0",
            kind="measured",
            method="test",
            instrument="counter",
            update_ms=100.0,
            period_s=0.1,
        )

    def open(self, context: MeterContext) -> MeterSession:
        return self

    def read(self) -> list[Reading]:
        now_ns = time.monotonic_ns()
        value = now_ns // 100_000_000 * 5.0
        return [Reading(meter=self.name, device="d", t_ns=now_ns, value=value, unit="J")]

    def conditions(self) -> list[Condition]:
        now_ns = time.monotonic_ns()
        return [Condition(meter=self.name, device="d", t_ns=now_ns, temperature_c=40.0)]

    def close(self) -> None:
        return


class WithTicking(Registry):
    ticking = Ticking()

    def meters(self) -> dict[str, EnergyMeter]:
        return {**super().meters(), "ticking": self.ticking}


def test_a_measuring_meter_is_read_before_at_and_between_loads(
    model_files: Path, tmp_path: Path
) -> None:
    text = text_of(model_files).replace("idle_s = 0", "idle_s = 0.5")
    first, second = text.index("[[engines]]"), text.rindex("[[engines]]")
    text = text[:first] + text[second:] + '\n[[meters]]\nname = "ticking"\n'
    oracle = EntryPoint(name="oracle", value="inferometer.testing.engine", group=GROUP)
    plugins = WithTicking([*entry_points(group=GROUP), oracle])
    run(studies.parse(text, "study.toml"), text, tmp_path / "results", plugins, Silent())
    store = Store(tmp_path / "results")
    for record in store.launches():
        assert [idle.state for idle in record.idles] == ["bare", "loaded"]
        bare, loaded = record.idles
        (window,) = record.windows
        assert bare.end_ns < loaded.start_ns < loaded.end_ns < window.start_ns
        rows = readings(store.folder(record.id))
        for stretch in (bare, loaded, window):
            inside = [row for row in rows if stretch.start_ns <= row.t_ns <= stretch.end_ns]
            ticks = [row for row in inside if row.since_ns is not None]
            assert len(ticks) >= 2
            for row in ticks:
                assert (row.since_ns or 0) < row.value / 5 * 100_000_000 <= row.t_ns
        conditions = (store.folder(record.id) / "conditions.jsonl").read_text().splitlines()
        assert len(conditions) >= 3
    _, before, behind = WithTicking.ticking.contexts[:3]  # the first one looks at options
    assert (before.session_id, before.pids) == (None, None)
    assert behind.session_id is not None
    assert behind.accelerators == before.accelerators == 1


def _rapl_readable() -> bool:
    return any(
        os.access(zone / "energy_uj", os.R_OK)
        for zone in Path("/sys/class/powercap").glob("intel-rapl:*")
    )


def test_an_engine_that_dies_while_loading_loses_its_launches_only(
    model_files: Path, tmp_path: Path
) -> None:
    text = text_of(model_files, rounds=2, second='"--no-such-flag"')
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


GPU_ENGINES = """
[[engines]]
name = "sglang"

[[engines]]
name = "tensorrt-llm"

[[models]]
name = "dense"
"""


def test_engines_that_cannot_run_here_are_reported_and_the_others_measured(
    model_files: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("inferometer.environment.accelerator", lambda: "cpu")
    text = text_of(model_files, rounds=2).replace('[[models]]\nname = "dense"\n', GPU_ENGINES, 1)
    study = studies.parse(text, "study.toml")
    with pytest.raises(IncompleteError) as error:
        run_command(study, text, tmp_path / "r", registry())
    assert (error.value.exit_code, error.value.message[:12]) == (5, "8 of 16 laun")
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
    assert len(missing) == 4
    report = (tmp_path / "r" / "report" / "report.md").read_text()
    assert "tensorrt-llm: needs an NVIDIA GPU" in report
    assert "its CPU kernels are built from source and not published" in report
    assert "Set python = PATH to an interpreter that has SGLang" in report


def test_a_study_of_which_nothing_can_run_starts_nothing(
    model_files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("inferometer.environment.accelerator", lambda: "cpu")
    head, _, rest = text_of(model_files).partition("[[engines]]")
    text = head + GPU_ENGINES + rest.partition('[[models]]\nname = "dense"\n')[2]
    with pytest.raises(MachineError, match=r"sglang: .*; tensorrt-llm: needs an NVIDIA GPU"):
        measure(text, tmp_path / "r")
    assert not list(tmp_path.glob("r/failed/*"))


def test_an_engine_that_never_gets_ready_is_given_up(model_files: Path, tmp_path: Path) -> None:
    text = text_of(model_files, second='"--ready-after-s", "60"', protocol="ready_timeout_s = 1.0")
    outcome, _ = measure(text, tmp_path / "r")
    reasons = {
        record.failure.reason for record in Store(tmp_path / "r").failures() if record.failure
    }
    assert reasons == {"not_ready"}
    assert outcome.failed == 2


def test_an_engine_that_answers_only_errors_fails_by_name(
    model_files: Path, tmp_path: Path
) -> None:
    outcome, _ = measure(text_of(model_files, second='"--fault", "503"'), tmp_path / "r")
    assert outcome.failed == 2
    failure = Store(tmp_path / "r").failures()[0].failure
    assert failure is not None
    assert failure.stage == "serve"
    assert "503" in failure.message


def test_a_port_in_use_is_one_clear_error(model_files: Path, tmp_path: Path) -> None:

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        text = text_of(model_files, protocol=f"port = {port}")
        with pytest.raises(UsageError, match=f"port {port} on 127.0.0.1 is in use"):
            measure(text, tmp_path / "r")


def test_a_missing_model_directory_is_named(model_files: Path, tmp_path: Path) -> None:
    text = text_of(model_files).replace(f"{model_files}/moe", "/nowhere/moe")
    with pytest.raises(UsageError, match="/nowhere/moe"):
        measure(text, tmp_path / "r")


def varied(model_files: Path, lengths: str) -> str:
    """The study above with one model, and workloads whose lengths differ."""
    before, _, rest = text_of(model_files).partition('[[models]]\nname = "moe"')
    workloads = f"""
[[workloads]]
name = "varied"
{lengths}

[[workloads]]
name = "warm"
input_tokens = 64
output = {{ distribution = "lognormal", mean = 2, sigma = 0.5, max = 20 }}
cache = "warm"
reuse = 0.5

"""
    return before + workloads + rest[rest.index("[[loads]]") :]


def test_lengths_that_differ_stay_exact_and_warm_is_judged_as_warm(
    model_files: Path, tmp_path: Path
) -> None:
    pairs = tmp_path / "pairs.csv"
    pairs.write_text("input,output\n40,9\n48,4\n")
    measure(varied(model_files, f'file = "{pairs}"'), tmp_path / "r")
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
        measure(varied(model_files, f'file = "{pairs}"'), tmp_path / "r")
    assert not list(tmp_path.glob("r/launches/*"))


def test_results_that_cannot_be_written_stop_the_run(
    model_files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:

    real = storing.append_chunks

    def full(path: Path, rows: object) -> None:
        if len(list((tmp_path / "r" / "launches").glob("*"))) == 1:
            path.symlink_to("/dev/full")
        real(path, rows)  # type: ignore[arg-type]

    monkeypatch.setattr(storing, "append_chunks", full)
    with pytest.raises(StorageError, match="No space left"):
        measure(text_of(model_files), tmp_path / "r")
    monkeypatch.undo()
    monkeypatch.setenv("INFEROMETER_CACHE", str(tmp_path / "cache"))
    assert len(Store(tmp_path / "r").launches()) == 1
    outcome, _ = measure(text_of(model_files), tmp_path / "r")
    assert outcome.finished == 4


def processes_of(results: Path, model_files: Path) -> list[str]:
    seen = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True)
    return [
        line
        for line in seen.stdout.splitlines()
        if f"--model {model_files}" in line or f"{results}/partial" in line
    ]


SCRIPT = """
import sys
from pathlib import Path
from inferometer import provenance
from inferometer import store as storing
from inferometer import study as studies
from inferometer.progress import Silent
from inferometer.runner import run
from inferometer.testing.engine import registry
text = Path(sys.argv[1]).read_text()
run(studies.parse(text, "s"), text, Path(sys.argv[2]), registry(), Silent())
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_killed_in_mid_launch_it_resumes_and_leaves_no_process(
    model_files: Path, tmp_path: Path, number: signal.Signals
) -> None:
    text = text_of(model_files)
    study, results = tmp_path / "study.toml", tmp_path / "results"
    study.write_text(text)
    script = tmp_path / "run.py"
    script.write_text(SCRIPT)
    ours = subprocess.Popen(
        [sys.executable, str(script), str(study), str(results)], stderr=subprocess.PIPE
    )
    store = Store(results)
    for _ in range(1200):
        if len(store.launches()) >= 1 and list(results.glob("partial/*/probes.jsonl")):
            break
        time.sleep(0.05)
    first = {record.id: record.started_ns for record in store.launches()}
    assert first
    assert len(first) < 4
    ours.send_signal(number)
    ours.communicate()
    for _ in range(100):
        if not processes_of(results, model_files):
            break
        time.sleep(0.1)
    assert processes_of(results, model_files) == []
    outcome, _ = measure(text, results)
    assert outcome.finished == 4
    after = {record.id: record.started_ns for record in store.launches()}
    assert {key: after[key] for key in first} == first
    assert processes_of(results, model_files) == []


def test_results_of_another_machine_are_not_added_to(
    model_files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = text_of(model_files)
    measure(text, tmp_path / "r")
    shutil.rmtree(next((tmp_path / "r" / "launches").glob("r1-*-moe-*")))
    monkeypatch.setattr(provenance, "host_sha256", lambda _host: "another")
    with pytest.raises(UsageError, match="another machine"):
        measure(text, tmp_path / "r")


def test_a_meter_that_raises_costs_its_joules_and_no_launch(
    model_files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("a plugin's fault")

    monkeypatch.setattr("inferometer_plugins.meters.CpuTime.open", broken)
    outcome, _ = measure(text_of(model_files), tmp_path / "r")
    assert (outcome.finished, outcome.failed) == (4, 0)
    for record in Store(tmp_path / "r").launches():
        meter = next(info for info in record.meters if info.name == "cpu-time")
        assert (meter.reason, meter.detail) == ("failed", "ZeroDivisionError: a plugin's fault")


def test_a_wrong_meter_option_is_refused_before_any_engine_starts(
    model_files: Path, tmp_path: Path
) -> None:
    text = text_of(model_files).replace("power_w = 50", "power_w = 0")
    with pytest.raises(UsageError, match=r"options\.power_w must be a positive number"):
        measure(text, tmp_path / "r")
    assert not (tmp_path / "r").exists()


def test_the_report_command_writes_every_format(model_files: Path, tmp_path: Path) -> None:
    measure(text_of(model_files), tmp_path / "r")
    done = subprocess.run(
        [sys.executable, "-m", "inferometer", "report", str(tmp_path / "r")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    report = (tmp_path / "r" / "report" / "report.md").read_text()
    assert "SIMULATED" in report.upper()
    data = json.loads((tmp_path / "r" / "report" / "report.json").read_text())
    assert data["schema"] == "inferometer/report/1"
