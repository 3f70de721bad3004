"""Bytes between a conductor and its worker, message by message, over a socket.

Over a socket pair messages are as they are. Over a network each one carries a code (HMAC-SHA256)
of its content and its number, with a key that both ends made of the token they share: what
somebody else says, repeats or leaves out ends the connection. Nothing is encrypted.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import socket
import struct
from typing import Self

from msgspec import Struct

_SIZE = struct.Struct("<Q")
_CODE = hashlib.sha256().digest_size
MOST_BYTES = 2**30
"""No message is larger: what says so is not ours."""
BEAT_S = 1.0
"""A worker says so often that its loop runs."""


def watched(end: socket.socket, silent_s: int) -> None:
    """Have the kernel send at once, and end a connection whose other end is silent for so long."""
    end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    end.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    end.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, max(1, silent_s // 4))
    end.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, max(1, silent_s // 4))
    end.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, silent_s * 1000)


class Seal(Struct, kw_only=True):
    """Keys of both directions, and how many messages have gone each way."""

    out_key: bytes
    in_key: bytes
    sent: int = 0
    received: int = 0

    def code(self, data: bytes) -> bytes:
        """Return the code of the next message to go out."""
        self.sent += 1
        return _code(self.out_key, self.sent, data)

    def check(self, code: bytes, data: bytes) -> None:
        """Raise ConnectionError unless ``data`` is the next message of the other end."""
        self.received += 1
        if not hmac.compare_digest(code, _code(self.in_key, self.received, data)):
            raise ConnectionError("a message did not come from the other end")


class Channel:
    """One end."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seal: Seal | None = None
    ) -> None:
        self._reader, self._writer, self._seal = reader, writer, seal
        self._code = _CODE if seal is not None else 0

    @classmethod
    async def over(cls, end: socket.socket, seal: Seal | None = None) -> Self:
        """Return a channel over a connected socket, which it then owns."""
        if end.family == socket.AF_UNIX:
            return cls(*await asyncio.open_unix_connection(sock=end), seal)
        return cls(*await asyncio.open_connection(sock=end), seal)

    async def send(self, data: bytes) -> None:
        """Send; wait while too much is unsent. Raises OSError when the other end is gone."""
        self.post(data)
        await self._writer.drain()

    def post(self, data: bytes) -> None:
        """Send something small, without waiting."""
        self._writer.write(framed(data, self._seal))

    async def receive(self) -> bytes:
        """Return the next message. Raises EOFError, ConnectionError or TimeoutError at its end."""
        try:
            head = await self._reader.readexactly(_SIZE.size + self._code)
            data = await self._reader.readexactly(size_of(head))
        except (ConnectionError, TimeoutError):
            raise
        except OSError as error:  # a network that went away
            raise ConnectionError(str(error)) from error
        if self._seal is not None:
            self._seal.check(head[_SIZE.size :], data)
        return data

    def close(self) -> None:
        """Close this end; the other sees the end of the stream."""
        self._writer.close()


HEAD_BYTES = _SIZE.size + _CODE
"""Of a sealed message."""


def framed(data: bytes, seal: Seal | None) -> bytes:
    """Return a message as it goes over the wire."""
    return _SIZE.pack(len(data)) + (b"" if seal is None else seal.code(data)) + data


def size_of(head: bytes) -> int:
    """Return how many bytes follow a head. Raises ConnectionError for more than may."""
    (size,) = _SIZE.unpack_from(head)
    if size > MOST_BYTES:
        raise ConnectionError(f"a message of {size} bytes was announced")
    return int(size)


def opened(head: bytes, data: bytes, seal: Seal) -> bytes:
    """Return ``data``, if it is the next message. Raises ConnectionError."""
    seal.check(head[_SIZE.size :], data)
    return data


def _code(key: bytes, number: int, data: bytes) -> bytes:
    return hmac.digest(key, _SIZE.pack(number) + data, "sha256")
