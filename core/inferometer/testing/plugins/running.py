"""Starts the process in which a plugin is checked, and hears what it tells."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import msgspec

from inferometer.command import VARIABLE
from inferometer.testing.check import Result
from inferometer.testing.plugins import target as targets
from inferometer.testing.plugins.target import Told

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

PROGRAM = "inferometer.testing.plugins.process"
WHOLE_PIPE = 1 << 20
"""Bytes; a pipe holds fewer, so one look takes all there is."""


def check(
    plugin: str | Path,
    *,
    options: Mapping[str, Any] | None = None,
    samples: Sequence[Path] = (),
    tell: Callable[[Told], None] = lambda _told: None,
) -> list[Told]:
    """Check the plugin in a folder, or the installed distribution of that name.

    ``options`` are given to its meters and executors, ``samples`` to its importers; ``tell`` gets
    each result at once. A process that ends before it has told everything is a failure, too. What
    the plugin has left running in that process's group ends with it.

    Raises:
        UsageError: there is no such plugin.
    """
    target = targets.found(
        os.fspath(plugin), dict(options or {}), [str(each.resolve()) for each in samples]
    )
    surroundings = {key: value for key, value in os.environ.items() if key != VARIABLE}
    found: list[Told] = []
    with subprocess.Popen(
        [sys.executable, "-P", "-m", PROGRAM],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=surroundings,
        start_new_session=True,
    ) as process:
        assert process.stdin is not None
        try:
            with suppress(BrokenPipeError):  # it ended before it read: told below
                process.stdin.write(msgspec.json.encode(target))
                process.stdin.close()
            for line in _lines(process):
                with suppress(msgspec.DecodeError):  # it was killed while it told: told below
                    found.append(msgspec.json.decode(line, type=Told))
                    tell(found[-1])
        finally:  # the process itself has ended, or this was interrupted
            os.killpg(process.pid, signal.SIGKILL)
    if process.returncode:
        found.append(_ended(process.returncode, found))
        tell(found[-1])
    return found


def _lines(process: subprocess.Popen[bytes]) -> Iterator[bytes]:
    """Yield the lines of its stdout until it has ended, and leave it to be waited for.

    The end of the pipe may come much later: what a plugin has forked has it open, too.
    """
    assert process.stdout is not None
    out, ended = process.stdout.fileno(), os.pidfd_open(process.pid)
    os.set_blocking(out, False)
    watched, begun = {out, ended}, b""
    ready: list[int] = []
    try:
        while ended not in ready:
            ready, _, _ = select.select(watched, (), ())
            try:
                text = os.read(out, WHOLE_PIPE)
            except BlockingIOError:
                continue
            if not text:
                watched.discard(out)
            *lines, begun = (begun + text).split(b"\n")
            yield from lines
    finally:
        os.close(ended)


def _ended(code: int, found: Sequence[Told]) -> Told:
    """Return the failure of a process that did not live to tell all."""
    how = f"by signal {-code}" if code < 0 else f"with {code}"
    last = f"; the last it told: {found[-1].of}, {found[-1].result.id}" if found else ""
    said = Result(
        id="lives",
        words="The process in which it is checked lives to the end.",
        outcome="fail",
        detail=f"it ended {how}{last}",
        seconds=0.0,
    )
    return Told(of=found[-1].of if found else "plugin", result=said)
