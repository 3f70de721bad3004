"""What the cache holds of engines' environments: how far each is, how large, and removing them.

The layout is that of :mod:`inferometer.environment`. A folder is ours to remove only if it has the
name that module gives, stands where it puts them and holds what it writes; its empty ``lock`` file
stays, because another process may be waiting for it.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import filelock

from inferometer.engine import Unsupported
from inferometer.environment import home_of, stem
from inferometer.errors import MachineError
from inferometer.installing import cache_errors

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from inferometer.engine import Engine, Platform

PROC = Path("/proc")
State = Literal["built", "half-built", "not built"]


@dataclass(frozen=True, slots=True)
class Kept:
    """One environment's folder, built or not; ``version`` is the engine's, empty when not known."""

    home: Path
    state: State
    version: str = ""
    python: Path | None = None
    """Interpreter of a built one."""


def read(home: Path) -> Kept:
    """Say how far the environment in ``home`` is, from its files alone: nothing is started."""
    with contextlib.suppress(OSError, ValueError, LookupError, TypeError, RecursionError):
        marker = json.loads((home / "complete.json").read_text(encoding="utf-8"))
        python = home / str(marker["venv"]) / "bin" / "python"
        if python.exists():
            return Kept(home, "built", str(marker.get("version", "")), python)
    return Kept(home, "half-built" if any(home.glob("venv-*")) else "not built")


def current(engine: Engine, platform: Platform, cache_root: Path) -> Kept:
    """Return the environment that ``engine`` has on ``platform``, built or not.

    Raises:
        Unsupported: the engine has no locked requirements there.
    """
    return read(home_of(engine.requirements(platform), platform, cache_root))


def homes(distributions: Iterable[str], cache_root: Path) -> list[Path]:
    """Return every folder that was made for one of ``distributions``, for whatever lock."""
    names = "|".join(re.escape(stem(name)) for name in distributions)
    ours = re.compile(rf"(?:{names})[0-9a-f]{{16}}")
    parent = cache_root.expanduser().absolute() / "environments"
    return [
        home
        for home in sorted(parent.glob("*"))
        if ours.fullmatch(home.name)
        and not home.is_symlink()
        and (home / "lock").is_file()
        and any(_content(home))
    ]


def distributions(engine: Engine, platforms: Iterable[Platform]) -> list[str]:
    """Return the names under which environments of ``engine`` may stand in the cache."""
    names = list(engine.distributions)
    for platform in platforms:
        with contextlib.suppress(Unsupported):
            names.append(engine.requirements(platform).distribution)
    return list(dict.fromkeys(names))


def size_bytes(folder: Path) -> int:
    """Return the disk space of ``folder`` in bytes, each file once however often it is linked."""
    total, seen = 0, set()
    for parent, _, files in os.walk(folder):
        for path in (parent, *(os.path.join(parent, file) for file in files)):
            with contextlib.suppress(OSError):  # it went meanwhile
                stat = os.lstat(path)
                if (stat.st_dev, stat.st_ino) not in seen:
                    seen.add((stat.st_dev, stat.st_ino))
                    total += stat.st_blocks * 512
    return total


def remove(home: Path, *, dry_run: bool = False) -> int:
    """Remove an environment and return the bytes it took; ``dry_run`` only looks.

    Raises:
        MachineError: it is being built, something runs from it, or it cannot be removed.
    """
    with cache_errors(MachineError, home), _alone(home):
        taken = size_bytes(home)
        if not dry_run:
            # From here on it is half-built for everybody, even if this is interrupted.
            (home / "complete.json").unlink(missing_ok=True)
            for path in _content(home):
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path)
                else:
                    path.unlink()
        return taken


@contextlib.contextmanager
def _alone(home: Path) -> Iterator[None]:
    """Hold ``home`` against builders; refuse if something uses it."""
    lock = filelock.FileLock(home / "lock")
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        raise MachineError(
            f"{home}: is being built or removed by another process",
            hint="Wait until it is done, then run this again.",
        ) from None
    try:
        if pids := sorted(users(home)):
            shown = ", ".join(map(str, pids)) if any(pids) else "not visible from here"
            raise MachineError(
                f"{home}: in use (process {shown})",
                hint="Wait for the run that uses it, or stop it; then run this again.",
            )
        yield
    finally:
        lock.release()


def users(home: Path) -> set[int]:
    """Return the processes that use an environment; 0 stands for one that cannot be seen.

    Runs hold ``used``; anything else is known by its command line or by the files it has mapped
    (engines rename their processes, and libraries stay mapped).
    """
    found = {pid for pid in _pids() if pid != os.getpid() and _mentions(pid, home)}
    with contextlib.suppress(FileNotFoundError), (home / "used").open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            found |= _holders(os.fstat(file.fileno()).st_ino) or {0}
    return found


def _pids() -> Iterator[int]:
    return (int(name) for name in os.listdir(PROC) if name.isdigit())


def _mentions(pid: int, home: Path) -> bool:
    places = {f"{home}/".encode(), f"{home.resolve()}/".encode()}
    for name in ("cmdline", "maps"):
        with contextlib.suppress(OSError):  # ended meanwhile, or another user's
            text = (PROC / str(pid) / name).read_bytes()
            if any(place in text for place in places):
                return True
    return False


def _holders(inode: int) -> set[int]:
    """Return who has locked a file (proc(5), locks: ``1: FLOCK ADVISORY READ pid dev:ino``)."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        lines = [line.split() for line in (PROC / "locks").read_text().splitlines()]
        return {
            int(line[4])
            for line in lines
            if line[1] == "FLOCK" and line[5].rpartition(":")[2] == str(inode)
        }
    return set()


def _content(home: Path) -> Iterator[Path]:
    """Yield what a removal takes; builders wait on ``lock``."""
    return (path for path in home.iterdir() if path.name != "lock")
