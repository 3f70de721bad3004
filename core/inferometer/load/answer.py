"""One call of a load, from its exchange to the record that is stored."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from inferometer.load.http import Exchange
from inferometer.load.sse import Decoded, decode, error_text
from inferometer.records import Phase, Request, RequestStatus

if TYPE_CHECKING:
    from collections.abc import Sequence

PACKET_OVERHEAD = 130
"""Bytes that Python needs beside the content of one kept packet."""


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
    chunks: list[tuple[int, int, int, int]]


@dataclass(slots=True, kw_only=True, eq=False)
class Call:
    """A request taken by a stream. ``exchange`` fills while it is answered."""

    index: int
    phase: Phase
    stream: int
    prompt: int
    input_tokens: int
    output_tokens: int
    intended_ns: int
    exchange: Exchange = field(default_factory=Exchange)
    _decoded: Decoded | None = None

    def size(self) -> int:
        """Return about how many bytes of memory the raw answer holds."""
        return sum(len(part) + PACKET_OVERHEAD for _, part in self.exchange.packets)

    def send_lag_ms(self) -> float:
        """Return how long after its intended time the request was sent."""
        return (self.exchange.sent_ns - self.intended_ns) * 1e-6

    def decode(self) -> Decoded:
        """Decode once and let the raw bytes go."""
        if self._decoded is None:
            exchange = self.exchange
            if exchange.status == 200:
                self._decoded = decode(exchange.packets, whole=exchange.outcome == "complete")
            else:
                self._decoded = Decoded()
                if exchange.outcome == "complete":
                    self._decoded.error = error_text(exchange.status, exchange.body())
            exchange.packets = []
        return self._decoded

    def answer(self, load_point: int) -> Answer:
        """Return the record and the generated content."""
        said, exchange = self.decode(), self.exchange
        status, error = self._verdict(said)
        events = said.events
        request = Request(
            index=self.index,
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
            chunks=[(self.index, tokens, flags, t_ns) for t_ns, tokens, flags in events],
        )

    def _verdict(self, said: Decoded) -> tuple[RequestStatus, str | None]:
        outcome = self.exchange.outcome
        if said.error is not None:
            return "error", said.error
        if outcome == "open":
            return "cut", None
        if outcome != "complete":
            return "error", f"{outcome}: {self.exchange.detail}"
        return "ok", None


def percentile(values: Sequence[float], share: float) -> float:
    """Return the nearest-rank percentile of ``values``; 0 when there are none."""
    if not values:
        return 0.0
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]
