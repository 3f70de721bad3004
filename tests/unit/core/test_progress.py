"""What a person sees: only on stderr, only when something happens."""

from __future__ import annotations

import io
import sys

import pytest

from inferometer import progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def play(display: progress.Progress) -> None:
    display.stage("environment of vllm")
    display.launch(1, 2, "round 1, vllm on [m]")
    display.stage("warm-up")
    display.note("ready after 8 s")
    display.launch(2, 2, "round 2, vllm on [m]")
    display.warn("the client was slow")
    display.done()
    display.done()


def test_plain_lines_where_stderr_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    display = progress.choose()
    assert isinstance(display, progress.Lines)
    play(display)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines()[:4] == [
        "  environment of vllm",
        "[1/2] round 1, vllm on [m]",
        "  warm-up",
        "ready after 8 s",
    ]
    assert err.splitlines()[4].startswith("[2/2] round 2, vllm on [m] (about ")
    assert err.splitlines()[5] == "warning: the client was slow"


def test_a_bar_on_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    display = progress.choose()
    assert isinstance(display, progress.Bar)
    play(display)
    shown = terminal.getvalue()
    assert "round 1, vllm on [m]  warm-up" in shown
    assert "ready after 8 s" in shown
    assert "warning: the client was slow" in shown
    assert capsys.readouterr().out == ""


def test_no_color_is_honoured(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")
    play(progress.choose())
    assert "\x1b[33m" not in terminal.getvalue()


def test_a_dumb_terminal_gets_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setenv("TERM", "dumb")
    assert isinstance(progress.choose(), progress.Lines)


def test_silent_keeps_what_was_said() -> None:
    display = progress.Silent()
    play(display)
    assert display.said[:2] == [
        ("stage", "environment of vllm"),
        ("launch", "1/2 round 1, vllm on [m]"),
    ]


def test_time_left_comes_from_the_launches_of_this_run() -> None:
    now = iter([100.0, 160.0, 220.0])
    remaining = progress.Remaining(lambda: next(now))
    assert remaining.at(5, 8) == ""  # resumed at launch 5
    assert remaining.at(6, 8) == "about 3 min left"
    assert remaining.at(7, 8) == "about 2 min left"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (89, "89 s"), (90, "2 min"), (3600, "60 min"), (11100, "3 h 05 min")],
)
def test_duration(seconds: float, text: str) -> None:
    assert progress.duration(seconds) == text
