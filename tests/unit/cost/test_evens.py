"""Where two ways cost the same: each answer is put back in and must make both equal."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs
from tests.unit.cost.hours import ORIGIN, any_owned, any_rented, owned, rented

from inferometer.comparison.costs import ApiEven, Flip
from inferometer.comparison.value import Value
from inferometer.cost.evens import Side, api_even, flip, own_or_rent, side
from inferometer.cost.hour import Use, bill, total, use
from inferometer.cost.inputs import with_inputs
from inferometer.cost.scenario import Api

SEEDS = st.integers(0, 2**63)


def ratio(value: float, low: float | None = None, high: float | None = None) -> Value:
    return Value(value=value, unit="ratio", kind="measured", n=5, low=low, high=high)


def flipped(leader: Side | None, follower: Side | None, of: Value) -> Flip:
    found = flip(
        leader,
        follower,
        of,
        hour="rent",
        model="m",
        workload="w",
        load="c=8",
        names=("vllm", "sglang"),
    )
    assert len(found.sentence.split()) <= 35
    return found


def test_without_a_price_the_ratio_is_said_and_nothing_else() -> None:
    found = flipped(None, None, ratio(0.8, 0.7, 0.9))
    assert found.price_ratio.value == 0.8
    assert (found.flip_usd_per_hour.value, found.flip_usd_per_hour.reason) == (None, "no_price")
    assert found.flip_utilisation is None
    assert found.sentence == (
        "sglang costs the same per output token as vllm when its hour costs 0.800 times as much."
    )
    unknown = Value(value=None, unit="ratio", kind="measured", reason="failed")
    assert flipped(None, None, unknown).sentence == (
        "Nothing says when vllm and sglang cost the same."
    )


def test_the_price_at_which_the_order_turns() -> None:
    one = side(rented(2.5), gpus=8)
    found = flipped(one, one, ratio(0.8, 0.75, 0.9))
    value = found.flip_usd_per_hour
    assert (value.value, value.low, value.high) == (16, 15, 18)
    assert (value.unit, value.kind, value.n) == ("USD/h", "estimated", 5)
    assert found.sentence.endswith("when its hour costs 16.0 USD; now 20.0.")
    used = found.flip_utilisation
    assert used is not None
    assert (used.value, used.low, used.high) == pytest.approx((0.8, 0.75, 0.9))
    assert found.electricity_usd_per_kwh is None
    assert (
        flipped(one, side(rented(2.5), gpus=8, kind="simulated"), ratio(0.8)).flip_usd_per_hour.kind
        == "simulated"
    )


def test_the_price_of_electricity_at_which_the_order_turns() -> None:
    """8 USD an hour beside electricity; the leader is a quarter faster and draws 8 kW against 1."""
    terms = owned(usd_per_kwh=0.2)
    fast, slow = side(terms, gpus=8, power_kw=8.0), side(terms, gpus=8, power_kw=1.0)
    found = flipped(fast, slow, ratio(0.8))
    assert found.electricity_usd_per_kwh is not None
    # 8 + 8 x = (8 + x) / 0.8
    assert found.electricity_usd_per_kwh.value == pytest.approx(2 / 6.75)
    same = flipped(fast, fast, ratio(0.8)).electricity_usd_per_kwh
    assert same is not None
    assert (same.value, same.reason) == (None, "never_equal")
    assert flipped(side(terms, gpus=8), fast, ratio(0.8)).electricity_usd_per_kwh is None


def test_an_end_of_the_interval_that_never_turns_leaves_none() -> None:
    terms = owned(usd_per_kwh=0.2)
    fast, slow = side(terms, gpus=8, power_kw=8.0), side(terms, gpus=8, power_kw=1.0)
    found = flipped(fast, slow, ratio(0.8, 0.1, 0.9)).electricity_usd_per_kwh
    assert found is not None
    assert found.value is not None
    assert (found.low, found.high) == (None, None)


@settings(max_examples=2_000)
@given(SEEDS)
def test_at_the_flip_both_cost_the_same(seed: int) -> None:
    dice = random.Random(seed)
    terms = any_rented(dice) if dice.random() < 0.3 else any_owned(dice)
    faster, slower = dice.uniform(1, 10), dice.uniform(0.1, 10)
    leader = side(terms, gpus=8, power_kw=dice.uniform(1, 10))
    other_kw = dice.uniform(1, 10)
    follower = side(terms, gpus=8, power_kw=other_kw)
    found = flipped(leader, follower, ratio(slower / faster))
    own_usd, other_usd = found.leader_usd_per_hour.value, found.follower_usd_per_hour.value
    flip_usd = found.flip_usd_per_hour.value
    assert own_usd is not None
    assert other_usd is not None
    assert flip_usd is not None
    assert own_usd / faster == pytest.approx(flip_usd / slower, rel=1e-9)
    used = found.flip_utilisation
    assert used is not None
    if used.value is not None:
        there = leader.use.at(used.value)
        assert there / faster == pytest.approx(other_usd / slower, rel=1e-9)
    electricity = found.electricity_usd_per_kwh
    if electricity is not None and electricity.value is not None:
        kw = leader.kwh
        at_flip = leader.without_electricity_usd
        assert at_flip is not None
        assert follower.without_electricity_usd is not None
        theirs = follower.without_electricity_usd + follower.kwh * electricity.value
        assert (at_flip + kw * electricity.value) / faster == pytest.approx(
            theirs / slower, rel=1e-9
        )
        real = bill(
            with_inputs(terms, {"usd_per_kwh": electricity.value}), gpus=8, power_kw=other_kw
        )
        assert total(real) == pytest.approx(theirs, rel=1e-6)


# Against an API.

API = Api(
    name="somebody's API",
    input_per_mtok=2.0,
    cached_input_per_mtok=0.5,
    output_per_mtok=8.0,
    discount=0.5,
    cached_share=0.5,
    source="a price list",
    date="2026-11-01",
)


def against(
    machine: Use,
    requests_s: Value,
    *,
    used: float = 1.0,
    api: Api = API,
    exchange_usd: float = 1.0,
) -> ApiEven:
    found = api_even(
        api,
        origin=ORIGIN,
        exchange_usd=exchange_usd,
        hour="rent",
        cell="c",
        input_tokens=2000.0,
        output_tokens=500.0,
        requests_s=requests_s,
        machine=machine,
        used=used,
    )
    assert len(found.sentence.split()) <= 35
    return found


def per_s(value: float, low: float | None = None, high: float | None = None) -> Value:
    return Value(value=value, unit="requests/s", kind="measured", n=5, low=low, high=high)


def test_an_api_with_cached_input_and_a_discount() -> None:
    # list: 1000 x 2 + 1000 x 0.5 + 500 x 8 = 6500 -> 0.0065 USD, half of it
    found = against(Use(18.0, 0.0), per_s(2.0, 1.6, 2.5))
    assert found.api_usd_per_request == pytest.approx(0.00325)
    assert (found.cached_tokens, found.output_tokens) == (1000, 500)
    own, flip_usd = found.own_usd_per_request, found.flip_usd_per_hour
    assert own.value == pytest.approx(0.0025)
    assert (own.low, own.high) == pytest.approx((0.002, 0.003125))
    assert found.ratio.value == pytest.approx(0.0025 / 0.00325)
    assert flip_usd.value == pytest.approx(23.4)
    assert found.flip_utilisation.value == pytest.approx(18 / 23.4)
    assert found.flip_requests_per_day.value == pytest.approx(24 * 18 / 0.00325)
    assert found.flip_discount.value == pytest.approx(1 - 0.0025 / 0.0065)
    assert found.sentence == (
        "A request costs 0.769 times what somebody's API asks; both cost the same at"
        " 133,000 requests a day, 76.9 % of the hours at this load."
    )


def test_an_api_in_another_currency() -> None:
    euros = structs.replace(API, currency="EUR")
    found = against(Use(18.0, 0.0), per_s(2.0), api=euros, exchange_usd=2.0)
    assert found.api_usd_per_request == pytest.approx(0.0065)
    assert found.flip_usd_per_hour.value == pytest.approx(46.8)
    free = structs.replace(API, input_per_mtok=0.0, cached_input_per_mtok=0.0, output_per_mtok=0.0)
    nothing = against(Use(18.0, 0.0), per_s(2.0), api=free)
    assert nothing.ratio.reason == nothing.flip_discount.reason == "never_equal"


def test_an_api_that_is_cheaper_at_full_load_or_than_electricity() -> None:
    full = against(Use(36.0, 0.0), per_s(2.0))
    assert full.flip_utilisation.value == pytest.approx(36 / 23.4)
    assert full.flip_requests_per_day.reason == "never_equal"  # one machine cannot carry them
    assert full.sentence.endswith("somebody's API stays cheaper at full load.")
    never = against(Use(1.0, 24.0), per_s(2.0))
    assert never.flip_utilisation.reason == "never_equal"
    assert "electricity alone" in never.sentence
    failed = Value(value=None, unit="requests/s", kind="measured", reason="failed")
    nothing = against(Use(1.0, 0.0), failed)
    assert (nothing.ratio.value, nothing.ratio.reason) == (None, "failed")


@settings(max_examples=1_000)
@given(SEEDS)
def test_at_the_utilisation_and_the_discount_of_the_flip_own_and_api_are_equal(seed: int) -> None:
    dice = random.Random(seed)
    machine, used = Use(dice.uniform(1, 100), dice.uniform(0, 5)), dice.uniform(0.1, 1)
    rate = dice.uniform(0.1, 50)
    found = against(machine, per_s(rate), used=used)
    share, a_day = found.flip_utilisation.value, found.flip_requests_per_day.value
    if share is not None:
        there = machine.at(share) / (rate * 3600)
        assert there == pytest.approx(found.api_usd_per_request, rel=1e-9)
    assert (a_day is None) is (share is None or share > 1)
    if a_day is not None:
        day = 24 * machine.standing + a_day / (rate * 3600) * machine.running
        assert day == pytest.approx(a_day * found.api_usd_per_request, rel=1e-9)
    discount = found.flip_discount.value
    assert discount is not None
    assert found.own_usd_per_request.value == pytest.approx(0.0065 * (1 - discount), rel=1e-9)


# Own or rent.


def test_own_or_rent() -> None:
    found = own_or_rent(owned(utilisation=0.5), rented(2.5, discount=0.2), gpus=8)
    assert (found.owned_usd_per_hour, found.rented_usd_per_hour) == (16, 16)
    assert found.flip_utilisation == pytest.approx(0.5)
    assert found.flip_rent_usd_per_hour == 20  # the list price of 8
    dear = own_or_rent(owned(utilisation=0.8), rented(0.5), gpus=8)
    assert dear.flip_utilisation == 2
    assert dear.sentence == (
        "rent is cheaper however much own is used,"
        " until its list price of 4.00 USD per hour is 10.0."
    )
    kept = own_or_rent(owned(utilisation=0.8), rented(1.25, utilisation=0.5), gpus=8)
    assert kept.flip_utilisation == pytest.approx(0.4)  # 8 USD an hour against 10 / 0.5
    assert kept.sentence.startswith(
        "own is cheaper than rent at 50.0 % use when used more than 40.0 % of the hours;"
    )
    never = own_or_rent(owned(usd_per_kwh=1.0, idle_kw=0.0), rented(1.0), gpus=8)
    assert never.flip_utilisation is None
    assert never.sentence == "rent is cheaper: its rent is below what own uses by the hour."


@settings(max_examples=1_000)
@given(SEEDS)
def test_at_the_flip_owning_costs_the_rent(seed: int) -> None:
    dice = random.Random(seed)
    own, rent = any_owned(dice), any_rented(dice)
    found = own_or_rent(own, rent, gpus=8)
    assert len(found.sentence.split()) <= 35
    if found.flip_utilisation is not None:
        there = use(own, gpus=8).at(found.flip_utilisation)
        assert there == pytest.approx(found.rented_usd_per_hour, rel=1e-9)
    assert rent.quote
    count = 8 if rent.entry.per == "gpu" else 1
    price = found.flip_rent_usd_per_hour / count / rent.usd
    there = total(bill(with_inputs(rent, {"price": price}), gpus=8))
    assert there == pytest.approx(found.owned_usd_per_hour, rel=1e-9)
