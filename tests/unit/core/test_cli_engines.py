"""``inferometer engines``: what is listed and shown, and the life of an environment."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import pytest
from tests.unit.core.wheels import lock_of, make_wheel

from inferometer import cli, environment, hookimpl, inventory, plugins
from inferometer.engine import Adapter, Command, LaunchContext, Platform, Requirements, Unsupported

Capture = pytest.CaptureFixture[str]
Patch = pytest.MonkeyPatch
STALE = "tiny-engine-0123456789abcdef"


@dataclass(frozen=True, slots=True)
class Tiny(Adapter):
    """An engine that is one wheel; ``lock`` installs it on a processor."""

    lock: str
    name: str = "tiny"
    distributions: tuple[str, ...] = ("tiny-engine",)
    versions: tuple[str, ...] = ("1.0", "1.5")

    def requirements(self, platform: Platform) -> Requirements:
        if platform.accelerator != "cpu":
            raise Unsupported(f"tiny: none for {platform}", remedy="Use a \x1b[31mprocessor.")
        return Requirements(lock=self.lock, distribution="tiny_engine")

    def image(self, platform: Platform, version: str) -> str:
        return f"example.org/tiny:{version}"

    def command(self, context: LaunchContext) -> Command:
        return Command(argv=("tiny", "--dtype", context.spec.dtype))

    def request(self, completion: Any) -> dict[str, Any]:
        return {"prompt": completion.prompt_text}


class Result(msgspec.Struct):
    """What the kit says of one check."""

    id: str
    words: str
    outcome: str
    detail: str
    seconds: float


@dataclass(frozen=True, slots=True)
class FakeKit:
    run: Any


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: Patch) -> Path:
    """Install the engine as a plugin beside the real ones; return the cache it may use."""
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    make_wheel(wheels, "tiny_engine", "1.5")
    engine = Tiny(lock_of(wheels, "tiny-engine==1.5"))
    plugin = ModuleType("tiny_plugin")
    plugin.inferometer_engines = hookimpl(specname="inferometer_engines")(lambda: [engine])  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "tiny_plugin", plugin)
    points = [
        *entry_points(group="inferometer"),
        EntryPoint(name="tiny", value="tiny_plugin", group="inferometer"),
    ]
    monkeypatch.setattr(
        plugins, "entry_points", lambda group: [p for p in points if p.group == group]
    )
    monkeypatch.setattr(environment, "accelerator", lambda: "cpu")
    monkeypatch.setenv("INFEROMETER_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def folder(cache: Path, name: str, *, complete: bool = False) -> Path:
    """Make what a build leaves in the cache: 4 KiB or more."""
    home = cache / "environments" / name
    (home / "venv-x" / "bin").mkdir(parents=True)
    (home / "lock").touch()
    (home / "venv-x" / "bin" / "python").write_text("#" * 4096)
    if complete:
        (home / "complete.json").write_text('{"venv": "venv-x", "sha256": "", "version": "1.4"}')
    return home


def run(capsys: Capture, *words: str) -> tuple[int, str, str]:
    capsys.readouterr()
    code = cli.main(["engines", *words])
    out, err = capsys.readouterr()
    return code, out, err


# -- list and show -----------------------------------------------------------------------


def test_the_list_fits_80_columns_and_has_every_engine(cache: Path, capsys: Capture) -> None:
    code, out, err = run(capsys, "list")
    assert (code, err) == (0, "")
    assert all(len(line) <= 80 for line in out.splitlines())
    title, *rows = out.splitlines()
    assert title.split()[:3] == ["engine", "versions", "environment"]
    assert {row.split()[0] for row in rows} >= {"sglang", "tensorrt-llm", "tiny", "vllm"}
    assert "tiny          1.0 to 1.5        not built    cpu          defaults" in out


def test_the_list_as_json_and_a_broken_plugin_on_stderr(
    cache: Path, capsys: Capture, monkeypatch: Patch
) -> None:
    monkeypatch.setenv(plugins.VARIABLE, "tiny,tinny")
    code, out, err = run(capsys, "list", "--json")
    assert code == 0
    assert json.loads(out) == [
        {
            "engine": "tiny",
            "versions": "1.0 to 1.5",
            "environment": "not built",
            "installs_on": "cpu",
            "profiles": "defaults, equalized",
        }
    ]
    assert "problem: plugin tinny" in err
    assert "did you mean 'tiny'?" in err


def test_an_adapter_that_raises_is_one_row(
    cache: Path, capsys: Capture, monkeypatch: Patch
) -> None:
    def fails(*_: object) -> Any:
        raise ZeroDivisionError("oops")

    monkeypatch.setattr(Tiny, "requirements", fails)
    monkeypatch.setattr(Tiny, "request", fails)
    code, out, _ = run(capsys, "list")
    assert code == 0
    assert "tiny          1.0 to 1.5        broken" in out
    code, out, _ = run(capsys, "show", "tiny")
    assert code == 0
    assert "broken: its adapter raised ZeroDivisionError: oops" in out
    assert "sent with each    raised ZeroDivisionError: oops" in out


def test_show_tells_what_the_adapter_says(cache: Path, capsys: Capture) -> None:
    code, out, _ = run(capsys, "show", "vllm")
    assert code == 0
    assert "max_num_seqs = 64              0.12.0  --max-num-seqs 64" in out
    assert "moe_backend = NAME             0.20.2  --moe-backend NAME" in out
    assert 'vllm:prompt_tokens_by_source_total{source="local_compute"}' in out
    assert "POST /reset_prefix_cache" in out
    assert "no_kv_room" in out
    code, out, _ = run(capsys, "show", "tiny", "--accelerator", "cuda")
    assert code == 0
    assert "unsupported: tiny: none for linux-" in out
    assert "Use a processor." in out, "control sequences of a plugin must not reach a terminal"
    assert "\x1b" not in out


def test_show_as_json_is_one_document(cache: Path, capsys: Capture) -> None:
    code, out, _ = run(capsys, "show", "tensorrt-llm", "--json")
    assert code == 0
    document = json.loads(out)
    assert document["environment"]["state"] == "unsupported"
    found = document["capabilities"]
    assert found["serving_platform"] == "linux-x86_64-cuda"
    assert found["terms"]["max_num_seqs"][0]["words"] == ["max_batch_size: 64"]
    assert found["metrics"]["counters"][0]["unit"] == "tokens"


@pytest.mark.parametrize("verb", ["show", "check", "install", "remove"])
def test_a_wrong_name_gets_a_suggestion(verb: str, cache: Path, capsys: Capture) -> None:
    code, out, err = run(capsys, verb, "tinny")
    assert (code, out) == (2, "")
    assert "Did you mean 'tiny'?" in err


# -- check -------------------------------------------------------------------------------


@pytest.mark.parametrize(("outcome", "code"), [("pass", 0), ("known", 0), ("n/a", 0), ("fail", 3)])
def test_check_ends_with_3_when_a_check_failed(
    outcome: str, code: int, cache: Path, capsys: Capture, monkeypatch: Patch
) -> None:
    found = [
        Result(id="ready", words="It is seen to be ready.", outcome="pass", detail="", seconds=0.1),
        Result(id="stop", words="It stops.", outcome=outcome, detail="\x1b[1mWhy.", seconds=0.1),
    ]

    def run_kit(engine: Tiny, *, told: Any) -> list[Result]:
        assert engine.name == "tiny"
        for result in found:
            told(result)
        return found

    monkeypatch.setattr("inferometer.cli.engines.import_module", lambda _: FakeKit(run_kit))
    ended, out, err = run(capsys, "check", "tiny")
    assert ended == code
    assert out.splitlines() == [
        "pass   ready                     It is seen to be ready.",
        f"{outcome:5}  stop                      It stops. Why.",
    ]
    assert ("1 of 2 checks failed" in err) == (code == 3)
    ended, out, err = run(capsys, "check", "tiny", "--json")
    assert ended == code
    assert [(row["id"], row["outcome"]) for row in json.loads(out)][1] == ("stop", outcome)


# -- install -----------------------------------------------------------------------------


def test_the_life_of_an_environment(cache: Path, capsys: Capture, monkeypatch: Patch) -> None:
    for name in ("PIP_FIND_LINKS", "PIP_EXTRA_INDEX_URL", "PIP_NO_INDEX"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_INDEX_URL", "file:///no/such/index")
    code, out, err = run(capsys, "install", "tiny")
    assert code == 0, err
    python = Path(out.strip())
    home = python.parents[2]
    assert f"log of the build: {home / 'build.log'}" in err
    assert "fetching 1/1" in err
    built_ns = (home / "build.log").stat().st_mtime_ns
    assert run(capsys, "install", "tiny")[:2] == (0, out)
    assert (home / "build.log").stat().st_mtime_ns == built_ns  # not built again
    assert "built 1.5" in run(capsys, "list")[1]

    with subprocess.Popen(
        [python, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE
    ) as running:
        code, out, err = run(capsys, "remove", "tiny")
        assert (code, out) == (6, "")
        assert f"in use (process {running.pid})" in err
    assert python.exists()

    code, out, err = run(capsys, "remove", "tiny", "--dry-run")
    assert (code, err) == (0, "")
    assert out.startswith(f"would remove {home} (")
    assert python.exists()
    code, out, err = run(capsys, "remove", "tiny")
    assert code == 0
    assert out.startswith(f"removed {home} (")
    assert " MB" in err
    assert [path.name for path in home.iterdir()] == ["lock"]
    assert run(capsys, "remove", "tiny") == (0, "", "tiny: nothing to remove\n")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("tiny", "--accelerator", "cuda"), 6, "It also comes as a container image: example.org"),
        (("tiny", "--python-version", "three"), 2, "Give major and minor, such as 3.12."),
        (("tiny", "--python-version", "3.99"), 2, "python3.99: not found on PATH"),
        (("tensorrt-llm",), 6, "needs an NVIDIA GPU"),
    ],
)
def test_what_cannot_be_installed_says_what_to_do(
    words: tuple[str, ...], code: int, said: str, cache: Path, capsys: Capture
) -> None:
    ended, out, err = run(capsys, "install", *words)
    assert (ended, out) == (code, "")
    assert said in err
    assert not (cache / "environments").exists()


def test_another_python_is_found_on_the_path(
    cache: Path, capsys: Capture, monkeypatch: Patch, tmp_path: Path
) -> None:
    other = tmp_path / "bin" / "python3.99"
    other.parent.mkdir()
    other.symlink_to(sys.executable)
    monkeypatch.setenv("PATH", str(other.parent))
    asked: list[tuple[str, Path, bool]] = []

    def prepare(
        _: Requirements, platform: Platform, *__: object, python: Path, keep: bool
    ) -> environment.Environment:
        asked.append((platform.python, python, keep))
        return environment.Environment(
            python=python, sha256="", kind="venv", distributions={}, version="1.5"
        )

    monkeypatch.setattr(environment, "prepare", prepare)
    assert run(capsys, "install", "tiny", "--python-version", "3.99")[:2] == (0, f"{other}\n")
    assert asked == [("3.99", other, False)]


# -- remove ------------------------------------------------------------------------------


def test_only_what_is_ours_is_removed(cache: Path, capsys: Capture, tmp_path: Path) -> None:
    stale = folder(cache, STALE, complete=True)
    other = folder(cache, "tiny-engine-more-0123456789abcdef")
    named = folder(cache, "tiny-engine-mine")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "lock").touch()
    (elsewhere / "precious").touch()
    link = cache / "environments" / "tiny-engine-fedcba9876543210"
    link.symlink_to(elsewhere)
    assert run(capsys, "remove", "tiny")[2] == "tiny: nothing to remove\n"
    code, out, err = run(capsys, "remove", "tiny", "--all-versions")
    assert code == 0
    assert out == f"removed {stale} (0 MB)\n"
    assert err == "freed 0 MB\n"
    assert not (stale / "venv-x").exists()
    assert (other / "venv-x").exists()
    assert (named / "venv-x").exists()
    assert (elsewhere / "precious").exists()


def test_what_is_being_built_stays_and_the_rest_goes(cache: Path, capsys: Capture) -> None:
    first, second = folder(cache, STALE), folder(cache, "tiny-engine-fedcba9876543210")
    program = (
        "import filelock, sys; lock = filelock.FileLock(sys.argv[1]); lock.acquire();"
        "print('held', flush=True); sys.stdin.read()"
    )
    start = [sys.executable, "-c", program, str(first / "lock")]
    with subprocess.Popen(start, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as builder:
        assert builder.stdout is not None
        assert builder.stdout.readline() == b"held\n"
        code, out, err = run(capsys, "remove", "tiny", "--all-versions")
    assert code == 6
    assert f"{first}: is being built" in err
    assert (first / "venv-x").exists()
    assert f"removed {second}" in out


def test_a_run_keeps_its_environments_between_launches(
    cache: Path, capsys: Capture, monkeypatch: Patch
) -> None:
    monkeypatch.setattr(environment, "_USED", {})
    home = folder(cache, STALE)
    environment._use(home)
    environment._use(home)
    assert inventory.users(home) == {os.getpid()}
    assert run(capsys, "remove", "tiny", "--all-versions")[0] == 6
    for descriptor in environment._USED.values():
        os.close(descriptor)
    assert inventory.users(home) == set()
    assert run(capsys, "remove", "tiny", "--all-versions")[0] == 0


def test_states_are_read_from_files(cache: Path) -> None:
    half, whole = folder(cache, "a"), folder(cache, "b", complete=True)
    assert inventory.read(cache / "none").state == "not built"
    assert inventory.read(half).state == "half-built"
    assert inventory.read(whole) == inventory.Kept(
        whole, "built", "1.4", whole / "venv-x" / "bin" / "python"
    )
    (whole / "venv-x" / "bin" / "python").unlink()
    assert inventory.read(whole).state == "half-built"
    (whole / "complete.json").write_text("[]")
    assert inventory.read(whole).state == "half-built"


def test_a_size_counts_each_file_once(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x" * 100_000)
    once = inventory.size_bytes(tmp_path)
    os.link(tmp_path / "a", tmp_path / "b")
    (tmp_path / "c").symlink_to("/usr")
    assert 100_000 <= once <= inventory.size_bytes(tmp_path) < once + 10_000
