"""Puts a fault into a real run of the program and tells what came of it."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from tests.faults.fault import Found, nothing
from tests.programs import ROOT, until, using
from tests.studies import DECLARED, SHORT, Table, oracle, written

from inferometer import plan as planning
from inferometer import study as studies
from inferometer.analyze import analyze
from inferometer.errors import InferometerError
from inferometer.ports import lease
from inferometer.store import Store, requests

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.faults.fault import Fault

    from inferometer.records import LaunchRecord

PROTOCOL: Table = {
    "rounds": 1,
    "window_s": 0.4,
    "discard_s": 0.1,
    "probe": False,
    "idle_s": 0,
    "request_timeout_s": 5.0,
}
HANGS_S = 100.0
"""A run that takes longer hangs."""
ENDED_S = 60.0
"""Everything below a run has gone so long after it."""
CALM = ("--itl-ms", "5")
"""Tokens that cost few cycles: nothing is judged here that needs more of them."""
UNCOMPILED = "PYTHONDONTWRITEBYTECODE"
"""With it every run compiles all of us anew, which takes as long as the rest of it."""
FAULTY, SOUND = "faulty", "sound"


@dataclass(frozen=True, slots=True)
class Run:
    """One run: its places, and its process when it has been started."""

    folder: Path
    temporary: Path
    process: subprocess.Popen[bytes] | None = None

    @property
    def study(self) -> Path:
        """Return the study file."""
        return self.folder / "study.toml"

    @property
    def results(self) -> Path:
        """Return the results directory."""
        return self.folder / "results"

    @property
    def store(self) -> Store:
        """Return what reads it."""
        return Store(self.results)

    def under_way(self, pattern: str) -> list[Path]:
        """Wait for a file of the launch in flight, by its name; return what was found."""
        found: list[Path] = []
        assert self.process is not None
        ended = self.process.poll

        def there() -> bool:
            found[:] = self.results.glob(f"partial/*{pattern}")
            return bool(found) or ended() is not None

        assert until(there, HANGS_S)
        return found

    def pids(self, *words: str) -> list[int]:
        """Return our descendants with all of these words in their command line."""
        import psutil  # noqa: PLC0415 -- few ask

        assert self.process is not None
        found = []
        for child in psutil.Process(self.process.pid).children(recursive=True):
            with contextlib.suppress(psutil.Error):
                line = " ".join(child.cmdline())
                if all(word in line for word in words):
                    found.append(child.pid)
        return found

    def engine(self) -> int:
        """Wait for the process of an engine that answers its requests; return its number."""
        self.under_way("-faulty-*/server.log")
        found: list[int] = []

        def there() -> bool:
            line = "-m inferometer.testing.oracle"
            found[:] = [p for p in self.pids(line) if not self.supervises(p)]
            return bool(found)

        assert until(there, HANGS_S)
        return found[0]

    def supervises(self, pid: int) -> bool:
        """Say whether a process is a supervisor."""
        return "supervise.py" in Path(f"/proc/{pid}/cmdline").read_text()

    def loading(self) -> None:
        """Wait until the first stack is under load."""
        assert until(lambda: self.said("window"), HANGS_S)

    def said(self, what: str) -> bool:
        """Say whether the run's journal has an event of this kind."""
        events = self.results / "events.jsonl"
        return events.is_file() and f'"what":"{what}"' in events.read_text()


def put(fault: Fault, folder: Path, models: Path) -> Found:
    """Run a study with ``fault`` in it, in ``folder``; return what came of it."""
    temporary = Path(tempfile.mkdtemp(prefix="f-", dir="/tmp"))
    try:
        run = Run(folder, temporary)
        run.study.write_text(text_of(fault, models))
        _install(fault, folder / "site")
        with fault.before(run):
            code, out, err = ran(fault, run)
        found = _found(fault, run, code, out, err)
        return _resumed(fault, run, found) if fault.resumes else found
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def text_of(fault: Fault, models: Path) -> str:
    """Return the study: the stack with the fault is the first to be measured."""
    faulty: Table = oracle(*CALM, *fault.engine, alias=FAULTY, **fault.entry)
    if "url" in fault.entry:
        del faulty["python"], faulty["extra_args"]
    strange: list[Table] = []
    if fault.meter:
        strange = [{"name": "strange", "options": {"fault": fault.meter}}]

    def text(seed: int) -> str:
        return written(
            "fault",
            protocol=PROTOCOL | {"seed": seed} | dict(fault.protocol),
            engines=[faulty] if fault.alone else [faulty, oracle(*CALM, alias=SOUND)],
            models=[{"name": "dense", "path": models / "dense"}],
            workloads=[SHORT],
            loads=[{"concurrency": fault.streams}],
            meters=[DECLARED, *strange],
        )

    return next(
        text(seed)
        for seed in range(1, 50)
        if planning.expand(studies.parse(text(seed), "s")).launches[0].stack == FAULTY
    )


def _install(fault: Fault, site: Path) -> None:
    """Install the oracle's plugin, the strange meter and engines, and the fault's own plugin."""
    modules = {
        "oracle": "inferometer.testing.engine",
        "strange": "tests.faults.strangers",
    }
    if fault.plugin:
        site.mkdir()
        (site / "stranger.py").write_text(fault.plugin)
        modules["stranger"] = "stranger"
    for name, module in modules.items():
        place = site / f"{name}_plugin-1.0.dist-info"
        place.mkdir(parents=True)
        (place / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {name}-plugin\nVersion: 1.0\n"
        )
        (place / "entry_points.txt").write_text(f"[inferometer]\n{name} = {module}\n")


def ran(fault: Fault, run: Run) -> tuple[int, str, str]:
    """Run the program to its end; return its exit code, standard output and standard error."""
    words = fault.words or ("run", str(run.study), "--results", "RESULTS")
    words = tuple(str(run.results) if word == "RESULTS" else word for word in words)
    inside = json.dumps(
        {"faults": fault.inside, "limits": dict(fault.limits), "bound": fault.bound}
    )
    with (run.folder / "out").open("w+b") as out, (run.folder / "err").open("w+b") as err:
        process = subprocess.Popen(
            [*fault.wrap, sys.executable, "-m", "tests.faults.program", inside, *words],
            cwd=run.folder,
            env={
                **{name: text for name, text in os.environ.items() if name != UNCOMPILED},
                "PYTHONPATH": f"{ROOT}:{run.folder / 'site'}",
                "TMPDIR": str(run.temporary),
                "INFEROMETER_CACHE": str(run.folder / "cache"),
            },
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            start_new_session=True,
        )
        try:
            fault.beside(Run(run.folder, run.temporary, process))
            process.wait(timeout=HANGS_S)
        except BaseException:
            process.kill()
            process.wait()
            raise
    return process.returncode, (run.folder / "out").read_text(), (run.folder / "err").read_text()


# -- what came of it -----------------------------------------------------------------------------


def _found(fault: Fault, run: Run, code: int, out: str, err: str) -> Found:
    left = tuple(_left(run, code))
    if "--json" in fault.words and not _is_json(out):
        left = (*left, f"beside JSON on stdout: {out[:200]}")
    records = _records(run)
    faulty = [record for record in records if record.stack["id"] == FAULTY]
    sound = [record for record in records if record.stack["id"] == SOUND]
    said = [out, err]
    if fault.plugin and not fault.words:
        said.append(ran(replace(fault, words=("plugins",)), run)[1])
    for record in faulty:
        said += [meter.detail for meter in record.meters]
        if record.failure is not None:
            said += [record.failure.message, record.failure.hint, *record.failure.log_tail]
    statuses: set[str] = set()
    for folder in run.results.glob("*/r1-faulty-*/"):
        for row in requests(folder):
            statuses.add(row.status)
            said.append(row.error or "")
    return Found(
        exit=code,
        launch=_state(faulty),
        others=_sound(run, sound),
        request=", ".join(sorted(statuses - {"ok", "cut"})),
        meter=_reason(faulty),
        checks=_checks(run) if fault.expected.check else frozenset(),
        said="\n".join(said),
        out=out,
        err=err,
        left=left,
    )


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _resumed(fault: Fault, run: Run, found: Found) -> Found:
    """Run again without the fault: what was finished stays, the rest is measured."""
    before = {record.id: record.started_ns for record in run.store.launches()}
    code, _, err = ran(replace(fault, beside=nothing, inside=()), run)
    after = {record.id: record.started_ns for record in run.store.launches()}
    kept = {name: after.get(name) for name in before} == before
    left = (
        ()
        if code == 0 and len(after) == 2 - fault.alone and kept
        else (f"not resumed: {code}, {err}",)
    )
    return replace(found, left=(*found.left, *left, *_left(run, code)))


def _records(run: Run) -> list[LaunchRecord]:
    return [*run.store.launches(), *run.store.failures()]


def _state(records: list[LaunchRecord]) -> str:
    """Return how a launch ended: whole, after how many attempts that failed by chance, or not."""
    whole = [record for record in records if record.failure is None]
    if whole:
        return ", retried: ".join(["ok", *(each.reason for each in whole[-1].retried)])
    failures = [record.failure for record in records if record.failure is not None]
    return f"{failures[-1].stage}: {failures[-1].reason}" if failures else "none"


def _sound(run: Run, records: list[LaunchRecord]) -> str:
    if _state(records) != "ok":
        return _state(records)
    statuses = {row.status for row in requests(run.store.folder(records[-1].id))}
    return "ok" if "ok" in statuses and statuses <= {"ok", "cut"} else f"requests {statuses}"


def _reason(records: list[LaunchRecord]) -> str:
    found = [meter.reason or "" for record in records for meter in record.meters]
    return ", ".join(filter(None, found))


def _checks(run: Run) -> frozenset[str]:
    cells = [cell for cell in analyze(run.results).cells if cell.stack == FAULTY]
    checks = {f"{it.name}: {it.verdict}" for cell in cells for it in cell.checks}
    absent = {f"{name}: {v.reason}" for cell in cells for name, v in cell.values.items()}
    return frozenset(checks | absent)


def _left(run: Run, code: int) -> Iterator[str]:
    """Yield what should have gone."""
    places = (run.folder, run.temporary)
    until(lambda: not any(map(using, places)), ENDED_S)
    for place in places:
        yield from (f"process {line}" for line in using(place))
    notes = run.folder / "cache" / "running"
    yield from (f"temporary {name}" for name in os.listdir(run.temporary))
    yield from (f"note {name}" for name in os.listdir(notes if notes.is_dir() else run.temporary))
    # of a run that was stopped the launch in flight is dropped by the next one
    if code in {0, 5} and (partial := run.results / "partial").is_dir():
        yield from (f"partial {name}" for name in os.listdir(partial))
    try:
        for record in _records(run):
            if record.port is not None:
                with lease("127.0.0.1", record.port):
                    pass
        if (run.results / "lock").exists():
            with run.store.writing():
                pass
    except InferometerError as error:
        yield str(error)
