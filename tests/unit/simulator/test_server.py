"""The simulator behind HTTP: its answers, its adapter, and a study measured as any other."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.e2e.measuring import measure
from tests.studies import DECLARED, PRICE, SHORT, STREAMS, written

from inferometer import api
from inferometer.launch import Server
from inferometer.plugins import Registry
from inferometer.ports import lease
from inferometer.testing import conformance
from inferometer.testing.engine import write_model
from inferometer_plugins.simulator import Simulator
from inferometer_plugins.simulator.adapter import FIELDS
from inferometer_plugins.simulator.laws import Hardware, Linear, Roofline, Sizes
from inferometer_plugins.simulator.live import Live
from inferometer_plugins.simulator.model import NOISES, REFERENCE, SILENT, Params
from inferometer_plugins.simulator.server import Ask, options, params_of

PROGRAM = (sys.executable, "-m", "inferometer_plugins.simulator.server")
BODY = {"model": "m", "prompt": [1, 2, 3], "max_tokens": 4, "return_token_ids": True}


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with lease("127.0.0.1") as port:
        argv = [*PROGRAM, "--port", str(port), "--model", "m", "--seed", "5"]
        process = subprocess.Popen([*argv, "--kv-tokens", "1000", "--max-model-len", "500"])
        found = f"http://127.0.0.1:{port}"
        until = time.monotonic() + 30
        while True:
            try:
                urllib.request.urlopen(found + "/health").close()
                break
            except OSError:
                assert time.monotonic() < until
                time.sleep(0.05)
        yield found
        process.terminate()
        assert process.wait(10) == 0


def ask(url: str, **fields: Any) -> tuple[int, str]:
    request = urllib.request.Request(
        url + "/v1/completions", json.dumps({**BODY, **fields}).encode()
    )
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_a_whole_answer(url: str) -> None:
    status, text = ask(url)
    answer = json.loads(text)
    assert status == 200
    assert answer["choices"][0]["token_ids"] == [1, 1, 1, 1]
    assert answer["usage"]["total_tokens"] == 7


def test_a_stream_has_a_token_an_event_and_the_counts_at_its_end(url: str) -> None:
    _, text = ask(url, stream=True, stream_options={"include_usage": True})
    events = [line.removeprefix("data: ") for line in text.splitlines() if line]
    assert events.pop() == "[DONE]"
    *chunks, last = [json.loads(event) for event in events]
    assert [chunk["choices"][0]["token_ids"] for chunk in chunks] == [[1]] * 4
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks] == [None] * 3 + ["length"]
    assert last["usage"]["completion_tokens"] == 4


@pytest.mark.parametrize(
    ("fields", "status", "said"),
    [
        ({"made_up": 1}, 400, "made_up"),
        ({"max_tokens": 0}, 400, "max_tokens"),
        ({"prompt": []}, 400, "at least one token"),
        ({"prompt": 5}, 400, "prompt"),
        ({"max_tokens": 498}, 400, "501 tokens are more than max_model_len, 500"),
        ({"model": "other"}, 404, "other"),
    ],
)
def test_what_it_refuses(url: str, fields: dict[str, Any], status: int, said: str) -> None:
    code, text = ask(url, **fields)
    assert code == status
    assert said in json.loads(text)["error"]["message"]


def test_it_says_what_it_is_and_counts(url: str) -> None:
    with urllib.request.urlopen(url + "/simulator") as answer:
        told = json.load(answer)
    assert (told["seed"], told["params"]["kv_tokens"]) == (5, 1000)
    before = counters(url)
    ask(url, max_tokens=20)
    after = counters(url)
    moved = {name: after[name] - before[name] for name in after}
    assert moved["generation_tokens_total"] == 20
    assert moved["prompt_tokens_total"] == 3
    assert moved["request_success_total"] == 1
    assert moved["steps_total"] == 20
    assert 250 * 0.1 < moved["energy_joules_total"] < 400 * 0.5


def test_it_does_what_the_live_checks_ask_of_a_server(url: str, tokenizer: Path) -> None:
    server = Server(
        host="127.0.0.1",
        port=int(url.rpartition(":")[2]),
        session_id=None,
        ready_s=None,
        log=Path("none"),
        dead=lambda: None,
    )
    results = conformance.live(Simulator(), server, model="m", tokenizer=tokenizer)
    assert {it.id: it.detail for it in results if it.outcome not in {"pass", "n/a"}} == {}
    assert sum(it.outcome == "pass" for it in results) >= 8


def counters(url: str) -> dict[str, float]:
    with urllib.request.urlopen(url + "/metrics") as answer:
        lines = answer.read().decode().splitlines()
    pairs = (line.split() for line in lines if not line.startswith("#"))
    return {name.removeprefix("simulator:"): float(value) for name, value in pairs}


class Ear:
    def __init__(self, tokens: int) -> None:
        self.at_s: list[float] = []
        self.full = asyncio.Event()
        self._tokens = tokens

    def token(self) -> None:
        self.at_s.append(time.monotonic())
        if len(self.at_s) == self._tokens:
            self.full.set()


def test_tokens_come_when_the_law_says() -> None:
    async def listen() -> None:
        params = Params(law=Linear(a_s=0.01, b_s=0, c_s=0, d_s=0.001), noise=SILENT)
        live, ear, left = Live(params, seed=1), Ear(31), Ear(1)
        steps = asyncio.create_task(live.run())
        await asyncio.sleep(0)
        began_s = time.monotonic()
        live.submit(ear, prompt=90, output=31)
        number = live.submit(left, prompt=10, output=10_000)
        await left.full.wait()
        live.leave(number)
        await ear.full.wait()
        # 10 ms and 100 prompt tokens, then 30 steps; a busy machine may be late, never early
        assert 0.109 < ear.at_s[0] - began_s < 10
        assert 0.409 < ear.at_s[-1] - began_s < 10
        assert (live.counts.finished, live.counts.aborted) == (1, 1)
        assert (live.batch.running, live.batch.stored) == (0, 0)
        steps.cancel()

    asyncio.run(listen())


def test_options_make_the_engine(tmp_path: Path) -> None:
    gpu = Hardware(flops_s=1e12, bytes_s=1e11, memory_bytes=1e10)
    sizes = Sizes(always_bytes=1e9, flops_per_token=1e9, kv_bytes_per_token=1e4)
    file = tmp_path / "params.json"
    file.write_bytes(msgspec.json.encode(Params(law=Roofline(hardware=gpu, sizes=sizes))))
    usual = ["--port", "1", "--model", "m"]
    given = options([*usual, "--params", str(file), "--slowdown", "1.2", "--noise", "calm"])
    params = params_of(given)
    assert isinstance(params.law, Roofline)
    assert (params.slowdown, params.noise) == (1.2, NOISES["calm"])
    assert params_of(options(usual)) == REFERENCE


def test_the_fields_it_declares_are_those_it_takes() -> None:
    assert {field.name for field in msgspec.structs.fields(Ask)} == FIELDS


def test_a_slowdown_is_found_by_a_study_and_all_of_it_is_simulated(
    tmp_path: Path, tokenizer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INFEROMETER_CACHE", str(tmp_path / "cache"))
    model = write_model(tmp_path / "dense", tokenizer.read_text())
    law = ("--noise", "calm")
    text = written(
        "slow",
        protocol={"rounds": 2, "window_s": 1.0, "discard_s": 0.3},
        price=PRICE,
        engines=[
            {"name": "simulator", "extra_args": law},
            {"name": "simulator", "extra_args": (*law, "--slowdown", "2")},
        ],
        models=[{"name": "dense", "path": model}],
        workloads=[SHORT],
        loads=[STREAMS],
        meters=[DECLARED],
    )
    outcome, progress = measure(text, tmp_path / "results", Registry())
    assert (outcome.planned, outcome.finished) == (4, 4), progress.said
    comparison = api.analyze(tmp_path / "results")
    values = [value for cell in comparison.cells for value in cell.values.values()]
    assert {value.kind for value in values if value.value is not None} == {"simulated"}
    rates = [cell.values["output_tok_s"].value or 0.0 for cell in comparison.cells]
    assert 1.2 < max(rates) / min(rates) < 3.3  # two, but for what holds up two windows of 1 s
