"""The oracle itself, over plain sockets and as a process."""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from inferometer.testing.oracle import Options, Oracle, Truth

if TYPE_CHECKING:
    from pathlib import Path


def get(port: int, path: str) -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def post(port: int, body: object, path: str = "/v1/completions") -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("POST", path, json.dumps(body))
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def events(text: str) -> list[Any]:
    lines = [line[6:] for line in text.splitlines() if line.startswith("data: ")]
    return [json.loads(line) for line in lines if line != "[DONE]"]


def test_it_lists_its_model_and_is_ready_in_time() -> None:
    with Oracle(Options(model="m", ready_after_s=0.2)) as oracle:
        assert get(oracle.port, "/health")[0] == 503
        time.sleep(0.25)
        assert get(oracle.port, "/health")[0] == 200
        assert get(oracle.port, "/v1/models")[1]["data"][0]["id"] == "m"
        assert get(oracle.port, "/nothing")[0] == 404


def test_a_vllm_shaped_stream_ends_with_usage_and_done() -> None:
    with Oracle(Options(tokens_per_chunk=2, cached_tokens=1)) as oracle:
        _, text = post(oracle.port, {"prompt": [1, 2], "max_tokens": 3, "stream": True})
    first, last, usage = events(text)
    assert text.endswith("data: [DONE]\n\n")
    assert first["choices"][0]["token_ids"] == [3, 4]
    assert first["choices"][0]["prompt_token_ids"] == [1, 2]
    assert last["choices"][0]["finish_reason"] == "length"
    assert usage["choices"] == []
    assert usage["usage"]["completion_tokens"] == 3
    assert usage["usage"]["prompt_tokens_details"] == {"cached_tokens": 1}


def test_a_transformers_shaped_stream_ends_with_an_empty_chunk() -> None:
    with Oracle(Options(usage="transformers")) as oracle:
        _, text = post(oracle.port, {"prompt": "two words", "max_tokens": 2, "stream": True})
    *content, last = events(text)
    assert [event["choices"][0]["text"] for event in content] == [" meet", " and"]
    assert last["choices"][0]["text"] == ""
    assert last["usage"]["completion_tokens"] == 2
    assert last["usage"]["prompt_tokens"] == 2
    assert "[DONE]" not in text


def test_it_answers_in_one_piece_when_no_stream_is_asked_for() -> None:
    with Oracle() as oracle:
        status, text = post(oracle.port, {"prompt": [1], "max_tokens": 4})
    assert (status, json.loads(text)["usage"]["completion_tokens"]) == (200, 4)


@pytest.mark.parametrize("body", [{}, {"prompt": 3}, {"prompt": [1], "max_tokens": 0}, [1]])
def test_bad_requests_are_refused(body: object) -> None:
    with Oracle() as oracle:
        status, text = post(oracle.port, body)
        assert oracle.truth == []
    assert status == 400
    assert "bad request" in json.loads(text)["error"]["message"]


def test_an_idle_connection_is_closed() -> None:
    with (
        Oracle(Options(idle_close_s=0.05)) as oracle,
        socket.create_connection(("127.0.0.1", oracle.port), timeout=10) as idle,
    ):
        assert idle.recv(1) == b""


def test_truth_is_written_down(tmp_path: Path) -> None:
    file = tmp_path / "truth.jsonl"
    with Oracle(Options(merge=2), truth_file=file) as oracle:
        for _ in range(2):
            post(oracle.port, {"prompt": [1], "max_tokens": 5, "stream": True})
        kept = list(oracle.truth)
    lines = [msgspec.json.decode(line, type=Truth) for line in file.read_bytes().splitlines()]
    assert [[tokens for _, tokens in truth.writes] for truth in lines] == [[2, 2, 1]] * 2
    assert [msgspec.to_builtins(a) for a in lines] == [msgspec.to_builtins(a) for a in kept]


def test_a_taken_port_is_an_error() -> None:
    with Oracle() as oracle, pytest.raises(OSError, match="in use"), Oracle(port=oracle.port):
        pass


def test_it_runs_as_a_process(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    truth = tmp_path / "truth.jsonl"
    flags = ["--port", str(port), "--truth", str(truth), "--tokens", "2", "--split", "true"]
    process = subprocess.Popen([sys.executable, "-m", "inferometer.testing.oracle", *flags])
    try:
        deadline = time.monotonic() + 20
        while True:
            try:
                assert get(port, "/health")[0] == 200
                break
            except ConnectionRefusedError:
                assert time.monotonic() < deadline
                time.sleep(0.05)
        _, text = post(port, {"prompt": [1], "stream": True})
        assert events(text)[-1]["usage"]["completion_tokens"] == 2
    finally:
        process.terminate()
        process.wait(timeout=10)
    assert msgspec.json.decode(truth.read_bytes(), type=Truth).tokens == 2


def test_a_chat_stream_reasons_speaks_and_calls_a_tool() -> None:
    options = Options(role_first=True, reasoning_tokens=1, tool_tokens=1, tokens_per_chunk=2)
    body = {"messages": [{"role": "user", "content": "a b"}], "max_tokens": 4, "stream": True}
    with Oracle(options) as oracle:
        _, text = post(oracle.port, body, "/v1/chat/completions")
        status, whole = post(oracle.port, {**body, "stream": False}, "/v1/chat/completions")
        assert [tokens for _, tokens in oracle.truth[0].writes] == [2, 2]
    role, first, last, usage = events(text)
    assert role["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert role["object"] == "chat.completion.chunk"
    assert first["choices"][0]["delta"] == {"reasoning_content": " of", "content": " light"}
    assert last["choices"][0]["delta"]["content"] == " wave"
    assert last["choices"][0]["delta"]["tool_calls"][0]["function"]["arguments"] == " phase"
    assert usage["usage"]["completion_tokens"] == 4
    assert status == 200
    assert json.loads(whole)["choices"][0]["message"]["content"] == " of light wave phase"


def test_a_stall_holds_everything_up() -> None:
    with Oracle(Options(ttft_ms=0, stall_at_s=0.0, stall_s=0.3)) as oracle:
        began = time.monotonic()
        post(oracle.port, {"prompt": [1], "max_tokens": 1})
        get(oracle.port, "/health")
        assert time.monotonic() - began >= 0.29
