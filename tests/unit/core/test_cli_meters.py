"""``inferometer meters``: what is listed, and how a check ends."""

from __future__ import annotations

import json
import sys
from importlib.metadata import EntryPoint, entry_points
from types import ModuleType

import msgspec
import pytest
from tests.conformance.benches import Bench, Good

from inferometer import cli, environment, hookimpl, plugins
from inferometer.meter import MeterContext
from inferometer.records import MeterInfo

Capture = pytest.CaptureFixture[str]
Patch = pytest.MonkeyPatch


class Noisy(Good):
    """Raises with a control sequence where it should answer."""

    def info(self, context: MeterContext) -> MeterInfo:
        raise ZeroDivisionError("oops\x1b[31m Bearer hunter2")


@pytest.fixture
def bench(monkeypatch: Patch) -> Bench:
    """Install two meters on a bench as a plugin beside the real ones."""
    bench = Bench()
    plugin = ModuleType("bench_plugin")
    found = [Good(bench), Noisy(bench, name="noisy")]
    plugin.inferometer_meters = hookimpl(specname="inferometer_meters")(lambda: found)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "bench_plugin", plugin)
    points = [
        *entry_points(group="inferometer"),
        EntryPoint(name="bench", value="bench_plugin", group="inferometer"),
    ]
    monkeypatch.setattr(
        plugins, "entry_points", lambda group: [p for p in points if p.group == group]
    )
    monkeypatch.setattr(environment, "accelerator", lambda: "cpu")
    return bench


def run(capsys: Capture, *words: str) -> tuple[int, str, str]:
    capsys.readouterr()
    code = cli.main(["meters", *words])
    out, err = capsys.readouterr()
    return code, out, err


def test_the_list_fits_80_columns_and_says_what_can_be_read(bench: Bench, capsys: Capture) -> None:
    code, out, err = run(capsys, "list")
    assert (code, err) == (0, "")
    assert all(len(line) <= 80 for line in out.splitlines())
    title, *rows = out.splitlines()
    assert title.split() == ["meter", "scope", "kind", "reads", "here"]
    found = {row.split()[0]: " ".join(row.split()[1:]) for row in rows if row[0] != " "}
    assert found["good"] == "L0 measured counter needs share"
    assert found["declared"].endswith("needs power_w")
    assert found["redfish"].startswith("needs options: meter 'redfish':")
    assert found["noisy"].endswith("failed: ZeroDivisionError: oops [hidden]")
    assert "\x1b" not in out
    assert "hunter2" not in out + run(capsys, "list", "--json")[1]


def test_a_reason_is_told_with_its_detail(bench: Bench, capsys: Capture) -> None:
    with bench.being("absent"):
        code, out, _ = run(capsys, "list", "--json")
    assert code == 0
    found = {row["meter"]: row for row in json.loads(out)}
    assert (found["good"]["reason"], found["good"]["detail"]) == (
        "no_sensor",
        "the bench is absent",
    )
    assert found["good"]["options"] == {"share": "float"}
    assert msgspec.convert(found["good"]["info"], MeterInfo).scope == "L0"


def test_a_meter_is_checked_with_the_options_given(bench: Bench, capsys: Capture) -> None:
    code, out, err = run(capsys, "check", "good", "-o", "share=1", "--accelerator", "cuda")
    assert code == 0, out
    assert "pass   gives-readings" in out
    assert "n/a    absence-is-a-reason" in out
    assert not [line for line in out.splitlines() if line.startswith("fail")]
    assert "checking good on this machine" in err


def test_a_failed_check_ends_with_3(bench: Bench, capsys: Capture) -> None:
    code, out, err = run(capsys, "check", "noisy", "--json")
    assert code == 3
    outcomes = {row["id"]: row["outcome"] for row in json.loads(out)}
    assert outcomes["name"] == "pass"
    assert outcomes["info-is-a-record"] == "fail"
    assert "checks failed" in err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("goood",), "Did you mean 'good'?"),
        (("good", "-o", "shares=1"), "Did you mean 'share'?"),
        (("good", "-o", "share"), "Write --option KEY=VALUE."),
        (("good", "-o", "share=half"), "Write the value as in a study."),
    ],
)
def test_a_wrong_word_gets_a_next_step(
    words: tuple[str, ...], said: str, bench: Bench, capsys: Capture
) -> None:
    code, out, err = run(capsys, "check", *words)
    assert (code, out) == (2, "")
    assert said in err


def test_an_option_that_is_missing_and_cannot_be_guessed_is_asked_for(
    bench: Bench, capsys: Capture
) -> None:
    code, out, err = run(capsys, "check", "redfish")
    assert (code, out) == (2, "")
    assert "options.url" in err


def test_an_option_that_is_refused_is_an_error_of_usage(bench: Bench, capsys: Capture) -> None:
    code, out, err = run(capsys, "check", "good", "-o", "share=7")
    assert (code, out) == (2, "")
    assert "options.share is 7" in err
