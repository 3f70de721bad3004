"""What the system gives to many connections and large files: ports, descriptors, disk, memory."""

from __future__ import annotations

import os
import resource
import shutil
import socket
from contextlib import closing
from typing import TYPE_CHECKING

from inferometer import ports
from inferometer.doctor.check import Probe, fail, gib, ok, warn

if TYPE_CHECKING:
    from pathlib import Path

    from inferometer.doctor.check import Finding, Site

FEW_PORTS = 10_000
FEW_FILES = 4096
"""One stream is one open file, and the engine is another process with a limit of its own."""
CACHE_BYTES = 12 << 30
"""What the quickstart's environments and models need."""
RESULTS_BYTES = 1 << 30
SHARED_BYTES = 1 << 30
"""Engines' processes pass tensors through /dev/shm; containers give 64 MiB unless told."""


def port(site: Site) -> Finding:
    """Say whether a server can listen on loopback, and how many connections can go out."""
    try:
        with closing(socket.socket(socket.AF_INET, socket.SOCK_STREAM)) as server:
            server.bind(("127.0.0.1", 0))
            server.listen()
            with closing(socket.create_connection(server.getsockname(), timeout=2.0)):
                pass
    except OSError as error:
        remedy = (
            "Bring the loopback interface up (`ip link set lo up`), or lift the sandbox's rule."
        )
        return fail(f"no server can be reached on 127.0.0.1: {error}", remedy)
    words = (site.text("proc/sys/net/ipv4/ip_local_port_range") or "").split()
    if len(words) != 2:
        return ok("loopback works")
    first, last = map(int, words)
    said = f"loopback works, {last - first + 1} ephemeral ports from {first}"
    if first < ports.RANGE.stop:
        remedy = "Run `sudo sysctl net.ipv4.ip_local_port_range='32768 60999'`."
        return warn(f"{said}: they may take the ports engines are given", remedy)
    if last - first + 1 < FEW_PORTS:
        remedy = "Widen net.ipv4.ip_local_port_range: each open connection takes one."
        return warn(said, remedy)
    return ok(said)


def descriptors(_: Site) -> Finding:
    """Say how many files, and so connections, a process may have open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    said = f"{_limit(soft)} open files, at most {_limit(hard)}"
    if hard != resource.RLIM_INFINITY and hard < FEW_FILES:
        return fail(said, f"Raise the hard limit to {FEW_FILES} or more (limits.conf, --ulimit).")
    if soft != resource.RLIM_INFINITY and soft < FEW_FILES:
        # The load generator raises its own limit; the engine inherits what it was started with.
        return warn(said, f"Run `ulimit -n {FEW_FILES}` in the shell that starts the engines.")
    return ok(said)


def _limit(value: int) -> str:
    return "unlimited" if value == resource.RLIM_INFINITY else str(value)


def shared_memory(site: Site) -> Finding:
    """Look at the size of /dev/shm."""
    folder = site.root / "dev/shm"
    if not folder.is_dir():
        return fail("no /dev/shm", "Mount a tmpfs there: engines of several processes need it.")
    usage = shutil.disk_usage(folder)
    said = f"{gib(usage.free)} of {gib(usage.total)} free in /dev/shm"
    if not os.access(folder, os.W_OK):
        return fail(f"{said}, not writable", "Make /dev/shm writable for this user (mode 1777).")
    if usage.free < SHARED_BYTES:
        remedy = "Start the container with --shm-size 16g or --ipc host, or remove leftovers there."
        return warn(said, remedy)
    return ok(said)


def cache(site: Site) -> Finding:
    """Look for room for engines' environments and models."""
    return _room(site.cache, CACHE_BYTES, "set INFEROMETER_CACHE to a folder on a larger disk")


def results(site: Site) -> Finding:
    """Look for room for results."""
    return _room(site.results, RESULTS_BYTES, "give another folder with --results")


def _room(folder: Path, wanted: int, otherwise: str) -> Finding:
    place = folder.expanduser().absolute()
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    if not place.is_dir() or not os.access(place, os.W_OK | os.X_OK):
        said = f"{folder} cannot be made: {place} is not a writable folder"
        return fail(said, f"Mend its permissions, or {otherwise}.")
    said = f"{gib(free)} free for {folder}"
    if free < wanted:
        return warn(said, f"Free {gib(wanted)}, or {otherwise}.")
    return ok(said)


PROBES = (
    Probe("ports", port),
    Probe("open-files", descriptors),
    Probe("shared-memory", shared_memory),
    Probe("disk-cache", cache),
    Probe("disk-results", results),
)
