"""What a plugin does while it is called is undone, bounded and told."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from pathlib import Path

import pytest

from inferometer import guests


def test_it_is_brought_back_and_told(tmp_path: Path) -> None:
    before = os.getcwd()
    with guests.hosted() as said:
        os.chdir(tmp_path)
    assert os.getcwd() == before
    assert said == [f"changed the working directory to {tmp_path}: changed back"]

    def move_and_raise() -> None:
        os.chdir(tmp_path)
        raise KeyError

    with pytest.raises(KeyError), guests.hosted() as said:
        move_and_raise()
    assert os.getcwd() == before
    assert len(said) == 1


def test_what_blocks_is_ended_even_if_it_catches_that(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guests, "LONGEST_S", 0.05)
    monkeypatch.setattr(guests, "AGAIN_S", 0.05)

    def block() -> None:
        with contextlib.suppress(TimeoutError):
            time.sleep(60)
        time.sleep(60)

    with pytest.raises(TimeoutError, match=r"did not return for 0\.05 s"), guests.hosted():
        block()


def test_somebody_elses_alarm_still_comes() -> None:
    heard: list[int] = []
    handler = signal.signal(signal.SIGALRM, lambda number, _frame: heard.append(number))
    former = signal.setitimer(signal.ITIMER_REAL, 0.2)
    try:
        with guests.within(60):
            pass
        until = time.monotonic() + 30
        while not heard and time.monotonic() < until:
            time.sleep(0.01)
    finally:
        signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, *former)
    assert heard == [signal.SIGALRM]


def test_in_another_thread_it_is_called_without_a_limit() -> None:
    seen: list[str] = []

    def call() -> None:
        with guests.within(0.001):
            time.sleep(0.01)
            seen.append("returned")

    thread = threading.Thread(target=call)
    thread.start()
    thread.join()
    assert seen == ["returned"]


def test_signals_that_end_us_are_taken_back_and_told() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with guests.hosted() as said:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    assert signal.getsignal(signal.SIGTERM) is before
    assert said == ["took SIGTERM from us: taken back"]


def test_without_standard_output_nothing_is_redirected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout", None)
    with guests.hosted() as said:
        pass
    assert said == []
