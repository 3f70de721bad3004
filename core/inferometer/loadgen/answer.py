"""One call of a load, from its exchange to the record that is stored."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import overload

from inferometer.loadgen.http import PACKET_OVERHEAD, Exchange
from inferometer.loadgen.sse import Decoded, Decoding, error_text
from inferometer.records import CHUNK, Phase, Request, RequestStatus

Chunk = tuple[int, int, int, int]
"""Request index, tokens, flags, arrival ns."""
BASE_BYTES = 4 << 20
BYTES_PER_INPUT = 64
BYTES_PER_OUTPUT = 16 << 10
"""Most bytes of an answer: so many, and for each token of prompt (its id, repeated) and answer (its
event, with log-probabilities of alternatives). Engines are far below."""
ALL = 1 << 62


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A request's record together with what was generated.

    ``chunks`` are ``(request index, tokens, flags, t_ns)``. ``token_ids`` is empty and
    ``prompt_token_ids`` None where the engine does not tell.
    """

    request: Request
    text: str
    token_ids: list[int]
    prompt_token_ids: list[int] | None
    chunks: list[Chunk]


class Chunks(Sequence[Chunk]):
    """Content events in the 16 bytes each of ``records.CHUNK``, a tenth of what tuples need."""

    def __init__(self, packed: bytes) -> None:
        self._packed = packed

    def __len__(self) -> int:
        return len(self._packed) // CHUNK.size

    @overload
    def __getitem__(self, place: int) -> Chunk: ...
    @overload
    def __getitem__(self, place: slice) -> list[Chunk]: ...
    def __getitem__(self, place: int | slice) -> Chunk | list[Chunk]:
        if isinstance(place, slice):
            return [self[at] for at in range(len(self))[place]]
        found: Chunk = CHUNK.unpack_from(self._packed, range(len(self))[place] * CHUNK.size)
        return found

    def __iter__(self) -> Iterator[Chunk]:
        return CHUNK.iter_unpack(self._packed)


@dataclass(slots=True, kw_only=True, eq=False)
class Call:
    """A request taken by a stream. ``exchange`` fills while it is answered.

    ``index`` is its place in the source; ``first_index`` is added to it in the record.
    """

    index: int
    phase: Phase
    stream: int
    prompt: int
    input_tokens: int
    output_tokens: int
    intended_ns: int
    exchange: Exchange = field(default_factory=Exchange)
    _decoding: Decoding | None = None
    _said: Decoded | None = None

    def __post_init__(self) -> None:
        of_tokens = BYTES_PER_INPUT * self.input_tokens + BYTES_PER_OUTPUT * self.output_tokens
        self.exchange.most_bytes = BASE_BYTES + of_tokens

    def size(self) -> int:
        """Return about how many bytes of memory the raw answer holds."""
        packets = self.exchange.packets
        return sum([len(part) for _, part in packets]) + PACKET_OVERHEAD * len(packets)

    def cut(self, end_ns: int) -> None:
        """Forget what came after ``end_ns``; to be called before anything is decoded."""
        exchange = self.exchange
        if exchange.end_ns > end_ns:
            exchange.outcome, exchange.detail, exchange.end_ns = "open", "", 0
        if exchange.packets and exchange.packets[-1][0] > end_ns:
            exchange.packets = [part for part in exchange.packets if part[0] <= end_ns]

    def decode(self, lines: int = ALL) -> bool:
        """Decode at most so many lines more; when that was all, let the raw bytes go."""
        if self._said is not None:
            return True
        exchange = self.exchange
        if exchange.status != 200:
            self._said = Decoded()
            if exchange.outcome == "complete":
                self._said.error = error_text(exchange.status, exchange.body())
        else:
            if self._decoding is None:
                whole = exchange.outcome == "complete"
                self._decoding = Decoding(exchange.packets, whole=whole)
            if not self._decoding.step(lines):
                return False
            self._said = self._decoding.out
        self._decoding = None
        exchange.packets = []
        return True

    def verdict(self) -> tuple[RequestStatus, str | None]:
        """Return how it ended, and the error if it was one."""
        said, outcome = self._whole(), self.exchange.outcome
        if said.error is not None:
            return "error", said.error
        if outcome == "open":
            return "cut", None
        if outcome != "complete":
            return "error", f"{outcome}: {self.exchange.detail}"
        return "ok", None

    def answer(self, load_point: int, first_index: int = 0) -> Answer:
        """Return the record and the generated content."""
        status, error = self.verdict()
        said, exchange = self._whole(), self.exchange
        events = said.events
        index = first_index + self.index
        request = Request(
            index=index,
            load_point=load_point,
            phase=self.phase,
            stream=self.stream,
            prompt=self.prompt,
            intended_ns=self.intended_ns,
            sent_ns=exchange.sent_ns,
            first_ns=events[0][0] if events else None,
            last_ns=events[-1][0] if events else None,
            end_ns=exchange.end_ns or None,
            status=status,
            http_status=exchange.status,
            error=error,
            finish_reason=said.finish_reason,
            input_tokens_expected=self.input_tokens,
            output_tokens_expected=self.output_tokens,
            input_tokens=said.input_tokens,
            output_tokens=said.output_tokens,
            cached_tokens=said.cached_tokens,
            chunks=len(events),
            tokens_from=said.tokens_from,
            output_sha256=hashlib.sha256(said.text.encode()).hexdigest() if events else None,
        )
        return Answer(
            request=request,
            text=said.text,
            token_ids=said.token_ids,
            prompt_token_ids=said.prompt_token_ids,
            chunks=[(index, tokens, flags, t_ns) for t_ns, tokens, flags in events],
        )

    def _whole(self) -> Decoded:
        self.decode()
        assert self._said is not None
        return self._said


def percentile(values: Sequence[float], share: float) -> float | None:
    """Return the nearest-rank percentile of ``values``; None when there are none."""
    if not values:
        return None
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]
