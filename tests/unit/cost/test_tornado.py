"""What each input does to a cost."""

from __future__ import annotations

import dataclasses

import pytest
from msgspec import structs
from tests.unit.cost.hours import licence, owned, rented

from inferometer.comparison.costs import Swing
from inferometer.comparison.value import Value
from inferometer.cost.scenario import Terms
from inferometer.cost.tornado import tornado

RATE = Value(value=1000.0, unit="tok/s", kind="measured", n=5, low=800.0, high=1250.0)


def swings(terms: Terms, **keys: object) -> dict[str, Swing]:
    told = tornado(terms, gpus=8, cell="c", metric="m", unit="USD", **keys)  # type: ignore[arg-type]
    widths = [abs(swing.at_high - swing.at_low) for swing in told.swings]
    assert widths == sorted(widths, reverse=True)
    return {swing.input: swing for swing in told.swings}


def test_each_input_moves_the_cost_alone() -> None:
    found = swings(rented(2.0, discount=0.5, utilisation=0.9))
    assert set(found) == {"price", "discount", "utilisation"}
    price = found["price"]
    assert (price.base_input, price.low_input, price.high_input) == pytest.approx((2, 1.6, 2.4))
    base = 8 * 2 * 0.5 / 0.9
    assert (price.at_low, price.at_high) == pytest.approx((base * 0.8, base * 1.2))
    assert price.assumed
    assert price.unit == "USD per GPU-hour"
    used = found["utilisation"]
    assert used.high_input == 1  # not 1.08
    assert used.at_high == pytest.approx(8)


def test_a_range_of_the_file_goes_before_twenty_percent() -> None:
    terms = rented(2.0)
    entry = structs.replace(terms.entry, ranges={"price": (1.0, 5.0), "discount": (0.0, 0.25)})
    found = swings(dataclasses.replace(terms, entry=entry))
    assert (found["price"].at_low, found["price"].at_high) == (8, 40)
    assert not found["price"].assumed
    assert (found["discount"].at_low, found["discount"].at_high) == (16, 12)


def test_throughput_swings_over_its_interval_and_surcharges_beside_it() -> None:
    found = swings(
        rented(0.45), throughput=RATE, per_hour=0.0036, surcharges=[licence(0.0), licence(0.05)]
    )
    rate = found["throughput"]
    assert (rate.low_input, rate.high_input, rate.unit) == (800, 1250, "tok/s")
    assert (rate.at_low, rate.at_high) == pytest.approx((4 / 2.88, 4 / 4.5))
    assert not rate.assumed
    assert found["licence"].low_input == pytest.approx(0.04)
    assert found["licence"].at_low == pytest.approx(3.92 / 3.6)
    alone = Value(value=1000.0, unit="tok/s", kind="measured", n=1)
    assert swings(rented(), throughput=alone)["throughput"].assumed


def test_metered_watts_stand_in_for_the_declared() -> None:
    terms = owned(usd_per_kwh=0.5, pue=1.1)
    declared = swings(terms)
    assert declared["power_kw"].base_input == 10
    assert declared["pue"].low_input == 1  # not 0.88
    assert declared["life_years"].at_low > declared["life_years"].at_high
    assert "network_usd" not in declared  # 0, and no range
    metered = swings(terms, power_kw=4.0)
    assert metered["power_kw"].unit == "kW, metered"
    assert metered["power_kw"].at_low == pytest.approx(8 + 3.2 * 1.1 * 0.5)


def test_the_assumed_range_of_lost_work_leaves_time_to_work() -> None:
    found = swings(rented(interruptions_per_hour=3.0, lost_minutes=18.0))  # 54 of 60 minutes
    for name, base in (("interruptions_per_hour", 3), ("lost_minutes", 18)):
        assert base * 60 / 54 * 0.99 < found[name].high_input < base * 60 / 54  # not 1.2 x
    nearly = swings(rented(interruptions_per_hour=1.0, lost_minutes=59.99))
    assert nearly["lost_minutes"].high_input == 59.99
