"""What is offered to a server and what comes of it: the values of the load path."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from inferometer import pace
from inferometer.loadgen.arrivals import Arrivals

if TYPE_CHECKING:
    from collections.abc import Sequence

    from inferometer.load_records import LoadHost
    from inferometer.loadgen.answer import Answer
    from inferometer.records import Request

SAMPLE = 20
"""Answers kept whole, for checks that need their text."""


@dataclass(frozen=True, slots=True)
class Body:
    """One request to send: JSON bytes, prompt index, tokens in it, tokens wanted.

    Requests that follow each other in the source and carry the same ``conversation`` are its
    turns: one stream sends them in order, each ``think_s`` seconds after the one before has ended,
    however it ended. ``think_s`` of a first turn, or without a conversation, means nothing.
    """

    content: bytes
    prompt: int
    input_tokens: int
    output_tokens: int
    conversation: int | None = None
    think_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadPlan:
    """What to offer, after a warm-up that has drained.

    ``warmup_requests`` None means one alone, then one per stream. The mean E2E of those after the
    first is the residence time R; ``window_s`` and ``discard_s`` None follow from it as in
    :mod:`inferometer.pace`. In a closed loop with a window the streams begin one after the other,
    evenly over ``spread`` times R (and ``think_s``, the pause between two turns of a conversation,
    for a stream comes round once in R + ``think_s``), but never later than the window does.
    ``requests`` set means: exactly that many and no window. ``first_index`` numbers the first
    request within its launch.

    ``arrivals`` set means an open loop: ``concurrency`` then is the streams of the warm-up, and
    ``requests`` at most the length of a trace. ``max_in_flight`` caps it (None: no cap); a request
    that waits for the cap keeps its intended time. An arrival is a single request, or the first
    turn of a conversation. A conversation is cut where the warm-up ends and where ``requests`` do.

    Nothing on any stream for ``stall_s`` while requests are in flight ends the load (None: as
    :func:`inferometer.pace.stall_s` says).

    ``workers`` forces a number of processes (None: :func:`inferometer.loadgen.deal.worker_count`).
    """

    concurrency: int
    window_s: float | None = 60.0
    discard_s: float | None = None
    spread: float = 1.0
    """Where first requests are of all ages already, :data:`inferometer.pace.SPREAD` will do."""
    think_s: float = 0.0
    warmup_requests: int | None = None
    requests: int | None = None
    request_timeout_s: float = 600.0
    stall_s: float | None = None
    load_point: int = 0
    first_index: int = 0
    arrivals: Arrivals | None = None
    max_in_flight: int | None = None
    workers: int | None = None

    @property
    def silence_s(self) -> float:
        """Return how long nothing may arrive."""
        return pace.stall_s(self.request_timeout_s) if self.stall_s is None else self.stall_s

    @property
    def warmup(self) -> int:
        """Return the number of requests of the warm-up."""
        return self.concurrency + 1 if self.warmup_requests is None else self.warmup_requests


class Seen(NamedTuple):
    """One request of the load while the load is on. Times are monotonic ns; 0 means never.

    ``place`` is that in the source. ``state``: ``waiting`` for the first byte of an answer,
    ``answering``, ``undecoded`` when it has ended and it is not known yet how, or how it ended; an
    answer without content is an ``error``.
    """

    place: int
    intended_ns: int
    sent_ns: int
    first_ns: int
    last_ns: int
    """First and last content event of one that ended."""
    output_tokens: int
    """As asked for; of one that ended well as ``usage`` says, where it does."""
    state: Literal["waiting", "answering", "undecoded", "ok", "error"]


class Progress(NamedTuple):
    """What a sender can tell in the middle of a load, or all senders together."""

    as_of_ns: int
    """Up to this moment everything is known."""
    ended: list[Seen]
    """Since it was last asked."""
    open: list[Seen]
    lags_ms: list[float]
    """Of the client's ticker, since it was last asked."""
    cpu_s: float
    """Processor time since the window opened, over all processes."""
    workers: int = 1


def ignore(_t_ns: int) -> None:
    """Do nothing at a bound of the window."""


def ignore_bounds(_start_ns: int, _end_ns: int) -> None:
    """Do nothing when a window's bounds are known."""


def ignore_result(_result: LoadResult) -> None:
    """Let what a broken load has measured go."""


def not_yet(_progress: Progress) -> bool:
    """Let the window run its length."""
    return False


def never() -> str | None:
    """Give no reason to stop."""
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Hooks:
    """Called in the process that asked for the load. Keep them short: with one worker stamps wait.

    ``on_window_set`` gets the bounds of a window when they are known, before it opens.
    ``on_window_start`` and ``on_window_end`` get the bound's monotonic ns, within about a
    millisecond of it. ``should_stop`` is polled every 0.2 s; a text ends the load with a
    LaunchError. ``on_broken_off`` gets what was measured until then when the load ends by an error
    or Ctrl-C inside the window; its ``end_ns`` is that moment, and what was in flight is ``cut``.

    ``enough`` is asked every ``look_s`` of the window (0: never) with what there was since it was
    last asked; when it says so, the window ends there and then, and the load with it.
    """

    on_window_set: Callable[[int, int], None] = ignore_bounds
    on_window_start: Callable[[int], None] = ignore
    on_window_end: Callable[[int], None] = ignore
    on_broken_off: Callable[[LoadResult], None] = ignore_result
    should_stop: Callable[[], str | None] = never
    look_s: float = 0.0
    enough: Callable[[Progress], bool] = not_yet


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadResult:
    """What one load point left behind. Times are monotonic ns.

    ``requests`` are in the order of their index. With several workers the last indices before the
    end of a window may have gaps: a faster worker was further ahead in its share. ``chunks`` are
    ``(request index, tokens, flags, t_ns)`` in request order. In the mode ``requests=N`` start and
    end are the beginning of the load (of an open loop: of its schedule) and the last end.
    ``discarded_ns`` runs from the first send after the warm-up to ``start_ns``. ``client_cpu_s`` is
    the sum over the workers, inside the window; lags are p99 inside the window, over the samples of
    all workers of a host, None without any; of several hosts the worst.
    """

    requests: list[Request]
    chunks: Sequence[tuple[int, int, int, int]]
    start_ns: int
    end_ns: int
    discarded_ns: int
    client_cpu_s: float
    loop_lag_p99_ms: float | None
    send_lag_p99_ms: float | None
    retries: int
    """Stale keep-alive connections opened again."""
    sample: list[Answer] = field(default_factory=list)
    """Whole answers, at most :data:`SAMPLE`, spread over the finished requests of the load."""
    workers: int = 1
    """Processes that sent the load."""
    residence_s: float | None = None
    """Mean duration of the warm-up's requests after the first; None without a warm-up."""
    clock_step_ms: float | None = None
    """By how much the wall clock gained on the monotonic one from ``start_ns`` to ``end_ns``."""

    load_hosts: list[LoadHost] = field(default_factory=list)
    """Where the load came from; empty where it came from here."""

    def facts(self) -> dict[str, Any]:
        """Return what :class:`inferometer.records.Window` keeps of it under the same names."""
        return {name: getattr(self, name) for name in FACTS}


FACTS = (
    *("start_ns", "end_ns", "discarded_ns", "residence_s", "client_cpu_s", "workers"),
    *("loop_lag_p99_ms", "send_lag_p99_ms", "clock_step_ms", "load_hosts"),
)
Source = Callable[[int], Body]
"""Gives the i-th request, from 0 (the warm-up's come first). It is called once for each, in order,
in the process that asked for the load; with one worker between two requests of a stream, with more
shortly ahead. So it must be quick: build the bytes beforehand."""
