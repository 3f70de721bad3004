"""The requests of one load point in one round: the same for every stack and model."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from inferometer import pace, workload
from inferometer.loadgen.arrivals import Arrivals
from inferometer.workloads import dialogues, replay, requests, starts

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from inferometer.plan import LoadPoint
    from inferometer.study import Protocol

REQUESTS_PER_S = 60
"""Requests prepared for each second of a closed loop."""
LEAST_PER_STREAM = 16
STREAMS = 2
"""Streams that warm up for an open loop: with the first request alone, three requests."""
AFTER_S = 2.0
"""An open loop has requests for so long after its window, so that it closes under load."""
ROOM_S = 30.0
"""Requests of an open loop are prepared for so long a discarded time, where it is not set."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """Prompts, and for each the output length to ask for; those of the warm-up come first."""

    prompts: workload.PromptSet
    output_tokens: tuple[int, ...]
    warmup: int
    """Requests of the warm-up."""
    streams: int
    """Streams of the closed loop, or of the warm-up of an open one."""
    firsts: tuple[int, ...] = ()
    """Of a closed loop the place of each stream's first request after the warm-up."""
    again: int
    """Where to go on when all requests were sent."""
    reuse: float = 0.0
    """Share of the measured prompts' tokens that a perfect prefix cache need not compute."""
    turns: tuple[tuple[int | None, float], ...] = ()
    """Of conversations: each request's conversation, and the pause before it in s."""
    arrivals: Arrivals | None = None
    """Of an open loop."""
    offsets_s: tuple[float, ...] = ()
    """When the requests after the warm-up are meant to be sent, from the start of the load."""

    def sha256(self) -> str:
        """Return the hash of all that stacks must have in common: work, order and schedule."""
        own = self.prompts.sha256(self.output_tokens)
        if not (self.offsets_s or self.turns):
            return own
        schedule = [round(offset * 1e9) for offset in self.offsets_s]
        return hashlib.sha256(msgspec.json.encode((own, schedule, self.turns))).hexdigest()


@lru_cache(maxsize=8)
def work(tokenizer: Path, point: LoadPoint, round_: int, protocol: Protocol) -> Work:
    """Return the requests of one load point in one round.

    Lengths, texts and arrivals are drawn anew each round. A closed loop has enough for
    :data:`REQUESTS_PER_S`, an open one for its schedule, but of very long prompts fewer; past
    that, prompts come again and a check says so.

    Raises:
        UsageError: a file cannot be used, or no exact text was found.
    """
    streams = point.load.concurrency or STREAMS
    warmup = protocol.warmup_requests
    if warmup is None:
        # One a stream and one more; and every shared beginning once, so that warm is warm.
        warmup = max(streams + 1, point.workload.prefix_groups)
    empty = Work(prompts=_NONE, output_tokens=(), warmup=warmup, streams=streams, again=warmup)
    if point.workload.turns is not None:
        return _conversations(empty, tokenizer, point, round_, protocol)
    if point.load.trace is not None:
        return _trace(empty, tokenizer, point, round_, protocol)
    return _single(empty, tokenizer, point, round_, protocol)


_NONE = workload.PromptSet([], [], 0)


def _single(made: Work, tokenizer: Path, point: LoadPoint, round_: int, protocol: Protocol) -> Work:
    """Fill in requests that have nothing to do with each other but a prefix."""
    seed, first = protocol.seed + round_, made.warmup
    if point.load.closed:
        least = LEAST_PER_STREAM * made.streams
        count = max(least, _per_window(protocol))
        made = replace(
            made, firsts=tuple(range(first, first + made.streams)), again=first + made.streams
        )
    else:
        made = scheduled(made, point, round_, protocol)
        least = LEAST_PER_STREAM
        count = max(least, len(made.offsets_s))
    key = f"{seed}/{point.index}"
    pairs = requests.draw(point.workload, first + count, key, tokenizer)
    pairs = requests.affordable(pairs, least=first + least)
    running = starts.running(point.workload, len(made.firsts), key, tokenizer)
    pairs[first : first + len(running)] = [each.pair for each in running]
    prompts = requests.prompts(point.workload, pairs, tokenizer, seed=seed, salt=point.index)
    made_tokens = dict(zip(made.firsts, (each.made for each in running), strict=True))
    return replace(
        made,
        prompts=starts.continued(prompts, made_tokens, tokenizer, key),
        output_tokens=tuple(
            pair.output_tokens - made_tokens.get(place, 0) for place, pair in enumerate(pairs)
        ),
        reuse=prompts.reuse,
    )


def scheduled(made: Work, point: LoadPoint, round_: int, protocol: Protocol) -> Work:
    """Fill in the arrivals: fresh in each round, the same for every stack of it."""
    load, key = point.load, f"arrivals/{protocol.seed + round_}/{point.index}"
    assert load.rate is not None
    arrivals = Arrivals(
        kind=load.arrivals,
        rate=load.rate,
        burstiness=load.burstiness,
        seed=int(hashlib.sha256(key.encode()).hexdigest()[:12], 16),
    )
    discard_s = ROOM_S if protocol.discard_s is None else protocol.discard_s
    offsets = arrivals.until(discard_s + (protocol.window_s or pace.LONGEST_S) + AFTER_S)
    return replace(made, arrivals=arrivals, offsets_s=tuple(offsets))


def _trace(made: Work, tokenizer: Path, point: LoadPoint, round_: int, protocol: Protocol) -> Work:
    """Fill in what a trace sends: its times, its lengths and its shared beginnings."""
    load, seed, discard_s = point.load, protocol.seed + round_, protocol.discard_s or 0.0
    assert load.trace is not None
    assert protocol.window_s is not None
    needed_s = discard_s + protocol.window_s
    rows = requests.replayed(Path(load.trace), load.time_scale, needed_s, AFTER_S)
    warm = [rows[place % len(rows)] for place in range(made.warmup)]
    before = workload.build_each(
        tokenizer, [row.input_tokens for row in warm], seed, f"{point.index}/warm-up"
    )
    prompts = replay.prompts(tokenizer, rows, seed=seed, salt=point.index)
    offsets = tuple(row.offset_s for row in rows)
    measured = [place for place, offset in enumerate(offsets) if discard_s <= offset < needed_s]
    return replace(
        made,
        prompts=_joined(before, prompts),
        output_tokens=tuple(row.output_tokens for row in (*warm, *rows)),
        reuse=_reuse(prompts, measured),
        arrivals=Arrivals(kind="trace", offsets_s=offsets),
        offsets_s=offsets,
    )


def _conversations(
    made: Work, tokenizer: Path, point: LoadPoint, round_: int, protocol: Protocol
) -> Work:
    """Fill in conversations, behind a warm-up that has nothing to do with them."""
    seed, first = protocol.seed + round_, made.warmup
    think_s = point.workload.think_s or 0.0
    count = _per_window(protocol)
    if think_s:  # no stream can send more
        longest_s = protocol.window_s or pace.LONGEST_S
        count = min(count, round(made.streams * (longest_s + _settling_s(longest_s)) / think_s))
    script = dialogues.script(
        point.workload,
        tokenizer,
        streams=made.streams,
        count=max(LEAST_PER_STREAM * made.streams, count),
        seed=seed,
        salt=point.index,
    )
    pairs = requests.draw(point.workload, first, f"{seed}/{point.index}/warm-up", tokenizer)
    before = workload.build_each(
        tokenizer, [pair.input_tokens for pair in pairs], seed, f"{point.index}/warm-up"
    )
    starts, size = script.starts, len(script.prompts)
    regular = starts[made.streams]
    turns = zip(script.conversation, script.think_s, strict=True)
    firsts = tuple(first + start for start in starts[: made.streams])
    output_tokens = [*(pair.output_tokens for pair in pairs), *script.output_tokens]
    return replace(
        made,
        prompts=_joined(before, script.prompts),
        output_tokens=tuple(staggered(output_tokens, firsts)),
        firsts=firsts,
        again=first + regular,
        reuse=_reuse(script.prompts, range(regular, size)),
        turns=(*((None, 0.0) for _ in pairs), *turns),
    )


def staggered(output_tokens: Sequence[int], firsts: Sequence[int]) -> list[int]:
    """Return the output length of each request: its own, but for each stream's first.

    The first request of stream k after the warm-up, ``firsts[k]``, gets (k + 1) / streams of its
    length. A conversation's next prompt is fixed, so what its first turn would have made by then
    cannot be put into that turn's prompt (see :mod:`inferometer.workloads.starts`).
    """
    lengths = list(output_tokens)
    for stream, first in enumerate(firsts):
        lengths[first] = max(1, round(lengths[first] * (stream + 1) / len(firsts)))
    return lengths


def _per_window(protocol: Protocol) -> int:
    """Return the requests of a closed loop; those of an unset window are as for the shortest.

    A longer one is of longer requests, of which :data:`LEAST_PER_STREAM` are enough.
    """
    window_s = protocol.window_s or pace.SHORTEST_S
    return round(REQUESTS_PER_S * (window_s + _settling_s(window_s)))


def _settling_s(window_s: float) -> float:
    """Return about how long a closed loop runs before its window."""
    return max(10.0, pace.discard_s(0.0, window_s))


def _joined(before: workload.PromptSet, rest: workload.PromptSet) -> workload.PromptSet:
    """Return one set of both; what ``before`` has shares nothing."""
    return workload.PromptSet(
        before.ids + rest.ids,
        before.text + rest.text,
        rest.special_tokens,
        cache=rest.cache,
        shared=(0,) * len(before) + rest.shared if rest.shared else (),
    )


def _reuse(prompts: workload.PromptSet, places: Iterable[int]) -> float:
    if not prompts.shared:
        return 0.0
    chosen = list(places)
    tokens = sum(len(prompts.ids[place]) for place in chosen)
    return sum(prompts.shared[place] for place in chosen) / max(tokens, 1)
