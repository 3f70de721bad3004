"""Targets that read a results directory: one file of it at a time is changed."""

from __future__ import annotations

import contextlib
import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import polars as pl
from tests.fuzz.base import Target, place, put, require

from inferometer import chunklog, inventory, journal_records, standing, startlines, tables
from inferometer.capacity_records import CapacitySearch
from inferometer.cli import manifest
from inferometer.errors import UsageError
from inferometer.records import LaunchRecord, Probe, Reading, Request, Score
from inferometer.store import Store
from inferometer.testing import results

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

USAGE = (UsageError,)
NOW_NS = 1_767_225_700_000_000_000


@functools.cache
def _store() -> Store:
    """Return a small results directory of two launches."""
    fixture = results.Fixture(rates={"a": 8.0, "b": 4.0}, rounds=1, window_s=2, concurrency=1)
    return results.write_results(place() / "r", fixture)


@functools.cache
def _first() -> LaunchRecord:
    return _store().launches()[0]


@functools.cache
def _whole(name: str) -> bytes:
    return (_store().root / name).read_bytes()


def _own(name: str) -> bytes:
    return _whole(f"launches/{_first().id}/{name}")


def _seed(read: Callable[[str], bytes], name: str) -> Callable[[], Sequence[bytes]]:
    return lambda: [read(name)]


@functools.cache
def _requests() -> pl.DataFrame:
    return tables._frame(_store().folder(_first().id), "requests", Request)


def in_folder(name: str, read: Callable[[Path], Any]) -> Callable[[bytes], None]:
    """Return a feed for a reader of a folder, in which only ``name`` lies."""
    folder = f"of-{Path(name).name}"

    def feed(data: bytes) -> None:
        put(f"{folder}/{name}", data)
        read(place() / folder)

    return feed


def _plan(root: Path) -> None:
    msgspec.json.encode(Store(root).plan())


def _records() -> Sequence[bytes]:
    """Return a launch's record with everything that shows how it was started."""
    record = msgspec.structs.replace(
        _first(),
        port=8123,
        command=["/venv/bin/python", "-m", "engine", "--model=/models/m", "--port", "8123"],
        environment_variables={"A": "1", "API_KEY": "[hidden]"},
        inherited_variables={"CUDA_VISIBLE_DEVICES": "0", "LD_LIBRARY_PATH": "/lib"},
        environment={"kind": "simulated", "python": "/venv/bin/python"},
        model={**_first().model, "path": "/models/m"},
    )
    return [msgspec.json.encode(record)]


def _of_launch(data: bytes) -> None:
    """Read a launch's record as the analysis does, and as the report shows its command."""
    put(f"one/launches/{_first().id}/launch.json", data)
    store = Store(place() / "one")
    if not (store.root / "plan.json").exists():
        (store.root / "plan.json").write_bytes(_whole("plan.json"))
    found = tables.scan(store)
    require(found.launches.height == 1, "a launch that was left out")
    startlines.starts([store])


def _rows(type_: type[msgspec.Struct]) -> Callable[[Path], Any]:
    name = {Request: "requests", Reading: "readings"}.get(type_, "rows")
    return lambda folder: tables._frame(folder, name, type_)


def _chunks(folder: Path) -> None:
    counted = chunklog.count(folder, _requests(), tables.edges(_first()))
    require(counted.schema == chunklog.COUNTS, "another schema")
    chunklog.times(folder, [0, 1], 0, 1 << 40)


def _with_requests(folder: Path) -> None:
    """Read requests, and add up a log of events of such requests."""
    frame = tables._frame(folder, "requests", Request)
    log = folder / "chunks.bin"
    if not log.exists():
        log.write_bytes(_own("chunks.bin"))
    chunklog.count(folder, frame, tables.edges(_first()))


@functools.cache
def _known() -> standing.Known:
    return standing.known(_store())


def _events(root: Path) -> None:
    for said in (journal_records.read(root), journal_records.before(root)):
        standing.standing(_store(), _known(), said, NOW_NS)


def _lines(root: Path) -> None:
    """Read one file under the names of all those that hold rows and are small."""
    store, folder = Store(root), root
    readers: list[Callable[[], Any]] = [store.looks, store.priors, store.trials]
    readers += [functools.partial(tables.read_rows, folder, "looks", it) for it in (Probe, Score)]
    readers.append(functools.partial(tables.read_rows, folder, "looks", CapacitySearch))
    for read in readers:
        with contextlib.suppress(UsageError):
            read()


def _found(root: Path) -> None:
    found = Store(root).found()
    msgspec.json.encode(found)


def _imported(root: Path) -> None:
    Store(root).imported()


def _host(root: Path) -> None:
    Store(root).host()


def _text(root: Path) -> None:
    Store(root).study_text()


def _manifest(folder: Path) -> None:
    manifest._earlier(folder)


TARGETS = (
    Target("plan", in_folder("plan.json", _plan), USAGE, "json", _seed(_whole, "plan.json")),
    Target("launch", _of_launch, USAGE, "json", _records),
    Target(
        "requests",
        in_folder("requests.jsonl", _with_requests),
        USAGE,
        "lines",
        _seed(_own, "requests.jsonl"),
    ),
    Target(
        "readings",
        in_folder("readings.jsonl", _rows(Reading)),
        USAGE,
        "lines",
        _seed(_own, "readings.jsonl"),
    ),
    Target("chunks", in_folder("chunks.bin", _chunks), USAGE, "bytes", _seed(_own, "chunks.bin")),
    Target("events", in_folder("events.jsonl", _events), USAGE, "lines"),
    Target("rows", in_folder("looks.jsonl", _lines), USAGE, "lines"),
    Target("found", in_folder("found.json", _found), USAGE, "json"),
    Target("imported", in_folder("imported/x.json", _imported), USAGE, "json"),
    Target("host", in_folder("host.json", _host), USAGE, "json", _seed(_whole, "host.json")),
    Target(
        "stored-study", in_folder("study.toml", _text), USAGE, "text", _seed(_whole, "study.toml")
    ),
    Target("manifest", in_folder("MANIFEST.sha256", _manifest), (), "text"),
    Target("environment-marker", in_folder("complete.json", inventory.read), (), "json"),
)
