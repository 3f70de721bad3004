import math

import pytest

from inferometer import numbers
from inferometer.comparison import Value


@pytest.mark.parametrize(
    ("value", "half_width", "text"),
    [
        (200.0, None, "200"),
        (201.34, None, "201"),
        (20134.0, None, "20100"),
        (0.0412, None, "0.0412"),
        (9.996, None, "10.0"),
        (0.0, None, "0.00"),
        (-0.0, None, "0.00"),
        (1.24, 0.065, "1.24"),
        (41.26, 8.2, "41.3"),
        (201.3, 140.0, "200"),
        (2.0, 100.0, "2"),
        (0.04, 5.0, "0.04"),
        (1.35e8, None, "1.35e+08"),
        (0.0000123, None, "1.23e-05"),
        (math.inf, None, "n/a (not a finite number)"),
        (math.nan, None, "n/a (not a finite number)"),
    ],
)
def test_number(value: float, half_width: float | None, text: str) -> None:
    assert numbers.number(value, half_width) == text


@pytest.mark.parametrize(
    ("usd", "text"),
    [
        (1_234_000.0, "1,230,000 USD"),
        (12_340_000.0, "12,300,000 USD"),
        (-12_340.0, "-12,300 USD"),
        (10_000.0, "10,000 USD"),
        (9_876.0, "9880 USD"),
        (0.0273, "0.0273 USD"),
        (0.00001234, "1.23e-05 USD"),
        (1.234e15, "1.23e+15 USD"),
    ],
)
def test_money(usd: float, text: str) -> None:
    assert numbers.money(usd) == text


def test_sums_of_money_and_of_energy_have_their_thousands_apart() -> None:
    month = Value(
        value=1_234_000.0, unit="USD", kind="estimated", n=3, low=1_100_000, high=1_400_000
    )
    assert numbers.with_interval(month) == "1,230,000 est. (1,100,000 to 1,400,000)"
    assert numbers.point(Value(value=20_134.0, unit="tok/USD", kind="derived")) == "20,100"
    assert numbers.point(Value(value=20_134.0, unit="requests/day", kind="derived")) == "20,100"
    assert numbers.point(Value(value=20_134.0, unit="kWh", kind="estimated")) == "20,100 est."
    assert numbers.point(Value(value=20_134.0, unit="tok/s", kind="derived")) == "20100"


def test_a_count_is_never_rounded() -> None:
    replicas = Value(value=1071.0, unit="replicas", kind="derived", n=3, low=1069.0, high=1074.0)
    assert numbers.whole(replicas) == "1,071 (1,069 to 1,074)"
    assert numbers.whole(Value(value=71.0, unit="replicas", kind="estimated")) == "71 est."
    gone = Value(value=None, unit="replicas", kind="derived", reason="slo_never_met")
    assert numbers.whole(gone) == "n/a (SLO never met)"


def test_times() -> None:
    ratio = Value(value=1.25, unit="ratio", kind="derived", n=3, low=1.2, high=1.3)
    assert numbers.times(ratio) == "1.25x (95 % 1.20 to 1.30, n = 3)"
    assert numbers.times(Value(value=None, unit="ratio", kind="derived", reason="failed")) == (
        "ratio n/a (failed)"
    )


def measured(value: float | None, low: float | None, high: float | None) -> Value:
    return Value(value=value, unit="tok/s", kind="measured", n=3, low=low, high=high)


def test_interval_has_the_decimals_of_the_value() -> None:
    assert numbers.with_interval(measured(200.4, 192.2, 208.6)) == "200 (192 to 209)"
    assert numbers.with_interval(measured(1.016, 0.965, 1.067)) == "1.02 (0.96 to 1.07)"


def test_absent_interval_is_said() -> None:
    assert numbers.with_interval(measured(200.0, None, None)) == "200 (no interval)"
    assert numbers.with_interval(measured(200.0, math.nan, math.inf)) == "200 (no interval)"


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("measured", "2.00"),
        ("derived", "2.00"),
        ("estimated", "2.00 est."),
        ("simulated", "2.00 sim."),
        ("declared", "2.00 decl."),
        ("interpolated", "~2.00"),
    ],
)
def test_kind_stands_beside_the_number(kind: str, text: str) -> None:
    value = Value(value=2.0, unit="x", kind=kind, n=1)  # type: ignore[arg-type]  # parametrised
    assert numbers.point(value) == text


def test_missing_value_is_words() -> None:
    absent = Value(value=None, unit="J/token", kind="measured", reason="no_sensor")
    assert numbers.with_interval(absent) == "n/a (no power sensor)"
    unnamed = Value(value=None, unit="J/token", kind="measured")
    assert numbers.with_interval(unnamed) == "n/a (no reason given)"


def test_percent() -> None:
    assert [numbers.percent(x) for x in (6.0, 6.44, 12.3)] == ["6 %", "6.4 %", "12 %"]


def test_launches_that_are_all_alike_have_an_interval_and_the_best_against_itself_none() -> None:
    alike = Value(value=25.6, unit="tok/s", kind="measured", n=3, low=25.6, high=25.6)
    itself = Value(value=1.0, unit="ratio", kind="derived", n=3, low=1.0, high=1.0)
    assert numbers.with_interval(alike) == "25.6 (25.6 to 25.6)"
    assert numbers.with_interval(itself) == "1.00"
