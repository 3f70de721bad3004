"""Inputs made to take time or memory, larger than chance makes them, for each target of them."""

from __future__ import annotations

import itertools
import struct
from typing import TYPE_CHECKING

from tests.fuzz import streams

if TYPE_CHECKING:
    from collections.abc import Iterator

MB = 1 << 20
DEEP = b"[" * 1_000_000
OBJECTS = b'{"a":' * 200_000
TOML = ("study", "prices", "scenario", "gate-rules")
JSON = (
    *("refused", "metrics-json", "engine-answers", "scores", "executor-answers", "config"),
    *("weights-index", "tokenizer", "aiperf", "aiperf-requests", "guidellm", "inferencex"),
    *("sglang-bench", "vllm-bench", "calibration", "recorded-readings", "plan", "launch"),
    *("requests", "readings", "events", "rows", "found", "imported", "host", "lengths", "trace"),
    "environment-marker",
)
TEXT = ("metrics-text", "engine-log", "power-log", "stored-study", "manifest", "trace", "lengths")


def _toml() -> Iterator[tuple[str, bytes]]:
    yield "a key of 200,000 parts", b"a." * 200_000 + b"b = 1\n"
    yield "headers of many parts", (b"[" + b"a." * 300 + b"b]\n") * 1500
    yield "an array over 250,000 lines", b"bad = 1\na = [\n" + b"1,\n" * 250_000 + b"]\n"
    yield "brackets in a text", b'bad = 1\na = """\n' + b"[\n" * 400_000 + b'"""\n'
    yield "an open text", b'bad = 1\na = """\n' + b"[\n" * 400_000
    yield "many tables", b"bad = 1\n" + b'[[engines]]\nname = "a"\n' * 40_000
    yield "many unknown keys", b"".join(b"k%d = 1\n" % number for number in range(90_000))
    yield "nested arrays", b"a = " + b"[" * 400_000
    yield "nested tables", b"a = " + b"{a=" * 300_000
    yield "a number of a million digits", b"a = " + b"9" * 990_000


def _json() -> Iterator[tuple[str, bytes]]:
    yield "nested arrays", DEEP
    yield "nested objects", OBJECTS
    yield "a number of a million digits", b"9" * 1_000_000
    yield "many small values", b'[{"a":[' + b"{}," * 300_000 + b"{}]}]"
    yield "many lines", b"{}\n" * 300_000
    yield "many keys", b"{" + b",".join(b'"k%d":0' % it for it in range(100_000)) + b"}"
    yield "one long text", b'{"a":"' + b"x" * 8_000_000 + b'"}'


def _text() -> Iterator[tuple[str, bytes]]:
    yield "one long line", b"a" * 4_000_000
    yield "one long line with an end", b"a" * 4_000_000 + b"\n"
    yield "labels", b'vllm:prompt_tokens_total{a="' + b"a" * 900_000 + b"} 1\n"
    yield "no labels", b"vllm:prompt_tokens_total{" + b"a" * 900_000 + b"} 1\n"
    yield "blanks", b"vllm:prompt_tokens_total{a" + b" " * 900_000 + b"} 1" + b" " * 900_000
    yield "open quotes", b"vllm:prompt_tokens_total{" + b'a="' * 200_000
    yield "backslashes", b'vllm:prompt_tokens_total{a="' + b"\\" * 900_001 + b'"} 1\n'
    yield "colours", b"\x1b[" * 500_000 + b"\n" + b"Error" * 100_000
    yield "brackets", b"((((" * 200_000 + b"\n" + b"a." * 400_000 + b"\n"
    yield "prefixes", b"(" + b")" * 5 + b"A" * 400_000 + b" - [" * 100_000
    yield "commas", b"," * 2_000_000 + b"\n"
    yield "columns", b"t,power_w" + b",a" * 100_000 + b"\n" + b"1,2" + b",3" * 100_000 + b"\n"
    yield "tokens", b"GPU KV cache size: " + b"1," * 400_000 + b"\n"


def _streams() -> Iterator[tuple[str, str, bytes]]:
    line = b'data: {"choices":[{"text":"' + b"x" * (9 * MB) + b'"}]}\n\n'
    many = b'data: {"choices":[' + b"{}," * 1_300_000 + b"{}]}\n\n"
    ids = b'data: {"choices":[{"token_ids":[' + b"151643," * 1_000_000 + b"1]}]}\n\n"
    yield "sse", "many ids", b"\x3f\xff" + ids
    for name, data in (("a line of 9 MiB", line), ("many choices", many), ("no end", line[:-2])):
        yield "sse", name, b"\x3f\xff" + data
    yield "sse", "one byte at a time", b"\x00\x01" + b"x" * 300_000
    yield "sse", "empty lines", b"\x3f\xff" + b"\n" * 3_000_000
    yield "http", "an endless head", b"\x3f\xff" + b"HTTP/1.1 200 OK\r\nx: " + b"a" * (8 * MB)
    yield "http", "endless heads", b"\x3f\xff" + b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * MB
    yield "http", "endless 1xx", b"\x3f\xff" + b"HTTP/1.1 100 Continue\r\n\r\n" * 300_000
    chunked = b"\x3f\xff" + streams.HEAD + b"transfer-encoding: chunked\r\n\r\n"
    yield "http", "a huge chunk", chunked + b"ffffffffffffffff\r\n" + b"a" * MB
    yield "http", "too huge a chunk", chunked + b"f" * 64 + b"\r\n" + b"a" * MB
    yield "http", "an endless extension", chunked + b"1;" + b"a" * (4 * MB)
    yield "http", "tiny chunks", chunked + b"1\r\na\r\n" * 300_000
    length = b"content-length: 99999999999999999999\r\n\r\n"
    yield "http", "a huge length", b"\x3f\xff" + streams.HEAD + length + b"a" * MB


def _binary() -> Iterator[tuple[str, str, bytes]]:
    yield "safetensors", "a header of 2^60 bytes", struct.pack("<Q", 1 << 60) + b"{}"
    yield "safetensors", "a nested header", struct.pack("<Q", len(DEEP)) + DEEP
    deep = b'{"a":' + DEEP + b"}"
    yield "safetensors", "a nested tensor", struct.pack("<Q", len(deep)) + deep
    wide = b'{"a":{"dtype":"F32","shape":[' + b",".join([b"1099511627776"] * 16)
    wide += b'],"data_offsets":[0,8]}}'
    yield "safetensors", "a huge shape", struct.pack("<Q", len(wide)) + wide + bytes(8)
    events = struct.Struct("<IHHq")
    edges = ((0xFFFFFFFF, 0xFFFF, 0, 2**63 - 1), (0, 0xFFFF, 1, -(2**63)))
    yield "chunks", "absurd requests and times", b"".join(events.pack(*it) for it in edges * 1000)
    spread = b"".join(events.pack(it << 12, 1, 0, it) for it in range(100_000))
    yield "chunks", "requests that are far apart", spread
    yield "load-host-messages", "a huge array", b"\xdd\xff\xff\xff\xff"
    yield "load-host-messages", "nested arrays", b"\x91" * 1_000_000
    yield "load-host-hello", "nested maps", b"\x81\xa1a" * 300_000


def of(target: str) -> Iterator[tuple[str, bytes]]:
    """Yield what is hostile to one target, in words, and the input."""
    for names, made in ((TOML, _toml), (JSON, _json), (TEXT, _text)):
        if target in names:
            yield from made()
    for name, what, data in itertools.chain(_streams(), _binary()):
        if name == target:
            yield what, data
