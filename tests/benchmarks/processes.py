"""The oracle and its clients as processes: start them, wait, and say what they cost."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from inferometer.installing import clean_variables
from inferometer.testing.oracle import Truth

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PYTHON = sys.executable
SAMPLE_S = 0.5
PAGE = os.sysconf("SC_PAGE_SIZE")
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(slots=True)
class Served:
    """An oracle in a process of its own. ``truth`` and ``cpu_s`` are there when it has ended."""

    port: int
    scheme: str
    host: str = "127.0.0.1"
    truth: list[Truth] = field(default_factory=list)
    cpu_s: float = 0.0

    @property
    def url(self) -> str:
        """Return its base URL."""
        return f"{self.scheme}://{self.host}:{self.port}"


@contextlib.contextmanager
def oracle(folder: Path, options: dict[str, str]) -> Iterator[Served]:
    """Serve the oracle; ``options`` are its flags without the dashes."""
    file = folder / "truth.jsonl"
    file.unlink(missing_ok=True)
    line = [PYTHON, "-m", "inferometer.testing.oracle", "--port", "0", "--truth", str(file)]
    for name, value in options.items():
        line += [f"--{name.replace('_', '-')}", value]
    process = subprocess.Popen(line, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
    assert process.stdout is not None
    served = Served(
        port=int(process.stdout.readline()),
        scheme="https" if "certificate" in options else "http",
        host=options.get("host", "127.0.0.1"),
    )
    try:
        yield served
    finally:
        process.terminate()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        process.stdout.close()
        served.cpu_s = usage.ru_utime + usage.ru_stime
    decoder = msgspec.json.Decoder(Truth)
    if file.exists():  # a client that failed may have sent nothing
        served.truth = [decoder.decode(text) for text in file.read_bytes().splitlines()]
    served.truth.sort(key=lambda truth: truth.arrived_ns)


@dataclass(frozen=True, slots=True)
class Finished:
    """What a client cost, from its start to its end, with every process it started."""

    status: int
    cpu_s: float
    peak_bytes: int
    """Resident memory, summed over its processes, at the worst of samples 0.5 s apart."""
    wall_s: float


def run(
    argv: Sequence[str | Path], log: Path, variables: dict[str, str], timeout_s: float
) -> Finished:
    """Run a client to its end; its output goes to ``log``."""
    began = time.monotonic()
    with log.open("wb") as file:
        process = subprocess.Popen(
            [str(part) for part in argv],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            env=clean_variables() | variables,
            cwd=log.parent,
            start_new_session=True,
        )
    peak, living_cpu_s = 0, 0.0
    try:
        while True:
            ended, status, usage = os.wait4(process.pid, os.WNOHANG)
            if ended:
                break
            if time.monotonic() - began > timeout_s:
                os.killpg(process.pid, signal.SIGKILL)
            memory, cpu_s = _tree(process.pid)
            peak, living_cpu_s = max(peak, memory), max(living_cpu_s, cpu_s)
            time.sleep(SAMPLE_S)
    finally:
        with contextlib.suppress(ProcessLookupError):  # nothing of it may run beside the next one
            os.killpg(process.pid, signal.SIGKILL)
    process.returncode = os.waitstatus_to_exitcode(status)
    return Finished(
        status=process.returncode,
        # a parent that does not wait for its children hides them from the first of the two
        cpu_s=max(usage.ru_utime + usage.ru_stime, living_cpu_s),
        peak_bytes=max(peak, usage.ru_maxrss * 1024),
        wall_s=time.monotonic() - began,
    )


def _tree(root: int) -> tuple[int, float]:
    """Return resident bytes and processor seconds of a process and all below it."""
    parents: dict[int, int] = {}
    costs: dict[int, tuple[int, float]] = {}
    for entry in os.scandir("/proc"):
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(OSError):
            text = Path(entry.path, "stat").read_text(encoding="utf-8", errors="replace")
            words = text.rpartition(")")[2].split()  # from field 3 of proc(5) on
            pid = int(entry.name)
            parents[pid] = int(words[1])
            costs[pid] = int(words[21]) * PAGE, sum(map(int, words[11:15])) / TICKS
    family = {root}
    for pid in sorted(parents):
        if parents[pid] in family:
            family.add(pid)
    found = [costs[pid] for pid in family if pid in costs]
    return sum(memory for memory, _ in found), sum(cpu for _, cpu in found)
