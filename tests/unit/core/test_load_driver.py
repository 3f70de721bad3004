"""The closed loop against the oracle: exact counts, honest ends. No assertion on speed."""

from __future__ import annotations

import itertools
import os
import signal
import threading
import time
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec
import pytest
from tests.programs import until

from inferometer import pace
from inferometer.errors import LaunchError
from inferometer.loadgen import shelf
from inferometer.loadgen.answer import Call
from inferometer.loadgen.driver import Body, Hooks, LoadPlan, Target, collect, drive
from inferometer.loadgen.http import Connection, Exchange
from inferometer.testing.oracle import Options, Oracle

if TYPE_CHECKING:
    from collections.abc import Callable

    from inferometer.loadgen.driver import LoadResult

TOKENS = 12


def source(index: int) -> Body:
    request = {"prompt": [index, 1, 2], "max_tokens": TOKENS, "stream": True}
    return Body(msgspec.json.encode(request), index, 3, TOKENS)


class Noted:
    """A source that notes when it is asked, which the streams do when their tasks begin.

    A stream is meant to begin at its time in the schedule, or when its task does where the machine
    held that up: later than the first time, it is not later than the source was asked by then.
    """

    def __init__(self, of: Callable[[int], Body] = source) -> None:
        self.of = of
        self.asked: list[int] = []

    def __call__(self, index: int) -> Body:
        self.asked.append(time.monotonic_ns())
        return self.of(index)


def begun(plan: LoadPlan, result: LoadResult) -> list[int]:
    """Return when each stream was meant to send its first request of the load, monotonic ns."""
    first: dict[int, int] = {}
    for request in result.requests:
        if request.phase == "load":
            first.setdefault(request.stream, request.intended_ns)
    return [first[stream] for stream in range(plan.concurrency)]


def on_time(
    plan: LoadPlan, result: LoadResult, anchor_ns: float, step_ns: float, asked_ns: int = 0
) -> bool:
    """Say whether streams begin one step after the other, or when they asked; none begins before.

    Times in the schedule are known to a microsecond here, for they are computed anew.
    """
    planned = [anchor_ns + stream * step_ns for stream in range(plan.concurrency)]
    pairs = list(zip(begun(plan, result), planned, strict=True))
    assert all(at_ns > planned_ns - 1e3 for at_ns, planned_ns in pairs)
    first_sent = min(r.sent_ns for r in result.requests if r.phase == "load")
    assert result.discarded_ns == max(0, result.start_ns - first_sent)
    return all(at_ns < max(planned_ns, asked_ns) + 1e3 for at_ns, planned_ns in pairs)


def window(oracle: Oracle, hooks: Hooks | None = None, streams: int = 4) -> LoadResult:
    plan = LoadPlan(concurrency=streams, window_s=0.4, discard_s=0.1)
    return drive(Target("127.0.0.1", oracle.port), source, plan, hooks)


def counted(oracle: Oracle, requests: int = 20, streams: int = 4) -> LoadResult:
    plan = LoadPlan(concurrency=streams, warmup_requests=0, requests=requests)
    return drive(Target("127.0.0.1", oracle.port), source, plan)


@pytest.mark.parametrize(
    ("options", "chunks", "tokens_from"),
    [
        (Options(), 12, "ids"),
        (Options(token_ids=False), 12, "usage"),
        (Options(token_ids=False, continuous_usage=False), 12, "none"),
        (Options(usage="transformers"), 12, "none"),
        (Options(usage="transformers", empty_text_every=4), 9, "none"),
        (Options(empty_text_every=3), 12, "ids"),
        (Options(empty_text_every=12, token_ids=False), 12, "usage"),
        (Options(tokens_per_chunk=5), 3, "ids"),
        (Options(tokens_per_chunk=16, token_ids=False), 1, "usage"),
        (Options(merge=5), 12, "ids"),
        (Options(split=True), 12, "ids"),
        (Options(comments=True), 12, "ids"),
        (Options(framing="close"), 12, "ids"),
        (Options(connection_close=True), 12, "ids"),
    ],
)
def test_tokens_are_exact_whatever_the_packets(
    options: Options, chunks: int, tokens_from: str
) -> None:
    with Oracle(options) as oracle:
        result = counted(oracle, requests=9, streams=3)
        truth = oracle.truth
    assert [r.status for r in result.requests] == ["ok"] * 9
    assert {r.output_tokens for r in result.requests} == {t.tokens for t in truth} == {TOKENS}
    assert {(r.input_tokens, r.chunks, r.tokens_from) for r in result.requests} == {
        (3, chunks, tokens_from)
    }
    if tokens_from != "none":
        assert sum(tokens for _, tokens, _, _ in result.chunks) == 9 * TOKENS


def test_stamps_follow_the_writes() -> None:
    with Oracle(Options(tokens_per_chunk=3, split=True)) as oracle:
        result = counted(oracle, requests=1, streams=1)
        (truth,) = oracle.truth
    over_ns = time.monotonic_ns()
    stamps = [(t_ns, tokens) for _, tokens, _, t_ns in result.chunks]
    assert len(stamps) == len(truth.writes)
    for (seen_ns, seen), (written_ns, written) in zip(stamps, truth.writes, strict=True):
        assert seen == written
        assert written_ns <= seen_ns <= over_ns
    # a machine that is held up delays some, not every one
    assert min(at - of for (at, _), (of, _) in zip(stamps, truth.writes, strict=True)) < 1e9
    (request,) = result.requests
    assert (request.first_ns, request.last_ns) == (stamps[0][0], stamps[-1][0])


def test_a_window_closes_under_load_and_excludes_the_warm_up() -> None:
    bounds: list[int] = []
    with Oracle(Options()) as oracle:
        result = window(oracle, Hooks(on_window_start=bounds.append, on_window_end=bounds.append))
        truth = oracle.truth
    assert bounds == [result.start_ns, result.end_ns]
    assert result.end_ns - result.start_ns >= 0.39e9  # timers count whole ms
    count = Counter((r.phase, r.status) for r in result.requests)
    assert count["warmup", "ok"] == 5
    assert count["load", "cut"] == 4
    assert count["load", "ok"] > 4
    warm = [r for r in result.requests if r.phase == "warmup"]
    assert all(r.end_ns is not None and r.end_ns <= result.start_ns for r in warm)
    assert all(r.sent_ns < result.end_ns for r in result.requests)
    assert warm[0].end_ns is not None
    assert warm[0].end_ns <= min(r.sent_ns for r in result.requests[1:])
    assert len(truth) == len(result.requests)
    # the last answer of a stream may be written and on its way when the window closes
    assert {t.outcome for t in truth} <= {"ok", "gone"}
    for request in result.requests:
        if request.status == "cut":
            assert request.chunks <= TOKENS
            assert request.end_ns is None


def test_a_stream_sends_again_when_its_answer_has_ended() -> None:
    with Oracle(Options()) as oracle:
        result = window(oracle)
    load = [r for r in result.requests if r.phase == "load"]
    for stream in range(4):
        mine = [r for r in load if r.stream == stream]
        for before, after in itertools.pairwise(mine):
            assert after.intended_ns == before.end_ns
            assert after.sent_ns >= after.intended_ns


@pytest.mark.parametrize("workers", [1, 2])
def test_the_streams_begin_evenly_over_half_a_residence_time(workers: int) -> None:
    # when the streams of other processes ask is not known: a machine that holds them up for longer
    # than a load is announced beforehand is asked once more
    assert any(begins_evenly(workers) for _ in range(1 if workers == 1 else 5))


def begins_evenly(workers: int) -> bool:
    """Say whether four streams began when they should have."""
    noted = Noted()
    with Oracle(Options(ttft_ms=200, itl_ms=0)) as oracle:
        plan = LoadPlan(concurrency=4, window_s=0.3, spread=0.5, workers=workers)
        result = drive(Target("127.0.0.1", oracle.port), noted, plan)
    residence_s = result.residence_s
    assert residence_s is not None
    assert residence_s >= 0.2
    warm_end = max(r.end_ns or 0 for r in result.requests if r.phase == "warmup")
    assert begun(plan, result)[0] >= warm_end  # it has drained
    assert {r.index for r in result.requests} >= set(range(9))
    anchor_ns = result.start_ns - residence_s * 1e9
    asked_ns = noted.asked[8] if workers == 1 else 0
    return on_time(plan, result, anchor_ns, residence_s * 0.5e9 / 4, asked_ns)


def test_unset_times_follow_from_the_residence_time() -> None:
    assert [pace.window_s(r) for r in (1.0, 5.0, 12.0, 40.0)] == [60.0, 60.0, 138.0, 300.0]
    # at least 20 s, or a third of a short window, and a residence time in any case
    pairs = [(1.0, 60.0), (30.0, 300.0), (1.0, 9.0), (5.0, 9.0)]
    assert [pace.discard_s(*pair) for pair in pairs] == [20.0, 30.0, 3.0, 5.0]
    noted = Noted()
    with Oracle(Options(ttft_ms=1, itl_ms=0)) as oracle:
        plan = LoadPlan(concurrency=2, window_s=0.9, warmup_requests=0)
        result = drive(Target("127.0.0.1", oracle.port), noted, plan)
    assert result.residence_s is None
    assert on_time(plan, result, result.start_ns - 0.3e9, 0, noted.asked[1])


def test_first_requests_of_one_age_are_spread_wider_and_discarded_longer() -> None:
    noted = Noted()
    with Oracle(Options(ttft_ms=200, itl_ms=0)) as oracle:
        plan = LoadPlan(concurrency=2, window_s=0.2)
        result = drive(Target("127.0.0.1", oracle.port), noted, plan)
    assert result.residence_s is not None
    residence_ns = result.residence_s * 1e9
    anchor_ns = result.start_ns - 2 * residence_ns
    assert on_time(plan, result, anchor_ns, residence_ns / 2, noted.asked[4])


def test_streams_that_pause_between_turns_begin_spread_over_the_pause_too() -> None:
    def talk(index: int) -> Body:
        body = source(index)
        number = None if index < 5 else (index - 5) // 3
        return replace(body, conversation=number, think_s=0.6)

    noted = Noted(talk)
    with Oracle(Options(ttft_ms=100, itl_ms=0)) as oracle:
        plan = LoadPlan(concurrency=4, window_s=1.4, spread=0.5, think_s=0.6)
        result = drive(Target("127.0.0.1", oracle.port), noted, plan)
    assert result.residence_s is not None
    step_ns = (0.5 * result.residence_s + 0.6) * 1e9 / 4
    anchor_ns = result.start_ns - (result.residence_s + 0.6) * 1e9
    # the last conversation of four has been asked for as a whole
    assert on_time(plan, result, anchor_ns, step_ns, noted.asked[16])


def test_every_stream_has_begun_when_the_window_does() -> None:
    noted = Noted()
    with Oracle(Options(ttft_ms=600, itl_ms=0)) as oracle:
        plan = LoadPlan(concurrency=4, window_s=0.7, discard_s=0.1)  # spread over 0.6 s, if it may
        result = drive(Target("127.0.0.1", oracle.port), noted, plan)
    assert on_time(plan, result, result.start_ns - 0.1e9, 0.1e9 / 4, noted.asked[8])


def test_what_a_server_refuses_in_the_warm_up_says_nothing_of_residence() -> None:
    with Oracle(Options(ttft_ms=200, itl_ms=0, fault="503", fault_every=2)) as oracle:
        plan = LoadPlan(concurrency=4, window_s=0.2, discard_s=0.1)
        result = drive(Target("127.0.0.1", oracle.port), source, plan)
    assert result.residence_s is not None
    assert result.residence_s >= 0.2


def test_a_window_without_a_send_has_no_send_lag() -> None:
    with Oracle(Options(ttft_ms=5000)) as oracle:
        plan = LoadPlan(concurrency=1, warmup_requests=0, window_s=0.3, discard_s=1.0)
        result = drive(Target("127.0.0.1", oracle.port), source, plan)
    assert all(r.sent_ns < result.start_ns for r in result.requests)
    assert result.send_lag_p99_ms is None
    assert result.loop_lag_p99_ms is not None


def test_a_fixed_number_is_sent_once_each_and_answered() -> None:
    with Oracle(Options()) as oracle:
        plan = LoadPlan(
            concurrency=4, warmup_requests=3, requests=10, first_index=100, load_point=2
        )
        result = drive(Target("127.0.0.1", oracle.port), source, plan)
    assert sorted(r.index for r in result.requests) == list(range(100, 113))
    assert sorted(r.prompt for r in result.requests) == list(range(13))
    assert {r.load_point for r in result.requests} == {2}
    load = [r for r in result.requests if r.phase == "load"]
    assert len(load) == 10
    assert result.start_ns <= min(r.sent_ns for r in load)
    assert result.end_ns == max(r.end_ns or 0 for r in load)


def test_pauses_between_loads_meet_idle_closes_unharmed() -> None:
    with Oracle(Options(idle_close_s=0.02, ttft_ms=40)) as oracle:
        result = counted(oracle)
    assert {r.status for r in result.requests} == {"ok"}


def test_a_stale_connection_is_counted_as_a_retry_not_as_a_failure() -> None:
    with Oracle(Options(fault="reset", fault_every=3)) as oracle:
        result = counted(oracle, requests=6, streams=1)
    assert [r.status for r in result.requests] == ["ok"] * 6
    assert result.retries == 2


@pytest.mark.parametrize(
    ("options", "status", "words"),
    [
        (Options(fault="error", fault_every=4), 200, "overloaded on purpose"),
        (Options(fault="error", fault_every=4, error_shape="flat"), 200, "overloaded on purpose"),
        (Options(fault="truncate", fault_every=4), 200, "truncated"),
        (Options(fault="503", fault_every=4), 503, "HTTP 503: refused on purpose"),
        (Options(fault="400", fault_every=4, error_shape="flat"), 400, "HTTP 400: refused"),
    ],
)
def test_failures_are_requests_too(options: Options, status: int, words: str) -> None:
    with Oracle(options) as oracle:
        result = counted(oracle, requests=12)
    failed = [r for r in result.requests if r.status == "error"]
    assert len(failed) == 3
    assert {r.http_status for r in failed} == {status}
    assert all(words in str(r.error) for r in failed)
    assert sum(r.status == "ok" for r in result.requests) == 9


def test_wrong_usage_is_an_error() -> None:
    with Oracle(Options(fault="wrong_usage")) as oracle:
        result = counted(oracle, requests=1)
    assert result.requests[0].error == (
        "usage says 13 output tokens, but 12 token ids were streamed"
    )


def test_a_slow_answer_times_out() -> None:
    with Oracle(Options(ttft_ms=2000)) as oracle:
        plan = LoadPlan(concurrency=1, warmup_requests=0, requests=1, request_timeout_s=0.05)
        result = drive(Target("127.0.0.1", oracle.port), source, plan)
    assert "timeout" in str(result.requests[0].error)


def test_a_server_that_refuses_the_warm_up_is_not_measured() -> None:
    with (
        Oracle(Options(fault="400")) as oracle,
        pytest.raises(LaunchError, match=r"every one of 3 .* failed: HTTP 400") as info,
    ):
        window(oracle, streams=2)
    assert info.value.stage == "serve"


def test_a_server_that_dies_ends_the_load() -> None:
    with Oracle(Options()) as oracle:
        threading.Timer(0.3, oracle.stop).start()
        plan = LoadPlan(concurrency=2, window_s=30, discard_s=0.0)
        with pytest.raises(LaunchError, match="the server is gone") as info:
            drive(Target("127.0.0.1", oracle.port), source, plan)
    assert (info.value.reason, info.value.stage) == ("failed", "serve")


def test_nobody_listening_is_a_launch_error() -> None:
    with pytest.raises(LaunchError, match=r"127\.0\.0\.1:1: the server is gone"):
        drive(Target("127.0.0.1", 1), source, LoadPlan(concurrency=1))


def test_should_stop_ends_the_load_with_its_words() -> None:
    began = time.monotonic()
    with Oracle(Options()) as oracle, pytest.raises(LaunchError, match="exit code 9"):
        drive(
            Target("127.0.0.1", oracle.port),
            source,
            LoadPlan(concurrency=2, window_s=30),
            Hooks(should_stop=lambda: "exit code 9" if time.monotonic() > began + 0.2 else None),
        )


def test_a_failing_source_or_hook_is_not_swallowed() -> None:
    def fail(_: int) -> Body:
        raise RuntimeError("no more prompts")

    def hook(_: int) -> None:
        raise RuntimeError("no meter")

    with Oracle(Options()) as oracle:
        with pytest.raises(RuntimeError, match="no more prompts"):
            drive(Target("127.0.0.1", oracle.port), fail, LoadPlan(concurrency=1))
        with pytest.raises(RuntimeError, match="no meter"):
            window(oracle, Hooks(on_window_start=hook))


def test_control_c_comes_out_promptly_with_connections_closed() -> None:
    with Oracle(Options(itl_ms=60_000)) as oracle:

        def interrupt() -> None:
            if until(lambda: oracle.truth, 60):
                os.kill(os.getpid(), signal.SIGINT)

        thread = threading.Thread(target=interrupt, daemon=True)
        thread.start()
        with pytest.raises(KeyboardInterrupt):
            drive(Target("127.0.0.1", oracle.port), source, LoadPlan(concurrency=2))
        thread.join()
        assert until(lambda: [t.outcome for t in oracle.truth] == ["gone"], 60)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_inside_a_callback_of_the_loop_is_heard(
    monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def stop(_number: int, _frame: object) -> None:  # as the command line has it
        raise KeyboardInterrupt

    received = Connection.data_received

    def interrupted(self: Connection, data: bytes) -> None:
        monkeypatch.undo()
        signal.raise_signal(number)
        received(self, data)

    before = signal.signal(signal.SIGTERM, stop)
    try:
        with Oracle(Options()) as oracle:
            monkeypatch.setattr(Connection, "data_received", interrupted)
            with pytest.raises(KeyboardInterrupt):
                counted(oracle, requests=50)
            assert len(oracle.truth) < 50
        assert signal.getsignal(signal.SIGTERM) is stop
    finally:
        signal.signal(signal.SIGTERM, before)


def test_memory_pressure_changes_nothing_but_when_answers_are_decoded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shelf, "MORE_PER_BYTE", 1)
    with Oracle(Options()) as oracle:
        result = counted(oracle)
    assert {(r.status, r.output_tokens, r.chunks) for r in result.requests} == {("ok", 12, 12)}


def test_collect_returns_answers_in_order() -> None:
    with Oracle(Options(fault="503", fault_every=5)) as oracle:
        target = Target("127.0.0.1", oracle.port)
        answers = collect(target, [source(i) for i in range(9)], 3, first_index=50)
    assert [a.request.prompt for a in answers] == list(range(9))
    assert [a.request.index for a in answers] == list(range(50, 59))
    assert {a.request.phase for a in answers} == {"probe"}
    assert sum(a.request.status == "error" for a in answers) == 1
    good = answers[2]
    assert good.token_ids == [(2 + 1 + 2 + i) % 12 for i in range(TOKENS)]
    assert good.prompt_token_ids == [2, 1, 2]
    assert len(good.text.split()) == TOKENS
    assert [chunk[0] for chunk in good.chunks] == [52] * TOKENS


def test_what_arrives_after_the_end_of_the_window_is_forgotten() -> None:
    exchange = Exchange(sent_ns=10, status=200, packets=[(20, b"data: a\n"), (40, b"data: b\n")])
    call = Call(
        index=0, phase="load", stream=0, prompt=0, input_tokens=1, output_tokens=2, intended_ns=10
    )
    call.exchange = exchange
    call.cut(30)  # in flight
    assert exchange.packets == [(20, b"data: a\n")]
    exchange.outcome, exchange.end_ns = "complete", 35
    call.cut(30)  # ended since
    assert (exchange.outcome, exchange.end_ns) == ("open", 0)


@pytest.mark.parametrize("warmup", [None, 0])
@pytest.mark.parametrize("fault", ["silent", "stall"])
def test_a_server_from_which_nothing_comes_any_more_has_stalled(
    fault: str, warmup: int | None
) -> None:
    """Before the first byte and in mid-stream, in the warm-up and in the window."""
    options = Options(fault=fault, stall_s=600.0)  # type: ignore[arg-type]
    plan = LoadPlan(concurrency=2, warmup_requests=warmup, window_s=600.0, stall_s=0.5)
    with Oracle(options) as oracle, pytest.raises(LaunchError, match="nothing arrived") as raised:
        drive(Target("127.0.0.1", oracle.port), source, plan)
    assert (raised.value.reason, raised.value.stage) == ("stalled", "serve")
    assert "stall_timeout_s" in raised.value.hint


def test_a_stall_is_told_by_workers_too() -> None:
    plan = LoadPlan(concurrency=4, window_s=600.0, stall_s=0.5, workers=2)
    with Oracle(Options(fault="silent")) as oracle, pytest.raises(LaunchError) as raised:
        drive(Target("127.0.0.1", oracle.port), source, plan)
    assert raised.value.reason == "stalled"
