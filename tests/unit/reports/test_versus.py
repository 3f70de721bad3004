"""Results against a baseline in every output: the same words, and hostile names inert."""

import unicodedata
from pathlib import Path
from typing import Any

import msgspec
import pytest
from markdown_it import MarkdownIt
from msgspec.structs import replace
from tests.unit.core.test_baseline import write
from tests.unit.reports.test_hostile import NAME
from tests.unit.reports.test_html import Page

from inferometer import cli
from inferometer.baseline import Asked, Rules, against
from inferometer.comparison.versus import Different, Versus
from inferometer.numbers import with_interval
from inferometer_reports import chart_versus, console, html, markdown, report_json, words_versus
from inferometer_reports.sections import versus as section

pytestmark = pytest.mark.computing


@pytest.fixture
def versus(tmp_path: Path) -> Versus:
    base, slow = write(tmp_path / "a"), write(tmp_path / "b", 36.0)
    return against(Asked(baseline=base, current=slow, gate=Rules()))


def hostile(versus: Versus) -> Versus:
    different = Different(
        topic="driver", what=NAME, baseline=NAME, current=NAME, bears_on="everything"
    )
    assert versus.gate is not None
    lines = [replace(one, stack=NAME, model=NAME, load=NAME) for one in versus.lines]
    judged = [replace(one, line=replace(one.line, stack=NAME)) for one in versus.gate.lines]
    return replace(
        versus,
        current=replace(versus.current, name=NAME, created=NAME, plan_sha256=NAME),
        differences=[different],
        lines=lines,
        notes=[NAME],
        gate=replace(versus.gate, lines=judged, refusals=[NAME], left_out=[NAME]),
    )


def test_outputs_say_the_same_and_twice_the_same(versus: Versus) -> None:
    text = " ".join(console.render_versus(versus)["report.txt"].decode().split())
    page = markdown.render_versus(versus)["report.md"].decode()
    for statement in words_versus.statements(versus):
        assert statement.lead in text
        assert f"**{statement.lead}**" in page
    assert "0.900x sim. (95 % 0.891 to 0.909, n = 5) | 2 % | 3.4 % | FAILED, not" in page
    for one in (console, markdown, report_json, html):
        assert one.render_versus(versus) == one.render_versus(versus)
    assert len(page.splitlines()) < 60


def test_the_page_has_the_same_words_and_every_ratio(versus: Versus) -> None:
    for shown in (versus, replace(versus, gate=None)):
        page = Page(html.render_versus(shown)["report.html"])
        said = " ".join(page.all("main")[0].words.split())
        for statement in words_versus.statements(shown):
            assert f"{statement.lead} {statement.text}" in said
        (figure,) = page.all("figure")
        told = [node.attributes.get("aria-label") or "" for node in page.nodes]
        for one in words_versus.tables(shown):
            assert one.title in [node.words for node in page.all("h2")]
        ratio = with_interval(next(o for o in versus.lines if o.metric == "output_tok_s").ratio)
        assert sum(text.endswith(ratio) for text in told) == 1
        assert "SIMULATED" in "".join(figure.text)


def test_many_lines_are_folded_and_the_gravest_stand_first(versus: Versus) -> None:
    assert versus.gate is not None
    failed = versus.gate.lines[0]
    passed = replace(failed, verdict="passed", shown="undecided")
    gate = replace(
        versus.gate, lines=[*[passed] * 40, failed], refusals=["sure?", *map(str, range(49))]
    )
    page = markdown.render_versus(replace(versus, gate=gate))["report.md"].decode()
    above, folded = page.split("<details>")
    assert above.count("FAILED, not confirmed yet") == 1
    assert folded.startswith("<summary>40 numbers passed</summary>")
    assert folded.count("| passed: not shown to be worse |") == 40
    assert "**NOT JUDGED:** sure?\n" in above
    assert "**NOT JUDGED:** and 42 more; the JSON has them all." in above
    assert len(above.splitlines()) < 60
    assert section.MOST_ROWS < 40


def test_a_long_chart_keeps_the_worst(versus: Versus) -> None:
    first = next(one for one in versus.lines if one.metric == "output_tok_s")
    ratios = [0.5 + n / 100 for n in range(30)]
    lines = [
        replace(first, load=f"{n} streams", ratio=replace(first.ratio, value=ratio))
        for n, ratio in enumerate(ratios)
    ]
    drawn = chart_versus.figures(replace(versus, lines=lines[::-1], gate=None))
    text = drawn[0].svg.decode()
    assert "the worst 12 of 30" in text
    assert "11 streams" in text
    assert "12 streams" not in text


@pytest.mark.parametrize("gated", [True, False])
def test_hostile_names_stay_inert(versus: Versus, gated: bool) -> None:
    bad = hostile(versus) if gated else replace(hostile(versus), gate=None)
    text = console.render_versus(bad)["report.txt"].decode()
    page = markdown.render_versus(bad)["report.md"].decode()
    whole = html.render_versus(bad)["report.html"]
    assert not {node.tag for node in Page(whole).nodes} & {"img", "a", "iframe"}
    for shown in (text, page):
        assert not {c for c in shown if c != "\n" and unicodedata.category(c) in {"Cc", "Cf"}}
    tokens = MarkdownIt("commonmark", {"html": True}).enable("table").parse(page)
    inline = [child for token in tokens for child in token.children or []]
    kinds = {token.type for token in [*tokens, *inline]}
    assert not kinds & {"html_block", "html_inline", "link_open", "fence", "code_inline"}
    tables = {len(row.split(" | ")) for row in page.splitlines() if row.startswith("| ")}
    assert tables == {5}


def test_a_page_is_written_byte_by_byte(tmp_path: Path, capsysbinary: Any) -> None:
    base, slow = write(tmp_path / "a"), write(tmp_path / "b", 36.0)
    out, page = tmp_path / "versus.html", tmp_path / "gate.html"
    arguments = ["compare", str(base), str(slow), "--format", "html"]
    assert cli.main([*arguments, "--out", str(out)]) == 0
    assert capsysbinary.readouterr().out == b""
    assert cli.main(arguments) == 0
    assert capsysbinary.readouterr().out == out.read_bytes()
    assert b"<svg" in out.read_bytes()
    assert cli.main(["gate", str(slow), "--baseline", str(base), "--html", str(page)]) == 3
    assert b"GATE UNCONFIRMED:" in page.read_bytes()
    found = against(Asked(baseline=base, current=slow))
    assert cli.main(["compare", str(base), str(slow), "--json", "--out", str(out)]) == 0
    assert msgspec.json.decode(out.read_bytes(), type=type(found)) == found


def test_both_commands_write_indonesian(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base, slow = write(tmp_path / "a"), write(tmp_path / "b", 36.0)
    page = tmp_path / "gate.html"
    asked = ["--lang", "id"]
    assert cli.main(["compare", str(base), str(slow), *asked]) == 0
    said = capsys.readouterr().out
    assert "Acuan: " in said
    assert ", lima peluncuran, " in said
    assert "Throughput keluaran (tok/s, lebih tinggi lebih baik)" in said
    assert "LEBIH BURUK" in said
    assert cli.main(["compare", str(base), str(slow), *asked, "--json"]) == 0
    translated = capsys.readouterr().out
    assert cli.main(["compare", str(base), str(slow), "--json"]) == 0
    assert capsys.readouterr().out == translated
    arguments = ["gate", str(slow), "--baseline", str(base), "--html", str(page)]
    assert cli.main([*arguments, *asked]) == 3
    assert "GERBANG BELUM DIPASTIKAN:" in capsys.readouterr().out
    assert '<html lang="id">' in page.read_text()
    assert "GATE" not in page.read_text()
    assert cli.main([*arguments, "--lang", "xx"]) == 2
    assert "no language named 'xx' (--lang)" in capsys.readouterr().err
