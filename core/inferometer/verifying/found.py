"""What is found when a results directory is verified."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from msgspec import Struct

if TYPE_CHECKING:
    from pathlib import Path

What = Literal[
    "changed",
    "truncated",
    "missing",
    "unreadable",
    "unrecorded",
    "chain",
    "mixed",
    "duplicate",
    "unplanned",
    "foreign",
    "leftover",
]


class Finding(Struct, frozen=True, kw_only=True):
    """One thing that is wrong."""

    path: str
    """Inside the directory, with ``/``."""
    what: What
    text: str
    next: str
    """What to do, in the imperative."""


class Verified(Struct, frozen=True, kw_only=True):
    """What a directory looks like; it is whole where there are no ``findings``."""

    results: str
    schema: int
    """Version of the results directory."""
    running: bool
    """Whether a run goes on there."""
    launches: int
    failed: int
    """Attempts that failed."""
    files: int
    """Whose hash was computed and is the recorded one."""
    bytes: int
    """That they hold."""
    head: str
    """SHA-256 of the last line of ``sums.jsonl``: with it from elsewhere, nothing before it can
    have changed. Empty where there is none."""
    findings: list[Finding]
    notes: list[str]
    """What cannot be told, and what is worth knowing; none of it is wrong."""


@dataclass(slots=True)
class Look:
    """One look at a directory, while it is made."""

    root: Path
    running: bool
    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    files: int = 0
    bytes: int = 0
    unrecorded: int = 0
    """Whole launches of format 1, which have no hashes."""

    def find(self, path: Path, what: What, text: str, next_: str) -> None:
        """Write a finding down, once."""
        name = path.relative_to(self.root).as_posix()
        if any((one.path, one.what) == (name, what) for one in self.findings):
            return
        self.findings.append(Finding(path=name, what=what, text=text, next=next_))

    def right(self, size: int) -> None:
        """Count a file that is what was recorded."""
        self.files += 1
        self.bytes += size
