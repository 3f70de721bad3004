"""The scenario files of the documentation hold together, and say what they are said to."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from inferometer.analyze import analyze
from inferometer.cost import reading
from inferometer.plugins import Registry
from inferometer.records import MeterInfo
from inferometer.testing.results import Fixture, write_results

EXAMPLES = Path(__file__).parents[3] / "docs" / "examples"
DAY = date(2026, 11, 22)
METER = MeterInfo(name="cpu-time", scope="L1", kind="simulated", method="made up by the test")


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.toml")), ids=lambda path: path.name)
def test_every_example_can_be_read_and_looked_up(path: Path) -> None:
    text = path.read_text()
    scenario = reading.parse(text, path.name)
    books = Registry().price_books().values()
    assert reading.resolve(scenario, books, as_of=DAY, name=path.name, text=text)
    assert reading.warnings(scenario, text) == []


def test_two_prices_over_the_same_results(tmp_path: Path) -> None:
    fixture = Fixture(rates={"a": 40.0, "b": 50.0}, meter=METER, power_w=20.0)
    root = write_results(tmp_path / "r", fixture).root
    costs = analyze(root, EXAMPLES / "two-prices.toml").costs
    assert costs is not None
    assert [(hour.name, hour.way) for hour in costs.hours] == [
        ("rented", "rented"),
        ("owned", "owned"),
    ]
    for hour in costs.hours:
        assert sum(part.usd for part in hour.parts) == pytest.approx(hour.usd_per_hour.value)
    rented = next(one for one in costs.flips if one.hour == "rented")
    assert (rented.leader, rented.follower) == ("b", "a")
    assert rented.price_ratio.value == pytest.approx(0.8)
    assert rented.flip_usd_per_hour.value == pytest.approx(0.08)
    assert costs.fleet is not None
    assert {row.basis for row in costs.fleet.rows} == {"from tokens"}
    assert {row.hour for row in costs.fleet.rows} == {"rented", "owned"}


def test_parts_of_every_cells_bill_are_the_bill_and_tokens_times_prices_give_it_once(
    tmp_path: Path,
) -> None:
    fixture = Fixture(rates={"a": 40.0, "b": 50.0}, meter=METER, power_w=20.0)
    seen = analyze(write_results(tmp_path / "r", fixture).root, EXAMPLES / "two-prices.toml")
    assert seen.costs is not None
    assert len(seen.costs.cells) == 4
    cells = {cell.id: cell for cell in seen.cells}
    for one in seen.costs.cells:
        price = one.usd_per_hour.value
        assert price is not None
        assert sum(part.usd for part in one.parts) == pytest.approx(price, rel=1e-9)
        per_second = sum(
            (one.values[f"usd_per_mtok_{side}"].value or 0)
            * (cells[one.cell].values[f"{side}_tok_s"].value or 0)
            for side in ("input", "output")
        )
        assert per_second * 3600 / 1e6 == pytest.approx(price, rel=1e-3)


def test_a_bought_machine_draws_in_the_fleet_what_its_bill_pays_for(tmp_path: Path) -> None:
    """20 W metered and 30 W of the host that the meter does not see; a rented one has the 20."""
    fixture = Fixture(rates={"a": 40.0}, meter=METER, power_w=20.0)
    root = write_results(tmp_path / "r", fixture).root
    costs = analyze(root, EXAMPLES / "two-prices.toml").costs
    assert costs is not None
    assert costs.fleet is not None
    rented, owned = costs.fleet.rows
    count = owned.replicas.value or 0
    assert owned.power_kw.value == pytest.approx(count * 0.05 * 1.2)
    assert "cpu-time + 0.03 kW of the host, declared" in owned.power_kw.detail
    electricity = next(part.usd for part in costs.hours[1].parts if part.name == "electricity")
    assert (owned.energy_kwh_per_month.value or 0) * 0.17 == pytest.approx(
        count * 730 * electricity
    )
    assert rented.power_kw.value == pytest.approx(count * 0.02)
    declared = tmp_path / "declared.toml"
    text = (EXAMPLES / "two-prices.toml").read_text()
    kept = [row for row in text.splitlines() if not row.startswith("host_kw")]
    declared.write_text("\n".join(kept).replace('meter = "cpu-time"', "power_kw = 0.5 #"))
    costs = analyze(root, declared).costs
    assert costs is not None
    assert costs.fleet is not None
    assert costs.fleet.rows[1].power_kw.value == pytest.approx(count * 0.5 * 1.2)
    assert "declared of 'owned'" in costs.fleet.rows[1].power_kw.detail


def test_a_surcharge_of_an_engine_that_is_not_here_is_told(tmp_path: Path) -> None:
    root = write_results(tmp_path / "r", Fixture(rates={"a": 40.0, "b": 50.0})).root
    extra = 'what = "licence"\nusd_per_hour = 1\nsource = "s"\ndate = "2026-11-22"\n'
    path = tmp_path / "cost.toml"
    text = (EXAMPLES / "own-or-rent.toml").read_text()
    tables = "".join(f'[[surcharges]]\nengine = "{name}"\n{extra}' for name in ("a", "aa"))
    path.write_text(f"{text}\n{tables}")
    costs = analyze(root, path, as_of=DAY).costs
    assert costs is not None
    (said,) = [text for text in costs.warnings if "surcharge" in text]
    assert said == "surcharge 'licence' is in no bill: these results have no engine 'aa', only a, b"
