"""The shared checks on loads made by hand; those of closed loops are in ``test_validity``."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest
from msgspec import structs

from inferometer.checks import Evidence, judge, observe
from inferometer.comparison import Check
from inferometer.records import CHUNK_COUNT_UNKNOWN, Request, Window
from inferometer.tables import scan
from inferometer.testing.results import Fixture, write_results
from inferometer.validity import evidence

MS = 1_000_000
SECOND = 1000 * MS
START, END = 2 * SECOND, 12 * SECOND


def window(**given: Any) -> Window:
    base: dict[str, Any] = {
        "load_point": 0,
        "workload": "w",
        "load": "l",
        "arrivals": "poisson",
        "rate": 50.0,
        "start_ns": START,
        "end_ns": END,
        "discarded_ns": SECOND,
        "work_sha256": "0" * 64,
        "prompts": 1000,
        "client_cpu_s": 0.1,
        "loop_lag_p99_ms": 0.5,
        "send_lag_p99_ms": 0.5,
        "clock_step_ms": 0.1,
    }
    return Window(**{**base, **given})


def call(index: int, intended: int, took_ms: float, **given: Any) -> Request:
    """Return a request answered in ``took_ms``, or still open when the window closed."""
    last = intended + round(took_ms * MS)
    whole = last < END
    base: dict[str, Any] = {
        "index": index,
        "load_point": 0,
        "phase": "load",
        "stream": index,
        "prompt": index,
        "intended_ns": intended,
        "sent_ns": intended,
        "first_ns": min(intended + MS, last),
        "last_ns": last if whole else None,
        "end_ns": last if whole else None,
        "status": "ok" if whole else "cut",
        "input_tokens_expected": 10,
        "output_tokens_expected": 3,
        "input_tokens": 10,
        "output_tokens": 3,
        "cached_tokens": 0,
        "chunks": 3,
        "tokens_from": "ids",
    }
    return Request(**{**base, **given})


def poisson(rate: float, seed: int, took_ms: Any = 100.0) -> list[Request]:
    """Return requests from one second before the window to its end."""
    rows: list[Request] = []
    draw, t = random.Random(seed), float(SECOND)
    while (t := t + draw.expovariate(rate) * SECOND) < END:
        took = took_ms(t) if callable(took_ms) else took_ms
        rows.append(call(len(rows), round(t), took))
    return rows


def open_loop(rows: list[Request], **given: Any) -> dict[str, Check]:
    return {check.name: check for check in judge(observe(window(**given), rows, []))}


def failing(found: dict[str, Check]) -> set[str]:
    return {name for name, check in found.items() if check.verdict == "fail"}


@pytest.mark.parametrize("seed", range(50))
@pytest.mark.parametrize("took_ms", [5.0, 400.0])
def test_a_clean_open_loop_fails_nothing(seed: int, took_ms: float) -> None:
    found = open_loop(poisson(50, seed, took_ms))
    assert not failing(found)
    assert {"achieved rate", "growing queue"} < set(found)
    assert "delivered concurrency" not in found


@pytest.mark.parametrize("seed", range(20))
def test_a_queue_that_grows_is_seen_and_one_that_varies_is_not(seed: int) -> None:
    def behind(t: float) -> float:
        return 100 + (t - SECOND) / MS * 0.25  # a quarter of each second is not served

    found = open_loop(poisson(50, seed, behind))
    assert found["growing queue"].verdict == "fail", found["growing queue"]
    draw = random.Random(seed)
    varied = open_loop(poisson(50, seed, lambda _t: draw.lognormvariate(5, 1)))
    assert varied["growing queue"].verdict != "fail", varied["growing queue"]


def test_a_whole_load_begins_empty_and_is_only_warned() -> None:
    rows = [call(i, START + i * 10 * MS, 100 + i * 8) for i in range(500)]
    seen = observe(window(rate=100.0), rows, [], whole=True)
    found = {check.name: check.verdict for check in judge(seen)}
    assert (found["growing queue"], found["achieved rate"]) == ("warn", "pass")


def test_a_capped_client_has_a_queue_of_its_own() -> None:
    rows = [
        structs.replace(row, sent_ns=min(END, row.sent_ns + (row.sent_ns - SECOND) // 4))
        for row in poisson(50, 1, 10.0)
    ]
    late = [
        structs.replace(row, first_ns=None, last_ns=None, end_ns=None, status="cut")
        if row.last_ns is None or row.sent_ns + 10 * MS > END
        else structs.replace(
            row,
            first_ns=row.sent_ns + MS,
            last_ns=row.sent_ns + 10 * MS,
            end_ns=row.sent_ns + 10 * MS,
        )
        for row in rows
    ]
    assert {"growing queue", "achieved rate"} <= failing(open_loop(late))


def test_a_trace_or_a_burst_is_not_held_to_a_rate() -> None:
    rows = poisson(20, 1)
    assert failing(open_loop(rows)) == {"achieved rate"}
    assert not failing(open_loop(rows, arrivals="trace", rate=None))
    assert not {"achieved rate", "growing queue"} & set(open_loop(rows, arrivals="burst"))


def test_an_open_loop_may_be_idle_at_the_end_but_not_for_long() -> None:
    rows = [row for row in poisson(50, 1, 5.0) if row.intended_ns < END - 100 * MS]
    assert open_loop(rows)["closed under load"].verdict == "pass"
    rows = [row for row in rows if row.intended_ns < END - SECOND]
    assert open_loop(rows)["closed under load"].verdict == "fail"


def test_missing_numbers_are_lost_requests() -> None:
    rows = poisson(50, 1)
    found = open_loop(rows)["lost requests"]
    assert (found.verdict, found.value) == ("pass", f"0 of {len(rows)}")
    found = open_loop(rows[:100] + rows[110:])["lost requests"]
    assert (found.verdict, found.value) == ("fail", f"10 of {len(rows)}")
    unsent = rows[:-4] + rows[-3:]  # taken at the very end, and never sent
    assert open_loop(unsent)["lost requests"].verdict == "pass"


CLOSED: dict[str, Any] = {"arrivals": "", "rate": None}


def test_a_faster_worker_s_numbers_are_ahead_and_a_cut_conversation_leaves_some() -> None:
    slow = [call(2 * i, START + i * 100 * MS, 99.0, stream=0) for i in range(90)]
    fast = [call(2 * i + 1, START + i * 50 * MS, 49.0, stream=1) for i in range(180)]
    loop = {**CLOSED, "concurrency": 2, "workers": 2}
    assert open_loop(slow + fast, **loop)["lost requests"].verdict == "pass"
    found = open_loop(slow[:20] + slow[25:] + fast, **loop)["lost requests"]
    assert (found.verdict, found.value) == ("fail", "5 of 270")
    long = [call(i, START + i * 100 * MS, 99.0, stream=0) for i in range(40)]
    rest = [call(i + 60, START + i * 100 * MS, 99.0, stream=1) for i in range(95)]
    loop |= {"workers": 1, "conversations": True}
    assert open_loop(long + rest, **loop)["lost requests"].verdict == "pass"  # 20 turns left


def test_streams_that_think_count_as_busy_and_their_pauses_are_no_skew() -> None:
    rows = [call(i, START + i * 150 * MS, 100.0, stream=0) for i in range(66)]
    loop = {**CLOSED, "concurrency": 1}
    assert failing(open_loop(rows, **loop)) >= {"delivered concurrency", "one clock"}
    found = open_loop(rows, **loop, conversations=True, think_s=0.05)
    assert not {"delivered concurrency", "one clock"} & failing(found)


def test_a_pause_that_the_end_of_a_window_cuts_short_is_one_too() -> None:
    rows = [call(i, START + i * 5500 * MS, 1000.0, stream=0) for i in range(2)]
    loop = {**CLOSED, "concurrency": 1, "conversations": True}
    found = open_loop(rows, **loop, think_s=4.5)
    assert not {"delivered concurrency", "closed under load"} & failing(found)
    assert found["closed under load"].value == "1 streams between two turns at the end"
    # a stream that has not sent for longer than it should pause has ended
    assert failing(open_loop(rows, **loop, think_s=1.0)) >= {
        "delivered concurrency",
        "closed under load",
    }


def test_stamps_of_another_clock_are_seen() -> None:
    streams = [
        call(index, START + index * 10 * MS, 9.9, stream=0, end_ns=START + index * 10 * MS + 9 * MS)
        for index in range(200)
    ]
    closed = {**CLOSED, "concurrency": 1}

    def clock(rows: list[Request], **given: Any) -> Check:
        return open_loop(rows, **given)["one clock"]

    assert clock(streams, **closed).verdict == "pass"
    for skew in (-5, 5):
        off = [
            structs.replace(
                r,
                first_ns=r.first_ns + skew * MS,
                last_ns=r.last_ns + skew * MS,
                end_ns=r.end_ns + skew * MS,
            )
            for r in streams
            if r.first_ns and r.last_ns and r.end_ns
        ]
        assert clock(off, **closed).verdict == "fail", skew
        assert clock(off).verdict == "fail", skew  # an open loop uses connections again, too
    pausing = [call(i, START + i * 150 * MS, 100.0, stream=0) for i in range(60)]
    assert "pause" in clock(pausing, **closed).value
    assert clock(pausing).verdict == "pass"
    assert clock(pausing, **closed, loop_lag_p99_ms=60.0).verdict == "pass"  # a slow client
    assert clock(pausing, **closed, loop_lag_p99_ms=None).verdict == "unknown"
    assert clock(streams, **closed, clock_step_ms=None).verdict == "pass"


def test_shortened_requests_that_end_in_the_window_count_as_requests() -> None:
    def stream(k: int) -> list[Request]:
        begin = START - SECOND + k * 125 * MS
        return [call(8 * n + k, begin + n * SECOND, 999.9, stream=k) for n in range(11)]

    rows = [row for k in range(8) for row in stream(k) if row.sent_ns < END]
    rows = [structs.replace(r, phase="stagger") if r.sent_ns < START else r for r in rows]
    seen = {
        c.name: c for c in judge(observe(window(concurrency=8, arrivals="", rate=None), rows, []))
    }
    assert seen["little's law"].verdict == "pass"
    assert seen["errors"].value == "0 of 80"
    place = next(i for i, r in enumerate(rows) if r.phase == "stagger" and (r.end_ns or 0) > START)
    rows[place] = structs.replace(rows[place], status="error", error="full")
    seen = {
        c.name: c for c in judge(observe(window(concurrency=8, arrivals="", rate=None), rows, []))
    }
    assert (seen["errors"].value, seen["errors"].verdict) == ("1 of 80", "fail")


def test_a_far_sample_fails_only_without_token_ids() -> None:
    rows = poisson(50, 1)
    sample = {"retokenised": 40, "retokenised_usage": 100}
    assert open_loop(rows, **sample)["retokenised sample"].verdict == "warn"
    counted = [structs.replace(row, tokens_from="usage") for row in rows]
    assert open_loop(counted, **sample)["retokenised sample"].verdict == "fail"
    near = {"retokenised": 101, "retokenised_usage": 100}
    assert open_loop(counted, **near)["retokenised sample"].verdict == "pass"


def test_only_requests_whose_events_were_all_counted_are_compared() -> None:
    rows = poisson(50, 1)[60:63]
    chunks = [(60, 2, 0, START), (60, 1, 0, START), (61, 3, 0, START)]
    chunks += [(62, 0, CHUNK_COUNT_UNKNOWN, START)]
    seen = observe(window(), rows, chunks)
    assert [c.index for c in seen.finished] == [60, 61, 62]
    assert (seen.counted, seen.counted_usage) == (6, 6)


def test_tables_and_records_give_the_same_evidence(tmp_path: Any) -> None:
    store = write_results(tmp_path / "r", Fixture(rates={"a": 40.0}, rounds=1))
    (launch,) = store.launches()
    found: Evidence = dict(evidence(scan(store)))[(launch.id, 0)]
    requests = [Request(**structs.asdict(c), load_point=0) for c in found.load]
    chunks = [
        (c.index, c.output_tokens or 0, 0, c.last_ns or 0) for c in found.load if c.status == "ok"
    ]
    again = observe(launch.windows[0], requests, chunks, works=1)
    assert again == replace(found)
    assert judge(again) == judge(found)


def counted(tokens: float | None, received: float | None = 1500.0, **given: Any) -> list[Check]:
    """Return the checks of a steady load whose engine says that it made ``tokens`` tokens."""
    counters = {} if tokens is None else {"output_tokens": tokens, **given.pop("counters", {})}
    seen = window(
        counters=counters,
        counters_start_ns=START - SECOND // 2,
        counters_end_ns=END + 10 * MS,
        counters_slack_ms=10.0,
        **given,
    )
    found = observe(seen, poisson(50.0, 1), [])
    return judge(replace(found, received=received))


def verdict(checks: list[Check], name: str) -> str | None:
    return next((check.verdict for check in checks if check.name == name), None)


@pytest.mark.parametrize(
    ("times", "expected"),
    [(1.0, "pass"), (1.02, "pass"), (1.05, "warn"), (1.2, "fail"), (0.8, "fail")],
)
def test_the_engine_s_count_is_held_against_what_was_received(times: float, expected: str) -> None:
    load = poisson(50.0, 1)
    ended = 3 * sum(
        row.status == "ok" and (row.last_ns or 0) >= START - SECOND // 2 for row in load
    )
    assert verdict(counted(times * ended, float(ended)), "engine's count") == expected
    if expected == "fail" and times > 1:  # an engine that counts when a request ends
        assert verdict(counted(ended, 1.2 * ended), "engine's count") == "pass"


def test_an_engine_that_does_not_count_is_unknown_and_older_results_are_not_checked() -> None:
    told = counted(None, None, counters_reason="not_told", counters_detail="the engine has none")
    assert verdict(told, "engine's count") == "unknown"
    assert verdict(told, "preemptions") is None
    assert verdict(counted(None, None), "engine's count") is None
    (blank,) = [one for one in counted(1500, None) if one.name == "engine's count"]
    assert (blank.verdict, blank.detail) == ("unknown", "nothing tells the tokens of every event")


def test_preemptions_and_cache_hits_are_doubts() -> None:
    quiet = counted(1500, counters={"preemptions": 0, "prefix_cache_hits": 0, "prompt_tokens": 5e3})
    assert (verdict(quiet, "preemptions"), verdict(quiet, "engine's cache")) == ("pass", "pass")
    few = counted(1500, counters={"preemptions": 2, "prefix_cache_hits": 40, "prompt_tokens": 5e3})
    assert (verdict(few, "preemptions"), verdict(few, "engine's cache")) == ("warn", "warn")
    hits = {"prefix_cache_hits": 400, "prefix_cache_queries": 5e3}
    assert verdict(counted(1500, counters=hits), "engine's cache") == "fail"
    assert verdict(counted(1500, counters=hits, cache="warm"), "engine's cache") is None
