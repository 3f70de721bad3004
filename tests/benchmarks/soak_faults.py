"""Does a long study with faults end in the right verdict, and does nothing grow meanwhile?

``python -m tests.benchmarks.soak_faults [--hours 24] [--busy]``. A launch at ordinary settings
takes two minutes and more (``inferometer plan`` says four of the study that ``init`` writes), so 24
hours are 720 launches: of two simulated engines, one 1.5 times as fast, with windows as short as
they can be, through the real runner, in one process. 5 % of the engines' lives have a fault
(``soak_engine``), and in 1 % of launches the meter vanishes. What a person would do is done: the
study is run again until every launch is whole; launches that fail a check (a fault that cost
answers and not the launch, or this machine) are taken out, whatever their figures, and measured
again.

What must hold: the faster stack surely leads; the true ratio lies in the interval, or no further
from it than ``BIAS``, for so short a window also holds what the machine does meanwhile; memory,
file descriptors and threads of this process are flat over the second half of the launches; no
process is left, nothing in /dev/shm, nothing in TMPDIR; and ``verify`` finds nothing wrong. Run it
alone on the machine; with ``--busy`` what else the machine does is not looked at, and the ratio may
be off by more.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil
from tests.conftest import trained
from tests.studies import PRICE, written

from inferometer import study as studies
from inferometer import validity
from inferometer.analyze import analyze
from inferometer.checks import client
from inferometer.engine import Command
from inferometer.hooks import GROUP, hookimpl
from inferometer.plugins import Registry
from inferometer.progress import Silent
from inferometer.runner import run
from inferometer.store import Store
from inferometer.tables import scan
from inferometer.testing.engine import write_model
from inferometer.verifying import verify
from inferometer_plugins.meters.declared import Declared
from inferometer_plugins.simulator.adapter import Simulator

if TYPE_CHECKING:
    from collections.abc import Sequence

    from inferometer.engine import LaunchContext
    from inferometer.meter import MeterContext, MeterSession
    from inferometer.records import Reading

MINUTES = 2.0
"""Of a launch at ordinary settings: an engine's start, warm-up and a window."""
SHARE = 0.05
METER_SHARE = 0.01
RATIO = 1.5
BIAS, BUSY_BIAS = 0.02, 0.1
RSS_LIMIT, RSS_FROM = 0.5, 600
"""MiB in 100 launches; judged where there are so many, for caches fill up to 256 launches long.

0.17 of it is known (tracemalloc, 200 launches): the live view and the time left need what was seen
in each launch that ended (1.1 kB), the next write its line of the chain of hashes (0.3), and uvloop
0.23 keeps the address of each port that it ever called (0.3).
"""
PARTS = 400_000
"""Parts of paths that pass before anything is measured: see :func:`settle`."""
MOST_RUNS = 200
CHECKS = len(client.CHECKS)
OF_MACHINE = {"loop_lag", "send_lag", "quiet_machine", "client_cpu"}
SHM, TEMPORARY = Path("/dev/shm"), Path(tempfile.gettempdir())


@dataclass(frozen=True, slots=True)
class Faulty(Simulator):
    """The simulator, started through ``soak_engine``."""

    name: str = "faulty"

    def command(self, context: LaunchContext) -> Command:
        """Return the simulator's command line with another program."""
        plain = Simulator.command(self, context)
        python, _, _, *words = plain.argv
        return Command(
            argv=(python, str(Path(__file__).with_name("soak_engine.py")), *words), env=plain.env
        )


@dataclass(slots=True)
class Vanishing:
    """A session that breaks at its third look."""

    session: MeterSession
    looks: int = 0

    def read(self) -> Sequence[Reading]:
        """Read, or raise."""
        self.looks += 1
        if self.looks > 2:
            raise RuntimeError("the meter is gone")
        return self.session.read()

    def close(self) -> None:
        """Close what there is."""
        self.session.close()


@dataclass(frozen=True, slots=True)
class Unsteady(Declared):
    """A declared wattage that vanishes in some launches."""

    name: str = "unsteady"
    draws: random.Random = field(default_factory=lambda: random.Random(7))

    def open(self, context: MeterContext) -> MeterSession:
        """Begin."""
        session = Declared.open(self, context)
        return Vanishing(session) if self.draws.random() < METER_SHARE else session


METER = Unsteady()


@hookimpl
def inferometer_engines() -> list[Any]:
    """Return the engine with faults."""
    return [Faulty()]


@hookimpl
def inferometer_meters() -> list[Any]:
    """Return the meter with faults."""
    return [METER]


class Watching(Silent):
    """Sees what this process holds when each launch ends, and says so now and then."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[float, int, int]] = []
        self.notes: Counter[str] = Counter()
        self.began_s = time.monotonic()
        self._process = psutil.Process()

    def launched(self, status: str) -> None:
        """Look at this process."""
        self.said.clear()
        self.notes[status] += 1
        rss = self._process.memory_info().rss / 2**20
        self.seen.append((rss, self._process.num_fds(), threading.active_count()))
        if len(self.seen) % 50 == 0:
            minutes = (time.monotonic() - self.began_s) / 60
            rss, fds, threads = self.seen[-1]
            print(
                f"{len(self.seen)} launches in {minutes:.1f} min: {dict(self.notes)}, "
                f"{rss:.1f} MiB, {fds} descriptors, {threads} threads",
                flush=True,
            )


def study(folder: Path, launches: int, seed: int) -> str:
    """Return the study."""
    tokenizer = folder / "tokenizer.json"
    trained("bytes").save(str(tokenizer))
    write_model(folder / "dense", tokenizer.read_text())
    env = {"SOAK_DRAWS": str(folder / "draws"), "SOAK_SHARE": str(SHARE), "SOAK_SEED": str(seed)}
    engine = {"name": "faulty", "extra_env": env}
    return written(
        "soak",
        protocol={
            "rounds": launches // 2,
            "window_s": 0.5,
            "discard_s": 0.1,
            "warmup_requests": 2,
            "probe": False,
            "idle_s": 0,
            "soak_s": 0,
            "ready_timeout_s": 5.0,
            "stall_timeout_s": 2.0,
            "request_timeout_s": 5.0,
            "launch_timeout_s": 30.0,
        },
        price=PRICE,
        engines=[
            engine | {"alias": "quick", "extra_args": ["--slowdown", "1.0"]},
            engine | {"alias": "slow", "extra_args": ["--slowdown", str(RATIO)]},
        ],
        models=[{"name": "dense", "path": folder / "dense"}],
        workloads=[{"name": "short", "input_tokens": 16, "output_tokens": 16}],
        loads=[{"concurrency": 2}],
        meters=[{"name": "unsteady", "options": {"power_w": 50}}],
    )


def settle() -> None:
    """Have Python's table of interned strings take the size that it then keeps.

    Each part of each path that is looked at passes through it (pathlib); it is made anew, once and
    2 MiB larger, when its places are used up, which here is some 400 launches on: no growth, but
    a step that would be taken for one.
    """
    for k in range(PARTS):
        sys.intern(f"part-{k}")


def measured(text: str, results: Path, launches: int) -> tuple[Watching, int, Counter[str]]:
    """Run the study until every launch is whole and none fails a check.

    Return what was seen, how many runs it took, and what checks the launches failed that were taken
    out.
    """
    own = EntryPoint(name="soak", value="tests.benchmarks.soak_faults", group=GROUP)
    registry = Registry([*entry_points(group=GROUP), own])
    watching, failed, runs = Watching(), Counter[str](), 0
    while runs < MOST_RUNS:
        runs += 1
        run(studies.parse(text, "study.toml"), text, results, registry, watching)
        if len(Store(results).whole_ids()) < launches:
            continue
        wrong = judged(results)
        if not wrong:
            break
        for launch, names in wrong.items():
            failed.update(names)
            shutil.rmtree(Store(results).folder(launch))
    return watching, runs, failed


def judged(results: Path) -> dict[str, list[str]]:
    """Return what :func:`invalid` does in another process: this one measures, and is watched."""
    busy = ["--busy"] * (len(client.CHECKS) < CHECKS)
    line = [sys.executable, "-m", "tests.benchmarks.soak_faults", "--judge", str(results), *busy]
    done = subprocess.run(line, stdout=subprocess.PIPE, check=True)
    found: dict[str, list[str]] = json.loads(done.stdout)
    return found


def invalid(results: Path) -> dict[str, list[str]]:
    """Return the launches that fail a check, with its names."""
    found: dict[str, list[str]] = {}
    for (launch, _), checks in validity.judge(scan(Store(results))).items():
        if names := [check.name for check in checks if check.verdict == "fail"]:
            found.setdefault(launch, []).extend(names)
    return found


def slope(values: Sequence[float]) -> float:
    """Return by how much a value grows in 100 launches, over the second half of them."""
    half = np.array(values[len(values) // 2 :], float)
    return float(np.polyfit(np.arange(half.size), half, 1)[0] * 100) if half.size > 2 else 0.0


def verdict(results: Path, bias: float) -> list[str]:
    """Print the verdict; return what is wrong with it."""
    comparison = analyze(results)
    ranking = next(r for r in comparison.rankings if r.objective == "throughput")
    if len(ranking.entries) != 2:
        return [f"not ranked: {ranking.unranked}"]
    best, second = ranking.entries
    ratio = second.ratio_to_best
    assert ratio.value is not None
    assert ratio.low is not None
    assert ratio.high is not None
    true = 1 / RATIO
    inside = ratio.low <= true <= ratio.high
    print(
        f"verdict: {best.stack} leads; {second.stack} has {ratio.value:.4f} of it "
        f"({ratio.low:.4f} to {ratio.high:.4f}), the truth is {true:.4f}: "
        f"{'inside' if inside else 'outside'}; {second.verdict}"
    )
    wrong = []
    if (best.stack, second.verdict) != ("quick", "behind"):
        wrong.append("the faster stack does not surely lead")
    if not ratio.low * (1 - bias) <= true <= ratio.high * (1 + bias):
        wrong.append(f"the true ratio is further than {bias:.0%} from the interval")
    return wrong


def flat(seen: Sequence[tuple[float, int, int]]) -> list[str]:
    """Print what this process held; return what grew."""
    rss, fds, threads = ([row[k] for row in seen] for k in range(3))
    grows = slope(rss)
    print(
        f"memory: {rss[0]:.1f} MiB at first, {rss[len(rss) // 2]:.1f} half way, "
        f"{rss[-1]:.1f} at last; "
        f"second half {grows:+.3f} MiB in 100 launches (limit {RSS_LIMIT})"
    )
    print(
        f"descriptors: {fds[len(fds) // 2]} half way, {fds[-1]} at last, {slope(fds):+.3f} in 100"
    )
    print(f"threads: {threads[len(fds) // 2]} half way, {threads[-1]} at last")
    wrong = []
    if len(rss) < RSS_FROM:
        print(f"memory is not judged: fewer than {RSS_FROM} launches")
    elif grows > RSS_LIMIT:
        wrong.append(f"memory grows: {grows:.3f} MiB in 100 launches")
    for name, values in (("descriptors", fds), ("threads", threads)):
        if min(values[-20:]) > min(values[len(values) // 2 :][:20]):
            wrong.append(f"{name} grow")
    return wrong


def holds(where: Path) -> set[str]:
    """Return the names in a folder, without those of pytest and of other users' runs."""
    return {name for name in os.listdir(where) if not name.startswith(("pytest", "."))}


def left(folder: Path, before: dict[Path, set[str]]) -> list[str]:
    """Return what is left behind: processes, files in /dev/shm and in TMPDIR."""
    found = []
    for process in psutil.process_iter(["pid", "cmdline"]):
        line = " ".join(process.info["cmdline"] or [])
        if process.pid != os.getpid() and (str(folder) in line or "soak_engine" in line):
            found.append(f"process {process.pid}: {line[:120]}")
    children = psutil.Process().children(recursive=True)
    found += [f"child {child.pid}" for child in children]
    for where, names in before.items():
        new = sorted(name for name in holds(where) - names if "ir-" in name or "soak" in name)
        found += [f"{where / name}" for name in new if where / name != folder]
    print(f"left behind: {', '.join(found) or 'nothing'}")
    return found


def main() -> int:
    """Run; 1 where something does not hold."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hours", type=float, default=24.0, help="simulated")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--busy", action="store_true", help="other work shares the machine")
    parser.add_argument("--judge", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.busy:
        kept = tuple(one for one in client.CHECKS if one.__name__ not in OF_MACHINE)
        vars(client)["CHECKS"] = kept
    if given.judge is not None:
        print(json.dumps(invalid(given.judge)))
        return 0
    launches = max(20, round(given.hours * 60 / MINUTES / 2) * 2)
    before = {where: holds(where) for where in (SHM, TEMPORARY)}
    settle()
    with tempfile.TemporaryDirectory(prefix="soak-") as name:
        folder, results = Path(name), Path(name) / "results"
        watching, runs, failed = measured(study(folder, launches, given.seed), results, launches)
        took_min = (time.monotonic() - watching.began_s) / 60
        store = Store(results)
        lives = (folder / "draws").read_text().split("\n")
        drawn = Counter(line.strip() for line in lives if line.strip())
        why = Counter(r.failure.reason for r in store.failures() if r.failure is not None)
        print(f"{launches} launches ({given.hours:g} h) in {took_min:.1f} min, {runs} runs")
        print(f"lives of engines: {dict(drawn)}")
        print(
            f"launches taken out and measured again: {dict(failed) or 'none'} (checks they failed)"
        )
        print(f"failed attempts: {len(store.failures())}, {dict(why)}")
        whole = store.whole_ids()
        wrong = [] if len(whole) == launches else [f"{len(whole)} of {launches} launches are whole"]
        wrong += verdict(results, BUSY_BIAS if given.busy else BIAS)
        checked = verify(results)
        print(f"verify: {checked.files} files as recorded, {len(checked.findings)} findings")
        wrong += [f"verify: {one.path}: {one.text}" for one in checked.findings[:5]]
        wrong += flat(watching.seen)
        wrong += left(folder, before)
    for line in wrong:
        print(f"WRONG: {line}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
