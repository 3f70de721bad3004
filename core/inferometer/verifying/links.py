"""The chain of hashes of a directory: whether it holds together, and files agree with it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from inferometer import sums

if TYPE_CHECKING:
    from pathlib import Path

    from inferometer.sums import FileSum, Line
    from inferometer.verifying.found import Look, What

AGAIN = "Run the same command again: it mends this."
RESTORE = "Restore it from a copy."


@dataclass(slots=True)
class Links:
    """The lines of one chain that can be read, by path."""

    lines: dict[str, list[Line]] = field(default_factory=dict)
    head: str = ""
    last: str = ""
    """The path of the last line."""

    def knows(self, path: str) -> bool:
        """Say whether there is a line of a file that is not gone."""
        return path in self.lines and self.lines[path][-1].sha256 != ""


def inside(root: Path, name: str) -> Path | None:
    """Return where a file of that name is; None where the name leads elsewhere, or a link does."""
    pure = PurePosixPath(name)
    if not pure.parts or pure.is_absolute() or ".." in pure.parts or "\0" in name:
        return None
    way = [root / part for part in (pure, *pure.parents) if part.parts]
    return None if any(path.is_symlink() for path in way) else root / name


def of(look: Look, root: Path, *, expected: bool) -> Links:
    """Read the chain of ``root``, and compare what stands beside the launches with it.

    Those of launches are compared where the launches are.
    """
    path, chain = root / sums.CHAIN, Links()
    if not path.is_file():
        if expected:
            look.find(path, "missing", "the hashes of everything here are gone", RESTORE)
        elif root == look.root and (root / "plan.json").is_file():
            look.notes.append("no hashes are kept here: it was begun before any were")
        return chain
    content = path.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    if len(whole) < len(content) and not look.running:
        look.find(path, "leftover", "its last line has no end: its writer was killed", AGAIN)
    for number, raw in enumerate(whole.split(b"\n")[:-1], 1):
        line = sums.decoded(raw)
        if line is None:
            look.find(path, "chain", f"line {number} cannot be read", RESTORE)
        else:
            if line.previous != chain.head:
                look.find(path, "chain", f"line {number} does not follow the one before", RESTORE)
            _tell_again(look, chain, line)
            chain.lines.setdefault(line.path, []).append(line)
            chain.last = line.path
        chain.head = hashlib.sha256(raw).hexdigest()
    for name in chain.lines:
        if not name.startswith(sums.KINDS):
            _beside(look, root, chain, name)
    return chain


def _tell_again(look: Look, chain: Links, line: Line) -> None:
    """Note that a launch was removed: whoever chooses among results chooses the verdict."""
    former = chain.lines.get(line.path)
    if former and line.path.startswith("launches") and former[-1].sha256:
        launch = line.path.split("/")[1]
        look.notes.append(f"launch {launch} was measured before, and removed from here")


def _beside(look: Look, root: Path, chain: Links, name: str) -> None:
    """Compare a file that stands beside the launches with its last line."""
    line, path = chain.lines[name][-1], inside(root, name)
    if path is None:
        text = f"a line names {name!r}, which leads out of here"
        look.find(root / sums.CHAIN, "chain", text, "Remove the link, or restore the file.")
        return
    recorded = sums.FileSum(line.bytes, line.sha256)
    if name == sums.GROWS:
        compare(look, path, recorded, sums.of_file(path, line.bytes), RESTORE)
        return
    there = sums.of_file(path) or sums.FileSum(0, "")
    former = [sums.FileSum(0, ""), *(sums.FileSum(it.bytes, it.sha256) for it in chain.lines[name])]
    if there != recorded and name == chain.last and there == former[-2]:
        if not look.running:
            text = "it was not written yet when a run was killed"
            look.find(path, "leftover", text, AGAIN)
    elif recorded.sha256 or there.sha256:
        compare(look, path, recorded, there if there.sha256 else None, RESTORE)


def compare(look: Look, path: Path, recorded: FileSum, there: FileSum | None, next_: str) -> None:
    """Write down how a file differs from what was recorded of it."""
    if there == recorded:
        look.right(recorded.bytes)
        return
    what: What = "changed"
    text = "its SHA-256 is not the recorded one"
    if there is None:
        what, text = "missing", "it is not there any more"
    elif there.bytes < recorded.bytes:
        what, text = "truncated", f"{there.bytes} of {recorded.bytes} bytes are left"
    elif there.bytes > recorded.bytes:
        text = f"it has {there.bytes} bytes, {recorded.bytes} were recorded"
    look.find(path, what, text, next_)
