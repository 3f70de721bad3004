"""A TCP port nobody else takes: leased by lock file, rechecked by binding."""

from __future__ import annotations

import random
import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING

import filelock

from inferometer.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

RANGE = range(20_000, 30_000)
"""Below the ephemeral range of Linux, so that outgoing connections do not take a leased port."""


def is_free(host: str, port: int) -> bool:
    """Say whether a server could bind ``host:port`` now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def in_use(host: str, port: int) -> UsageError:
    """Return the error for a port that the study names and somebody else holds."""
    return UsageError(
        f"port {port} on {host} is in use (protocol.port)",
        hint="Stop what listens there, or leave protocol.port out to have one chosen.",
    )


@contextmanager
def lease(folder: Path, host: str, port: int | None = None) -> Iterator[int]:
    """Hold a port: ``port`` itself, or any free one of :data:`RANGE`.

    Raises:
        UsageError: the asked port is leased or in use, or none of the range is free.
    """
    folder.mkdir(parents=True, exist_ok=True)
    candidates = [port] if port is not None else random.sample(RANGE, 200)
    for candidate in candidates:
        lock = filelock.FileLock(folder / f"{candidate}.lock", timeout=0)
        try:
            lock.acquire()
        except filelock.Timeout:
            continue
        try:
            if is_free(host, candidate):
                yield candidate
                return
        finally:
            lock.release()
    if port is not None:
        raise in_use(host, port)
    raise UsageError(
        f"no free port between {RANGE.start} and {RANGE.stop - 1} on {host}",
        hint="Stop some servers on this machine.",
    )
