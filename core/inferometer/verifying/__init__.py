"""Whether a results directory is what was written: hashes, truncation, edits, mixing, leftovers.

Pure reading: it needs no lock, works on a directory that cannot be written, and while a run goes on
(then what that run is about to finish is no finding).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from inferometer import standing, sums
from inferometer.errors import InferometerError, UsageError
from inferometer.ondisk import decode
from inferometer.plan import Plan
from inferometer.store import Store
from inferometer.verifying import content, layout, links
from inferometer.verifying.found import Finding, Look, Verified

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Finding", "Verified", "verify"]

SIGNS = ("plan.json", "study.toml", "launches", sums.CHAIN, "imported")
"""One of these is in every results directory, however damaged."""
LOOKS = 5
"""While a run goes on, what was read first may be of before, and what was read last of after."""


def verify(root: Path) -> Verified:
    """Return what is wrong in a results directory, and what cannot be told.

    Raises:
        UsageError: it is no results directory, or a newer Inferometer made it.
    """
    if not any((root / name).exists() for name in SIGNS):
        raise UsageError(
            f"{root}: none of {', '.join(SIGNS)}, so this is not a results directory",
            hint="Give the directory that `inferometer run` printed.",
        )
    for again in reversed(range(LOOKS)):
        before = _size(root / sums.CHAIN)
        try:
            found = _look(root)
        except OSError as error:  # one that a run has just moved, unless it stays so
            if isinstance(error, FileNotFoundError) and again:
                continue
            raise UsageError(
                f"{error.filename or root}: cannot be read: {error.strerror or error}",
                hint="Give yourself permission to read it, and look again.",
            ) from error
        if not found.findings or _size(root / sums.CHAIN) == before:
            break
    return found


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return -1


def _look(root: Path) -> Verified:
    running, unsure = _running(root)
    look = Look(root=root, running=running or bool(unsure))
    if unsure:
        look.notes.append(
            f"whether a run goes on cannot be told here, so none is ruled out: {unsure}"
        )
    plan = _plan(look)
    schema = plan.schema if plan else 1
    chain = links.of(look, root, expected=schema >= sums.SINCE)
    content.study(look, plan, recorded=chain.knows("plan.json") and chain.knows("study.toml"))
    launches = content.launches(look, root, chain, plan)
    failed = content.failures(look, root, chain, plan)
    for search in sorted(root.glob("tuning/*/*")):
        if not search.is_symlink() and search.is_dir():
            _search(look, search)
    layout.leftovers(look)
    layout.report(look)
    if look.unrecorded:
        look.notes.append(
            f"{look.unrecorded} launches have no hashes: they were measured before any were kept"
        )
    return Verified(
        results=str(root),
        schema=schema,
        running=running,
        launches=launches,
        failed=failed,
        files=look.files,
        bytes=look.bytes,
        head=chain.head,
        findings=look.findings,
        notes=look.notes,
    )


def _search(look: Look, search: Path) -> None:
    """Look at the trials of a search, and of those before it in which none succeeded."""
    earlier = [path for path in sorted(search.glob("earlier/*")) if not path.is_symlink()]
    for path in earlier:
        if not (path / "found.json").is_file() and (search / "found.json").is_file():
            if not look.running:
                look.find(path, "leftover", "a run was killed while it moved a search", links.AGAIN)
            return
    for place in (search, *earlier):
        own = links.of(look, place, expected=False)
        content.launches(look, place, own, None)
        content.failures(look, place, own, None)


def _running(root: Path) -> tuple[bool, str]:
    """Say whether a run goes on; if that cannot be told of one that began, why not, in words."""
    try:
        stands = standing.look(Store(root))
    except (InferometerError, OSError):
        return False, ""
    unsure = stands.state == "unknown" and stands.begun_ns is not None
    return stands.state == "running", stands.detail if unsure else ""


def _plan(look: Look) -> Plan | None:
    path = look.root / "plan.json"
    if not path.is_file():
        if not any(look.root.glob("imported/*.json")):
            look.find(path, "missing", "it is not there", "Restore it from a copy.")
        return None
    try:
        return decode(path, Plan)
    except UsageError as error:
        if "newer Inferometer" in error.message:
            raise
        look.find(path, "unreadable", error.message.partition(": ")[2], "Restore it from a copy.")
        return None
