"""Kill a study of the simulator 200 times with SIGKILL: is anything lost, spoilt or left?

``python -m tests.benchmarks.kill_runs [--kills 200] [--seed 1]``, alone on the machine.

The study has two stacks, served by real processes. Beside the server of one of them runs another in
a session of its own that holds a file in ``/dev/shm``, as workers of engines do, and dies with
nobody. A run is started, killed at a random moment and started again, until the study is whole;
then the next directory begins. Half of the kills hit the main process alone, half all of it and its
watchdog (the supervisor's two processes) in random order, every second one of those the engine,
too. After each:

- what was whole before is there, byte by byte, and every reader reads all that is stored;
- within 5 s no process of the launch is left, no port, and no lock; where the watchdog died, too,
  the processes and their files are gone before the next run has started an engine.

A file in ``/dev/shm`` that was made in the last ``YOUNG_S`` before everything at once was killed is
nobody's: no watchdog had seen who held it, and who did is dead. Such ones are counted, not missed
(decision 6).

Each study that became whole in pieces must rank its stacks as one that nobody interrupted, in the
same words, with intervals of the ratio that overlap, give or take ``TOLERANCE``. Prints a line a
kill; exit 1 on a miss.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
from tests.conftest import trained
from tests.programs import ROOT, hear_signals, until
from tests.studies import DECLARED, PRICE, Table, written

from inferometer import api, checks, journal_records, marks, store
from inferometer.errors import InferometerError
from inferometer.ports import is_free
from inferometer.store import Store
from inferometer.testing.engine import write_model
from inferometer.verifying import verify

if TYPE_CHECKING:
    from collections.abc import Sequence

    from inferometer.comparison import Comparison

LEFT_S = 5.0
LATEST_S = 6.0
"""A kill comes so long after the start at most: some three in four while an engine is there."""
LIMIT_S = 120.0
TOLERANCE = 0.02
"""Of a ratio. Rounds of the simulator can agree so well that an interval has no width, while those
of another run of it agree as well on a value a percent away."""
YOUNG_S = 1.0
"""A watchdog looks into ``/dev/shm`` five times a second, later on a busy machine."""
OF_MACHINE = {"quiet machine", "loop lag", "send lag", "client cpu"}
PYTHON = """#!/bin/sh
case "$*" in *simulator.server*)
    ( exec 9<>"/dev/shm/{name}-$$"; exec setsid sleep 86400 ) &
esac
exec {python} "$@"
"""
"""An interpreter that starts a process beside the engine, in a session of its own."""
QUICK: Table = {
    "discard_s": 0.2,
    "probe": False,
    "idle_s": 0,
    "soak_s": 0,
    "warmup_requests": 2,
}
RUNNER = """
import sys
from inferometer import api
api.run(sys.argv[1], sys.argv[2])
"""


@dataclass(slots=True)
class Site:
    """Where all of it happens. ``name`` begins the names of this one's files in ``/dev/shm``."""

    folder: Path
    name: str
    text: str
    young: list[str] = field(default_factory=list)
    """Files of which nothing can tell whose they were."""

    @property
    def environment(self) -> dict[str, str]:
        """Return the environment of a run: a cache and a folder for temporary files of its own."""
        own = {"INFEROMETER_CACHE": str(self.folder / "cache"), "TMPDIR": str(self.temporary)}
        return {**os.environ, **own, "PYTHONPATH": str(ROOT)}

    @property
    def temporary(self) -> Path:
        """Return where the supervisors' folders are; short, for sockets."""
        return self.folder / "t"

    def shared(self) -> list[str]:
        """Return the files of this site in ``/dev/shm``."""
        return sorted(path.name for path in Path("/dev/shm").glob(f"{self.name}-*"))


@dataclass(slots=True)
class Watched:
    """What must never change, and what a kill may leave for the next run."""

    results: Path
    whole: dict[str, str] = field(default_factory=dict)
    """Hashes of all files of whole launches, by path."""
    family: set[psutil.Process] = field(default_factory=set)
    killed_s: float = 0.0
    """When everything at once was killed, by the wall clock."""


@dataclass(slots=True)
class Tally:
    """What came of all kills."""

    kills: int = 0
    hit: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    studies: int = 0
    left_s: list[float] = field(default_factory=list)
    swept_s: list[float] = field(default_factory=list)


def site(folder: Path, rounds: int, window_s: float = 1.0) -> Site:
    """Make models, an interpreter with a companion, and the study."""
    name = f"kill-runs-{os.getpid()}"
    python = folder / "python"
    python.write_text(PYTHON.format(name=name, python=sys.executable))
    python.chmod(0o755)
    (folder / "t").mkdir()
    tokenizer = folder / "tokenizer.json"
    trained("bytes").save(str(tokenizer))
    write_model(folder / "dense", tokenizer.read_text())
    text = written(
        "kill-runs",
        protocol={"rounds": rounds, "window_s": window_s, **QUICK},
        price=PRICE,
        engines=[_stack("1"), _stack("2") | {"python": str(python)}],
        models=[{"name": "dense", "path": folder / "dense"}],
        workloads=[{"name": "short", "input_tokens": 16, "output_tokens": 8}],
        loads=[{"concurrency": 2}],
        meters=[DECLARED],
    )
    (folder / "study.toml").write_text(text)
    (folder / "runner.py").write_text(RUNNER)
    return Site(folder, name, text)


def _stack(slowdown: str) -> Table:
    words = ["--noise", "silent", "--slowdown", slowdown]
    return {"name": "simulator", "extra_args": words}


def begin(place: Site, results: Path) -> subprocess.Popen[bytes]:
    """Start a run."""
    with (place.folder / "log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, str(place.folder / "runner.py"), "study.toml", str(results)],
            cwd=place.folder,
            env=place.environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )


def below(run: subprocess.Popen[bytes]) -> set[psutil.Process]:
    """Return the living processes of a run, itself among them."""
    with contextlib.suppress(psutil.Error):
        main = psutil.Process(run.pid)
        return {main, *main.children(recursive=True)}
    return set()


def alive(process: psutil.Process) -> bool:
    """Say whether a process has not ended."""
    with contextlib.suppress(psutil.Error):
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    return False


def of_kind(family: set[psutil.Process]) -> dict[str, list[psutil.Process]]:
    """Return a run's processes by what they are."""
    found: dict[str, list[psutil.Process]] = {"watchdog": [], "engine": [], "other": []}
    for process in family:
        with contextlib.suppress(psutil.Error):
            line = " ".join(process.cmdline())
            kind = "engine" if "simulator.server" in line else "other"
            found["watchdog" if "supervise.py" in line else kind].append(process)
    return found


def kill(run: subprocess.Popen[bytes], watched: Watched, mode: str, draw: random.Random) -> str:
    """Kill what ``mode`` says, as far as it is there; return what was hit."""
    family = below(run)
    watched.family |= family
    kinds = of_kind(family)
    victims = [psutil.Process(run.pid)]
    if mode != "main":
        victims += kinds["watchdog"]
    if mode == "everything":
        victims += kinds["engine"]
    watched.killed_s = time.time() if mode == "everything" else 0.0
    draw.shuffle(victims)
    for victim in victims:
        with contextlib.suppress(psutil.Error):
            victim.kill()
    watched.family |= {each for each in watched.family for each in _children(each)}
    run.wait()
    return f"{len(victims)} of {len(family)} processes"


def _children(process: psutil.Process) -> list[psutil.Process]:
    with contextlib.suppress(psutil.Error):
        return list(process.children(recursive=True))
    return []


def examine(watched: Watched) -> list[str]:
    """Return what of the stored is lost, changed or unreadable; note what is whole now."""
    wrong = []
    now = {
        str(path.relative_to(watched.results)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted((watched.results / "launches").glob("*/*"))
        if path.is_file()
    }
    wrong += [f"lost: {name}" for name in watched.whole.keys() - now.keys()]
    wrong += [
        f"changed: {n}" for n in watched.whole.keys() & now.keys() if watched.whole[n] != now[n]
    ]
    watched.whole |= now
    if not (watched.results / "plan.json").exists():
        return wrong  # killed before there was anything
    results = Store(watched.results)
    try:
        results.plan()
        results.study_text()
        journal_records.read(watched.results)
        for record in (*results.launches(), *results.failures()):
            if record.status == "ok":
                folder = results.folder(record.id)
                if not store.requests(folder):
                    wrong.append(f"no requests: {record.id}")
                store.readings(folder)
    except (InferometerError, OSError, ValueError) as error:
        wrong.append(f"unreadable: {error}")
    return wrong + [f"verify: {one.what} {one.path}" for one in verify(watched.results).findings]


def left_at_once(watched: Watched, mode: str, ports: Sequence[int]) -> tuple[list[str], float]:
    """Return what is left 5 s after a kill, and after how many seconds nothing was."""
    began = time.monotonic()

    def left() -> list[str]:
        said = []
        if mode == "main":  # else the next run ends them
            said += [f"process {each.pid}" for each in watched.family if alive(each)]
            said += [f"port {port}" for port in ports if not is_free("127.0.0.1", port)]
        with contextlib.suppress(InferometerError), Store(watched.results).writing():
            return said
        return [*said, "lock"]

    until(lambda: not left(), LEFT_S, every_s=0.05)
    return left(), time.monotonic() - began


def ports_of(family: set[psutil.Process]) -> list[int]:
    """Return the ports that engines of a run were told."""
    found = []
    for process in family:
        with contextlib.suppress(psutil.Error, ValueError, IndexError):
            line = process.cmdline()
            if "--port" in line:
                found.append(int(line[line.index("--port") + 1]))
    return found


def swept(run: subprocess.Popen[bytes], watched: Watched, place: Site) -> tuple[list[str], float]:
    """Wait until a new run starts an engine, or ends; return what it should have ended before."""
    began = time.monotonic()
    old, took = watched.family, 0.0
    files = set(place.shared())
    folders = set(os.listdir(place.temporary))
    while time.monotonic() - began < LIMIT_S:
        living = [each for each in old if alive(each)]
        if living:
            took = time.monotonic() - began
        started = of_kind(below(run))["watchdog"]
        if started or run.poll() is not None:
            break
        time.sleep(0.02)
    wrong = [f"process {each.pid} when the next engine began" for each in old if alive(each)]
    for name in sorted(files & set(place.shared())):
        path = Path("/dev/shm", name)
        wrong += [] if nobodys(place, watched, path) else [str(path)]
        path.unlink(missing_ok=True)  # told once
    wrong += [f"folder {name}" for name in folders & set(os.listdir(place.temporary))]
    watched.family = set()
    return wrong, took


def nobodys(place: Site, watched: Watched, path: Path) -> bool:
    """Say whether a file was made just before everything was killed; count it."""
    young = abs(watched.killed_s - path.stat().st_ctime) < YOUNG_S
    place.young += [path.name] if young else []
    return young


def one(
    place: Site,
    watched: Watched,
    tally: Tally,
    mode: str,
    draw: random.Random,
    latest_s: float = LATEST_S,
) -> bool:
    """Start a run and kill it; return False where it came to its end before."""
    run = begin(place, watched.results)
    after_s = draw.uniform(0.1, latest_s)
    due = time.monotonic() + after_s
    wrong: list[str] = []
    if watched.family:
        wrong, took = swept(run, watched, place)
        tally.swept_s.append(took)
    while time.monotonic() < due and run.poll() is None:
        time.sleep(0.02)
    if run.poll() is not None:
        tally.wrong += wrong + ([f"exit {run.returncode}"] if run.returncode else [])
        return False
    family = below(run)
    ports = ports_of(family)
    tally.kills += 1
    tally.hit[f"{mode}, {'engine there' if ports else 'no engine'}"] += 1
    hit = kill(run, watched, mode, draw)
    left, took = left_at_once(watched, mode, ports)
    if mode == "main":
        tally.left_s.append(took)
        watched.family = set()
    wrong += left + examine(watched)
    tally.wrong += wrong
    launches = len(Store(watched.results).whole_ids())
    print(
        f"{tally.kills:4}  {mode:10} after {after_s:4.1f} s, hit {hit}; {launches:2} whole; "
        f"{'; '.join(wrong) or 'nothing lost, spoilt or left'}",
        flush=True,
    )
    return True


def verdict(found: Comparison) -> dict[str, list[tuple[str, int, str]]]:
    """Return the places and words of every ranking."""
    return {
        f"{r.objective} {r.metric} {r.meter} {r.load}": [
            (e.stack, e.place, e.verdict) for e in r.entries
        ]
        for r in found.rankings
    }


def differences(whole: Comparison, pieces: Comparison) -> list[str]:
    """Return how a study made in pieces differs from one that was not interrupted."""
    ranked = [len(entries) for entries in verdict(whole).values()]
    wrong = [] if ranked and min(ranked) > 1 else [f"stacks ranked without interruption: {ranked}"]
    if (a := verdict(whole)) != (b := verdict(pieces)):
        wrong.append(f"verdict: {b} instead of {a}")
    for left, right in zip(whole.rankings, pieces.rankings, strict=False):
        for one_, other in zip(left.entries, right.entries, strict=False):
            a_, b_ = one_.ratio_to_best, other.ratio_to_best
            if not _overlap((a_.low, a_.high), (b_.low, b_.high)):
                wrong.append(f"{left.metric}, {one_.stack}: {a_.value} and {b_.value}")
    return wrong


def _overlap(
    one_: tuple[float | None, float | None], other: tuple[float | None, float | None]
) -> bool:
    """Say whether two intervals overlap within the tolerance; one that is unknown does."""
    low, high = one_
    lower, higher = other
    if low is None or high is None or lower is None or higher is None:
        return True
    return low <= higher * (1 + TOLERANCE) and lower <= high * (1 + TOLERANCE)


def table(tally: Tally, whole: Comparison, seconds: float) -> None:
    """Print what came of all."""
    print(f"\n{tally.kills} kills in {seconds:.0f} s")
    for what, count in sorted(tally.hit.items()):
        print(f"  {count:4}  {what}")
    for words, took in (
        ("main alone: nothing left after", tally.left_s),
        ("left to the next run: ended", tally.swept_s),
    ):
        if took:
            print(f"  {words} {max(took):.1f} s at most, {sum(took) / len(took):.1f} s on average")
    print(f"  {tally.studies} studies whole in pieces; verdicts of one that was not interrupted:")
    for name, entries in verdict(whole).items():
        print(
            f"    {name}:",
            ", ".join(f"{place}. {stack} ({word})" for stack, place, word in entries),
        )
    print("nothing was lost, spoilt or left" if not tally.wrong else f"{len(tally.wrong)} misses:")
    for line in tally.wrong:
        print(f"  {line}")


def modes(kills: int, draw: random.Random) -> list[str]:
    """Return half kills of the main process alone, half with its watchdog, in random order."""
    drawn = ["main"] * (kills - kills // 2)
    drawn += [("watchdog", "everything")[number % 2] for number in range(kills // 2)]
    draw.shuffle(drawn)
    return drawn


def run_all(folder: Path, kills: int, seed: int, rounds: int) -> Tally:
    """Kill so often; return what came of it, with the last study finished."""
    began, draw, tally = time.monotonic(), random.Random(seed), Tally()
    place = site(folder, rounds)
    os.environ["INFEROMETER_CACHE"] = place.environment["INFEROMETER_CACHE"]
    if begin(place, folder / "whole").wait() != 0:
        raise SystemExit(f"the study does not run; see {folder / 'log'}")
    judge = checks.judge
    # how the machine does is not the question here
    vars(checks)["judge"] = lambda seen: [it for it in judge(seen) if it.name not in OF_MACHINE]
    whole = api.analyze(folder / "whole")
    left, watched = modes(kills, draw), Watched(folder / "pieces-1")
    while True:
        if left and one(place, watched, tally, left[-1], draw):
            left.pop()
            continue
        if not left:
            tally.wrong += finish(place, watched)
        tally.studies += 1
        tally.wrong += examine(watched) + differences(whole, api.analyze(watched.results))
        if not left:
            break
        watched = Watched(folder / f"pieces-{tally.studies + 1}")
    tally.wrong += [f"/dev/shm/{name}" for name in place.shared()]
    tally.wrong += [f"note {path.name}" for path in marks.folder().glob("*")]
    tally.wrong += [f"folder {name}" for name in os.listdir(place.temporary)]
    table(tally, whole, time.monotonic() - began)
    print(
        f"{len(place.young)} files in /dev/shm were too young for anybody to know whose they were"
    )
    return tally


def finish(place: Site, watched: Watched) -> list[str]:
    """Let the last run come to its end; return what went wrong."""
    run = begin(place, watched.results)
    wrong = swept(run, watched, place)[0] if watched.family else []
    return wrong + ([f"exit {run.returncode}"] if run.wait() else [])


def main() -> int:
    """Run what was asked for; 1 on a miss."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=8, help="launches of a study: twice as many")
    asked = parser.parse_args()
    hear_signals()
    folder = Path(tempfile.mkdtemp(prefix="kr-", dir="/tmp"))
    tally = run_all(folder, asked.kills, asked.seed, asked.rounds)
    if not tally.wrong:
        shutil.rmtree(folder, ignore_errors=True)
    return 1 if tally.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
