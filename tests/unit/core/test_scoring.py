from __future__ import annotations

import json
import math
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from inferometer.loadgen.http import Target
from inferometer.scoring import logprobs, scores
from inferometer_engines.sglang import Sglang
from inferometer_engines.tensorrt_llm import TensorRtLlm
from inferometer_engines.vllm import Vllm

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from inferometer.engine import Engine
    from inferometer.point import Live


def answer(*values: float | None) -> bytes:
    return json.dumps({"choices": [{"logprobs": {"token_logprobs": values}}]}).encode()


def test_log_probabilities_of_the_prompt_alone_are_kept() -> None:
    assert logprobs(answer(None, -1.5, -0.25, -3.0), tokens=3) == [-1.5, -0.25]


@pytest.mark.parametrize(
    "bad",
    [
        answer(None, -1.0),
        answer(None, -1.0, None),
        answer(None, -1.0, -math.inf),
        b'{"choices": [{"logprobs": null}]}',
        b'{"choices": []}',
        b"no",
    ],
)
def test_an_answer_without_them_is_refused(bad: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        logprobs(bad, tokens=3)


class Handler(BaseHTTPRequestHandler):
    """Echoes log-probabilities as vLLM does: null for the first token, one generated token."""

    asked: list[dict[str, Any]]
    status = 200

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.asked.append(body)
        content = answer(None, *(-0.5 for _ in body["prompt"]))
        if self.status != 200:
            content = f"no entry with {self.headers['authorization']}".encode()
        self.send_response(self.status)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_args: object) -> None:
        pass


@pytest.fixture
def handler() -> Iterator[tuple[type[Handler], int]]:
    kind = type("Kind", (Handler,), {"asked": []})
    with HTTPServer(("127.0.0.1", 0), kind) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield kind, server.server_port
        server.shutdown()
        thread.join()


def live(engine: Engine, port: int, tokenizer: Path) -> Live:
    seen = SimpleNamespace(
        engine=engine,
        model="m",
        seed=None,
        tokenizer=tokenizer,
        target=Target(host="127.0.0.1", port=port),
    )
    return cast("Live", seen)


@pytest.mark.parametrize("engine", [Vllm(), Sglang()])
def test_every_fixed_text_is_scored(
    engine: Engine, handler: tuple[type[Handler], int], path_of: Callable[[str], Path]
) -> None:
    kind, port = handler
    rows = scores(live(engine, port, path_of("bytes")))
    assert [row.prompt for row in rows] == list(range(16))
    assert all(row.logprobs == [-0.5] * 63 for row in rows)
    assert len({row.text_sha256 for row in rows}) == 16
    body = kind.asked[0]
    assert (body["echo"], body["stream"], len(body["prompt"])) == (True, False, 64)
    assert set(body) <= engine.request_fields


def test_an_engine_that_cannot_tell_is_not_asked(path_of: Callable[[str], Path]) -> None:
    assert scores(live(TensorRtLlm(), 1, path_of("bytes"))) == []


def test_a_refusal_is_told(
    handler: tuple[type[Handler], int], path_of: Callable[[str], Path]
) -> None:
    kind, port = handler
    kind.status = 401
    seen = live(Vllm(), port, path_of("bytes"))
    key = {"authorization": "Bearer plainlooking42"}
    seen.target = Target(host="127.0.0.1", port=port, headers=key)  # type: ignore[misc]
    with pytest.raises(ValueError, match=r"^HTTP 401: no entry with \[hidden\]$"):
        scores(seen)
