"""Wherever a run is killed, or the disk says no: what was finished is there, and the rest is not.

One run through all that is written is made once to count its operations, and then again and again,
ended at each of them in turn.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.unit.core.disk import Disk, Fate, Killed

from inferometer import plan as planning
from inferometer import standing, store
from inferometer.comparison import Imported
from inferometer.errors import StorageError
from inferometer.journal import Journal
from inferometer.look_records import Look
from inferometer.plan import Launch, Plan
from inferometer.progress import Silent
from inferometer.records import Failure, LaunchRecord, Prior, Reading
from inferometer.store import Store
from inferometer.study import parse
from inferometer.tuning import Found, Score, Trial
from inferometer.verifying import verify

TEXT = """name = "crash"
[protocol]
rounds = 2
window_s = 5
[[engines]]
name = "a"
[[models]]
name = "m"
packaged = "fixture"
[[workloads]]
name = "w"
input_tokens = 8
output_tokens = 4
[[loads]]
concurrency = 2
"""
PLAN = planning.expand(parse(TEXT, "study.toml"))
LOOK = Look(rounds=1, spent_min=1.0)
PRIOR = Prior(
    metric="x", meter=None, model="m", workload="w", load="l", simulated=True,
    launches=3, studies=1, variance=0.1, df=2.0,
)  # fmt: skip
OTHERS = Imported(id="0a", format="f", tool="t", version="1", files=[], figures=[])
NONE = Found(settings=(), chosen=None, stopped="trials", knobs={}, left=0)
Seen = dict[str, Any]


def trial(number: int) -> Trial:
    score = Score(metric="x", unit="tok/s", kind="simulated", value=1.0)
    return Trial(number=number, settings=(), launch=f"t{number}", score=score, took_s=1.0)


def record(id_: str, position: int, status: Any = "ok") -> LaunchRecord:
    why = Failure(reason="failed", stage="load", message="no") if status == "failed" else None
    return LaunchRecord(
        id=id_, plan_sha256=PLAN.sha256, round=position, position=position, stack={"id": "a"},
        model={"name": "m"}, status=status, failure=why, started_ns=1, ended_ns=2,
    )  # fmt: skip


def make(results: Store, made: LaunchRecord) -> None:
    folder = results.open_launch(made.id)
    row = Reading(meter="m", device="d", t_ns=5, value=1.5, unit="J")
    store.append_lines(folder / "readings.jsonl", [row])
    store.append_chunks(folder / "chunks.bin", [(0, 1, 0, 5)])
    results.close_launch(folder, made)


def run(root: Path, plan: Plan = PLAN) -> Iterator[tuple[str, Any]]:
    """Write all that a run writes, but what is there; yield what it may call finished."""
    results = Store(root)
    with results.writing():
        results.begin(plan, TEXT)
        yield "plan", plan
        if not results.has_priors():
            results.put_priors([PRIOR])
        yield "priors", [PRIOR]
        with Journal(results, Silent()) as journal:
            for cores in (1, 2):
                results.put_host({"cores": cores})
            yield "host", {"cores": 2}
            yield from search(results.search("a", "m"))
            results.put_files(root / "configurations" / "a-m", {"c.json": "{}"})
            for launch in plan.launches:
                yield from measured(results, launch)
                journal.note(f"{launch.id} is whole")
            if not results.looks():
                results.put_looks([LOOK])
            yield "looks", [LOOK]
        results.put_imported(OTHERS)
        yield "imported", [OTHERS]


def measured(results: Store, launch: Launch) -> Iterator[tuple[str, Any]]:
    if launch.position == 0 and not results.failures():
        make(results, record(launch.id, 0, "failed"))
    yield "failures", [record(PLAN.launches[0].id, 0, "failed")]
    if not results.finished(launch.id):
        make(results, record(launch.id, launch.position))
    yield launch.id, record(launch.id, launch.position)


def search(of: Store) -> Iterator[tuple[str, Any]]:
    """Search in vain, set that aside, and search again."""
    last = of.root / "earlier" / "1" / "found.json"
    if not last.exists():
        if of.found() is None:
            of.put_trials([trial(1)])
            make(of, record("t1", 0))
            of.put_found(NONE)
        of.set_aside()
    found = msgspec.structs.replace(NONE, chosen=2)
    if of.found() is None:
        of.put_trials([trial(2)])
        of.put_found(found)
    yield "found", found


def seen(root: Path) -> Seen:
    """Return what readers read."""
    results = Store(root)
    known: Seen = {launch.id: launch for launch in results.launches()}
    if (root / "plan.json").exists():
        known["plan"] = results.plan()
        assert standing.look(results).planned == 2
        assert results.study_text() == TEXT
    if (root / "host.json").exists():
        known["host"] = results.host()
    known["failures"] = results.failures()
    known["looks"], known["priors"] = results.looks(), results.priors()
    known["imported"] = results.imported()
    of = results.search("a", "m")
    known["found"], _ = of.found(), of.trials()
    for launch in results.launches():
        assert len(store.readings(results.folder(launch.id))) == 1
        assert (results.folder(launch.id) / "chunks.bin").stat().st_size == 16
    return known


def ended_at(root: Path, at: int, fate: Fate, *, power: bool = False) -> tuple[Disk, Seen, bool]:
    """Run until operation ``at``; return the disk, what was finished, whether it ended there."""
    finished: Seen = {}
    ended = False
    root.parent.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        disk = Disk(root.parent, patch, at, fate)
        try:
            for name, value in run(root):
                finished[name] = value
        except Killed:
            ended = True
        except StorageError:  # and no other error
            ended = True
    if power:
        disk.lose()
    return disk, finished, ended


def check(root: Path, finished: Seen, why: str) -> None:
    """What was finished is there, no damage is found, and the same command gets to the end."""
    known = seen(root)
    for name, value in finished.items():
        if name != "found" or value.chosen is not None:
            assert known[name] == value, (why, name)
    if (root / "plan.json").exists():
        findings = verify(root).findings
        assert {one.what for one in findings} <= {"leftover", "unrecorded"}, (why, findings)
    end: Seen = dict(run(root))
    known = seen(root)
    assert {name: known[name] for name in end} == end, why
    whole = verify(root)
    assert (whole.findings, whole.notes) == ([], []), why
    (aside,) = (root / "tuning" / "a" / "m" / "earlier").iterdir()
    names = {path.name for path in aside.iterdir()} - {"partial"}
    assert names == {"trials.jsonl", "found.json", "launches", "sums.jsonl"}, why


@pytest.fixture
def memory() -> Iterator[Path]:
    """A folder in memory, where there is one: tens of thousands of files take no time there."""
    place = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=place, prefix="inferometer-test-") as folder:
        yield Path(folder)


@pytest.mark.parametrize(
    ("fate", "power"),
    [
        ("killed", False),
        ("killed", True),
        ("torn", False),
        ("torn", True),
        ("refused", False),
        ("full", False),
    ],
)
def test_wherever_it_ends_nothing_finished_is_lost_and_nothing_half_done_is_read(
    memory: Path, monkeypatch: pytest.MonkeyPatch, fate: Fate, power: bool
) -> None:
    monkeypatch.setattr(os, "fsync", lambda _: None)  # what it does is the disk's to say
    whole, finished, ended = ended_at(memory / "whole" / "results", 0, fate)
    assert not ended
    assert whole.count > 200
    check(memory / "whole" / "results", finished, "whole")
    for at in range(1, whole.count + 1, 2 if fate == "full" else 1):  # as to time
        if fate == "torn" and not whole.said[at - 1].startswith("write"):
            continue
        root = memory / str(at) / "results"
        disk, finished, ended = ended_at(root, at, fate, power=power)
        if fate in {"killed", "torn"}:
            assert ended
        why = f"{fate} at {at}: {disk.said[at - 1]}"
        check(root, finished, why)
        shutil.rmtree(root.parent)
