"""Talk to a server that a check looks at: single calls, counters, cache reset, completions."""

from __future__ import annotations

import http.client
from typing import TYPE_CHECKING, Any

import msgspec

from inferometer import counters
from inferometer.counting import emptied
from inferometer.loadgen.driver import Body, Target, collect

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from inferometer.engine import CacheReset, Engine
    from inferometer.launch import Server
    from inferometer.loadgen.driver import Answer

TIMEOUT_S = 60.0


def call(
    server: Server, method: str, path: str, body: Any = None, *, key: bool = True
) -> tuple[int, bytes]:
    """Return status and body of one call; ``body`` goes as JSON, and the server's key with it."""
    connection = http.client.HTTPConnection(server.host, server.port, timeout=TIMEOUT_S)
    try:
        content = b"" if body is None else msgspec.json.encode(body)
        headers = {"content-type": "application/json", **(server.headers if key else {})}
        connection.request(method, path, content, headers)
        answer = connection.getresponse()
        return answer.status, answer.read(8 << 20)
    finally:
        connection.close()


def status(server: Server, path: str) -> int:
    """Return the status of a GET."""
    return server.get(path, timeout_s=TIMEOUT_S)[0]


def counted(
    engine: Engine, server: Server, before: Mapping[str, float] | None = None
) -> dict[str, float]:
    """Return the engine's counters; none where it has none."""
    if engine.metrics is None:
        return {}

    def page(path: str) -> bytes:
        code, body = call(server, "GET", path)
        if code != 200:
            raise OSError(f"{path} answers {code}")
        return body

    return counters.snapshot(engine.metrics, page, before)


def reset(server: Server, how: CacheReset) -> bool:
    """Empty the prefix cache; say whether the engine says that it is done."""
    code, body = call(server, how.method, how.path)
    return emptied(how, code, body.decode("utf-8", "replace"))


def ask(
    engine: Engine, server: Server, bodies: Sequence[Body], concurrency: int = 1
) -> list[Answer]:
    """Send completions as a measurement does, and return their answers."""
    target = Target(
        host=server.host, port=server.port, path=engine.endpoint, headers=server.headers
    )
    return collect(
        target, bodies, concurrency, request_timeout_s=TIMEOUT_S, should_stop=server.dead
    )


def body(fields: Mapping[str, Any], input_tokens: int = 0, output_tokens: int = 0) -> Body:
    """Return a request of these fields, ready to send."""
    return Body(msgspec.json.encode(fields), 0, input_tokens, output_tokens)
