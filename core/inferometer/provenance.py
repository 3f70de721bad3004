"""The machine that measured: what decides whether two results may be compared.

No host name, no user name, no environment variable: results are published. Unknown is None.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

import inferometer

if TYPE_CHECKING:
    from collections.abc import Iterable

IDENTITY = ("cpu_model", "cores", "memory_gib", "gpus", "os")
"""Fields that must be equal for launches to be compared; a new kernel is no new machine."""
MACHINE = {
    "accelerators": "gpus",
    "accelerator driver": "gpu_driver",
    "processor": "cpu_model",
    "processor features": "cpu_flags",
    "processors": "cores",
    "processor quota": "cores_quota",
    "memory (GiB)": "memory_gib",
    "operating system": "os",
    "architecture": "machine",
    "clock governor": "governor",
    "virtual machine": "hypervisor",
}
"""What a host must share with another, by its name here and in ``host.json``."""
FLAGS = ("avx2", "avx512f", "avx512_bf16", "avx512_vnni", "amx_bf16", "amx_int8", "asimd", "sve")
"""Processor features that change how fast, or whether, an engine's CPU build runs."""
CONTAINERS = ("docker", "containerd", "kubepods", "libpod", "lxc")


def file_hashes(paths: Iterable[str]) -> dict[str, str]:
    """Return the SHA-256 (hex) of each file by its path as given.

    Raises:
        OSError: one cannot be read.
    """
    found = {}
    for path in sorted(set(paths)):
        with Path(path).open("rb") as file:
            found[path] = hashlib.file_digest(file, "sha256").hexdigest()
    return found


def describe_host(root: Path = Path("/")) -> dict[str, Any]:
    """Return what is known of this machine; ``root`` is where ``proc`` and ``sys`` stand.

    ``cores`` are the logical processors this process may use, ``cores_quota`` how many of them
    a container's limit pays for, ``memory_gib`` the memory (GiB, rounded) it may use.
    """
    cpuinfo = _text(root / "proc/cpuinfo") or ""
    return {
        "cpu_model": _field(cpuinfo, "model name") or platform.processor() or None,
        "cpu_flags": _flags(cpuinfo),
        "cores": len(os.sched_getaffinity(0)),
        "cores_quota": _quota(root),
        "memory_gib": round(_memory_bytes(root) / 2**30),
        "gpus": _gpus(root),
        "gpu_driver": _gpu_driver(root),
        "os": _os(root),
        "kernel": platform.release(),
        "machine": platform.machine(),
        "governor": _text(root / "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        "hypervisor": "hypervisor" in (_field(cpuinfo, "flags") or "").split(),
        "container": _container(root),
        "boot_sha256": _hashed(_text(root / "proc/sys/kernel/random/boot_id")),
        "python": platform.python_version(),
        "inferometer_version": inferometer.__version__,
    }


def host_sha256(host: dict[str, Any]) -> str:
    """Return the hash (hex) of what identifies a machine: equal hashes, comparable launches."""
    identity = {key: host.get(key) for key in IDENTITY}
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()


def clock_pair() -> dict[str, int]:
    """Return one reading of the wall clock and of the monotonic clock, to date results with."""
    before = time.monotonic_ns()
    wall = time.time_ns()
    return {"wall_ns": wall, "monotonic_ns": (before + time.monotonic_ns()) // 2}


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip() or None
    except OSError:
        return None


def _field(cpuinfo: str, name: str) -> str | None:
    found = re.search(rf"^{name}\s*:\s*(.+)$", cpuinfo, re.MULTILINE)
    return found[1].strip() if found else None


def _flags(cpuinfo: str) -> list[str]:
    # x86 says "flags", Arm says "Features".
    present = (_field(cpuinfo, "flags") or _field(cpuinfo, "Features") or "").split()
    return [flag for flag in FLAGS if flag in present]


def _quota(root: Path) -> float | None:
    quota, _, period = (_text(root / "sys/fs/cgroup/cpu.max") or "max").partition(" ")
    return round(int(quota) / int(period), 2) if quota.isdigit() and period.isdigit() else None


def _memory_bytes(root: Path) -> int:
    total = int(psutil.virtual_memory().total)
    limit = _text(root / "sys/fs/cgroup/memory.max") or "max"
    return min(total, int(limit)) if limit.isdigit() else total


def _gpus(root: Path) -> list[str]:
    """Return the models of NVIDIA GPUs, from the driver's own files; nothing is imported."""
    files = sorted(root.glob("proc/driver/nvidia/gpus/*/information"))
    return [_field(_text(file) or "", "Model") or "unknown" for file in files]


def _gpu_driver(root: Path) -> str | None:
    """Return the version of the kernel's driver, NVIDIA's or else AMD's."""
    text = _text(root / "proc/driver/nvidia/version") or ""
    found = re.search(r"^NVRM version:.*?\s(\d+\.[\d.]+)\s", text, re.MULTILINE)
    return found[1] if found else _text(root / "sys/module/amdgpu/version")


def _os(root: Path) -> str:
    release = _text(root / "etc/os-release") or ""
    found = re.search(r'^PRETTY_NAME="?([^"\n]+)"?$', release, re.MULTILINE)
    return found[1] if found else platform.system()


def _container(root: Path) -> str | None:
    if (root / ".dockerenv").exists():
        return "docker"
    if (root / "run/.containerenv").exists():
        return "podman"
    groups = _text(root / "proc/self/cgroup") or ""
    return next((name for name in CONTAINERS if name in groups), None)


def _hashed(text: str | None) -> str | None:
    return hashlib.sha256(text.encode()).hexdigest() if text else None
