"""``inferometer bench`` against the oracle: keys, counts, verdicts, exit codes, no secrets."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import signal
import statistics
import threading
import time
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers

from inferometer import cli
from inferometer.bench import measure, work
from inferometer.bench.figures import figures, look, quantile
from inferometer.bench.options import Options
from inferometer.bench.verdict import verdict
from inferometer.cli.bench import command
from inferometer.errors import UsageError
from inferometer.loadgen.driver import LoadResult
from inferometer.records import CHUNK_COUNT_UNKNOWN, Request
from inferometer.testing import oracle as oracles
from inferometer.testing.oracle import Oracle
from inferometer.testing.script import WORDS
from inferometer.workloads.traces import TraceRow

if TYPE_CHECKING:
    from collections.abc import Iterator

Capture = pytest.CaptureFixture[str]
TIMED = ("ttft", "tpot", "itl", "e2el")
PEER = {
    *("completed", "failed", "duration", "total_input_tokens", "total_output_tokens"),
    *("request_throughput", "output_throughput", "total_token_throughput"),
    *(f"{word}_{name}_ms" for word in ("mean", "median", "std", "p99") for name in TIMED),
}
"""Keys of ``vllm bench serve``."""


@pytest.fixture(autouse=True)
def _restore_signals() -> Iterator[None]:
    kept = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    yield
    for number, handler in kept.items():
        signal.signal(number, handler)


def bench(oracle: Oracle, *words: str, code: int = 0) -> None:
    url = f"http://127.0.0.1:{oracle.port}"
    line = ["bench", url, "--model", "m", "--input-tokens", "8", "--output-tokens", "6", *words]
    assert cli.main(line) == code


def told(capsys: Capture) -> dict[str, Any]:
    found = json.loads(capsys.readouterr().out)
    assert isinstance(found, dict)
    return found


def options(**given: Any) -> Options:
    return Options(**{"url": "http://h", "model": "m", "concurrency": 1, "seed": 1, **given})


# -- the command -------------------------------------------------------------------------


def test_a_closed_loop_has_the_keys_of_vllm_bench_and_ours(capsys: Capture) -> None:
    with Oracle(oracles.Options(ttft_ms=20, itl_ms=2)) as oracle:
        bench(oracle, "--concurrency", "3", "--requests", "40", "--json", "-")
        assert len(oracle.truth) == 41
    out = told(capsys)
    assert set(out) >= {*PEER, "schema", "validity", "cpu_seconds", "seed", "valid"}
    assert (out["completed"], out["failed"], out["total_output_tokens"]) == (40, 0, 240)
    assert out["total_input_tokens"] == 320
    assert out["output_throughput"] == pytest.approx(240 / out["duration"])
    assert out["total_token_throughput"] == pytest.approx(560 / out["duration"])
    assert 19 < out["mean_ttft_ms"] < 2000
    assert 1.5 < out["mean_tpot_ms"] < 500
    assert out["mean_itl_ms"] == pytest.approx(out["mean_tpot_ms"])
    assert out["p90_ttft_ms"] >= out["median_ttft_ms"]
    assert out["p99_ttft_ms"] is None
    assert out["reasons"]["p99_ttft_ms"] == "too_few_samples"
    names = {check["name"]: check["verdict"] for check in out["validity"]}
    assert names["output length"] == names["errors"] == names["cold cache"] == "pass"
    assert {"loop lag", "send lag", "client cpu", "delivered concurrency"} <= set(names)
    assert set(out["validity"][0]) == {"name", "rule", "value", "verdict", "detail"}


@pytest.mark.parametrize(
    "words", [["--rate", "200"], ["--burst"], ["--rate", "99", "--duration", "1"]]
)
def test_open_loops_and_windows(capsys: Capture, words: list[str]) -> None:
    with Oracle(oracles.Options(ttft_ms=5, itl_ms=1)) as oracle:
        count = [] if "--duration" in words else ["--requests", "50"]
        bench(oracle, *words, *count, "--json", "-")
    out = told(capsys)
    names = {check["name"] for check in out["validity"]}
    assert ("achieved rate" in names) == ("--rate" in words)
    if count:
        assert (out["completed"], out["cut"]) == (50, 0)
    else:
        assert 60 < out["completed"] < 140
        assert 0.99 < out["duration"] < 1.5
        assert out["total_output_tokens"] == pytest.approx(6 * out["completed"], abs=60)


def test_a_trace_gives_times_and_lengths(capsys: Capture, tmp_path: Path) -> None:
    file = tmp_path / "trace.jsonl"
    rows = [(0.0, 3, 2), (0.1, 9, 5), (0.2, 4, 1)]
    keys = ("time_s", "input_tokens", "output_tokens")
    file.write_text("".join(json.dumps(dict(zip(keys, row, strict=True))) + "\n" for row in rows))
    with Oracle(oracles.Options(ttft_ms=1)) as oracle:
        bench(oracle, "--trace", str(file), "--warmup-requests", "0", "--json", "-")
        assert [(t.prompt_tokens, t.tokens) for t in oracle.truth] == [(3, 2), (9, 5), (4, 1)]
        gaps = [b.arrived_ns - a.arrived_ns for a, b in pairwise(oracle.truth)]
    assert all(0.05e9 < gap < 1e9 for gap in gaps)
    assert told(capsys)["total_output_tokens"] == 8


def test_the_readable_form_and_the_file(capsys: Capture, tmp_path: Path) -> None:
    file = tmp_path / "out.json"
    with Oracle(oracles.Options(ttft_ms=1, usage="transformers")) as oracle:
        words = ("--concurrency", "2", "--requests", "9", "--json", str(file), "--endpoint", "chat")
        bench(oracle, *words)
    out = capsys.readouterr().out
    saved = json.loads(file.read_bytes())
    assert "closed loop, 2 streams" in out
    assert f"{saved['mean_ttft_ms']:.2f}" in out
    assert "output length" in out
    assert saved["mean_itl_ms"] is None  # this shape has no count an event
    assert saved["reasons"]["mean_itl_ms"] == "tokens_per_event_unknown"
    assert saved["mean_icl_ms"] is not None
    assert saved["total_output_tokens"] == 54


def test_with_a_tokenizer_prompts_are_exact_and_answers_are_tokenised_again(
    capsys: Capture, tmp_path: Path
) -> None:
    vocabulary = {word: index for index, word in enumerate((*WORDS, "[UNK]"))}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    flags = ("--concurrency", "2", "--requests", "30", "--tokenizer", str(tmp_path))
    with Oracle(oracles.Options(ttft_ms=1)) as oracle:
        bench(oracle, *flags, "--json", "-")
    found = {check["name"]: check for check in told(capsys)["validity"]}
    assert found["prompt length"]["value"] == "30 of 30 exact"
    sample = found["retokenised sample"]
    assert (sample["verdict"], sample["value"]) == ("pass", "+0.0% of 90 tokens")


def test_a_key_is_used_and_never_told(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    secret = "plainlooking42"
    monkeypatch.setenv("BENCH_KEY", secret)
    file = tmp_path / "out.json"
    flags = ("--concurrency", "1", "--requests", "3", "--json", str(file))
    with Oracle(oracles.Options(api_key=secret, ttft_ms=1)) as oracle:
        bench(oracle, *flags, "--api-key-env", "BENCH_KEY", "--header", "X-Other: hush-hush-now")
        bench(oracle, *flags, code=4)
    texts = capsys.readouterr()
    for text in (file.read_text(), texts.out, texts.err):
        assert secret not in text
        assert "hush-hush-now" not in text
    assert "HTTP 401" in texts.err


def test_some_failures_end_with_5_and_stay_in_the_distribution(capsys: Capture) -> None:
    with Oracle(oracles.Options(ttft_ms=1, fault="503", fault_every=4)) as oracle:
        bench(oracle, "--concurrency", "1", "--requests", "40", "--json", "-", code=5)
    captured = capsys.readouterr()
    out = json.loads(captured.out)
    assert (out["completed"], out["failed"]) == (30, 10)
    assert out["p90_ttft_ms"] is None
    assert out["reasons"]["p90_ttft_ms"] == "failed"
    assert out["median_ttft_ms"] is not None
    assert not out["valid"]
    assert out["errors"] == {"HTTP 503: refused on purpose": 10}
    assert "10 of 40 requests failed" in captured.err


def test_nothing_completed_ends_with_4(capsys: Capture) -> None:
    with Oracle(oracles.Options(fault="400")) as oracle:
        flags = ("--concurrency", "1", "--requests", "2", "--warmup-requests", "0")
        bench(oracle, *flags, code=4)
        bench(oracle, "--rate", "9", code=4)
    assert cli.main(["bench", "http://127.0.0.1:1", "--model", "m", "--burst"]) == 4
    err = capsys.readouterr().err
    assert "no request completed, 2 failed" in err
    assert "--plain" in err
    assert "the server is gone" in err


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ([], "exactly one of"),
        (["--rate", "1", "--burst"], "exactly one of"),
        (["--burst", "--duration", "3"], "not a duration"),
        (["--rate", "1", "--requests", "3", "--duration", "3"], "exclude"),
        (["--rate", "1", "--burstiness", "2"], "--arrivals gamma"),
        (["--concurrency", "1", "--max-in-flight", "2"], "cap already"),
        (["--concurrency", "1", "--extra-body", "[]"], "not a JSON object"),
        (["--concurrency", "1", "--input-tokens", "few"], "--input-tokens"),
        (["--concurrency", "1", "--api-key-env", "NO_SUCH_VARIABLE"], "NO_SUCH_VARIABLE"),
        (["--concurrency", "0"], "--concurrency"),
    ],
)
def test_contradictions_are_refused_before_anything_is_sent(
    capsys: Capture, words: list[str], text: str
) -> None:
    assert cli.main(["bench", "http://127.0.0.1:1", "--model", "m", *words]) == 2
    assert text in capsys.readouterr().err


def test_every_flag_and_every_key_is_in_the_reference(capsys: Capture) -> None:
    text = (Path(__file__).parents[3] / "docs/reference/bench.md").read_text()
    with Oracle(oracles.Options(ttft_ms=1)) as oracle:
        bench(oracle, "--concurrency", "1", "--requests", "2", "--json", "-")
    out = told(capsys)
    series = {"ttft", "tpot", "itl", "icl", "e2el", "ttft_intended", "e2el_intended"}
    words = {"mean", "median", "std", "p90", "p99"}
    summaries = {f"{word}_{name}_ms" for word in words for name in series}
    assert summaries <= set(out)
    flags = {option for parameter in command.params for option in parameter.opts}
    for name in (flags | series | words | set(out)) - summaries - {"url"}:
        assert f"`{name}" in text, name
    for check in out["validity"]:
        assert check["name"] in text


class Dying:
    """Stops an oracle, or interrupts this process, after so many answers."""

    def __init__(self, oracle: Oracle, answers: int, *, interrupt: int = 0) -> None:
        self.oracle, self.answers, self.interrupt = oracle, answers, interrupt

    def __enter__(self) -> None:
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def __exit__(self, *_: object) -> None:
        self.thread.join()

    def _run(self) -> None:
        while sum(truth.outcome == "ok" for truth in self.oracle.truth) < self.answers:
            time.sleep(0.005)
        if self.interrupt:
            os.kill(os.getpid(), self.interrupt)
        else:
            self.oracle.stop()


def broken(capsys: Capture) -> tuple[dict[str, Any], str]:
    captured = capsys.readouterr()
    out = json.loads(captured.out)
    assert not out["valid"]
    assert 20 <= out["completed"] < 200
    assert out["mean_ttft_ms"] is not None
    first = out["validity"][0]
    assert (first["name"], first["verdict"]) == ("ran to the end", "fail")
    assert first["detail"] == out["broken_off"]
    return out, captured.err


@pytest.mark.parametrize("load", [["--concurrency", "2"], ["--rate", "60"]])
def test_a_server_that_dies_leaves_the_figures_until_then(capsys: Capture, load: list[str]) -> None:
    with Oracle(oracles.Options(ttft_ms=5, itl_ms=2)) as oracle, Dying(oracle, 25):
        bench(oracle, *load, "--requests", "900", "--json", "-", code=5)
    out, err = broken(capsys)
    assert "the server is gone" in out["broken_off"]
    assert "completed until then" in err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_leaves_the_figures_until_then(capsys: Capture, number: int) -> None:
    with Oracle(oracles.Options(ttft_ms=5)) as oracle, Dying(oracle, 25, interrupt=number):
        flags = ("--concurrency", "2", "--requests", "4000", "--json", "-")
        bench(oracle, *flags, code=130)
    out, err = broken(capsys)
    assert out["broken_off"] == "interrupted"
    assert out["errors"] == {}
    assert "Nothing is resumed" in err
    assert "Resume" not in err


def test_an_interrupt_before_any_answer_resumes_nothing(capsys: Capture) -> None:
    with Oracle(oracles.Options(ttft_ms=60_000)) as oracle:
        timer = threading.Timer(0.7, os.kill, (os.getpid(), signal.SIGINT))
        timer.start()
        bench(oracle, "--concurrency", "1", code=130)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "interrupted before a request had completed" in captured.err
    assert "Resume" not in captured.err


# -- the work ----------------------------------------------------------------------------


def test_prompts_are_salted_words_or_exact_tokens(tmp_path: Path) -> None:
    made = work.build(options(input_tokens="5"), (), 1, 3)
    texts = [msgspec.json.decode(body.content)["prompt"] for body in made.bodies]
    assert {len(text.split()) for text in texts} == {5}
    assert len({text.split()[0] for text in texts}) == 4
    assert made == work.build(options(input_tokens="5"), (), 1, 3)
    assert made != work.build(options(input_tokens="5", seed=2), (), 1, 3)
    letters = {chr(code): code for code in range(32, 127)} | {"[UNK]": 0}
    tokenizer = Tokenizer(models.BPE(vocab=letters, merges=[], unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split("\n", "removed")
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    exact = options(input_tokens="40", tokenizer=tmp_path / "tokenizer.json")
    texts = [msgspec.json.decode(b.content)["prompt"] for b in work.build(exact, (), 0, 3).bodies]
    assert {len(text) for text in texts} == {40}


def test_a_trace_with_a_tokenizer_shares_its_beginnings(tmp_path: Path) -> None:
    letters = {chr(code): code for code in range(32, 127)} | {"[UNK]": 0}
    tokenizer = Tokenizer(models.BPE(vocab=letters, merges=[], unk_token="[UNK]"))
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    rows = (TraceRow(0.0, 600, 2, ("a",)), TraceRow(1.0, 700, 3, ("a",)), TraceRow(2.0, 50, 4, ()))
    given = options(concurrency=None, trace=tmp_path, tokenizer=tmp_path / "tokenizer.json")
    made = work.build(given, rows, 2, 3)
    texts = [msgspec.json.decode(body.content)["prompt"] for body in made.bodies]
    assert [len(text) for text in texts] == [600, 700, 600, 700, 50]
    assert texts[2][:512] == texts[3][:512] != texts[0][:512]
    assert [body.output_tokens for body in made.bodies] == [2, 3, 2, 3, 4]
    assert made.reuse == pytest.approx(512 / 1350)


def test_bodies_are_plain_when_asked_and_extra_fields_win() -> None:
    full = work.request(options(), "hi", 7)
    assert full["ignore_eos"] is True
    assert full["stream_options"] == {"include_usage": True, "continuous_usage_stats": True}
    extra = {"temperature": None, "top_p": 0.5}
    plain = work.request(options(plain=True, endpoint="chat", extra_body=extra), "hi", 7)
    assert plain == {
        "model": "m",
        "messages": [{"role": "user", "content": "hi"}],
        "max_tokens": 7,
        "stream": True,
        "stream_options": {"include_usage": True},
        "top_p": 0.5,
    }


# -- the figures, by hand ----------------------------------------------------------------

MS = 1_000_000


def request(index: int, sent: int, first: int, last: int, **given: Any) -> Request:
    """Return a finished request of 3 tokens; times in ms."""
    base: dict[str, Any] = {
        "index": index,
        "load_point": 0,
        "phase": "load",
        "stream": 0,
        "prompt": index,
        "intended_ns": sent * MS,
        "sent_ns": sent * MS,
        "first_ns": first * MS,
        "last_ns": last * MS,
        "end_ns": last * MS,
        "input_tokens_expected": 10,
        "output_tokens_expected": 3,
        "input_tokens": 10,
        "output_tokens": 3,
        "cached_tokens": 0,
        "chunks": 2,
        "tokens_from": "usage",
    }
    return Request(**{**base, **given})


def result(requests: list[Request], chunks: list[tuple[int, int, int, int]]) -> LoadResult:
    return LoadResult(
        requests=requests,
        chunks=[(index, tokens, flags, t * MS) for index, tokens, flags, t in chunks],
        start_ns=0,
        end_ns=1000 * MS,
        discarded_ns=0,
        client_cpu_s=0.1,
        loop_lag_p99_ms=1.0,
        send_lag_p99_ms=60.0,
        retries=0,
    )


def test_formulas() -> None:
    # TTFT 100 and 300; E2E 200 and 600; the second chunk of each holds two tokens
    rows = [request(0, 0, 100, 200), request(1, 100, 400, 700, intended_ns=0)]
    chunks = [(0, 1, 0, 100), (0, 2, 0, 200), (1, 1, 0, 400), (1, 2, 0, 700)]
    values, reasons = figures(look(result(rows, chunks), whole=True))
    assert (values["mean_ttft_ms"], values["median_ttft_ms"]) == (200, 200)
    assert values["std_ttft_ms"] == 100
    assert values["mean_ttft_intended_ms"] == 250
    assert (values["mean_e2el_ms"], values["mean_e2el_intended_ms"]) == (400, 450)
    assert values["mean_tpot_ms"] == 100  # 100 / 2 and 300 / 2
    assert values["mean_itl_ms"] == 100  # 50, 50, 150, 150
    assert values["mean_icl_ms"] == 200
    assert values["output_throughput"] == 6
    assert values["total_token_throughput"] == 26
    assert values["p90_ttft_ms"] is None
    assert set(reasons.values()) == {"too_few_samples"}


def test_an_event_without_a_token_ends_no_gap() -> None:
    chunks = [(0, 1, 0, 100), (0, 0, 0, 150), (0, 2, 0, 200)]
    values, _ = figures(look(result([request(0, 0, 100, 200)], chunks), whole=True))
    assert (values["mean_itl_ms"], values["mean_icl_ms"]) == (50, 50)
    assert values["std_itl_ms"] == 0


def test_a_window_counts_the_tokens_that_fell_in_it() -> None:
    rows = [
        request(0, 0, 100, 200),
        request(1, 900, 950, 1100),  # ended after the window
        request(2, 900, 990, 995, status="cut", end_ns=None, output_tokens=2),
    ]
    chunks = [(0, 1, 0, 100), (0, 2, 0, 200), (1, 1, 0, 950), (1, 2, 0, 1100), (2, 2, 0, 990)]
    values, _ = figures(look(result(rows, chunks), whole=False))
    assert (values["completed"], values["total_output_tokens"]) == (1, 6)
    assert values["total_input_tokens"] == 30
    flagged = [(i, 0, CHUNK_COUNT_UNKNOWN, t) for i, _, _, t in chunks]
    values, _ = figures(look(result(rows, flagged), whole=False))
    assert values["total_output_tokens"] == 6  # 4 events of 1.5 tokens
    assert values["mean_itl_ms"] is None


def test_a_failure_in_an_answer_that_never_ended_is_counted() -> None:
    # the stream told an error, and the connection was still open when the window was cut
    rows = [request(0, 0, 100, 200), request(1, 900, 950, 980, status="error", end_ns=None)]
    seen = dataclasses.replace(result(rows, [(0, 3, 0, 200), (1, 1, 0, 950)]), start_ns=50 * MS)
    values, _ = figures(look(seen, whole=False))
    assert (values["completed"], values["failed"]) == (1, 1)


def test_a_server_that_tells_no_usage_has_no_token_rate() -> None:
    rows = [request(0, 0, 100, 200, output_tokens=None)]
    values, reasons = figures(look(result(rows, [(0, 0, CHUNK_COUNT_UNKNOWN, 100)]), whole=True))
    assert values["output_throughput"] is None
    assert reasons["output_throughput"] == "failed"
    assert values["mean_tpot_ms"] is None


def test_quantiles_are_linear_and_failures_are_infinite() -> None:
    numbers = [1.0, 2.0, 4.0]
    assert quantile(numbers, 0.5) == statistics.median(numbers)
    assert quantile(numbers, 0.75) == 3.0
    assert quantile([1.0, math.inf], 0.0) == 1.0
    assert quantile([1.0, math.inf, math.inf], 1.0) == math.inf


def test_the_checks_are_those_of_a_study() -> None:
    rows = [
        request(index, 0, 100, 900, output_tokens=2, cached_tokens=9, intended_ns=0)
        for index in range(8)
    ]
    rows += [request(8, 900, 0, 0, status="error", first_ns=None, last_ns=None, end_ns=950 * MS)]
    seen = result(rows, [])
    found = {c.name: c.verdict for c in verdict(seen, options(concurrency=2), whole=True)}
    for name in ("send lag", "delivered concurrency", "errors", "output length", "cold cache"):
        assert found[name] == "fail", name
    assert found["loop lag"] == found["client cpu"] == "pass"
    assert not {"same work", "prompt length", "window length", "ran to the end"} & set(found)
    shared = {c.name: c.verdict for c in verdict(seen, options(), whole=True, reuse=0.9)}
    assert shared["shared cache"] == "pass"
    late = [request(i, 100 * i, 900, 950, intended_ns=10 * i * MS) for i in range(9)]
    given = options(rate=100, concurrency=None)
    rate = {c.name: c for c in verdict(result(late, []), given, whole=True)}["achieved rate"]
    assert (rate.verdict, rate.value) == ("fail", "10.00 of 100.00 requests/s")


@pytest.mark.parametrize("timeout_s", [1.0, 600.0, 7200.0])
def test_nothing_ends_a_slow_answer_before_its_own_limit(timeout_s: float) -> None:
    plan = measure._plan(options(request_timeout_s=timeout_s), ())
    assert plan.request_timeout_s == timeout_s
    assert plan.silence_s > timeout_s


def test_options_make_the_schedule() -> None:
    gamma = options(concurrency=None, rate=5, arrivals="gamma", burstiness=0.5)
    schedule = gamma.schedule(())
    assert schedule is not None
    assert (schedule.kind, schedule.rate, schedule.burstiness, schedule.seed) == (
        "gamma",
        5,
        0.5,
        1,
    )
    assert options().schedule(()) is None
    with pytest.raises(UsageError):
        options(rate=2).check()
