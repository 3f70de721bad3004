"""Targets that read from a network: answers of engines, messages of load hosts."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import msgspec
from tests.fuzz import reference
from tests.fuzz.base import Target, require

from inferometer import counters, jobs, redact, scoring, told
from inferometer.attached import NO_JSON
from inferometer.loadgen import handshake, wire
from inferometer.loadgen.answer import Call
from inferometer.loadgen.channel import HEAD_BYTES, Seal, framed, opened, size_of
from inferometer.loadgen.http import Connection, Exchange
from inferometer.loadgen.sse import Decoded, error_text
from inferometer_engines import sglang, tensorrt_llm, vllm

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Sequence

    from inferometer.engine import Metrics

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
LONGEST_ERROR = 20_100
"""Characters of a request's error, before secrets are hidden and it is cut again."""


def pieces(data: bytes) -> list[bytes]:
    """Cut ``data`` as its first two bytes say: where first, and how long the others are."""
    if len(data) < 3:
        return [data] if data else []
    size, first, body = data[0] % 64 + 1, data[1], data[2:]
    found, at, end = [], 0, first
    while at < len(body):
        if end > at:
            found.append(body[at:end])
        at, end = max(at, end), end + size
        size = size * 2 if len(found) > 64 else size  # a long input in not too many
    return found


def stream(data: bytes) -> None:
    """Read an answer in pieces, and once more as :mod:`tests.fuzz.reference` does."""
    packets = [(at, part) for at, part in enumerate(pieces(data), 1)]
    whole = bool(data) and data[0] < 200
    exchange = Exchange(status=200, packets=packets, outcome="complete" if whole else "open")
    said = _recorded(exchange)
    other = reference.decode(packets, whole=whole)
    # how deep is too deep to be read depends on how deep we are ourselves
    depth = any("recursion" in (each.error or "") for each in (said, other))
    require(said == other or depth, "not what the reference reads")


def refused(data: bytes) -> None:
    """Read the answer to a request that was refused."""
    require(len(error_text(400, data)) <= LONGEST_ERROR, "a long error")


class _Transport:
    """Takes what is done to a connection."""

    closed = False

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    abort = close


def http(data: bytes) -> None:
    """Let a connection receive an answer in pieces, and its end."""
    connection, exchange = Connection(), Exchange(sent_ns=1)
    transport = _Transport()
    connection.connection_made(cast("asyncio.BaseTransport", transport))
    connection._exchange = exchange
    for part in pieces(data):
        connection.data_received(part)
        if transport.closed:
            break
    connection.connection_lost(None)
    require(exchange.outcome != "open", "an exchange without an end")
    require(exchange.status is None or 0 <= exchange.status <= 999, "no status")
    _recorded(exchange)


def _recorded(exchange: Exchange) -> Decoded:
    """Make the records of an exchange, as they are stored, and return what it says."""
    call = Call(
        index=0,
        phase="load",
        stream=0,
        prompt=0,
        input_tokens=1,
        output_tokens=1,
        intended_ns=1,
        exchange=exchange,
    )
    while not call.decode(7):
        pass
    answer = call.answer(0)
    request = answer.request
    msgspec.json.encode(request)
    msgspec.json.encode((answer.token_ids, answer.prompt_token_ids, answer.text))
    require(all(0 <= tokens <= 0xFFFF for _, tokens, _, _ in answer.chunks), "a chunk's tokens")
    require(len(request.error or "") <= LONGEST_ERROR, "a long error")
    require(len(request.finish_reason or "") <= LONGEST_ERROR, "a long finish_reason")
    return call._whole()


def _of_counters(metrics: Metrics, data: bytes) -> None:
    before = counters.snapshot(metrics, lambda _: data)
    after = counters.snapshot(metrics, lambda _: data, before)
    msgspec.json.encode(counters.difference(before, after))
    counters.difference(after, before)


def metrics_text(data: bytes) -> None:
    """Read what engines count about themselves, as Prometheus text."""
    for adapter in (vllm, sglang):
        _of_counters(adapter.METRICS, data)


def metrics_json(data: bytes) -> None:
    """Read the same of an engine that answers in JSON."""
    _of_counters(dataclasses.replace(vllm.METRICS, form="json", drains=True), data)


def engine_answers(data: bytes) -> None:
    """Read an engine's resolved configuration."""
    try:
        answer = msgspec.json.decode(data, type=object)
    except NO_JSON:
        return
    for adapter in (vllm, sglang, tensorrt_llm):
        says = [one for one in adapter.SAYS if not one.pattern]
        msgspec.json.encode(told.told(says, {"/": redact.tree(answer)}, Path()))


def scores(data: bytes) -> None:
    """Read log-probabilities of a prompt."""
    scoring.logprobs(data, 4)


def job(data: bytes) -> None:
    """Read what an executor brought back."""
    jobs.decoder.decode(data)


def messages(data: bytes) -> None:
    """Read a message of either end of a load host."""
    try:
        wire.to_worker(data)
    except msgspec.MsgspecError:
        said = wire.from_worker(data)
        if isinstance(said, wire.Done):
            wire.result(said)
        elif isinstance(said, wire.Failed):
            wire.raised(said)


def hello(data: bytes) -> None:
    """Read the first sealed message of a load host, from one that knows the key."""
    if len(data) % 2:
        head, body = data[:HEAD_BYTES], data[HEAD_BYTES:]
        if len(head) < HEAD_BYTES:
            return
        size_of(head)
        opened(head, body, _seal())
    else:
        whole = framed(data, _seal())
        said = opened(whole[:HEAD_BYTES], whole[HEAD_BYTES:], _seal())
        msgspec.msgpack.decode(said, type=handshake.Hello)


def _seal() -> Seal:
    return Seal(out_key=b"k", in_key=b"k")


def _wire_seeds() -> Sequence[bytes]:
    made: list[Any] = [
        wire.Call("window", [1, [1, 2], 3]),
        wire.Ask(),
        wire.Ping(5),
        wire.Want(3),
        wire.Pong(1, 2, 3),
        wire.Failed("m", "h", "failed", "serve", ("a",)),
        wire.Broken(["x"]),
        wire.Alive(),
        wire.Units([], ended=True),
        wire.done("count", 3),
    ]
    return [wire.packed(it) for it in made]


def _hello_seeds() -> Sequence[bytes]:
    said = handshake.Hello(version="1", cores=2, busy=False, keyed=True)
    packed = msgspec.msgpack.encode(said)
    return [packed, packed + b" ", framed(packed, _seal())]


UNTOLD = (counters.UnreadableCounters, counters.CounterReset)
WORDS = (msgspec.DecodeError,)
HELLO = (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ConnectionError)
"""All of them mean that it is no load host: see ``handshake.enter``."""

TARGETS = (
    Target("sse", stream, (), "bytes", stream=True),
    Target("http", http, (), "bytes", stream=True),
    Target("refused", refused, (), "json"),
    Target("metrics-text", metrics_text, UNTOLD, "text"),
    Target("metrics-json", metrics_json, UNTOLD, "json"),
    Target("engine-answers", engine_answers, (), "json"),
    Target("scores", scores, (ValueError,), "json"),
    Target("executor-answers", job, jobs.UNREADABLE, "json"),
    Target("load-host-messages", messages, WORDS, "bytes", _wire_seeds),
    Target("load-host-hello", hello, HELLO, "bytes", _hello_seeds),
)
