"""How the load of a launch is laid out."""

from __future__ import annotations

from inferometer.launch import unforeseen
from inferometer.point import phased, staggered, wrapped
from inferometer.records import Request


def test_each_stream_s_first_request_has_another_age() -> None:
    lengths = staggered([16] * 12, range(5, 9))
    assert lengths == [16] * 5 + [4, 8, 12, 16] + [16] * 3


def test_a_length_never_becomes_nothing() -> None:
    assert staggered([2] * 8, range(8)) == [1, 1, 1, 1, 1, 2, 2, 2]


def test_lengths_that_differ_are_staggered_each_by_itself() -> None:
    assert staggered([9, 40, 80, 20, 10], range(1, 5)) == [9, 10, 40, 15, 10]
    assert staggered([9, 40, 80], []) == [9, 40, 80]  # an open loop


def test_past_the_last_prompt_the_ordinary_ones_come_again() -> None:
    assert [wrapped(index, 6, 3) for index in range(10)] == [0, 1, 2, 3, 4, 5, 3, 4, 5, 3]


def request(index: int) -> Request:
    return Request(
        index=index,
        load_point=0,
        phase="load",
        stream=0,
        prompt=index,
        intended_ns=0,
        sent_ns=0,
        input_tokens_expected=1,
        output_tokens_expected=1,
    )


def test_shortened_requests_are_marked_and_no_others() -> None:
    phases = [phased(request(index), {5, 6, 7, 8}).phase for index in range(4, 10)]
    assert phases == ["load", "stagger", "stagger", "stagger", "stagger", "load"]


def test_an_unforeseen_error_becomes_a_failure_without_secrets() -> None:
    failure = unforeseen(KeyError("hf_abcdefghijklmnopqrstuvwx"))
    assert failure.reason == "failed"
    assert "KeyError" in failure.message
    assert "hf_abc" not in failure.message + "".join(failure.log_tail)
    assert any("KeyError" in line for line in failure.log_tail)
