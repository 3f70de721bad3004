"""The client against small servers that say exactly what a test wants said."""

from __future__ import annotations

import asyncio
import resource
from typing import TYPE_CHECKING

import pytest
import uvloop

from inferometer.errors import MachineError
from inferometer.loadgen.http import MOST_BYTES, MOST_HEAD, Client, Exchange, Target, frame

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi"

Serve = list[list[bytes | str]]
"""For each connection, for each request on it: bytes to write, or ``close``."""


def talk(
    script: Serve, asks: int = 1, timeout_s: float = 5.0, pause_s: float = 0.0
) -> list[Exchange]:
    """Ask ``asks`` times on one client of a server that follows ``script``."""
    connections = iter(script)
    seen: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for answer in next(connections):
            head = await reader.readuntil(b"\r\n\r\n")
            seen.append(head)
            await reader.readexactly(int(head.lower().split(b"content-length:")[1].split()[0]))
            if answer == "close":
                break
            assert isinstance(answer, bytes)
            for part in answer.split(b"|"):
                writer.write(part)
                await writer.drain()
                await asyncio.sleep(0.005)
        writer.close()

    async def main() -> list[Exchange]:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        target = Target("127.0.0.1", server.sockets[0].getsockname()[1], headers={"x-a": "b"})
        client, exchanges = Client(target), [Exchange() for _ in range(asks)]
        await client.open()
        for exchange in exchanges:
            await client.ask(frame(target.head(), b"{}"), exchange, timeout_s)
            await asyncio.sleep(pause_s)
        client.close()
        server.close()
        await asyncio.sleep(0.01)
        assert all(b"x-a: b" in head and b"content-type: application/json" in head for head in seen)
        return exchanges

    return run(main)


def run(main: Callable[[], Awaitable[list[Exchange]]]) -> list[Exchange]:
    async def call() -> list[Exchange]:
        return await main()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(call())


def test_a_kept_connection_serves_many_requests() -> None:
    exchanges = talk([[OK, OK, OK]], asks=3)
    assert [(e.outcome, e.status, e.body()) for e in exchanges] == [("complete", 200, b"hi")] * 3
    assert exchanges[0].sent_ns < exchanges[0].packets[0][0] <= exchanges[0].end_ns


def test_chunks_survive_split_and_merged_packets() -> None:
    head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
    (exchange,) = talk([[head + b"2\r\nab\r\n3\r\nc|de\r\n1|\r\nf\r\n0\r\n\r\n"]])
    assert (exchange.outcome, exchange.body()) == ("complete", b"abcdef")
    stamps = [t_ns for t_ns, _ in exchange.packets]
    assert stamps[0] == stamps[1] < stamps[-1]


def test_connection_close_is_obeyed_without_a_failure() -> None:
    closing = OK.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n")
    exchanges = talk([[closing], [closing]], asks=2)
    assert [(e.outcome, e.retried) for e in exchanges] == [("complete", False)] * 2


def test_a_body_may_end_with_the_connection() -> None:
    (exchange,) = talk([[b"HTTP/1.1 200 OK\r\n\r\nto the|end"]])
    assert (exchange.outcome, exchange.body()) == ("complete", b"to theend")


def test_an_interim_answer_is_passed_over() -> None:
    (exchange,) = talk([[b"HTTP/1.1 100 Continue\r\n\r\n|" + OK]])
    assert (exchange.status, exchange.body()) == (200, b"hi")


def test_a_refusal_keeps_status_and_words() -> None:
    (exchange,) = talk([[b"HTTP/1.1 503 Busy\r\ncontent-length: 4\r\n\r\nfull"]])
    assert (exchange.outcome, exchange.status, exchange.body()) == ("complete", 503, b"full")


def test_a_connection_closed_while_idle_is_opened_again() -> None:
    exchanges = talk([[OK], [OK]], asks=2, pause_s=0.05)
    assert [(e.outcome, e.retried) for e in exchanges] == [("complete", False)] * 2


def test_a_stale_connection_is_tried_once_more_and_no_failure() -> None:
    exchanges = talk([[OK, "close"], [OK]], asks=2)
    assert [(e.outcome, e.retried) for e in exchanges] == [("complete", False), ("complete", True)]


def test_two_losses_in_a_row_are_a_failure() -> None:
    exchanges = talk([[OK, "close"], ["close"]], asks=2)
    assert (exchanges[1].outcome, exchanges[1].retried) == ("lost", True)


def test_a_truncated_answer_is_never_sent_again() -> None:
    head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
    (exchange,) = talk([[head + b"2\r\nab\r\n"]])
    assert (exchange.outcome, exchange.body(), exchange.retried) == ("truncated", b"ab", False)


def test_nonsense_is_a_protocol_error() -> None:
    (exchange,) = talk([[b"SSH-2.0-OpenSSH\r\n"]])
    assert exchange.outcome == "protocol"


def test_a_silent_server_times_out() -> None:
    (exchange,) = talk([[b"HTTP/1.1 200 OK\r\n"]], timeout_s=0.002)
    assert exchange.outcome == "timeout"


def test_nobody_there_is_refused() -> None:
    async def main() -> list[Exchange]:
        exchange = Exchange()
        await Client(Target("127.0.0.1", 1)).ask(b"", exchange, 1.0)
        return [exchange]

    (exchange,) = run(main)
    assert exchange.outcome == "refused"
    assert "127.0.0.1:1" in exchange.detail
    assert exchange.sent_ns > 0


def test_an_answer_or_a_head_without_end_is_given_up() -> None:
    (endless,) = talk([[b"HTTP/1.1 200 OK\r\nx: " + b"a" * (MOST_HEAD + 1)]])
    assert (endless.outcome, endless.detail) == (
        "oversized",
        "the head of the answer has more than 0.25 MiB",
    )
    head = b"HTTP/1.1 200 OK\r\ncontent-length: 99999999\r\n\r\n|"
    (huge,) = talk([[head + b"a" * (MOST_BYTES + (1 << 20))]])
    assert (huge.outcome, huge.status, huge.packets) == ("oversized", 200, [])
    assert huge.detail == "the answer has more than 8 MiB"


def test_interim_answers_without_end_are_given_up() -> None:
    (exchange,) = talk([[b"HTTP/1.1 100 Continue\r\n\r\n" * 20_000]])
    assert exchange.outcome == "oversized"


def test_what_is_compressed_is_refused_by_name() -> None:
    gzip = b"HTTP/1.1 200 OK\r\nContent-Encoding: GZIP\r\ncontent-length: 2\r\n\r\nhi"
    plain = gzip.replace(b"GZIP", b"identity")
    (refused,), (taken,) = talk([[gzip]]), talk([[plain]])
    assert (refused.outcome, taken.outcome) == ("protocol", "complete")
    assert refused.detail == (
        "the answer (HTTP 200) is compressed as 'gzip', which was not asked for"
    )


def test_no_file_descriptor_left_is_not_the_servers_fault() -> None:
    async def main() -> list[Exchange]:
        server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
        client = Client(Target("127.0.0.1", server.sockets[0].getsockname()[1]))
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        exchange = Exchange()
        resource.setrlimit(resource.RLIMIT_NOFILE, (1, hard))
        try:
            with pytest.raises(MachineError, match="from here: Too many open files"):
                await client.ask(b"", exchange, 5.0)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            server.close()
        return [exchange]

    assert run(main)[0].outcome == "open"
