"""Who is in the batch: continuous batching, chunked prefill, a KV limit, preemption.

One step computes a token for every decoding sequence, then gives what is left of the budget to
prompts, first come, first served. A prompt whose last chunk is read yields its first token at the
end of that step. Between two changes of the batch steps are alike but for the growing context, so
:meth:`Batch.plan` gives a run of them.
"""

from __future__ import annotations

from collections import deque
from heapq import heappop, heappush
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from inferometer_plugins.simulator.model import Params


class Run(NamedTuple):
    """Steps with the same sequences: ``prefill`` tokens are read only where ``steps`` is 1."""

    decoding: int
    prefill: int
    steps: int
    """At most; fewer may be run."""


class Waiting(NamedTuple):
    """A sequence before it decodes."""

    number: int
    unread: int
    """Tokens still to compute."""
    context: int
    """Tokens its cache holds when all are."""
    left: int
    """Tokens to make."""


class Batch:
    """The state between steps. Requests are known by number."""

    __slots__ = (
        *("_budget", "_due", "_joining", "_kv", "_most", "_reading"),
        *("_reserved", "_run", "decoding", "preempted", "steps", "stored", "waiting"),
    )

    def __init__(self, params: Params) -> None:
        self._budget, self._most, self._kv = params.budget, params.max_seqs, params.kv_tokens
        if self._budget <= self._most:
            raise ValueError(f"a budget of {self._budget} tokens leaves none for prompts")
        self.waiting: deque[Waiting] = deque()
        self.decoding: dict[int, tuple[int, int]] = {}
        """By number, oldest first: the step that ends it, and what its cache then holds."""
        self.stored = 0
        """Tokens in the cache of decoding sequences."""
        self.steps = 0
        self.preempted = 0
        self._due: list[tuple[int, int]] = []
        self._reading: deque[Waiting] = deque()
        self._reserved = 0
        self._joining: list[Waiting] = []
        self._run = Run(0, 0, 0)

    @property
    def running(self) -> int:
        """Return the sequences that have a place in the batch."""
        return len(self.decoding) + len(self._reading) + len(self._joining)

    def submit(self, number: int, prompt: int, output: int, *, cached: int = 0) -> None:
        """Queue a request of ``prompt`` tokens, ``cached`` of them not to compute.

        Raises:
            ValueError: it could never fit into the cache, or asks for nothing.
        """
        if prompt < 1 or output < 1:
            raise ValueError("a request has at least one token of prompt and one of output")
        if self._kv is not None and prompt + output > self._kv:
            raise ValueError(f"{prompt} + {output} tokens do not fit in a cache of {self._kv}")
        unread = prompt - min(cached, prompt - 1)
        self.waiting.append(Waiting(number, unread, prompt, output))

    def drop(self, number: int) -> None:
        """Forget a request, wherever it is."""
        if number in self.decoding:
            end, full = self.decoding.pop(number)
            self.stored -= full - (end - self.steps)
        for it in [it for it in self._reading if it.number == number]:
            self._reading.remove(it)
            self._reserved -= it.context
        self.waiting = deque(it for it in self.waiting if it.number != number)

    def plan(self) -> Run | None:
        """Return the next run of steps, None when there is nothing to do."""
        if self._kv is not None:
            self._make_room()
        decoding = len(self.decoding)
        prefill = self._read(self._budget - decoding) if self.waiting or self._reading else 0
        if not (decoding or prefill):
            return None
        self._run = Run(decoding, prefill, 1 if prefill else self._alike(decoding))
        return self._run

    def done(self, steps: int) -> tuple[list[int], list[int]]:
        """Advance by the planned run's first ``steps``.

        Returns:
            The numbers that got a token from a prompt just read, and those that are finished.

        """
        self.steps = now = self.steps + steps
        self.stored += self._run.decoding * steps
        joined = self._join(now) if self._joining else []
        finished = []
        due, decoding = self._due, self.decoding
        while due and due[0][0] <= now:
            end, number = heappop(due)
            if decoding.get(number, (-1, 0))[0] == end:
                self.stored -= decoding.pop(number)[1]
                finished.append(number)
        return joined, finished

    def _join(self, now: int) -> list[int]:
        for it in self._joining:
            end = now + it.left - 1
            self._reserved -= it.context
            self.stored += it.context
            self.decoding[it.number] = (end, it.context + it.left - 1)
            heappush(self._due, (end, it.number))
        joined = [it.number for it in self._joining]
        self._joining = []
        return joined

    def _alike(self, decoding: int) -> int:
        """Return how many steps go by before a sequence ends or the cache is full."""
        while self.decoding.get(self._due[0][1], (-1, 0))[0] != self._due[0][0]:
            heappop(self._due)  # of one that was preempted or dropped
        steps = self._due[0][0] - self.steps
        if self._kv is None:
            return steps
        return min(steps, (self._kv - self.stored - self._reserved) // decoding)

    def _read(self, room: int) -> int:
        """Give ``room`` tokens to prompts and return how many were given."""
        given = 0
        while room > given:
            if not self._reading and not self._admit():
                break
            head = self._reading.popleft()
            chunk = min(head.unread, room - given)
            given += chunk
            if chunk == head.unread:
                self._joining.append(head)
            else:
                self._reading.appendleft(head._replace(unread=head.unread - chunk))
        return given

    def _admit(self) -> bool:
        """Take the next in line, if a sequence and its cache fit."""
        active = len(self.decoding) + len(self._joining)
        if not self.waiting or active >= self._most:
            return False
        if self._kv is not None:
            free = self._kv - self.stored - self._reserved - active
            if self.waiting[0].context > free:
                return False
        self._reading.append(self.waiting.popleft())
        self._reserved += self._reading[-1].context
        return True

    def _make_room(self) -> None:
        """Preempt the youngest until each decoding sequence can store one more token."""
        assert self._kv is not None
        while self.stored + self._reserved + len(self.decoding) > self._kv:
            if self._reading:
                it = self._reading.pop()
                self._reserved -= it.context
                self.waiting.appendleft(it._replace(unread=it.context))
            else:
                number, (end, full) = self.decoding.popitem()
                left = end - self.steps
                context = full - left  # stored; with the token just made, to be read again
                self.stored -= context
                again = context + 1
                self.waiting.appendleft(Waiting(number, again, again, left))
            self.preempted += 1
