"""One client's connection to the oracle: read a request, write its script on an absolute schedule.

Events go out by ``os.write`` straight to the socket, so that the stamp in the truth is the time of
the system call and not of a queue; what a slow client's socket does not take, and everything under
TLS, goes through the event loop's transport.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import time
from typing import TYPE_CHECKING, Any, Literal, cast

import httptools
import msgspec

from inferometer.testing.misbehaving import RAW, Raw
from inferometer.testing.script import Script, Step, error_body, script

if TYPE_CHECKING:
    from inferometer.testing.options import Truth
    from inferometer.testing.oracle import Oracle

SPLIT_GAP_NS = 4_000_000
"""Pause inside a split packet: long enough that the kernel does not join the halves."""
EVENTS = "text/event-stream; charset=utf-8"
ANSWERS = ("/v1/completions", "/v1/chat/completions")

_request = msgspec.json.Decoder(dict[str, Any])


class Connection(asyncio.Protocol):
    """A keep-alive connection, with one request at a time."""

    def __init__(self, oracle: Oracle) -> None:
        self.oracle = oracle
        self.options = oracle.options
        self.truth: Truth | None = None
        """Of the answer in progress."""
        self.stamps: list[int] = []
        """Times of its content writes so far."""
        self._transport: asyncio.Transport | None = None
        self._fd = -1
        self._parser = httptools.HttpRequestParser(self)
        self._path = ""
        self._headers: dict[str, str] = {}
        self._body = b""
        self._arrived_ns = self._began_ns = 0
        self._unread: list[bytes] = []
        self._steps: tuple[Step, ...] = ()
        self._place = 0
        self._second_half = b""
        self._fault = ""
        self._idle_timer: asyncio.TimerHandle | None = None
        self._next = self._step  # bound once, not once an event

    def drop(self) -> None:
        """Close at once, whatever is going on."""
        self._fd = -1
        if self._transport is not None:
            self._transport.abort()

    # -- reading ---------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport; without TLS its socket as well."""
        # uvloop's transports do not inherit from asyncio.Transport
        self._transport = cast("asyncio.Transport", transport)
        if transport.get_extra_info("ssl_object") is None:
            self._fd = transport.get_extra_info("socket").fileno()
        self.oracle.opened(self)
        self._wait_idle()

    def connection_lost(self, _exc: Exception | None) -> None:
        """Note an answer that the client did not wait for."""
        self._transport, self._fd = None, -1
        self.oracle.closed(self)
        self._end_idle()
        self._settle("gone")

    def data_received(self, data: bytes) -> None:
        """Stamp, and read on: a burst is understood when all that arrived with it has its stamp."""
        self._arrived_ns = time.monotonic_ns()
        self._end_idle()
        if not self._unread:
            self.oracle.understand(self)
        self._unread.append(data)
        if self.options.read_pause_ms and self._transport is not None:
            self._transport.pause_reading()
            pause_s = self.options.read_pause_ms * 1e-3
            asyncio.get_running_loop().call_later(pause_s, self._read_on)

    def understand(self) -> None:
        """Parse what arrived and answer it."""
        data, self._unread = b"".join(self._unread), []
        if self._transport is None:
            return
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self.drop()

    def _read_on(self) -> None:
        if self._transport is not None:
            self._transport.resume_reading()

    def on_message_begin(self) -> None:
        """Begin a request."""
        self._body = b""
        self._headers = {}

    def on_url(self, url: bytes) -> None:
        """Keep the path behind ``base_path``."""
        path = url.decode("latin-1").split("?", 1)[0]
        base = self.options.base_path
        self._path = path.removeprefix(base) if path.startswith(base) else ""

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header."""
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_body(self, body: bytes) -> None:
        """Keep a piece of the body."""
        self._body += body

    def on_message_complete(self) -> None:
        """Answer."""
        if self.truth is not None:
            self.drop()  # nobody may pipeline requests: their arrival would mean nothing
        elif self._path in ANSWERS:
            self._complete(self._arrived_ns)
        elif self._path == "/v1/models":
            listed = {"object": "list", "data": [{"id": self.options.model, "object": "model"}]}
            self._reply(200, listed)
        elif self._path == "/health" and self.options.health_fault:
            self._break(RAW[self.options.health_fault])
        elif self._path == "/health":
            self._reply(200 if self.oracle.ready else 503, {})
        elif self._path == "/metrics" and self.options.metrics_fault:
            self._break(RAW[self.options.metrics_fault])
        elif self._path == "/metrics":
            self._reply_with(200, "text/plain; version=0.0.4", self.oracle.metrics().encode())
        else:
            self._reply(404, error_body(self.options.error_shape, 404, "no such path"))

    # -- answers ---------------------------------------------------------------------------------

    def _complete(self, now_ns: int) -> None:
        options = self.options
        if options.api_key and self._headers.get("authorization") != f"Bearer {options.api_key}":
            self._reply(401, error_body(options.error_shape, 401, "wrong or missing key"))
            return
        try:
            plan = script(_request.decode(self._body), options, chat=self._path == ANSWERS[1])
        except (msgspec.DecodeError, KeyError, ValueError) as error:
            self._reply(400, error_body(options.error_shape, 400, f"bad request: {error}"))
            return
        truth = self.truth = self.oracle.arrival(now_ns, plan.prompt_tokens, self._headers)
        self._began_ns = self.oracle.turn(now_ns, plan.steps[-1].due_s)
        fault = options.fault if (truth.request + 1) % options.fault_every == 0 else ""
        if fault == "reset":
            self._settle("fault")
            self.drop()
        elif fault in RAW:
            self._settle("fault")
            self._break(RAW[fault])
        elif fault in ("400", "503"):
            self._settle("fault")
            status = int(fault)
            self._reply(status, error_body(options.error_shape, status, "refused on purpose"))
        elif not plan.stream:
            self._at(plan.steps[-1].due_s, functools.partial(self._answer_whole, plan))
        else:
            self._write(_head(200, EVENTS, self._framing(), close=self._closes))
            self._steps = plan.with_fault(fault, options).steps
            self._place, self._fault = 0, fault
            self._at(self._steps[0].due_s, self._next)

    def _break(self, raw: Raw) -> None:
        """Send bytes in place of an answer, and go on for as long as anybody is there."""
        self._write(raw.first)
        if raw.close:
            self._close()
        elif raw.again:
            asyncio.get_running_loop().call_later(raw.every_s, self._break_on, raw)

    def _break_on(self, raw: Raw) -> None:
        if self._transport is not None and not self._transport.is_closing():
            if self._transport.get_write_buffer_size() < len(raw.again):  # it is being read
                self._write(raw.again)
            asyncio.get_running_loop().call_later(raw.every_s, self._break_on, raw)

    def _at(self, due_s: float, call: Any) -> None:
        """Call at a time that counts from the request's arrival, or from when it has its turn."""
        if self.truth is not None:
            self.oracle.wheel.at(self._began_ns + int(due_s * 1e9), call)

    def _answer_whole(self, plan: Script) -> None:
        if self.truth is not None:
            self.truth.tokens = plan.tokens
            self._settle("ok")
            self._reply(200, plan.whole())

    def _step(self) -> None:
        """Write the packet that is due, and arm the timer for the one after it."""
        truth = self.truth
        if truth is None:
            return
        step = self._steps[self._place]
        data = self._second_half or self._framed(step.data)
        now_ns = time.monotonic_ns()
        if self.options.split and not self._second_half:
            half = len(data) // 2
            self._second_half = data[half:]
            self._write(data[:half])
            self.oracle.wheel.at(now_ns + SPLIT_GAP_NS, self._next)
            return
        self._second_half = b""
        if step.tokens:
            self.stamps.append(now_ns)
        self._place += 1
        if self._place == len(self._steps):
            self._end_body(data)
            return
        self._write(data)
        following = self._steps[self._place]
        due_ns = self._began_ns + int(following.due_s * 1e9)
        if following.tokens or due_ns > now_ns:
            self.oracle.wheel.at(due_ns, self._next)
        else:
            self._step()  # the end of an answer comes right behind its last content

    def _framed(self, data: bytes) -> bytes:
        """Frame a packet; the last one brings the end of the body along."""
        if self.options.framing != "chunked":
            return data
        last = self._place == len(self._steps) - 1 and self._fault != "truncate"
        return b"%x\r\n%b\r\n%b" % (len(data), data, b"0\r\n\r\n" if last else b"")

    def _end_body(self, data: bytes) -> None:
        """Write the last packet; the truth is told before the client can know that it is over."""
        self._settle("fault" if self._fault in ("error", "truncate") else "ok")
        self._write(data)
        if self._fault == "truncate":
            self._close()
        else:
            self._ended()

    def _reply(self, status: int, body: Any) -> None:
        self._reply_with(status, "application/json", msgspec.json.encode(body))

    def _reply_with(self, status: int, kind: str, content: bytes) -> None:
        length = f"content-length: {len(content)}\r\n"
        self._write(_head(status, kind, length, close=self._closes) + content)
        self._ended()

    @property
    def _closes(self) -> bool:
        return self.options.connection_close or self.options.framing == "close"

    def _framing(self) -> str:
        return "transfer-encoding: chunked\r\n" if self.options.framing == "chunked" else ""

    # -- small things ----------------------------------------------------------------------------

    def _write(self, data: bytes) -> None:
        transport = self._transport
        if transport is None:
            return
        if self._fd >= 0 and not transport.get_write_buffer_size():
            sent = 0
            with contextlib.suppress(OSError):  # full, or reset: the transport finds out
                sent = os.write(self._fd, data)
            if sent == len(data):
                return
            data = data[sent:]
        transport.write(data)

    def _close(self) -> None:
        self._fd = -1
        if self._transport is not None:
            self._transport.close()

    def _ended(self) -> None:
        if self._closes:
            self._close()
        self._wait_idle()

    def _wait_idle(self) -> None:
        if self.options.idle_close_s is not None:
            loop = asyncio.get_running_loop()
            self._idle_timer = loop.call_later(self.options.idle_close_s, self._close)

    def _end_idle(self) -> None:
        if self._idle_timer is not None:
            self._idle_timer.cancel()
            self._idle_timer = None

    def _settle(self, outcome: Literal["ok", "fault", "gone"]) -> None:
        truth, self.truth = self.truth, None
        if truth is None:
            return
        if self.stamps:
            counts = (step.tokens for step in self._steps if step.tokens)
            truth.writes = list(zip(self.stamps, counts, strict=False))
            truth.tokens = sum(tokens for _, tokens in truth.writes)
        self.stamps = []
        self.oracle.settle(truth, outcome)


@functools.lru_cache(maxsize=32)
def _head(status: int, kind: str, framing: str, *, close: bool) -> bytes:
    closing = "connection: close\r\n" if close else ""
    return f"HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\n{framing}{closing}\r\n".encode()
