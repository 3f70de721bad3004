"""The launches of a directory: their files, their records, and whether they belong to its plan."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from inferometer import plan as planning
from inferometer import sums
from inferometer.capacity_records import CapacitySearch
from inferometer.errors import InferometerError, UsageError
from inferometer.ondisk import decode, read_lines
from inferometer.records import CHUNK, Condition, LaunchRecord, Probe, Reading, Request, Score
from inferometer.study import parse
from inferometer.verifying.links import AGAIN, compare, inside

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from inferometer.plan import Plan
    from inferometer.sums import FileSum
    from inferometer.verifying.found import Look
    from inferometer.verifying.links import Links

ROWS: dict[str, type[msgspec.Struct]] = {
    "requests.jsonl": Request,
    "capacity_requests.jsonl": Request,
    "readings.jsonl": Reading,
    "conditions.jsonl": Condition,
    "probes.jsonl": Probe,
    "scores.jsonl": Score,
    "capacity.jsonl": CapacitySearch,
}
SUMS = msgspec.json.Decoder(dict[str, sums.FileSum])
ANEW = "Restore it from a copy, or delete its launch's folder and run the study again."
AWAY = "Move it out of here."
DERIVED = "chunks.parquet"
"""Made of ``chunks.bin`` by whoever read it first, and not looked at."""


def study(look: Look, plan: Plan | None, *, recorded: bool) -> None:
    """Note where the study is no more the one that the plan was made of, as far as can be told.

    Where both have their hashes, these say it; a plan is another one in another version.
    """
    path = look.root / "study.toml"
    if plan is None:
        return
    if not path.is_file():
        if not recorded:
            look.find(path, "missing", "it is not there", "Restore it from a copy.")
        return
    if recorded:
        return
    try:
        made = planning.expand(parse(path.read_text(encoding="utf-8"), str(path)))
    except (InferometerError, OSError, UnicodeDecodeError):
        look.notes.append("study.toml: this version cannot read it, so nothing is said of it")
        return
    if made.sha256 != plan.sha256:
        look.notes.append(
            "study.toml: it makes another plan now: an earlier version read it, or it was edited"
        )


def launches(look: Look, root: Path, chain: Links, plan: Plan | None) -> int:
    """Look at every whole launch; return how many there are."""
    planned = {launch.id for launch in plan.launches} if plan else None
    seen: dict[str, Path] = {}
    hosts: dict[str, LaunchRecord] = {}
    for folder in _folders(look, root / "launches"):
        record = _launch(look, root, folder, chain)
        if record is None:
            continue
        path = folder / "launch.json"
        if record.id in seen:
            text = f"launch {record.id} is in {seen[record.id].name} already"
            look.find(path, "duplicate", text, AWAY)
        elif record.id != folder.name:
            look.find(path, "mixed", f"it is of launch {record.id}", AWAY)
        seen.setdefault(record.id, folder)
        if record.status != "ok":
            look.find(path, "mixed", "a failed attempt among whole launches", AWAY)
        _belongs(look, path, record, plan)
        if planned is not None and record.id not in planned:
            look.find(path, "unplanned", "its launch is not in the plan", AWAY)
        if record.node is None:
            other = hosts.setdefault("", record)
            if other.host_sha256 != record.host_sha256:
                text = f"measured on another machine than launch {other.id}"
                look.find(path, "mixed", text, AWAY)
    _gone(look, root, chain, "launches")
    return len(seen)


def failures(look: Look, root: Path, chain: Links, plan: Plan | None) -> int:
    """Look at every failed attempt; return how many there are."""
    count = 0
    for folder in _folders(look, root / "failed"):
        record = _launch(look, root, folder, chain)
        if record is not None:
            count += 1
            _belongs(look, folder / "launch.json", record, plan)
    _gone(look, root, chain, "failed")
    return count


def _belongs(look: Look, path: Path, record: LaunchRecord, plan: Plan | None) -> None:
    if plan is not None and record.plan_sha256 != plan.sha256:
        text = f"of another plan, {record.plan_sha256[:12]} and not {plan.sha256[:12]}"
        look.find(path, "mixed", text, AWAY)


def _folders(look: Look, parent: Path) -> Iterator[Path]:
    if not parent.is_dir():
        return
    for path in sorted(parent.iterdir()):
        if path.is_symlink() or not path.is_dir():
            look.find(path, "foreign", "no folder of a launch", AWAY)
        else:
            yield path


def _launch(look: Look, root: Path, folder: Path, chain: Links) -> LaunchRecord | None:
    """Compare a launch's files with their hashes, and return its record where it has one."""
    name = (folder / sums.FOLDER).relative_to(root).as_posix()
    record = _record(look, folder)
    own = _sums(look, folder)
    if chain.knows(name):
        line = chain.lines[name][-1]
        there = sums.of_file(folder / sums.FOLDER)
        compare(look, folder / sums.FOLDER, sums.FileSum(line.bytes, line.sha256), there, ANEW)
    elif own is not None and not look.running and chain.head:
        text = "its launch is not in sums.jsonl: a run was killed just then, or it was put here"
        look.find(folder / sums.FOLDER, "unrecorded", text, AGAIN)
    if own is not None:
        _files(look, folder, own)
    elif record is not None and record.schema >= sums.SINCE and not chain.knows(name):
        look.find(folder / sums.FOLDER, "missing", "the launch's hashes are gone", ANEW)
    elif record is not None and record.schema < sums.SINCE:
        look.unrecorded += 1
        _rows(look, folder)
    return record


def _record(look: Look, folder: Path) -> LaunchRecord | None:
    path = folder / "launch.json"
    if path.is_symlink() or not path.is_file():
        look.find(path, "missing", "it is not there", ANEW)
        return None
    try:
        return decode(path, LaunchRecord)
    except UsageError as error:
        look.find(path, "unreadable", _said(error, path), ANEW)
        return None


def _sums(look: Look, folder: Path) -> Mapping[str, FileSum] | None:
    path = folder / sums.FOLDER
    if path.is_symlink() or not path.is_file():
        return None
    try:
        return SUMS.decode(path.read_bytes())
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        look.find(path, "unreadable", str(error), ANEW)
        return None


def _files(look: Look, folder: Path, own: Mapping[str, FileSum]) -> None:
    for name, recorded in own.items():
        path = inside(folder, name)
        if path is None:
            text = f"it names {name!r}, which leads out of the launch"
            look.find(folder / sums.FOLDER, "foreign", text, ANEW)
        else:
            compare(look, path, recorded, sums.of_file(path), ANEW)
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if name in own or name in {sums.FOLDER, DERIVED}:
            continue
        if path.is_symlink() or not path.is_dir():
            look.find(path, "foreign", "it was not there when the launch ended", AWAY)


def _rows(look: Look, folder: Path) -> None:
    """Read what has no hash: what was cut or damaged often cannot be read."""
    for name, type_ in ROWS.items():
        try:
            read_lines(folder / name, type_)
        except UsageError as error:
            look.find(folder / name, "unreadable", _said(error, folder / name), ANEW)
    chunks = folder / "chunks.bin"
    if chunks.is_file() and chunks.stat().st_size % CHUNK.size:
        look.find(chunks, "truncated", f"no whole number of {CHUNK.size} bytes", ANEW)


def _gone(look: Look, root: Path, chain: Links, kind: str) -> None:
    """Find launches that the chain knows and that are not here."""
    for name in chain.lines:
        parts = name.split("/")
        if parts[0] != kind or not chain.knows(name):
            continue
        folder = inside(root, "/".join(parts[:2]))
        if folder is None or not folder.is_dir():
            text = "the launch is not there any more"
            next_ = "Restore it from a copy, or run the study again, which tells of it."
            look.find(root / kind / parts[-2], "missing", text, next_)


def _said(error: UsageError, path: Path) -> str:
    return error.message.removeprefix(f"{path}: ")
