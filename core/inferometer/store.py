"""The results directory: append-only, whole or absent.

Format history
    1   first version

Layout::

    RESULTS/
      study.toml            the study as it was read
      plan.json             the expanded plan, written before the first launch
      host.json             this machine (provenance)
      lock                  held by the process that writes
      events.jsonl          one Event a line: what runs said of themselves (journal_records)
      looks.jsonl           one Look a line, of a sequential study
      priors.jsonl          one Prior a line, where it names earlier studies
      imported/<id>.json    one Imported: what another tool measured
      configurations/<stack>-<model>/   files an engine is started with, made by its adapter
      launches/<id>/        one whole launch; renamed into place when everything in it is on disk
        launch.json         LaunchRecord
        requests.jsonl      one Request a line
        chunks.bin          CHUNK records (16 bytes each)
        readings.jsonl      one Reading a line
        conditions.jsonl    one Condition a line, where a meter tells the state of its devices
        probes.jsonl        one Probe a line (first round)
        scores.jsonl        one Score a line (first round, of engines that can tell)
        capacity.jsonl      one CapacitySearch a line, where capacity is searched
        capacity_requests.jsonl   the Requests of those searches, which no load point counts
        server.log          the engine's output
      failed/<id>-<k>/      the k-th failed attempt, same files as far as they got
      tuning/<stack>/<model>/   the search of a `tuned` stack; nothing in it is ever ranked
        trials.jsonl        one Trial a line, failed ones among them
        found.json          Found, once the search is over
        launches/, failed/  the trials' launches, as above
        earlier/<k>/        a search in which no trial succeeded, before it was made again
      partial/<id>/         the launch in flight; lost, and only it, if the process is killed

A launch is finished when ``launches/<id>/launch.json`` exists; it is analysed through ``tables``.
"""

from __future__ import annotations

import os
import secrets
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

import filelock
import msgspec

from inferometer import redact
from inferometer.capacity_records import CapacitySearch
from inferometer.comparison import Imported
from inferometer.errors import StorageError, UsageError
from inferometer.look_records import Look
from inferometer.plan import Plan
from inferometer.records import CHUNK, LaunchRecord, Prior, Probe, Reading, Request
from inferometer.tuning import Found, Trial

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

T = TypeVar("T")


class Store:
    """One results directory. Reading needs no lock; writing happens inside :meth:`writing`."""

    def __init__(self, root: Path) -> None:
        self.root = root

    # -- reading ----------------------------------------------------------------------------

    def plan(self) -> Plan:
        """Return the stored plan, or raise :class:`UsageError` when there is none."""
        return self._read("plan.json", Plan)

    def study_text(self) -> str:
        """Return the study file's text as it was stored."""
        try:
            return (self.root / "study.toml").read_text(encoding="utf-8")
        except OSError as error:
            raise self._absent("study.toml") from error

    def host(self) -> dict[str, object]:
        """Return what is known of the machine that measured."""
        return self._read("host.json", dict[str, object])

    def launches(self) -> list[LaunchRecord]:
        """Return every whole launch, in running order."""
        return self._records("launches")

    def failures(self) -> list[LaunchRecord]:
        """Return every failed attempt, in running order."""
        return self._records("failed")

    def folder(self, launch_id: str) -> Path:
        """Return the folder of a whole launch."""
        return self.root / "launches" / launch_id

    def finished(self, launch_id: str) -> bool:
        """Say whether this launch is whole."""
        return (self.folder(launch_id) / "launch.json").is_file()

    def whole_ids(self) -> set[str]:
        """Return the ids of all whole launches, by one look at their folder."""
        try:
            return set(os.listdir(self.root / "launches"))
        except OSError:
            return set()

    def whole(self, launch_id: str) -> LaunchRecord | None:
        """Return the record of a whole launch, else None."""
        path = self.folder(launch_id) / "launch.json"
        return decode(path, LaunchRecord) if path.is_file() else None

    def search(self, stack: str, model: str) -> Store:
        """Return where the trials of a search are, written and read like launches of rounds."""
        return Store(self.root / "tuning" / stack / model)

    def trials(self) -> list[Trial]:
        """Return the trials of this search."""
        return list(read_lines(self.root / "trials.jsonl", Trial))

    def found(self) -> Found | None:
        """Return how this search ended, or None."""
        path = self.root / "found.json"
        return decode(path, Found) if path.is_file() else None

    def looks(self) -> list[Look]:
        """Return what was decided after the rounds of a sequential study."""
        return self._lines("looks.jsonl", Look)

    def priors(self) -> list[Prior]:
        """Return what earlier studies said of the spread of launches when this one began."""
        return self._lines("priors.jsonl", Prior)

    def has_priors(self) -> bool:
        """Say whether earlier studies were asked, whatever they said."""
        return (self.root / "priors.jsonl").is_file()

    def imported(self) -> list[Imported]:
        """Return what other tools measured, by id."""
        paths = sorted((self.root / "imported").glob("*.json"))
        return [decode(path, Imported) for path in paths]

    def holds_only_imported(self) -> bool:
        """Say whether other tools' results are here and no plan of ours."""
        return not (self.root / "plan.json").is_file() and bool(self.imported())

    # -- writing ----------------------------------------------------------------------------

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Hold the directory's lock; drop what a killed run left half done.

        Raises:
            UsageError: another process is writing here.
            StorageError: the directory cannot be written.
        """
        with storage_errors(self.root):
            self.root.mkdir(parents=True, exist_ok=True)
            lock = filelock.FileLock(self.root / "lock", timeout=0)
            try:
                lock.acquire()
            except filelock.Timeout as error:
                raise UsageError(
                    f"{self.root}: another inferometer run is writing here",
                    hint="Wait for it, or give another directory with --results.",
                ) from error
        try:
            with storage_errors(self.root):
                for partial in (self.root / "partial", *self.root.glob("tuning/*/*/partial")):
                    shutil.rmtree(partial, ignore_errors=True)
            yield
        finally:
            lock.release()

    def begin(self, plan: Plan, study_text: str) -> None:
        """Write plan and study, or check that the stored plan is this one."""
        with storage_errors(self.root):
            if (self.root / "plan.json").is_file():
                stored = self.plan()
                if stored.sha256 != plan.sha256:
                    raise UsageError(
                        f"{self.root}: holds results of another plan "
                        f"({stored.sha256[:12]}, this one is {plan.sha256[:12]})",
                        hint="Give another directory with --results, or restore the study file.",
                    )
                return
            write_whole(self.root / "study.toml", study_text.encode())
            write_whole(self.root / "plan.json", encode(plan))

    def put_host(self, host: dict[str, object]) -> None:
        """Write the machine's description."""
        with storage_errors(self.root):
            write_whole(self.root / "host.json", encode(host))

    def put_trials(self, trials: Sequence[Trial]) -> None:
        """Write the trials of this search."""
        with storage_errors(self.root):
            lines = [msgspec.json.encode(trial) + b"\n" for trial in trials]
            write_whole(self.root / "trials.jsonl", b"".join(lines))

    def put_found(self, found: Found) -> None:
        """Write how this search ended."""
        with storage_errors(self.root):
            write_whole(self.root / "found.json", encode(found))

    def set_aside(self) -> None:
        """Move what a search left to ``earlier/<k>``, so that it can be made again."""
        with storage_errors(self.root):
            attempt = 1
            while (self.root / "earlier" / str(attempt)).exists():
                attempt += 1
            aside = self.root / "earlier" / str(attempt)
            aside.mkdir(parents=True)
            # found.json last: without it the rest would be an unfinished search
            for path in sorted(self.root.iterdir(), key=lambda path: path.name == "found.json"):
                if path.name != "earlier":
                    path.rename(aside / path.name)

    def put_looks(self, looks: Sequence[Look]) -> None:
        """Write the looks of a sequential study."""
        with storage_errors(self.root):
            lines = [msgspec.json.encode(look) + b"\n" for look in looks]
            write_whole(self.root / "looks.jsonl", b"".join(lines))

    def put_priors(self, priors: Sequence[Prior]) -> None:
        """Write what earlier studies say of the spread of launches."""
        with storage_errors(self.root):
            lines = [msgspec.json.encode(prior) + b"\n" for prior in priors]
            write_whole(self.root / "priors.jsonl", b"".join(lines))

    def put_imported(self, found: Imported) -> None:
        """Write what another tool measured; the same again takes its place."""
        folder = self.root / "imported"
        with storage_errors(self.root):
            folder.mkdir(exist_ok=True)
            write_whole(folder / f"{found.id}.json", encode(found))

    def open_launch(self, name: str) -> Path:
        """Return an empty folder for the launch in flight."""
        folder = self.root / "partial" / name
        with storage_errors(self.root):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
        return folder

    def close_launch(self, folder: Path, record: LaunchRecord) -> Path:
        """Make a launch whole: write its record, flush, rename; one that is whole already stays."""
        with storage_errors(self.root):
            if record.status == "ok" and self.finished(record.id):
                shutil.rmtree(folder)
                return self.folder(record.id)
            write_whole(folder / "launch.json", encode(record))
            redact.logs(folder)
            for file in folder.iterdir():
                if file.is_file():
                    sync(file)
            sync(folder)
            target = self._target(record)
            target.parent.mkdir(exist_ok=True)
            folder.rename(target)
            sync(target.parent)
        return target

    def _target(self, record: LaunchRecord) -> Path:
        if record.status == "ok":
            return self.folder(record.id)
        attempt = 1
        while (self.root / "failed" / f"{record.id}-{attempt}").exists():
            attempt += 1
        return self.root / "failed" / f"{record.id}-{attempt}"

    # -- inside ------------------------------------------------------------------------------

    def _records(self, kind: str) -> list[LaunchRecord]:
        paths = sorted((self.root / kind).glob("*/launch.json"))
        records = [decode(path, LaunchRecord) for path in paths]
        # Attempts of one launch may be of two nodes, whose monotonic clocks have nothing in common.
        return sorted(records, key=lambda r: (r.position, r.ended_wall_ns or 0, r.started_ns))

    def _lines(self, name: str, type_: type[T]) -> list[T]:
        try:
            return list(read_lines(self.root / name, type_))
        except msgspec.DecodeError as error:
            raise UsageError(
                f"{self.root / name}: not readable as {type_.__name__}: {error}",
                hint="The file was edited or damaged; restore it.",
            ) from error

    def _read(self, name: str, type_: type[T]) -> T:
        path = self.root / name
        if not path.is_file():
            raise self._absent(name)
        return decode(path, type_)

    def _absent(self, name: str) -> UsageError:
        return UsageError(
            f"{self.root}: no {name}, so this is not a results directory",
            hint="Give the directory that `inferometer run` printed.",
        )


@contextmanager
def storage_errors(root: Path) -> Iterator[None]:
    """Turn an OSError about ``root`` into a :class:`StorageError` that says what to do."""
    try:
        yield
    except OSError as error:
        name = error.filename or root
        raise StorageError(
            f"{name}: cannot write results: {error.strerror or error}",
            hint="Free space or fix permissions, then run the same command again: it resumes.",
        ) from error


def write_files(folder: Path, files: Mapping[str, str]) -> None:
    """Write an engine's configuration files, by name; the folder is made when there are any."""
    with storage_errors(folder):
        for name, text in files.items():
            folder.mkdir(parents=True, exist_ok=True)
            write_whole(folder / name, text.encode())


def append_lines(path: Path, rows: Iterable[object]) -> None:
    """Append structs as JSON lines and flush them to the operating system."""
    with storage_errors(path), path.open("ab") as file:
        file.writelines(redact.encoded(msgspec.json.encode(row)) + b"\n" for row in rows)


def append_chunks(path: Path, rows: Iterable[tuple[int, int, int, int]]) -> None:
    """Append ``(request, tokens, flags, t_ns)`` as fixed-width records."""
    with storage_errors(path), path.open("ab") as file:
        file.write(b"".join(CHUNK.pack(*row) for row in rows))


def read_lines(path: Path, type_: type[T]) -> Sequence[T]:
    """Return the rows of a JSON-lines file (none when the file is absent)."""
    if not path.is_file():
        return []
    return [msgspec.json.decode(line, type=type_) for line in path.read_bytes().splitlines()]


def requests(folder: Path) -> Sequence[Request]:
    """Return a launch's requests."""
    return read_lines(folder / "requests.jsonl", Request)


def readings(folder: Path) -> Sequence[Reading]:
    """Return a launch's meter readings."""
    return read_lines(folder / "readings.jsonl", Reading)


def probes(folder: Path) -> Sequence[Probe]:
    """Return a launch's parity probes."""
    return read_lines(folder / "probes.jsonl", Probe)


def capacities(folder: Path) -> Sequence[CapacitySearch]:
    """Return a launch's searches for capacity."""
    return read_lines(folder / "capacity.jsonl", CapacitySearch)


def encode(value: object) -> bytes:
    """Return readable JSON with a final newline."""
    return msgspec.json.format(redact.encoded(msgspec.json.encode(value)), indent=1) + b"\n"


def decode(path: Path, type_: type[T]) -> T:
    """Read one JSON file as ``type_``, or raise :class:`UsageError` naming it."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=type_)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UsageError(
            f"{path}: not readable as {getattr(type_, '__name__', type_)}: {error}",
            hint="The file was edited or damaged; restore it, or delete its folder to re-measure.",
        ) from error


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that it is either whole or absent, also after a power cut."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    sync(path.parent)


def sync(path: Path) -> None:
    """Flush a file or a directory to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
