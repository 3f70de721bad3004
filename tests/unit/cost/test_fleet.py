"""Replicas, power, money and carbon of a fleet, in whole numbers."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.cost.fleets import A_MILLION, HOUR, absent, entry, machine, made_demand, rate, value

from inferometer.comparison import Value
from inferometer.comparison.costs import Origin
from inferometer.cost import fleet
from inferometer.cost import hour as hours
from inferometer.cost.capacity import Rate
from inferometer.cost.scenario import HourEntry, Owned, Region, Terms
from inferometer.cost.sites import architectures, sites

if TYPE_CHECKING:
    from inferometer.comparison.costs import FleetRow
    from inferometer.cost.capacity import Capacity
    from inferometer.cost.scenario import FleetEntry

DAY_AND_NIGHT = (10.0,) * 12 + (2.0,) * 12
"""Of 864,000 requests a day: 16.67/s by day and 3.33/s by night."""


def rows(
    fleet_entry: FleetEntry, *machines: Capacity, pue: float | None = 1.25, **more: Any
) -> list[FleetRow]:
    found = more.pop("hours", (HOUR,))
    return fleet.rows(
        made_demand(fleet_entry),
        fleet_entry,
        machines or (machine(),),
        hours=found,
        pue=dict.fromkeys((*found, fleet.NO_HOUR), pue),
        **{"carbon_g_per_kwh": 400.0, **more},
    )


def row(fleet_entry: FleetEntry, *machines: Capacity, **more: Any) -> FleetRow:
    (found,) = rows(fleet_entry, *machines, **more)
    return found


def test_a_million_a_day_at_two_a_second_with_a_fifth_above_needs_seven_and_one_spare() -> None:
    found = row(entry(headroom=0.2, spare=1))
    assert found.peak_requests_s == pytest.approx(11.574, abs=5e-4)
    assert found.replicas.value == 8
    assert found.gpus == 64
    assert found.load_share == pytest.approx(11.574 / 16, abs=1e-4)
    assert "11.5741 requests/s x 1.2 (headroom) / 2 requests/s" in found.replicas.detail
    assert "+ 1 spare" in found.replicas.detail


def test_money_is_every_replica_for_730_hours() -> None:
    found = row(entry(headroom=0.2, spare=1))
    assert found.usd_per_month.value == pytest.approx(8 * 4 * 730)
    assert found.usd_per_month.value == 23_360
    assert found.usd_per_month.detail == "5,840 paid replica-hours x 4 USD/h"
    requests = A_MILLION * 730 / 24
    assert found.usd_per_request.value == pytest.approx(23_360 / requests)
    assert found.usd_per_mtok_total.value == pytest.approx(23_360 / (requests * 500) * 1e6)


def test_without_watts_at_idle_power_is_full_and_said_to_be_a_bound() -> None:
    found = row(entry(headroom=0.2, spare=1))
    assert found.power_kw.value == pytest.approx(8 * 10 * 1.25)
    assert found.energy_kwh_per_month.value == pytest.approx(100 * 730)
    assert found.carbon_kg_per_month.value == pytest.approx(73_000 * 0.4)
    for each in (found.power_kw, found.energy_kwh_per_month):
        assert "an upper bound" in each.detail
        assert each.kind == "estimated"


def test_with_watts_at_idle_power_follows_the_load() -> None:
    half = entry(requests_per_day=86_400, spare=1)  # 1 request/s, one replica of 2/s and a spare
    found = row(half, machine(idle_power_kw=2.0))
    assert found.load_share == pytest.approx(0.25)
    assert found.power_kw.value == pytest.approx(2 * (2 + 8 * 0.25) * 1.25)
    assert found.energy_kwh_per_month.value == pytest.approx(10 * 730)
    assert found.power_kw.detail == "2 replicas x (2 kW idle + 8 kW x load 0.25) x PUE 1.25"


def test_the_last_digit_of_a_float_buys_no_replica() -> None:
    seven = entry(requests_per_day=0.7 * 86_400)
    assert row(seven, machine(requests_s=value(0.1))).replicas.value == 7


def test_a_small_demand_still_needs_one_replica_and_its_spare() -> None:
    assert row(entry(requests_per_day=1, spare=2)).replicas.value == 3


def test_replicas_that_follow_the_demand_are_paid_in_the_hours_that_need_them() -> None:
    by_day = entry(requests_per_day=864_000, shape=DAY_AND_NIGHT, spare=1)
    always, follows = [
        row(by_day_, machine())
        for by_day_ in (by_day, entry(**_changed(by_day, follows_demand=True)))
    ]
    assert always.replicas.value == follows.replicas.value == 9 + 1
    assert always.usd_per_month.value == pytest.approx(10 * 4 * 730)
    assert follows.usd_per_month.value == pytest.approx((10 + 3) / 2 * 4 * 730)
    assert follows.energy_kwh_per_month.value == pytest.approx(6.5 * 10 * 1.25 * 730)
    assert always.load_share == pytest.approx(0.5)
    assert follows.load_share == pytest.approx(10 / (6.5 * 2))


def test_an_owned_machine_stays_whatever_the_demand() -> None:
    by_day = entry(requests_per_day=864_000, shape=DAY_AND_NIGHT, spare=1, follows_demand=True)
    found = row(by_day, owned=(HOUR,))
    assert found.usd_per_month.value == pytest.approx(10 * 4 * 730)
    assert found.energy_kwh_per_month.value == pytest.approx(10 * 10 * 1.25 * 730)


def test_what_runs_of_an_hour_is_paid_as_far_as_it_works() -> None:
    half = entry(requests_per_day=86_400)  # one replica at half its load
    found = row(half, machine(rates={HOUR: rate(usd=4.0, running=1.0)}), owned=(HOUR,))
    assert found.usd_per_month.value == pytest.approx((3 + 1 / 2) * 730)
    assert found.usd_per_month.detail == ("730 paid replica-hours x 3 USD/h + 365 worked x 1 USD/h")


def test_a_fleet_pays_an_owned_server_as_its_bill_says() -> None:
    """At half its load a fleet's request costs what the bill says at half the utilisation."""
    server = Owned(
        server_usd=87_600,
        life_years=5,
        power_kw=10,
        idle_kw=2,
        pue=1.25,
        usd_per_kwh=0.1,
        source="made up",
        date="2026-11-01",
    )
    hour = HourEntry(name=HOUR, owned=server, utilisation=0.5)
    origin = Origin(source="made up", date="2026-11-01", age_days=0, stale=False)
    terms = Terms(entry=hour, quote=None, origin=origin)
    use = hours.use(terms, gpus=None)
    paid = Rate(usd_per_paid_hour=value(use.at(1)), running_usd_per_hour=use.running)
    found = row(entry(requests_per_day=86_400), machine(rates={HOUR: paid}), owned=(HOUR,))
    worked = hours.total(hours.bill(terms, gpus=None))
    assert worked == pytest.approx((2 + 0.25) / 0.5 + 1)
    assert found.usd_per_request.value == pytest.approx(worked / (2 * 3600))


def test_a_worse_capacity_needs_more_and_a_better_one_fewer() -> None:
    found = row(entry(headroom=0.2, spare=1), machine(requests_s=value(2, 1, 4)))
    assert (found.replicas.low, found.replicas.value, found.replicas.high) == (5, 8, 15)
    assert found.replicas.n == 3
    assert (found.usd_per_month.low, found.usd_per_month.high) == (5 * 2920, 15 * 2920)


def test_watts_and_capacity_widen_the_interval_together() -> None:
    unsure = machine(requests_s=value(2, 1, 4), it_power_kw=value(10, 8, 12, n=2))
    found = row(entry(headroom=0.2, spare=1), unsure)
    assert found.power_kw.low == pytest.approx(5 * 8 * 1.25)
    assert found.power_kw.high == pytest.approx(15 * 12 * 1.25)
    assert found.power_kw.n == 2


@pytest.mark.parametrize("ends", [(None, None), (0.0, 4.0), (-1.0, 4.0)])
def test_a_capacity_that_may_be_nothing_has_no_interval(ends: tuple[Any, Any]) -> None:
    unsure = value(2, 1, 4)
    capacity = type(unsure)(value=2, unit="", kind="measured", n=3, low=ends[0], high=ends[1])
    found = row(entry(), machine(requests_s=capacity))
    assert (found.replicas.value, found.replicas.low, found.replicas.high) == (6, None, None)


def test_simulated_capacity_makes_simulated_money() -> None:
    simulated = type(value(2))(value=2, unit="", kind="simulated")
    assert row(entry(), machine(requests_s=simulated)).usd_per_month.kind == "simulated"


def test_what_is_not_known_has_its_reason_and_the_rest_stands() -> None:
    found = row(entry(), machine(rates={}, it_power_kw=absent("no_sensor"), gpus=None))
    assert found.replicas.value == 6
    assert found.gpus is None
    assert _reasons(found) == {
        **dict.fromkeys(("usd_per_month", "usd_per_request", "usd_per_mtok_total"), "no_price"),
        **dict.fromkeys(("power_kw", "energy_kwh_per_month", "carbon_kg_per_month"), "no_sensor"),
    }
    assert found.power_kw.detail == "why no_sensor"


def test_without_pue_power_is_of_the_machines_alone_and_without_carbon_there_is_none() -> None:
    found, walled = row(entry(), pue=None), row(entry(), pue=1.25)
    for name in ("power_kw", "energy_kwh_per_month", "carbon_kg_per_month"):
        bare, whole = getattr(found, name), getattr(walled, name)
        assert bare.value * 1.25 == pytest.approx(whole.value)
        assert "no PUE is declared: of the machines alone" in bare.detail
    assert _reasons(row(entry(), carbon_g_per_kwh=None)) == {"carbon_kg_per_month": "not_declared"}


@pytest.mark.parametrize("capacity", [absent("slo_never_met"), value(0)])
def test_where_the_slo_is_never_met_there_is_no_fleet(capacity: Any) -> None:
    found = row(entry(), machine(requests_s=capacity))
    assert set(_reasons(found).values()) == {"slo_never_met"}
    assert (found.gpus, found.load_share) == (None, None)
    assert found.peak_requests_s == pytest.approx(11.574, abs=5e-4)


def test_without_any_price_replicas_and_power_stand() -> None:
    found = row(entry(), hours=())
    assert found.hour == fleet.NO_HOUR
    assert found.power_kw.value == pytest.approx(75)
    assert found.usd_per_month.reason == "no_price"


def test_a_region_has_its_share_hour_pue_and_carbon() -> None:
    split = entry(
        regions=(
            Region(name="north", share=0.75, hour="cheap", carbon_g_per_kwh=100, pue=1.1),
            Region(name="south", share=0.25),
        )
    )
    priced = machine(rates={"cheap": rate(2), "dear": rate(4)})
    north, *south = rows(split, priced, hours=("cheap", "dear"))
    assert [(each.region, each.hour) for each in (north, *south)] == [
        *(("north", "cheap"), ("south", "cheap"), ("south", "dear"))
    ]
    assert [each.replicas.value for each in (north, *south)] == [5, 2, 2]
    assert [each.usd_per_month.value for each in (north, *south)] == [
        *(5 * 2 * 730, 2 * 2 * 730, 2 * 4 * 730)
    ]
    assert north.power_kw.value == pytest.approx(5 * 10 * 1.1)
    assert south[0].power_kw.value == pytest.approx(2 * 10 * 1.25)
    assert north.carbon_kg_per_month.value == pytest.approx(55 * 730 * 0.1)


def test_the_notes_say_what_is_left_out() -> None:
    plain = entry(spare=2)
    said = fleet.notes(made_demand(plain), plain, [machine()])
    assert any("load balancer" in words for words in said)
    assert any("failures beyond 2" in words for words in said)
    assert any("ttft 500 ms" in words for words in said)
    follows = entry(shape="office", follows_demand=True)
    more = fleet.notes(made_demand(follows), follows, [machine(basis="from tokens")], owned=True)
    for words in ("cold starts", "convention", "from tokens", "paid for in every hour"):
        assert any(words in note for note in more)
        assert not any(words in note for note in said)


def test_eighty_replicas_of_10_kw_fit_into_a_megawatt_at_pue_1_25() -> None:
    (found,) = sites([machine(output_tok_s=value(1000, 900, 1100))], 1.0, {"rented": 1.25})
    assert found.power_kw_per_replica.value == 12.5
    assert found.replicas.value == 80
    assert found.output_tok_s.value == 80_000
    per_mw = found.output_tok_s_per_mw
    assert (per_mw.low, per_mw.value, per_mw.high) == (72_000, 80_000, 88_000)


def test_a_site_says_what_its_watts_are_of() -> None:
    blade = Value(value=10.0, unit="kW", kind="measured", detail="nvml: accelerators only")
    (found,) = sites([machine(it_power_kw=blade)], 1.0, {"rented": 1.25})
    assert found.power_kw_per_replica.detail == "10 kW x PUE 1.25; nvml: accelerators only"


def test_only_whole_replicas_fit() -> None:
    (found,) = sites([machine(it_power_kw=value(9))], 0.1, {"rented": 1.25})
    assert found.replicas.value == 8
    assert found.output_tok_s.value == 8000
    assert found.output_tok_s_per_mw.value == pytest.approx(1000 / 11.25 * 1000)


def test_without_watts_or_pue_nothing_is_said_to_fit() -> None:
    (blind,) = sites([machine(it_power_kw=absent("no_sensor"))], 1.0, {"rented": 1.25})
    (bare,) = sites([machine()], 1.0, {"rented": None})
    assert (blind.replicas.reason, bare.replicas.reason) == ("no_sensor", "not_declared")


def test_moe_over_dense_is_a_ratio_without_an_interval() -> None:
    both = rows(entry(), machine(), machine(model="moe", requests_s=value(4, 3, 5)))
    (found,) = architectures(both, {("dense", "moe"): "the same task score"})
    assert found.usd_per_month_ratio.value == found.energy_ratio.value == 0.5
    assert found.usd_per_month_ratio.low is None
    assert found.match.startswith("the same task score; the same demand, hour and region")
    assert "no interval" in found.match


def test_no_ratio_of_what_has_no_rank_or_no_number() -> None:
    pairs = {("dense", "moe"): ""}
    unranked = rows(entry(), machine(), machine(model="moe", ranked=False))
    (found,) = architectures(unranked, pairs)
    assert found.usd_per_month_ratio.reason == "withheld"
    unpriced = rows(entry(), machine(rates={}), machine(model="moe"))
    (found,) = architectures(unpriced, pairs)
    assert found.usd_per_month_ratio.reason == "no_price"
    assert found.energy_ratio.value == 1
    assert architectures(rows(entry(), machine()), pairs) == []


@settings(max_examples=2_000)
@given(
    per_day=st.floats(1, 1e9),
    capacity=st.floats(1e-2, 1e3),
    headroom=st.floats(0, 2),
    spare=st.integers(0, 3),
    full=st.floats(0.1, 20),
    idle=st.floats(0, 1),
    follows=st.booleans(),
)
def test_replicas_carry_the_peak_and_watts_lie_between_idle_and_load(
    *,
    per_day: float,
    capacity: float,
    headroom: float,
    spare: int,
    full: float,
    idle: float,
    follows: bool,
) -> None:
    wanted = entry(
        requests_per_day=per_day,
        shape="office",
        headroom=headroom,
        spare=spare,
        follows_demand=follows,
    )
    one = machine(requests_s=value(capacity), it_power_kw=value(full), idle_power_kw=idle * full)
    found = row(wanted, one)
    count, load = found.replicas.value or 0, found.load_share or 0
    assert count == int(count) >= 1 + spare
    assert (count - spare) * capacity >= found.peak_requests_s * (1 + headroom) * (1 - 1e-9)
    assert 0 < load <= 1 + 1e-9
    assert load * count * capacity * 730 * 3600 >= per_day * 730 / 24 * (1 - 1e-9)
    replica_hours = (found.usd_per_month.value or 0) / 4
    energy = (found.energy_kwh_per_month.value or 0) / 1.25
    assert idle * full * replica_hours * (1 - 1e-9) <= energy <= full * replica_hours * (1 + 1e-9)
    assert replica_hours <= count * 730 * (1 + 1e-9)
    assert replica_hours * capacity * 3600 * load == pytest.approx(per_day * 730 / 24)


@settings(max_examples=2_000)
@given(
    per_day=st.floats(1, 1e9),
    more=st.floats(1, 10),
    share=st.floats(0.01, 0.99),
)
def test_more_demand_never_needs_less_and_regions_carry_the_whole(
    per_day: float, more: float, share: float
) -> None:
    less, much = row(entry(requests_per_day=per_day)), row(entry(requests_per_day=per_day * more))
    for field in ("replicas", "power_kw", "energy_kwh_per_month", "usd_per_month"):
        assert getattr(much, field).value >= getattr(less, field).value
    split = entry(
        requests_per_day=per_day,
        regions=(Region(name="a", share=share), Region(name="b", share=1 - share)),
    )
    parts = rows(split)
    assert math.fsum(each.peak_requests_s for each in parts) == pytest.approx(less.peak_requests_s)
    together = sum(each.replicas.value or 0 for each in parts)
    assert (less.replicas.value or 0) <= together <= (less.replicas.value or 0) + 1


def _changed(fleet_entry: FleetEntry, **changes: Any) -> dict[str, Any]:
    fields = {name: getattr(fleet_entry, name) for name in fleet_entry.__struct_fields__}
    return {**fields, **changes}


def _reasons(found: FleetRow) -> dict[str, str]:
    values = {name: getattr(found, name) for name in found.__struct_fields__}
    return {
        name: each.reason
        for name, each in values.items()
        if getattr(each, "reason", None) and name != "capacity_requests_s"
    }
