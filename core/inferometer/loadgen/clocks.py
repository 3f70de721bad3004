"""The clock of another host beside ours: offset, bound, drift, and stamps made from one another.

One exchange has four stamps: t1 we send, t2 it comes there, t3 the answer leaves, t4 it comes here.
Offset of the other clock (theirs minus ours) = ((t2 - t1) + (t3 - t4)) / 2, round trip =
(t4 - t1) - (t3 - t2) (RFC 5905, section 8). Whatever the two ways took, the true offset lies
within half the round trip of that; so of many exchanges the one of the least round trip tells.
Between one such look before the load and one after it the offset is taken to drift evenly; single
exchanges while the load is on show whether it did.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec

from inferometer.loadgen.answer import Chunks
from inferometer.records import CHUNK

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from inferometer.loadgen.answer import Answer
    from inferometer.loadgen.closed import Part
    from inferometer.loadgen.offer import Progress, Seen
    from inferometer.records import Request

EXCHANGES = 64
"""In one look."""
LEAST = 8
"""Of them, however far away the host is."""
LOOK_S = 1.0
"""After so long a look has exchanges enough."""


class Sight(NamedTuple):
    """The other clock at one moment of ours. All in ns."""

    at_ns: int
    offset_ns: int
    """Theirs minus ours."""
    slack_ns: int
    """The true offset is no further away: half a round trip."""


def sight(t1: int, t2: int, t3: int, t4: int) -> Sight:
    """Return what one exchange shows."""
    return Sight((t1 + t4) // 2, ((t2 - t1) + (t3 - t4)) // 2, max(0, (t4 - t1) - (t3 - t2)) // 2)


def best(sights: Iterable[Sight]) -> Sight:
    """Return the one of the least round trip."""
    return min(sights, key=lambda seen: seen.slack_ns)


class Clock(NamedTuple):
    """Another host's clock, seen ``before`` a load and ``after`` it, and now and then ``between``.

    Until there is an ``after`` both are the same, and the offset stands still.
    """

    before: Sight
    after: Sight
    between: tuple[Sight, ...] = ()

    @property
    def drift(self) -> float:
        """Return by how much it gains on ours, as a share."""
        span_ns = self.after.at_ns - self.before.at_ns
        return (self.after.offset_ns - self.before.offset_ns) / span_ns if span_ns > 0 else 0.0

    @property
    def bound_ns(self) -> int:
        """Return how far from the truth the offset may be at any moment of the load.

        Half the round trip of the worse look, and what an exchange between them contradicts the
        even drift by, beyond its own slack.
        """
        contradicted = [
            abs(seen.offset_ns - self.offset_ns(seen.at_ns)) - seen.slack_ns
            for seen in self.between
        ]
        return max(self.before.slack_ns, self.after.slack_ns) + max(0, *contradicted, 0)

    def offset_ns(self, at_ns: int) -> int:
        """Return the offset at a moment of our clock."""
        return self.before.offset_ns + round(self.drift * (at_ns - self.before.at_ns))

    def theirs(self, ours_ns: int) -> int:
        """Return a moment of our clock as their clock shows it."""
        return ours_ns + self.offset_ns(ours_ns)

    def ours(self, theirs_ns: int) -> int:
        """Return a moment of their clock as ours shows it; 0, never, stays 0."""
        if not theirs_ns:
            return 0
        since_ns = theirs_ns - self.before.offset_ns - self.before.at_ns
        return self.before.at_ns + since_ns - round(since_ns * self.drift / (1 + self.drift))


def part(found: Part, clock: Clock) -> Part:
    """Return what a host leaves behind, with the stamps of our clock."""
    return found._replace(
        rows=[(_request(row, clock), _chunks(chunks, clock)) for row, chunks in found.rows],
        whole={index: _answer(answer, clock) for index, answer in found.whole.items()},
        lags=[(clock.ours(t_ns), lag) for t_ns, lag in found.lags],
    )


def progress(found: Progress, clock: Clock) -> Progress:
    """Return how a host's load stands, with the stamps of our clock."""
    return found._replace(
        as_of_ns=clock.ours(found.as_of_ns),
        ended=[_seen(seen, clock) for seen in found.ended],
        open=[_seen(seen, clock) for seen in found.open],
    )


def _seen(seen: Seen, clock: Clock) -> Seen:
    times = (seen.intended_ns, seen.sent_ns, seen.first_ns, seen.last_ns)
    intended, sent, first, last = map(clock.ours, times)
    return seen._replace(intended_ns=intended, sent_ns=sent, first_ns=first, last_ns=last)


def _request(row: Request, clock: Clock) -> Request:
    return msgspec.structs.replace(
        row,
        intended_ns=clock.ours(row.intended_ns),
        sent_ns=clock.ours(row.sent_ns),
        first_ns=None if row.first_ns is None else clock.ours(row.first_ns),
        last_ns=None if row.last_ns is None else clock.ours(row.last_ns),
        end_ns=None if row.end_ns is None else clock.ours(row.end_ns),
    )


def _chunks(packed: bytes, clock: Clock) -> bytes:
    return b"".join(
        CHUNK.pack(index, tokens, flags, clock.ours(t_ns))
        for index, tokens, flags, t_ns in Chunks(packed)
    )


def _answer(answer: Answer, clock: Clock) -> Answer:
    chunks: Sequence[tuple[int, int, int, int]] = answer.chunks
    return type(answer)(
        request=_request(answer.request, clock),
        text=answer.text,
        token_ids=answer.token_ids,
        prompt_token_ids=answer.prompt_token_ids,
        chunks=[(index, tokens, flags, clock.ours(t_ns)) for index, tokens, flags, t_ns in chunks],
    )
