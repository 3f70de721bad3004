import contextlib
import hashlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from tests.programs import until
from tests.unit.core.wheels import lock_of, make_wheel

from inferometer import environment
from inferometer.engine import Platform, Requirements
from inferometer.environment import Environment, current_platform, existing, key, prepare
from inferometer.errors import EnvironmentBuildError, MachineError, UsageError
from inferometer.installing import PipOutput, cache_errors, clean_variables, parted, run_logged

pytestmark = pytest.mark.waiting  # for pip

CPU = current_platform("cpu")
PIP_SETTINGS = ("PIP_FIND_LINKS", "PIP_EXTRA_INDEX_URL", "PIP_INDEX_URL", "PIP_NO_INDEX")


@pytest.fixture(autouse=True)
def _no_indexes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here may ask a package index, whatever the machine's pip is told."""
    for name in PIP_SETTINGS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_INDEX_URL", "file:///no/such/index")


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheels")
    make_wheel(folder, "tiny_engine", "1.5")
    return folder


@pytest.fixture(scope="module")
def locked(wheels: Path) -> Requirements:
    return Requirements(lock=lock_of(wheels, "tiny-engine==1.5"), distribution="tiny.engine")


@pytest.fixture(scope="module")
def built(locked: Requirements, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    with pytest.MonkeyPatch.context() as patch:
        for name in PIP_SETTINGS:
            patch.delenv(name, raising=False)
        return prepare(locked, CPU, tmp_path_factory.mktemp("cache"), lambda _: None)


def home_of(env: Environment) -> Path:
    return env.python.parents[2]


def test_an_environment_is_built_from_the_lock_and_can_be_used(built: Environment) -> None:
    code = "import tiny_engine; print(tiny_engine.ANSWER)"
    done = subprocess.run([built.python, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "42\n"
    assert built.kind == "venv"
    assert built.version == "1.5"
    assert built.distributions["tiny-engine"] == "1.5"
    assert "tiny" in (home_of(built) / "build.log").read_text()
    assert home_of(built).name.startswith("tiny-engine-")
    assert json.loads(json.dumps(built.record()))["sha256"] == built.sha256


def test_a_whole_environment_is_used_again(built: Environment, locked: Requirements) -> None:
    said: list[str] = []
    before = (home_of(built) / "build.log").stat().st_mtime_ns
    assert prepare(locked, CPU, home_of(built).parents[1], said.append) == built
    assert said == []
    assert (home_of(built) / "build.log").stat().st_mtime_ns == before


def test_an_environment_that_was_changed_is_refused_but_not_removed(
    built: Environment, locked: Requirements
) -> None:
    added = next(home_of(built).glob("venv-*/lib/*/site-packages")) / "extra-1.0.dist-info"
    added.mkdir()
    (added / "METADATA").write_text("Metadata-Version: 2.1\nName: extra\nVersion: 1.0\n")
    try:
        with pytest.raises(EnvironmentBuildError, match="distribution changed") as raised:
            prepare(locked, CPU, home_of(built).parents[1], lambda _: None)
        assert str(home_of(built)) in raised.value.hint
        assert built.python.exists()
    finally:
        (added / "METADATA").unlink()
        added.rmdir()


def test_a_killed_build_leaves_nothing_and_of_two_builders_the_second_waits(
    locked: Requirements, tmp_path: Path
) -> None:
    program = (
        "import sys, json; from pathlib import Path; from inferometer import environment as e;"
        "from inferometer.engine import Requirements as R;"
        f"r = R(lock={locked.lock!r}, distribution={locked.distribution!r});"
        f"f = e.prepare(r, e.current_platform('cpu'), Path({str(tmp_path)!r}),"
        " lambda m: print(m, flush=True));"
        "print(f.sha256)"
    )
    start = [sys.executable, "-c", program]
    with subprocess.Popen(start, stdout=subprocess.PIPE, text=True) as killed:
        assert killed.stdout is not None
        assert "creating" in killed.stdout.readline()
        killed.send_signal(signal.SIGKILL)
    (home,) = (tmp_path / "environments").iterdir()
    half = next(home.glob("venv-*"))
    assert not (home / "complete.json").exists()

    with subprocess.Popen(start, stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout is not None
        assert "half-built" in first.stdout.readline()
        said: list[str] = []
        second = prepare(locked, CPU, tmp_path, said.append)
        rest = first.stdout.read().splitlines()
    assert rest[-1] == second.sha256
    assert len(said) == 1
    assert "waiting" in said[0]
    assert [path.name for path in home.glob("venv-*")] == [second.python.parents[1].name]
    assert not half.exists()


def test_a_missing_pin_is_named_and_the_optional_index_is_asked_for_it(
    wheels: Path, tmp_path: Path
) -> None:
    asked = Requirements(lock="tiny-engine==1.5\n", distribution="tiny-engine")
    with pytest.raises(EnvironmentBuildError) as raised:
        prepare(asked, CPU, tmp_path, lambda _: None)
    log = next(tmp_path.glob("environments/*/build.log"))
    assert "No matching distribution found for tiny-engine==1.5" in raised.value.message
    assert str(log) in raised.value.message
    assert "No configured index has tiny-engine==1.5" in raised.value.hint
    assert not list(log.parent.glob("venv-*")), "a failed build must not keep the disk"

    index = tmp_path / "simple" / "tiny-engine"
    index.mkdir(parents=True)
    wheel = next(wheels.glob("*.whl"))
    (index / "index.html").write_text(f'<a href="{wheel.as_uri()}">{wheel.name}</a>')
    optional = Requirements(
        lock=asked.lock, distribution="tiny-engine", optional_index=index.parent.as_uri()
    )
    said: list[str] = []
    assert prepare(optional, CPU, tmp_path, said.append).version == "1.5"
    assert any("asking the optional one" in line for line in said)


def test_a_lock_without_its_engine_is_an_error(wheels: Path, tmp_path: Path) -> None:
    wrong = Requirements(lock=lock_of(wheels, "tiny-engine==1.5"), distribution="other")
    with pytest.raises(EnvironmentBuildError, match="other: installed, but cannot be read back"):
        prepare(wrong, CPU, tmp_path, lambda _: None)
    assert not list(tmp_path.glob("environments/*/complete.json"))


def test_a_cache_that_cannot_be_written_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "environments").write_text("a file where a folder should be")
    asked = Requirements(lock="", distribution="tiny-engine")
    with pytest.raises(EnvironmentBuildError, match="environments") as raised:
        prepare(asked, CPU, tmp_path, lambda _: None)
    assert "INFEROMETER_CACHE" in raised.value.hint


def test_an_existing_interpreter_is_taken_as_it_is(built: Environment) -> None:
    found = existing(built.python, "tiny_engine")
    assert found.kind == "python"
    assert found.python == built.python, "resolving the symlink would leave the venv"
    assert (found.version, found.sha256) == (built.version, built.sha256)


def test_a_wrong_interpreter_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no interpreter there"):
        existing(tmp_path / "python", "vllm")
    for program in ("/bin/false", "/bin/true", "/bin/echo"):
        with pytest.raises(UsageError, match="does not work as a Python interpreter"):
            existing(Path(program), "vllm")
    with pytest.raises(UsageError, match="no-such-engine is not installed") as raised:
        existing(Path(sys.executable), "no-such-engine")
    assert "pip install no-such-engine" in raised.value.hint


def test_the_key_covers_pins_python_and_accelerator_but_no_comments() -> None:
    def of(lock: str, **changes: str) -> str:
        fields = {"system": "linux", "machine": "x86_64", "python": "3.11", "accelerator": "cpu"}
        platform = Platform(**(fields | changes))  # type: ignore[arg-type]
        return key(Requirements(lock=lock, distribution="a"), platform)

    assert of("# one\n\na==1  # two\n") == of("a==1")
    different = [of("a==1"), of("a==2"), of("a==1", python="3.12"), of("a==1", accelerator="cuda")]
    assert len(set(different)) == 4


def test_the_accelerator_is_seen_from_drivers(monkeypatch: pytest.MonkeyPatch) -> None:
    present: set[str] = set()
    monkeypatch.setattr(Path, "exists", lambda self: str(self) in present)
    monkeypatch.setattr("shutil.which", lambda _: None)
    assert environment.accelerator() == "cpu"
    present.add("/dev/kfd")
    assert environment.accelerator() == "rocm"
    present.add("/proc/driver/nvidia/version")
    assert environment.accelerator() == "cuda"


def test_the_cache_can_be_chosen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("INFEROMETER_CACHE", str(tmp_path))
    assert environment.cache_root() == tmp_path
    monkeypatch.delenv("INFEROMETER_CACHE")
    assert environment.cache_root().name == "inferometer"


def test_a_foreign_interpreter_keeps_network_settings_only() -> None:
    kept = {"HOME": "/h", "PATH": "/b", "HTTPS_PROXY": "p", "PIP_INDEX_URL": "i", "PIP_CERT": "c"}
    dropped = {"PYTHONPATH": "x", "PYTHONHOME": "x", "VIRTUAL_ENV": "x", "PIP_TARGET": "x"}
    cleaned = clean_variables(kept | dropped)
    assert kept.items() <= cleaned.items()
    assert not dropped.keys() & cleaned.keys()
    assert cleaned["PIP_USER"] == "0"


@pytest.mark.parametrize(
    ("output", "says", "hint"),
    [
        (
            (
                "ERROR: Could not find a version satisfying a==1 (from versions: x)"
                "\nERROR: No matching distribution found for a==1"
            ),
            "cannot be installed: ERROR: No matching distribution found for a==1",
            "No configured index has a==1",
        ),
        (
            (
                "WARNING: Retrying (Retry(total=0)) after connection broken by 'NewConnection()'"
                "\nERROR: No matching distribution found for a==1"
            ),
            "a package index could not be reached",
            "Check the network",
        ),
        (
            (
                "ERROR: Could not install packages due to an OSError: [Errno 28] "
                "No space left on device"
            ),
            "no space left on this disk",
            "INFEROMETER_CACHE",
        ),
        ("Killed", "cannot be installed: Killed", "Read the log"),
        ("", "no message", "Read the log"),
    ],
)
def test_what_pip_says_becomes_an_error_with_a_next_step(
    output: str, says: str, hint: str, tmp_path: Path
) -> None:
    reader = PipOutput("engine", "a==1", lambda _: None)
    for line in output.splitlines():
        reader(line)
    error = reader.error(EnvironmentBuildError, tmp_path / "build.log")
    assert says in error.message
    assert hint in error.hint


def test_a_full_disk_is_seen_even_if_no_tool_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=0))
    reader = PipOutput("engine", "", lambda _: None)
    reader("Error: Command '-m ensurepip' returned non-zero exit status 1.")
    assert "no space left" in reader.error(MachineError, tmp_path / "log").message


def test_progress_counts_the_pins() -> None:
    said: list[str] = []
    reader = PipOutput("engine", "# x==1\na==1\nb==2 ; python_version > '3'\n", said.append)
    reader("Collecting a==1 (from -r lock.txt (line 2))")
    reader("  Downloading a-1.whl (1 kB)")
    reader("Installing collected packages: a, b")
    assert said == ["engine: fetching 1/2 a==1", "engine: installing 2 distributions"]


def test_a_full_disk_says_what_to_free(tmp_path: Path) -> None:
    with (
        pytest.raises(MachineError, match="no space left") as raised,
        cache_errors(MachineError, tmp_path),
    ):
        raise OSError(28, "No space left on device", str(tmp_path))
    assert "INFEROMETER_CACHE" in raised.value.hint


def test_an_interrupted_tool_is_killed_with_its_children(tmp_path: Path) -> None:
    pids: list[int] = []

    def interrupt(line: str) -> None:
        pids.append(int(line))
        raise KeyboardInterrupt

    script = "sleep 60 & echo $!; wait"
    with (tmp_path / "log").open("w") as log, pytest.raises(KeyboardInterrupt):
        run_logged(["sh", "-c", script], log=log, line=interrupt)

    def gone() -> bool:
        with contextlib.suppress(OSError):
            text = Path(f"/proc/{pids[0]}/stat").read_text()
            return text.rpartition(")")[2].split()[0] == "Z"
        return True

    assert until(gone, 60)


def test_what_is_not_the_wheel_that_was_locked_is_not_installed(
    wheels: Path, tmp_path: Path
) -> None:
    (wheel,) = wheels.glob("*.whl")
    right = hashlib.sha256(wheel.read_bytes()).hexdigest()
    pins = lock_of(wheels, "tiny-engine==1.5")

    def asked(digest: str) -> Requirements:
        lock = pins.replace("==1.5", f"==1.5 --hash=sha256:{digest}")
        return Requirements(lock=lock, distribution="tiny-engine")

    with pytest.raises(EnvironmentBuildError, match="DO NOT MATCH THE HASHES"):
        prepare(asked("0" * 64), CPU, tmp_path / "wrong", lambda _: None)
    built = prepare(asked(right), CPU, tmp_path / "right", lambda _: None)
    record = built.record()
    assert built.locks() == {f"{record['lock_sha256']}.txt": asked(right).lock}
    assert hashlib.sha256(built.lock.encode()).hexdigest() == record["lock_sha256"]


def test_pins_without_hashes_do_not_keep_the_others_from_being_checked() -> None:
    lock = (
        "# head\ntorch==2+cpu\na==1 --hash=sha256:12\nb==2 ; python_version > '3' --hash=sha256:3\n"
    )
    assert parted(lock) == [
        ([], "torch==2+cpu\n"),
        (
            ["--require-hashes"],
            "a==1 --hash=sha256:12\nb==2 ; python_version > '3' --hash=sha256:3\n",
        ),
    ]
