"""Turn one captured answer into content events and token counts, after the request has ended.

Server-sent events of the OpenAI text-completion shape (chat deltas are understood too). A token is
counted by ``token_ids`` or by ``usage``, never by chunks or texts: one chunk may hold many tokens,
and a token may have no text.
"""

from __future__ import annotations

from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal

import msgspec
from msgspec import Struct

from inferometer.records import CHUNK_COUNT_UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

MAX_TOKENS = 0xFFFF
"""Tokens one event record can hold (``records.CHUNK``)."""
MOST_EVENT = 8 << 20
"""Bytes of one event that is read: the ids of a prompt of a million tokens."""
PLAIN, MOST_VALUES = 1 << 16, 10_000
"""Above so many bytes an event with so many objects and lists is hostile: as values they take
thirty times the memory."""
MOST_WORDS = 20_000
"""Characters that are kept of a text which is none of the generated content: ten times what is
stored of it, so that no half of a secret is at its end when secrets are hidden."""
MOST_TOKENS = 2**31
"""More than any request has: a count beyond is a slip of the engine's, such as an unsigned -1."""
UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What decoding the bytes of an engine may raise."""


class _Details(Struct, gc=False):
    cached_tokens: int | None = None


class _Usage(Struct, gc=False):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: _Details | None = None


class _Delta(Struct):
    content: str | None = None
    reasoning: str | None = None
    reasoning_content: str | None = None
    tool_calls: list[Any] | None = None


class _Choice(Struct):
    text: str | None = None
    delta: _Delta | None = None
    finish_reason: str | None = None
    token_ids: list[int] | None = None
    prompt_token_ids: list[int] | None = None

    def generated(self) -> str:
        """Return the visible text: of a completion, or of a chat delta."""
        delta, text = self.delta, self.text or ""
        if delta is None:
            return text
        return (delta.reasoning_content or delta.reasoning or "") + (delta.content or "") + text


class _Chunk(Struct):
    choices: list[_Choice] = []
    usage: _Usage | None = None
    error: Any = None
    object: str = ""
    message: str | None = None
    prompt_token_ids: list[int] | None = None


_chunks = msgspec.json.Decoder(_Chunk)


class Decoded(Struct):
    """What an answer says.

    ``events`` are ``(arrival ns, tokens, flags)`` of content events, as in ``records.CHUNK``.
    ``ended`` means that a ``finish_reason`` or ``[DONE]`` was seen. ``error`` is the first thing
    that makes the answer a failure. Counts are None where the engine did not tell.
    """

    events: list[tuple[int, int, int]] = []
    text: str = ""
    token_ids: list[int] = []
    prompt_token_ids: list[int] | None = None
    finish_reason: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int | None = None
    tokens_from: Literal["ids", "usage", "none"] = "none"
    ended: bool = False
    error: str | None = None


def decode(packets: Sequence[tuple[int, bytes]], *, whole: bool = True) -> Decoded:
    """Decode the body of one 200 answer.

    ``packets`` are ``(arrival ns, bytes)``. An event's stamp is the arrival of the packet that
    completed its line. ``whole`` False (a cut answer) asks for no end and no agreeing totals.
    """
    decoding = Decoding(packets, whole=whole)
    while not decoding.step(1024):
        pass
    return decoding.out


class Decoding:
    """:func:`decode` in steps; ``out`` is whole when :meth:`step` has said so."""

    def __init__(self, packets: Iterable[tuple[int, bytes]], *, whole: bool) -> None:
        self._lines = _lines(packets, whole=whole)
        self._reader = _Reader()
        self._whole = whole
        self.out = self._reader.out

    def step(self, lines: int) -> bool:
        """Decode at most so many lines; say whether that was all."""
        reader, left = self._reader, lines
        for t_ns, line in islice(self._lines, lines):
            left -= 1
            if not line.startswith(b"data:"):
                if line.startswith(b"{"):  # not a stream: one JSON answer, or an error
                    reader.take(t_ns, line)
                continue
            data = line[5:].strip()
            if data == b"[DONE]":
                reader.out.ended = True
            elif data:
                reader.take(t_ns, data)
        if left:
            reader.close(whole=self._whole)
        return left > 0


def _lines(packets: Iterable[tuple[int, bytes]], *, whole: bool) -> Iterator[tuple[int, bytes]]:
    """Yield each line with the stamp of the packet in which its end arrived."""
    begun: list[bytes] = []  # parts of a line without its end: joined once, however many they are
    t_ns = 0
    for t_ns, part in packets:
        end = part.find(b"\n")
        if end < 0:
            begun.append(part)
            continue
        if not begun and end == len(part) - 2 and part[-1:] == b"\n":
            yield t_ns, part[:-2]  # one event and its blank line: what a token mostly is
            continue
        first, *lines = part.split(b"\n")
        lines.insert(0, b"".join([*begun, first]))
        begun = [lines.pop()]
        for line in lines:
            if line:
                yield t_ns, line
    if whole and (rest := b"".join(begun)):
        yield t_ns, rest


class _Reader:
    """State while the chunks of one answer go by."""

    def __init__(self) -> None:
        self.out = Decoded()
        self._texts: list[str] = []
        self._used = 0
        self._continuous = False
        """A chunk before the final one carried usage."""
        self._uncounted = False
        """A content chunk came without ids and usage: growth can no longer be placed."""

    def take(self, t_ns: int, data: bytes) -> None:
        """Read one ``data:`` payload."""
        if len(data) > PLAIN and _is_hostile(data):
            self._fail(f"unreadable event: {len(data):,} bytes, as no engine sends: {data[:200]!r}")
            return
        try:
            chunk = _chunks.decode(data)
        except UNREADABLE as error:
            self._fail(f"unreadable event: {error}: {data[:200]!r}")
            return
        if chunk.error is not None or chunk.object == "error":
            self._fail(_message(chunk, data))
            return
        if chunk.prompt_token_ids is not None:
            self.out.prompt_token_ids = chunk.prompt_token_ids
        tokens, content, final = self._choices(chunk.choices)
        increase = 0 if chunk.usage is None else self._usage(chunk.usage)
        if tokens:
            self.out.tokens_from = "ids"
            self._event(t_ns, tokens)
        elif chunk.choices:
            self._count(t_ns, chunk, increase, content=content, final=final)

    def _count(
        self, t_ns: int, chunk: _Chunk, increase: int, *, content: bool, final: bool
    ) -> None:
        """Add a content event without ids, counted by growing usage, else not at all."""
        if increase and not self._uncounted and (content or self._continuous or not final):
            if self.out.tokens_from == "none":
                self.out.tokens_from = "usage"
            self._event(t_ns, increase)
        elif content and self._told(chunk):
            self._event(t_ns, 0)  # text held back until now; its tokens are counted already
        elif content:
            self._uncounted = True
            self.out.events.append((t_ns, 0, CHUNK_COUNT_UNKNOWN))

    def _choices(self, choices: list[_Choice]) -> tuple[int, bool, bool]:
        """Return (token ids, whether there is visible content, whether an end is announced)."""
        tokens, content, final = 0, False, False
        for choice in choices:
            if choice.token_ids:
                self.out.token_ids += choice.token_ids
                tokens += len(choice.token_ids)
            if choice.prompt_token_ids is not None:
                self.out.prompt_token_ids = choice.prompt_token_ids
            delta = choice.delta
            text = choice.generated()
            if text:
                self._texts.append(text)
                content = True
            elif delta is not None and delta.tool_calls:
                content = True
            if choice.finish_reason is not None:
                self.out.finish_reason = choice.finish_reason[:MOST_WORDS]
                self.out.ended = final = True
        return tokens, content, final

    def _usage(self, usage: _Usage) -> int:
        """Keep the totals; return by how many tokens the answer grew."""
        out, prompt, made = self.out, usage.prompt_tokens, usage.completion_tokens
        if prompt is not None and prompt != out.input_tokens:
            out.input_tokens = self._possible("prompt_tokens", prompt)
        details = usage.prompt_tokens_details
        if details is not None and details.cached_tokens is not None:
            out.cached_tokens = self._possible("cached_tokens", details.cached_tokens)
        if made is None:
            return 0
        if not self._used <= made <= MOST_TOKENS:
            if self._possible("completion_tokens", made) is not None:
                self._fail(f"usage fell from {self._used} to {made} output tokens")
            return 0
        out.output_tokens = made
        increase, self._used = made - self._used, made
        self._continuous |= not self.out.ended
        return increase

    def _possible(self, name: str, count: int) -> int | None:
        """Return ``count``; None, and a failed answer, if nothing can have so many tokens."""
        if 0 <= count <= MOST_TOKENS:
            return count
        self._fail(f"usage says {name} = {count}")
        return None

    def _told(self, chunk: _Chunk) -> bool:
        """Say whether the engine told that this chunk holds no new token."""
        if any(choice.token_ids is not None for choice in chunk.choices):
            return True
        usage = chunk.usage
        return usage is not None and usage.completion_tokens is not None and not self._uncounted

    def _event(self, t_ns: int, tokens: int) -> None:
        while tokens > MAX_TOKENS:
            self.out.events.append((t_ns, MAX_TOKENS, 0))
            tokens -= MAX_TOKENS
        self.out.events.append((t_ns, tokens, 0))

    def _fail(self, text: str) -> None:
        if self.out.error is None:
            self.out.error = text[:MOST_WORDS]

    def close(self, *, whole: bool) -> None:
        """Check what can only be checked at the end."""
        out = self.out
        out.text = "".join(self._texts)
        if out.output_tokens is None and out.token_ids and not self._uncounted:
            out.output_tokens = len(out.token_ids)
        if not whole:
            return
        if not out.ended:
            self._fail("the stream ended without a finish_reason or [DONE]")
        if out.token_ids and out.output_tokens != len(out.token_ids):
            self._fail(
                f"usage says {out.output_tokens} output tokens, "
                f"but {len(out.token_ids)} token ids were streamed"
            )
        if not out.events and out.output_tokens:
            self._fail(f"usage says {out.output_tokens} output tokens, but no event showed one")
        elif not out.events:
            self._fail("the answer held no generated content")


def error_text(status: int | None, body: bytes) -> str:
    """Return one line about a refused request: the engine's own words, in either error shape."""
    words = body[:300].decode("utf-8", "replace")
    with suppress(*UNREADABLE):
        if not _is_hostile(body):
            words = _message(_chunks.decode(body), body)[:MOST_WORDS]
    return f"HTTP {status}: {' '.join(words.split())}" if words else f"HTTP {status}"


def _is_hostile(data: bytes) -> bool:
    return len(data) > MOST_EVENT or data.count(b"{") + data.count(b"[") > MOST_VALUES


def _message(chunk: _Chunk, data: bytes) -> str:
    error = chunk.error
    if isinstance(error, dict) and error.get("message"):
        return str(error["message"])
    if isinstance(error, str) and error:
        return error
    return chunk.message or data[:300].decode("utf-8", "replace")
