"""The page where a study is not plain: simulated beside measured, many points, many stacks."""

from __future__ import annotations

import re

from msgspec.structs import replace
from tests.unit.reports import factory, factory_moe, figures, test_fronts

from inferometer.comparison import Comparison, RankEntry, Ranking, Target, Targets, Value
from inferometer.language import speaking
from inferometer.numbers import with_interval
from inferometer_reports import chart_lines, charts
from inferometer_reports.blocks import Block, Heading, Picture, Table
from inferometer_reports.html import answer, calculator, grids, sections
from inferometer_reports.html import figures as drawn
from inferometer_reports.languages import load
from inferometer_reports.view import View


def section(comparison: Comparison, id_: str) -> sections.Section:
    return sections.BY_ID[id_](View(comparison))


def titles(blocks: list[Block]) -> list[str]:
    return [it.text for it in blocks if isinstance(it, Heading)]


def labels(pictures: list[Picture]) -> list[str]:
    return re.findall(r'aria-label="([^"]*: [^"]*)"', pictures[0].svg.decode())


def simulated(value: Value) -> Value:
    return replace(value, kind="simulated")


def made_up(one: Ranking) -> Ranking:
    found: list[RankEntry] = [
        replace(it, value=simulated(it.value), ratio_to_best=simulated(it.ratio_to_best))
        for it in one.entries
    ]
    return replace(one, kind="simulated", entries=found)


def mixed() -> Comparison:
    """One measured ranking and a simulated one at the same place."""
    base = factory.comparison()
    return replace(base, rankings=[base.rankings[0], made_up(base.rankings[0])], fronts=[])


def at_loads(one: Ranking, *loads: str) -> list[Ranking]:
    return [replace(one, load=load) for load in loads]


def test_simulated_is_never_in_one_table_with_measured() -> None:
    found = list(section(mixed(), "ranking").blocks)
    assert titles(found)[:2] == [
        "Throughput, dense: smol-135m, chat, 8 streams",
        "Throughput, dense: simulated, smol-135m, chat, 8 streams",
    ]
    for table in (it for it in found if isinstance(it, Table) and "Kind" in it.header):
        kinds = {row[list(table.header).index("Kind")] for row in table.rows}
        assert len(kinds) == 1
    (names,) = (labels(drawn.ranking(View(mixed()), "dense")),)
    assert sum("simulated, 8 streams, " in it for it in names) == 2


def test_a_card_finds_its_ranking_where_models_have_unlike_profiles() -> None:
    base = factory.comparison()
    dense, moe = base.rankings[0], base.rankings[4]
    found = replace(base, rankings=[dense, moe, replace(moe, profile="tuned")], fronts=[])
    asked = [it.title for it in answer.questions(View(found)) if it.rankings]
    there = titles(list(section(found, "ranking").blocks))
    assert len(asked) == 3
    for title in asked:
        assert any(it.startswith(f"{title}: ") for it in there)


def test_simulated_is_no_baseline_of_measured() -> None:
    values = {"vllm": simulated(figures.value(100.0, "tok/s"))}
    values["transformers"] = figures.value(125.0, "tok/s", "interpolated")
    one = Targets(
        objective="throughput",
        metric=figures.TOKENS,
        meter=None,
        model="m",
        architecture="dense",
        workload="chat",
        profile="defaults",
        targets=[Target(interactivity=20.0, values=values, best="transformers")],
    )
    blocks = grids.targets(View(replace(factory.comparison(), targets=[one])), "throughput")
    (table,) = (it for it in blocks if isinstance(it, Table))
    assert list(table.rows[0])[2] == "~125 (120 to 130)"


def test_the_trade_off_shows_no_front_of_another_objective() -> None:
    energy = replace(factory.comparison(), fronts=test_fronts.FRONTS[1:])
    assert not [it for it in titles(list(section(energy, "trade-off").blocks)) if "Energy" in it]
    assert [it for it in titles(list(section(energy, "energy").blocks)) if "Energy" in it]


def test_the_words_on_fronts_are_in_the_reports_language() -> None:
    found = replace(factory.comparison(), fronts=test_fronts.FRONTS)
    with speaking(load("id")):
        first = section(found, "trade-off").blocks[0]
    assert "Every valid closed load point" not in str(first)


def test_a_forest_of_many_points_has_the_first_and_the_last_and_says_so() -> None:
    base = factory.comparison()
    loads = [f"{2**n} streams" for n in range(1, 7)]
    ranked = replace(base, rankings=at_loads(base.rankings[0], *loads))
    pictures = drawn.ranking(View(ranked), "dense")
    shown = [load for load in loads if any(it.startswith(load) for it in labels(pictures))]
    assert shown == ["2 streams", "8 streams", "16 streams", "64 streams"]
    assert "4 of 6 operating points" in pictures[0].svg.decode()


def test_brackets_of_short_answers_say_what_they_are() -> None:
    base = factory.comparison()
    counted, alone = base.rankings[0], base.rankings[1]
    many = at_loads(counted, *(f"{n} streams" for n in range(1, 7)))
    view = View(replace(base, rankings=[*many, alone]))
    asked = answer.questions(view)
    assert "or 95 % intervals over 3 launches" in answer._brackets(asked, 2)
    only = answer.questions(View(replace(base, rankings=many)))
    assert answer._brackets(only, 2) == "; in brackets: lowest to highest ratio to the second"


def test_the_shortest_answer_keeps_the_kind() -> None:
    base = factory.comparison()
    for one in base.rankings[0], next(it for it in base.rankings if not it.separated):
        view = View(replace(base, rankings=[made_up(one)]))
        for detail in (0, 1, 2):
            assert "sim." in answer._one(view, made_up(one), detail)
    many = [made_up(it) for it in at_loads(base.rankings[0], "1 stream", "2 streams")]
    assert "sim." in answer._counted(View(replace(base, rankings=many)), many, 0)


def test_a_finding_on_energy_and_on_cost_tells_amounts_with_intervals() -> None:
    base = factory.comparison()
    for id_, place in (("energy", 1), ("cost", 3)):
        entries = base.rankings[place].entries
        best, other = (with_interval(it.value) for it in entries)
        said = section(base, id_).finding
        assert f"dense: from {best} by vllm 0.32.0 at 8 streams to {other} by" in said
    assert "(J/token, rapl), dense" in section(base, "energy").finding
    assert "Price: 0.360 decl. USD/h" in section(base, "cost").finding
    bare = replace(base, rankings=[])
    assert section(bare, "energy").finding.startswith("rapl (L1")
    assert section(bare, "cost").finding.startswith("Price:")


def test_the_finding_on_dense_and_moe_says_whether_the_order_changes() -> None:
    base = factory_moe.comparison()
    assert base.architectures is not None
    changes = base.architectures.order_changes
    said = section(base, "moe").finding
    assert said.startswith("The order of stacks surely changes in 1 of 2 comparisons. vllm")
    assert "on dense-32b and 1.20x (95 % 1.1" in said
    for left, begin in (
        (changes[1:], "The order of stacks surely stays in all 1 comparisons."),
        ([replace(changes[1], changed=None)], "No change of the order of stacks is sure; it"),
        (changes[2:], "Cannot answer: "),
    ):
        found = replace(base, architectures=replace(base.architectures, order_changes=left))
        assert section(found, "moe").finding.startswith(begin)


def test_the_calculator_has_one_meter_and_names_what_does_not_count() -> None:
    base = factory.comparison()
    key = f"{figures.JOULES}@rapl"
    gone = {**base.cells[1].values, key: figures.absent("J/token", "disputed")}
    cells = [replace(base.cells[0], refused="parity_failed"), replace(base.cells[1], values=gone)]
    made = calculator.form(View(replace(base, cells=cells)))
    assert "rapl (L1, package" in made
    assert made.count("declared (L2") == 0
    assert "vllm 0.32.0 (answers differ)" in made
    assert 'data-reason="disputed"' in made


def test_the_names_of_many_stacks_stay_beside_their_panel() -> None:
    style = charts.Style(charts.INK, charts.SHAPES[0])
    axis = chart_lines.Axis("W", 0.0, 10.0)
    points = [chart_lines.Point(1.0, 5.0, "5")]
    lines = [chart_lines.Line(f"s{n}", style, points, hollow=False) for n in range(12)]
    panel = chart_lines.Panel("p", lines, axis, axis)
    assert all(0 <= it["y"] <= 10 for it in chart_lines._named(panel))
