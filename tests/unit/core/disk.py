"""A disk that stops at a chosen operation: the process is killed there, or the disk says no.

Whatever changes files through :mod:`os` or :func:`open` is numbered from 1. After the operation at
which the process dies none does anything, as if nobody were there any more. ``lose`` then takes
back what a power cut may: contents that were not synced, and names whose directory was not.
"""

from __future__ import annotations

import errno
import io
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, Literal, Self

import pytest

Fate = Literal["killed", "torn", "refused", "full"]
"""``torn``: killed with half of the bytes written. ``refused``: one operation ends in EIO.
``full``: from there on none has space, until the process is over."""


class Killed(BaseException):
    """Nothing may catch it."""


class Disk:
    """Counts what is done below ``root``, and ends it at operation ``at`` (0: never)."""

    def __init__(
        self, root: Path, patch: pytest.MonkeyPatch, at: int = 0, fate: Fate = "killed"
    ) -> None:
        self.root, self.at, self.fate, self.count, self.dead = str(root), at, fate, 0, False
        self.said: list[str] = []
        self._durable: dict[int, bytes] = {}
        """By inode: what a file holds that was written and not synced since."""
        self._names: list[tuple[str, Callable[[], None]]] = []
        """By directory: how a change of names is taken back that was not synced."""
        self._os_open, self._io_open = os.open, io.open
        self._fsync, self._unlink = os.fsync, os.unlink
        for name in ("rename", "replace", "mkdir", "unlink", "rmdir", "truncate"):
            patch.setattr(os, name, self._named(name, getattr(os, name)))
        patch.setattr(os, "open", self._open)
        patch.setattr(os, "fsync", self._sync)
        patch.setattr(io, "open", self._file)

    # -- counting -----------------------------------------------------------------------------

    def step(self, what: str, path: object) -> bool:
        """Count an operation; return whether half of it is to be done before the end."""
        if self.dead:
            raise Killed
        self.count += 1
        self.said.append(f"{what} {path}")
        full = self.fate == "full" and 0 < self.at <= self.count
        if full and what in {"unlink", "rmdir", "truncate", "fsync"}:  # these need no space
            return False
        if full or (self.fate == "refused" and self.count == self.at):
            number = errno.ENOSPC if full else errno.EIO
            raise OSError(number, os.strerror(number), str(path))
        if self.count != self.at:
            return False
        self.dead = True
        if self.fate == "torn" and what == "write":
            return True
        raise Killed

    def _ours(self, path: Any) -> bool:
        return isinstance(path, str | os.PathLike) and os.fspath(path).startswith(self.root)

    def _named(self, name: str, real: Any) -> Any:
        def done(path: Any, *args: Any, **more: Any) -> Any:
            where = path
            if more.get("dir_fd") is not None:  # rmtree goes by descriptors
                where = os.path.join(os.readlink(f"/proc/self/fd/{more['dir_fd']}"), path)
            if not self._ours(where):
                return real(path, *args, **more)
            self.step(name, where)
            undo = self._undo(name, os.fspath(where), args)
            result = real(path, *args, **more)
            if undo is not None:
                target = args[0] if name in {"rename", "replace"} else where
                self._names.append((os.path.dirname(os.fspath(target)), undo))
            return result

        return done

    def _undo(self, name: str, path: str, args: Any) -> Callable[[], None] | None:
        if name == "mkdir":
            return lambda: shutil.rmtree(path, ignore_errors=True)
        if name not in {"rename", "replace"}:
            return None
        target = os.fspath(args[0])
        former = Path(target).read_bytes() if os.path.isfile(target) else None

        def undo() -> None:
            if os.path.exists(target):
                os.rename(target, path)
                if former is not None:
                    Path(target).write_bytes(former)

        return undo

    def _open(self, path: Any, flags: int, *args: Any, **more: Any) -> int:
        if flags & (os.O_WRONLY | os.O_RDWR) and self._ours(path):
            self.step("open", path)
        return self._os_open(path, flags, *args, **more)

    def _file(self, path: Any, mode: str = "r", *args: Any, **more: Any) -> Any:
        if mode[0] == "r" or not self._ours(path):
            return self._io_open(path, mode, *args, **more)
        self.step("open", path)
        new = not os.path.exists(path)
        durable = b"" if new or mode[0] == "w" else Path(path).read_bytes()
        raw = self._io_open(path, mode, buffering=0)
        self._durable.setdefault(os.fstat(raw.fileno()).st_ino, durable)
        if new:
            name = os.fspath(path)
            self._names.append((os.path.dirname(name), lambda: Path(name).unlink(missing_ok=True)))
        return _Written(self, raw)

    def _sync(self, descriptor: int) -> None:
        path = os.readlink(f"/proc/self/fd/{descriptor}")
        if not self._ours(path):
            return self._fsync(descriptor)
        self.step("fsync", path)
        self._durable.pop(os.fstat(descriptor).st_ino, None)
        self._names = [(where, undo) for where, undo in self._names if where != path]
        return None

    # -- what a power cut takes -----------------------------------------------------------------

    def lose(self) -> None:
        """Take back what was not synced. To be called when nothing is patched any more."""
        for path in Path(self.root).rglob("*"):
            durable = self._durable.get(path.stat().st_ino) if path.is_file() else None
            if durable is not None:
                path.write_bytes(durable)
        for _, undo in reversed(self._names):
            undo()


class _Written:
    """A file that is written without a buffer, so that every write is an operation."""

    def __init__(self, disk: Disk, raw: IO[Any]) -> None:
        self._disk, self._raw = disk, raw

    def write(self, content: bytes) -> int:
        if self._disk.step("write", self._raw.name):
            self._raw.write(content[: len(content) // 2])
            raise Killed
        return int(self._raw.write(content))

    def writelines(self, lines: Any) -> None:
        self.write(b"".join(lines))

    def flush(self) -> None:
        pass

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._raw.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._raw, name)
