"""From a results directory and a scenario to costs: whole numbers that can be checked by eye."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

import pytest
from msgspec import structs

from inferometer.analyze import analyze
from inferometer.cost import build, division
from inferometer.testing.results import Fixture, write_results

if TYPE_CHECKING:
    from pathlib import Path

    from inferometer.comparison import Comparison, Costs
    from inferometer.comparison.costs import Division

DAY = date(2026, 11, 22)
RENTED = """[[hours]]
name = "rented"
price = 2.0
contract = "on-demand"
source = "made up"
date = "2026-11-01"
"""
OWNED = """[[hours]]
name = "owned"
utilisation = 0.5
[hours.owned]
gpus = 8
server_usd = 35040
life_years = 4
meter = "fixture"
host_kw = 0.8
pue = 1.25
usd_per_kwh = 0.1
source = "made up"
date = "2026-11-01"
"""
MACHINE = "[machine]\ngpus = 2\n"
FLEET = """[fleet]
workload = "small"
requests_per_day = 86_400
site_mw = 1.0
"""


def compared(tmp_path: Path, text: str, **options: Any) -> Comparison:
    tmp_path.mkdir(exist_ok=True)
    options = {"rates": {"a": 40.0, "b": 80.0}, "rounds": 2, **options}
    root = write_results(tmp_path / "r", Fixture(**options)).root
    file = tmp_path / "cost.toml"
    file.write_text(text)
    return analyze(root, file, as_of=DAY)


def costs(tmp_path: Path, text: str, **options: Any) -> Costs:
    found = compared(tmp_path, text, **options).costs
    assert found is not None
    return found


def test_an_owned_price_without_utilisation_says_what_is_assumed(tmp_path: Path) -> None:
    owned = RENTED.replace("on-demand", "owned")
    said = "rented: an owned machine's hour, taken as working all the time"
    assert any(note.startswith(said) for note in costs(tmp_path / "a", owned + MACHINE).notes)
    used = owned.replace("price", "utilisation = 0.5\nprice")
    for name, text in {"b": RENTED, "c": used}.items():
        notes = costs(tmp_path / name, text + MACHINE).notes
        assert not any("working all the time" in note for note in notes)


def test_a_fleet_draws_what_its_bill_pays_for(tmp_path: Path) -> None:
    found = costs(tmp_path, OWNED + MACHINE + FLEET)
    cell = next(one for one in found.cells if one.stack == "a")
    (electricity,) = [part.usd for part in cell.parts if part.name == "electricity"]
    assert electricity == pytest.approx((0.08 + 0.8 * 2 / 8) * 1.25 * 0.1)
    assert found.fleet is not None
    row = next(one for one in found.fleet.rows if one.stack == "a")
    assert row.replicas.value == 1
    assert row.power_kw.value == pytest.approx(0.28 * 1.25)
    assert (row.energy_kwh_per_month.value or 0) * 0.1 == pytest.approx(730 * electricity)
    assert "+ 0.2 kW of the host, declared" in row.power_kw.detail
    site = next(one for one in found.fleet.sites if one.stack == "a")
    assert site.replicas.value == 1000 // 0.35


def test_watts_of_the_declared_host_are_in_no_other_meter(tmp_path: Path) -> None:
    found = costs(tmp_path, RENTED + MACHINE + FLEET)
    assert found.fleet is not None
    row = next(one for one in found.fleet.rows if one.stack == "a")
    assert row.power_kw.value == pytest.approx(0.08)
    assert "accelerators only, without their host" in row.power_kw.detail


RESPONSE = """[response]
input_tokens = 100
cached_tokens = 40
output_tokens = 10
"""


def test_an_uncached_token_costs_more_than_the_mean_of_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (cold,) = costs(tmp_path / "cold", RENTED + MACHINE + RESPONSE).responses
    halved = division.divide

    def divide(*given: Any) -> dict[division.Place, Division]:
        return {
            place: structs.replace(one, cached_tokens_share=0.5)
            for place, one in halved(*given).items()
        }

    monkeypatch.setattr(build, "divide", divide)
    (warm,) = costs(tmp_path / "warm", RENTED + MACHINE + RESPONSE).responses
    for before, after in zip(cold.parts, warm.parts, strict=True):
        factor = 2 if before.name == "input" else 1
        assert after.usd == pytest.approx(factor * (before.usd or 0))
        assert after.energy_j == pytest.approx(factor * (before.energy_j or 0))


SURCHARGE = """[[surcharges]]
engine = "a"
what = "support"
usd_per_gpu_hour = 0.5
source = "made up"
date = "2026-11-01"
"""


def test_what_one_engine_costs_is_in_its_own_hours_alone(tmp_path: Path) -> None:
    found = compared(tmp_path, RENTED + MACHINE + SURCHARGE)
    assert found.price.value == 4.0
    assert found.costs is not None
    assert found.costs.hours[0].usd_per_hour.value == 4.0
    assert {one.stack: one.usd_per_hour.value for one in found.costs.cells} == {"a": 5.0, "b": 4.0}
    assert not any(one.follows_throughput for one in found.rankings if one.objective == "cost")
    assert any(note.startswith("Stacks pay different hours") for note in found.notes)


LICENCE = SURCHARGE.replace('"a"', '"b"').replace("0.5", "50.0")


def test_a_load_at_which_people_wait_too_long_is_no_answer(tmp_path: Path) -> None:
    text = RENTED + MACHINE + LICENCE + RESPONSE  # b is fast, and dear
    (fast, slow) = ("[slo]\ntpot_ms = 60\n", "[slo]\ntpot_ms = 10\n")
    (any_,) = costs(tmp_path / "any", text).responses
    assert any_.at.startswith("a/")
    good = costs(tmp_path / "good", text + fast)
    assert [one.at[:2] for one in good.responses] == ["b/"]
    assert {one.cell[:2] for one in good.tornados} == {"b/"}
    none = costs(tmp_path / "none", text + slow)
    assert (none.responses, none.tornados) == ([], [])
    unmet = (
        "dense, small: no load point meets the objectives (TPOT <= 10 ms for 99% of the requests"
    )
    assert any(note.startswith(unmet) for note in none.notes)


def test_joules_that_are_typed_stand_where_none_were_measured(tmp_path: Path) -> None:
    typed = "j_per_input_token = 0.5\nj_per_output_token = 2.0\n"
    (unknown,) = costs(tmp_path / "a", RENTED + MACHINE + RESPONSE, meter=None).responses
    assert unknown.energy_j.reason == "not_declared"
    text = RENTED + MACHINE + RESPONSE + typed
    (found,) = costs(tmp_path / "b", text, meter=None).responses
    assert found.energy_j.value == pytest.approx((100 - 40) * 0.5 + 10 * 2.0)
    (measured,) = costs(tmp_path / "c", text).responses
    assert measured.energy_j.value != pytest.approx(found.energy_j.value)


def test_what_stands_beside_the_hours_has_its_source_day_and_age(tmp_path: Path) -> None:
    old = SURCHARGE.replace("2026-11-01", "2026-05-01")
    step = '[[response.steps]]\nname = "guard"\ntokens = 5\nper_mtok = 1\n'
    step += 'source = "a list"\ndate = "2026-11-02"\n'
    found = costs(tmp_path, RENTED + MACHINE + old + RESPONSE + step)
    assert "Surcharge 'support': made up, 2026-05-01 (STALE: 205 days old)" in found.notes
    assert "Step 'guard': a list, 2026-11-02" in found.notes
    assert found.warnings == ["surcharge 'support' is of 2026-05-01: stale, 205 days old"]


def test_a_good_request_costs_what_a_request_does_where_all_are_good(tmp_path: Path) -> None:
    found = costs(tmp_path, RENTED + MACHINE + "[slo]\ntpot_ms = 60\n")
    slow, fast = (one.values for one in found.cells)
    assert slow["usd_per_good_request"].reason == "slo_never_met"
    assert fast["usd_per_good_request"].value == fast["usd_per_request"].value
    assert fast["usd_per_request"].value == pytest.approx(4 / 3600 / 8)  # 80 tok/s, 10 a request


API = """[[apis]]
name = "theirs"
input_per_mtok = 1.0
output_per_mtok = 4.0
source = "made up"
date = "2026-11-01"
"""


@pytest.mark.parametrize("hour", [RENTED, OWNED])
def test_every_figure_that_is_varied_is_the_one_that_is_told(tmp_path: Path, hour: str) -> None:
    found = costs(tmp_path, hour + MACHINE + SURCHARGE + API + RESPONSE + FLEET)
    bill, over, answer = found.tornados
    cells = {one.cell: one.values["bill_usd_per_mtok_output"].value for one in found.cells}
    assert bill.base == pytest.approx(cells[bill.cell])
    assert (over.metric, over.of) == ("own_over_api", "theirs")
    assert over.base == pytest.approx(found.apis[0].ratio.value)
    assert answer.base == pytest.approx(found.responses[0].usd.value)
    assert found.fleet is not None
    (month,) = found.fleet.tornados
    row = next(one for one in found.fleet.rows if one.cell == month.cell)
    assert month.base == pytest.approx(row.usd_per_month.value)
    assert month.base == min(one.usd_per_month.value or 0 for one in found.fleet.rows)


def test_an_answer_at_declared_prices_varies_them(tmp_path: Path) -> None:
    prices = "input_per_mtok = 1.0\noutput_per_mtok = 5.0\n"
    prices += 'source = "a list"\ndate = "2026-11-01"\n'
    (told,) = (
        one
        for one in costs(tmp_path, RENTED + MACHINE + RESPONSE + prices).tornados
        if one.metric == "usd_per_response"
    )
    assert (told.hour, told.cell) == ("", "a list")
    assert told.base == pytest.approx(100 * 1e-6 + 10 * 5e-6)  # cached ones cost as others do
    found = {one.input: (one.at_low, one.at_high) for one in told.swings}
    assert found["input_per_mtok"] == pytest.approx((130e-6, 170e-6))
    assert found["output_per_mtok"] == pytest.approx((140e-6, 160e-6))
