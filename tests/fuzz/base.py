"""What a target of fuzzing is, and where its files lie while a reader reads them."""

from __future__ import annotations

import atexit
import functools
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.fuzz.mutate import Form

CORPUS = Path(__file__).parent / "corpus"
"""Inputs that are kept: one folder a target."""
MEMORY = Path("/dev/shm")


class WrongError(AssertionError):
    """A reader returned what it must not; the message says what."""


class Target(NamedTuple):
    """One reader. ``feed`` gives it one input; what it raises beside ``allowed`` is a finding."""

    name: str
    feed: Callable[[bytes], None]
    allowed: tuple[type[Exception], ...]
    form: Form
    made: Callable[[], Sequence[bytes]] = tuple
    """Inputs to begin with, beside the kept ones: those that follow from the code."""
    most: int = 8192
    """Bytes of an input."""
    stream: bool = False
    """It is fed a million inputs, others 100,000."""

    def seeds(self) -> list[bytes]:
        """Return all inputs to begin with."""
        return [*self.made(), *self.kept()]

    def kept(self) -> list[bytes]:
        """Return the kept inputs, by name."""
        return [path.read_bytes() for path in sorted((CORPUS / self.name).glob("*"))]


def require(holds: bool, what: str) -> None:
    """Raise :class:`WrongError` unless it holds."""
    if not holds:
        raise WrongError(what)


@functools.cache
def place() -> Path:
    """Return a folder of this process, in memory where the machine has such files."""
    folder = Path(tempfile.mkdtemp(prefix="fuzz-", dir=MEMORY if MEMORY.is_dir() else None))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def put(name: str, data: bytes) -> Path:
    """Write a file and return its path."""
    path = place() / name
    try:
        path.write_bytes(data)
    except FileNotFoundError:
        path.parent.mkdir(parents=True)
        path.write_bytes(data)
    return path
