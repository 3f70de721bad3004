"""``MANIFEST.sha256``: the hash of every file of a report, as ``sha256sum --check`` reads it.

A comment above each group of lines names the format that wrote them, so that a later report knows
which files of that format are not its own.
"""

from __future__ import annotations

import hashlib
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, NamedTuple

from inferometer.redact import plain

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

NAME = "MANIFEST.sha256"
COMMENT = "# "


class Line(NamedTuple):
    """What is told of one file; the format is empty where an earlier version did not tell it."""

    form: str
    sha256: str


def write(
    folder: Path, written: Mapping[Path, tuple[str, bytes]], whole: Collection[str] = ()
) -> None:
    """Write the manifest of the files just written, and of those of other formats before.

    ``written`` has the format and the content of each. A file of another format that an earlier
    manifest names keeps the hash it has there, so that a change of it shows. One of a format of
    ``whole``, which were rendered without an error, that is not written any more is removed: it
    is of an earlier report. What somebody changed since stays.

    Raises:
        StorageError: the folder cannot be written.
    """
    from inferometer.store import storage_errors, write_whole

    if not written:
        return
    now = {
        path.relative_to(folder).as_posix(): Line(_word(form), _hash(content))
        for path, (form, content) in written.items()
    }
    earlier, ended = _earlier(folder), {_word(form) for form in whole}
    with storage_errors(folder):
        for name, line in earlier.items():
            if line.form in ended and name not in now:
                path = folder / name
                if _hash(path.read_bytes()) == line.sha256:
                    path.unlink()
        kept = {name: line for name, line in earlier.items() if line.form not in ended}
        write_whole(folder / NAME, _text({**kept, **now}).encode())


def _text(found: Mapping[str, Line]) -> str:
    lines, form = list[str](), ""
    for name, line in sorted(found.items(), key=lambda each: (each[1].form, each[0])):
        if line.form != form:
            form = line.form
            lines.append(f"{COMMENT}{form}\n")
        lines.append(f"{line.sha256}  {name}\n")
    return "".join(lines)


def _word(form: str) -> str:
    return " ".join(plain(form).split())


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _earlier(folder: Path) -> dict[str, Line]:
    """Return what an earlier manifest tells of files that are still there."""
    try:
        lines = (folder / NAME).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return {}
    found, form = dict[str, Line](), ""
    for line in lines:
        digest, _, name = line.partition("  ")
        if line.startswith(COMMENT):
            form = line.removeprefix(COMMENT)
        elif _inside(folder, name):
            found[name] = Line(form, digest)
    return found


def _inside(folder: Path, name: str) -> bool:
    """Say whether a file of that name is there, and no link leads to it."""
    pure = PurePosixPath(name)
    if not pure.parts or pure.is_absolute() or ".." in pure.parts:
        return False
    way = [folder / part for part in (pure, *pure.parents) if part.parts]
    try:
        return not any(path.is_symlink() for path in way) and (folder / name).is_file()
    except (OSError, ValueError):  # a name that no file can have
        return False
