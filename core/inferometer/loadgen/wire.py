"""Messages between a conductor and its workers: typed msgpack, for the other end may be far away.

Nothing that arrives is ever executed or turned into anything but these types.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from msgspec import Struct

from inferometer.errors import InferometerError, LaunchError
from inferometer.loadgen.closed import Part, Warm
from inferometer.loadgen.deal import Share, Unit
from inferometer.loadgen.http import Target
from inferometer.loadgen.offer import LoadPlan, Progress
from inferometer.loadgen.shelf import Row

Phase = Literal["connect", "alone", "warm_up", "schedule", "window", "count", "finish", "salvage"]
"""The calls of :class:`inferometer.loadgen.conduct.Sender` that a worker answers."""
RESULTS: dict[str, Any] = {"warm_up": Warm, "count": int, "finish": Part, "salvage": Part | None}
"""What a call returns, where that is not None."""


class Setup(Struct, frozen=True, tag=True):
    """The first message to a worker: what to send, where to, which share, how much ahead."""

    target: Target
    plan: LoadPlan
    share: Share
    stock: int
    keyed: bool = False
    """The load host adds the API key that it was started with."""


class Call(Struct, frozen=True, tag=True):
    """Do one phase."""

    name: Phase
    args: list[int | list[float]]


class Ask(Struct, frozen=True, tag=True):
    """Tell how the load stands."""


class Units(Struct, frozen=True, tag=True):
    """Requests to send; ``ended``: there are no more."""

    units: list[Unit]
    ended: bool


class Ping(Struct, frozen=True, tag=True):
    """An exchange of stamps; ``sent_ns`` is of the conductor's clock."""

    sent_ns: int


class Want(Struct, frozen=True, tag=True):
    """Deal so many requests more."""

    count: int


class Rows(Struct, frozen=True, tag=True):
    """Records of ended requests, which belong to the result that follows."""

    rows: list[Row]


class Done(Struct, frozen=True, tag=True):
    """What a phase returned; its type is that of :data:`RESULTS`."""

    name: Phase
    result: msgspec.Raw


class Told(Struct, frozen=True, tag=True):
    """How the load stands."""

    progress: Progress


class Pong(Struct, frozen=True, tag=True):
    """The other half of an exchange; the latter two stamps are of the worker's clock."""

    sent_ns: int
    came_ns: int
    left_ns: int


class Failed(Struct, frozen=True, tag=True):
    """What the load ended of, as a LaunchError says it."""

    message: str
    hint: str
    reason: str
    stage: str
    log_tail: tuple[str, ...]


class Broken(Struct, frozen=True, tag=True):
    """An error that nobody foresaw: its traceback."""

    lines: list[str]


class Alive(Struct, frozen=True, tag=True):
    """The worker's loop runs."""


ToWorker = Setup | Call | Ask | Units | Ping
FromWorker = Want | Rows | Done | Told | Pong | Failed | Broken | Alive
_TO = msgspec.msgpack.Decoder(ToWorker)
_FROM = msgspec.msgpack.Decoder(FromWorker)


def packed(message: ToWorker | FromWorker) -> bytes:
    """Return the bytes of a message."""
    return msgspec.msgpack.encode(message)


def to_worker(data: bytes) -> ToWorker:
    """Return what a conductor said. Raises ``msgspec.MsgspecError``."""
    said: ToWorker = _read(_TO, data)
    return said


def from_worker(data: bytes) -> FromWorker:
    """Return what a worker said. Raises ``msgspec.MsgspecError``."""
    said: FromWorker = _read(_FROM, data)
    return said


def _read(decoder: msgspec.msgpack.Decoder[Any], data: bytes | msgspec.Raw) -> Any:
    try:
        return decoder.decode(data)
    except (UnicodeDecodeError, RecursionError) as error:
        raise msgspec.DecodeError(f"no message: {error}") from error


def done(name: Phase, result: object) -> Done:
    """Return the message of a result."""
    return Done(name, msgspec.Raw(msgspec.msgpack.encode(result)))


def result(message: Done) -> Any:
    """Return the result in a message. Raises ``msgspec.MsgspecError``."""
    return _read(msgspec.msgpack.Decoder(RESULTS.get(message.name)), message.result)


def failed(error: InferometerError) -> Failed:
    """Return the message of an error."""
    if not isinstance(error, LaunchError):
        error = LaunchError(error.message, hint=error.hint, stage="serve")
    return Failed(error.message, error.hint, error.reason, error.stage, error.log_tail)


def raised(message: Failed) -> LaunchError:
    """Return the error in a message."""
    return LaunchError(
        message.message,
        hint=message.hint,
        reason=message.reason,
        stage=message.stage,
        log_tail=message.log_tail,
    )
