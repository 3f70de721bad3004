"""Who met the SLO, seen while a rate is on."""

from __future__ import annotations

import pytest

from inferometer import capacity_search
from inferometer.capacity_search import Rules
from inferometer.capacity_watch import Watching, missed
from inferometer.loadgen.offer import Progress, Seen

MS = 1_000_000
SLO = {"ttft_ms": 100.0, "tpot_ms": 10.0}


def seen(
    place: int = 0, state: str = "ok", *, intended: int = 0, first: int = 50, last: int = 140
) -> Seen:
    """Ten tokens; times in ms."""
    ended = state in {"ok", "error"}
    times = (first * MS, last * MS) if ended else (0, 0)
    return Seen(place, intended * MS, intended * MS, *times, 10, state)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("first", "last", "expected"),
    [
        (100, 190, []),  # just within both
        (101, 190, ["ttft_ms"]),
        (100, 191, ["tpot_ms"]),
        (101, 192, ["ttft_ms", "tpot_ms"]),
    ],
)
def test_an_ended_request_meets_every_limit_or_is_bad(
    first: int, last: int, expected: list[str]
) -> None:
    assert missed(seen(first=first, last=last), 10_000 * MS, SLO) == expected


def test_a_failed_request_is_bad_however_quick() -> None:
    assert missed(seen(state="error", first=1, last=2), 0, SLO) == ["failed"]


@pytest.mark.parametrize(
    ("state", "now", "expected"),
    [
        ("waiting", 199, None),  # 100 ms and 100 ms of grace
        ("waiting", 201, ["ttft_ms"]),
        ("answering", 201, None),
        ("answering", 289, None),  # 100 + 9 x 10 and the grace
        ("answering", 291, ["unfinished"]),
        ("undecoded", 9_999, None),  # it has ended; how will be known in a moment
    ],
)
def test_a_request_without_an_end_is_pending_until_it_cannot_be_good(
    state: str, now: int, expected: list[str] | None
) -> None:
    assert missed(seen(state=state), now * MS, SLO) == expected


def test_the_time_to_the_last_token_ends_the_wait_too() -> None:
    assert missed(seen(state="answering"), 599 * MS, {"e2e_ms": 500.0}) is None
    assert missed(seen(state="answering"), 601 * MS, {"e2e_ms": 500.0}) == ["e2e_ms"]
    assert missed(seen(last=501), 0, {"e2e_ms": 500.0}) == ["e2e_ms"]


def watching(first: int = 2) -> Watching:
    asking = capacity_search.search(Rules(low=1, high=64))
    found = Watching(asking=asking, ask=next(asking), wanted=SLO, first=first)
    found.opened(1_000 * MS, 0)
    return found


def told(one: Watching, *rows: Seen, now: int, still: tuple[Seen, ...] = ()) -> tuple[int, int]:
    """Judge ``rows`` as a look does; return the good and the bad that it counts."""
    for row in (*rows, *still):
        one._judge(row, now * MS)
    return one._count()


def test_the_slow_are_counted_before_the_quick_that_came_after_them() -> None:
    one = watching()
    early = seen(2, intended=900, first=950, last=1040)  # before the window: never counted
    slow = seen(3, "answering", intended=1000)
    quick = seen(4, intended=1010, first=1020, last=1050)
    assert told(one, early, quick, now=1100, still=(slow,)) == (0, 0)
    late = seen(3, intended=1000, first=1200, last=1300)
    assert told(one, late, now=1400) == (1, 1)
    assert one.why == {"ttft_ms": 1, "tpot_ms": 1}


def test_whoever_was_bad_while_it_waited_is_not_counted_again() -> None:
    one = watching(first=0)
    waiting = seen(0, "waiting", intended=1000)
    assert told(one, now=1300, still=(waiting,)) == (0, 1)
    assert told(one, seen(0, intended=1000, first=1400, last=1500), now=1600) == (0, 0)


def test_a_request_that_is_not_due_yet_is_nobody_s_fault() -> None:
    one = watching(first=0)
    assert told(one, now=1100, still=(seen(0, "waiting", intended=1200),)) == (0, 0)


def look(at: int, *, waits: int, in_flight: int, lags: tuple[float, ...] = ()) -> Progress:
    """What a look at ``at`` ms sees: an answer that waited, and so many open for 100 ms."""
    ended = [seen(10_000, intended=at - 100, first=at - 100 + waits, last=at)]
    open_ = [seen(20_000 + n, "answering", intended=at - 100) for n in range(in_flight)]
    return Progress(at * MS, ended, open_, list(lags), 0.0)


def test_a_growing_wait_or_queue_is_no_steady_rate() -> None:
    steady = watching()
    assert [steady._grows(look(t, waits=50, in_flight=5)) for t in (1100, 1200, 1300)] == [
        False,
        False,
        False,
    ]
    waiting = watching()
    waits = [waiting._grows(look(1100 + 100 * n, waits=20 + 10 * n, in_flight=5)) for n in range(4)]
    assert waits == [False, False, True, True]  # 40 - 20 ms are more than an eighth of 100
    queue = watching()
    counts = [queue._grows(look(1100 + 100 * n, waits=50, in_flight=9**n)) for n in range(3)]
    assert counts == [False, False, True]  # 2, 10 and 82 requests with the one that ended


def test_a_rate_at_which_prompts_are_sent_again_does_not_pass() -> None:
    def offered(fresh: int) -> Watching:
        one = watching()
        one.fresh = fresh
        for at in (1_000, 2_000):
            ended = [
                seen(2 + at + n, intended=at + 1, first=at + 2, last=at + 3) for n in range(900)
            ]
            one.first = 2 + at
            if one.look(Progress((at + 100) * MS, ended, [], [], 0.0)):
                break
        return one

    passed, not_told = offered(10_000), offered(2_500)
    assert passed.ask is not None
    assert not_told.ask is not None
    assert passed.ask.rate > 8 > not_told.ask.rate


def test_a_client_that_is_late_says_so_and_certifies_nothing() -> None:
    one = watching()
    assert not one.look(look(11_000, waits=50, in_flight=1, lags=(1.0,) * 1000))
    assert not one.look(look(21_000, waits=50, in_flight=1, lags=(60.0,) * 5))
    assert one.look(look(31_000, waits=50, in_flight=1, lags=(60.0,) * 40))
    assert one.ask is not None
    assert one.ask.rate < 8  # 8 could not be offered, so it goes below
