"""Conversations: one stream sends the turns in order, each after the one before and a pause."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import msgspec
import pytest

from inferometer.loadgen.arrivals import Arrivals
from inferometer.loadgen.deal import Dealer
from inferometer.loadgen.driver import Body, LoadPlan, Target, drive
from inferometer.testing.oracle import Options, Oracle

if TYPE_CHECKING:
    from inferometer.records import Request

TURNS = 3
THINK_S = 0.05


def source(index: int) -> Body:
    """Conversations of three turns, each with all of the prompt before it."""
    talk, turn = divmod(index, TURNS)
    prompt = list(range(talk, talk + turn + 1))
    content = msgspec.json.encode({"prompt": prompt, "max_tokens": 4, "stream": True})
    return Body(content, index, len(prompt), 4, conversation=talk, think_s=THINK_S)


def talks(requests: list[Request]) -> list[list[Request]]:
    """Return the load's requests by conversation."""
    load = [r for r in requests if r.phase == "load"]
    groups = itertools.groupby(load, key=lambda r: r.prompt // TURNS)
    return [list(group) for _, group in groups]


def check(turns: list[Request]) -> None:
    """Check one conversation: its stream, its order, its pauses."""
    assert len({r.stream for r in turns}) == 1
    for before, after in itertools.pairwise(turns):
        assert after.prompt == before.prompt + 1
        assert before.end_ns is not None
        assert after.intended_ns == before.end_ns + round(THINK_S * 1e9)
        assert after.sent_ns >= after.intended_ns


@pytest.mark.parametrize("workers", [1, 2])
def test_a_stream_goes_through_whole_conversations(workers: int) -> None:
    with Oracle(Options(ttft_ms=5)) as oracle:
        plan = LoadPlan(concurrency=2, warmup_requests=3, requests=18, workers=workers)
        result = drive(Target("127.0.0.1", oracle.port), source, plan)
    assert result.workers == workers
    assert [r.prompt for r in result.requests] == list(range(21))
    assert {r.status for r in result.requests} == {"ok"}
    assert [len(turns) for turns in talks(result.requests)] == [3] * 6
    for turns in talks(result.requests):
        check(turns)
    assert len({turns[0].stream for turns in talks(result.requests)}) == 2
    own = {0: 0, 1: 0}
    for turns in talks(result.requests):
        if workers == 2:
            assert turns[0].stream == (turns[0].prompt // TURNS - 1) % 2
        own[turns[0].stream] += 1
    assert min(own.values()) >= 1


@pytest.mark.parametrize("workers", [1, 2])
def test_an_arrival_begins_a_conversation(workers: int) -> None:
    offsets = (0.0, 0.02, 0.04, 0.06)
    with Oracle(Options(ttft_ms=20)) as oracle:
        plan = LoadPlan(
            concurrency=1,
            warmup_requests=0,
            requests=12,
            arrivals=Arrivals(kind="trace", offsets_s=offsets),
            workers=workers,
        )
        result = drive(Target("127.0.0.1", oracle.port), source, plan)
    groups = talks(result.requests)
    began = groups[0][0].intended_ns
    assert [round((turns[0].intended_ns - began) * 1e-9, 6) for turns in groups] == list(offsets)
    for turns in groups:
        assert [r.status for r in turns] == ["ok"] * TURNS
        check(turns)
    assert len({turns[0].stream for turns in groups}) == 4


def test_a_cap_holds_for_turns_and_thinking_takes_no_room() -> None:
    with Oracle(Options(ttft_ms=20)) as oracle:
        plan = LoadPlan(
            concurrency=1,
            warmup_requests=0,
            requests=9,
            arrivals=Arrivals(kind="burst"),
            max_in_flight=1,
        )
        result = drive(Target("127.0.0.1", oracle.port), source, plan)
    spans = sorted((r.sent_ns, r.end_ns or 0) for r in result.requests)
    assert all(after[0] >= before[1] for before, after in itertools.pairwise(spans))
    order = [r.prompt // TURNS for r in sorted(result.requests, key=lambda r: r.sent_ns)]
    assert order[:3] == [0, 1, 2]


@pytest.mark.parametrize("workers", [1, 2])
def test_a_window_cuts_conversations_and_counts_no_turn_that_was_not_due(workers: int) -> None:
    with Oracle(Options(ttft_ms=5)) as oracle:
        plan = LoadPlan(
            concurrency=4, warmup_requests=0, window_s=0.4, discard_s=0.1, workers=workers
        )
        result = drive(Target("127.0.0.1", oracle.port), source, plan)
        assert len(oracle.truth) == len(result.requests)
    assert {r.status for r in result.requests} <= {"ok", "cut"}
    for turns in talks(result.requests):
        check(turns)
    assert all(r.sent_ns <= result.end_ns for r in result.requests)


def test_a_failed_turn_does_not_end_its_conversation() -> None:
    with Oracle(Options(fault="503", fault_every=2)) as oracle:
        plan = LoadPlan(concurrency=1, warmup_requests=0, requests=6)
        result = drive(Target("127.0.0.1", oracle.port), source, plan)
    assert [r.status for r in result.requests] == ["ok", "error"] * 3
    assert len({r.stream for r in result.requests}) == 1


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_conversations_are_dealt_whole_and_cut_at_the_bounds(workers: int) -> None:
    dealer = Dealer(source, LoadPlan(concurrency=1, warmup_requests=4, requests=7), workers)
    units: list[list[int]] = []
    for number in range(workers):
        while (unit := dealer.next(number)) is not None:
            units.append([index for index, _ in unit])
    assert sorted(units) == [[0], [1, 2], [3], [4, 5], [6, 7, 8], [9, 10]]


def test_single_requests_between_conversations_stand_alone() -> None:
    kinds = [None, None, 1, 1, None, 2, 3, 3]

    def mixed(index: int) -> Body:
        return Body(b"{}", index, 1, 1, conversation=kinds[index])

    dealer = Dealer(mixed, LoadPlan(concurrency=1, warmup_requests=0, requests=len(kinds)))
    units = []
    while (unit := dealer.next(0)) is not None:
        units.append([index for index, _ in unit])
    assert units == [[0], [1], [2, 3], [4], [5], [6, 7]]
