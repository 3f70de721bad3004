"""The oracle itself, over plain sockets and as a process."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.programs import until

from inferometer.testing.oracle import Options, Oracle, Truth
from inferometer.testing.wheel import AT_ONCE, Wheel


def get(port: int, path: str) -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def post(port: int, body: object, path: str = "/v1/completions") -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
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
    with Oracle(Options(ready_after_s=600)) as oracle:
        assert get(oracle.port, "/health")[0] == 503
    with Oracle(Options(model="m", ready_after_s=0.2)) as oracle:
        assert until(lambda: get(oracle.port, "/health")[0] == 200, 60)
        assert time.monotonic() - oracle.began_s >= 0.2
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
        socket.create_connection(("127.0.0.1", oracle.port), timeout=60) as idle,
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
    truth = tmp_path / "truth.jsonl"
    started, port = process("--truth", str(truth), "--tokens", "2", "--split", "true")
    try:
        assert get(port, "/health")[0] == 200
        _, text = post(port, {"prompt": [1], "stream": True})
        assert events(text)[-1]["usage"]["completion_tokens"] == 2
    finally:
        started.terminate()
        started.communicate(timeout=60)
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


def test_a_fat_first_chunk() -> None:
    with Oracle(Options(first_chunk_tokens=4, tokens_per_chunk=3)) as oracle:
        post(oracle.port, {"prompt": [1], "max_tokens": 9, "stream": True})
        assert [tokens for _, tokens in oracle.truth[0].writes] == [4, 3, 2]


def test_it_tells_counts_and_ids_as_asked() -> None:
    body = {"prompt": [1], "max_tokens": 2, "stream": True}
    asking = {"stream_options": {"continuous_usage_stats": True}, "return_token_ids": True}
    with Oracle(Options(as_asked=True)) as oracle:
        (bare, *_), (full, *_) = (
            events(post(oracle.port, {**body, **more})[1]) for more in ({}, asking)
        )
    assert "usage" not in bare
    assert bare["choices"][0]["token_ids"] is None
    assert full["usage"]["completion_tokens"] == 1
    assert full["choices"][0]["token_ids"] == [1]


def test_a_stream_stalls_alone() -> None:
    with Oracle(Options(fault="stall", stall_s=0.3, tokens=4, itl_ms=1)) as oracle:
        post(oracle.port, {"prompt": [1], "stream": True})
        (truth,) = oracle.truth
    times = [t_ns for t_ns, _ in truth.writes]
    assert truth.outcome == "ok"
    assert times[2] - times[1] > 0.29e9


def test_it_reads_slowly() -> None:
    prompt = "word " * 40_000
    with Oracle(Options(read_pause_ms=10, ttft_ms=0)) as oracle:
        began = time.monotonic_ns()
        post(oracle.port, {"prompt": prompt, "max_tokens": 1})
        assert oracle.truth[0].arrived_ns - began > 50e6
        assert oracle.truth[0].prompt_tokens == 40_000


def test_a_client_that_reads_slowly_gets_everything() -> None:
    body = json.dumps({"prompt": [1], "max_tokens": 20_000, "stream": True}).encode()
    with (
        Oracle(Options(ttft_ms=0, itl_ms=0)) as oracle,
        socket.create_connection(("127.0.0.1", oracle.port), timeout=20) as client,
    ):
        head = b"POST /v1/completions HTTP/1.1\r\nhost: a\r\ncontent-length: %d\r\n\r\n"
        client.sendall(head % len(body) + body)
        assert until(lambda: oracle.truth and oracle.truth[0].outcome != "open", 60)
        got = b""
        while not got.endswith(b"0\r\n\r\n"):
            got += client.recv(1 << 20)
    assert got.count(b"data: {") == 20_001


def test_its_port_opens_late_and_its_counters_start_and_fall() -> None:
    options = Options(listen_after_s=0.3, counter_start=1000, counter_reset_at_s=3600, ttft_ms=0)
    began = time.monotonic()
    with Oracle(options) as oracle:
        assert until(lambda: listens(oracle.port), 60)
        assert time.monotonic() - began >= 0.3
        post(oracle.port, {"prompt": [1], "max_tokens": 4})
        assert "oracle:generation_tokens_total 1004" in metrics(oracle.port)
        oracle.began_s = time.monotonic() - 3600  # as if an hour had gone by
        assert "oracle:generation_tokens_total 0" in metrics(oracle.port)


def listens(port: int) -> bool:
    with contextlib.suppress(ConnectionRefusedError):
        return get(port, "/health")[0] == 200
    return False


def metrics(port: int) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("GET", "/metrics")
        return connection.getresponse().read().decode()
    finally:
        connection.close()


def process(*flags: str) -> tuple[subprocess.Popen[str], int]:
    """Start the oracle on a port of its own choice."""
    line = [sys.executable, "-m", "inferometer.testing.oracle", "--port", "0", *flags]
    started = subprocess.Popen(
        line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True
    )
    assert started.stdout is not None
    return started, int(started.stdout.readline())


def test_a_process_dies_with_its_last_words() -> None:
    dying, port = process("--die-at-s", "0.05", "--die-message", "out of memory", "--tokens", "500")
    with pytest.raises(http.client.HTTPException):
        post(port, {"prompt": [1], "stream": True})
    assert dying.communicate(timeout=60)[1] == "out of memory\n"
    assert dying.returncode == 1


def test_a_process_ends_at_sigterm_unless_told_otherwise() -> None:
    obeying, _ = process()
    obeying.terminate()
    obeying.communicate(timeout=60)
    assert obeying.returncode == 0
    deaf, port = process("--ignore-sigterm", "true")
    deaf.terminate()
    assert get(port, "/health")[0] == 200
    deaf.kill()
    deaf.communicate(timeout=60)
    assert deaf.returncode == -signal.SIGKILL


def test_the_wheel_calls_in_order_never_early_and_lets_others_in() -> None:
    async def run() -> list[int]:
        wheel, late = Wheel(asyncio.get_running_loop()), list[int]()
        ended = asyncio.Event()
        now = time.monotonic_ns()
        due = now + 5_000_000
        for _ in range(3 * AT_ONCE):
            wheel.at(due, lambda: late.append(time.monotonic_ns() - due))
        wheel.at(now + 20_000_000, ended.set)
        wheel.at(now - 1, lambda: late.append(0))
        await ended.wait()
        wheel.close()
        return late

    late = asyncio.run(run())
    assert len(late) == 3 * AT_ONCE + 1
    assert min(late) >= 0


def test_a_process_may_leave_a_child_behind() -> None:
    leaving, _ = process("--leave-child", "true")
    children = Path(f"/proc/{leaving.pid}/task/{leaving.pid}/children").read_text().split()
    leaving.terminate()
    leaving.wait(timeout=60)
    assert len(children) == 1
    os.kill(int(children[0]), signal.SIGKILL)
    leaving.communicate(timeout=60)
