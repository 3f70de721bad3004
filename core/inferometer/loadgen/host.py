"""A load host: sends loads that a conductor on another host asks for.

It listens, has whoever connects prove the token, and hands the connection to a worker process of
its own. One load at a time: the workers of a second one would take from the first.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import socket
import subprocess
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec
import uvloop

from inferometer import __version__
from inferometer.errors import MachineError
from inferometer.loadgen import handshake
from inferometer.loadgen.channel import watched
from inferometer.loadgen.handshake import Guest, Hello, StrangerError
from inferometer.loadgen.worker import Handed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TOKEN_VARIABLE = "INFEROMETER_LOAD_TOKEN"  # noqa: S105 -- the name of a variable
BACKLOG = 128
MOST_WORKERS = 64
"""Of one load."""
MOST_GUESTS = 128
"""Connections at once that are not yet handed on."""
END_S = 5.0
"""For the workers of a load to end, after which another one may begin."""
SILENT_S = 120
"""A conductor whose machine or network has gone for so long ends its load; one that has much to
translate at the end of a load may not read for a while."""


@dataclass
class LoadHost:
    """What serves on one address. ``told`` gets lines for a person to read."""

    token: bytes
    told: Callable[[str], None]
    key: str = ""
    """An API key that workers add to requests; it never travels."""
    running: dict[bytes, int] = field(default_factory=dict)
    """Workers of each load."""
    unknown: int = 0
    """Connections whose ends have not proved anything yet."""
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    async def serve(self, listening: socket.socket) -> None:
        """Serve for ever."""
        listening.setblocking(False)
        loop, tasks = asyncio.get_running_loop(), set[asyncio.Task[None]]()
        while True:
            end, peer = await loop.sock_accept(listening)
            if self.unknown >= MOST_GUESTS:
                end.close()
                continue
            task = asyncio.create_task(self._receive(end, f"{peer[0]}:{peer[1]}"))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

    async def _receive(self, end: socket.socket, peer: str) -> None:
        self.unknown += 1
        try:
            with end:
                end.setblocking(False)
                watched(end, SILENT_S)
                guest = await handshake.admit(end, self.token)
                process = await self._begin(end, guest, peer)
        except StrangerError:
            self.told(f"{peer} does not know the token: refused")
            return
        except (OSError, EOFError) as error:
            self.told(f"{peer} went away, or got no worker: {str(error) or 'it said nothing'}")
            return
        finally:
            self.unknown -= 1
        if process is not None:
            await self._mind(process, guest.run, peer)

    async def _begin(
        self, end: socket.socket, guest: Guest, peer: str
    ) -> subprocess.Popen[bytes] | None:
        busy = await self._busy(guest.run)
        cores = len(os.sched_getaffinity(0))
        hello = Hello(version=__version__, cores=cores, busy=busy, keyed=bool(self.key))
        if busy or self.running.get(guest.run, 0) >= MOST_WORKERS:
            await handshake.greet(end, guest, hello)
            return None
        self._enters(guest.run, peer)  # before anything is waited for: nobody else may begin now
        try:
            await handshake.greet(end, guest, hello)
            return self._worker(end, guest)
        except BaseException:
            self._leaves(guest.run, peer)
            raise

    def _enters(self, run: bytes, peer: str) -> None:
        if run not in self.running:
            self.told(f"{peer}: a load begins")
        self.running[run] = self.running.get(run, 0) + 1

    def _leaves(self, run: bytes, peer: str) -> None:
        self.ended.set()
        self.running[run] -= 1
        if not self.running[run]:
            del self.running[run]
            self.told(f"{peer}: the load is over")

    async def _busy(self, run: bytes) -> bool:
        """Say whether another load is on; one that is just ending gets the time for it."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(END_S):
                while any(other != run for other in self.running):
                    self.ended.clear()
                    await self.ended.wait()
        return any(other != run for other in self.running)

    def _worker(self, end: socket.socket, guest: Guest) -> subprocess.Popen[bytes]:
        line = [sys.executable, "-P", "-m", "inferometer.loadgen.worker"]
        process = subprocess.Popen(
            [*line, str(end.fileno()), str(os.getpid()), "far"],
            pass_fds=[end.fileno()],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            process_group=0,
        )
        assert process.stdin is not None
        with process.stdin as pipe, contextlib.suppress(BrokenPipeError):
            pipe.write(msgspec.msgpack.encode(Handed(seal=guest.seal, key=self.key)))
        return process

    async def _mind(self, process: subprocess.Popen[bytes], run: bytes, peer: str) -> None:
        try:
            code = await _ended(process)
        finally:
            self._leaves(run, peer)
        if code:
            self.told(f"{peer}: a worker ended with code {code}")


async def _ended(process: subprocess.Popen[bytes]) -> int:
    """Return the code of a process once it has ended."""
    loop, gone, pid = asyncio.get_running_loop(), asyncio.Event(), os.pidfd_open(process.pid)
    loop.add_reader(pid, gone.set)
    try:
        await gone.wait()
    finally:
        loop.remove_reader(pid)
        os.close(pid)
    return process.wait()


def listen(address: str, port: int) -> socket.socket:
    """Return a listening socket; port 0 takes a free one. Raises OSError."""
    found = socket.getaddrinfo(address, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    listening = socket.socket(*found[0][:3])
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(found[0][4])
        listening.listen(BACKLOG)
    except BaseException:
        listening.close()
        raise
    return listening


def run(host: LoadHost, listening: socket.socket, *, leashed: bool = False) -> None:
    """Serve until Ctrl-C, or (``leashed``) until stdin ends; its workers end with it."""
    allow_files()
    with (
        listening,
        contextlib.suppress(asyncio.CancelledError),
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        runner.run(_served(host, listening, leashed=leashed))


async def _served(host: LoadHost, listening: socket.socket, *, leashed: bool) -> None:
    task = asyncio.current_task()
    if leashed and task is not None:
        asyncio.get_running_loop().add_reader(sys.stdin.fileno(), task.cancel)
    await host.serve(listening)


@contextlib.contextmanager
def started(listen: str, token: str) -> Iterator[str]:
    """Start a load host as a process of this machine; yield its address. It ends with us.

    Raises MachineError when it does not start.
    """
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "inferometer", "loadhost", "--listen", listen, "--leashed"],
        stdin=subprocess.PIPE,  # whose end it sees, in whatever way we end
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, TOKEN_VARIABLE: token},
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        address = process.stdout.readline().decode().strip()
        if not address:
            raise MachineError(
                f"no load host started on {listen}",
                hint="See what `inferometer loadhost` says on that machine.",
            )
        yield address
    finally:
        process.stdin.close()
        process.stdout.close()
        process.wait()


def allow_files() -> None:
    """Raise this process's own limit of open files: one connection is one file."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
