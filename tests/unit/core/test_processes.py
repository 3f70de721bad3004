"""The processes of a session, seen with little reading."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from inferometer import processes
from inferometer.processes import Session

FORKS = """
import os, sys, time
sys.stdin.readline()
if os.fork() == 0:
    time.sleep(60)
print("forked", flush=True)
sys.stdin.readline()
os.kill(0, 15)
"""


def test_processes_are_found_when_they_are_born() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", FORKS],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        session = Session(process.pid)
        assert session.alive() == [process.pid]
        process.stdin.write(b"\n")
        process.stdin.flush()
        process.stdout.readline()
        first, second = session.alive()
        assert process.pid in {first, second}
        cpu_s, memory = session.used()
        assert cpu_s >= 0
        assert (memory or 0) > 1 << 20
        process.stdin.write(b"\n")
        process.stdin.flush()
    assert process.pid not in session.alive()


def test_processes_of_others_are_read_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def process(pid: int, session: int) -> None:
        (tmp_path / str(pid)).mkdir(exist_ok=True)
        fields = ["S", "1", str(pid), str(session), *["0"] * 7, "100", "50", "0", "0"]
        (tmp_path / str(pid) / "stat").write_text(f"{pid} (a) b) {' '.join(fields)}\n")
        (tmp_path / str(pid) / "statm").write_text("500 300 100\n")

    monkeypatch.setattr(processes, "PROC", tmp_path)
    process(10, 1)
    process(20, 1)  # it will lead a session of its own
    session = Session(20)
    assert session.alive() == []
    assert session.used() == (0.0, None)
    process(10, 20)  # cannot be, and so is not looked at again
    process(20, 20)
    process(30, 20)
    assert session.alive() == [20, 30]
    page = os.sysconf("SC_PAGE_SIZE")
    assert session.used() == (2 * 150 / os.sysconf("SC_CLK_TCK"), (2 * 200 + 100) * page)
    (tmp_path / "10" / "stat").unlink()
    (tmp_path / "10" / "statm").unlink()
    (tmp_path / "10").rmdir()
    assert session.alive() == [20, 30]
    process(10, 20)  # another one of that number
    assert session.alive() == [10, 20, 30]
