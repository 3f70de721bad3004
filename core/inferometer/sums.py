"""Hashes of what is stored: ``sums.json`` in each launch, and ``sums.jsonl``, a chain over all.

``sums.json`` has the size and SHA-256 of every other file of its launch; it is written with the
launch, wherever that is made. ``sums.jsonl`` stands in the results directory (and in each search)
and is only ever appended to, by the one process that may write there: a line for each launch's
``sums.json``, and one for each file beside the launches. Every line holds the hash of the line
before, so none can be changed, dropped or put between without changing all that follow.

A file's line is written before the file, so a process that is killed leaves at most the last line
ahead of the disk. A launch's is written behind it, for it may be made on another machine; what has
none is entered by the next run. Who can write here can also make a new chain: it finds accidents
and careless edits, and whoever has its last hash (``head``) from elsewhere finds the others.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from inferometer.ondisk import encode, is_temporary, sync, write_whole

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FOLDER = "sums.json"
CHAIN = "sums.jsonl"
GROWS = "events.jsonl"
"""It is appended to while a run goes on, so its line is of its beginning."""
KINDS = ("launches/", "failed/")
SINCE = 2
"""The first version of the results directory that has them."""


class FileSum(Struct, frozen=True):
    """One file of a launch: a value of ``sums.json``, by its name."""

    bytes: int
    sha256: str


class Line(Struct, frozen=True, kw_only=True):
    """One line of ``sums.jsonl``: what a file held from then on."""

    path: str
    """Inside the directory, with ``/``."""
    bytes: int
    sha256: str
    """Empty: the file is gone, and whoever wrote here next found it so."""
    previous: str
    """SHA-256 of the line before, without its end; empty in the first."""


def of_bytes(content: bytes) -> FileSum:
    """Return size and hash of ``content``."""
    return FileSum(len(content), hashlib.sha256(content).hexdigest())


def of_file(path: Path, size: int | None = None) -> FileSum | None:
    """Return size and hash of a file, or of its first ``size`` bytes; None when it is absent."""
    if not path.is_file():
        return None
    if size is not None:
        with path.open("rb") as file:
            return of_bytes(file.read(size))
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256")
        return FileSum(file.tell(), digest.hexdigest())


def of_folder(folder: Path) -> dict[str, FileSum]:
    """Return what ``sums.json`` holds of a launch's folder: every file but itself."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if name != FOLDER and not is_temporary(path.name) and (file := of_file(path)):
            found[name] = file
    return found


def seal(folder: Path) -> None:
    """Write the hashes of a launch that is complete."""
    write_whole(folder / FOLDER, encode(of_folder(folder)))


def decoded(line: bytes) -> Line | None:
    """Return a line of the chain; None where it cannot be read."""
    try:
        return msgspec.json.decode(line, type=Line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


class Chain:
    """The chain of one directory, held by the process that writes there."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._path = root / CHAIN
        self._last: dict[str, Line] = {}
        self._head = ""
        self._size = 0
        """Of the file, as far as it is known here."""
        self._ahead: Line | None = None
        """Of a file that is about to be written."""
        self._read()

    def _read(self) -> None:
        """Take up what is there, without a last line that has no end: its writer was killed."""
        if not self._path.is_file():
            return
        content = self._path.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        if len(whole) < len(content):
            os.truncate(self._path, len(whole))
            sync(self._path)
        self._size = len(whole)
        line = None
        for raw in whole.splitlines():
            self._head = hashlib.sha256(raw).hexdigest()
            line = decoded(raw)
            if line is not None:  # what is damaged stays as it is, for whoever verifies
                self._last[line.path] = line
        if line is not None and not line.path.startswith(KINDS):
            self._settle(line)

    def _settle(self, line: Line) -> None:
        """Say what a file holds whose line was written, and itself perhaps not any more."""
        found = of_file(self.root / line.path)
        if line.path != GROWS and (found or FileSum(0, "")) != FileSum(line.bytes, line.sha256):
            self._append(line.path, found or FileSum(0, ""))

    def knows(self, path: str) -> bool:
        """Say whether there is a line of a file that is not gone."""
        return path in self._last and self._last[path].sha256 != ""

    def enter(self, path: str, file: FileSum) -> None:
        """Say what a file holds from now on; nothing where that is known."""
        line = self._last.get(path)
        if line is None or (line.bytes, line.sha256) != (file.bytes, file.sha256):
            self._append(path, file)

    def enter_ahead(self, path: str, file: FileSum) -> None:
        """Say what a file is about to hold; :meth:`arrived` is called when it does."""
        self.enter(path, file)
        self._ahead = self._last[path]

    def arrived(self) -> None:
        """Say that the file entered ahead is there."""
        self._ahead = None

    def enter_file(self, path: str) -> None:
        """Say what a file holds that is there."""
        found = of_file(self.root / path)
        if found is not None:
            self.enter(path, found)

    def enter_launches(self) -> None:
        """Enter launches that are whole and have no line yet."""
        for path in self._sealed():
            if not self.knows(path):
                self.enter_file(path)

    def strike_removed(self) -> None:
        """Say which launches are gone, before they are made again."""
        there = set(self._sealed())
        gone = [p for p in self._last if p.startswith(KINDS) and self.knows(p) and p not in there]
        for path in gone:
            self._append(path, FileSum(0, ""))

    def _sealed(self) -> Iterator[str]:
        for kind in KINDS:
            for path in sorted(self.root.glob(f"{kind}*/{FOLDER}")):
                yield path.relative_to(self.root).as_posix()

    def _append(self, path: str, file: FileSum) -> None:
        if self._ahead is not None:  # it could not be written
            line, self._ahead = self._ahead, None
            self._settle(line)
        if self._path.is_file() and self._path.stat().st_size != self._size:
            self._read()  # Ctrl-C came between a line and what follows here
        line = Line(path=path, bytes=file.bytes, sha256=file.sha256, previous=self._head)
        raw = msgspec.json.encode(line)
        self._write(raw + b"\n")
        self._last[path], self._head = line, hashlib.sha256(raw).hexdigest()
        self._size += len(raw) + 1

    def _write(self, line: bytes) -> None:
        new = not self._path.exists()
        with self._path.open("ab", buffering=0) as file:
            size = file.tell()
            try:
                while line:
                    line = line[file.write(line) :]
                os.fsync(file.fileno())
            except OSError:
                with contextlib.suppress(OSError):
                    os.truncate(self._path, size)
                raise
        if new:
            sync(self.root)


def taken_up(root: Path) -> Chain:
    """Return the chain of a directory where this process begins to write.

    Launches that went are struck out, before they are made again; those without a line get one.
    """
    chain = Chain(root)
    chain.strike_removed()
    chain.enter_launches()
    return chain
