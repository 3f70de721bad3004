"""What moves own over an API's cost, the cost of an answer, and a month of a fleet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.unit.cost.fleets import HOUR, entry, made_demand, rate
from tests.unit.cost.fleets import machine as replica
from tests.unit.cost.hours import SAYS, licence, owned, rented

from inferometer.comparison.value import Value
from inferometer.cost import fleet, monthly
from inferometer.cost.inputs import Input
from inferometer.cost.response import response
from inferometer.cost.scenario import Api, Response, Step
from inferometer.cost.scene import Lengths
from inferometer.cost.sensitivity import of_api, of_response
from inferometer.cost.swings import swings
from inferometer.cost.tornado import MachineHour

if TYPE_CHECKING:
    from collections.abc import Mapping

    from inferometer.comparison.costs import ResponseCost, Tornado
    from inferometer.cost.replicas import Case
    from inferometer.cost.scenario import FleetEntry

ONE = Value(value=1.0, unit="req/s", kind="measured", n=5, low=0.5, high=2.0)
TOKENS = Lengths(input=1000, output=500)


def ends(told: Tornado | None) -> dict[str, tuple[float, float]]:
    assert told is not None
    widths = [abs(swing.at_high - swing.at_low) for swing in told.swings]
    assert widths == sorted(widths, reverse=True)
    return {swing.input: (swing.at_low, swing.at_high) for swing in told.swings}


# -- any result --------------------------------------------------------------------------------


def test_each_number_moves_the_result_alone_within_what_it_may_be() -> None:
    inputs = {
        "a": Input("first", 10, "m", 0, 11),
        "b": Input("second", -5, "m", -5.5, 0),
        "n": Input("some", 0, "things", 0, 9, whole=True),
        "zero": Input("nothing", 0, "m", 0, 9),
        "given": Input("given", 3, "m", 0, 9),
    }

    def result(values: Mapping[str, float]) -> float:
        assert len(values) == 1
        now: dict[str, float] = {key: one.value for key, one in inputs.items()} | dict(values)
        return now["a"] * 10 + now["b"] + now["n"] * 100 + now["zero"] + now["given"]

    found = swings(inputs, result, {"given": (0, 1)})
    told = [(one.input, one.low_input, one.high_input, one.assumed, one.whole) for one in found]
    assert told == [
        ("some", 0, 1, True, True),
        ("first", 8, 11, True, False),
        ("second", -5.5, -4, True, False),
        ("given", 0, 1, False, False),
    ]
    assert [(one.at_low, one.at_high) for one in found] == [
        (98, 198),
        (78, 108),
        (97.5, 99),
        (95, 96),
    ]


# -- against an API ----------------------------------------------------------------------------


def api(**changes: Any) -> Api:
    """2 EUR per million tokens, half of the input at no price, half of the bill off."""
    given: dict[str, Any] = {
        "input_per_mtok": 2.0,
        "cached_input_per_mtok": 0.0,
        "output_per_mtok": 2.0,
        "cached_share": 0.5,
        "discount": 0.5,
        "currency": "EUR",
    }
    return Api(name="theirs", **(given | changes), **SAYS)


def against(one: Api, hour: MachineHour) -> Tornado | None:
    return of_api(one, hour, cell="c", exchange_usd=2.0, tokens=TOKENS, requests_s=ONE)


def test_what_moves_own_over_api() -> None:
    """7.20 USD an hour for 3,600 requests, and 0.002 USD a request at the API: even."""
    told = against(api(), MachineHour(rented(0.9), 8))
    assert told is not None
    assert (told.metric, told.of, told.hour) == ("own_over_api", "theirs", "rent")
    assert told.base == pytest.approx(1)
    found = ends(told)
    assert found["requests_s"] == pytest.approx((2, 0.5))
    assert found["price"] == pytest.approx((0.8, 1.2))
    assert found["apis.input_per_mtok"] == pytest.approx((1 / 0.9, 1 / 1.1))
    assert found["apis.output_per_mtok"] == pytest.approx((1 / 0.9, 1 / 1.1))
    assert found["apis.cached_share"] == pytest.approx((1 / 1.1, 1 / 0.9))
    assert found["apis.discount"] == pytest.approx((1 / 1.2, 1 / 0.8))
    assert found["exchange.EUR"] == pytest.approx((1 / 0.8, 1 / 1.2))
    assert "apis.cached_input_per_mtok" not in found  # 0, and no range
    assert {one.input for one in told.swings if not one.assumed} == {"requests_s"}


def test_a_rate_of_exchange_that_both_have_moves_neither_over_the_other() -> None:
    found = ends(against(api(), MachineHour(rented(0.45, currency="EUR", usd=2.0), 8)))
    assert found["exchange"] == pytest.approx((1, 1))
    assert "exchange.EUR" not in found
    dollars = ends(against(api(currency="USD"), MachineHour(rented(0.9), 8)))
    assert not [name for name in dollars if "exchange" in name]


def test_the_whole_hour_stands_beside_the_api() -> None:
    terms = owned(usd_per_kwh=0.5, ranges={"pue": (1.0, 2.0)})
    told = against(api(), MachineHour(terms, 8, 4.0, (licence(0.5), licence(0.0))))
    assert told is not None
    metered = next(one for one in told.swings if one.input == "power_kw")
    assert (metered.base_input, metered.unit) == (4, "kW, metered")
    found = ends(told)
    assert found["pue"] == pytest.approx((14 / 7.2, 16 / 7.2))  # 8 + 4 x 0.5 x PUE + 4
    assert found["licence"] == pytest.approx((13.2 / 7.2, 14.8 / 7.2))


def test_cached_tokens_that_cost_as_others_are_no_input_and_nothing_is_divided_by_nothing() -> None:
    found = ends(against(api(cached_input_per_mtok=None), MachineHour(rented(), 8)))
    assert "apis.cached_share" not in found
    free = against(api(output_per_mtok=0.0, cached_share=0.9), MachineHour(rented(), 8))
    assert free is not None
    share = next(one for one in free.swings if one.input == "apis.cached_share")
    assert share.high_input == 0.999  # at 1 nothing would be paid
    assert against(api(output_per_mtok=0.0, cached_share=1.0), MachineHour(rented(), 8)) is None


def test_whatever_an_api_may_ask_each_swing_is_a_number() -> None:
    hour = MachineHour(rented(), 8)
    tried = 0
    for name in ("input_per_mtok", "cached_input_per_mtok", "output_per_mtok"):
        for odd in (0.0, 5e-324, 1e-300, 0.5, 1e15):
            for shares in ({}, {"cached_share": 1.0}, {"discount": 0.9999999}):
                none = {"input_per_mtok": 0.0, "output_per_mtok": 0.0}
                told = against(api(**(none | {name: odd} | shares)), hour)
                tried += told is not None
                swung = [] if told is None else told.swings
                assert all(0 < end < 1e308 for one in swung for end in (one.at_low, one.at_high))
    assert tried > 10


# -- a response --------------------------------------------------------------------------------


def guarded(**changes: Any) -> Response:
    guardrail = Step(name="guardrail", tokens=1000, per_mtok=1, attempts=1)
    given: dict[str, Any] = {
        "attempts": 2,
        "input_tokens": 1000,
        "cached_tokens": 500,
        "output_tokens": 500,
        "steps": (guardrail,),
    }
    return Response(**(given | changes))


def made(one: Response, prices: Mapping[str, float]) -> ResponseCost:
    """2 USD per million tokens, and nothing for cached ones."""
    return response(
        one,
        at="c",
        hour="rent",
        input_usd=prices.get("usd_per_mtok_input", 2.0),
        cached_usd=0.0,
        output_usd=prices.get("usd_per_mtok_output", 2.0),
    )


PRICES = {
    "usd_per_mtok_input": Value(value=2.0, unit="USD/Mtok", kind="estimated"),
    "usd_per_mtok_output": Value(value=2.0, unit="USD/Mtok", kind="estimated", n=5, low=1, high=3),
}


def test_what_moves_the_cost_of_a_response() -> None:
    """2 attempts x (500 + 500) tokens at 2, and a guardrail of 1,000 at 1: 0.005 USD."""
    told = of_response(guarded(), made, PRICES)
    assert told is not None
    assert (told.hour, told.cell) == ("rent", "c")
    assert told.base == pytest.approx(0.005)
    found = {name: (low * 1000, high * 1000) for name, (low, high) in ends(told).items()}
    assert found == {
        "attempts": pytest.approx((4.2, 5.8)),
        "input_tokens": pytest.approx((4.2, 5.8)),
        "cached_tokens": pytest.approx((5.4, 4.6)),
        "output_tokens": pytest.approx((4.6, 5.4)),
        "usd_per_mtok_input": pytest.approx((4.6, 5.4)),
        "usd_per_mtok_output": pytest.approx((4, 6)),
        "guardrail: tokens": pytest.approx((4.8, 5.2)),
        "guardrail: per_mtok": pytest.approx((4.8, 5.2)),
        "guardrail: attempts": pytest.approx((5, 5.2)),  # never under 1
    }
    assert {one.input for one in told.swings if not one.assumed} == {"usd_per_mtok_output"}


def test_a_step_that_follows_the_attempts_has_none_of_its_own() -> None:
    step = Step(name="guardrail", tokens=1000, per_mtok=1)
    found = ends(of_response(guarded(steps=(step,)), made, PRICES))
    assert "guardrail: attempts" not in found
    assert found["attempts"] == pytest.approx((0.0048, 0.0072))


def test_only_prices_of_tokens_that_there_are_and_no_sum_that_is_not_known() -> None:
    found = ends(of_response(guarded(input_tokens=500), made, PRICES))
    assert "usd_per_mtok_input" not in found
    assert found["cached_tokens"][1] == found["input_tokens"][0]  # all of the input is cached

    def unknown(one: Response, _: Mapping[str, float]) -> ResponseCost:
        return response(one, at="c", hour=None, input_usd=None, cached_usd=None, output_usd=None)

    assert of_response(guarded(), unknown, {}) is None


# -- a fleet -----------------------------------------------------------------------------------


def cases(given: FleetEntry, *machines: Any) -> list[Case]:
    return fleet.cases(made_demand(given), given, machines, hours=[HOUR], pue={})


def test_what_moves_a_month_of_a_fleet() -> None:
    """10 requests/s x 1.2 at 2 a replica and one spare: 7 replicas at 4 USD for 730 hours."""
    given = entry(requests_per_day=432_000, growth_per_month=1.0, months=1, headroom=0.2, spare=1)
    capacity = Value(value=2.0, unit="req/s", kind="measured", n=5, low=1.5, high=2.4)
    (case,) = cases(given, replica(requests_s=capacity))
    told = monthly.tornado(case, given, MachineHour(rented(0.5, utilisation=0.5), 8))
    assert (told.metric, told.of, told.hour) == ("usd_per_month", "everywhere", HOUR)
    assert told.base == pytest.approx(7 * 4 * 730)
    found = {name: (low / 2920, high / 2920) for name, (low, high) in ends(told).items()}
    assert found == {
        "capacity": pytest.approx((9, 6)),
        "requests_per_day": pytest.approx((6, 9)),
        "growth_per_month": pytest.approx((7, 8)),
        "headroom": pytest.approx((7, 8)),
        "spare": pytest.approx((6, 8)),
        "price": pytest.approx((5.6, 8.4)),
    }
    spare = next(one for one in told.swings if one.input == "spare")
    assert (spare.low_input, spare.high_input, spare.assumed, spare.whole) == (0, 2, True, True)


def test_a_demand_as_large_or_as_small_as_can_be_stays_one() -> None:
    for now, growth, months in ((1e15, 0.0, 0), (1e5, 0.9, 35), (1.0, -0.99, 1), (1e-3, -0.9, 6)):
        given = entry(requests_per_day=now, growth_per_month=growth, months=months)
        (case,) = cases(given, replica())
        told = monthly.tornado(case, given, MachineHour(rented(0.5), 8))
        assert all(one.at_low > 0 and one.at_high > 0 for one in told.swings)


def test_the_cheapest_ranked_row_of_each_model_and_region_is_varied() -> None:
    dear, cheap = {HOUR: rate(5.0)}, {HOUR: rate(1.0)}
    machines = [
        replica(cell="dear", rates=dear),
        replica(cell="first"),
        replica(cell="unsound", rates=cheap, ranked=False),
        replica(cell="unpriced", rates={}),
        replica(cell="other", model="moe", rates=dear),
    ]
    found = monthly.cheapest(cases(entry(), *machines))
    assert [case.machine.cell for case in found] == ["first", "other"]
