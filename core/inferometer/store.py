"""The results directory: append-only, whole or absent.

Format history
    1   first version; its records gained fields, each with a default that says "not recorded"
    2   ``plan.json`` says the version; ``sums.json`` and ``sums.jsonl`` hold hashes of all files

Layout::

    RESULTS/
      study.toml            the study as it was read
      plan.json             the expanded plan, written before the first launch
      host.json             this machine (provenance)
      lock                  held by the process that writes
      sums.jsonl            one Line a line: a chain of hashes over everything here (sums)
      events.jsonl          one Event a line: what runs said of themselves (journal_records)
      looks.jsonl           one Look a line, of a sequential study
      priors.jsonl          one Prior a line, where it names earlier studies
      imported/<id>.json    one Imported: what another tool measured
      environments/<sha256>.txt         requirements of an environment, as it was installed
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
        sums.json           FileSum of each other file by its name
      failed/<id>-<k>/      the k-th failed attempt, same files as far as they got
      tuning/<stack>/<model>/   the search of a `tuned` stack; nothing in it is ever ranked
        trials.jsonl        one Trial a line, failed ones among them
        found.json          Found, once the search is over
        launches/, failed/, sums.jsonl   as above, of the trials
        earlier/<k>/        a search in which no trial succeeded, before it was made again
      partial/<id>/         the launch in flight; lost, and only it, if the process is killed

A launch is finished when ``launches/<id>/launch.json`` exists. A directory of a newer format is
refused by whoever reads it.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

import filelock

from inferometer import redact, sums
from inferometer.comparison import Imported
from inferometer.errors import UsageError
from inferometer.look_records import Look
from inferometer.ondisk import (
    append_chunks,
    append_lines,
    capacities,
    decode,
    encode,
    encode_lines,
    is_temporary,
    launch_in,
    make_folder,
    probes,
    read_lines,
    read_text,
    readings,
    requests,
    storage_errors,
    sync,
    write_files,
    write_whole,
)
from inferometer.plan import Plan
from inferometer.records import LaunchRecord, Prior
from inferometer.tuning import Found, Trial

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

T = TypeVar("T")
__all__ = [  # whatever lies on disk is written and read through this module
    "Store",
    "append_chunks",
    "append_lines",
    "capacities",
    "decode",
    "encode",
    "probes",
    "read_lines",
    "readings",
    "requests",
    "storage_errors",
    "sync",
    "write_files",
    "write_whole",
]


class Store:
    """One results directory. Reading needs no lock; writing happens inside :meth:`writing`."""

    def __init__(self, root: Path, *, is_search: bool = False) -> None:
        self.root = root
        self._chain: sums.Chain | None = None
        self._is_search = is_search
        """Then only one process ever writes here, and needs no lock."""

    # -- reading ----------------------------------------------------------------------------

    def plan(self) -> Plan:
        """Return the stored plan, or raise :class:`UsageError` when there is none."""
        return self._read("plan.json", Plan)

    def study_text(self) -> str:
        """Return the study file's text as it was stored."""
        return read_text(self._there("study.toml"))

    def host(self) -> dict[str, object]:
        """Return what is known of the machine that measured."""
        return self._read("host.json", dict[str, object])

    def launches(self) -> list[LaunchRecord]:
        """Return every whole launch, in running order."""
        return self._records("launches")

    def each(self, within: str = "") -> Iterator[LaunchRecord]:
        """Yield whole launches one by one, by id: a long study has thousands.

        ``within`` is a part of their ids, such as ``r1-`` or ``-STACK-MODEL-``.
        """
        return map(launch_in, self._folders("launches", within))

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
        return Store(self.root / "tuning" / stack / model, is_search=True)

    def trials(self) -> list[Trial]:
        """Return the trials of this search."""
        return list(read_lines(self.root / "trials.jsonl", Trial))

    def found(self) -> Found | None:
        """Return how this search ended, or None."""
        path = self.root / "found.json"
        return decode(path, Found) if path.is_file() else None

    def looks(self) -> list[Look]:
        """Return what was decided after the rounds of a sequential study."""
        return list(read_lines(self.root / "looks.jsonl", Look))

    def priors(self) -> list[Prior]:
        """Return what earlier studies said of the spread of launches when this one began."""
        return list(read_lines(self.root / "priors.jsonl", Prior))

    def has_priors(self) -> bool:
        """Say whether earlier studies were asked, whatever they said."""
        return (self.root / "priors.jsonl").is_file()

    def imported(self) -> list[Imported]:
        """Return what other tools measured, by id."""
        return [decode(path, Imported) for path in sorted(self.root.glob("imported/*.json"))]

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
            make_folder(self.root)
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
                self._drop_leftovers()
                self._chain = sums.taken_up(self.root)
            yield
        finally:
            try:
                with contextlib.suppress(OSError):  # `inferometer verify` tells what has no hash
                    self._enter_rest()
            finally:
                self._chain = None
                lock.release()

    def _drop_leftovers(self) -> None:
        for partial in (self.root / "partial", *self.root.glob("tuning/*/*/partial")):
            shutil.rmtree(partial, ignore_errors=True)
        tuning = ("tuning/*/*/", "tuning/*/*/environments/")
        for pattern in ("", "imported/", "environments/", "configurations/*/", *tuning):
            for path in self.root.glob(f"{pattern}.*.tmp"):
                if is_temporary(path.name):
                    path.unlink(missing_ok=True)

    def _enter_rest(self) -> None:
        """Enter what other processes wrote: launches of nodes, what runs said of themselves."""
        if self._chain is not None:
            self._chain.enter_launches()
            if (self.root / sums.GROWS).is_file():
                sync(self.root / sums.GROWS)
            made = [*self.root.glob("configurations/*/*"), *self.root.glob("environments/*")]
            for path in [*sorted(made), self.root / sums.GROWS]:
                self._chain.enter_file(path.relative_to(self.root).as_posix())

    def _chained(self) -> sums.Chain | None:
        """Return the chain of hashes where this process may write it."""
        if self._chain is None and self._is_search:
            self._chain = sums.taken_up(self.root)
        return self._chain

    def _put(self, path: Path, content: bytes) -> None:
        """Write a file beside the launches, whole or not at all, with its hash."""
        with storage_errors(self.root):
            make_folder(path.parent)
            chain = self._chained()
            if chain is not None:
                name = path.relative_to(self.root).as_posix()
                chain.enter_ahead(name, sums.of_bytes(content))
            write_whole(path, content)
            if chain is not None:
                chain.arrived()

    def begin(self, plan: Plan, study_text: str) -> None:
        """Write plan and study, or check that the stored plan, or that of launches, is this one."""
        with storage_errors(self.root):
            stored = (self.root / "plan.json").is_file()
            made = [self.plan().sha256] if stored else [it.plan_sha256 for it in self.launches()]
            if others := [it for it in made if it != plan.sha256]:
                raise UsageError(
                    f"{self.root}: holds results of another plan "
                    f"({others[0][:12]}, this one is {plan.sha256[:12]})",
                    hint="Give another directory with --results, or restore the study file.",
                )
            if stored:
                for name in ("study.toml", "plan.json"):  # of format 1, they have no hash yet
                    if self._chain is not None and not self._chain.knows(name):
                        self._chain.enter_file(name)
                return
        self._put(self.root / "study.toml", study_text.encode())
        self._put(self.root / "plan.json", encode(plan))

    def put_host(self, host: dict[str, object]) -> None:
        """Write the machine's description."""
        self._put(self.root / "host.json", encode(host))

    def put_trials(self, trials: Sequence[Trial]) -> None:
        """Write the trials of this search."""
        self._put(self.root / "trials.jsonl", encode_lines(trials))

    def put_found(self, found: Found) -> None:
        """Write how this search ended."""
        self._put(self.root / "found.json", encode(found))

    def set_aside(self) -> None:
        """Move what a search left to ``earlier/<k>``, so that it can be made again."""
        with storage_errors(self.root):
            attempt = 1
            # one without found.json was not moved to its end, because the run was killed
            while (self.root / "earlier" / str(attempt) / "found.json").exists():
                attempt += 1
            aside = self.root / "earlier" / str(attempt)
            make_folder(aside)
            # found.json last: without it the rest would be an unfinished search
            moved = [path for path in sorted(self.root.iterdir()) if path.name != "earlier"]
            for path in sorted(moved, key=lambda path: path.name == "found.json"):
                if path.name == "found.json":
                    sync(aside)
                path.rename(aside / path.name)
            sync(aside)
            sync(self.root)
        self._chain = None

    def put_looks(self, looks: Sequence[Look]) -> None:
        """Write the looks of a sequential study."""
        self._put(self.root / "looks.jsonl", encode_lines(looks))

    def put_priors(self, priors: Sequence[Prior]) -> None:
        """Write what earlier studies say of the spread of launches."""
        self._put(self.root / "priors.jsonl", encode_lines(priors))

    def put_imported(self, found: Imported) -> None:
        """Write what another tool measured; the same again takes its place."""
        self._put(self.root / "imported" / f"{found.id}.json", encode(found))

    def put_files(self, folder: Path, files: Mapping[str, str]) -> None:
        """Write an engine's configuration files, by name, into a folder of this directory."""
        for name, text in files.items():
            self._put(folder / name, text.encode())

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
            sums.seal(folder)
            for file in folder.iterdir():
                if file.is_file():
                    sync(file)
            sync(folder)
            target = self._target(record)
            make_folder(target.parent)
            folder.rename(target)
            sync(target.parent)
            chain = self._chained()
            if chain is not None:
                chain.enter_file((target / sums.FOLDER).relative_to(self.root).as_posix())
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
        # Attempts of one launch may be of two nodes, whose monotonic clocks have nothing in common.
        return sorted(
            map(launch_in, self._folders(kind)),
            key=lambda r: (r.position, r.ended_wall_ns or 0, r.started_ns),
        )

    def _folders(self, kind: str, within: str = "") -> list[Path]:
        found = (self.root / kind).glob("*/launch.json")
        return sorted(path.parent for path in found if within in path.parent.name)

    def _read(self, name: str, type_: type[T]) -> T:
        return decode(self._there(name), type_)

    def _there(self, name: str) -> Path:
        path = self.root / name
        if not path.is_file():
            raise UsageError(
                f"{self.root}: no {name}, so this is not a results directory",
                hint="Give the directory that `inferometer run` printed.",
            )
        return path
