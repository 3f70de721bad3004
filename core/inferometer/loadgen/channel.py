"""Values between a process and its own worker, whole, over a socket pair."""

from __future__ import annotations

import asyncio
import pickle
import struct
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import socket

    from inferometer.loadgen.deal import Share
    from inferometer.loadgen.http import Target
    from inferometer.loadgen.offer import LoadPlan

_SIZE = struct.Struct("<Q")
BEAT_S = 1.0
"""A worker says so often that its loop runs."""


class Setup(NamedTuple):
    """The first message to a worker: what to send, where to, which share, how much ahead."""

    target: Target
    plan: LoadPlan
    share: Share
    stock: int


class Channel:
    """One end. Only for the two ends of one program: a message is a pickle."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def over(cls, end: socket.socket) -> Channel:
        """Return a channel over one end of a socket pair, which it then owns."""
        return cls(*await asyncio.open_unix_connection(sock=end))

    async def send(self, *message: Any) -> None:
        """Send; wait while too much is unsent. Raises OSError when the other end is gone."""
        self.post(*message)
        await self._writer.drain()

    def post(self, *message: Any) -> None:
        """Send something small, without waiting."""
        data = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
        self._writer.write(_SIZE.pack(len(data)))
        self._writer.write(data)

    async def receive(self) -> tuple[Any, ...]:
        """Return the next message. Raises EOFError or OSError when the other end is gone."""
        (size,) = _SIZE.unpack(await self._reader.readexactly(_SIZE.size))
        data = await self._reader.readexactly(size)
        message: tuple[Any, ...] = pickle.loads(data)  # noqa: S301 -- from our own other end
        return message

    def close(self) -> None:
        """Close this end; the other sees the end of the stream."""
        self._writer.close()
