"""Real SGLang behind its adapter: protocol, counters and life cycle; never a performance number.

Run by ``make lane-sglang``; not collected by ``make test``. Each model is served once, and the
tests go through its life in order.
"""

from __future__ import annotations

import json
import statistics
import time
from typing import TYPE_CHECKING, Any

import pytest
from tests.lanes.sglang.serving import (
    ENGINE,
    HOST,
    KV_TOKENS,
    SHARED,
    STREAMS,
    Live,
    built,
    live,
    model,
)

from inferometer import parity, redact, scoring, workload
from inferometer.counters import difference, snapshot
from inferometer.engine import Completion
from inferometer.ports import is_free
from inferometer.processes import alive
from inferometer.testing import conformance
from inferometer.told import resolved

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from inferometer.loadgen.driver import Answer

pytestmark = pytest.mark.timeout(1800)
MODELS = ("smollm2-135m", "smollm2-135m-moe")
LENGTHS = [1, 2, 5, 8, 3, 6]
said: dict[str, list[list[int]]] = {}
likely: dict[str, list[float]] = {}


@pytest.fixture(scope="module", params=MODELS)
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Live]:
    with live(built(), model(request.param), tmp_path_factory.mktemp(request.param)) as running:
        yield running


def counted(server: Live) -> dict[str, float]:
    assert ENGINE.metrics is not None
    return snapshot(ENGINE.metrics, server.get)


def prompts(server: Live, salt: str, count: int = len(LENGTHS)) -> workload.PromptSet:
    return workload.build(server.tokenizer, 24, count, 1, salt)


def flush(server: Live) -> tuple[int, bytes]:
    assert ENGINE.cache_reset is not None
    return server.post(ENGINE.cache_reset.path)


def until(wanted: Callable[[], bool], seconds: float = 120.0) -> None:
    end = time.monotonic() + seconds
    while not wanted():
        assert time.monotonic() < end
        time.sleep(0.2)


def exact(answers: list[Answer], lengths: list[int]) -> None:
    for answer, length in zip(answers, lengths, strict=True):
        row = answer.request
        assert (row.status, row.error, row.finish_reason) == ("ok", None, "length")
        assert row.input_tokens == row.input_tokens_expected == 24
        assert row.output_tokens == len(answer.token_ids) == length
        assert sum(tokens for _, tokens, _, _ in answer.chunks) == length
        assert row.tokens_from == "ids"


def test_it_is_ready_where_the_adapter_looks_and_looking_generates_nothing(server: Live) -> None:
    before = counted(server)
    assert before["output_tokens"] == 8.0  # its own warm-up: counters are read as differences
    server.get("/ready")
    assert difference(before, counted(server))["output_tokens"] == 0.0


def test_the_resolved_configuration_is_what_was_asked(server: Live) -> None:
    (told,) = resolved(ENGINE, server.server).values()
    asked = {
        "model_path": str(server.model),
        "dtype": "bfloat16",
        "device": "cpu",
        "context_length": 1024,
        "max_running_requests": STREAMS,
        "max_total_tokens": KV_TOKENS,
        "max_total_num_tokens": KV_TOKENS,
        "random_seed": 0,
        "attention_backend": "torch_native",
        "enable_cache_report": True,
        "enable_metrics": True,
        "version": "0.5.23",
    }
    assert {name: told[name] for name in asked} == asked
    assert redact.tree(told) == told


def test_the_adapter_conforms_to_the_running_engine(server: Live) -> None:
    found = conformance.live(
        ENGINE,
        server.server,
        model=str(server.model),
        tokenizer=server.tokenizer,
        readiness=server.readiness,
    )
    assert [result for result in found if result.outcome != "pass"] == []
    assert len(found) >= 9


def test_streams_have_exact_lengths_and_counters_grow_by_what_was_sent(server: Live) -> None:
    flush(server)
    sent, before = prompts(server, "exact"), counted(server)
    answers = server.send(sent, LENGTHS)
    exact(answers, LENGTHS)
    assert [answer.prompt_token_ids for answer in answers] == sent.ids
    grown = difference(before, counted(server))
    tokens = sum(map(len, sent.ids))
    assert grown["prompt_tokens"] == tokens
    assert grown["prompt_tokens_computed"] + grown["prompt_tokens_cached"] == tokens
    assert grown["prompt_tokens_cached"] == sum(a.request.cached_tokens or 0 for a in answers)
    assert grown["output_tokens"] == sum(LENGTHS)
    assert grown["requests_finished"] == len(LENGTHS)
    assert grown.get("requests_aborted", 0.0) == grown.get("preemptions", 0.0) == 0.0


def test_greedy_answers_agree_with_themselves_and_with_the_twins(server: Live) -> None:
    probes = workload.probe_prompts(server.tokenizer)
    lengths = [8] * len(probes.ids)
    first, again = ([a.token_ids for a in server.send(probes, lengths)] for _ in range(2))
    assert any(len(set(ids)) > 3 for ids in first)
    said[server.model.name] = first
    for other in (again, *said.values()):  # up to rounding: sums depend on what shares a batch
        found = [parity.match(a, b) for a, b in zip(first, other, strict=True)]
        agreed, flips = sum(m.agreed for m in found), sum(not m.identical for m in found)
        assert agreed / (agreed + flips) >= parity.LEAST_AGREEMENT


def test_it_tells_how_likely_each_token_is_and_the_twin_tells_the_same(server: Live) -> None:
    probes = workload.probe_prompts(server.tokenizer)
    texts = list(zip(probes.ids, probes.text, strict=True))[:4]
    bodies = [
        ENGINE.scoring(
            Completion(model=str(server.model), prompt_ids=ids, prompt_text=text, output_tokens=1)
        )
        for ids, text in texts
    ]
    answers = [server.post(ENGINE.endpoint, body) for body in bodies]
    assert {status for status, _ in answers} == {200}
    likely[server.model.name] = [
        value
        for (_, answer), (ids, _) in zip(answers, texts, strict=True)
        for value in scoring.logprobs(answer, len(ids))
    ]
    assert all(value <= 0 for value in likely[server.model.name])
    for other in likely.values():
        pairs = zip(likely[server.model.name], other, strict=True)
        assert statistics.fmean(abs(a - b) for a, b in pairs) <= parity.MOST_NATS


def test_the_cache_is_warm_for_a_repeat_and_cold_after_a_flush(server: Live) -> None:
    sent = prompts(server, "cache", 1)

    def cached() -> int | None:
        (answer,) = server.send(sent, [2])
        return answer.request.cached_tokens

    cached()
    assert (cached() or 0) >= 23
    status, body = flush(server)
    assert status == 200
    assert ENGINE.cache_reset is not None
    assert ENGINE.cache_reset.says in body.decode()
    assert cached() == 0


def test_a_flush_is_refused_while_a_request_runs_and_a_lost_client_is_an_abort(
    server: Live,
) -> None:
    before = counted(server)
    body = {"model": str(server.model), "prompt": [504] * 20, "max_tokens": 900, "stream": True}
    connection = server.opened(ENGINE.endpoint, {**body, "ignore_eos": True})
    answer = connection.getresponse()
    assert answer.status == 200
    assert answer.read(6) == b"data: "
    status, text = flush(server)
    assert status == 400, text
    answer.close()
    connection.close()
    until(lambda: difference(before, counted(server)).get("requests_aborted") == 1.0)
    until(lambda: flush(server)[0] == 200)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"max_tokens": -3}, "max_tokens must be positive"),
        ({"prompt": [504] * 2000}, "longer than the model's context length (1024 tokens)"),
        ({"prompt": 5}, "validation error"),
    ],
)
def test_a_bad_request_is_400_with_a_flat_error(
    server: Live, body: dict[str, Any], message: str
) -> None:
    good = {"model": str(server.model), "prompt": [504], "max_tokens": 1}
    status, text = server.post(ENGINE.endpoint, {**good, **body})
    said = json.loads(text)
    assert (status, said["object"], said["code"]) == (400, "error", 400)
    assert message in said["message"]


def test_a_full_queue_is_an_error_for_those_turned_away_and_nothing_for_the_rest(
    server: Live,
) -> None:
    count = 5 * STREAMS
    answers = server.send(prompts(server, "overload", count), [12] * count, streams=count)
    good = [answer for answer in answers if answer.request.status == "ok"]
    exact(good, [12] * len(good))
    refused = [answer for answer in answers if answer.request.status == "error"]
    assert len(good) >= 1 + STREAMS  # the one sent alone, and a queue of the rest
    assert refused
    assert len(good) + len(refused) == count
    assert all("queue is full" in (answer.request.error or "") for answer in refused)
    exact(server.send(prompts(server, "after"), LENGTHS), LENGTHS)


def test_sigterm_ends_it_in_time_and_nothing_runs_or_listens_after(server: Live) -> None:
    assert len(alive(server.server.session)) >= 3  # server, scheduler, detokenizer
    server.stop()
    assert alive(server.server.session) == []
    assert server.processes() == []
    assert is_free(HOST, server.server.port)
    log = server.server.log.read_text(errors="replace")
    assert "SIGTERM received" in log
    assert "Gracefully exiting" in log
    # 16 KiB for each rank, which SGLang itself unlinks nowhere; what else there may be is a fault.
    left = server.shared_left()
    assert all(name.startswith("sglang_loads_") for name in left)
    for name in left:
        (SHARED / name).unlink()
