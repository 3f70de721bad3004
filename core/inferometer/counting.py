"""The engine's own counters over one window, and its prefix cache emptied before one."""

from __future__ import annotations

import http.client
import threading
import time
from typing import TYPE_CHECKING, Any, Literal

from inferometer.counters import CounterReset, UnreadableCounters, difference, snapshot
from inferometer.redact import plain

if TYPE_CHECKING:
    from inferometer.engine import CacheReset, Metrics
    from inferometer.launch import Server

LEAD_S = 0.5
"""Counters are read this long before the window opens, so that the answer is not made in it."""
TIMEOUT_S = 10.0
RESET_S = 5.0
"""Requests that were cut may still be running: a reset that is refused is tried for this long."""
NO_ROUTE = (404, 405)
Reset = Literal["none", "done", "refused"]


class Counting:
    """Two readings, in a thread of their own: just before a window opens, just after it closes.

    The thread waits for answers and keeps bytes; they are read in :meth:`result`, after the load.
    """

    def __init__(self, metrics: Metrics | None, server: Server) -> None:
        self._metrics, self._server = metrics, server
        self._closed, self._abandoned = threading.Event(), False
        self._thread: threading.Thread | None = None
        self._bodies: list[bytes] = []
        self._stamps: list[tuple[int, int]] = []
        self._end_ns = 0
        self._problem = ""

    def window_set(self, start_ns: int, end_ns: int) -> None:
        """Read shortly before ``start_ns``, and again when :meth:`window_closed` is called."""
        self._end_ns = end_ns
        if self._metrics is not None:
            self._thread = threading.Thread(
                target=self._run, args=(self._metrics.path, start_ns), name="counters", daemon=True
            )
            self._thread.start()

    def window_closed(self) -> None:
        """Have the second reading made."""
        self._closed.set()

    def abandon(self) -> None:
        """Make no further reading; no harm when both are made."""
        self._abandoned = True
        self._closed.set()

    def _run(self, path: str, start_ns: int) -> None:
        due_s = (start_ns - time.monotonic_ns()) * 1e-9 - LEAD_S
        if self._closed.wait(max(0.0, due_s)) and self._abandoned:
            return
        self._read(path)
        self._closed.wait()
        if not (self._abandoned or self._problem):
            self._read(path)

    def _read(self, path: str) -> None:
        asked_ns = time.monotonic_ns()
        try:
            status, body = self._server.get(path, timeout_s=TIMEOUT_S)
        except (OSError, http.client.HTTPException) as error:
            self._problem = f"{path}: {type(error).__name__}: {plain(str(error))}"
            return
        if status != 200:
            self._problem = f"{path} answers {status}"
            return
        self._bodies.append(body)
        self._stamps.append((asked_ns, time.monotonic_ns()))

    def result(self) -> dict[str, Any]:
        """Return the fields of :class:`~inferometer.records.Window` about counters."""
        if self._metrics is None:
            return {"counters_reason": "not_told", "counters_detail": "the engine has none"}
        if self._thread is not None:
            self._thread.join(TIMEOUT_S * 2)
        if len(self._bodies) < 2:
            return {"counters_reason": "failed", "counters_detail": self._problem or "not read"}
        try:
            before = snapshot(self._metrics, lambda _: self._bodies[0])
            after = snapshot(self._metrics, lambda _: self._bodies[1], before)
            grown = difference(before, after)
        except (UnreadableCounters, CounterReset) as error:
            return {"counters_reason": error.reason, "counters_detail": plain(str(error))}
        if not grown:
            return {"counters_reason": "not_told", "counters_detail": "its page holds none of them"}
        (first_ns, since_ns), (asked_ns, last_ns) = self._stamps
        start_ns, end_ns = (first_ns + since_ns) // 2, (asked_ns + last_ns) // 2
        slack_ns = (since_ns - first_ns) // 2 + max(0, last_ns - self._end_ns)
        return {
            "counters": grown,
            "counters_start_ns": start_ns,
            "counters_end_ns": end_ns,
            "counters_slack_ms": slack_ns * 1e-6,
            "requests_running": before.get("requests_running"),
        }


def empty_cache(how: CacheReset | None, server: Server) -> Reset:
    """Empty the engine's prefix cache; say what came of it. Somebody else's is left alone."""
    if how is None or server.address is not None:
        return "none"
    until = time.monotonic() + RESET_S
    while True:
        try:
            status, body = _asked(how, server)
        except (OSError, http.client.HTTPException):
            return "refused"
        if emptied(how, status, body):
            return "done"
        if status in NO_ROUTE or time.monotonic() > until:
            return "refused"
        time.sleep(0.2)


def emptied(how: CacheReset, status: int, body: str) -> bool:
    """Say whether an answer means that the cache was emptied.

    A 200 without a word is believed: it is the answer of releases that do not tell. What the
    engine reports as cached shows whether it was so.
    """
    return status == 200 and (how.says in body or not body)


def _asked(how: CacheReset, server: Server) -> tuple[int, str]:
    connection = http.client.HTTPConnection(server.host, server.port, timeout=TIMEOUT_S)
    try:
        connection.request(how.method, how.path, headers=dict(server.headers))
        answer = connection.getresponse()
        return answer.status, answer.read(1 << 16).decode("utf-8", "replace")
    finally:
        connection.close()
