"""What lies in a results directory and belongs to no launch: leftovers, strangers, the report."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from inferometer import sums
from inferometer.ondisk import is_temporary
from inferometer.verifying.links import AGAIN, inside

if TYPE_CHECKING:
    from pathlib import Path

    from inferometer.verifying.found import Look

ROOT = (
    *("study.toml", "plan.json", "host.json", "lock", sums.GROWS, sums.CHAIN),
    *("looks.jsonl", "priors.jsonl", "imported", "configurations", "environments"),
    *("launches", "failed", "tuning", "partial", "report"),
)
SEARCH = (
    *("trials.jsonl", "found.json", sums.CHAIN, "configurations", "environments"),
    *("launches", "failed", "partial", "earlier"),
)
HOLDING = ("imported", "environments", "configurations/*", "tuning/*/*/environments")
"""Folders of files that are written one by one."""
MANIFEST = "MANIFEST.sha256"
AWAY = "Move it elsewhere."


def leftovers(look: Look) -> None:
    """Find what a killed run left half done, and what is none of ours."""
    _strangers(look, look.root, ROOT)
    for search in look.root.glob("tuning/*/*"):
        _strangers(look, search, SEARCH)
        for earlier in search.glob("earlier/*"):
            _strangers(look, earlier, SEARCH)
    for pattern in HOLDING:
        for path in look.root.glob(f"{pattern}/*"):
            if is_temporary(path.name):
                _temporary(look, path)
    if look.running:
        return
    for pattern in ("partial/*", "tuning/*/*/partial/*"):
        for path in look.root.glob(pattern):
            look.find(path, "leftover", "a launch that a killed run left half done", AGAIN)


def _strangers(look: Look, folder: Path, known: tuple[str, ...]) -> None:
    if not folder.is_dir():
        return
    for path in sorted(folder.iterdir()):
        if is_temporary(path.name):
            _temporary(look, path)
        elif path.name not in known:
            look.find(path, "foreign", "nothing of ours has this name", AWAY)
        elif path.is_symlink():
            look.find(path, "foreign", "a link, which leads elsewhere", "Put the files here.")


def _temporary(look: Look, path: Path) -> None:
    if not look.running:
        look.find(path, "leftover", "a file that a killed run left half written", AGAIN)


def report(look: Look) -> None:
    """Compare the report with its own manifest; what is not named there may be anyone's."""
    folder = look.root / "report"
    try:
        lines = (folder / MANIFEST).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return
    for line in lines:
        digest, _, name = line.partition("  ")
        path = inside(folder, name) if re.fullmatch(r"[0-9a-f]{64}", digest) else None
        there = sums.of_file(path) if path else None
        if path is not None and there is not None and there.sha256 != digest:
            text = "it is not what was written"
            look.find(path, "changed", text, "Write it again: inferometer report RESULTS.")
