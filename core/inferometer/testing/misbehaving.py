"""What the oracle sends in place of an answer when it is told to break the protocol.

Bytes alone: what a broken engine, a wrong gateway or a stranger on the port may send. None of it
is taken apart again here, so none of it needs to be well formed.
"""

from __future__ import annotations

import gzip
from dataclasses import dataclass

EVENTS = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
TOKEN = b'data: {"choices":[{"index":0,"text":" a","finish_reason":null,"token_ids":[1]}]}\n\n'
LAST = b'data: {"choices":[{"index":0,"text":" a","finish_reason":"length"}]%b}\n\ndata: [DONE]\n\n'
HUGE = 12 << 20
"""Bytes of one line: more than any honest event has."""
OFTEN_S = 0.001
SELDOM_S = 0.05


@dataclass(frozen=True, slots=True)
class Raw:
    """``first``, then ``again`` for ever, ``every_s`` apart; without ``again`` nothing more."""

    first: bytes
    again: bytes = b""
    every_s: float = OFTEN_S
    close: bool = False
    """Close the connection behind ``first``."""


def whole(head: str, body: bytes) -> Raw:
    """Return an answer of known length; ``head`` is its status and further headers."""
    text = f"HTTP/1.1 {head}\r\ncontent-length: {len(body)}\r\n\r\n"
    return Raw(text.encode() + body)


def chunk(data: bytes) -> bytes:
    """Return one HTTP chunk."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def said(*events: bytes) -> Raw:
    """Return a whole stream of these events."""
    return Raw(EVENTS + b"".join(map(chunk, events)) + b"0\r\n\r\n")


RAW = {
    "silent": Raw(b""),
    "garbage": Raw(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 8),
    "endless_head": Raw(b"HTTP/1.1 200 OK\r\n", b"x-more: " + b"a" * 8000 + b"\r\n"),
    "endless_header": Raw(b"HTTP/1.1 200 OK\r\nx-more: ", b"a" * 8000),
    "endless_stream": Raw(EVENTS, chunk(TOKEN * 100)),
    "slow_stream": Raw(EVENTS + chunk(TOKEN), chunk(b":"), every_s=SELDOM_S),
    "huge_line": said(b'data: {"choices":[{"index":0,"text":"' + b"a" * HUGE + b'"}]}\n\n'),
    "cut_in_chunk": Raw(EVENTS + chunk(TOKEN) + b"51\r\ndata: {", close=True),
    "error_in_200": whole(
        "200 OK\r\ncontent-type: application/json",
        b'{"object":"error","message":"out of cache blocks","code":500}',
    ),
    "control_error": whole(
        "500 Internal Server Error\r\ncontent-type: application/json",
        b'{"error":{"message":"\\u001b[2J\\u0007gone\\u0000"}}',
    ),
    "empty_200": whole("200 OK\r\ncontent-type: text/event-stream", b""),
    "web_page": whole("200 OK\r\ncontent-type: text/html", b"<html>Sign in to go on</html>"),
    "429": whole("429 Too Many Requests\r\nretry-after: 1", b"slow down"),
    "redirect": whole("307 Temporary Redirect\r\nlocation: http://127.0.0.1:1/v1/completions", b""),
    "compressed": whole(
        "200 OK\r\ncontent-type: text/event-stream\r\ncontent-encoding: gzip",
        gzip.compress(TOKEN + LAST % b"", mtime=0),
    ),
    "bad_utf8": said(TOKEN.replace(b" a", b"\xff\xfe"), LAST % b""),
    "bad_json": said(TOKEN, b'data: {"choices":[{"text":\n\n'),
    "negative_usage": said(TOKEN, LAST % b',"usage":{"completion_tokens":-2}'),
    "huge_usage": said(
        TOKEN, LAST % b',"usage":{"prompt_tokens":4,"completion_tokens":4000000000}'
    ),
}
"""By the name of the fault."""
