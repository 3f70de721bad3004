"""What tells an engine's processes from all others, and what is noted of it while it runs.

Every process of an engine inherits a mark in its environment: which results directory, which
launch, and which process of ours owns it. Beside it a note in the cache of this machine says what
else is to be cleaned up; the supervisor removes it when nothing is left.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import UNSET, UnsetType

from inferometer.environment import cache_root
from inferometer.processes import start_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

VARIABLE = "INFEROMETER_LAUNCH"
QUIET = {"SPT_NOENV": "1"}
"""Has setproctitle(3), which vLLM's processes use, leave the environment readable."""


@dataclass(frozen=True, slots=True)
class Mark:
    """Of one launch. ``results`` is :func:`home`'s hash, ``start`` the owner's, in kernel ticks."""

    results: str
    launch: str
    owner: int
    start: int
    nonce: str
    home: str = field(default="", compare=False)
    """The directory, for people; not in the variable."""

    def __str__(self) -> str:
        """Return the variable's value."""
        return f"{self.results}/{self.launch}/{self.owner}-{self.start}/{self.nonce}"

    @property
    def owned(self) -> bool:
        """Say whether the process that started the engine lives."""
        return start_of(self.owner) == self.start

    @classmethod
    def read(cls, text: str) -> Mark | None:
        """Return the mark of a variable's value; None for anything else."""
        with contextlib.suppress(ValueError):
            results, launch, owner, nonce = text.split("/")
            pid, start = map(int, owner.split("-"))
            if results and launch and nonce.isalnum():
                return cls(results, launch, pid, start, nonce)
        return None


@dataclass(frozen=True, slots=True)
class Note:
    """What is noted of a launch: as much as its supervisor came to know."""

    path: Path
    mark: Mark
    results: str
    container: Mapping[str, list[str]] = field(default_factory=dict)
    folder: str = ""
    engine: tuple[int, int] | None = None
    """The engine's own process, which leads its session, and its start in kernel ticks."""
    shared: frozenset[tuple[str, int]] = frozenset()
    """Name and inode of its files in ``/dev/shm``."""
    before: frozenset[tuple[str, int]] | None = None
    """What was there before; None: not noted."""
    place: str = ""
    """Where it was written, as :func:`here` names it; empty: not noted."""


def here() -> str:
    """Return what names this machine since it was started, and the process namespace we are in.

    Elsewhere the numbers of processes mean others, and a container or cluster may share the cache.
    """
    with contextlib.suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    return ""


def home(root: Path) -> Path:
    """Return the results directory of ``root``, which may be that of a search in it."""
    root = root.resolve()
    return root.parents[2] if len(root.parts) > 3 and root.parts[-3] == "tuning" else root


def hashed(root: Path) -> str:
    """Return how a mark names the results directory of ``root``."""
    return hashlib.sha256(str(home(root)).encode()).hexdigest()[:16]


def fresh(root: Path, launch: str) -> Mark:
    """Return the mark of a launch that this process is about to start."""
    owner = os.getpid()
    nonce, place = secrets.token_hex(8), str(home(root))
    return Mark(hashed(root), launch, owner, start_of(owner) or 0, nonce, place)


def variables(mark: Mark | None) -> dict[str, str]:
    """Return what an engine's environment carries besides its own."""
    return {} if mark is None else {**QUIET, VARIABLE: str(mark)}


def folder() -> Path:
    """Return where notes are."""
    return cache_root() / "running"


def begin(mark: Mark, container: Mapping[str, list[str]]) -> Path | None:
    """Write a launch's note; None where the cache cannot be written, and there is none then."""
    path = folder() / f"{mark.nonce}.jsonl"
    line = {"mark": str(mark), "results": mark.home, "place": here(), "container": container}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(msgspec.json.encode(line) + b"\n")
    except OSError:
        return None
    return path


def notes() -> Iterator[Note]:
    """Yield the notes of all launches on this machine; what is no note is passed over.

    So are notes of elsewhere: whether their owners live cannot be seen from here.
    """
    place = here()
    for path in sorted(folder().glob("*.jsonl")):
        if (note := read(path)) is not None and note.place in {"", place}:
            yield note


def read(path: Path) -> Note | None:
    """Return one note, None when it is none (any more)."""
    known: dict[str, Any] = {}
    shared: set[tuple[str, int]] = set()
    try:
        for line in path.read_bytes().splitlines():
            said = msgspec.structs.asdict(msgspec.json.decode(line, type=_Line))
            given = {name: value for name, value in said.items() if value is not UNSET}
            shared |= set(given.pop("shared", ()))
            known |= given
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        if not known:
            return None  # else the last line was cut off: what came before it holds
    mark = Mark.read(known.pop("mark", ""))
    if mark is None:
        return None
    home_ = known.pop("results", "")
    return Note(path=path, mark=mark, results=home_, shared=frozenset(shared), **known)


class _Line(msgspec.Struct, frozen=True):
    mark: str | UnsetType = UNSET
    results: str | UnsetType = UNSET
    place: str | UnsetType = UNSET
    container: dict[str, list[str]] | UnsetType = UNSET
    folder: str | UnsetType = UNSET
    engine: tuple[int, int] | UnsetType = UNSET
    shared: tuple[tuple[str, int], ...] | UnsetType = UNSET
    before: frozenset[tuple[str, int]] | UnsetType = UNSET
