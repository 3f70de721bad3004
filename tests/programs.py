"""Processes for tests: our own program, what still has a folder in use, and waiting."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[1]


def hear_signals() -> None:
    """Hear signals also where a shell's background or ``nohup`` started us with them ignored."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)


def program(*words: str | Path) -> list[str]:
    """Return the command line of our program."""
    return [sys.executable, "-m", "inferometer", *map(str, words)]


def ran(*words: str | Path) -> subprocess.CompletedProcess[str]:
    """Run our program to its end."""
    return subprocess.run(program(*words), capture_output=True, text=True, check=False)


def module(name: str, *words: str | Path) -> subprocess.Popen[bytes]:
    """Start a module of the tests."""
    line = [sys.executable, "-m", name, *map(str, words)]
    return subprocess.Popen(line, cwd=ROOT, stderr=subprocess.PIPE)


def until(wanted: Callable[[], object], seconds: float, every_s: float = 0.02) -> bool:
    """Wait until something holds; return whether it did in time."""
    end = time.monotonic() + seconds
    while not wanted():
        if time.monotonic() > end:
            return False
        time.sleep(every_s)
    return True


def using(folder: Path) -> list[str]:
    """Return the command lines of other processes that name a folder or have files in it open."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            line = Path(f"/proc/{pid}/cmdline").read_text(errors="replace")
            fds = Path(f"/proc/{pid}/fd")
            files = [os.readlink(fds / number) for number in os.listdir(fds)]
        except OSError:  # ended meanwhile
            continue
        if int(pid) != os.getpid() and any(str(folder) in name for name in (line, *files)):
            found.append(line)
    return found
