"""A lean HTTP/1.1 client for streamed answers: stamp when bytes arrive, understand them later.

One :class:`Client` is one stream of a load: one keep-alive connection, one request in flight. The
hot path is :meth:`Connection.data_received`, which reads the clock once per packet and keeps the
raw body bytes. HTTP client libraries cost 3 to 8 times the processor time per event and stamp
late in bursts.
"""

from __future__ import annotations

import asyncio
import errno
import os
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, cast

import httptools

from inferometer.errors import MachineError

OURS = (errno.EMFILE, errno.ENFILE)
"""What is wrong with us when a connection cannot be opened, and not with the server."""
CONNECT_TIMEOUT_S = 10.0
MOST_HEAD = 256 << 10
"""Bytes of a status line and headers."""
PACKET_OVERHEAD = 130
"""Bytes that Python needs beside the content of one kept packet."""
MOST_BYTES = 8 << 20
"""Of an answer to a request that says nothing of its length; see :attr:`Exchange.most_bytes`."""

Outcome = Literal[
    "open", "complete", "refused", "lost", "truncated", "timeout", "protocol", "oversized"
]
"""``open``: not ended, or cut by us. ``refused``: no connection. ``lost``: closed before the first
byte of an answer. ``truncated``: closed inside the answer. ``protocol``: not HTTP, or compressed.
``oversized``: more than any answer has."""


@dataclass(frozen=True, slots=True)
class Tls:
    """How HTTPS is spoken: a description, for a context cannot be sent to another process."""

    insecure: bool = False
    """Take any certificate."""

    def context(self) -> ssl.SSLContext:
        """Return a client's context; ``SSL_CERT_FILE`` adds authorities, as everywhere."""
        context = ssl.create_default_context()
        context.set_alpn_protocols(["http/1.1"])
        if self.insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context


@dataclass(frozen=True, slots=True)
class Target:
    """Where requests go. ``tls`` set means HTTPS."""

    host: str
    port: int
    path: str = "/v1/completions"
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)  # may hold a key
    tls: Tls | None = None

    def head(self) -> bytes:
        """Return the request head up to the value of ``content-length``; it never changes."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        lines = [f"POST {self.path} HTTP/1.1"]
        names = {name.lower() for name in self.headers}
        if "host" not in names:
            lines.append(f"host: {host}:{self.port}")
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        if "content-type" not in names:
            lines.append("content-type: application/json")
        return ("\r\n".join(lines) + "\r\ncontent-length: ").encode("latin-1")


def frame(head: bytes, body: bytes) -> bytes:
    """Return the bytes of one whole request; ``head`` comes from :meth:`Target.head`."""
    return b"%b%d\r\n\r\n%b" % (head, len(body), body)


@dataclass(slots=True, eq=False)
class Exchange:
    """One request and what came back. Times are ``time.monotonic_ns``; 0 means never.

    ``packets`` are ``(arrival ns, body bytes)``, without HTTP framing, in order of arrival; a
    packet that completed several HTTP chunks is several entries with one stamp.
    """

    sent_ns: int = 0
    end_ns: int = 0
    status: int | None = None
    packets: list[tuple[int, bytes]] = field(default_factory=list)
    outcome: Outcome = "open"
    detail: str = ""
    retried: bool = False
    most_bytes: int = MOST_BYTES
    """An answer with more is given up: a stream without an end must not fill the memory."""

    def body(self) -> bytes:
        """Return the whole body."""
        return b"".join(part for _, part in self.packets)


class Connection(asyncio.Protocol):
    """One TCP connection; calls ``done`` (a future) when the exchange given to it has ended."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._exchange: Exchange | None = None
        self._done: asyncio.Future[None] | None = None
        self._now = 0
        self._left = 0
        """Bytes that may still come: of the head, then of the rest."""
        self._coding = ""
        self._answered = False
        self._until_eof = False
        self._framed = False

    @property
    def usable(self) -> bool:
        """Say whether another request may be sent."""
        return self._transport is not None and not self._transport.is_closing()

    def send(self, request: bytes, exchange: Exchange) -> asyncio.Future[None]:
        """Write ``request``; the future resolves when ``exchange`` has its outcome."""
        assert self._transport is not None
        self._exchange = exchange
        self._answered = self._framed = self._until_eof = False
        self._left, self._coding = MOST_HEAD, ""
        self._done = asyncio.get_running_loop().create_future()
        exchange.sent_ns = time.monotonic_ns()
        self._transport.write(request)
        return self._done

    def close(self) -> None:
        """Drop the connection at once; an exchange in flight stays ``open``."""
        self._exchange = None
        if self._transport is not None:
            self._transport.abort()

    def expire(self) -> None:
        """End the exchange in flight as ``timeout``."""
        self._finish("timeout", "no complete answer within the request timeout")
        self.close()

    # -- asyncio ---------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        # uvloop's transports do not inherit from asyncio.Transport
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Stamp, then let the parser take the HTTP framing off."""
        self._now = time.monotonic_ns()
        if self._exchange is None:  # bytes nobody asked for, such as a 408 before an idle close
            self.close()
            return
        self._answered = True
        self._left -= len(data)
        try:
            self._parser.feed_data(data)
            if self._left < 0:
                self._too_much()
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._finish("protocol", f"the answer is not HTTP/1.1: {error}")
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """End the exchange in flight: whole if its end is the connection's, else not."""
        self._now = time.monotonic_ns()
        reason = str(exc) if exc else "closed by the server"
        if not self._answered:
            self._finish("lost", f"connection lost before an answer: {reason}")
        elif self._until_eof and exc is None:
            self._finish("complete")
        else:
            self._finish("truncated", f"connection lost inside the answer: {reason}")
        self._transport = None

    # -- httptools -------------------------------------------------------------------------------

    def on_header(self, name: bytes, value: bytes) -> None:
        """Note whether the body says where it ends, and whether it is compressed."""
        name = name.lower()
        if name in (b"content-length", b"transfer-encoding"):
            self._framed = True
        elif name == b"content-encoding":
            self._coding = value[:40].decode("latin-1").strip().lower()

    def on_headers_complete(self) -> None:
        """Keep the status code; refuse a body that is not what was asked for."""
        exchange = self._exchange
        if exchange is None:
            return
        exchange.status = self._parser.get_status_code()
        self._until_eof = not self._framed
        if exchange.status >= 200:
            self._left = exchange.most_bytes
        if self._coding not in ("", "identity"):
            words = f"the answer (HTTP {exchange.status}) is compressed as {self._coding!r}"
            self._finish("protocol", f"{words}, which was not asked for")
            self.close()

    def on_body(self, body: bytes) -> None:
        """Keep a piece of the body with the stamp of the packet that brought it."""
        if self._exchange is not None:
            self._exchange.packets.append((self._now, body))
            self._left -= PACKET_OVERHEAD

    def on_message_complete(self) -> None:
        """End the exchange; close when the server said that it will."""
        if self._exchange is None:
            return
        if self._exchange.status is not None and self._exchange.status < 200:
            self._framed = self._until_eof = False
            return  # 1xx: the answer proper follows
        keep = self._parser.should_keep_alive()
        self._finish("complete")
        if not keep and self._transport is not None:
            self._transport.close()

    def _too_much(self) -> None:
        exchange = self._exchange
        if exchange is not None:
            most = MOST_HEAD if exchange.status is None else exchange.most_bytes
            part = "head of the answer" if exchange.status is None else "answer"
            self._finish("oversized", f"the {part} has more than {most / 2**20:.3g} MiB")
            exchange.packets = []
            self.close()

    def _finish(self, outcome: Outcome, detail: str = "") -> None:
        exchange, self._exchange = self._exchange, None
        if exchange is None:
            return
        exchange.end_ns = self._now if outcome == "complete" else time.monotonic_ns()
        exchange.outcome, exchange.detail = outcome, detail
        if self._done is not None and not self._done.done():
            self._done.set_result(None)


class Client:
    """One stream's connection to a target, opened again when needed. Not for two tasks at once."""

    def __init__(
        self, target: Target, number: int = 0, context: ssl.SSLContext | None = None
    ) -> None:
        self.number = number
        self._target = target
        self._context = context
        """Shared by the clients of a process: loading the authorities takes milliseconds."""
        self._connection: Connection | None = None

    async def open(self) -> None:
        """Connect now, so that no request pays for it.

        Raises:
            OSError: the target takes no connection.
            MachineError: this process may open no more.
        """
        loop = asyncio.get_running_loop()
        target = self._target
        if target.tls is not None and self._context is None:
            self._context = target.tls.context()
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                _, self._connection = await loop.create_connection(
                    Connection, target.host, target.port, ssl=self._context
                )
        except OSError as error:
            if error.errno in OURS:
                raise MachineError(
                    f"no more connections can be opened from here: {os.strerror(error.errno)}",
                    hint="Raise the limit of open files (`ulimit -n`), or offer less load.",
                ) from error
            raise

    def close(self) -> None:
        """Drop the connection at once; the server sees a client that went away."""
        if self._connection is not None:
            self._connection.close()

    async def ask(self, request: bytes, exchange: Exchange, timeout_s: float) -> None:
        """Send ``request`` and wait until ``exchange`` has its outcome.

        A kept-alive connection that the server had closed without a byte of an answer is opened
        again and the request sent once more (RFC 9112, 9.3.1); ``sent_ns`` is then the later send.
        Raises MachineError when this process may open no more; nothing else.
        """
        kept = self._connection is not None and self._connection.usable
        await self._once(request, exchange, timeout_s)
        if kept and exchange.outcome == "lost":
            exchange.retried = True
            exchange.outcome, exchange.detail = "open", ""
            self._connection = None
            await self._once(request, exchange, timeout_s)

    async def _once(self, request: bytes, exchange: Exchange, timeout_s: float) -> None:
        if self._connection is None or not self._connection.usable:
            try:
                await self.open()
            except OSError as error:  # TimeoutError is one
                exchange.sent_ns = exchange.sent_ns or time.monotonic_ns()
                exchange.end_ns = time.monotonic_ns()
                exchange.outcome = "refused"
                exchange.detail = f"no connection to {self._target.host}:{self._target.port}: " + (
                    str(error) or type(error).__name__
                )
                return
        connection = self._connection
        assert connection is not None
        timer = asyncio.get_running_loop().call_later(timeout_s, connection.expire)
        try:
            await connection.send(request, exchange)
        finally:
            timer.cancel()
