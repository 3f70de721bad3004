"""Launching: readiness, causes of failure, and that nothing is left behind, whatever happens."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import msgspec
import pytest
from tests.programs import until

from inferometer import failing, launch, marks, processes, redact, supervised
from inferometer.engine import Command, FailureClass, Readiness
from inferometer.errors import LaunchError, MachineError
from inferometer.ports import lease

pytestmark = pytest.mark.waiting

SERVER = """
import http.server, os, subprocess, sys, signal, time
{before}
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/health" else 404)
        self.end_headers()
        self.wfile.write(b'{{"a": 1}}')
    def log_message(self, *args): pass
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""
ORPHAN = """
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"],
                         start_new_session=True)
open(sys.argv[2], "w").write(str(child.pid))
open(sys.argv[2] + "-temporary", "w").write(os.environ["TMPDIR"])
"""
SHARING = """
import mmap, tempfile
from multiprocessing import shared_memory
open(sys.argv[2], "w").write(tempfile.gettempdir())
unix = __import__("socket").socket(__import__("socket").AF_UNIX)
unix.bind(tempfile.gettempdir() + "/an-engine-s-socket")
tracked = shared_memory.SharedMemory(create=True, size=64, name=sys.argv[3])
kept = open("/dev/shm/" + sys.argv[3] + "-kept", "w+b")
kept.truncate(64)
mapped = mmap.mmap(kept.fileno(), 64)
older = open("/dev/shm/" + sys.argv[3] + "-older")
"""
STUBBORN = "signal.signal(signal.SIGTERM, signal.SIG_IGN)"


def start(  # type: ignore[no-untyped-def]
    tmp_path: Path, before: str = "", *, deadline_s: float = 60.0, mark: marks.Mark | None = None
):
    script = tmp_path / "server.py"
    script.write_text(SERVER.format(before=before))
    with lease("127.0.0.1") as port:
        words = (str(script), str(port), str(tmp_path / "child"), shared(tmp_path))
        return launch.serve(
            Command(argv=(sys.executable, *words)),
            host="127.0.0.1",
            port=port,
            readiness=Readiness(),
            failures=(FailureClass(r"No available memory", "no_kv_room", "Lower max_model_len."),),
            folder=tmp_path,
            deadline_s=deadline_s,
            mark=mark,
        )


def shared(tmp_path: Path) -> str:
    return f"ifm-test-{os.getpid()}-{tmp_path.name}"


def gone(pid: int) -> bool:
    return until(lambda: gone_now(pid), 60)


def test_a_server_answers_and_nothing_is_left(tmp_path: Path) -> None:
    with start(tmp_path) as server:
        assert server.ready_s > 0
        assert server.dead() is None
        assert processes.alive(server.session_id)
        assert processes.Session(server.session_id).cpu_seconds() > 0
        assert (processes.Session(server.session_id).used()[1] or 0) > 1 << 20
        session = server.session_id
    assert processes.alive(session) == []
    assert processes.Session(session).used()[1] is None


def test_a_child_in_another_session_is_ended_too(tmp_path: Path) -> None:
    with start(tmp_path, ORPHAN):
        orphan = int((tmp_path / "child").read_text())
        assert not gone_now(orphan)
    assert gone(orphan)


def test_nobody_else_may_read_its_log(tmp_path: Path) -> None:
    with start(tmp_path, ORPHAN) as server:
        assert server.log.stat().st_mode & 0o777 == 0o600


def gone_now(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_a_server_that_ignores_sigterm_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launch, "GRACE_S", 0.5)
    with start(tmp_path, STUBBORN) as server:
        session = server.session_id
    assert processes.alive(session) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_temporary_files_and_shared_memory_go_with_the_engine(
    tmp_path: Path, number: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INFEROMETER_CACHE", str(tmp_path / "cache"))
    older = Path(f"/dev/shm/{shared(tmp_path)}-older")
    older.write_bytes(b"somebody else's")
    try:
        with start(tmp_path, SHARING, mark=marks.fresh(tmp_path, "a-launch")) as server:
            folder = Path((tmp_path / "child").read_text())
            left = [Path(f"/dev/shm/{shared(tmp_path)}{end}") for end in ("", "-kept")]
            assert (folder / "an-engine-s-socket").is_socket()
            assert len(str(folder)) < 45  # the path of a socket in it has at most 107 characters
            assert all(path.exists() for path in left)
            (note,) = marks.folder().glob("*")  # in which the supervisor says what it has seen
            assert until(lambda: all(f'"{path.name}"' in note.read_text() for path in left), 60)
            os.kill(server.session_id, number)
            assert until(server.dead, 60)
        assert not folder.exists()
        assert [path for path in left if path.exists()] == []
        assert older.exists()
    finally:
        older.unlink()


def test_death_while_loading_names_the_first_exception_and_a_remedy(tmp_path: Path) -> None:
    before = (
        "print('(Engine pid=7) ERROR 11-22 00:00:01 [core.py:1] ValueError: No available memory "
        "for the cache blocks', flush=True)\nprint('RuntimeError: Engine core failed', flush=True)"
        "\nsys.exit(3)"
    )
    with pytest.raises(LaunchError) as caught, start(tmp_path, before):
        pass
    assert "ended by itself (exit code 3)" in caught.value.message
    assert "ValueError: No available memory for the cache blocks" in caught.value.message
    assert caught.value.reason == "no_kv_room"
    assert caught.value.hint == "Lower max_model_len."
    assert caught.value.stage == "load"
    assert any("RuntimeError" in line for line in caught.value.log_tail)


def test_a_cause_that_much_was_written_after_is_classified(tmp_path: Path) -> None:
    """Eight workers that die after it write more than the tail holds."""
    before = (
        "print('ValueError: No available memory for the cache blocks')\n"
        "print('  File \"worker.py\", line 1\\n' * 300, flush=True)\nsys.exit(3)"
    )
    with pytest.raises(LaunchError) as caught, start(tmp_path, before):
        pass
    assert len(caught.value.log_tail) == failing.LOG_TAIL_LINES
    assert caught.value.reason == "no_kv_room"


def test_of_a_log_without_end_no_more_is_read_than_is_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(failing, "LOG_BYTES", 10_000)
    log = tmp_path / "server.log"
    log.write_text("KeyError: 'first'\n" + "x" * 50_000 + "\nbar\r50 %\rValueError: last\n")
    assert failing.first_exception(log) == "KeyError: 'first'"
    tail = failing.log_tail(log)
    assert tail[1:] == ["bar", "50 %", "ValueError: last"]
    assert tail[0] == "x" * failing.LINE
    log.write_text("x" * 50_000 + "\nValueError: last\n")
    assert failing.first_exception(log) == "ValueError: last"
    assert failing.log_tail(tmp_path / "none") == []


def test_a_client_that_loses_an_engine_first_learns_how_it_ended(tmp_path: Path) -> None:
    def lose() -> None:
        with start(tmp_path) as server:
            os.kill(server.session, signal.SIGKILL)
            assert until(lambda: processes.start_of(server.session) is None, 60)
            raise LaunchError("the server is gone", reason="failed", stage="serve")

    with pytest.raises(LaunchError) as caught:
        lose()
    assert caught.value.reason == "killed"
    assert "was killed (SIGKILL)" in caught.value.message


def test_a_server_that_never_gets_ready_is_given_up(tmp_path: Path) -> None:
    with pytest.raises(LaunchError) as caught, start(tmp_path, "time.sleep(99)", deadline_s=0.5):
        pass
    assert caught.value.reason == "not_ready"
    assert "not ready after" in caught.value.message


def test_a_command_that_is_not_there_says_so(tmp_path: Path) -> None:
    with (
        pytest.raises(LaunchError, match="No such file"),
        launch.serve(
            Command(argv=("/nowhere/python",)),
            host="127.0.0.1",
            port=1,
            readiness=Readiness(),
            failures=(),
            folder=tmp_path,
        ),
    ):
        pass


def test_death_while_serving_is_seen(tmp_path: Path) -> None:
    with start(tmp_path) as server:
        os.kill(server.session_id, signal.SIGKILL)
        assert until(server.dead, 60)
        assert "was killed (SIGKILL)" in server.dead()


def test_what_a_failed_launch_leaves_running_ends_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the next engine would be measured beside it."""
    stop = supervised.Supervised.stop

    def left(engine: supervised.Supervised) -> str:
        return stop(engine) or "processes of the engine could not be ended"

    monkeypatch.setattr(supervised.Supervised, "stop", left)
    with (
        pytest.raises(MachineError, match=r"could not be ended.*ended by itself"),
        start(tmp_path, "sys.exit(3)"),
    ):
        pass
    with pytest.raises(KeyboardInterrupt), start(tmp_path):
        raise KeyboardInterrupt


def test_sigkill_to_us_ends_the_engine(tmp_path: Path) -> None:
    script = tmp_path / "parent.py"
    (tmp_path / "server.py").write_text(SERVER.format(before=ORPHAN))
    script.write_text(
        textwrap.dedent(f"""
        import sys, time
        from pathlib import Path
        from inferometer import launch
        from inferometer.engine import Command, Readiness
        from inferometer.ports import lease
        folder = Path({str(tmp_path)!r})
        with lease("127.0.0.1") as port:
            argv = (sys.executable, str(folder / "server.py"), str(port), str(folder / "child"))
            with launch.serve(Command(argv=argv), host="127.0.0.1", port=port,
                              readiness=Readiness(), failures=(), folder=folder) as server:
                print(server.session_id, flush=True)
                time.sleep(300)
        """)
    )
    parent = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    session = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    parent.stdout.close()
    assert gone(session)
    assert gone(int((tmp_path / "child").read_text()))
    folder = Path((tmp_path / "child-temporary").read_text())
    assert until(lambda: not folder.exists(), 60)


def test_who_kills_our_children_ends_the_engine_no_less(tmp_path: Path) -> None:
    words = ["5", str(tmp_path / "log"), "--", sys.executable, "-c", "import time; time.sleep(600)"]
    supervisor = subprocess.Popen(
        [sys.executable, "-I", str(supervised.SUPERVISOR), *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    with supervisor:
        assert supervisor.stdout is not None
        engine = int(msgspec.json.decode(supervisor.stdout.readline())["pid"])
        supervisor.kill()  # as Ray does when its node is gone; standard input stays open
        supervisor.wait()
        assert until(lambda: gone_now(engine), 60)
        # a reader of its last line, as `why_dead` is, does not wait for ever
        assert msgspec.json.decode(supervisor.stdout.readline())["left"] == 0


def test_secrets_stay_out_of_the_engine_s_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_abcdefghijklmnopqrst")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    variables = launch.scrubbed({"EXTRA": "1"})
    assert "HF_TOKEN" not in variables
    assert variables["CUDA_VISIBLE_DEVICES"] == "0"
    assert variables["EXTRA"] == "1"
    assert variables["HF_HUB_OFFLINE"] == "1"


def test_programs_of_the_engine_s_environment_are_found_by_name(tmp_path: Path) -> None:
    """As if it were activated: FlashInfer calls ``ninja``, which stands beside the interpreter."""
    note = """open(sys.argv[2], "w").write(os.environ["PATH"])"""
    with start(tmp_path, note):
        first, _, rest = (tmp_path / "child").read_text().partition(os.pathsep)
    assert first == str(Path(sys.executable).parent)
    assert rest == os.environ["PATH"]


def test_what_the_study_sets_or_hands_on_outranks_what_is_set_for_the_measurement(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    command = Command(
        argv=("engine",),
        env={"PLUGINS": "the-user-s", "OWN": "1"},
        instrument_env={"PLUGINS": "", "LEVEL": "adapter-s", "QUIETLY": "1"},
    )
    monkeypatch.setenv("LEVEL", "handed-on")
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    handed = ("LEVEL", "HF_HUB_OFFLINE", "NOT_SET")
    wanted = {
        "PLUGINS": "the-user-s",
        "OWN": "1",
        "LEVEL": "handed-on",
        "QUIETLY": "1",
        "HF_HUB_OFFLINE": "0",
        "DO_NOT_TRACK": "1",
    }
    extra = launch.variables(command, handed)
    for given in (launch.scrubbed(extra, handed), launch.contained(extra, handed)):
        assert {name: given.get(name) for name in wanted} == wanted
    assert launch.scrubbed(launch.variables(command))["HF_HUB_OFFLINE"] == "1"


def test_what_an_engine_inherits_is_told_without_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    monkeypatch.setenv("HF_TOKEN", "hf_abcdefghijklmnopqrst")
    monkeypatch.setenv("PLAIN", "1")
    told = launch.inherited(["HF_TOKEN"])
    assert told["CUDA_VISIBLE_DEVICES"] == "0,1"
    assert told["HF_TOKEN"] == redact.HIDDEN
    assert "PLAIN" not in told


def test_control_characters_do_not_reach_the_terminal() -> None:
    assert redact.plain("\x1b[31mred\x1b[0m\x07 text") == "red text"
