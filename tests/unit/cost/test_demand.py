"""Requests a day become a rate in every hour of the day."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.cost.fleets import entry, made_demand

from inferometer.cost.demand import SHAPES, requests_per_month, requests_s
from inferometer.errors import UsageError

PEAK_HOUR_OF_24 = [1.0] * 23 + [25.0]


def test_a_flat_million_a_day_is_11_574_a_second_in_every_hour() -> None:
    found = made_demand(entry())
    assert requests_s(found) == pytest.approx([11.574] * 24, abs=5e-4)
    assert found.peak_to_mean == pytest.approx(1)
    assert found.requests_per_day_now == found.requests_per_day == 1e6
    assert "1,000,000 x 0.0416667 of the day / 3,600 s = 11.5741 requests/s" in found.formula


def test_a_month_has_730_hours() -> None:
    found = made_demand(entry(requests_per_day=24))
    assert requests_per_month(found) == pytest.approx(730)
    assert requests_per_month(found, 0.5) == pytest.approx(365)


def test_own_weights_are_normalised() -> None:
    found = made_demand(entry(requests_per_day=172_800, shape=tuple(PEAK_HOUR_OF_24)))
    assert found.hourly[:23] == pytest.approx([1 / 48] * 23)
    assert max(requests_s(found)) == pytest.approx(25)
    assert found.peak_to_mean == pytest.approx(12.5)
    assert found.shape == "own weights"


@pytest.mark.parametrize("shape", ["office", "evening"])
def test_the_named_shapes_have_a_peak_of_twice_the_mean_and_say_whose_they_are(shape: str) -> None:
    found = made_demand(entry(shape=shape))
    assert sum(SHAPES[shape]) == 120
    assert max(SHAPES[shape]) == 10
    assert found.peak_to_mean == pytest.approx(2)
    assert "convention of this program, not measured" in found.formula


def test_office_works_by_day_and_evening_after_it() -> None:
    office, evening = SHAPES["office"], SHAPES["evening"]
    assert [hour for hour, weight in enumerate(office) if weight == 10] == [
        *(9, 10, 11, 13, 14, 15, 16)
    ]
    assert [hour for hour, weight in enumerate(evening) if weight == 10] == [19, 20, 21]


def test_growth_compounds() -> None:
    found = made_demand(entry(requests_per_day=1000, growth_per_month=1.0, months=3))
    assert found.requests_per_day == 8000
    assert found.requests_per_day_now == 1000
    assert "1,000 requests a day x (1 +1)^3 after 3 months = 8,000 a day" in found.formula


def test_growth_without_months_is_the_demand_of_now() -> None:
    assert made_demand(entry(growth_per_month=0.5)).requests_per_day == 1e6


def test_demand_may_shrink() -> None:
    found = made_demand(entry(requests_per_day=800, growth_per_month=-0.5, months=2))
    assert found.requests_per_day == 200


@pytest.mark.parametrize(
    ("shape", "said"),
    [
        ((1.0,) * 23, "23 weights"),
        ((0.0,) * 24, "add up to 0"),
        ((math.inf, *(1.0,) * 23), "add up to inf"),
        ((math.nan, *(1.0,) * 23), "add up to nan"),
        ((-1.0, *(1.0,) * 23), "add up to 22"),
    ],
)
def test_a_shape_that_is_no_day_is_refused(shape: tuple[float, ...], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        made_demand(entry(shape=shape))


@pytest.mark.parametrize(
    "changes",
    [
        {"growth_per_month": 1e6, "months": 1000},
        {"requests_per_day": math.inf},
        {"requests_per_day": 1e308},
        {"requests_per_day": 1e-300, "growth_per_month": -0.999, "months": 500},
    ],
)
def test_a_demand_that_cannot_be_counted_is_refused(changes: dict[str, float]) -> None:
    with pytest.raises(UsageError, match="requests_per_day"):
        made_demand(entry(**changes))


@settings(max_examples=2_000)
@given(
    per_day=st.floats(1e-3, 1e12),
    six_hours=st.tuples(*[st.integers(0, 1000)] * 4).filter(any),
)
def test_the_hours_of_a_day_add_up_to_the_day(per_day: float, six_hours: tuple[int, ...]) -> None:
    shape = tuple(float(weight) for weight in six_hours for _ in range(6))
    found = made_demand(entry(requests_per_day=per_day, shape=shape))
    assert math.fsum(found.hourly) == pytest.approx(1)
    assert 3600 * math.fsum(requests_s(found)) == pytest.approx(per_day)
    assert found.peak_to_mean >= 1 - 1e-9
