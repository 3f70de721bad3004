"""Load hosts as processes, where asked with a clock or a network of their own."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from inferometer.loadgen.far import Host

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

TOKEN = "a token of tests, not secret"
SHIFT = """
import ctypes, os, signal, sys
NEWTIME, NEWUSER = 0x80, 0x10000000
libc = ctypes.CDLL(None, use_errno=True)
seconds, rest = divmod(int(sys.argv[1]), 10**9)
if libc.unshare(NEWTIME | (NEWUSER if os.geteuid() else 0)):
    sys.exit(f"no time namespace: {os.strerror(ctypes.get_errno())}")
try:
    with open("/proc/self/timens_offsets", "w") as file:
        file.write(f"monotonic {seconds} {rest}\\n")
except OSError as error:
    sys.exit(f"no time namespace: {error}")
child = os.fork()  # only children are in the new namespace
if not child:
    libc.prctl(1, signal.SIGKILL)
    os.execv(sys.argv[2], sys.argv[2:])
signal.signal(signal.SIGTERM, lambda *_: os.kill(child, signal.SIGTERM))
sys.exit(max(0, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])))
"""
"""Runs a command with CLOCK_MONOTONIC moved by so many ns: ``python -c SHIFT NS COMMAND...``."""


def shifted(offset_ns: int, line: Sequence[str]) -> list[str]:
    """Return ``line`` with its monotonic clock moved; 0: as it is."""
    return [sys.executable, "-c", SHIFT, str(offset_ns), *line] if offset_ns else list(line)


def why_not() -> str:
    """Say why clocks cannot be moved here; empty when they can."""
    done = subprocess.run(shifted(1, ["/bin/true"]), capture_output=True, text=True, check=False)
    return done.stderr.strip() if done.returncode else ""


@contextlib.contextmanager
def load_host(
    listen: str = "127.0.0.1:0",
    *,
    offset_ns: int = 0,
    before: Sequence[str] = (),
    flags: Sequence[str] = (),
    variables: dict[str, str] | None = None,
    token: str = TOKEN,
) -> Iterator[Host]:
    """Serve as a load host; ``before`` is a command that runs a command, as ``ip netns exec``."""
    command = [str(Path(sys.executable).with_name("inferometer")), "loadhost", "--listen", listen]
    process = subprocess.Popen(
        [*before, *shifted(offset_ns, [sys.executable, *command, *flags])],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "INFEROMETER_LOAD_TOKEN": token, **(variables or {})},
    )
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        address = process.stdout.readline().strip()
        if not address:
            raise RuntimeError(f"no load host: {process.stderr.read()}")
        yield Host(address, token.encode())
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate()
