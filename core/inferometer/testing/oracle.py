"""The oracle: a fake completions server that knows when it wrote which token.

What a load generator reports about it can be checked against :class:`Truth`. It misbehaves on
demand in the ways that real engines do: merged and split packets, tokens without text, errors
inside a 200, streams cut short, idle connections closed. ::

    with Oracle(Options(tokens=8, itl_ms=5)) as oracle:
        ...  # talk to 127.0.0.1:oracle.port
        assert oracle.truth[0].tokens == 8

As a process it can stand in for an engine: ``python -m inferometer.testing.oracle --port 8000``.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import heapq
import socket
import ssl
import threading
import time
from typing import TYPE_CHECKING, Any, Literal, Self, cast

import httptools
import msgspec
import uvloop

from inferometer.testing.options import Options, Truth
from inferometer.testing.script import Script, Step, error_body, script

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

__all__ = ["Options", "Oracle", "Truth", "main"]

SPLIT_GAP_S = 0.004
"""Pause inside a split packet: long enough that the kernel does not join the halves."""


class Oracle:
    """A server in a thread, as a context manager; ``port`` is free to use inside."""

    def __init__(
        self, options: Options | None = None, *, port: int = 0, truth_file: Path | None = None
    ) -> None:
        self.options = options or Options()
        self.port = port
        self.truth: list[Truth] = []
        self.connections = 0
        """Connections accepted so far."""
        self._truth_file = truth_file
        self._loop = uvloop.new_event_loop()
        self._stop: asyncio.Event | None = None
        self._started = threading.Event()
        self._thread = threading.Thread(target=self.run, daemon=True)
        self._open: set[_Connection] = set()
        self._busy_until: list[float] = []
        self._failure: OSError | None = None
        self.began_s = time.monotonic()

    def __enter__(self) -> Self:
        self._thread.start()
        self._started.wait()
        if self._failure is not None:
            raise self._failure
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
        """Serve until stopped, in this thread."""
        try:
            self._loop.run_until_complete(self._serve())
        except OSError as error:
            self._failure = error
        finally:
            self._started.set()
            self._loop.close()

    async def _serve(self) -> None:
        self._stop = asyncio.Event()
        listening = socket.create_server(("127.0.0.1", self.port), backlog=1024)
        self.port = listening.getsockname()[1]
        tls = None
        if self.options.certificate:
            tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            tls.load_cert_chain(self.options.certificate)
        server = await self._loop.create_server(lambda: _Connection(self), sock=listening, ssl=tls)
        self.began_s = time.monotonic()
        self._started.set()
        try:
            await self._stop.wait()
        finally:
            server.close()
            for connection in list(self._open):
                connection.drop()
            await asyncio.sleep(0.01)

    # -- called by connections -------------------------------------------------------------------

    @property
    def ready(self) -> bool:
        """Say whether ``/health`` answers 200."""
        return time.monotonic() - self.began_s >= self.options.ready_after_s

    def opened(self, connection: _Connection) -> None:
        """Count and keep a connection."""
        self.connections += 1
        self._open.add(connection)

    def closed(self, connection: _Connection) -> None:
        """Forget a connection."""
        self._open.discard(connection)

    def arrival(self, prompt_tokens: int, headers: dict[str, str]) -> Truth:
        """Open the truth about a new request."""
        truth = Truth(
            request=len(self.truth),
            arrived_ns=time.monotonic_ns(),
            prompt_tokens=prompt_tokens,
            headers={name: text for name, text in headers.items() if name != "authorization"},
        )
        self.truth.append(truth)
        if truth.request == 0 and self.options.stall_at_s is not None:
            self._loop.call_later(self.options.stall_at_s, time.sleep, self.options.stall_s)
        return truth

    def turn(self, seconds: float) -> float:
        """Return the loop's time at which an answer of ``seconds`` may begin."""
        now = self._loop.time()
        if not self.options.capacity:
            return now
        if len(self._busy_until) < self.options.capacity:
            began = now
        else:
            began = max(now, heapq.heappop(self._busy_until))
        heapq.heappush(self._busy_until, began + seconds)
        return began

    def settle(self, truth: Truth, outcome: Literal["ok", "fault", "gone"]) -> None:
        """Close the truth about a request, and write it down if asked to."""
        truth.outcome = outcome
        if self._truth_file is not None:
            with self._truth_file.open("ab") as file:
                file.write(msgspec.json.encode(truth) + b"\n")


class _Connection(asyncio.Protocol):
    """One client connection: parse a request, then write its script on an absolute schedule."""

    def __init__(self, oracle: Oracle) -> None:
        self.oracle = oracle
        self.options = oracle.options
        self.transport: asyncio.Transport | None = None
        self.parser = httptools.HttpRequestParser(self)
        self.path = ""
        self.headers: dict[str, str] = {}
        self.body = b""
        self.truth: Truth | None = None
        self.timer: asyncio.TimerHandle | None = None

    def drop(self) -> None:
        """Close at once, whatever is going on."""
        if self.transport is not None:
            self.transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports do not inherit from asyncio.Transport
        self.transport = cast("asyncio.Transport", transport)
        self.oracle.opened(self)
        self._idle()

    def connection_lost(self, _exc: Exception | None) -> None:
        self.transport = None
        self.oracle.closed(self)
        self._cancel()
        if self.truth is not None:
            self._settle("gone")

    def data_received(self, data: bytes) -> None:
        self._cancel()
        try:
            self.parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self.drop()

    def on_message_begin(self) -> None:
        self.body = b""
        self.headers = {}

    def on_url(self, url: bytes) -> None:
        path = url.decode("latin-1").split("?", 1)[0]
        base = self.options.base_path
        self.path = path.removeprefix(base) if path.startswith(base) else ""

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        if self.path in ("/v1/completions", "/v1/chat/completions"):
            self._complete()
        elif self.path == "/v1/models":
            listed = {"object": "list", "data": [{"id": self.options.model, "object": "model"}]}
            self._reply(200, listed)
        elif self.path == "/health":
            self._reply(200 if self.oracle.ready else 503, {})
        else:
            self._reply(404, error_body(self.options.error_shape, 404, "no such path"))

    # -- answers ---------------------------------------------------------------------------------

    def _complete(self) -> None:
        options = self.options
        if options.api_key and self.headers.get("authorization") != f"Bearer {options.api_key}":
            self._reply(401, error_body(options.error_shape, 401, "wrong or missing key"))
            return
        try:
            request = msgspec.json.decode(self.body, type=dict[str, Any])
            plan = script(request, options, chat=self.path.startswith("/v1/chat"))
        except (msgspec.DecodeError, KeyError, ValueError) as error:
            self._reply(400, error_body(options.error_shape, 400, f"bad request: {error}"))
            return
        truth = self.truth = self.oracle.arrival(plan.prompt_tokens, self.headers)
        fault = options.fault if (truth.request + 1) % options.fault_every == 0 else ""
        if fault == "reset":
            self._settle("fault")
            self.drop()
        elif fault in ("400", "503"):
            self._settle("fault")
            status = int(fault)
            self._reply(status, error_body(options.error_shape, status, "refused on purpose"))
        elif not plan.stream:
            truth.tokens = plan.tokens
            self._after(plan.steps[-1].due_s, lambda: self._answer_whole(plan))
        else:
            self._stream(plan.with_fault(fault, options), fault)

    def _answer_whole(self, plan: Script) -> None:
        self._settle("ok")
        self._reply(200, plan.whole)

    def _reply(self, status: int, body: Any) -> None:
        content = msgspec.json.encode(body)
        head = self._head(status, "application/json", f"content-length: {len(content)}\r\n")
        self._write(head + content)
        self._ended()

    def _head(self, status: int, kind: str, framing: str) -> bytes:
        close = "connection: close\r\n" if self._closes else ""
        return f"HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\n{framing}{close}\r\n".encode()

    @property
    def _closes(self) -> bool:
        return self.options.connection_close or self.options.framing == "close"

    def _stream(self, plan: Script, fault: str) -> None:
        chunked = self.options.framing == "chunked"
        framing = "transfer-encoding: chunked\r\n" if chunked else ""
        self._write(self._head(200, "text/event-stream; charset=utf-8", framing))
        began = self.oracle.turn(plan.steps[-1].due_s)
        self._next(list(reversed(plan.steps)), began, fault)

    def _next(self, steps: list[Step], began: float, fault: str) -> None:
        """Arm the timer for the last of ``steps`` (they are in reverse), or end the body."""
        if not steps:
            self._end_body(fault)
            return
        step = steps.pop()
        loop = asyncio.get_running_loop()
        self.timer = loop.call_at(
            began + step.due_s, lambda: self._emit(step, lambda: self._next(steps, began, fault))
        )

    def _emit(self, step: Step, then: Any) -> None:
        truth = self.truth
        if truth is None:
            return
        data = step.data
        if self.options.framing == "chunked":
            data = b"%x\r\n%b\r\n" % (len(data), data)
        if self.options.split:
            half = len(data) // 2
            self._write(data[:half])
            self._after(SPLIT_GAP_S, lambda: self._second_half(data[half:], step, then))
        else:
            self._second_half(data, step, then)

    def _second_half(self, data: bytes, step: Step, then: Any) -> None:
        if self.truth is not None and step.tokens:
            self.truth.writes.append((time.monotonic_ns(), step.tokens))
            self.truth.tokens += step.tokens
        self._write(data)
        then()

    def _end_body(self, fault: str) -> None:
        self._settle("fault" if fault else "ok")
        if fault == "truncate":
            if self.transport is not None:
                self.transport.close()
            return
        if self.options.framing == "chunked":
            self._write(b"0\r\n\r\n")
        self._ended()

    # -- small things ----------------------------------------------------------------------------

    def _write(self, data: bytes) -> None:
        if self.transport is not None:
            self.transport.write(data)

    def _ended(self) -> None:
        if self._closes and self.transport is not None:
            self.transport.close()
        self._idle()

    def _idle(self) -> None:
        if self.options.idle_close_s is not None:
            self._after(self.options.idle_close_s, self._close_idle)

    def _close_idle(self) -> None:
        if self.transport is not None:
            self.transport.close()

    def _after(self, seconds: float, call: Any) -> None:
        self.timer = asyncio.get_running_loop().call_later(seconds, call)

    def _cancel(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None

    def _settle(self, outcome: Literal["ok", "fault", "gone"]) -> None:
        if self.truth is not None:
            self.oracle.settle(self.truth, outcome)
            self.truth = None


def main(argv: list[str] | None = None) -> None:
    """Serve as a process: every field of :class:`Options` is a flag."""
    from pathlib import Path  # noqa: PLC0415 -- only the process needs it

    parser = argparse.ArgumentParser(prog="python -m inferometer.testing.oracle")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--truth", type=Path, help="append the truth here as JSON lines")
    for field in dataclasses.fields(Options):
        parser.add_argument(f"--{field.name.replace('_', '-')}", type=str, default=None)
    given = vars(parser.parse_args(argv))
    port, truth_file = given.pop("port"), given.pop("truth")
    texts = {name: text for name, text in given.items() if text is not None}
    Oracle(msgspec.convert(texts, Options, strict=False), port=port, truth_file=truth_file).run()


if __name__ == "__main__":
    main()
