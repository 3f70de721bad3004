"""What Ray adds to a launch: 1,000 launches of the simulator through four raylets of this machine.

``python -m tests.benchmarks.ray_overhead [LAUNCHES]``. A node is a lane: it makes one launch at a
time. Overhead is the gap between the end of one launch on a node and the beginning of the next one
there, as both are stamped on the node: around the task, which makes the launch and stores it. So it
holds telling the driver, its choice of the next launch, and the way back. Also printed: the same
between the stamps of the records, which holds storing (files are flushed to disk), that of a run of
20 launches without Ray, and processor time of the driver for each launch. The driver is killed
(SIGKILL) twice on the way and the run resumed; gaps across a kill are left out. What must hold: the
mean gap is under 50 ms, every launch is there, whole, once, and none that was whole before a kill
was made again. Everything shares this machine's processors: gaps hold the waiting for these.
"""

from __future__ import annotations

import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.conftest import trained
from tests.rays import Rays
from tests.studies import DECLARED, PRICE, Table, written

from inferometer import study as studies
from inferometer.plugins import Registry
from inferometer.progress import Silent
from inferometer.runner import here, run
from inferometer.store import Store
from inferometer.testing.engine import write_model
from inferometer_plugins.executors import lane
from inferometer_plugins.executors.ray import RayExecutor

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from inferometer.records import LaunchRecord

NODES = 4
WINDOW_S = 2.5
"""Long enough for two processors to be idle half of the time: what is waited for is not them."""
TARGET_MS = 50.0
KILLS = (0.3, 0.6)
"""Shares of the plan behind which the driver is killed."""


def stack(*words: str) -> Table:
    return {"name": "simulator", "extra_args": ["--noise", "silent", *words]}


def study(folder: Path, launches: int) -> str:
    """Return a study of so many launches, as short as they can be."""
    folder.mkdir(exist_ok=True)
    tokenizer = folder / "tokenizer.json"
    trained("bytes").save(str(tokenizer))
    write_model(folder / "dense", tokenizer.read_text())
    quick = {"window_s": WINDOW_S, "discard_s": 0.0, "probe": False, "idle_s": 0, "soak_s": 0}
    return written(
        "ray-overhead",
        protocol={"rounds": launches // 2, **quick},
        price=PRICE,
        engines=[stack(), stack("--slowdown", "1.5")],
        models=[{"name": "dense", "path": folder / "dense"}],
        workloads=[{"name": "short", "input_tokens": 8, "output_tokens": 4}],
        loads=[{"concurrency": 1}],
        meters=[DECLARED],
    )


def drive(address: str, text: str, results: Path) -> None:
    """Be the driver; print its processor time and how many launches it saw made."""
    stamps = results.parent / "stamps"

    def stamped(*asked: Any, **more: Any) -> Any:
        from inferometer_plugins.executors.lane import carry_out  # noqa: PLC0415 -- on a node

        begun_ns = time.monotonic_ns()
        try:
            return carry_out(*asked, **more)
        finally:
            with stamps.open("a") as file:
                file.write(f"{asked[1]} {begun_ns} {time.monotonic_ns()}\n")

    vars(lane)["carry_out"] = stamped  # Ray carries it to the nodes
    before = len(Store(results).whole_ids())
    began_s = time.process_time()
    measure(text, results, partial(RayExecutor().open, {"address": address}))
    made = len(Store(results).whole_ids()) - before
    print(f"driver: {time.process_time() - began_s:.2f} s of processor time, {made} launches")


def measure(text: str, results: Path, opened: Any = here) -> None:
    parsed = studies.parse(text, "study")
    run(parsed, text, results, Registry(), Silent(), open_cluster=opened)


def driver(address: str, study_file: Path, results: Path) -> subprocess.Popen[bytes]:
    words = ["drive", address, str(study_file), str(results)]
    return subprocess.Popen([sys.executable, "-m", "tests.benchmarks.ray_overhead", *words])


def gaps_ms(spans: Iterable[tuple[int, int]], cuts: Sequence[int] = ()) -> list[float]:
    """Return the gaps between what began and ended on one node, but for those across a cut."""
    return [
        (begin - end) * 1e-6
        for (_, end), (begin, _) in pairwise(sorted(spans))
        if not any(end < cut < begin for cut in cuts)
    ]


def stamped_spans(folder: Path, records: Iterable[LaunchRecord]) -> Iterator[tuple[str, int, int]]:
    """Yield node, begin and end of every task that made a launch; not of those that were lost."""
    made = {record.id: record for record in records}
    for line in (folder / "stamps").read_text().splitlines():
        order, begin, end = line.split()
        record = made.get(order.rpartition(".")[0])
        if record and int(begin) < record.started_ns < record.ended_ns < int(end):
            yield str(record.node), int(begin), int(end)


def said(words: str, found: Sequence[float]) -> float:
    """Print a distribution of gaps; return the mean."""
    p99 = sorted(found)[int(0.99 * len(found))]
    mean = statistics.fmean(found)
    print(
        f"{words}: mean {mean:.1f} ms, median {statistics.median(found):.1f}, p99 {p99:.1f}, "
        f"longest {max(found):.1f}, of {len(found)}"
    )
    return mean


def measured(launches: int, folder: Path) -> bool:
    text, results = study(folder, launches), folder / "results"
    (folder / "study.toml").write_text(text)
    alone = Store(folder / "local")
    measure(text if launches <= 20 else study(folder / "few", 20), alone.root)
    store, cuts = Store(results), list[int]()
    before: dict[str, int] = {}
    with Rays((1,) * NODES) as rays:
        for share in (*KILLS, None):
            process = driver(rays.address, folder / "study.toml", results)
            while process.poll() is None:
                time.sleep(0.2)
                if share is not None and len(store.whole_ids()) >= share * launches:
                    os.kill(process.pid, signal.SIGKILL)
                    process.wait()
                    cuts.append(time.monotonic_ns())
                    time.sleep(3.0)  # what was in flight ends with its workers
                    before |= written_at(store)
                    break
            print(f"{len(store.whole_ids())} of {launches} launches whole", flush=True)
    records = store.launches()
    kept = {name: at for name, at in written_at(store).items() if name in before}
    spans = list(stamped_spans(folder, records))
    tasks, stored = [], []
    for node in sorted({str(record.node) for record in records}):
        tasks += gaps_ms([(begin, end) for name, begin, end in spans if name == node], cuts)
        own = [record for record in records if record.node == node]
        stored += gaps_ms([(record.started_ns, record.ended_ns) for record in own], cuts)
    mean = said("gap between tasks", tasks)
    said("gap between records", stored)
    said(
        "the same without Ray",
        gaps_ms([(each.started_ns, each.ended_ns) for each in alone.launches()]),
    )
    held = {
        f"mean gap {mean:.1f} ms, target below {TARGET_MS:.0f} ms": mean < TARGET_MS,
        f"{len(records)} of {launches} launches whole": len(records) == launches,
        f"{len(before)} whole ones before kills, none made again": kept == before,
    }
    for words, holds in held.items():
        print(f"{'ok  ' if holds else 'MISS'} {words}")
    return all(held.values())


def written_at(store: Store) -> dict[str, int]:
    """Return when each whole launch's record was written, ns."""
    return {
        name: (store.folder(name) / "launch.json").stat().st_mtime_ns for name in store.whole_ids()
    }


def main(words: list[str]) -> int:
    if words[:1] == ["drive"]:
        drive(words[1], Path(words[2]).read_text(), Path(words[3]))
        return 0
    with tempfile.TemporaryDirectory(prefix="ir-") as folder:
        return 0 if measured(int(words[0]) if words else 1000, Path(folder)) else 1


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
