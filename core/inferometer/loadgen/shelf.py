"""Ended answers, decoded in the pauses of the load and then kept small.

A raw answer with token ids needs about 430 bytes a token, a decoded one 16. Decoding all of it at
the end of a request would hold up every other stream for half a millisecond; so it is done a few
events at a time, with a look at the sockets in between, and a stamp waits for one slice at most.
"""

from __future__ import annotations

import asyncio
from collections import deque
from itertools import starmap
from typing import TYPE_CHECKING

from inferometer.loadgen.answer import Answer
from inferometer.loadgen.offer import SAMPLE
from inferometer.records import CHUNK, Request

if TYPE_CHECKING:
    from inferometer.loadgen.answer import Call

PACE_S = 0.001
"""Between two slices. Streams in step end together, and the first tokens of their next requests
come together: decoding at once, even in slices, would then stand in the way of just these."""
SLICE = 16
"""Lines in a slice, about 0.05 ms; and so many more..."""
MORE_PER_BYTE = 2 / 2**20
"""... for each byte held: a load of 20,000 tokens/s settles at about 10 MB."""
LINE_BYTES = 350
"""Of a raw line, about."""
REST = 256
"""Lines at a time when nothing is to be stamped any more."""

Row = tuple[Request, bytes]
"""A request and its packed content events."""


class Shelf:
    """Takes ended calls; gives their rows, and a sample of whole answers (or all of them)."""

    def __init__(self, load_point: int, first_index: int, *, every: bool) -> None:
        self._load_point, self._first_index = load_point, first_index
        self._ended: deque[tuple[Call, int]] = deque()
        """With the bytes they hold."""
        self._held = 0
        self._turning = False
        self._every = every
        self._end_ns: int | None = None
        self._step = 1
        """Of every so many requests one is kept whole; doubles as their number grows."""
        self.whole: dict[int, Answer] = {}
        self.rows: list[Row] = []

    def add(self, call: Call) -> None:
        """Take a call whose exchange has ended; decode it soon."""
        if self._end_ns is not None:
            call.cut(self._end_ns)
        size = call.size()
        self._held += size
        self._ended.append((call, size))
        if not self._turning:
            self._turning = True
            asyncio.get_running_loop().call_later(PACE_S, self._turn)

    def _turn(self) -> None:
        """Decode one slice."""
        self._turning = self._slice(SLICE + int(MORE_PER_BYTE * self._held))
        if self._turning:
            asyncio.get_running_loop().call_later(PACE_S, self._turn)

    def _slice(self, lines: int) -> bool:
        """Decode about so many lines, the oldest call's first; say whether any call is left."""
        while self._ended and lines > 0 and self._ended[0][0].decode(lines):
            call, size = self._ended.popleft()
            self._held -= size
            lines -= 1 + size // LINE_BYTES
            self._keep(call)
        return bool(self._ended)

    def undecoded(self) -> list[Call]:
        """Return the ended calls that have no row yet."""
        return [call for call, _ in self._ended]

    def cut_at(self, end_ns: int) -> None:
        """Forget what comes after ``end_ns``, which has not passed yet."""
        self._end_ns = end_ns

    async def finish(self, calls: list[Call]) -> None:
        """Decode what is left, and ``calls`` that never ended."""
        for call in calls:
            if self._end_ns is not None:
                call.cut(self._end_ns)
            self._ended.append((call, 0))
        left = True
        while left:
            left = self._slice(REST)
            await asyncio.sleep(0)  # the loop has other work, too

    def _keep(self, call: Call) -> None:
        if self._end_ns is not None and call.exchange.sent_ns > self._end_ns:
            return
        answer = call.answer(self._load_point, self._first_index)
        request = answer.request
        self.rows.append((request, b"".join(starmap(CHUNK.pack, answer.chunks))))
        if self._every:
            self.whole[request.index] = answer
        elif request.phase == "load" and request.status == "ok" and not call.index % self._step:
            self.whole[request.index] = answer
            if len(self.whole) > 2 * SAMPLE:
                self._thin()

    def _thin(self) -> None:
        self._step *= 2
        kept = self._first_index
        self.whole = {i: a for i, a in self.whole.items() if not (i - kept) % self._step}
