"""The section on cost: the same figures in ``report.md``, ``report.json`` and on the terminal."""

import re

import msgspec
import pytest
from markdown_it import MarkdownIt
from msgspec.structs import replace
from tests.unit.reports import factory
from tests.unit.reports.test_hostile import hostile

from inferometer.cli import costing
from inferometer.comparison import Comparison, Value
from inferometer.costwords import sections
from inferometer_reports import markdown, report_json


def cost_part(comparison: Comparison) -> str:
    text = markdown.render(comparison)["report.md"].decode()
    return text.split("\n## Cost\n")[1].split("\n## ")[0]


def tables(text: str) -> list[list[list[str]]]:
    """Return the tables of Markdown as their cells' text."""
    found: list[list[list[str]]] = []
    cell = False
    for token in MarkdownIt("commonmark").enable("table").parse(text):
        if token.type == "table_open":
            found.append([])
        elif token.type == "tr_open":
            found[-1].append([])
        elif token.type in {"th_open", "td_open"}:
            cell = True
        elif token.type == "inline" and cell:
            found[-1][-1].append("".join(child.content for child in token.children or []))
            cell = False
    return found


def test_the_section_stands_after_energy() -> None:
    text = markdown.render(factory.comparison())["report.md"].decode()
    titles = re.findall(r"^## (.+)$", text, flags=re.MULTILINE)
    assert titles[titles.index("Cost") - 1] == "Energy"


def test_without_costs_there_is_no_section() -> None:
    text = markdown.render(replace(factory.comparison(), costs=None))["report.md"].decode()
    assert "\n## Cost\n" not in text


def test_every_table_of_the_words_is_in_the_report() -> None:
    comparison = factory.comparison()
    told = [
        [list(it.header), *map(list, it.rows)]
        for section in sections(comparison)
        for it in section.tables
    ]
    assert tables(cost_part(comparison)) == told


def screen(comparison: Comparison, told: list[list[list[str]]]) -> list[list[list[str]]]:
    """Return the tables of a very wide terminal, as many rows of each as ``told`` has."""
    lines = [text for it in sections(comparison) for text in costing.lines(it, 10_000)]
    rules = [place for place, text in enumerate(lines) if re.fullmatch(r"-+(  -+)*", text)]
    found = []
    for place, table in zip(rules, told, strict=True):
        spans = [match.span() for match in re.finditer(r"-+", lines[place])]
        rows = [lines[place - 1], *lines[place + 1 : place + len(table)]]
        found.append([[row[low:high].strip() for low, high in spans] for row in rows])
    return found


def test_the_terminal_has_the_tables_of_the_report() -> None:
    comparison = factory.comparison()
    told = tables(cost_part(comparison))
    assert len(told) > 30
    assert screen(comparison, told) == told


def parsed(cell: str) -> tuple[float, ...]:
    """Return the number of a cell, and the ends of its interval."""
    found = re.findall(r"-?\d[\d,]*(?:\.\d+)?(?:e[+-]\d+)?", cell)
    return tuple(float(text.replace(",", "")) for text in found)


def close(cell: str, value: Value) -> bool:
    """Say whether a printed cell is the value, rounded to three figures."""
    wanted = [it for it in (value.value, value.low, value.high) if it is not None]
    return parsed(cell) == pytest.approx(wanted, rel=0.006)


def test_the_printed_figures_are_those_of_report_json() -> None:
    comparison = factory.comparison()
    document = report_json.render(comparison)["report.json"]
    costs = msgspec.json.decode(document, type=Comparison).costs
    assert costs is not None
    bills = [it for it in tables(cost_part(comparison)) if it[0][-1].startswith("USD / M output")]
    printed = [row[-1] for it in bills for row in it[1:]]
    wanted = [cell.values["bill_usd_per_mtok_output"] for cell in costs.cells]
    assert len(printed) == len(wanted) == 8
    assert all(close(cell, value) for cell, value in zip(printed, wanted, strict=True))
    splits = [it for it in tables(cost_part(comparison)) if "total / M tokens" in it[0]]
    rows = [row[1:] for it in splits for row in it[1:]]
    ids = ("usd_per_mtok_output", "usd_per_mtok_input", "usd_per_mtok_total")
    for row, cell in zip(rows, costs.cells, strict=True):
        assert all(close(text, cell.values[id_]) for text, id_ in zip(row, ids, strict=True))
    assert costs.fleet is not None
    (months,) = (it for it in tables(cost_part(comparison)) if "USD a month" in it[0][2])
    for row, one in zip(months[1:], costs.fleet.rows, strict=True):
        assert close(row[2], one.usd_per_month)


def test_hostile_names_mean_only_themselves() -> None:
    comparison = hostile()
    text = cost_part(comparison)
    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    inline = [child for token in tokens for child in token.children or []]
    allowed = {"text", "strong_open", "strong_close", "softbreak"}
    assert {token.type for token in inline} <= allowed
    assert not [token for token in tokens if token.type in {"html_block", "fence", "code_block"}]
    told = [len(it.header) for section in sections(comparison) for it in section.tables]
    assert [len(it[0]) for it in tables(text)] == told
    assert all(len(row) == len(it[0]) for it in tables(text) for row in it)
