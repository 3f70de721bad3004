"""What a person sees: only on stderr, only when something happens."""

from __future__ import annotations

import io
import re
import sys
import time
from typing import Any

import pytest
from msgspec.structs import replace

from inferometer import board, progress
from inferometer.journal_records import Figure, Power, words
from inferometer.standing import Standing

FIGURE = Figure(
    launch="l1",
    stack="vllm",
    model="[m]",
    workload="chat",
    load="8 streams",
    seconds=10.0,
    output_tps=51.6,
    powers=[Power(meter="rapl", kind="measured", watts=40.0)],
)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def standing(**changes: Any) -> Standing:
    fields: dict[str, Any] = {
        "study": "two [engines]",
        "results": "r",
        "state": "running",
        "detail": "",
        "now_ns": 0,
        "begun_ns": 0,
        "last_ns": 0,
        "pid": 7,
        "planned": 4,
        "done": 1,
        "failed": 0,
        "left": 3,
        "launch": "round 1, vllm on [m]",
        "stage": "chat, 8 streams",
        "window_until_ns": None,
        "left_s": 180.0,
        "at_most": False,
        "figures": [FIGURE],
        "verdicts": None,
        "held_s": 60.0,
        "usd_per_hour": 6.0,
        "cost_usd": 0.1,
        "warnings": [],
    }
    return Standing(**fields | changes)


def play(display: progress.Display) -> None:
    display.stage("environment of vllm")
    display.show(lambda: standing(left_s=None))
    display.launch(1, 2, "round 1, vllm on [m]", "l1")
    display.stage("chat, 8 streams")
    display.window(0, 10)
    display.measured(FIGURE)
    display.note("ready after 8 s")
    display.launched("ok")
    display.show(standing)
    display.launch(2, 2, "round 2, vllm on [m]", "l2")
    display.warn("the client was slow")
    display.done()
    display.done()


def test_plain_lines_where_stderr_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    display = board.choose()
    assert isinstance(display, progress.Lines)
    play(display)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "  environment of vllm",
        "[1/2] round 1, vllm on [m]",
        "  chat, 8 streams",
        "    about 51.6 output tok/s, 40.0 W (rapl)",
        "ready after 8 s",
        "[2/2] round 2, vllm on [m] (about 3 min left)",
        "warning: the client was slow",
    ]


def on_terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    found = Terminal()
    monkeypatch.setattr(sys, "stderr", found)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    return found


def test_a_board_on_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    terminal = on_terminal(monkeypatch)
    display = board.choose()
    assert isinstance(display, board.Board)
    play(display)
    shown = terminal.getvalue()
    assert "round 1, vllm on [m]: chat, 8 streams" in shown
    assert "vllm on [m], chat, 8 streams: about 51.6 output tok/s, 40.0 W (rapl)" in shown
    assert "0.100 USD for 60 s at 6.00 USD/h (estimated)" in shown
    assert "ready after 8 s" in shown
    assert "warning: the client was slow" in shown
    assert capsys.readouterr().out == ""


def test_figures_say_what_was_not_measured() -> None:
    powers = [
        Power(meter="rapl", kind="measured", watts=40.0),
        Power(meter="cpu-time", kind="estimated", watts=9.0),
        Power(meter="declared", kind="declared", watts=50.0),
    ]
    told = words(replace(FIGURE, powers=powers, simulated=True, failed=2))
    assert told == (
        "about 51.6 output tok/s (simulated), 40.0 W (rapl), 9.00 W (cpu-time, estimated), "
        "50.0 W (declared), 2 requests failed"
    )
    assert words(replace(FIGURE, powers=[], output_tps=None)) == "no tokens"


def test_the_board_has_a_line_for_each_thing_that_matters() -> None:
    assert board.lines(standing(left_s=None))[:3] == [
        "[########------------------------] two [engines]",
        "launches  1 of 4 done, 3 left",
        "left      not known before a launch is whole",
    ]
    evil = standing(study="a\x1b[2Jb", launch="c\x1b]0;d\x07")
    assert "\x1b" not in "".join(board.lines(evil))


def test_the_board_draws_only_when_something_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = on_terminal(monkeypatch)
    display = board.Board()
    display.show(standing)
    assert terminal.getvalue() == ""  # not even when the standing is new
    display.window(0, 10)
    once = terminal.getvalue()
    assert once.count("launches") == 1
    time.sleep(0.3)
    assert terminal.getvalue() == once  # no timer
    display.done()


def test_no_color_is_honoured(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = on_terminal(monkeypatch)
    monkeypatch.setenv("NO_COLOR", "1")
    play(board.choose())
    assert not re.search(r"\x1b\[[\d;]*m", terminal.getvalue())


def test_a_dumb_terminal_gets_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setenv("TERM", "dumb")
    assert isinstance(board.choose(), progress.Lines)


def test_silent_keeps_what_was_said() -> None:
    display = progress.Silent()
    play(display)
    assert display.said[:2] == [
        ("stage", "environment of vllm"),
        ("launch", "1/2 round 1, vllm on [m]"),
    ]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (89, "89 s"), (90, "2 min"), (3600, "60 min"), (11100, "3 h 05 min")],
)
def test_duration(seconds: float, text: str) -> None:
    assert progress.duration(seconds) == text


@pytest.mark.parametrize("terminal", [False, True])
def test_a_run_goes_on_when_nobody_can_be_told(
    terminal: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Gone(Terminal):
        tried = 0

        def isatty(self) -> bool:
            return terminal

        def write(self, text: str) -> int:
            self.tried += 1
            raise OSError(5, "Input/output error")

    gone = Gone()
    monkeypatch.setattr(sys, "stderr", gone)
    monkeypatch.setenv("TERM", "xterm")
    play(board.choose())
    assert gone.tried >= 1
