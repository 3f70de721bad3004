"""One hour's bill: whole numbers by eye, then whatever numbers there are."""

from __future__ import annotations

import dataclasses
import random

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs
from tests.unit.cost.hours import any_owned, any_rented, licence, owned, recomputed, rented

from inferometer.comparison.costs import Division
from inferometer.cost.division import busy_shares
from inferometer.cost.hour import bill, electricity, needs_power, total, use, utilisation
from inferometer.cost.inputs import inputs, with_inputs
from inferometer.cost.scenario import Terms
from inferometer.errors import UsageError
from inferometer.metrics.money import COST

SEEDS = st.integers(0, 2**63)
SIDES = ("input", "output")


def window(
    dice: random.Random, usd: float, input_tokens: float, output_tokens: float
) -> dict[str, float]:
    """An hour's window as the metrics of cost see it, its bill divided in some way."""
    parts = [dice.uniform(0.001, 1) for _ in range(3)]
    shares = [part / sum(parts) for part in parts]
    division = Division(
        method="phases", input_share=shares[0], output_share=shares[1], idle_share=shares[2]
    )
    both = busy_shares(division)
    assert both
    return {
        "usd_per_hour": usd,
        "window_s": 3600.0,
        "input_tokens": input_tokens,
        "output_tokens": output_tokens,
        "input_share": both[0],
        "output_share": both[1],
        **dict.fromkeys(("completed", "good", "in_flight"), 1.0),
    }


def costs(*windows: dict[str, float]) -> list[dict[str, float]]:
    """Return the program's own metrics of cost of each window."""
    frame = pl.DataFrame(windows).select(**{metric.id: metric.expression for metric in COST})
    return frame.to_dicts()


def lines(terms: Terms, gpus: int | None = 8, power_kw: float | None = None) -> dict[str, float]:
    parts = bill(terms, gpus=gpus, power_kw=power_kw)
    return {part.name: round(part.usd, 9) for part in parts}


def test_a_rented_hour_is_the_list_price_less_discount_and_what_is_lost_and_unused() -> None:
    terms = rented(2.5, discount=0.2, interruptions_per_hour=0.5, lost_minutes=24, utilisation=0.5)
    # 8 x 2.5 = 20; - 4 = 16; a fifth of the work is lost: 20; half the hours: 40
    assert lines(terms) == {"list price": 20, "discount": -4, "lost work": 4, "unused hours": 20}
    assert total(bill(terms, gpus=8)) == pytest.approx(40)
    assert lines(rented(2.5)) == {"list price": 20}


def test_a_quote_brings_its_own_discount_and_interruptions_and_the_entry_goes_before_them() -> None:
    terms = rented(10.0)
    assert terms.quote
    agreed = structs.replace(
        terms.quote, discount=0.5, interruptions_per_hour=1.0, lost_minutes=12.0
    )
    own = dataclasses.replace(terms, quote=agreed)
    assert lines(own, 1) == {"list price": 10, "discount": -5, "lost work": 1.25}
    entry = structs.replace(terms.entry, discount=0.0, interruptions_per_hour=0.0)
    assert lines(dataclasses.replace(own, entry=entry), 1) == {"list price": 10}
    assert lines(rented(10.0, currency="EUR", usd=1.1), 1) == {"list price": 11}
    assert lines(rented(10.0, per="machine"), None) == {"list price": 10}
    assert lines(rented(10.0, per="machine"), 8) == {"list price": 10}


def test_surcharges_are_paid_in_unused_hours_too() -> None:
    parts = bill(rented(2.0, utilisation=0.5), gpus=2, surcharges=[licence(0.5)])
    assert {part.name: part.usd for part in parts} == {
        "list price": 4,
        "licence": 1,
        "unused hours": 5,
    }
    (part,) = bill(rented(2.0), gpus=8, surcharges=[licence(3, per_gpu=False)])[1:]
    assert part.usd == 3


def test_an_owned_hour_is_capital_power_site_and_staff() -> None:
    terms = owned(
        network_usd=70_080.0,  # 2 USD an hour
        residual=0.5,
        cost_of_capital=0.1,
        power_kw=10.0,
        pue=1.5,
        usd_per_kwh=0.1,
        provisioned_kw=14.6,
        colocation_usd_per_kw_month=100.0,
        demand_usd_per_kw_month=10.0,
        on_call_usd_per_year=8760.0,
        debugging_usd_per_year=4380.0,
        utilisation=0.5,
    )
    assert lines(terms) == {
        "server": 4,
        "network": 1,
        "cost of capital": 3,  # 0.1 x 350,400 x 1.5 / 2 / 8760
        "electricity": 1.5,
        "demand charge": 0.3,
        "colocation": 2,
        "on-call": 1,
        "debugging": 0.5,
        "unused hours": 11.8,
        "unused hours' electricity": 1.5,
    }


def test_a_stack_bears_its_share_of_the_server_or_several_servers() -> None:
    assert lines(owned(), 2) == {"server": 2}
    assert lines(owned(), 12) == {"server": 12}
    assert lines(owned(), None) == {"server": 8}
    assert lines(owned(gpus=None), 2) == {"server": 8}


def test_an_idle_server_draws_what_is_declared_else_what_it_does_under_load() -> None:
    keys = {"utilisation": 0.5, "usd_per_kwh": 0.1}
    assert lines(owned(**keys))["unused hours' electricity"] == 1
    parts = bill(owned(**keys), gpus=8)
    assert "as under load" in parts[-1].formula
    idle = lines(owned(idle_kw=2.0, **keys))
    assert idle["unused hours' electricity"] == 0.2
    none = lines(owned(idle_kw=0.0, **keys))
    assert "unused hours' electricity" not in none


def test_metered_watts_are_of_what_serves_and_go_before_the_declared() -> None:
    terms = owned(power_kw=None, meter="nvml", host_kw=2.0, usd_per_kwh=1.0, pue=1.25)
    assert needs_power(terms)
    assert lines(terms, 4, power_kw=3.0)["electricity"] == 5  # (3 + 2 x 4/8) x 1.25
    with pytest.raises(UsageError, match="hours 'own': the server's power is neither") as caught:
        bill(terms, gpus=4)
    assert "power_kw" in caught.value.hint
    assert not needs_power(owned())
    assert not needs_power(rented())
    assert lines(owned(usd_per_kwh=1.0), power_kw=3.0)["electricity"] == 3
    assert electricity(terms, gpus=4, power_kw=3.0) == 5
    assert electricity(rented(), gpus=None) == 0


@pytest.mark.parametrize("extra", [{}, {"surcharge": licence()}])
def test_a_price_per_gpu_needs_their_number(extra: dict[str, object]) -> None:
    surcharges = [licence()] if extra else []
    terms = rented(per="machine") if extra else rented()
    with pytest.raises(UsageError, match="per GPU, and these results say of no GPU") as caught:
        bill(terms, gpus=None, surcharges=surcharges)
    assert caught.value.exit_code == 2
    assert "[machine] gpus" in caught.value.hint


def test_interruptions_that_leave_no_time_to_work_are_refused() -> None:
    with pytest.raises(UsageError, match="leave no time to work"):
        bill(rented(interruptions_per_hour=2.0, lost_minutes=30.0), gpus=1)


# Worked examples of the field.


def test_a_gpu_of_40_000_usd_over_three_and_over_six_years() -> None:
    hour = {
        years: total(bill(owned(gpus=1, server_usd=40e3, life_years=years), gpus=1))
        for years in (3.0, 6.0)
    }
    assert hour[3.0] == pytest.approx(1.52, abs=0.005)
    assert hour[6.0] == pytest.approx(0.76, abs=0.005)


def test_tokens_per_dollar_and_what_electricity_is_of_it() -> None:
    mtok = 3000 * 3600 / 1e6  # an hour's, at 3,000 tok/s
    usd = total(bill(rented(2.35), gpus=1))
    assert mtok * 1e6 / usd == pytest.approx(4_595_745, abs=1)
    assert usd / mtok == pytest.approx(0.218, abs=0.0005)
    terms = owned(gpus=1, power_kw=1.0, usd_per_kwh=0.17)
    assert lines(terms, 1)["electricity"] == 0.17
    assert 0.17 / mtok == pytest.approx(0.01574, abs=5e-6)


def test_the_dashboards_two_sides_are_200_percent_of_the_bill_and_ours_100() -> None:
    """H100, 3-year rental, 8k tokens in and 1k out; a stated 1,000 output tok/s a GPU."""
    usd = total(bill(rented(1.30), gpus=1))
    mtok_in, mtok_out = 8000 * 0.0036, 1000 * 0.0036
    theirs_in, theirs_out = usd / mtok_in, usd / mtok_out
    assert (theirs_in * mtok_in + theirs_out * mtok_out) / usd == pytest.approx(2)
    (ours,) = costs(window(random.Random(1), usd, mtok_in * 1e6, mtok_out * 1e6))
    assert ours["bill_usd_per_mtok_output"] == pytest.approx(theirs_out)  # what ranks
    both = ours["usd_per_mtok_input"] * mtok_in + ours["usd_per_mtok_output"] * mtok_out
    assert both / usd == pytest.approx(1)
    assert ours["usd_per_mtok_total"] * (mtok_in + mtok_out) / usd == pytest.approx(1)


@settings(max_examples=100)
@given(SEEDS)
def test_input_and_output_are_one_bill_in_10_000_windows(seed: int) -> None:
    dice = random.Random(seed)
    windows = [
        window(dice, dice.uniform(0.01, 1e4), dice.uniform(1, 1e10), dice.uniform(1, 1e10))
        for _ in range(100)
    ]
    for given_, found in zip(windows, costs(*windows), strict=True):
        sides = sum(found[f"usd_per_mtok_{side}"] * given_[f"{side}_tokens"] for side in SIDES)
        assert sides / 1e6 == pytest.approx(given_["usd_per_hour"], rel=1e-9)
        back = sum(given_[f"{side}_tokens"] / found[f"{side}_tok_per_usd"] for side in SIDES)
        assert back == pytest.approx(given_["usd_per_hour"], rel=1e-9)


# Whatever the numbers.


@settings(max_examples=1_000)
@given(SEEDS)
def test_parts_are_the_bill_and_formulas_come_to_their_parts(seed: int) -> None:
    dice = random.Random(seed)
    for _ in range(10):  # 10,000 hours in all, most of whose time a thousand examples would take
        parts_are_the_bill(dice)


def parts_are_the_bill(dice: random.Random) -> None:
    terms = any_rented(dice) if dice.random() < 0.5 else any_owned(dice)
    gpus = dice.choice([1, 2, 8, 9])
    metered = dice.choice([None, dice.uniform(0.1, 20)])
    surcharges = [licence(dice.uniform(0.01, 5), per_gpu=dice.random() < 0.5)] * dice.randrange(2)
    parts = bill(terms, gpus=gpus, power_kw=metered, surcharges=surcharges)
    machine = use(terms, gpus=gpus, power_kw=metered, surcharges=surcharges)
    usd = total(parts)
    assert usd > 0
    assert usd == pytest.approx(machine.at(utilisation(terms.entry)), rel=1e-9)
    told = sum(recomputed(part.formula) for part in parts)
    assert told == pytest.approx(usd, rel=1e-3)
    for part in parts:
        assert recomputed(part.formula) == pytest.approx(part.usd, rel=1e-4), part


@settings(max_examples=1_000)
@given(SEEDS)
def test_dearer_where_it_must_be(seed: int) -> None:
    dice = random.Random(seed)
    terms = any_rented(dice) if dice.random() < 0.5 else any_owned(dice)
    gpus = dice.choice([1, 4, 8])
    base = total(bill(terms, gpus=gpus))
    for one in inputs(terms):
        low = max(one.value * 0.9, one.low)
        at_low = total(bill(with_inputs(terms, {one.name: low}), gpus=gpus))
        if one.name in {"utilisation", "discount", "life_years", "residual"}:
            assert at_low >= base * (1 - 1e-12) or one.name == "residual", one
        else:
            assert at_low <= base * (1 + 1e-12), one


@settings(max_examples=1_000)
@given(SEEDS)
def test_an_hour_with_its_own_inputs_is_the_same_hour(seed: int) -> None:
    dice = random.Random(seed)
    terms = any_rented(dice) if dice.random() < 0.5 else any_owned(dice)
    assert with_inputs(terms, {one.name: one.value for one in inputs(terms)}) == terms


def test_an_input_that_the_hour_lacks_is_named() -> None:
    with pytest.raises(UsageError, match=r"no input named 'pue'.*hours 'rent'"):
        with_inputs(rented(), {"pue": 1.2})
    changed = with_inputs(owned(), {"server_usd": 140_160.0, "utilisation": 0.5})
    assert total(bill(changed, gpus=8)) == 8
    paid = with_inputs(rented(10.0, currency="EUR", usd=1.0), {"price": 4.0, "exchange": 1.5})
    assert total(bill(paid, gpus=1)) == 6
