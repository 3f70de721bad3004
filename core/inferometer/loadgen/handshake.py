"""How a conductor and a load host find out that both know the token, before anything else.

Each sends a random number and proves the token with a code over both numbers; the token itself
never travels, and the numbers make the keys of this one connection (see
:class:`inferometer.loadgen.channel.Seal`). A stranger learns the name of the protocol.
"""

from __future__ import annotations

import asyncio
import hmac
import secrets
from typing import TYPE_CHECKING, NamedTuple

import msgspec
from msgspec import Struct

from inferometer.errors import LaunchError, UsageError
from inferometer.loadgen.channel import HEAD_BYTES, Seal, framed, opened, size_of

if TYPE_CHECKING:
    import socket
    from collections.abc import Sequence

MAGIC = b"inferometer-load-1\n"
NONCE, PROOF = 32, 32
RUN = 16
"""Bytes of the random name of one load."""
LEAST_TOKEN = 16
"""Characters: a shorter token can be guessed from one recorded handshake."""
TIMEOUT_S = 10.0


class Hello(Struct, frozen=True, kw_only=True):
    """What a load host says of itself."""

    version: str
    cores: int
    busy: bool
    """Another load is being sent from there."""
    keyed: bool
    """It was started with an API key of its own."""


class LoadHostError(LaunchError):
    """A load host cannot do its part, or is lost: no fault of the server under test."""

    def __init__(self, message: str, *, hint: str, log_tail: Sequence[str] = ()) -> None:
        super().__init__(message, hint=hint, stage="serve", log_tail=log_tail)


class StrangerError(Exception):
    """The other end does not know the token, or does not speak this protocol."""


class Guest(NamedTuple):
    """A conductor that proved the token."""

    seal: Seal
    run: bytes


def checked(token: str, place: str) -> bytes:
    """Return a token as bytes. Raises UsageError for one that is too short to keep a secret."""
    token = token.strip()
    if len(token) < LEAST_TOKEN:
        raise UsageError(
            f"{place}: a token of load hosts has {LEAST_TOKEN} characters at least",
            hint="Make one: python -c 'import secrets; print(secrets.token_hex(16))'",
        )
    return token.encode()


async def admit(end: socket.socket, token: bytes) -> Guest:
    """Have whoever connected prove the token. Raises StrangerError, OSError or TimeoutError."""
    loop = asyncio.get_running_loop()
    ours = secrets.token_bytes(NONCE)
    async with asyncio.timeout(TIMEOUT_S):
        await loop.sock_sendall(end, MAGIC + ours)
        said = await _exactly(end, NONCE + RUN + PROOF)
        theirs, run, proof = said[:NONCE], said[NONCE : NONCE + RUN], said[NONCE + RUN :]
        if not hmac.compare_digest(proof, _proof(token, b"conductor", ours + theirs + run)):
            raise StrangerError
        await loop.sock_sendall(end, _proof(token, b"host", ours + theirs + run))
    numbers = ours + theirs + run
    keys = _proof(token, b"from host", numbers), _proof(token, b"to host", numbers)
    return Guest(Seal(out_key=keys[0], in_key=keys[1]), run)


async def greet(end: socket.socket, guest: Guest, hello: Hello) -> None:
    """Say who the host is: the first sealed message."""
    data = framed(msgspec.msgpack.encode(hello), guest.seal)
    await asyncio.get_running_loop().sock_sendall(end, data)


async def enter(end: socket.socket, token: bytes, run: bytes, address: str) -> tuple[Seal, Hello]:
    """Prove the token to a load host, and have it do so. Raises LoadHostError."""
    try:
        async with asyncio.timeout(TIMEOUT_S):
            return await _enter(end, token, run)
    except StrangerError:
        words = "refused us: it was started with another token, or is no load host"
    except (OSError, EOFError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        words = f"did not answer as a load host does: {str(error) or type(error).__name__}"
    raise LoadHostError(
        f"load host {address} {words}",
        hint="Give both ends the same token, and the port that `inferometer loadhost` printed.",
    )


async def _enter(end: socket.socket, token: bytes, run: bytes) -> tuple[Seal, Hello]:
    loop = asyncio.get_running_loop()
    said = await _exactly(end, len(MAGIC) + NONCE)
    if not said.startswith(MAGIC):
        raise StrangerError
    theirs, ours = said[len(MAGIC) :], secrets.token_bytes(NONCE)
    numbers = theirs + ours + run
    await loop.sock_sendall(end, ours + run + _proof(token, b"conductor", numbers))
    try:
        proof = await _exactly(end, PROOF)
    except (EOFError, ConnectionError):
        raise StrangerError from None
    if not hmac.compare_digest(proof, _proof(token, b"host", numbers)):
        raise StrangerError
    keys = _proof(token, b"to host", numbers), _proof(token, b"from host", numbers)
    seal = Seal(out_key=keys[0], in_key=keys[1])
    head = await _exactly(end, HEAD_BYTES)
    data = opened(head, await _exactly(end, size_of(head)), seal)
    return seal, msgspec.msgpack.decode(data, type=Hello)


async def _exactly(end: socket.socket, count: int) -> bytes:
    """Read so many bytes and none beyond: what follows is for a worker to read."""
    loop, parts = asyncio.get_running_loop(), b""
    while len(parts) < count:
        part = await loop.sock_recv(end, count - len(parts))
        if not part:
            raise EOFError("the connection was closed")
        parts += part
    return parts


def _proof(token: bytes, what: bytes, numbers: bytes) -> bytes:
    return hmac.digest(token, what + b"\0" + numbers, "sha256")
