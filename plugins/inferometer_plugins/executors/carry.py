"""Launches carried through a store that every node reaches: anything that fsspec opens.

``STORE/<order>/`` holds one attempt at one launch. Each has a name of its own, so nothing is ever
written twice; ``launch.json`` comes last and says that it is whole, ``taken`` that a run has it.
"""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from inferometer.errors import MachineError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

LAST = "launch.json"
TAKEN = "taken"


@contextmanager
def _told(what: str) -> Iterator[None]:
    """Turn what a file system raises into an error; an address may hold a key, so it is not said.

    Raises:
        MachineError: names what was done.
    """
    try:
        yield
    except (MachineError, UsageError):
        raise
    except Exception as error:
        raise MachineError(
            f"the store cannot be {what}: {type(error).__name__}",
            hint="See that --executor-option store=... can be reached from every node.",
        ) from error


def opened(store: str) -> tuple[Any, str]:
    """Return the file system of a store, and the path in it.

    Raises:
        MachineError: fsspec, or what it needs for this kind of store, is not installed.
    """
    try:
        fsspec: Any = import_module("fsspec")
        file_system, path = fsspec.core.url_to_fs(store)
    except (ImportError, ValueError) as error:
        raise MachineError(
            f"store: {error}", hint="Install inferometer[ray] and what its kind of store needs."
        ) from error
    return file_system, str(path)


def away(folder: Path, store: str, order: str) -> None:
    """Carry a launch to the store, its record last, and remove it here."""
    file_system, base = opened(store)
    place = f"{base}/{order}"
    with _told("written"):
        file_system.makedirs(place, exist_ok=True)
        files = sorted(path for path in folder.iterdir() if path.is_file())
        for path in sorted(files, key=lambda path: path.name == LAST):
            file_system.put_file(str(path), f"{place}/{path.name}")
    shutil.rmtree(folder)


def home(store: str, order: str, into: Path) -> Path:
    """Bring a launch from the store into a new folder below ``into``; return it."""
    file_system, base = opened(store)
    folder = into / order
    with _told("read"):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for name in names(file_system, f"{base}/{order}"):
            if name != TAKEN:
                file_system.get_file(f"{base}/{order}/{name}", str(folder / name))
    return folder


def taken(store: str, order: str) -> None:
    """Write down that a launch was brought home."""
    file_system, base = opened(store)
    with _told("written"):
        file_system.pipe_file(f"{base}/{order}/{TAKEN}", b"")


def left(store: str) -> list[str]:
    """Return the orders whose launches are whole and were not brought home."""
    file_system, base = opened(store)
    with _told("read"):
        if not file_system.exists(base):
            return []
        found = []
        for order in names(file_system, base):
            files = names(file_system, f"{base}/{order}")
            if LAST in files and TAKEN not in files:
                found.append(order)
        return found


def names(file_system: Any, place: str) -> list[str]:
    """Return the names of what lies in a folder of the store; none of them leads out of it."""
    file_system.invalidate_cache()
    found = {PurePosixPath(str(path)).name for path in file_system.ls(place, detail=False)}
    return sorted(name for name in found if name.strip(".") and "\0" not in name)
