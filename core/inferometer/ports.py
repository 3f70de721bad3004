"""A TCP port nobody else takes: leased by a name in the kernel, rechecked by binding.

The name is an abstract UNIX socket (unix(7)): it goes with the process that holds it, however that
ends, leaves no file, and is seen exactly where the port is, in one network namespace.
"""

from __future__ import annotations

import random
import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING

from inferometer.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

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
def lease(host: str, port: int | None = None) -> Iterator[int]:
    """Hold a port: ``port`` itself, or any free one of :data:`RANGE`.

    Raises:
        UsageError: the asked port is leased or in use, or none of the range is free.
    """
    candidates = [port] if port is not None else random.sample(RANGE, 200)
    for candidate in candidates:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as name:
            try:
                name.bind(f"\0inferometer-port-{candidate}")
            except OSError:
                continue
            if is_free(host, candidate):
                yield candidate
                return
    if port is not None:
        raise in_use(host, port)
    raise UsageError(
        f"no free port between {RANGE.start} and {RANGE.stop - 1} on {host}",
        hint="Stop some servers on this machine.",
    )
