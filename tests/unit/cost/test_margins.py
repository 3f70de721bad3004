"""Revenue, its share, cost and credits stand apart and add up."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.cost.fleets import HOUR, absent, entry, machine, made_demand, rate

from inferometer.cost import fleet
from inferometer.cost.margins import margins
from inferometer.cost.scenario import Credits, Region

if TYPE_CHECKING:
    from inferometer.comparison.costs import Margin
    from inferometer.cost.capacity import Capacity
    from inferometer.cost.scenario import FleetEntry

GRANT = Credits(usd=12_000.0, months=12, source="the seller's letter", date="2026-11-01")


def made(fleet_entry: FleetEntry, one: Capacity | None = None, **more: Any) -> list[Margin]:
    demand = made_demand(fleet_entry)
    found = fleet.rows(*(demand, fleet_entry, [one or machine()]), hours=(HOUR,), pue={HOUR: 1.25})
    return margins(found, demand, fleet_entry, **more)


def test_a_month_of_24_000_requests_a_day_at_one_cent() -> None:
    """730,000 requests earn 7,300 USD; one replica at 4 USD/h costs 2,920 USD."""
    earning = entry(requests_per_day=24_000, usd_per_response=0.01, revenue_share=0.2)
    (found,) = made(earning, credits_=GRANT)
    assert [(part.name, round(part.usd, 6)) for part in found.parts] == [
        ("revenue", 7300),
        ("revenue share", -1460),
        ("cost", -2920),
        ("credits", 1000),
    ]
    assert found.before_credits_usd == pytest.approx(2920)
    assert found.before_credits_share == pytest.approx(0.4)
    assert found.after_credits_usd == pytest.approx(3920)
    formulas = [part.formula for part in found.parts]
    assert formulas[0] == "730,000 requests x 0.01 USD"
    assert formulas[1] == "0.2 x 7,300 USD"
    assert formulas[3] == "12,000 USD / 12 months; the seller's letter, 2026-11-01"


def test_a_response_that_takes_two_requests_earns_once() -> None:
    earning = entry(requests_per_day=24_000, usd_per_response=0.01)
    (found,) = made(earning, attempts=2.0)
    assert [(part.name, round(part.usd, 6)) for part in found.parts] == [
        *(("revenue", 3650), ("cost", -2920))
    ]
    assert found.parts[0].formula == "730,000 requests / 2 attempts per response x 0.01 USD"


def test_a_loss_is_negative() -> None:
    (found,) = made(entry(requests_per_day=24_000, usd_per_response=0.002))
    assert found.before_credits_usd == pytest.approx(1460 - 2920)
    assert found.before_credits_share == pytest.approx(-1)


def test_credits_never_pay_more_than_the_bill() -> None:
    grant = Credits(usd=120_000.0, months=12, source="letter", date="2026-11-01")
    (found,) = made(entry(requests_per_day=24_000, usd_per_response=0.01), credits_=grant)
    assert found.parts[-1].usd == 2920
    assert "no more than the bill" in found.parts[-1].formula


@pytest.mark.parametrize(("months", "usd"), [(0, 1000), (11, 1000), (12, 0), (36, 0)])
def test_credits_pay_nothing_of_a_month_after_they_are_used_up(months: int, usd: float) -> None:
    later = entry(requests_per_day=24_000, usd_per_response=0.01, months=months)
    (found,) = made(later, credits_=GRANT)
    assert found.parts[-1].usd == usd
    assert ("used up over 12 months" in found.parts[-1].formula) is (usd == 0)
    assert found.after_credits_usd == pytest.approx(found.before_credits_usd + usd)


def test_credits_pay_nothing_of_a_machine_that_is_owned() -> None:
    (found,) = made(
        entry(requests_per_day=24_000, usd_per_response=0.01), credits_=GRANT, owned=(HOUR,)
    )
    assert found.parts[-1].name == "cost"
    assert found.after_credits_usd == found.before_credits_usd


def test_regions_share_the_credits_and_the_revenue() -> None:
    split = entry(
        requests_per_day=24_000,
        usd_per_response=0.01,
        regions=(Region(name="a", share=0.75), Region(name="b", share=0.25)),
    )
    left, right = made(split, credits_=GRANT)
    assert (left.parts[-1].usd, right.parts[-1].usd) == (750, 250)
    assert left.parts[0].usd == pytest.approx(0.75 * 7300)


def test_no_margin_without_a_price_of_the_response_or_of_the_hour() -> None:
    assert made(entry()) == []
    assert made(entry(usd_per_response=1), machine(rates={})) == []
    assert made(entry(usd_per_response=1), machine(requests_s=absent("slo_never_met"))) == []


@settings(max_examples=1_000)
@given(
    per_day=st.floats(1, 1e9),
    price=st.floats(1e-6, 10),
    share=st.floats(0, 1),
    usd=st.floats(0.01, 100),
    granted=st.floats(1, 1e7),
)
def test_parts_add_up_to_the_margin(
    per_day: float, price: float, share: float, usd: float, granted: float
) -> None:
    earning = entry(requests_per_day=per_day, usd_per_response=price, revenue_share=share)
    grant = Credits(usd=granted, months=12, source="letter", date="2026-11-01")
    (found,) = made(earning, machine(rates={HOUR: rate(usd)}), credits_=grant)
    money = {part.name: part.usd for part in found.parts}
    credit = money.pop("credits")
    whole = per_day * 730 / 24 * price
    close = 1e-9 * (whole + abs(money["cost"]) + credit)
    assert money["revenue"] == pytest.approx(whole)
    assert math.fsum(money.values()) == pytest.approx(found.before_credits_usd, abs=close)
    assert found.before_credits_usd + credit == pytest.approx(found.after_credits_usd, abs=close)
    assert found.before_credits_share <= 1
    assert 0 < credit <= min(granted / 12, -money["cost"])
