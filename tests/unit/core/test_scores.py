"""The figure of a trial, in whole numbers: five batches of one second each."""

from __future__ import annotations

import msgspec
import pytest

from inferometer.records import CHUNK_COUNT_UNKNOWN, Device, MeterInfo, Reading, Request, Window
from inferometer.scores import Figure, joules_by_batch, tokens_by_batch

S = 1_000_000_000
METER = MeterInfo(name="m", scope="L0", kind="measured", method="")
WINDOW = Window(
    load_point=0,
    workload="w",
    load="1 streams",
    concurrency=1,
    start_ns=10 * S,
    end_ns=15 * S,
    discarded_ns=0,
    work_sha256="",
    prompts=1,
    client_cpu_s=0,
    loop_lag_p99_ms=0,
    send_lag_p99_ms=0,
)


def request(index: int, tokens: int | None, *, phase: str = "load") -> Request:
    return Request(
        index=index,
        load_point=0,
        phase=phase,  # type: ignore[arg-type]
        stream=0,
        prompt=0,
        intended_ns=0,
        sent_ns=0,
        input_tokens_expected=1,
        output_tokens_expected=8,
        output_tokens=tokens,
    )


def test_tokens_count_where_their_event_fell() -> None:
    chunks = [
        (1, 7, 0, 10 * S - 1),  # before the window
        (1, 2, 0, 10 * S),
        (1, 3, 0, 11 * S - 1),
        (1, 4, 0, 14 * S),
        (1, 9, 0, 15 * S),  # after it
        (2, 50, 0, 12 * S),  # of the warm-up
    ]
    rows = [request(1, 25), request(2, 50, phase="warmup")]
    assert tokens_by_batch(WINDOW, rows, chunks) == [5, 0, 0, 0, 4]


def test_events_without_a_count_share_what_usage_states() -> None:
    blank = CHUNK_COUNT_UNKNOWN
    chunks = [
        *((1, 0, blank, 10 * S), (1, 0, blank, 11 * S)),  # 12 tokens in two events
        (2, 0, blank, 12 * S),  # cut, so no usage: as many as the others hold
    ]
    rows = [request(1, 12), request(2, None)]
    assert tokens_by_batch(WINDOW, rows, chunks) == [6, 6, 6, 0, 0]


def test_joules_of_a_counter_and_of_watts_are_the_same() -> None:
    def readings(unit: str, values: list[float]) -> list[Reading]:
        return [
            Reading(meter="m", device=device, t_ns=t_s * S, value=value, unit=unit)  # type: ignore[arg-type]
            for device in ("a", "b")
            for t_s, value in zip((9, 12, 16), values, strict=True)
        ]

    counter = joules_by_batch(WINDOW, readings("J", [0, 30, 70]), METER)
    watts = joules_by_batch(WINDOW, readings("W", [10, 10, 10]), METER)
    assert counter == [20, 20, 20, 20, 20]  # 10 W each of two devices
    assert watts == counter
    other = msgspec.structs.replace(METER, name="other")
    assert joules_by_batch(WINDOW, readings("J", [0, 30, 70]), other) is None
    short = [r for r in readings("J", [0, 30, 70]) if r.t_ns < 16 * S]
    assert joules_by_batch(WINDOW, short, METER) is None
    idle = msgspec.structs.replace(METER, devices=[Device(name="b", left_out="not under test")])
    assert joules_by_batch(WINDOW, readings("J", [0, 30, 70]), idle) == [10, 10, 10, 10, 10]


def test_a_figure_is_a_ratio_of_sums_with_its_noise() -> None:
    figure = Figure("output_tok_s", "tok/s", "measured")
    steady = figure.of([10, 10, 10, 10, 10], [1, 1, 1, 1, 1])
    assert (steady.value, steady.spread) == (10, 0)
    shaky = figure.of([8, 9, 10, 11, 12], [1, 1, 1, 1, 1])
    # standard deviation sqrt(10 / 4), over sqrt(5), over 10
    assert shaky.spread == pytest.approx((10 / 4) ** 0.5 / 5**0.5 / 10)
    # joules in step with tokens: no noise in their ratio
    assert figure.of([1, 2, 3, 4, 5], [2, 4, 6, 8, 10]).spread == pytest.approx(0)
    empty = figure.of([0, 0, 0, 0, 0], [1, 1, 1, 1, 1])
    assert (empty.value, empty.reason) == (None, "too_few_samples")
