"""The command line: what goes to stdout, what to stderr, and how it ends."""

from __future__ import annotations

import errno
import importlib
import json
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
import pytest
from tests.runtimes import Runtimes

import inferometer
from inferometer import analyze, cli, environment, errors, plan, plugins, quickstart, runner, study
from inferometer.cli import init as init_command
from inferometer.cli import report as report_command
from inferometer.cli import run as run_command
from inferometer.declared import Energy, Slo
from inferometer.store import Store

Capture = pytest.CaptureFixture[str]
Patch = pytest.MonkeyPatch


@pytest.fixture(autouse=True)
def _restore_signals() -> Iterator[None]:
    kept = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    yield
    for number, handler in kept.items():
        signal.signal(number, handler)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return a study file: the template."""
    file = tmp_path / "study.toml"
    assert cli.main(["init", str(file)]) == 0
    return file


def outcome(results: Path, failed: int = 0) -> runner.RunOutcome:
    return runner.RunOutcome(results, planned=4, finished=4 - failed, failed=failed)


# -- the group ---------------------------------------------------------------------------


def test_help_lists_every_command_without_importing_one(capsys: Capture) -> None:
    assert cli.main(["--help"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    for name, text in cli.COMMANDS.items():
        assert f"  {name} " in out
        assert text in out


def test_help_fits_one_screen(capsys: Capture, monkeypatch: Patch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert cli.main(["--help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert 24 <= len(lines) <= 40
    assert max(map(len, lines)) <= 80
    for title in cli.GROUPS:
        assert f"{title}:" in lines


def pages() -> Iterator[list[str]]:
    """Yield every command and subcommand as the words that call it."""
    for name in cli.COMMANDS:
        module = cli.MODULES.get(name, name)
        command = importlib.import_module(f"inferometer.cli.{module}").command
        yield [name]
        if isinstance(command, click.Group):
            yield from ([name, inner] for inner in command.commands)


@pytest.mark.parametrize("words", list(pages()), ids=" ".join)
def test_each_help_page_is_under_100_lines(words: list[str], capsys: Capture) -> None:
    assert cli.main([*words, "--help"]) == 0
    assert 5 <= len(capsys.readouterr().out.splitlines()) < 100


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_each_command_is_the_module_of_its_name(name: str) -> None:
    module = cli.MODULES.get(name, name)
    command = importlib.import_module(f"inferometer.cli.{module}").command
    assert command.name == name
    assert len(command.get_short_help_str(200)) > 10


def test_version(capsys: Capture) -> None:
    assert cli.main(["--version"]) == 0
    built = metadata.version("inferometer")
    assert capsys.readouterr().out == f"inferometer {built}\n"
    assert inferometer.__version__ == built.partition("+")[0]


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["rn"], "Did you mean 'run'?"),
        (["plan", "s.toml", "--jsn"], "Did you mean '--json'?"),
        (["plan"], "Missing argument 'STUDY'"),
    ],
)
def test_a_wrong_command_line_ends_with_2(words: list[str], text: str, capsys: Capture) -> None:
    assert cli.main(words) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert text in err


# -- errors ------------------------------------------------------------------------------


def said_at_the_end(capsys: Capture) -> str:
    """Return what a run said on stderr behind its first line, where its results go."""
    out, err = capsys.readouterr()
    first, _, rest = err.partition("\n")
    assert first.startswith("results go to ")
    assert not out
    return rest


def fail_with(error: BaseException, monkeypatch: Patch) -> None:
    def run(*_: object, **__: object) -> runner.RunOutcome:
        raise error

    monkeypatch.setattr(runner, "run", run)


@pytest.mark.parametrize(
    "kind", [errors.UsageError, errors.InconclusiveError, errors.StorageError, errors.LaunchError]
)
def test_our_errors_are_two_lines_and_their_code(
    kind: type[errors.InferometerError], path: Path, monkeypatch: Patch, capsys: Capture
) -> None:
    fail_with(kind("it broke", hint="Mend it."), monkeypatch)
    capsys.readouterr()
    assert cli.main(["run", str(path)]) == kind.exit_code
    assert said_at_the_end(capsys) == "error: it broke\nhint: Mend it.\n"


def test_any_other_error_is_called_a_bug_and_its_traceback_kept(
    path: Path, tmp_path: Path, monkeypatch: Patch, capsys: Capture
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    fail_with(ZeroDivisionError("oops\n Bearer abcdefgh"), monkeypatch)
    assert cli.main(["run", str(path)]) == 1
    said, hint = said_at_the_end(capsys).splitlines()
    assert said == "error: this is a bug in inferometer: ZeroDivisionError: oops [hidden]"
    (kept,) = tmp_path.glob("inferometer-bug-*.txt")
    assert hint == f"hint: Report it, with {kept}; what is finished is kept."
    assert kept.read_text().startswith("Traceback")
    assert "Bearer" not in kept.read_text()
    assert kept.stat().st_mode & 0o077 == 0


def test_a_bug_whose_traceback_cannot_be_kept_is_shown(
    path: Path, monkeypatch: Patch, capsys: Capture
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/nowhere")
    fail_with(ZeroDivisionError("oops"), monkeypatch)
    assert cli.main(["run", str(path)]) == 1
    err = said_at_the_end(capsys)
    assert err.startswith("Traceback")
    assert err.endswith("hint: Report it, with the lines above; what is finished is kept.\n")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (PermissionError(errno.EACCES, "Permission denied", "/a/b"), "/a/b: Permission denied"),
        (MemoryError(), "not enough memory on this machine"),
    ],
)
def test_what_the_machine_refuses_is_no_bug(
    error: Exception, said: str, path: Path, monkeypatch: Patch, capsys: Capture
) -> None:
    fail_with(error, monkeypatch)
    assert cli.main(["run", str(path)]) == 6
    first, hint = said_at_the_end(capsys).splitlines()
    assert first == f"error: {said}"
    assert hint.startswith("hint: ")


def test_a_reader_that_goes_away_ends_it_as_sigpipe_would() -> None:
    line = [sys.executable, "-m", "inferometer", "prices", "--json"]
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as program:
        assert program.stdout is not None
        assert program.stderr is not None
        program.stdout.close()
        assert program.wait() == 141
        assert program.stderr.read() == b""


def test_a_pipe_of_our_own_that_breaks_is_a_bug(
    path: Path, monkeypatch: Patch, capsys: Capture
) -> None:
    fail_with(BrokenPipeError(errno.EPIPE, "Broken pipe"), monkeypatch)
    assert cli.main(["run", str(path)]) == 1
    assert "BrokenPipeError" in capsys.readouterr().err


def test_no_command_at_all_shows_the_help(capsys: Capture) -> None:
    assert cli.main([]) == 2
    assert "Usage: inferometer" in capsys.readouterr().err


def test_a_full_disk_is_no_bug(path: Path, monkeypatch: Patch, capsys: Capture) -> None:
    fail_with(OSError(errno.ENOSPC, "No space left on device"), monkeypatch)
    assert cli.main(["run", str(path)]) == 6
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize("error", [KeyboardInterrupt(), errors.Interrupted("stopped")])
def test_an_interruption_says_how_to_resume(
    error: BaseException, path: Path, monkeypatch: Patch, capsys: Capture
) -> None:
    fail_with(error, monkeypatch)
    assert cli.main(["run", str(path), "--results", "a b"]) == 130
    assert f"hint: Resume with: inferometer run {path} --results 'a b'" in capsys.readouterr().err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_a_run_with_130(number: signal.Signals, path: Path) -> None:
    program = (
        "import sys, time\n"
        "from inferometer import cli, runner\n"
        "def run(*_, **__):\n"
        "    print('measuring', flush=True)\n"
        "    time.sleep(60)\n"
        "runner.run = run\n"
        f"sys.exit(cli.main(['run', {str(path)!r}]))\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "measuring\n"
        begin = time.monotonic()
        process.send_signal(number)
        _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert time.monotonic() - begin < 20
    assert "hint: Resume with: inferometer run" in err


# -- init and plan -----------------------------------------------------------------------


def test_the_template_is_a_study_and_every_engine_of_it_is_known(path: Path) -> None:
    loaded = study.load(path)
    assert loaded.models[1].twin_of == loaded.models[0].name
    assert cli.main(["plan", str(path)]) == 0


def test_what_the_template_comments_out_is_valid_too(path: Path) -> None:
    lines = init_command.template(path).splitlines()
    switched_on = [re.sub(r"^# (?=\[\[|\[\w+\]$|\w+ = )", "", line) for line in lines]
    assert sum(new != old for new, old in zip(switched_on, lines, strict=True)) == 33
    loaded = study.parse("\n".join(switched_on), "template")
    assert [entry.name for entry in loaded.engines] == ["vllm", "transformers"]
    assert [load.key for load in loaded.loads] == ["1", "8", "rate-2.0-poisson", "trace"]
    assert loaded.workloads[1].turns == 4
    assert isinstance(loaded.energy, Energy)
    assert loaded.energy.pue == 1.2
    assert loaded.slo == Slo(ttft_ms=500.0, tpot_ms=50.0)
    names = [meter.name for meter in loaded.meters]
    assert names == ["declared", "nvml", "nvml-power", "rapl"]


def test_init_leaves_an_existing_file_alone(path: Path, capsys: Capture) -> None:
    path.write_text("mine")
    capsys.readouterr()
    assert cli.main(["init", str(path)]) == 2
    assert path.read_text() == "mine"
    assert capsys.readouterr().err.startswith(f"error: {path}: exists\n")


@pytest.fixture
def no_accelerator(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "accelerator", lambda: "cpu")


@pytest.mark.usefixtures("no_accelerator")
def test_plan_prints_launches_count_estimate_and_hash(path: Path, capsys: Capture) -> None:
    capsys.readouterr()
    assert cli.main(["plan", str(path)]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    expanded = plan.expand(study.load(path))
    assert f"plan   {expanded.sha256}" in out
    places = [out.index(launch.id) for launch in expanded.launches]
    assert places == sorted(places)
    # 10 launches of 60 s and two points of 10 + 20 + 60 s each, and two probes of 20 s
    assert "10 launches, about 41 min (29 min to 1 h 54 min; estimated)\n" in out
    assert "estimated  no past run of vllm on smollm2-135m; 60 s assumed; and 1 more" in out
    assert "\nGPU-hours: 0, no launch occupies a GPU: the machine has none\n" in out
    assert "\ncost: about 0.0678 USD (0.0476 to 0.190; estimated) at 0.100 USD an hour of" in out


OPEN = """
[[loads]]
rate = 2

[[workloads]]
name = "talk"
input_tokens = 20
output_tokens = 10
turns = 3
cache = "warm"
"""


def test_plan_counts_the_soak_of_an_accelerator(
    path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for accelerator in ("cpu", "cuda"):
        monkeypatch.setattr(environment, "accelerator", lambda known=accelerator: known)
        capsys.readouterr()
        assert cli.main(["plan", str(path), "--json"]) == 0
        found.append(estimate_s(json.loads(capsys.readouterr().out)))
    # launches, and the least of a soak; and 10 s to cool down before each round's second one
    assert found[1] - found[0] == 10 * 20 + 5 * 10


@pytest.mark.usefixtures("no_accelerator")
def test_plan_shows_open_loops_and_what_is_not_run(path: Path, capsys: Capture) -> None:
    path.write_text(path.read_text() + OPEN)
    capsys.readouterr()
    assert cli.main(["plan", str(path)]) == 0
    out = capsys.readouterr().out
    assert "short-chat at 8 streams, short-chat at 2 requests/s, Poisson, talk at 1 streams" in out
    assert "talk at 8 streams, warm cache\n" in out
    assert "not run: talk at 2 requests/s, Poisson (conversations need a closed loop" in out
    assert cli.main(["plan", str(path), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["not_run"] == ["talk at 2 requests/s, Poisson"]
    assert estimate_s(document) == 10 * (60 + 5 * 90) + 2 * 20


def test_plan_says_which_engines_cannot_run_here(
    path: Path, capsys: Capture, monkeypatch: Patch
) -> None:
    monkeypatch.setattr("inferometer.environment.accelerator", lambda: "cpu")
    path.write_text(path.read_text().replace('name = "vllm"', 'name = "tensorrt-llm"', 1))
    capsys.readouterr()
    assert cli.main(["plan", str(path)]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith("cannot run here: tensorrt-llm: needs an NVIDIA GPU, this is ")
    assert last.endswith("; run this stack on a machine with one.")
    assert cli.main(["plan", str(path), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["unsupported"]["tensorrt-llm"]["remedy"].startswith("Run this stack")


def test_plan_lets_a_stand_in_run_with_our_own_interpreter(path: Path, capsys: Capture) -> None:
    path.write_text(path.read_text().replace('name = "vllm"', 'name = "simulator"', 1))
    capsys.readouterr()
    assert cli.main(["plan", str(path)]) == 0
    out = capsys.readouterr().out
    assert "cannot run here" not in out
    assert f"our own interpreter {sys.executable}" in out
    assert cli.main(["engines", "show", "simulator", "--json"]) == 0
    state = json.loads(capsys.readouterr().out)["environment"]
    assert (state["state"], state["python"]) == ("ours", sys.executable)


def test_plan_says_where_each_stack_runs(
    path: Path, capsys: Capture, runtimes: Runtimes, monkeypatch: Patch
) -> None:
    monkeypatch.setattr("inferometer.environment.accelerator", lambda: "cpu")
    one = path.read_text().replace('name = "vllm"', 'name = "vllm"\ncontainer = "docker"', 1)
    path.write_text(one.replace('"docker"', '"docker"\nengine_version = "0.33.0"'))
    capsys.readouterr()
    assert cli.main(["plan", str(path)]) == 0
    out = capsys.readouterr().out
    assert "vllm: a docker container of public.ecr.aws/" in out
    assert "-repo:v0.33.0\n" in out
    assert "cannot run here" not in out
    assert cli.main(["plan", str(path), "--json"]) == 0
    assert "container of" in json.loads(capsys.readouterr().out)["runs_in"]["vllm"]
    monkeypatch.setenv("PATH", str(path.parent))
    assert cli.main(["plan", str(path)]) == 0
    assert "cannot run here: docker: not installed here" in capsys.readouterr().out


def estimate_s(document: dict[str, Any]) -> float:
    """Return an estimate but for the stretches without load, which sensors of a machine add."""
    return float(document["estimate_s"] - 10 * 2 * 1.2 * document["idle_s"])


@pytest.mark.usefixtures("no_accelerator")
def test_plan_counts_stretches_without_load(path: Path, capsys: Capture) -> None:
    path.write_text(path.read_text().replace("[protocol]", "[protocol]\nidle_s = 5", 1))
    capsys.readouterr()
    assert cli.main(["plan", str(path), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["idle_s"] == 5
    assert document["estimate_s"] == 10 * (60 + 2 * 90 + 2 * 6) + 2 * 20
    assert cli.main(["plan", str(path)]) == 0
    assert "in each launch 5 s without load, before and behind" in capsys.readouterr().out
    path.write_text(path.read_text().replace("idle_s = 5", "idle_s = 0", 1))
    assert cli.main(["plan", str(path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["idle_s"] == 0


@pytest.mark.usefixtures("no_accelerator")
def test_plan_as_json_is_one_document(path: Path, capsys: Capture) -> None:
    capsys.readouterr()
    assert cli.main(["plan", str(path), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert estimate_s(document) == 10 * (60 + 2 * 90) + 2 * 20
    assert [launch["position"] for launch in document["launches"]] == list(range(10))


@pytest.mark.usefixtures("no_accelerator")
def test_plan_shows_searches_and_their_time(path: Path, capsys: Capture) -> None:
    text = path.read_text().replace('name = "vllm"', 'name = "vllm"\nprofile = "tuned"', 1)
    text = text.replace("[price]", "[tuning]\ntrials = 6\nwindow_s = 30\n\n[price]", 1)
    path.write_text(text)
    capsys.readouterr()
    assert cli.main(["plan", str(path)]) == 0
    out = capsys.readouterr().out
    # 6 trials of 60 + 10 + 10 + 30 s
    assert "tuning vllm on smollm2-135m: at most 6 trials for throughput, short-chat at 1" in out
    assert "at most about 11 min\n" in out
    assert cli.main(["plan", str(path), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    rounds_s = 10 * (60 + 2 * 90) + 2 * 20
    assert estimate_s(document) == 2 * 660 + rounds_s  # on two models
    assert document["searches"][0]["tuning"] == {"trials": 6, "window_s": 30.0}
    path.write_text(text.replace("trials = 6", "minutes = 5"))
    assert cli.main(["plan", str(path), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert estimate_s(document) == 2 * (300 + 110) + rounds_s  # one trial may end later


def test_plan_names_everything_the_plugins_do_not_know(path: Path, capsys: Capture) -> None:
    text = path.read_text().replace('name = "vllm"', 'name = "vlm"').replace("power_w", "watts")
    path.write_text(text.replace('name = "rapl"', 'name = "rapp"'))
    capsys.readouterr()
    assert cli.main(["plan", str(path)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "engines[0].name: no engine named 'vlm'; did you mean 'vllm'? (installed: " in err
    assert "meters[1].name: no meter named 'rapp'; did you mean 'rapl'?" in err
    assert "meters[0].options.watts: meter 'declared' has no such option (known: power_w)" in err


def test_a_packaged_model_that_nobody_knows_is_named(path: Path, capsys: Capture) -> None:
    path.write_text(path.read_text().replace('packaged = "smollm2-135m"', 'packaged = "smollm"'))
    assert cli.main(["plan", str(path)]) == 2
    assert "models[0].packaged: no packaged model 'smollm'; did you" in capsys.readouterr().err


def test_a_wrong_option_type_is_named(path: Path, capsys: Capture) -> None:
    path.write_text(path.read_text().replace("power_w = 65.0", 'power_w = "65"'))
    assert cli.main(["plan", str(path)]) == 2
    assert "meters[0].options.power_w: expected float, got '65'" in capsys.readouterr().err


def test_a_broken_plugin_is_mentioned_where_it_may_be_why(
    path: Path, monkeypatch: Patch, capsys: Capture
) -> None:
    monkeypatch.setenv(plugins.VARIABLE, "meters,vlm")
    assert cli.main(["plan", str(path)]) == 2
    assert "named in INFEROMETER_PLUGINS, but not installed" in capsys.readouterr().err


# -- run ---------------------------------------------------------------------------------


def test_run_measures_then_reports_in_another_process(
    path: Path, tmp_path: Path, monkeypatch: Patch, capsys: Capture
) -> None:
    calls: list[object] = []

    def measured(
        loaded: study.Study, text: str, results: Path, *_: object, **__: object
    ) -> runner.RunOutcome:
        calls.append((loaded, text, results))
        return outcome(results)

    def child(line: list[str], *, check: bool) -> SimpleNamespace:
        calls.append((line, check))
        return SimpleNamespace(returncode=0)

    monkeypatch.setattr(runner, "run", measured)
    monkeypatch.setattr(subprocess, "run", child)
    capsys.readouterr()
    results = tmp_path / "out"
    assert cli.main(["run", str(path), "--results", str(results)]) == 0
    assert calls == [
        (study.load(path), path.read_text(), results),
        ([sys.executable, "-P", "-m", "inferometer", "report", str(results)], False),
    ]
    assert said_at_the_end(capsys) == f"results: {results}\n"


def test_run_refuses_what_is_not_there_before_it_builds(path: Path, capsys: Capture) -> None:
    text = path.read_text().replace('packaged = "smollm2-135m"', 'path = "/absent/model"')
    path.write_text(text.replace('name = "vllm"', 'name = "vllm"\npython = "/absent/python"'))
    assert cli.main(["plan", str(path)]) == 0  # may be planned for another machine
    assert cli.main(["run", str(path)]) == 2
    err = capsys.readouterr().err
    assert "engines[0].python: no file /absent/python" in err
    assert "models[0].path: no file /absent/model/config.json" in err


def test_run_refuses_a_trace_that_is_not_there(path: Path, capsys: Capture) -> None:
    text = path.read_text().replace("window_s = 60.0", "window_s = 60.0\ndiscard_s = 1")
    path.write_text(text + '[[loads]]\ntrace = "/nowhere/hour.jsonl"\n')
    capsys.readouterr()
    assert cli.main(["run", str(path)]) == 2
    assert "loads[2].trace: no file /nowhere/hour.jsonl" in capsys.readouterr().err


def test_a_report_that_was_killed_is_not_a_success(monkeypatch: Patch) -> None:
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: SimpleNamespace(returncode=-9))
    assert run_command.analyse(Path("x")) == 137


def test_results_are_named_after_study_and_plan(path: Path, monkeypatch: Patch) -> None:
    seen: list[Path] = []
    monkeypatch.setattr(
        run_command, "measure", lambda _s, _t, results, *_, **__: seen.append(results)
    )
    sha256 = plan.expand(study.load(path)).sha256
    cli.main(["run", str(path)])
    path.write_text(path.read_text() + "# a comment changes nothing\n")
    cli.main(["run", str(path)])
    path.write_text(path.read_text().replace("rounds = 5", "rounds = 6"))
    cli.main(["run", str(path)])
    assert seen[:2] == [Path("results") / f"study-{sha256[:8]}"] * 2
    assert seen[2] != seen[0]


@pytest.mark.parametrize(
    ("failed", "reported", "code"), [(0, 0, 0), (1, 0, 5), (0, 4, 4), (1, 4, 5)]
)
def test_the_exit_code_of_run(
    failed: int, reported: int, code: int, *, path: Path, monkeypatch: Patch, capsys: Capture
) -> None:
    monkeypatch.setattr(runner, "run", lambda *_, **__: outcome(Path("out"), failed))
    monkeypatch.setattr(run_command, "analyse", lambda *_: reported)
    assert cli.main(["run", str(path)]) == code
    assert ("1 of 4 launches failed" in capsys.readouterr().err) == bool(failed)


# -- report ------------------------------------------------------------------------------


class Fake:
    """A renderer that writes one file, or does what it should not."""

    def __init__(self, name: str, file: str = "", error: BaseException | None = None) -> None:
        self.name = name
        self.file = file or f"report.{name}"
        self.error = error

    def render(self, comparison: object) -> dict[str, bytes]:
        sys.stdout.write("chatter\n")
        if self.error is not None:
            raise self.error
        return {self.file: f"{self.name} of {comparison}\n".encode()}


class Analysed(str):
    """Stands for a comparison without costs."""

    __slots__ = ()
    costs = None


@pytest.fixture
def results(tmp_path: Path, path: Path, monkeypatch: Patch) -> Path:
    root = tmp_path / "results"
    store = Store(root)
    with store.writing():
        store.begin(plan.expand(study.load(path)), path.read_text())
    monkeypatch.setattr(analyze, "analyze", lambda at, *_, **__: Analysed(f"<{at.name}>"))
    return root


def render_with(monkeypatch: Patch, *renderers: Fake) -> None:
    known = {renderer.name: renderer for renderer in renderers}
    monkeypatch.setattr(plugins.Registry, "renderers", lambda _: known)


def test_report_writes_every_format_and_prints_the_text(
    results: Path, monkeypatch: Patch, capsys: Capture
) -> None:
    render_with(monkeypatch, Fake("md"), Fake("text", "report.txt"), Fake("svg", "charts/a.svg"))
    capsys.readouterr()
    assert cli.main(["report", str(results)]) == 0
    out, err = capsys.readouterr()
    assert out == "text of <results>\n"
    assert f"report: {results / 'report'}" in err
    assert (results / "report" / "report.md").read_bytes() == b"md of <results>\n"
    assert (results / "report" / "charts" / "a.svg").is_file()


@pytest.mark.parametrize(("flags", "asked"), [([], False), (["--weights"], True)])
def test_weights_are_weighed_only_when_asked_for(
    flags: list[str], asked: bool, *, results: Path, monkeypatch: Patch
) -> None:
    given: list[dict[str, object]] = []

    def noted(at: Path, *_: object, **options: object) -> Analysed:
        given.append(options)
        return Analysed(at.name)

    monkeypatch.setattr(analyze, "analyze", noted)
    render_with(monkeypatch, Fake("md"))
    assert cli.main(["report", str(results), *flags]) == 0
    assert [options["weights"] for options in given] == [asked]


class Speaker(Fake):
    """A renderer that also writes Indonesian."""

    languages = ("en", "id")

    def in_language(self, language: str) -> Speaker:
        return Speaker(f"{self.name} ({language})", self.file)


def test_report_in_a_language_leaves_out_who_does_not_write_in_it(
    results: Path, monkeypatch: Patch, capsys: Capture
) -> None:
    render_with(monkeypatch, Speaker("md"), Fake("svg"))
    out = results / "report"
    assert cli.main(["report", str(results), "--lang", "id"]) == 0
    assert "left out: report format svg does not write in id" in capsys.readouterr().err
    assert sorted(file.name for file in out.iterdir()) == ["MANIFEST.sha256", "report.md"]
    assert (out / "report.md").read_bytes() == b"md (id) of <results>\n"
    assert cli.main(["report", str(results), "--lang", "id", "--format", "md,svg"]) == 2
    assert "report format 'svg' does not write in language 'id'" in capsys.readouterr().err
    assert cli.main(["report", str(results), "--lang", "ids"]) == 2
    assert "no language named 'ids' (--lang)" in capsys.readouterr().err


def test_report_writes_what_is_asked_where_it_is_asked(
    results: Path, tmp_path: Path, monkeypatch: Patch, capsys: Capture
) -> None:
    render_with(monkeypatch, Fake("md"), Fake("json"), Fake("text"))
    capsys.readouterr()
    out = tmp_path / "x" / "y"
    assert cli.main(["report", str(results), "--format", "md, json", "--out", str(out)]) == 0
    named = sorted(file.name for file in out.iterdir())
    assert named == ["MANIFEST.sha256", "report.json", "report.md"]
    assert capsys.readouterr().out == ""
    assert cli.main(["report", str(results), "--format", "mdd"]) == 2
    assert "Did you mean 'md'?" in capsys.readouterr().err
    assert cli.main(["report", str(results), "--format", ","]) == 2


@pytest.mark.parametrize(
    ("bad", "text"),
    [
        (Fake("bad", error=RuntimeError("no")), "bad: RuntimeError: no"),
        (Fake("bad", error=SystemExit(0)), "bad: SystemExit: 0"),
        (Fake("bad", "../out.md"), "bad: file name '../out.md' leads out of the report's folder"),
        (Fake("bad", "/etc/out"), "bad: file name '/etc/out' leads out of the report's folder"),
        (Fake("bad", "report.md"), "report.md is also written by"),
    ],
)
def test_a_failing_format_does_not_cost_the_others(
    bad: Fake, text: str, results: Path, monkeypatch: Patch, capsys: Capture
) -> None:
    render_with(monkeypatch, Fake("json"), bad, Fake("md"))
    assert cli.main(["report", str(results)]) == 1
    assert text in capsys.readouterr().err
    assert (results / "report" / "report.json").is_file()
    assert (results / "report" / "report.md").is_file()


def test_report_refuses_what_is_no_results_directory(tmp_path: Path, capsys: Capture) -> None:
    assert cli.main(["report", str(tmp_path)]) == 2
    assert "not a results directory" in capsys.readouterr().err


def test_a_report_that_cannot_be_written_ends_with_6(
    results: Path, monkeypatch: Patch, capsys: Capture
) -> None:
    render_with(monkeypatch, Fake("md"))
    (results / "report").write_text("in the way")
    assert cli.main(["report", str(results)]) == 6
    assert str(results / "report") in capsys.readouterr().err


def test_inside_allows_folders() -> None:
    assert report_command._inside(Path("/r"), "a/b.svg") == Path("/r/a/b.svg")


def test_a_folder_of_the_report_that_is_a_link_is_not_written_through(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / "figures").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ValueError, match="figures is a link"):
        report_command._inside(tmp_path / "report", "figures/a.svg")
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")  # --out, the user's own choice
    assert report_command._inside(tmp_path / "link", "figures/a.svg").name == "a.svg"


# -- plugins and quickstart --------------------------------------------------------------


def test_plugins_lists_things_and_problems(monkeypatch: Patch, capsys: Capture) -> None:
    monkeypatch.setenv(plugins.VARIABLE, "meters,nothing")
    assert cli.main(["plugins"]) == 0
    out = capsys.readouterr().out
    assert f"meter declared inferometer {metadata.version('inferometer')}" in " ".join(out.split())
    assert out.splitlines()[-1].startswith("problem: plugin nothing")
    assert cli.main(["plugins", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert {row["name"] for row in rows} >= {"declared", "nothing"}


@pytest.fixture
def quick(tmp_path: Path, monkeypatch: Patch) -> Path:
    """Let quickstart measure nothing; return its results directory."""
    monkeypatch.setattr(quickstart, "check_machine", lambda _host, _cache: "disk: enough")
    monkeypatch.setattr(runner, "run", lambda _s, _t, results, *_, **__: outcome(results))
    monkeypatch.setattr(run_command, "analyse", lambda *_: 0)
    monkeypatch.setenv("INFEROMETER_CACHE", str(tmp_path / "cache"))
    return tmp_path / "new" / "results"


def test_quickstart_says_what_it_chose_and_writes_the_study(quick: Path, capsys: Capture) -> None:
    assert cli.main(["quickstart", "--yes", "--results", str(quick)]) == 0
    out, err = capsys.readouterr()
    assert out == ""
    assert "engine vllm: " in err
    assert "disk: enough" in err
    loaded = study.load(quick.parent / "quickstart.toml")
    assert loaded.preset == "quick look"
    assert f"{len(plan.expand(loaded).launches)} launches, about" in err
    assert cli.main(["quickstart", "--yes", "--results", str(quick)]) == 0  # resumes


def test_quickstart_does_not_overwrite_a_study_that_was_changed(
    quick: Path, capsys: Capture
) -> None:
    assert cli.main(["quickstart", "--yes", "--results", str(quick)]) == 0
    path = quick.parent / "quickstart.toml"
    path.write_text(path.read_text().replace("rounds = 3", "rounds = 9"))
    assert cli.main(["quickstart", "--yes", "--results", str(quick)]) == 2
    assert f"Run it with `inferometer run {path}`" in capsys.readouterr().err
    assert "rounds = 9" in path.read_text()


@pytest.mark.parametrize(("terminal", "asked"), [(True, 1), (False, 0)])
def test_quickstart_asks_a_person_only(
    terminal: bool, asked: int, quick: Path, monkeypatch: Patch
) -> None:
    questions: list[str] = []

    def confirm(text: str, **_: object) -> bool:
        questions.append(text)
        return False

    monkeypatch.setattr(sys, "stdin", SimpleNamespace(isatty=lambda: terminal))
    monkeypatch.setattr(click, "confirm", confirm)
    assert cli.main(["quickstart", "--results", str(quick)]) == 0
    assert len(questions) == asked
    assert (quick.parent / "quickstart.toml").exists() == (not asked)
