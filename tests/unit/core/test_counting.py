"""Counters around a window, and the cache emptied before it, against a small HTTP server."""

from __future__ import annotations

import http.server
import itertools
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from inferometer import counting
from inferometer.counting import Counting, empty_cache
from inferometer.engine import CacheReset, Counter, Metrics
from inferometer.launch import Server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

METRICS = Metrics(
    counters=(
        Counter("e:tokens_total", "output_tokens"),
        Counter("e:running", "requests_running"),
    )
)
MS = 1_000_000


@contextmanager
def serving(answer: Callable[[str], tuple[int, str]]) -> Iterator[tuple[Server, list[int]]]:
    """Serve ``answer`` by path; give the server and the times (ns) of the calls."""
    times: list[int] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            times.append(time.monotonic_ns())
            status, text = answer(self.path)
            self.send_response(status)
            self.end_headers()
            self.wfile.write(text.encode())

        do_POST = do_GET  # noqa: N815 -- the base class's name

        def log_message(self, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        thread = threading.Thread(target=listening.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield (
                Server(
                    host="127.0.0.1",
                    port=listening.server_port,
                    session_id=0,
                    ready_s=0.0,
                    log=Path("none"),
                    dead=lambda: None,
                ),
                times,
            )
        finally:
            listening.shutdown()
            thread.join()


def growing(step: int) -> Callable[[str], tuple[int, str]]:
    values = itertools.count(100, step)
    return lambda _path: (200, f"e:tokens_total {(seen := next(values))}\ne:running {seen % 7}\n")


def test_two_readings_before_and_after_and_none_within() -> None:
    with serving(growing(70)) as (server, times):
        both = Counting(METRICS, server)
        start = time.monotonic_ns() + 700 * MS
        end = start + 200 * MS
        both.window_set(start, end)
        time.sleep(0.95)
        both.window_closed()
        told = both.result()
    assert told["counters"] == {"output_tokens": 70.0}
    assert told["requests_running"] == 100 % 7  # of the first reading
    assert len(times) == 2
    assert times[0] < start
    assert times[1] > end
    assert told["counters_start_ns"] < start
    assert told["counters_end_ns"] > end
    assert 0 < told["counters_slack_ms"] < 1000


def test_counters_that_fall_or_cannot_be_read_carry_a_reason() -> None:
    for answer, reason in [
        (growing(-50), "counter_reset"),
        (lambda _path: (200, "<html>no</html>"), "unreadable_counters"),
        (lambda _path: (200, "other_total 1\n"), "not_told"),
        (lambda _path: (404, ""), "failed"),
    ]:
        with serving(answer) as (server, _):
            both = Counting(METRICS, server)
            both.window_set(time.monotonic_ns(), time.monotonic_ns())
            time.sleep(0.1)
            both.window_closed()
            told = both.result()
        assert told["counters_reason"] == reason
        assert "counters" not in told


def test_without_counters_or_a_window_nothing_is_read() -> None:
    with serving(growing(1)) as (server, times):
        none = Counting(None, server)
        none.window_set(0, 0)
        none.window_closed()
        assert none.result()["counters_reason"] == "not_told"
        broken = Counting(METRICS, server)
        broken.window_set(time.monotonic_ns() + 5_000 * MS, time.monotonic_ns() + 6_000 * MS)
        broken.abandon()
        assert broken.result()["counters_reason"] == "failed"
    assert times == []


def test_the_cache_is_emptied_or_says_that_it_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counting, "RESET_S", 0.3)
    refusals = iter([400, 200])
    with serving(lambda _path: (next(refusals), "Cache flushed")) as (server, times):
        assert empty_cache(CacheReset(path="/flush_cache"), server) == "done"
        assert len(times) == 2  # requests that were cut may still be running
    with serving(lambda _path: (200, '{"success":false}')) as (server, times):
        assert empty_cache(CacheReset(path="/reset", says='"success":true'), server) == "refused"
        assert len(times) > 1
        assert empty_cache(None, server) == "none"
    # vLLM tells what came of it since 0.28 (seen); 0.24 answers 200 and nothing
    with serving(lambda _path: (200, "")) as (server, times):
        assert empty_cache(CacheReset(path="/reset", says='"success":true'), server) == "done"
        assert len(times) == 1
    with serving(lambda _path: (404, "")) as (server, times):
        assert empty_cache(CacheReset(path="/none"), server) == "refused"
        assert len(times) == 1
