"""Start vLLM many times, kill it or us at a random moment, and look for anything that is left.

Each start is a whole `inferometer run` of a study of one launch. The moment is drawn: for two
starts of three a time after the start of the engine's process, mostly while it loads; for the third
a time after it was ready. After each there must be no process of the launch, its port free, nothing
in the folder for temporary files, nothing new in /dev/shm that no living process has open, and no
lock held. Where the supervisor and what relays for it are killed with us, this holds when the next
run into the same directory starts its first engine; that run is then interrupted.

Other engines on the machine come and go, too, and what they leave in /dev/shm cannot be told from
ours. Beside them run it with a /dev/shm of its own (as root)::

    unshare --mount sh -c 'mount -t tmpfs tmpfs /dev/shm && exec python -m tests.benchmarks.kills'
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from tests.programs import hear_signals, program
from tests.studies import SHORT, written

from inferometer.attached import fetch
from inferometer.errors import InferometerError
from inferometer.ports import lease
from inferometer.store import Store

MODES = (
    *("engine SIGKILL", "child SIGKILL", "runner SIGKILL", "runner SIGTERM", "runner SIGINT"),
    *("watchdog SIGKILL", "everything SIGKILL"),
)
"""Which process gets which signal, in turn. A child is any process below the engine's own; the last
two are the runner and its supervisors, at once, and the engine's own process besides."""
STUDY = written(
    "kills",
    protocol={"rounds": 1, "window_s": 4.0, "discard_s": 0.5, "retries": 0},
    engines=[{"name": "vllm", "max_model_len": 512, "graphs": False}],
    models=[{"name": "dense", "packaged": "smollm2-135m"}],
    workloads=[SHORT | {"output_tokens": 16}],
    loads=[{"concurrency": 2}],
)
WITH_WATCHDOG = MODES[-2:]
LIMIT_S = 900.0
"""A start or an end that takes longer is a failure."""
SHM = Path("/dev/shm")
SETTLE_S = 20.0


@dataclass(slots=True)
class Start:
    """One run of the program, and every process that was seen below it."""

    folder: Path
    temporary: Path
    runner: subprocess.Popen[bytes]
    before: set[tuple[str, int]]
    family: set[psutil.Process] = field(default_factory=set)
    engine: psutil.Process | None = None
    port: int = 0

    def look(self) -> None:
        """Note the processes that are there now."""
        self.family.add(psutil.Process(self.runner.pid)) if self.runner.poll() is None else None
        for process in list(self.family):
            with contextlib.suppress(psutil.Error):
                self.family.update(process.children(recursive=True))
        for process in self.family if self.engine is None else ():
            with contextlib.suppress(psutil.Error):
                parent, line = process.parent(), process.cmdline()
                ours = parent and supervises(parent.cmdline()) and not supervises(line)
                if ours and "--port" in line:  # without any line while it begins or is gone
                    self.engine, self.port = process, int(line[line.index("--port") + 1])

    def living(self) -> list[psutil.Process]:
        """Return the processes seen that have not ended."""
        alive = []
        for process in self.family:
            with contextlib.suppress(psutil.Error):
                if process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                    alive.append(process)
        return alive

    def ready(self) -> bool:
        """Say whether the engine answers."""
        with contextlib.suppress(OSError):
            return fetch("127.0.0.1", self.port, "/health", timeout_s=1.0)[0] == 200
        return False


def shared_memory() -> set[tuple[str, int]]:
    """Return name and inode of every file in /dev/shm."""
    return {(entry.name, entry.inode()) for entry in os.scandir(SHM)}


def abandoned(files: set[tuple[str, int]]) -> list[str]:
    """Return those of ``files`` that are still there and that no living process has open."""
    held: set[int] = set()
    for name in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            rows = Path("/proc", name, "maps").read_text(errors="replace").splitlines()
            held |= {int(row.split()[4]) for row in rows if f"{SHM}/" in row}
            for link in os.scandir(f"/proc/{name}/fd"):
                with contextlib.suppress(OSError):
                    held.add(os.stat(link.path).st_ino)
    return sorted(name for name, inode in files & shared_memory() if inode not in held)


def begin() -> Start:
    """Start the program, with folders of its own, and wait for the engine's process."""
    folder = Path(tempfile.mkdtemp(prefix="kills-"))
    temporary = Path(tempfile.mkdtemp(prefix="k-", dir="/tmp"))
    (folder / "study.toml").write_text(STUDY)
    start = Start(folder, temporary, ran(folder, temporary), shared_memory())
    wait_for_engine(start)
    return start


def ran(folder: Path, temporary: Path) -> subprocess.Popen[bytes]:
    """Start the program."""
    with (folder / "log").open("ab") as log:
        return subprocess.Popen(
            program("run", "study.toml", "--results", "results"),
            cwd=folder,
            env={**os.environ, "TMPDIR": str(temporary)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def wait_for_engine(start: Start) -> None:
    """Wait until the engine's process is there."""
    runner, until = start.runner, time.monotonic() + LIMIT_S
    while start.engine is None and runner.poll() is None and time.monotonic() < until:
        start.look()
        time.sleep(0.02)
    if start.engine is None:
        raise SystemExit(f"no engine was started; see {start.folder / 'log'}")


def wait_for_moment(start: Start, draw: random.Random, loading_s: float) -> tuple[float, bool]:
    """Wait for the moment that is drawn; return it (s after the start) and whether it was ready."""
    began = time.monotonic()
    serving = draw.random() < 1 / 3
    due = began + draw.uniform(0.0, loading_s)
    past_s = draw.uniform(0.0, 4.0)
    ready = False
    while time.monotonic() < (began + LIMIT_S if serving and not ready else due):
        start.look()
        if not ready and start.ready():
            ready = True
            if serving:
                due = time.monotonic() + past_s
        if start.runner.poll() is not None:
            raise SystemExit(f"the run ended by itself; see {start.folder / 'log'}")
        time.sleep(0.05)
    return time.monotonic() - began, ready


def kill(start: Start, mode: str, draw: random.Random) -> str:
    """Send the signal; return what was hit."""
    assert start.engine is not None
    who, _, name = mode.partition(" ")
    number = signal.Signals[name]
    if who == "runner":
        start.runner.send_signal(number)
        return who
    if who in ("watchdog", "everything"):
        start.look()
        doomed = [each for each in start.living() if supervises(_line(each))]
        doomed += [psutil.Process(start.runner.pid)]
        doomed += [start.engine] if who == "everything" else []
        draw.shuffle(doomed)
        for process in doomed:
            with contextlib.suppress(psutil.Error):
                process.send_signal(number)
        return f"{len(doomed)} processes"
    target = start.engine
    while who == "child":
        start.look()
        children = sorted(start.engine.children(recursive=True), key=lambda child: child.pid)
        if children:
            target = draw.choice(children)
            break
        time.sleep(0.02)
    line = " ".join(target.cmdline())
    target.send_signal(number)
    return "resource tracker" if "resource_tracker" in line else line.strip()[:24]


def sweep(start: Start) -> None:
    """Have the next run end what is left, and interrupt it when it has started its own engine."""
    start.runner.wait()
    again = Start(
        start.folder, start.temporary, ran(start.folder, start.temporary), shared_memory()
    )
    wait_for_engine(again)
    left_over = [process.pid for process in start.living()]
    again.runner.send_signal(signal.SIGINT)
    until = time.monotonic() + LIMIT_S
    while (again.runner.poll() is None or again.living()) and time.monotonic() < until:
        again.look()
        time.sleep(0.05)
    start.family |= again.family
    if left_over:
        raise SystemExit(f"{left_over} were there when the next engine began; see {start.folder}")


def left(start: Start) -> dict[str, object]:
    """Return what is left, by kind; empty when nothing is.

    Shared memory is looked at again later: an engine beside this one may be ending, too.
    """
    memory = abandoned(shared_memory() - start.before)
    if memory:
        time.sleep(SETTLE_S)
        memory = [name for name in abandoned(shared_memory() - start.before) if name in memory]
    found: dict[str, object] = {
        "processes": [process.pid for process in start.living()],
        "temporary": sorted(os.listdir(start.temporary)),
        "shared memory": memory,
    }
    try:
        with lease("127.0.0.1", start.port):
            pass
        with Store(start.folder / "results").writing():
            pass
    except InferometerError as error:
        found["locks and port"] = str(error)
    return {kind: what for kind, what in found.items() if what}


def one(number: int, seed: int, loading_s: float) -> bool:
    """Run one start to its end and print its line; return whether nothing was left."""
    draw = random.Random(f"{seed}/{number}")
    mode = MODES[(number - 1) % len(MODES)]
    start = begin()
    try:
        after_s, ready = wait_for_moment(start, draw, loading_s)
        hit = kill(start, mode, draw)
        killed = time.monotonic()
        if mode in WITH_WATCHDOG:
            sweep(start)
        while start.runner.poll() is None or start.living():
            start.look()
            if time.monotonic() - killed > LIMIT_S:
                break
            time.sleep(0.05)
        took_s = time.monotonic() - killed
        wrong = left(start)
    finally:
        for process in start.living():
            with contextlib.suppress(psutil.Error):
                process.kill()
    state = "serving" if ready else "loading"
    print(
        f"{number:3}  {mode:18} ({hit}) after {after_s:5.1f} s, {state}; all ended {took_s:5.1f} s "
        f"later, exit {start.runner.returncode}: {json.dumps(wrong) if wrong else 'nothing left'}",
        flush=True,
    )
    shutil.rmtree(start.temporary, ignore_errors=True)
    if not wrong:
        shutil.rmtree(start.folder, ignore_errors=True)
    return not wrong


def _line(process: psutil.Process) -> list[str]:
    with contextlib.suppress(psutil.Error):
        return list(process.cmdline())
    return []


def supervises(line: list[str]) -> bool:
    """Say whether a command line is a supervisor's, or of what relays for it."""
    return any(word.endswith("supervise.py") for word in line)


def main() -> int:
    """Run the starts asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--starts", type=int, default=35)
    parser.add_argument("--first", type=int, default=1, help="number of the first start")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--loading-s", type=float, default=30.0, help="upper end of the draw")
    asked = parser.parse_args()
    hear_signals()
    numbers = range(asked.first, asked.first + asked.starts)
    good = sum(one(number, asked.seed, asked.loading_s) for number in numbers)
    print(f"{good} of {len(numbers)} starts left nothing")
    return 0 if good == len(numbers) else 1


if __name__ == "__main__":
    sys.exit(main())
