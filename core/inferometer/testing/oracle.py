"""The oracle: a fake completions server that knows when it wrote which token.

What a load generator reports about it can be checked against :class:`Truth`. It misbehaves on
demand in the ways that real engines do: merged and split packets, tokens without text, errors
inside a 200, streams cut short, idle connections closed. ::

    with Oracle(Options(tokens=8, itl_ms=5)) as oracle:
        ...  # talk to 127.0.0.1:oracle.port
        assert oracle.truth[0].tokens == 8

As a process it can stand in for an engine: ``python -m inferometer.testing.oracle --port 8000``.
With ``--port 0`` it takes a free port and prints it on the first line of stdout.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import dataclasses
import gc
import heapq
import os
import resource
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Literal, Self

import msgspec
import uvloop

from inferometer.testing.connection import Connection
from inferometer.testing.options import KEY_VARIABLE, Options, Truth
from inferometer.testing.wheel import AT_ONCE, Wheel

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

__all__ = ["Options", "Oracle", "Truth", "main"]

BACKLOG = 4096
QUIET_S = 0.5
"""Truth is written down when no request was in progress for so long, and at the end."""
SMALL_BUFFER = 4096
"""Bytes that the system takes for a server that reads slowly."""


class Oracle:
    """A server in a thread, as a context manager; ``port`` is free to use inside."""

    def __init__(
        self,
        options: Options | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        truth_file: Path | None = None,
    ) -> None:
        self.options = options or Options()
        self.host, self.port = host, port
        self.truth: list[Truth] = []
        self.connections = 0
        """Connections accepted so far."""
        self.wheel: Wheel
        self._truth_file = truth_file
        self._unread: deque[Connection] = deque()
        self._unwritten: list[Truth] = []
        self._flush_timer: asyncio.TimerHandle | None = None
        self._loop = uvloop.new_event_loop()
        self._stop: asyncio.Event | None = None
        self._started = threading.Event()
        self._thread = threading.Thread(target=self.run, daemon=True)
        self._open: set[Connection] = set()
        self._busy_until_ns: list[int] = []
        self._failure: OSError | None = None
        self.began_s = time.monotonic()

    def __enter__(self) -> Self:
        self._thread.start()
        self._started.wait()
        self.check()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Close every connection and end the thread; also at once, as a dying engine would."""
        if self._stop is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join()

    def run(self) -> None:
        """Serve until stopped, in this thread; in the main one until SIGTERM as well."""
        try:
            self._loop.run_until_complete(self._serve())
        except OSError as error:
            self._failure = error
        finally:
            self._started.set()
            self._loop.close()

    def check(self) -> None:
        """Raise what ended :meth:`run`, such as a taken port."""
        if self._failure is not None:
            raise self._failure

    async def _serve(self) -> None:
        self._stop = asyncio.Event()
        main_thread = threading.current_thread() is threading.main_thread()
        if main_thread and not self.options.ignore_sigterm:
            self._loop.add_signal_handler(signal.SIGTERM, self._asked_to_stop)
        tls = None
        if self.options.certificate:
            tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            tls.load_cert_chain(self.options.certificate)
        with self._bound() as listening, contextlib.closing(Wheel(self._loop)) as self.wheel:
            self.port = listening.getsockname()[1]
            if self.options.listen_after_s:
                self._started.set()
                await asyncio.sleep(self.options.listen_after_s)
            server = await self._loop.create_server(
                lambda: Connection(self), sock=listening, ssl=tls, backlog=BACKLOG
            )
            self.began_s = time.monotonic()
            self._started.set()
            if main_thread:
                print(self.port, flush=True)  # noqa: T201 -- how a process tells its port
            try:
                await self._stop.wait()
            finally:
                server.close()
                for connection in list(self._open):
                    connection.drop()
                await asyncio.sleep(0.01)
                self.write_truth()

    def _bound(self) -> socket.socket:
        """Return a socket that refuses connections until it listens."""
        listening = socket.socket()
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if self.options.read_pause_ms:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER)
        try:
            listening.bind((self.host, self.port))
        except OSError:
            listening.close()
            raise
        return listening

    # -- called by connections -------------------------------------------------------------------

    @property
    def ready(self) -> bool:
        """Say whether ``/health`` answers 200."""
        return time.monotonic() - self.began_s >= self.options.ready_after_s

    def opened(self, connection: Connection) -> None:
        """Count and keep a connection."""
        self.connections += 1
        self._open.add(connection)

    def closed(self, connection: Connection) -> None:
        """Forget a connection."""
        self._open.discard(connection)

    def understand(self, connection: Connection) -> None:
        """Have a connection parse what it got, after the others have got theirs."""
        self._unread.append(connection)
        if len(self._unread) == 1:
            self._loop.call_soon(self._understand)

    def _understand(self) -> None:
        for _ in range(min(AT_ONCE, len(self._unread))):
            self._unread.popleft().understand()
        if self._unread:
            self._loop.call_soon(self._understand)

    def arrival(self, now_ns: int, prompt_tokens: int, headers: dict[str, str]) -> Truth:
        """Open the truth about a new request."""
        headers.pop("authorization", None)
        truth = Truth(
            request=len(self.truth),
            arrived_ns=now_ns,
            prompt_tokens=prompt_tokens,
            headers=headers,
        )
        self.truth.append(truth)
        if truth.request == 0:
            if self.options.stall_at_s is not None:
                self._loop.call_later(self.options.stall_at_s, time.sleep, self.options.stall_s)
            if self.options.die_at_s is not None:
                self._loop.call_later(self.options.die_at_s, self._die)
        return truth

    def turn(self, now_ns: int, seconds: float) -> int:
        """Return when an answer of ``seconds`` to a request that arrived now may begin."""
        if not self.options.capacity:
            return now_ns
        began_ns = now_ns
        if len(self._busy_until_ns) >= self.options.capacity:
            began_ns = max(now_ns, heapq.heappop(self._busy_until_ns))
        heapq.heappush(self._busy_until_ns, began_ns + round(seconds * 1e9))
        return began_ns

    def settle(self, truth: Truth, outcome: Literal["ok", "fault", "gone"]) -> None:
        """Close the truth about a request; it is written down when there is time."""
        truth.outcome = outcome
        if self._truth_file is not None:
            self._unwritten.append(truth)
            if self._flush_timer is None:
                self._flush_timer = self._loop.call_later(QUIET_S, self._when_quiet)

    def _when_quiet(self) -> None:
        self._flush_timer = None
        if any(connection.truth is not None for connection in self._open):
            self._flush_timer = self._loop.call_later(QUIET_S, self._when_quiet)
        else:
            self.write_truth()

    def write_truth(self) -> None:
        """Append what has been settled to the file."""
        if self._truth_file is not None and self._unwritten:
            lines = b"".join(msgspec.json.encode(truth) + b"\n" for truth in self._unwritten)
            self._unwritten = []
            with self._truth_file.open("ab") as file:
                file.write(lines)

    def metrics(self) -> str:
        """Return counters in Prometheus' text format."""
        reset_s = self.options.counter_reset_at_s
        counted, base = self.truth, self.options.counter_start
        if reset_s is not None and time.monotonic() - self.began_s >= reset_s:
            since_ns = int((self.began_s + reset_s) * 1e9)
            counted, base = [t for t in counted if t.arrived_ns >= since_ns], 0
        values = {
            "prompt_tokens_total": sum(truth.prompt_tokens for truth in counted),
            "generation_tokens_total": sum(truth.tokens for truth in counted),
            "request_success_total": sum(truth.outcome == "ok" for truth in counted),
        }
        prefix = self.options.counter_prefix
        return "".join(
            f"# TYPE {prefix}:{name} counter\n{prefix}:{name} {base + value}\n"
            for name, value in values.items()
        )

    def _asked_to_stop(self) -> None:
        if self.options.stop_exit is not None:
            _end(self.options.stop_exit)
        assert self._stop is not None
        self._stop.set()

    def _die(self) -> None:
        self.write_truth()
        if self.options.die_message:
            print(self.options.die_message, file=sys.stderr, flush=True)  # noqa: T201
        os._exit(1)


def _end(status: int) -> None:
    """End at once: with a status, or below 0 by that signal."""
    if status < 0:
        os.kill(os.getpid(), -status)
        time.sleep(60)
    os._exit(status)


def _make_noise(kind: str) -> None:
    """Write to the log what nobody should print, or keep, as it comes."""
    if kind == "control":
        words = "\x1b]0;gone\x07\n\x1b[2J\x1b[31mRuntimeError: \x1b[5mout of cache\x1b[0m\x00\n"
        print(words, file=sys.stderr, flush=True)  # noqa: T201 -- the log is what this is about
    line = b"INFO 11-01 step of no interest".ljust(99) + b"\n"
    block = (line if kind == "flood" else line.replace(b"\n", b" ")) * 10_000
    for _ in range(10 if kind in {"flood", "line"} else 0):
        os.write(2, block)


def main(argv: list[str] | None = None) -> None:
    """Serve as a process: every field of :class:`Options` is a flag."""
    from pathlib import Path  # noqa: PLC0415 -- only the process needs it

    parser = argparse.ArgumentParser(prog="python -m inferometer.testing.oracle")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--truth", type=Path, help="append the truth here as JSON lines")
    for field in dataclasses.fields(Options):
        parser.add_argument(f"--{field.name.replace('_', '-')}", type=str, default=None)
    given = vars(parser.parse_args(argv))
    host, port, truth_file = given.pop("host"), given.pop("port"), given.pop("truth")
    texts = {name: text for name, text in given.items() if text is not None}
    texts.setdefault("api_key", os.environ.get(KEY_VARIABLE, ""))
    options = msgspec.convert(texts, Options, strict=False)
    if options.ignore_sigterm:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    for asked, escapes in ((options.leave_child, False), (options.child_escapes, True)):
        if asked:
            line = [sys.executable, "-c", "import time; time.sleep(60)"]
            subprocess.Popen(line, start_new_session=escapes)
    _make_noise(options.log_noise)
    if options.load_exit is not None:
        _end(options.load_exit)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    gc.disable()  # a collection among a million stamps would stop every stream
    oracle = Oracle(options, host=host, port=port, truth_file=truth_file)
    oracle.run()
    oracle.check()


if __name__ == "__main__":
    main()
