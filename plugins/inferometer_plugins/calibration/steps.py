"""What steps cost, seen from outside: every decoding request is a clock that ticks once a step.

Between two events of one request the engine made as many steps as the request got tokens. The
tokens that all requests got meanwhile are the sequences of these steps, summed; the prompts whose
first token came meanwhile are what the steps read. So each request gives one exact row of means,
whatever else was in the batch, with no guess which events belong to one step.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from inferometer.errors import InconclusiveError
from inferometer_plugins.calibration.reading import MOST_TOKENS_AN_EVENT
from inferometer_plugins.simulator.calibrate import Row

if TYPE_CHECKING:
    from inferometer_plugins.calibration.reading import Floats, Seen


class Alone(NamedTuple):
    """A request that no other was beside until its first token: prompt tokens, seconds."""

    prompt: float
    seconds: float


class Gaps(NamedTuple):
    """Single steps, as the time between two events of a request; one row each."""

    decoding: Floats
    context: Floats
    prefill: Floats
    seconds: Floats
    at_s: Floats
    """When each ended."""


class Tally:
    """Events of a window's load in the order of time, added up."""

    def __init__(self, seen: Seen) -> None:
        refuse_several_tokens(seen)
        self.seen = seen
        counts = np.diff(seen.begins)
        self.place = np.arange(len(seen.at_s)) - np.repeat(seen.begins[:-1], counts)
        """Which token of its request an event is, from 0."""
        owner = np.repeat(np.arange(len(counts)), counts)
        later = self.place > 0
        order = np.argsort(seen.at_s[later], kind="stable")
        self.decode_s = seen.at_s[later][order]
        attended = (seen.prompt[owner] + self.place)[later][order]
        self.context_by = np.concatenate(([0.0], np.cumsum(attended)))
        got = np.nonzero(counts)[0]
        firsts = seen.at_s[seen.begins[:-1][got]]
        order = np.argsort(firsts, kind="stable")
        self.first_s = firsts[order]
        self.prompt_by = np.concatenate(([0], np.cumsum(seen.prompt[got][order])))
        self.computed_by = np.concatenate(([0], np.cumsum(seen.computed[got][order])))
        lasts = seen.at_s[seen.begins[1:][got] - 1]
        order = np.argsort(lasts, kind="stable")
        self.last_s = lasts[order]
        stored = (seen.prompt[got] + counts[got] - 1)[order]
        self.stored_by = np.concatenate(([0], np.cumsum(stored)))

    def between(self, low_s: Floats, high_s: Floats) -> tuple[Floats, Floats, Floats]:
        """Return decode tokens, their context and prompt tokens read after ``low`` to ``high``."""
        low = np.searchsorted(self.decode_s, low_s, side="right")
        high = np.searchsorted(self.decode_s, high_s, side="right")
        read = np.searchsorted(self.first_s, (low_s, high_s), side="right")
        return (
            (high - low).astype(float),
            self.context_by[high] - self.context_by[low],
            (self.computed_by[read[1]] - self.computed_by[read[0]]).astype(float),
        )

    def state(self, at_s: Floats) -> tuple[Floats, Floats]:
        """Return the sequences that decode at some times, and the tokens in their cache."""
        begun = np.searchsorted(self.first_s, at_s, side="right")
        ended = np.searchsorted(self.last_s, at_s, side="right")
        made = np.searchsorted(self.decode_s, at_s, side="right")
        stored = self.prompt_by[begun] + made - self.stored_by[ended]
        return (begun - ended).astype(float), stored.astype(float)


def refuse_several_tokens(seen: Seen) -> None:
    """Raise :class:`InconclusiveError` where an event is no step of the engine."""
    if not len(seen.tokens):
        return
    mean = float(seen.tokens.mean())
    if mean > MOST_TOKENS_AN_EVENT:
        raise InconclusiveError(
            f"launch {seen.launch}, {seen.load.words}: {mean:.2f} tokens an event, so events do "
            "not tell steps",
            hint="Calibrate from launches without speculative decoding, streamed token by token.",
        )


def rows(seen: Seen) -> list[Row]:
    """Return one row a request, of its steps inside the window; together they weigh 1.

    A request weighs as many steps as it saw.
    """
    tally = Tally(seen)
    inside = (seen.at_s >= seen.start_s) & (seen.at_s <= seen.end_s)
    by = np.concatenate(([0], np.cumsum(inside)))
    begins = np.searchsorted(by, by[seen.begins[:-1]] + 1, side="left") - 1
    ticks = by[seen.begins[1:]] - by[seen.begins[:-1]] - 1
    clocks = np.nonzero(ticks > 0)[0]
    if not len(clocks):
        return []
    low_s = seen.at_s[begins[clocks]]
    high_s = seen.at_s[begins[clocks] + ticks[clocks]]
    steps = ticks[clocks].astype(float)
    decoding, context, prefill = (part / steps for part in tally.between(low_s, high_s))
    weight = steps / steps.sum()
    table = np.column_stack([decoding, context, prefill, (high_s - low_s) / steps, weight])
    return [
        Row(decoding=n, context=tokens, prefill=read, seconds=seconds, weight=share)
        for n, tokens, read, seconds, share in table.tolist()
        if seconds > 0
    ]


def alone(seen: Seen) -> list[Alone]:
    """Return the requests that had the engine to themselves up to their first token."""
    ended = np.sort(np.where(np.isnan(seen.last_s), np.inf, seen.last_s))
    here = np.searchsorted(seen.sent_s, seen.first_s, side="left")  # NaN: all of them
    here -= np.searchsorted(ended, seen.sent_s, side="right")
    inside = (seen.sent_s >= seen.start_s) & (seen.first_s <= seen.end_s)
    return [
        Alone(float(seen.computed[at]), float(seen.first_s[at] - seen.sent_s[at]))
        for at in np.nonzero(inside & (here == 1))[0]
    ]


def gaps(seen: Seen) -> Gaps:
    """Return the single steps inside the window as each request saw them.

    A prompt belongs to the step whose end is nearest to its first token: the events of one step
    come spread over a moment.
    """
    tally = Tally(seen)
    to = np.nonzero(tally.place > 0)[0]
    to = to[(seen.at_s[to - 1] >= seen.start_s) & (seen.at_s[to] <= seen.end_s)]
    begin_s, end_s = seen.at_s[to - 1], seen.at_s[to]
    middle_s = (begin_s + end_s) / 2
    after = np.minimum(to + 1, len(seen.at_s) - 1)
    same = np.zeros(len(to), bool)
    same[:] = (after > to) & (tally.place[after] == tally.place[to] + 1)
    next_s = np.where(same, (end_s + seen.at_s[after]) / 2, end_s + (end_s - begin_s) / 2)
    decoding, stored = tally.state(middle_s)
    read = np.searchsorted(tally.first_s, (middle_s, next_s), side="right")
    prefill = (tally.computed_by[read[1]] - tally.computed_by[read[0]]).astype(float)
    return Gaps(decoding, stored + decoding, prefill, end_s - begin_s, end_s)


def in_flight(seen: Seen) -> float:
    """Return the mean number of requests in the server during the window."""
    ended = np.where(np.isnan(seen.last_s), seen.end_s, seen.last_s)
    low = np.maximum(seen.sent_s, seen.start_s)
    stay_s = np.maximum(np.minimum(ended, seen.end_s) - low, 0.0)
    return float(stay_s.sum()) / seen.length_s
