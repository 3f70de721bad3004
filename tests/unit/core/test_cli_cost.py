"""``cost``, ``fleet`` and ``report --cost``: what they ask of the analysis, and what they print."""

from __future__ import annotations

import json
import re
from datetime import date
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace
from tests.unit.reports import factory

from inferometer import analyze, cli, plan, study
from inferometer.cli import costing
from inferometer.comparison import Comparison, Costs
from inferometer.costwords import Section, Table, sections
from inferometer.store import Store
from inferometer.testing.results import Fixture, write_results

Capture = pytest.CaptureFixture[str]
Patch = pytest.MonkeyPatch


class Asked:
    """Stands for the analysis: keeps what it was asked, answers with the factory's comparison."""

    def __init__(self) -> None:
        self.comparison: Comparison = factory.comparison()
        self.calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = []

    def __call__(self, *args: Any, **kwargs: Any) -> Comparison:
        self.calls.append((args, kwargs))
        return self.comparison


@pytest.fixture(autouse=True)
def terminal(monkeypatch: Patch) -> None:
    monkeypatch.setenv("COLUMNS", "120")


@pytest.fixture
def results(tmp_path: Path) -> Path:
    file = tmp_path / "study.toml"
    assert cli.main(["init", str(file)]) == 0
    root = tmp_path / "results"
    store = Store(root)
    with store.writing():
        store.begin(plan.expand(study.load(file)), file.read_text())
    return root


@pytest.fixture
def asked(results: Path, monkeypatch: Patch, capsys: Capture) -> Asked:
    stub = Asked()
    monkeypatch.setattr(analyze, "analyze", stub)
    capsys.readouterr()
    return stub


def costs(asked: Asked) -> Costs:
    assert asked.comparison.costs is not None
    return asked.comparison.costs


# -- what is asked -----------------------------------------------------------------------------


def test_cost_asks_for_the_prices_of_today(results: Path, asked: Asked) -> None:
    assert cli.main(["cost", str(results)]) == 0
    assert asked.calls == [
        (
            (results, None),
            {"as_of": date.today(), "max_price_age": None, "fleet": None},  # noqa: DTZ011
        )
    ]


def test_every_flag_reaches_the_analysis(results: Path, asked: Asked, tmp_path: Path) -> None:
    scenario = tmp_path / "s.toml"
    words = [str(results), str(scenario), "--as-of", "2026-11-21", "--max-price-age", "30"]
    assert cli.main(["cost", *words]) == 0
    flags = ["--workload", "support-bot", "--requests-per-day", "1M"]
    assert cli.main(["fleet", *words, *flags]) == 0
    (cost, fleet) = asked.calls
    wanted = {"as_of": date(2026, 11, 21), "max_price_age": 30, "fleet": None}
    assert cost == ((results, scenario), wanted)
    demand = {"workload": "support-bot", "requests_per_day": 1_000_000.0}
    assert fleet == ((results, scenario), {**wanted, "fleet": demand})


def test_a_report_has_the_day_of_its_results_unless_told(results: Path, asked: Asked) -> None:
    words = ["report", str(results), "--format", "json"]
    assert cli.main([*words, "--cost", "s.toml"]) == 0
    assert cli.main([*words, "--cost", "s.toml", "--as-of", "2026-11-21"]) == 0
    assert [kwargs["as_of"] for _, kwargs in asked.calls] == [None, date(2026, 11, 21)]
    assert {args for args, _ in asked.calls} == {(results, Path("s.toml"))}


def test_a_report_warns_of_stale_prices_and_refuses_them_too(
    results: Path, asked: Asked, capsys: Capture
) -> None:
    words = ["report", str(results), "--format", "json", "--max-price-age", "30"]
    assert cli.main(words) == 0
    assert asked.calls[0][1]["max_price_age"] == 30
    assert "stale, 143 days old" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "number"),
    [("250000", 250_000), ("1e6", 1e6), ("1M", 1e6), ("2.5k", 2500), ("1_000", 1000), ("1G", 1e9)],
)
def test_a_demand_may_be_written_short(
    text: str, number: float, results: Path, asked: Asked
) -> None:
    assert cli.main(["fleet", str(results), "--requests-per-day", text]) == 0
    assert asked.calls[0][1]["fleet"] == {"requests_per_day": number}


@pytest.mark.parametrize(
    "words",
    [
        ["fleet", "R", "--requests-per-day", "0"],
        ["fleet", "R", "--requests-per-day", "-1"],
        ["fleet", "R", "--requests-per-day", "inf"],
        ["fleet", "R", "--requests-per-day", "many"],
        ["fleet", "R", "--requests-per-day", "M"],
        ["cost", "R", "--as-of", "yesterday"],
        ["cost", "R", "--max-price-age", "-1"],
    ],
)
def test_a_wrong_flag_ends_with_2(words: list[str], asked: Asked, capsys: Capture) -> None:
    assert cli.main(words) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert words[2] in err
    assert asked.calls == []


@pytest.mark.parametrize("command", ["cost", "fleet"])
def test_no_results_are_said_before_anything_is_analysed(
    command: str, tmp_path: Path, asked: Asked, capsys: Capture
) -> None:
    assert cli.main([command, str(tmp_path / "absent")]) == 2
    assert "absent" in capsys.readouterr().err
    assert asked.calls == []


# -- what is printed ---------------------------------------------------------------------------


def test_cost_prints_what_the_words_say(results: Path, asked: Asked, capsys: Capture) -> None:
    assert cli.main(["cost", str(results)]) == 0
    out, err = capsys.readouterr()
    for section in sections(asked.comparison):
        assert (f"{section.title}\n===" in out) == (section.id != "fleet")
    assert "40.0 % + 60.0 % = 100 %" in out
    assert err.splitlines() == [
        "warning: the price of owned is of 2026-07-01: stale, 143 days old",
        "warning: offer of Example Ltd: no cost of capital is given",
        "warning: the results are a quick look",
    ]


@pytest.mark.parametrize("columns", [80, 120, 200])
def test_lines_fit_the_terminal(
    columns: int, results: Path, asked: Asked, monkeypatch: Patch, capsys: Capture
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    assert cli.main(["cost", str(results)]) == 0
    assert cli.main(["fleet", str(results)]) == 0
    assert max(map(len, capsys.readouterr().out.splitlines())) <= columns


def test_json_is_the_costs(results: Path, asked: Asked, capsys: Capture) -> None:
    assert cli.main(["cost", str(results), "--json"]) == 0
    assert msgspec.json.decode(capsys.readouterr().out, type=Costs) == costs(asked)


def test_fleet_prints_the_fleet_and_its_prices(
    results: Path, asked: Asked, capsys: Capture
) -> None:
    assert cli.main(["fleet", str(results)]) == 0
    out = capsys.readouterr().out
    assert "1,000,000 requests a day of support-bot" in out
    assert "71 (68 to 74)" in out
    assert "What an hour costs" in out
    assert "What the work costs" not in out


def test_fleet_as_json_is_the_fleet_and_the_hours(
    results: Path, asked: Asked, capsys: Capture
) -> None:
    assert cli.main(["fleet", str(results), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    whole = msgspec.to_builtins(costs(asked))
    assert list(document) == ["as_of", "scenario", "hours", "fleet", "warnings", "notes"]
    assert all(document[key] == whole[key] for key in document)


def test_a_fleet_without_a_demand_says_how_to_give_one(
    results: Path, asked: Asked, capsys: Capture
) -> None:
    asked.comparison = replace(asked.comparison, costs=replace(costs(asked), fleet=None))
    assert cli.main(["fleet", str(results)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "hint: Give --workload and --requests-per-day" in err


def test_results_without_any_cost_are_inconclusive(
    results: Path, asked: Asked, capsys: Capture
) -> None:
    asked.comparison = replace(asked.comparison, costs=None)
    assert cli.main(["cost", str(results)]) == 4
    assert "nothing in it can be priced" in capsys.readouterr().err


def test_load_leaves_one_load_point(results: Path, asked: Asked, capsys: Capture) -> None:
    base = asked.comparison
    (first, *rest) = base.cells
    mine = costs(asked)
    asked.comparison = replace(
        base,
        cells=[replace(first, load="1 stream"), *rest],
        costs=replace(mine, cells=[replace(mine.cells[0], load="1 stream"), *mine.cells[1:]]),
    )
    assert cli.main(["cost", str(results), "--json", "--load", "1 STREAM"]) == 0
    found = msgspec.json.decode(capsys.readouterr().out, type=Costs)
    assert [(one.cell, one.load) for one in found.cells] == [("vllm-dense", "1 stream")]
    assert found.flips == []
    assert [one.cell for one in found.apis] == ["vllm-dense"]
    assert cli.main(["cost", str(results), "--load", "9 streams"]) == 2
    assert "hint: Has: 1 stream, 8 streams." in capsys.readouterr().err


def test_foreign_text_cannot_steer_the_terminal() -> None:
    name = "\x1b[31m[bold]x\x1b]0;t\x07\r\n\u202ey"
    table = Table(title=name, header=(name, "b"), rows=((name, name),), notes=(name,))
    section = Section(
        id="x", title=name, question=name, lead=(name,), tables=(table,), notes=(name,)
    )
    text = "\n".join(costing.lines(section, 80))
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f\u202e]", text)
    assert text.count("[bold]x]0;t y") == 8


# -- with the analysis as it is ----------------------------------------------------------------

SCENARIO = """
[[hours]]
name = "first"
price = 7.2
per = "machine"
contract = "on-demand"
region = "here"
source = "made up"
date = "2026-01-01"

[[hours]]
name = "second"
price = 3.6
per = "machine"
contract = "on-demand"
region = "there"
source = "made up"
date = "2026-01-01"

[fleet]
workload = "small"
requests_per_day = 1000
"""


@pytest.fixture
def measured(tmp_path: Path, capsys: Capture) -> Path:
    """Return results of 1,000 and 500 output tok/s, at 3.60 USD an hour: 1 and 2 USD/M."""
    fixture = Fixture(rates={"a": 1000.0, "b": 500.0}, rounds=3, concurrency=20)
    root = write_results(tmp_path / "measured", fixture).root
    (tmp_path / "s.toml").write_text(SCENARIO)
    capsys.readouterr()
    return root


def printed(words: list[str], capsys: Capture) -> Any:
    assert cli.main(words) == 0
    return json.loads(capsys.readouterr().out)


def bills(document: Any) -> dict[tuple[str, str], float]:
    return {
        (one["hour"], one["stack"]): one["values"]["bill_usd_per_mtok_output"]["value"]
        for one in document["cells"]
    }


def test_another_price_needs_no_new_measurement(measured: Path, capsys: Capture) -> None:
    day = ["--json", "--as-of", "2026-01-31"]
    before = sorted(measured.glob("launches/*"))
    assert len(before) == 6
    assert bills(printed(["cost", str(measured), *day], capsys)) == pytest.approx(
        {("study", "a"): 1.0, ("study", "b"): 2.0}
    )
    scenario = str(measured.parent / "s.toml")
    document = printed(["cost", str(measured), scenario, *day], capsys)
    assert bills(document) == pytest.approx(
        {("first", "a"): 2.0, ("first", "b"): 4.0, ("second", "a"): 1.0, ("second", "b"): 2.0}
    )
    flips = {one["hour"]: one["flip_usd_per_hour"]["value"] for one in document["flips"]}
    assert flips == pytest.approx({"first": 3.6, "second": 1.8})
    assert document["hours"][0]["origin"]["age_days"] == 30
    assert sorted(measured.glob("launches/*")) == before


def test_the_report_holds_what_the_commands_print(measured: Path, capsys: Capture) -> None:
    words = [str(measured), str(measured.parent / "s.toml"), "--json", "--as-of", "2026-01-31"]
    cost = printed(["cost", *words], capsys)
    fleet = printed(["fleet", *words], capsys)
    day = ["--cost", str(measured.parent / "s.toml"), "--as-of", "2026-01-31"]
    assert cli.main(["report", str(measured), *day, "--format", "json"]) == 0
    report = json.loads((measured / "report" / "report.json").read_bytes())
    assert report["costs"] == cost
    assert fleet == {key: cost[key] for key in fleet}
    larger = ["fleet", *words, "--requests-per-day", "1k"]
    assert printed(larger, capsys)["fleet"] == fleet["fleet"]
    larger[-1] = "100M"
    assert printed(larger, capsys)["fleet"]["rows"][0]["replicas"]["value"] == 12


def test_the_terminal_proves_the_bill(measured: Path, capsys: Capture) -> None:
    assert cli.main(["cost", str(measured), "--as-of", "2026-01-31"]) == 0
    out = capsys.readouterr().out
    assert out.count(" = 100 %") == 2
    assert "a 0 is the cheapest: b 0 costs 2.00x sim. (95 % 2.00 to 2.00, n = 3) as much." in out


def test_a_price_that_is_too_old_is_refused(measured: Path, capsys: Capture) -> None:
    words = ["cost", str(measured), "--as-of", "2026-01-31", "--max-price-age", "29"]
    assert cli.main(words) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "30 days old" in err
