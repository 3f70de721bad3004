"""A window at a glance: whole numbers that can be counted by hand."""

from __future__ import annotations

from typing import Any

import pytest

from inferometer.glimpse import output_tps, watts
from inferometer.journal_records import Power
from inferometer.records import Device, MeterInfo, Reading, Request

S = 1_000_000_000


def request(
    first_s: float | None, last_s: float | None, tokens: int | None, **more: Any
) -> Request:
    return Request(
        index=0,
        load_point=0,
        phase="load",
        stream=0,
        prompt=0,
        intended_ns=0,
        sent_ns=0,
        first_ns=None if first_s is None else round(first_s * S),
        last_ns=None if last_s is None else round(last_s * S),
        input_tokens_expected=1,
        output_tokens_expected=11,
        output_tokens=tokens,
        **more,
    )


@pytest.mark.parametrize(
    ("first_s", "last_s", "tokens"),
    [
        (10, 20, 11),  # the first, and ten until the end
        (12, 17, 11),
        (10, 30, 21),  # the first, and ten of the twenty that follow
        (5, 15, 23),  # its first came before
    ],
)
def test_tokens_are_spread_between_the_first_and_the_last(
    first_s: float, last_s: float, tokens: int
) -> None:
    assert output_tps([request(first_s, last_s, tokens)], 10 * S, 20 * S) == pytest.approx(1.1)


def test_requests_that_gave_nothing_are_no_zero() -> None:
    silent = request(None, None, None)
    assert output_tps([silent], 0, S) is None
    assert output_tps([silent, request(0.2, 0.2, 1)], 0, S) == 1.0
    assert output_tps([request(2, 3, 5)], 0, S) == 0.0  # it did answer, but not then
    assert output_tps([request(0.5, 0.5, 8)], 0, S) == 8.0  # all at once


def test_of_a_request_that_was_cut_events_are_counted() -> None:
    cut = request(0, 10, None, status="cut", chunks=11)
    assert output_tps([cut], 0, 10 * S) == pytest.approx(1.1)


def info(*devices: Device, kind: Any = "measured") -> MeterInfo:
    return MeterInfo(name="m", scope="L0", kind=kind, method="", devices=list(devices))


def row(device: str, at_s: float, value: float, unit: Any, meter: str = "m") -> Reading:
    return Reading(meter=meter, device=device, t_ns=round(at_s * S), value=value, unit=unit)


def test_watts_of_counters_and_of_power() -> None:
    joules = [
        row("a", 0, 0, "J"),
        row("a", 1, 100, "J"),
        row("a", 3, 180, "J"),
        row("a", 9, 0, "J"),
    ]
    assert watts(info(), joules, S, 3 * S) == Power(meter="m", kind="measured", watts=40.0)
    power = [
        row("a", 1, 30, "W"),
        row("a", 2, 50, "W"),
        row("b", 2, 5, "W"),
        row("x", 2, 9, "W", "n"),
    ]
    assert watts(info(kind="declared"), power, S, 3 * S) == Power(
        meter="m", kind="declared", watts=45.0
    )


def test_a_device_that_is_left_out_is_not_added() -> None:
    rows = [row("package", 1, 30, "W"), row("core", 1, 20, "W")]
    devices = [Device(name="package"), Device(name="core", left_out="contained")]
    found = watts(info(*devices), rows, 0, 2 * S)
    assert found is not None
    assert found.watts == 30.0


def test_no_reading_and_one_of_a_counter_are_no_watts() -> None:
    assert watts(info(), [], 0, S) is None
    assert watts(info(), [row("a", 0.5, 7, "J")], 0, S) is None
    assert watts(info(), [row("a", 0, 7, "J"), row("a", 1, 2, "J")], 0, S) is None  # began anew
    assert watts(info(), [row("a", 0.5, 7, "W"), row("b", 0.5, 7, "J")], 0, S) is None
