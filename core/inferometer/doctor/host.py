"""The machine itself: system, Python, processor, memory, clocks."""

from __future__ import annotations

import ctypes
import importlib.util
import os
import platform
import re
import struct
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from inferometer import abandoned, provenance
from inferometer.doctor.check import Probe, fail, gib, ok, skip, warn

if TYPE_CHECKING:
    from inferometer.doctor.check import Finding, Site

LEAST_MEMORY = 8 << 30
"""Bytes that the quickstart needs; real models need more."""
SWAPPED = 256 << 20
"""Bytes in swap from which memory is taken to be short."""
STEADY_SOURCES = ("tsc", "kvm-clock", "arch_sys_counter", "hyperv_clocksource_tsc_page")
UNSYNCHRONISED = 0x40
"""``STA_UNSYNC`` of ``<sys/timex.h>``."""


def system(site: Site) -> Finding:
    """Name the system, its kernel, and whether this is a container or a virtual machine."""
    name = platform.system()
    if name != "Linux":
        return fail(f"{name} {platform.release()}", "Measure on Linux; reports work anywhere.")
    host = provenance.describe_host(site.root)
    inside = [f"in a {host['container']} container"] if host["container"] else []
    inside += ["on a virtual machine"] if host["hypervisor"] else []
    return ok(", ".join([f"{host['os']}, Linux {host['kernel']} {host['machine']}", *inside]))


def python(_: Site) -> Finding:
    """Look at Python's version, and what building environments needs of it."""
    version = platform.python_version()
    if importlib.util.find_spec("ensurepip") is None:
        remedy = (
            "Install the venv package of this Python (Debian, Ubuntu: apt install python3-venv)."
        )
        return fail(f"Python {version} without ensurepip: no environment can be built", remedy)
    return ok(f"Python {version}")


def processor(site: Site) -> Finding:
    """Count cores present, allowed to us, and paid for by a control group's quota."""
    host = provenance.describe_host(site.root)
    present, allowed = os.cpu_count() or 1, len(os.sched_getaffinity(0))
    quota = host["cores_quota"] or _old_quota(site)
    said = f"{host['cpu_model'] or 'unknown model'}: {allowed} of {present} cores"
    flags = ", ".join(host["cpu_flags"])
    if quota is not None and quota < allowed:
        return warn(
            f"{said}, of which a limit pays for {quota:g}",
            "Raise the container's CPU limit, or pin it to whole cores: a throttled client or "
            "engine stalls many milliseconds at a time.",
        )
    return ok(f"{said} ({flags})" if flags else said)


def _old_quota(site: Site) -> float | None:
    quota = site.number("sys/fs/cgroup/cpu/cpu.cfs_quota_us")
    period = site.number("sys/fs/cgroup/cpu/cpu.cfs_period_us")
    return round(quota / period, 2) if quota and quota > 0 and period else None


def governor(site: Site) -> Finding:
    """Look at the processor's frequency governor."""
    found = site.text("sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
    if found is None:
        return skip("not told here (virtual machines do not)")
    if found == "performance":
        return ok(found)
    remedy = "Run `sudo cpupower frequency-set --governor performance` while you measure."
    return warn(f"{found}: clocks follow the load with a delay", remedy)


def busy(site: Site) -> Finding:
    """Look at the load that others put on the processor now."""
    words = (site.text("proc/loadavg") or "").split()
    if not words:
        return skip("no /proc/loadavg")
    load, cores = float(words[0]), len(os.sched_getaffinity(0))
    said = f"load average {load:g} on {cores} cores"
    if load > max(1.0, 0.5 * cores):
        return warn(said, "Stop what else runs here before you measure: it takes part.")
    return ok(said)


def memory(site: Site) -> Finding:
    """Look at the memory there is, what is available now, and a container's limit."""
    total, available = psutil.virtual_memory().total, psutil.virtual_memory().available
    limit = site.number("sys/fs/cgroup/memory.max")
    limit = limit or site.number("sys/fs/cgroup/memory/memory.limit_in_bytes")
    said = f"{gib(available)} of {gib(total)} available"
    if limit is not None and limit < total:
        said, available = f"{said}, limited to {gib(limit)}", min(available, limit)
    if available < LEAST_MEMORY:
        remedy = f"Free memory or raise the limit: the quickstart needs {gib(LEAST_MEMORY)}."
        return warn(said, remedy)
    return ok(said)


def swap(_: Site) -> Finding:
    """Say whether memory has been swapped out."""
    found = psutil.swap_memory()
    said = f"{gib(found.used)} of {gib(found.total)} in use" if found.total else "none"
    if found.used > SWAPPED:
        remedy = "Free memory, then `sudo swapoff -a`: a page read back from disk is a long pause."
        return warn(said, remedy)
    return ok(said)


def clock(site: Site) -> Finding:
    """Say whether the monotonic clock is fine enough, and moves as the wall clock does."""
    resolution = time.get_clock_info("monotonic").resolution
    source = site.text("sys/devices/system/clocksource/clocksource0/current_clocksource")
    first = provenance.clock_pair()
    time.sleep(0.05)
    second = provenance.clock_pair()
    moved = {name: second[name] - first[name] for name in first}
    apart_us = abs(moved["wall_ns"] - moved["monotonic_ns"]) / 1e3
    said = f"monotonic, {resolution * 1e9:g} ns, source {source or 'unknown'}"
    if moved["monotonic_ns"] <= 0 or resolution > 1e-6:
        return fail(f"{said}: too coarse to time tokens with", "Measure on another machine.")
    if apart_us > 5000:
        remedy = "Let the time service settle, then retry; a machine that was suspended needs it."
        return warn(f"{said}; the wall clock was set by {apart_us:.0f} us meanwhile", remedy)
    if source is not None and source not in STEADY_SOURCES:
        remedy = "Choose tsc as the kernel's clock source if this processor has a steady one."
        return warn(f"{said}: each look at it is a slow call", remedy)
    return ok(said)


def time_service(_: Site) -> Finding:
    """Say whether a time service steers the wall clock (adjtimex(2), asked and not changed)."""
    state = kernel_clock()
    if state is None:
        return skip("the kernel does not tell here")
    status, error_us = state
    if status & UNSYNCHRONISED:
        remedy = "Start chrony or systemd-timesyncd. Windows are timed by the monotonic clock and "
        remedy += "not hurt; dates of results, and joining them with other machines' logs, are."
        return warn("the wall clock is not synchronised", remedy)
    return ok(f"synchronised, error up to {error_us / 1e3:.1f} ms")


def kernel_clock() -> tuple[int, int] | None:
    """Return ``status`` and ``maxerror`` (us) of ``struct timex``; None when not told."""
    try:
        adjtimex = ctypes.CDLL(None, use_errno=True).adjtimex
    except (OSError, AttributeError):
        return None
    buffer = ctypes.create_string_buffer(512)  # modes = 0: read; the struct has 208 bytes
    if adjtimex(buffer) < 0:
        return None
    _, _, _, error_us, _, status = struct.unpack_from("@illlli", buffer)
    return status, error_us


def powercap(site: Site) -> Finding:
    """Look for the processor's energy counters (RAPL), and whether they may be read."""
    zones = [
        zone
        for zone in sorted((site.root / "sys/class/powercap").glob("intel-rapl:*"))
        if re.fullmatch(r"intel-rapl:\d+", zone.name)
    ]
    remedy = "Measure on bare metal, or declare watts in the study (meters `declared`, `cpu-time`)."
    if not zones:
        return warn("no RAPL package zone: joules can be estimated only", remedy)
    blocked = [zone for zone in zones if not os.access(zone / "energy_uj", os.R_OK)]
    if blocked:
        return warn(
            f"{len(zones)} package zones, readable by root only",
            f"Run `sudo chmod a+r {blocked[0].parent}/intel-rapl:*/energy_uj` (until the next "
            "boot), or add a udev rule.",
        )
    return ok(f"{len(zones)} RAPL package zones, readable")


def engines_left(site: Site) -> Finding:
    """Look for engines of runs that were killed with their supervisors, and not started again."""
    if site.root != Path("/"):
        return skip("looked for on the machine itself")
    found = [each for each in abandoned.find() if each.processes]
    if not found:
        return ok("none")
    places = {each.note.results if each.note else "a directory not known here" for each in found}
    pids = [str(process.pid) for each in found for process in each.processes]
    return warn(
        f"{len(found)} of runs that were killed, into {', '.join(sorted(places))}: "
        f"processes {', '.join(pids)}",
        "Run the same study into the same directory, which ends them, or end them with `kill`.",
    )


PROBES = (
    Probe("system", system),
    Probe("python", python),
    Probe("processor", processor),
    Probe("governor", governor),
    Probe("load", busy),
    Probe("memory", memory),
    Probe("swap", swap),
    Probe("engines-left", engines_left),
    Probe("clock", clock),
    Probe("time-service", time_service),
    Probe("rapl", powercap),
)
