"""Limits that end an engine from our side, and what the kernel says of memory."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest
from tests.programs import until

from inferometer import guard, launch, oom
from inferometer.engine import Command, Readiness
from inferometer.errors import LaunchError, StorageError
from inferometer.guard import Limits
from inferometer.ports import lease

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.waiting

SERVER = """
import http.server, sys, time
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
    def log_message(self, *args): pass
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""
LOADING = "import time; time.sleep(300)"


def serving(folder: Path, limits: Limits, code: str = SERVER) -> Any:
    with lease("127.0.0.1") as port:
        return launch.serve(
            Command(argv=(sys.executable, "-c", code, str(port))),
            host="127.0.0.1",
            port=port,
            readiness=Readiness(),
            failures=(),
            folder=folder,
            limits=limits,
        )


def test_an_engine_that_loads_for_too_long_is_ended_by_the_launch_s_own_limit(
    tmp_path: Path,
) -> None:
    with (
        pytest.raises(LaunchError, match="not over after") as raised,
        serving(tmp_path, Limits(total_s=0.5), LOADING),
    ):
        pass
    assert (raised.value.reason, raised.value.stage) == ("timed_out", "load")
    assert "launch_timeout_s" in raised.value.hint


def test_a_launch_that_goes_on_for_too_long_is_ended_whatever_it_does(tmp_path: Path) -> None:
    limits = Limits(total_s=1e9)

    def go_on() -> None:
        with serving(tmp_path, limits) as server:
            object.__setattr__(limits, "total_s", 0.0)  # whenever it was ready, it is late now
            assert until(lambda: server.dead() is not None, 60)
            raise ConnectionResetError("as a client sees it")

    with pytest.raises(LaunchError, match="not over after 0 s: as a client sees it") as raised:
        go_on()
    assert (raised.value.reason, raised.value.stage) == ("timed_out", "serve")


def test_memory_that_runs_out_ends_the_engine_before_the_kernel_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = {"bytes": 1 << 40}
    monkeypatch.setattr(oom, "available_bytes", lambda: left["bytes"])

    def run_out() -> None:
        with serving(tmp_path, Limits(memory_bytes=1 << 30)) as server:
            left["bytes"] = 3 << 20
            assert until(lambda: server.dead() is not None, 60)
            raise LaunchError(server.dead(), stage="serve")

    with pytest.raises(LaunchError, match="3 MiB of memory were left") as raised:
        run_out()
    assert raised.value.reason == "out_of_memory"


def test_a_disk_that_runs_full_ends_the_run_also_where_nobody_asks(tmp_path: Path) -> None:
    def go_on() -> None:
        with serving(tmp_path, Limits(disk_bytes=1 << 62)) as server:
            assert until(lambda: server.dead() is not None, 60)

    with pytest.raises(StorageError, match="of disk are left") as raised:
        go_on()
    assert "resumes" in raised.value.hint


def test_a_launch_is_not_begun_on_a_full_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    guard.refuse_full(tmp_path)
    guard.refuse_full(tmp_path / "not there yet")
    monkeypatch.setattr(guard, "DISK_FLOOR", 1 << 62)
    with pytest.raises(StorageError, match="of disk are left"):
        guard.refuse_full(tmp_path)


def machine(root: Path, *, limit: str = "max", killed: int = 0) -> Path:
    """Make what a kernel tells: 2 GiB available, a group with 200 MiB of 1 GiB's worth used."""
    own = root / "sys/fs/cgroup/a/b"
    own.mkdir(parents=True, exist_ok=True)
    (root / "proc/self").mkdir(parents=True, exist_ok=True)
    (root / "proc/self/cgroup").write_text("0::/a/b\n")
    (root / "proc/meminfo").write_text("MemTotal: 4194304 kB\nMemAvailable: 2097152 kB\n")
    (root / "proc/vmstat").write_text(f"nr_free_pages 1\noom_kill {killed + 5}\n")
    (own / "memory.events").write_text(f"low 0\noom_kill {killed}\n")
    (own.parent / "memory.events").write_text(f"oom_kill {killed}\n")
    (own / "memory.max").write_text("max\n")
    (own.parent / "memory.max").write_text(f"{limit}\n")
    (own.parent / "memory.current").write_text(f"{700 << 20}\n")
    kept = {"file": 600, "shmem": 100, "slab_reclaimable": 40, "slab_unreclaimable": 20}
    rows = (f"{name} {mib << 20}\n" for name, mib in kept.items())
    (own.parent / "memory.stat").write_text("".join(rows))
    return root


def test_available_memory_is_the_least_of_machine_and_groups(tmp_path: Path) -> None:
    assert oom.available_bytes(machine(tmp_path)) == 2 << 30
    assert oom.total_bytes(tmp_path) == 4 << 30
    # of 700 MiB in use 500 are cache that can be dropped, and 40 names of files
    assert oom.available_bytes(machine(tmp_path, limit=str(1 << 30))) == (1024 - 160) << 20
    assert oom.total_bytes(tmp_path) == 1 << 30
    assert oom.available_bytes(tmp_path / "nowhere") is None


def test_the_group_s_own_count_of_kills_decides(tmp_path: Path) -> None:
    before = oom.kills(machine(tmp_path))
    assert tuple(before) == (0, 5)
    assert not oom.more(before, tmp_path)
    assert "not for want of memory" in oom.words(before, tmp_path)
    (tmp_path / "proc/vmstat").write_text("oom_kill 6\n")  # somebody else's
    assert not oom.more(before, tmp_path)
    machine(tmp_path, killed=1)
    assert oom.more(before, tmp_path)
    assert "memory.events" in oom.words(before, tmp_path)
    nothing = oom.kills(tmp_path / "nowhere")
    assert tuple(nothing) == (None, None)
    assert not oom.more(nothing, tmp_path / "nowhere")
    assert "does not say" in oom.words(nothing, tmp_path / "nowhere")


def test_without_groups_the_machine_s_count_decides(tmp_path: Path) -> None:
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/vmstat").write_text("oom_kill 5\n")
    before = oom.kills(tmp_path)
    (tmp_path / "proc/vmstat").write_text("oom_kill 6\n")
    assert oom.more(before, tmp_path)
    assert "/proc/vmstat" in oom.words(before, tmp_path)
