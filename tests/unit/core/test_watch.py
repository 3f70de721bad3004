"""Meters beside a load: how often each is read, how closely at edges, and what breaks alone."""

from __future__ import annotations

import itertools
import math
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
from tests.programs import until

from inferometer import watch
from inferometer.errors import MachineError
from inferometer.records import Condition, Device, MeterInfo, Reading
from inferometer.watch import BadReadingError, Opened, Watch

if TYPE_CHECKING:
    from collections.abc import Callable

UPDATE_NS = 50_000_000


def info(name: str = "m", **known: object) -> MeterInfo:
    facts = {"scope": "L0", "kind": "measured", "method": "", "period_s": 0.02} | known
    return MeterInfo(name=name, **facts)  # type: ignore[arg-type]


def reading(value: float, device: str = "d") -> Reading:
    return Reading(meter="m", device=device, t_ns=time.monotonic_ns(), value=value, unit="J")


@dataclass
class Session:
    """Reads ``value()`` of each device; counts what is done to it."""

    value: Callable[[], float] = lambda: 1.0
    devices: tuple[str, ...] = ("d",)
    reads: list[int] = field(default_factory=list)
    threads: set[int] = field(default_factory=set)
    closed: bool = False

    def read(self) -> list[Reading]:
        self.reads.append(time.monotonic_ns())
        self.threads.add(threading.get_ident())
        return [reading(self.value(), device) for device in self.devices]

    def close(self) -> None:
        self.closed = True


def ticking() -> float:
    """Return a counter that gains 5 J every 50 ms of the monotonic clock."""
    return 5.0 * (time.monotonic_ns() // UPDATE_NS)


def raising(error: Exception, after: int = 0) -> Callable[[], float]:
    """Return a reading that fails after so many."""
    calls = itertools.count()

    def value() -> float:
        if next(calls) >= after:
            raise error
        return 1.0

    return value


def watched(*meters: Opened, seconds: float = 0.1) -> Watch:
    with Watch(meters) as found:
        time.sleep(seconds)
    return found


def watched_until(wanted: Callable[[], object], *meters: Opened) -> Watch:
    """Watch for as long as it takes until something holds."""
    with Watch(meters) as found:
        assert until(wanted, 60)
    return found


def test_each_meter_is_read_at_its_own_period() -> None:
    fast, slow = Session(), Session()
    began = time.monotonic()
    found = watched_until(
        lambda: len(slow.reads) >= 3 and len(fast.reads) >= 5,
        *(Opened(info("fast"), fast), Opened(info("slow", period_s=0.2), slow)),
    )
    took_s = time.monotonic() - began
    assert took_s >= 0.4  # two periods of the slow one
    assert len(fast.reads) <= took_s / 0.02 + 2  # every 20 ms from the first on, and at the end
    assert len(slow.reads) <= took_s / 0.2 + 2
    assert len(fast.threads) == len(slow.threads) == 1
    assert fast.threads != slow.threads
    assert threading.get_ident() not in fast.threads
    assert fast.closed
    assert slow.closed
    times = [row.t_ns for row in found.readings]
    assert len(times) == len(fast.reads) + len(slow.reads)
    assert times[: len(fast.reads)] == sorted(times[: len(fast.reads)])


def test_a_meter_that_asks_to_be_read_all_the_time_is_not() -> None:
    session = Session()
    began = time.monotonic()
    watched(Opened(info(period_s=0.0), session), seconds=0.2)
    assert len(session.reads) <= (time.monotonic() - began) / watch.SHORTEST_S + 2


def test_the_ticks_at_both_edges_are_known_to_about_a_millisecond() -> None:
    # a machine that holds us up for a tick just at an edge is asked once more
    assert any(edges_seen() for _ in range(5))


def edges_seen() -> bool:
    """Watch one window; say whether it was looked at closely at both edges."""
    session = Session(ticking)
    meter = info(instrument="counter", update_ms=UPDATE_NS * 1e-6, period_s=0.1)
    began = time.monotonic()
    with Watch([Opened(meter, session)]) as found:
        start_ns = time.monotonic_ns() + 130_000_000
        end_ns = start_ns + 500_000_000
        found.window_set(start_ns, end_ns)
        time.sleep(0.75)
    took_s = time.monotonic() - began
    ticks = [row for row in found.readings if row.since_ns is not None]
    for row in ticks:
        assert row.since_ns is not None
        assert row.since_ns < row.value / 5 * UPDATE_NS <= row.t_ns
        # known as closely as can be: to one look and the next
        assert len([at for at in session.reads if row.since_ns <= at <= row.t_ns]) == 2
    assert found.readings[-1].t_ns > end_ns
    # of the looks at edges only the ticks, the first and the last are kept
    assert len(found.readings) - len(ticks) <= took_s / meter.period_s + 2 + 4
    pauses_ms = [(after - at) * 1e-6 for at, after in itertools.pairwise(session.reads)]
    return (
        min(pauses_ms, default=math.inf) < 3
        and any(start_ns <= row.t_ns < start_ns + 2 * UPDATE_NS for row in ticks)
        and any(end_ns - 2 * UPDATE_NS <= row.t_ns < end_ns for row in ticks)
    )


def test_watts_are_looked_at_once_at_each_edge() -> None:
    session = Session()
    with Watch([Opened(info(instrument="power", period_s=5.0), session)]) as found:
        assert until(lambda: session.reads, 60)
        start_ns = time.monotonic_ns() + 300_000_000
        end_ns = start_ns + 1_000_000_000
        found.window_set(start_ns, end_ns)
        assert until(lambda: len(session.reads) == 3, 60)
    first, at_start, at_end, last = (row.t_ns for row in found.readings)
    assert first < start_ns <= at_start < end_ns <= at_end < last
    assert [row.since_ns for row in found.readings] == [None] * 4


@dataclass
class Log:
    """One row of watts each 200 ms, written 30 ms later; ``until_ns`` none any more."""

    at: int = field(default_factory=lambda: time.monotonic_ns() // 200_000_000)
    until_ns: int = 1 << 62

    def read(self) -> list[Reading]:
        now_ns = min(time.monotonic_ns(), self.until_ns) - 30_000_000
        rows = []
        while (self.at + 1) * 200_000_000 <= now_ns:
            self.at += 1
            stamp_ns = self.at * 200_000_000
            rows.append(Reading(meter="m", device="d", t_ns=stamp_ns, value=1.0, unit="W"))
        return rows

    def close(self) -> None:
        pass


def logged(log: Log, update_ms: float = 200.0) -> tuple[Watch, int, float]:
    """Watch a log in a window that ends 60 ms behind a row; return its end and the time to stop."""
    meter = info(instrument="power", period_s=0.1, update_ms=update_ms)
    with Watch([Opened(meter, log)]) as found:
        start_ns = (time.monotonic_ns() // 200_000_000 + 1) * 200_000_000 + 60_000_000
        end_ns = start_ns + 400_000_000
        found.window_set(start_ns, end_ns)
        time.sleep(max(0.0, (end_ns - time.monotonic_ns()) * 1e-9))
        over = time.monotonic()
    return found, end_ns, time.monotonic() - over


def test_the_last_row_of_a_log_is_waited_for() -> None:
    found, end_ns, _ = logged(Log(), update_ms=1000.0)  # patience for a machine held up
    assert found.readings[-1].t_ns >= end_ns
    assert found.faults == {}


def test_a_log_that_ends_is_not_waited_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "LATE_S", 60.0)  # of a log that is written more seldom
    log = Log(until_ns=time.monotonic_ns() + 500_000_000)
    found, end_ns, waited_s = logged(log)
    assert found.readings[-1].t_ns < end_ns
    assert 0.4 < waited_s < 30
    assert found.faults == {}


def test_a_device_that_is_left_out_is_not_waited_for() -> None:
    session = Session(devices=("a", "idle"))
    counts = itertools.count()
    session.value = lambda: float(next(counts) // 2)  # only of "a": "idle" repeats it
    meter = info(
        instrument="counter",
        update_ms=1000.0,
        period_s=5.0,
        devices=[Device(name="a"), Device(name="idle", left_out="not under test")],
    )
    with Watch([Opened(meter, session)]) as found:
        start_ns = time.monotonic_ns()
        found.window_set(start_ns, start_ns + 60_000_000_000)
        assert until(lambda: any(row.since_ns is not None for row in found.so_far()), 60)
        time.sleep(0.3)
    assert len(session.reads) < 6  # "a" ticks with every look; 2 s of looks were allowed


def test_a_slow_meter_delays_no_other() -> None:
    answer = threading.Event()

    def slowly() -> float:
        answer.wait(60)
        return 1.0

    slow, fast = Session(slowly), Session()
    with Watch([Opened(info("slow"), slow), Opened(info("fast"), fast)]) as found:
        assert until(lambda: slow.reads, 60)
        # the load's thread calls this
        found.window_set(time.monotonic_ns(), time.monotonic_ns() + 300_000_000)
        so_far = len(fast.reads)
        assert until(lambda: len(fast.reads) >= so_far + 5, 60)
        assert not answer.is_set()
        assert len(slow.reads) == 1
        answer.set()
    assert found.faults == {}
    assert slow.closed


def test_a_meter_that_hangs_is_given_up_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "JOIN_S", 0.5)
    let_go = threading.Event()

    def hangs() -> float:
        let_go.wait(60)
        return 1.0

    good = Session()
    found = watched(Opened(info("hung"), Session(hangs)), Opened(info("good"), good))
    let_go.set()
    assert found.faults["hung"] == ("failed", "did not answer for 0.5 s")
    assert list(found.faults) == ["hung"]
    assert len(found.readings) == len(good.reads)


@pytest.mark.parametrize(
    ("value", "reason", "words"),
    [
        (raising(OSError("sensor went away"), after=2), "failed", "OSError: sensor went away"),
        (lambda: math.nan, "bad_reading", "nan"),
        (lambda: -math.inf, "bad_reading", "inf"),
        (lambda: "12", "failed", "TypeError"),
        (raising(MachineError("it is gone"), after=1), "failed", "it is gone"),
        (raising(BadReadingError("device_lost", "no GPU 3")), "device_lost", "no GPU 3"),
    ],
)
def test_a_meter_that_breaks_is_named_and_the_others_go_on(
    value: Callable[[], float], reason: str, words: str
) -> None:
    bad, good = Session(value), Session()
    found = watched_until(
        lambda: bad.closed and len(good.reads) >= 4,
        *(Opened(info("bad"), bad), Opened(info("good"), good)),
    )
    assert found.faults["bad"].reason == reason
    assert words in found.faults["bad"].detail
    assert list(found.faults) == ["bad"]
    assert len(found.readings) >= 4


def test_a_reading_of_another_clock_is_no_reading() -> None:
    class Ahead(Session):
        def read(self) -> list[Reading]:
            t_ns = time.monotonic_ns() + 1_000_000_000
            return [Reading(meter="m", device="d", t_ns=t_ns, value=1.0, unit="J")]

    found = watched(Opened(info(), Ahead()))
    assert found.faults["m"].reason == "clock_unsure"
    assert found.readings == []


def test_rows_of_a_log_keep_its_stamps() -> None:
    begun_ns = time.monotonic_ns()

    class Log(Session):
        def read(self) -> list[Reading]:
            self.reads.append(0)
            t_ns = begun_ns + len(self.reads)  # written long ago
            return [Reading(meter="m", device="d", t_ns=t_ns, value=t_ns * 1.0, unit="J")]

    meter = info(instrument="counter", update_ms=10.0, period_s=5.0)
    with Watch([Opened(meter, Log())]) as found:
        found.window_set(begun_ns, begun_ns + 200_000_000)
        assert until(lambda: len(found.so_far()) > 5, 60)
    assert len(found.readings) > 5
    assert {row.since_ns for row in found.readings} == {None}


def test_a_session_that_does_not_close_is_named() -> None:
    class Stuck(Session):
        def close(self) -> None:
            raise OSError("busy")

    assert watched(Opened(info(), Stuck())).faults["m"].detail == "OSError: busy"


class Stateful(Session):
    broken = False

    def conditions(self) -> list[Condition]:
        if self.broken:
            raise ValueError("no such field")
        self.threads.add(threading.get_ident())
        return [Condition(meter="m", device="d", t_ns=time.monotonic_ns(), temperature_c=41.0)]


def test_conditions_are_noted_about_twice_a_second() -> None:
    session = Stateful()
    began = time.monotonic()
    found = watched(Opened(info(), session), seconds=1.2)
    assert 2 <= len(found.conditions) <= (time.monotonic() - began) / 0.49 + 1
    assert found.conditions[0].temperature_c == 41.0
    assert len(session.threads) == 1


def test_joules_go_on_where_conditions_break() -> None:
    session = Stateful()
    session.broken = True
    found = watched_until(lambda: len(session.reads) >= 4, Opened(info(), session))
    assert found.faults == {}
    assert found.remarks == {"m": "conditions were read no longer: ValueError: no such field"}


def test_a_condition_that_is_no_record_is_not_stored() -> None:
    class Odd(Session):
        def conditions(self) -> list[Condition]:
            return [Condition(meter="m", device="d", t_ns=0, temperature_c="hot")]  # type: ignore[arg-type]

    odd = Odd()
    found = watched_until(lambda: odd.reads, Opened(info(), odd))
    assert (found.faults, found.conditions) == ({}, [])
    assert found.remarks["m"].startswith("conditions were read no longer: ValidationError")


def test_what_cannot_be_read_is_not() -> None:
    absent = info("absent", reason="no_sensor")
    found = watched(Opened(absent), Opened(info(), Session()))
    assert {row.meter for row in found.readings} == {"m"}
    assert found.faults == {}
