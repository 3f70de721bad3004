"""Tables of the page: one for each question, without what every row would repeat."""

from __future__ import annotations

from msgspec.structs import replace
from tests.unit.reports import factory, figures

from inferometer_reports.blocks import (
    Block,
    Datum,
    Fold,
    Heading,
    Paragraph,
    Strong,
    Table,
    item,
    say,
)
from inferometer_reports.html import tables
from inferometer_reports.view import View

VALUE = figures.value(5.0, "tok/s")


def datum(text: str, cell: str = "a/x") -> Datum:
    return Datum(text, VALUE, f"{cell}#output_tok_s")


def view() -> View:
    base = factory.comparison()
    return View(
        replace(base, cells=[replace(base.cells[0], load=it) for it in ("8 streams", "9 streams")])
    )


def part(load: str, stack: str, verdict: str) -> list[Block]:
    table = Table(["Place", "Stack"], [["1", stack]])
    return [
        Heading(3, f"Throughput: m, {load}"),
        say(Strong("Verdict:"), verdict),
        say("Instrument."),
        table,
    ]


def test_parts_that_differ_by_load_alone_are_one() -> None:
    blocks = [*part("8 streams", "a", " a leads."), *part("9 streams", "b", " b leads.")]
    assert tables.together(view(), blocks) == [
        Heading(3, "Throughput: m"),
        say("Instrument."),
        item(Strong("Verdict, 8 streams:"), " a leads."),
        item(Strong("Verdict, 9 streams:"), " b leads."),
        Table(
            ["Operating point", "Place", "Stack"],
            [["8 streams", "1", "a"], ["9 streams", "1", "b"]],
        ),
    ]


def test_other_parts_stay_as_they_are() -> None:
    other = part("9 streams", "b", " b leads.")
    other[3] = Table(["Place", "Stack", "Weights"], [["1", "b", "largest"]])
    blocks: list[Block] = [say("First."), *part("8 streams", "a", " a leads."), *other]
    assert tables.together(view(), blocks) == blocks
    blocks = [*part("8 streams", "a", ""), Heading(3, "Energy: m, 9 streams"), say("none")]
    assert tables.together(view(), blocks) == blocks


def test_what_every_row_repeats_stands_above() -> None:
    rows = [[f"{n} streams", "a", datum(f"{n}"), "3", "x"] for n in range(4)]
    table = Table(["Load", "Stack", "tok/s", "n", "Kind"], rows)
    (fold,) = tables.shorter([Fold("Title", [table])])
    assert isinstance(fold, Fold)
    assert fold.blocks == [
        say(Strong("In every row:"), " n: 3; Kind: x."),
        Table(["Load", "Stack", "tok/s"], [row[:3] for row in rows]),
    ]
    tied = Table(["Load", "Place"], [[str(n), "=1"] for n in range(4)])
    assert tables.shorter([tied]) == [tied]
    assert tables.shorter([Table(["Load", "n"], [["1", "3"], ["2", "3"]])]) == [
        Table(["Load", "n"], [["1", "3"], ["2", "3"]])
    ]


def test_the_cell_that_a_row_names_anyway_has_no_column() -> None:
    rows = [[str(n), datum(str(n), f"a/{n}"), f"a/{n}"] for n in range(4)]
    (short,) = tables.shorter([Table(["Load", "tok/s", "Cell"], rows)])
    assert short == Table(["Load", "tok/s"], [row[:2] for row in rows])
    rows[0][2] = "between load points"
    (whole,) = tables.shorter([Table(["Load", "tok/s", "Cell"], rows)])
    assert isinstance(whole, Table)
    assert list(whole.header) == ["Load", "tok/s", "Cell"]


def test_metrics_stand_beside_each_other_and_no_row_is_lost() -> None:
    rows = [["a", "tok/s", "2.0"], ["a", "J", "0.5"], ["b", "tok/s", "3.0"]]
    table = Table(["Stack", "Metric", "Ratio"], rows)
    blocks: list[Block] = [Fold("Every ratio", [table]), say("x")]
    fold, text = tables.across(blocks, {"Every ratio": ("Stack",)})
    assert isinstance(fold, Fold)
    assert isinstance(text, Paragraph)
    assert fold.blocks == [
        Table(["Stack", "tok/s: Ratio", "J: Ratio"], [["a", "2.0", "0.5"]]),
        Table(["Stack", "Metric", "Ratio"], [["b", "tok/s", "3.0"]]),
    ]
