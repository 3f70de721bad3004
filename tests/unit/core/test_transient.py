"""What is tried again, and which stacks are given up."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from inferometer import study as studies
from inferometer import transient
from inferometer.measure import Bench
from inferometer.progress import Silent
from inferometer.reasons import WORDS
from inferometer.records import Failure, Retried
from inferometer.transient import Chances

LAUNCH: Any = SimpleNamespace(id="r0", stack="s", model=SimpleNamespace(name="m"))


def record(reason: str | None, stage: str = "load") -> Any:
    failure = None if reason is None else Failure(reason=reason, stage=stage, message="")
    return SimpleNamespace(failure=failure, status="ok" if failure is None else "failed")


def measured(reasons: list[str | None], attempts: int = 3) -> tuple[Any, list[list[Retried]]]:
    """Measure a launch whose attempts end like this."""
    asked: list[list[Retried]] = []

    def attempt(_: object, earlier: list[Retried]) -> Any:
        asked.append(list(earlier))
        return record(reasons[len(asked) - 1])

    protocol = SimpleNamespace(attempts=attempts)
    bench: Any = SimpleNamespace(
        plan=SimpleNamespace(protocol=protocol), progress=Silent(), _attempt=attempt
    )
    return Bench.measure(bench, LAUNCH), asked


def test_a_cause_that_may_pass_is_tried_again_and_counted() -> None:
    last, asked = measured(["port_in_use", "killed", None])
    assert last.failure is None
    assert [[each.reason for each in earlier] for earlier in asked] == [
        [],
        ["port_in_use"],
        ["port_in_use", "killed"],
    ]


def test_there_is_an_end_to_it() -> None:
    last, asked = measured(["killed"] * 5, attempts=2)
    assert last.failure.reason == "killed"
    assert len(asked) == 2
    assert len(measured(["killed"], attempts=1)[1]) == 1


@pytest.mark.parametrize("reason", ["failed", "out_of_memory", "stalled", "not_ready", "bad_flag"])
def test_nothing_else_is(reason: str) -> None:
    assert len(measured([reason])[1]) == 1


def test_how_often_is_the_study_s_to_say() -> None:
    assert studies.Protocol().attempts == 2
    assert studies.Protocol(retries=0).attempts == 1
    assert studies.Protocol(retries=3).attempts == 4


def test_silence_is_no_stall_as_long_as_a_request_may_take_most_of_it() -> None:
    assert studies.Protocol().stall_s == pytest.approx(540)
    assert studies.Protocol(request_timeout_s=3600.0).stall_s == pytest.approx(3240)
    assert studies.Protocol(request_timeout_s=60.0).stall_s == 300
    assert studies.Protocol(stall_timeout_s=9.0).stall_s == 9


def test_a_stack_that_worked_goes_on_after_one_failure_by_chance_and_not_two() -> None:
    chances = Chances(worked=lambda _: True)
    assert not chances.ended(LAUNCH, record("failed", "serve"))
    assert not chances.ended(LAUNCH, record(None))
    assert not chances.ended(LAUNCH, record("stalled", "serve"))
    assert not chances.given_up
    assert chances.ended(LAUNCH, record("killed", "load"))
    assert chances.given_up == {("s", "m")}


@pytest.mark.parametrize(
    ("worked", "reason", "stage"),
    [(False, "failed", "serve"), (True, "failed", "load"), (True, "unsupported", "command")],
)
def test_any_other_failure_gives_it_up_at_once(worked: bool, reason: str, stage: str) -> None:
    chances = Chances(worked=lambda _: worked)
    assert chances.ended(LAUNCH, record(reason, stage))


def test_the_closed_list_has_words() -> None:
    assert WORDS.keys() >= transient.PASSING | transient.CHANCE
