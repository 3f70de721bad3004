"""Several results directories in every output: nothing breaks out, nothing is ranked across."""

from __future__ import annotations

import re
import unicodedata

from markdown_it import MarkdownIt
from msgspec import structs
from tests.unit.reports import factory
from tests.unit.reports.test_hostile import NAME, OWN_HTML, hostile

from inferometer.comparison import Comparison, Missing, Value
from inferometer.comparison.several import Apart, Figure, Group, Line, Part, Several, SideBySide
from inferometer_reports import console, document, markdown, report_json, words_several
from inferometer_reports.blocks import deeper


def part(name: str, first_round: int = 1) -> Part:
    return Part(
        name=name,
        created="2026-11-22T00:00:00+00:00",
        plan_sha256="a" * 64,
        seed=1,
        first_round=first_round,
        rounds=3,
        launches=12,
        host={"gpus": ["H100", "H100"], "cpu_model": f"CPU of {name}"},
    )


def table(columns: list[str], text: str) -> SideBySide:
    ten = Value(value=10.0, unit="tok/s", kind="measured", n=3, low=9.0, high=11.0)
    none = Value(value=None, unit="", kind="measured", reason="failed")
    figures: list[Figure | None] = [
        Figure(value=ten, place_low=1, place_high=2, ranked=2, meter=text),
        Figure(value=ten, reason="parity_failed"),
        Figure(value=none, reason="failed"),
        None,
    ]
    return SideBySide(
        objective="throughput",
        architecture="dense",
        profile="defaults",
        metric="output_tok_s",
        simulated=False,
        columns=columns,
        lines=[Line(model=text, workload=text, load=text, stack=text, figures=figures)],
    )


def several(comparison: Comparison, text: str = "x") -> Several:
    names = [f"{text}{index}" for index in range(4)]
    groups = [
        Group(name=name, parts=[part(name), part(text, 4)], comparison=comparison, agreement=0.4)
        for name in names
    ]
    return Several(
        title=text,
        created="",
        inferometer_version="0",
        groups=groups,
        apart=[Apart(what=text, words=[text, "", text, "b"])],
        why=[f"{text}. {text}"],
        tables=[table(names, text)],
        left_out=[Missing(what=text, reason="failed", detail=text, fix=text)],
    )


def test_cells_say_places_within_a_column_and_why_there_is_none() -> None:
    (line,) = table(["a", "b", "c", "d"], "rapl").lines
    assert [words_several.cell(figure) for figure in line.figures] == [
        "10.0 (9.0 to 11.0) by rapl, places 1 to 2 of 2",
        "10.0 (9.0 to 11.0), not ranked: answers differ",
        "n/a (failed)",
        "n/a (not compared here)",
    ]


def test_many_columns_stand_in_tables_below_each_other() -> None:
    names = [f"day{index:02}" for index in range(40)]
    ten = Figure(value=Value(value=10.0, unit="tok/s", kind="measured", n=1))
    line = Line(model="m", workload="w", load="l", stack="s", figures=[ten] * 40)
    wide = structs.replace(table(names, "s"), lines=[line])
    found = structs.replace(several(factory.comparison()), tables=[wide])
    shown = console.render_several(found)["report.txt"].decode()
    assert [name for name in names if name not in shown] == []
    assert len(re.findall(r"^ m, w, l ", shown, re.MULTILINE)) == 8


def test_the_machine_is_said_in_a_few_words() -> None:
    assert words_several.machine(part("x")) == "2 x H100, CPU of x"


def test_every_group_is_whole_below_the_summary() -> None:
    comparison = factory.comparison()
    content = markdown.render_several(several(comparison))["report.md"].decode()
    own = deeper(document.report(comparison)[1:], 1)
    assert content.count("## Rankings") == 4
    assert content.count("\n# ") == 0
    assert content.count("\n".join(markdown.lines(own))) == 4


def test_hostile_text_stays_where_it_stands() -> None:
    found = several(hostile(), NAME)
    text = markdown.render_several(found)["report.md"].decode()
    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    inline = [child for token in tokens for child in token.children or []]
    assert {t.content for t in tokens if t.type == "html_block"} == OWN_HTML
    assert not [t for t in inline if t.type in {"html_inline", "link_open", "image", "em_open"}]
    assert len([t for t in tokens if t.type == "heading_open" and t.tag == "h1"]) == 1
    width = 0
    for line in text.splitlines():
        pipes = len(re.findall(r"(?<!\\)\|", line)) if line.startswith("| ") else 0
        assert not (pipes and width) or pipes == width, line
        width = pipes
    printed = console.render_several(found)["report.txt"].decode()
    for content in (text, printed):
        kinds = {unicodedata.category(char) for char in content.replace("\n", "")}
        assert not kinds & {"Cc", "Cf", "Cs", "Zl", "Zp"}
    assert all(len(line) <= console.WIDTH for line in printed.splitlines())


def test_json_is_the_structure() -> None:
    content = report_json.render_several(several(factory.comparison()))["report.json"]
    assert content.startswith(b'{\n  "schema": "inferometer/several/1",\n')
