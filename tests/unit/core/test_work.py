"""The requests of a load point: schedules that all stacks share, traces, conversations."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from tokenizers import Tokenizer

from inferometer.errors import UsageError
from inferometer.loadgen.driver import LoadResult
from inferometer.plan import LoadPoint
from inferometer.point import load_plan, request_bodies, window
from inferometer.study import LoadEntry, Protocol, WorkloadEntry
from inferometer.testing.engine import OracleEngine
from inferometer.work import Work, work
from inferometer.workloads import dialogues, requests
from inferometer.workloads.lengths import parse

if TYPE_CHECKING:
    from pathlib import Path

PROTOCOL = Protocol(seed=1, window_s=4.0, discard_s=1.0)
SHORT = WorkloadEntry(name="w", input_tokens=32, output_tokens=3)
TALK = WorkloadEntry(
    name="talk", input_tokens=20, output_tokens=10, turns=4, think_s=0.5, cache="warm"
)


def at(load: LoadEntry, entry: WorkloadEntry = SHORT, index: int = 0) -> LoadPoint:
    return LoadPoint(index=index, workload=entry, load=load)


def made(tokenizer: Path, point: LoadPoint, round_: int = 0, protocol: Protocol = PROTOCOL) -> Work:
    work.cache_clear()
    return work(tokenizer, point, round_, protocol)


# -- open loops --------------------------------------------------------------------------


def test_every_stack_of_a_round_gets_the_same_arrivals_and_each_round_new_ones(
    tokenizer: Path,
) -> None:
    point = at(LoadEntry(rate=50.0))
    one, again, later = (made(tokenizer, point, round_) for round_ in (0, 0, 1))
    assert one == again
    assert one.sha256() == again.sha256() != later.sha256()
    assert one.offsets_s != later.offsets_s
    other = made(tokenizer, at(LoadEntry(rate=50.0), index=1))
    assert other.offsets_s != one.offsets_s


def test_an_open_loop_has_a_prompt_for_each_arrival_and_no_stagger(tokenizer: Path) -> None:
    one = made(tokenizer, at(LoadEntry(rate=50.0)))
    assert one.arrivals is not None
    assert one.arrivals.until(7.0) == list(one.offsets_s)  # 1 + 4 s, and 2 s behind the window
    assert 250 < len(one.offsets_s) < 400
    assert (one.warmup, one.streams, one.firsts, one.again) == (3, 2, (), 3)
    assert len(one.prompts) == 3 + len(one.offsets_s)
    assert len({tuple(ids) for ids in one.prompts.ids}) == len(one.prompts)
    unset = made(tokenizer, at(LoadEntry(rate=1.0)), protocol=Protocol(window_s=4.0))
    assert max(unset.offsets_s) > 20  # room for a discarded time that is only known later


def test_the_hash_of_the_work_covers_the_schedule_and_leaves_closed_loops_alone(
    tokenizer: Path,
) -> None:
    one = made(tokenizer, at(LoadEntry(rate=50.0)))
    moved = replace(one, offsets_s=(*one.offsets_s[:-1], one.offsets_s[-1] + 1e-6))
    hashes = {item.sha256() for item in (one, moved)}
    assert len(hashes) == 2
    closed = made(tokenizer, at(LoadEntry(concurrency=2)))
    assert closed.sha256() == closed.prompts.sha256(closed.output_tokens)


def test_gamma_and_constant_arrivals_are_those_asked_for(tokenizer: Path) -> None:
    even = made(tokenizer, at(LoadEntry(rate=10.0, arrivals="constant")))
    assert even.offsets_s == tuple(index / 10 for index in range(70))
    bursty = made(tokenizer, at(LoadEntry(rate=10.0, arrivals="gamma", burstiness=0.5)))
    assert bursty.arrivals is not None
    assert (bursty.arrivals.kind, bursty.arrivals.burstiness) == ("gamma", 0.5)


def test_the_load_path_and_the_record_say_what_was_asked(tokenizer: Path) -> None:
    point = at(LoadEntry(rate=50.0, max_in_flight=7), index=2)
    one = made(tokenizer, point)
    asked = load_plan(point, one, PROTOCOL)
    assert (asked.arrivals, asked.max_in_flight) == (one.arrivals, 7)
    assert (asked.concurrency, asked.warmup_requests, asked.first_index) == (2, 3, 20_000_000)
    result = LoadResult(
        requests=[],
        chunks=[],
        start_ns=1,
        end_ns=2,
        discarded_ns=0,
        client_cpu_s=0,
        loop_lag_p99_ms=0,
        send_lag_p99_ms=0,
        retries=0,
    )
    stored = window(point, result, one)
    assert (stored.concurrency, stored.arrivals, stored.rate) == (None, "poisson", 50.0)
    assert stored.load == "50 requests/s, Poisson, at most 7 in flight"
    closed = at(LoadEntry(concurrency=2))
    stored = window(closed, result, made(tokenizer, closed))
    assert (stored.concurrency, stored.arrivals, stored.rate) == (2, "", None)


# -- traces ------------------------------------------------------------------------------


def trace(folder: Path, rows: int = 20, *, prefix: bool = False) -> LoadEntry:
    file = folder / "hour.jsonl"
    lines = [
        {"time_s": 10 + index, "input_tokens": 600 + index, "output_tokens": 3 + index}
        | ({"prefix_hash": ["a"]} if prefix else {})
        for index in range(rows)
    ]
    file.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return LoadEntry(trace=str(file), time_scale=0.5)


def test_a_trace_replays_times_and_lengths(tokenizer: Path, tmp_path: Path) -> None:
    point = at(trace(tmp_path), WorkloadEntry(name="hour"))
    one = made(tokenizer, point)
    assert one.offsets_s == tuple(index / 2 for index in range(14))  # before 7 s
    assert [len(ids) for ids in one.prompts.ids[3:]] == [600 + index for index in range(14)]
    assert one.output_tokens[3:] == tuple(3 + index for index in range(14))
    assert (one.prompts.cache, one.reuse) == ("cold", 0.0)
    assert one.arrivals is not None
    assert one.arrivals.kind == "trace"
    assert window_of(point, one) == (None, "trace", None)
    assert made(tokenizer, point, 1).prompts.ids[3] != one.prompts.ids[3]  # fresh each round


def window_of(point: LoadPoint, one: Work) -> tuple[int | None, str, float | None]:
    kind = one.arrivals.kind if one.arrivals else ""
    return point.load.concurrency, kind, point.load.rate


def test_what_a_trace_shares_is_declared_for_the_measured_part(
    tokenizer: Path, tmp_path: Path
) -> None:
    requests._trace.cache_clear()
    one = made(tokenizer, at(trace(tmp_path, prefix=True), WorkloadEntry(name="hour")))
    assert one.prompts.cache == "warm"
    assert one.prompts.shared[:5] == (0, 0, 0, 0, 512)  # warm-up, and the first of the trace
    # rows 2 to 9 fall in the window of 1 to 5 s, and each has 512 tokens that were seen before
    assert one.reuse == 8 * 512 / sum(600 + index for index in range(2, 10))


def test_a_trace_that_ends_too_early_or_is_too_large_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    requests._trace.cache_clear()
    path = tmp_path / "hour.jsonl"
    trace(tmp_path, rows=5)
    with pytest.raises(UsageError, match=r"hour\.jsonl: over after 4\.0 s, but discard_s and"):
        requests.replayed(path, 1.0, 5.0, 1.0)
    assert len(requests.replayed(path, 2.0, 5.0, 1.0)) == 3
    monkeypatch.setattr(requests, "MOST_TOKENS", 1000)
    with pytest.raises(UsageError, match="1803 prompt tokens in 6 s, over 1000"):
        requests.replayed(path, 2.0, 5.0, 1.0)


# -- conversations -----------------------------------------------------------------------


def test_a_conversation_is_sent_in_a_row_with_its_whole_history(tokenizer: Path) -> None:
    one = made(tokenizer, at(LoadEntry(concurrency=2), TALK))
    assert made(tokenizer, at(LoadEntry(concurrency=2), TALK)) == one
    ids, read = one.prompts.ids, Tokenizer.from_file(str(tokenizer))
    assert [read.encode(text).ids for text in one.prompts.text] == ids
    assert one.turns[:3] == ((None, 0.0),) * 3  # the warm-up has nothing to do with it
    assert [len(prompt) for prompt in ids[:3]] == [20] * 3
    last: int | None = None
    for place in range(3, len(ids)):
        conversation, think_s = one.turns[place]
        assert conversation is not None
        new = conversation != last
        assert think_s == (0.0 if new else 0.5)
        if not new:
            before = ids[place - 1]
            assert ids[place][: len(before)] == before
            assert len(ids[place]) == len(before) + 10 + 20
            assert one.prompts.shared[place] == len(before)
        else:
            assert one.prompts.shared[place] == 0
        last = conversation
    runs = Counter(conversation for conversation, _ in one.turns[3:])
    assert list(runs) == list(range(len(runs)))  # each conversation once, in a row
    # think time alone lets a stream send 28 turns in 14 s
    assert 56 <= len(ids) - 3 <= 60


def test_streams_begin_at_different_turns_and_are_staggered_in_length(tokenizer: Path) -> None:
    one = made(tokenizer, at(LoadEntry(concurrency=4), TALK))
    first = one.warmup
    sizes = Counter(conversation for conversation, _ in one.turns[first:])
    assert [sizes[conversation] for conversation in range(5)] == [4, 3, 2, 1, 4]
    assert [len(one.prompts.ids[place]) for place in one.firsts] == [20, 50, 80, 110]
    assert one.firsts == (first, first + 4, first + 7, first + 9)
    assert one.again == first + 10


def test_the_declared_reuse_is_what_a_perfect_cache_can_reuse(tokenizer: Path) -> None:
    one = made(tokenizer, at(LoadEntry(concurrency=2), TALK))
    # prompts of 20, 50, 80 and 110 tokens, of which 0, 20, 50 and 80 were prompts before
    assert one.reuse == 150 / 260
    assert one.prompts.cache == "warm"


def test_turns_may_follow_a_distribution(tokenizer: Path) -> None:
    entry = WorkloadEntry(
        name="talk",
        input=parse("uniform:min=16,max=24"),
        output_tokens=4,
        turns=parse("uniform:min=1,max=4"),
        cache="warm",
    )
    found = dialogues.shapes(entry, tokenizer, streams=2, count=160, key="k")
    assert {len(shape) for shape in found} == {1, 2, 3, 4}
    assert 160 <= sum(map(len, found)) < 168
    assert {user for shape in found for user, _ in shape} == set(range(16, 25))


def test_very_long_conversations_are_fewer(
    tokenizer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dialogues, "MOST_TOKENS", 2000)
    assert dialogues.prompt_tokens([(20, 10)] * 4) == 260
    assert len(dialogues.shapes(TALK, tokenizer, streams=2, count=900, key="k")) == 8
    assert len(dialogues.shapes(TALK, tokenizer, streams=9, count=900, key="k")) == 18


def test_bodies_carry_conversation_and_pause(tokenizer: Path) -> None:
    one = made(tokenizer, at(LoadEntry(concurrency=2), TALK))
    bodies = request_bodies(OracleEngine(), "m", one.prompts, one.output_tokens, one.turns)
    assert [(body.conversation, body.think_s) for body in bodies] == list(one.turns)
    plain = request_bodies(OracleEngine(), "m", one.prompts, one.output_tokens)
    assert {(body.conversation, body.think_s) for body in plain} == {(None, 0.0)}
