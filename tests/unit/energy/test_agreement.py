"""Which instruments say something of each other."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import structs

from inferometer.energy.account import Account
from inferometer.energy.agreement import settle
from inferometer.energy.edges import Joules
from inferometer.records import MeterInfo

INFO = MeterInfo(name="m", scope="L0", kind="measured", method="made up", instrument="counter")


def meter(
    name: str, energy_j: float, *, devices: dict[str, float] | None = None, **fields: Any
) -> Account:
    parts = {"GPU-0": energy_j} if devices is None else devices
    return Account(
        info=structs.replace(INFO, name=name, **fields),
        joules=Joules(energy_j),
        devices={device: Joules(part) for device, part in parts.items()},
    )


def words(*accounts: Account, length_s: float = 30.0) -> list[str]:
    return [
        one.joules.reason or one.joules.detail.split(":")[0] for one in settle(accounts, length_s)
    ]


def test_one_alone_has_its_number_and_says_that_it_is_alone() -> None:
    (one,) = settle([meter("a", 100.0)], 30.0)
    assert one.joules.energy_j == 100
    assert one.joules.detail == "uncorroborated: one instrument alone"


def test_a_counter_and_a_power_sensor_corroborate_each_other() -> None:
    power = meter("b", 101.9, instrument="power")
    assert words(meter("a", 100.0), power) == ["corroborated", "corroborated"]


def test_a_counter_does_not_corroborate_a_counter_but_may_dispute_it() -> None:
    assert words(meter("a", 100.0), meter("b", 100.0)) == ["uncorroborated"] * 2
    assert words(meter("a", 100.0), meter("b", 103.0)) == ["disputed"] * 2


@pytest.mark.parametrize(
    ("apart", "length_s", "reason"),
    [
        (1.019, 30.0, "corroborated"),
        (1.021, 30.0, "disputed"),
        (1.021, 29.0, "corroborated"),
        (1.049, 10.0, "corroborated"),
        (1.051, 10.0, "disputed"),
        (1 / 1.03, 30.0, "disputed"),
        (1000.0, 30.0, "unit_suspect"),
        (1 / 3600, 30.0, "unit_suspect"),
        (950.0, 30.0, "unit_suspect"),
        (2.0, 30.0, "disputed"),
    ],
)
def test_how_far_apart_they_may_be(apart: float, length_s: float, reason: str) -> None:
    pair = meter("a", 100.0), meter("b", 100.0 * apart, instrument="power")
    assert words(*pair, length_s=length_s) == [reason] * 2


def test_the_third_that_agrees_with_neither_spoils_both_pairs() -> None:
    found = words(meter("a", 100.0), meter("b", 101.0, instrument="power"), meter("c", 120.0))
    assert found == ["disputed"] * 3


def test_another_boundary_or_scope_is_not_compared() -> None:
    board = meter("a", 100.0)
    for other in (
        meter("b", 150.0, instrument="power", boundary="module"),
        meter("b", 150.0, instrument="power", scope="L1"),
        meter("b", 150.0, instrument="power", kind="estimated"),
    ):
        assert words(board, other)[0] == "uncorroborated"


def test_a_second_one_that_fails_is_named() -> None:
    second = meter("b", 1.0, instrument="power")
    mute = Account(info=second.info, joules=Joules(None, "gap", "no reading for 2 s"))
    one, other = settle([meter("a", 100.0), mute], 30.0)
    assert one.joules.energy_j == 100
    assert one.joules.detail == "uncorroborated: b gives no number (gap)"
    assert other.joules == mute.joules


def test_without_a_common_device_the_sums_are_compared() -> None:
    left = meter("a", 100.0, devices={"package-0": 60.0, "package-1": 40.0}, scope="L1")
    right = meter("b", 130.0, devices={"cpu": 130.0}, scope="L1", instrument="power")
    assert words(left, right) == ["disputed"] * 2
