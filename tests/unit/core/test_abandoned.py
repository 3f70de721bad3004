"""Watchdogs that are killed, too: what takes their place, and what the next run finds."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from tests.programs import until

from inferometer import abandoned, launch, marks
from inferometer.engine import Command, Readiness
from inferometer.errors import LaunchError
from inferometer.ports import lease
from inferometer.scripts import sweeping

ENGINE = """
import http.server, multiprocessing.shared_memory, os, subprocess, sys
from pathlib import Path
folder = Path(sys.argv[2])
line = [sys.executable, "-c", "import time; time.sleep(300)"]
pids = [subprocess.Popen(line, start_new_session=True).pid,  # in a session of its own
        subprocess.Popen(["env", "-i", *line]).pid]          # without our environment
memory = multiprocessing.shared_memory.SharedMemory(create=True, size=64, name=sys.argv[3])
(folder / "said").write_text(" ".join(map(str, [os.environ["TMPDIR"], os.getpid(), *pids])))
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
    def log_message(self, *args): pass
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""
OWNER = """
import sys, time
from pathlib import Path
from tests.unit.core.test_abandoned import serving
with serving(Path(sys.argv[1])) as server:
    print(server.session_id, flush=True)
    time.sleep(300)
"""
pytestmark = [pytest.mark.usefixtures("cache"), pytest.mark.waiting]


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache of its own, with the notes of this test alone."""
    monkeypatch.setenv("INFEROMETER_CACHE", str(tmp_path / "cache"))


def serving(folder: Path, engine: str = ENGINE):  # type: ignore[no-untyped-def]
    """Serve the engine above, its results in ``folder``."""
    (folder / "engine.py").write_text(engine)
    words = [str(folder / "engine.py")]
    with lease("127.0.0.1") as port:
        return launch.serve(
            Command(argv=(sys.executable, *words, str(port), str(folder), shared(folder).name)),
            host="127.0.0.1",
            port=port,
            readiness=Readiness(),
            failures=(),
            folder=folder,
            mark=marks.fresh(folder, "a-launch"),
        )


def shared(folder: Path) -> Path:
    """Return the engine's shared memory: no other run of these tests has its name."""
    return Path("/dev/shm", str(folder).strip("/").replace("/", "-"))


def watchdogs(engine: int) -> list[int]:
    """Return the supervisor of an engine, and what relays for it."""
    first = psutil.Process(engine).parent()
    assert first is not None
    above = first.parent()
    assert above is not None
    assert all("supervise.py" in " ".join(each.cmdline()) for each in (first, above))
    return [first.pid, above.pid]


def gone(pid: int) -> bool:
    with suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    return True


def said(folder: Path) -> tuple[Path, list[int]]:
    """Return the engine's folder for temporary files, and its processes."""
    temporary, *pids = (folder / "said").read_text().split()
    return Path(temporary), [int(pid) for pid in pids]


def nothing_left(folder: Path) -> bool:
    temporary, pids = said(folder)
    notes = list(marks.folder().glob("*"))
    return all(map(gone, pids)) and not (temporary.exists() or notes or shared(folder).exists())


def started(folder: Path) -> tuple[subprocess.Popen[str], int]:
    """Start an owner in a process of its own; return it and its engine."""
    script = folder / "owner.py"
    script.write_text(textwrap.dedent(OWNER))
    root = str(Path(__file__).parents[3])
    owner = subprocess.Popen(
        [sys.executable, str(script), str(folder)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=root,
        env={**os.environ, "PYTHONPATH": root},
    )
    assert owner.stdout is not None
    return owner, int(owner.stdout.readline())


def left(folder: Path) -> list[abandoned.Abandoned]:
    """Return what is abandoned of this test: others at the same time abandon theirs."""
    name = marks.hashed(folder)
    return abandoned.find(lambda mark: mark.results == name and abandoned.orphaned(mark))


def kill_at_once(pids: list[int]) -> None:
    """Kill processes so that none can act on the death of another."""
    for number in (signal.SIGSTOP, signal.SIGKILL):
        for pid in pids:
            os.kill(pid, number)


def test_a_supervisor_that_is_killed_is_stood_in_for(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        os.kill(watchdogs(server.session)[0], signal.SIGKILL)
        assert until(lambda: server.dead() is not None, 60)
        assert "its supervisor was killed" in server.dead()
        assert until(lambda: nothing_left(tmp_path), 60)


def test_a_stand_in_removes_shared_memory_that_died_with_the_engine(tmp_path: Path) -> None:
    memory = shared(tmp_path / "raw")
    raw = f"memory = open({str(memory)!r}, 'w')"  # no resource tracker knows it
    line = "memory = multiprocessing.shared_memory.SharedMemory"
    lines = [raw if each.startswith(line) else each for each in ENGINE.splitlines()]
    with serving(tmp_path, "\n".join(lines)) as server:
        (note,) = marks.folder().glob("*")
        assert until(lambda: memory.name in note.read_text(), 60)
        os.kill(watchdogs(server.session)[0], signal.SIGKILL)
        assert until(lambda: server.dead() is not None, 60)
    assert not memory.exists()
    assert nothing_left(tmp_path)


def test_with_both_watchdogs_killed_we_end_the_engine_ourselves(tmp_path: Path) -> None:
    def lose() -> None:
        with serving(tmp_path) as server:
            kill_at_once(watchdogs(server.session))
            assert until(lambda: server.dead() is not None, 60)
            raise LaunchError(server.dead(), stage="serve")

    with pytest.raises(LaunchError) as raised:
        lose()
    assert raised.value.reason == "killed"
    assert nothing_left(tmp_path)


def test_what_is_left_when_all_are_killed_the_next_run_ends(tmp_path: Path) -> None:
    owner, engine = started(tmp_path)
    with owner:
        try:
            assert left(tmp_path) == []  # it has an owner
            assert abandoned.cleaned(tmp_path) == ""
            assert not gone(engine)
            kill_at_once([*watchdogs(engine), owner.pid])
        finally:
            owner.kill()  # or a test that fails waits for it
    assert until(lambda: gone(engine), 60)  # by the kernel, which asks no supervisor
    _, (_, child, bare) = said(tmp_path)
    assert not gone(child)
    assert abandoned.cleaned(tmp_path / "another") == ""
    assert not gone(child)
    words = abandoned.cleaned(tmp_path)
    assert words.startswith("a-launch: ")
    assert "1 folders" in words
    assert gone(child)
    if not gone(bare):  # nothing proves whose it is: neither a mark nor a parent, nor a session
        os.kill(bare, signal.SIGKILL)
    assert until(lambda: nothing_left(tmp_path), 60)
    assert abandoned.cleaned(tmp_path) == ""


def test_a_trial_s_results_are_its_search_s(tmp_path: Path) -> None:
    assert marks.home(tmp_path / "tuning" / "stack" / "model") == tmp_path.resolve()
    assert marks.hashed(tmp_path / "tuning" / "stack" / "model") == marks.hashed(tmp_path)


def test_a_mark_is_read_as_it_is_written_and_nothing_else_is_one(tmp_path: Path) -> None:
    mark = marks.fresh(tmp_path, "a-launch")
    assert marks.Mark.read(str(mark)) == mark
    assert mark.owned
    for text in ("", "a/b", "a/b/1/c", "a/b/x-1/c", "a/b/1-2/../c", "a/b/1-2/c!"):
        assert marks.Mark.read(text) is None


def test_a_note_that_was_cut_off_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    mark = marks.fresh(tmp_path, "a-launch")
    path = marks.begin(mark, {"stop": ["true"]})
    assert path is not None
    with path.open("ab") as file:
        file.write(b'{"folder": "/tmp/ifm-x"}\n{"shared": [["a", 1]]}\n{"shared": [["b"')
    note = marks.read(path)
    assert note is not None
    assert (note.mark, note.folder, set(note.shared)) == (mark, "/tmp/ifm-x", {("a", 1)})
    assert note.container == {"stop": ["true"]}
    path.write_bytes(b"\xff\x00")
    assert marks.read(path) is None
    assert list(marks.notes()) == []


def test_a_note_of_another_machine_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = tmp_path / "asked"
    orders = {each: ["touch", str(asked)] for each in ("list", "stop", "remove")}
    mark = marks.Mark(marks.hashed(tmp_path), "a-launch", 1 << 30, 1, "abc")  # nobody's number
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(marks, "here", lambda: "another boot pid:[1]")
        path = marks.begin(mark, orders)
    assert path is not None
    assert left(tmp_path) == []
    assert abandoned.cleaned(tmp_path) == ""
    assert path.exists()
    assert not asked.exists()
    path.write_text(path.read_text().replace("another boot pid:[1]", marks.here()))
    assert [each.mark for each in left(tmp_path)] == [mark]


def test_a_process_that_may_not_be_killed_is_counted_and_hides_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    refused, ended = os.getpid(), []

    def kill(pid: int, number: int) -> None:
        if pid == refused:
            raise PermissionError
        ended.append((pid, number))

    def family() -> list[int]:
        return [refused] if (1, signal.SIGKILL) in ended else [refused, 1]

    monkeypatch.setattr(os, "kill", kill)
    assert sweeping.kill_all(family, 0.2, lambda: None) == 1
    assert ended == [(1, signal.SIGSTOP), (1, signal.SIGKILL)]


def test_all_are_stopped_when_they_are_looked_at_for_the_last_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    alive, seen = [2_000_001], []
    stopped: set[int] = set()

    def kill(pid: int, number: int) -> None:
        if number == signal.SIGKILL:
            alive.remove(pid)
        elif not stopped:
            alive.append(2_000_002)  # started while the first was about to be stopped
        stopped.add(pid)

    monkeypatch.setattr(os, "kill", kill)
    assert sweeping.kill_all(lambda: list(alive), 5.0, lambda: seen.append(set(stopped))) == 0
    assert seen == [{2_000_001, 2_000_002}]


def test_only_a_folder_as_supervisors_make_them_is_removed(tmp_path: Path) -> None:
    other, own = tmp_path / "mine", tmp_path / "ifm-abc"
    other.mkdir()
    own.mkdir()
    (tmp_path / "ifm-link").symlink_to(other)
    for place in (other, tmp_path / "ifm-link", tmp_path / "ifm-none"):
        assert not abandoned._removed(str(place))
    assert abandoned._removed(str(own))
    assert other.exists()
    assert not own.exists()
