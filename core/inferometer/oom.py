"""Memory of the host: how much there is to be had, and whom the kernel killed for want of it."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

ROOT = Path("/")
HINT = (
    "The machine, or the container's memory limit, is too small for this engine and what runs "
    "beside it: lower max_model_len or the KV cache, or give it more."
)


class Kills(NamedTuple):
    """Processes killed for want of memory so far; None where the kernel does not say."""

    group: int | None
    """In our control group and those below (cgroup v2, ``memory.events``, ``oom_kill``)."""
    machine: int | None
    """On the whole machine (``/proc/vmstat``, ``oom_kill``)."""


def kills(root: Path = ROOT) -> Kills:
    """Return the counts of now."""
    groups = _groups(root)
    group = _field(groups[0] / "memory.events", "oom_kill") if groups else None
    return Kills(group, _field(root / "proc/vmstat", "oom_kill"))


def more(before: Kills, root: Path = ROOT) -> bool:
    """Say whether the kernel has killed anything for want of memory since ``before``.

    Our group's own count decides where there is one; else the machine's, which may be another's.
    """
    now = kills(root)
    if now.group is not None and before.group is not None:
        return now.group > before.group
    return None not in (now.machine, before.machine) and now.machine > before.machine  # type: ignore[operator]


def words(before: Kills, root: Path = ROOT) -> str:
    """Return what the kernel says of it."""
    now = kills(root)
    if more(before, root):
        where = "cgroup memory.events" if now.group is not None else "/proc/vmstat"
        return f"probably by the kernel for want of memory: oom_kill of {where} has grown"
    if now == Kills(None, None):
        return "whether for want of memory the kernel does not say here"
    return "not for want of memory as far as the kernel says"


def available_bytes(root: Path = ROOT) -> int | None:
    """Return the memory that can still be had without swapping; None where nothing says so.

    The least of the machine's ``MemAvailable`` and what is left below the limits of our control
    groups (cgroup v2), where the page cache, but for shared memory, and what is kept of files'
    names count as free: the kernel drops them before it kills.
    """
    known = [_left(group) for group in _groups(root)]
    kib = _field(root / "proc/meminfo", "MemAvailable:")
    known.append(None if kib is None else kib * 1024)
    return min((left for left in known if left is not None), default=None)


def total_bytes(root: Path = ROOT) -> int | None:
    """Return the memory of the machine, or the least limit on us."""
    limits = [_number(group / "memory.max") for group in _groups(root)]
    kib = _field(root / "proc/meminfo", "MemTotal:")
    limits.append(None if kib is None else kib * 1024)
    return min((limit for limit in limits if limit is not None), default=None)


def _left(group: Path) -> int | None:
    limit, current = _number(group / "memory.max"), _number(group / "memory.current")
    if limit is None or current is None:
        return None
    cache = _field(group / "memory.stat", "file") or 0
    shared = _field(group / "memory.stat", "shmem") or 0
    names = _field(group / "memory.stat", "slab_reclaimable") or 0
    return limit - current + max(0, cache - shared) + names


def _groups(root: Path) -> list[Path]:
    """Return our control group of cgroup v2 and those above it; none where there is no such."""
    mounted = root / "sys/fs/cgroup"
    try:
        lines = (root / "proc/self/cgroup").read_text(errors="replace").splitlines()
    except OSError:
        return []
    own = next((line[3:].strip("/") for line in lines if line.startswith("0::")), None)
    if own is None:
        return []
    inside = [mounted / own, *(mounted / own).parents] if own else [mounted]
    groups = [group for group in inside if group == mounted or mounted in group.parents]
    return [group for group in groups if (group / "memory.events").is_file()] or (
        [mounted] if (mounted / "memory.max").is_file() else []
    )


def _number(path: Path) -> int | None:
    try:
        text = path.read_text().strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None


def _field(path: Path, name: str) -> int | None:
    try:
        for line in path.read_text(errors="replace").splitlines():
            words = line.split()
            if len(words) > 1 and words[0] == name and words[1].isdigit():
                return int(words[1])
    except OSError:
        pass
    return None
