"""The section on dense against mixture-of-experts: sentences, tables, and what stands in charts.

Write the golden section again: ``UPDATE_GOLDEN=1 python -m pytest tests/unit/reports``.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import unicodedata
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import msgspec
import pytest
from markdown_it import MarkdownIt
from msgspec.structs import replace
from tests.unit.reports import factory, factory_moe
from tests.unit.reports.figures import JOULES, TOKENS, absent, value
from tests.unit.reports.test_hostile import NAME
from tests.unit.reports.test_several import several

from inferometer.comparison import Architectures, Comparison, Value
from inferometer.numbers import with_interval
from inferometer_reports import (
    chart_curves,
    charts,
    console,
    markdown,
    moe_tables,
    moe_words,
    report_json,
    words,
)
from inferometer_reports.sections import moe
from inferometer_reports.view import View

GOLDEN = Path(__file__).parents[2] / "golden" / "report" / "moe.md"
SVG = "{http://www.w3.org/2000/svg}"
FILES = {
    "figures/moe-1-ratios.svg",
    "figures/moe-1-load.svg",
    "figures/moe-2-ratios.svg",
    "figures/moe-2-load.svg",
    "figures/moe-2-interactions.svg",
}


@pytest.fixture(scope="module")
def drawn() -> dict[str, bytes]:
    return dict(markdown.render(factory_moe.comparison()))


def section(comparison: Comparison) -> str:
    return "\n".join(markdown.lines(moe.section(View(comparison), [])))


def texts(svg: bytes) -> list[str]:
    return [found.text or "" for found in ET.fromstring(svg).iter(f"{SVG}text")]


def test_golden(drawn: dict[str, bytes]) -> None:
    text = drawn["report.md"].decode()
    found = text[text.index(f"## {moe.TITLE}") : text.index("\n## Energy")]
    if os.environ.get("UPDATE_GOLDEN"):
        GOLDEN.write_text(found)
    assert found == GOLDEN.read_text()


def test_charts_stand_beside_the_report_and_repeat_their_bytes(drawn: dict[str, bytes]) -> None:
    assert drawn.keys() - {"report.md"} == FILES
    charts.drawn.cache_clear()
    assert markdown.render(factory_moe.comparison()) == drawn
    text = drawn["report.md"].decode()
    assert set(re.findall(r"!\[[^]]+\]\(([^)]+)\)", text)) == FILES


def test_a_chart_loads_nothing_and_is_no_wider_than_a_page(drawn: dict[str, bytes]) -> None:
    for file in FILES:
        root = ET.fromstring(drawn[file])
        assert float(root.attrib["width"]) <= charts.WIDTH
        assert {found.tag.removeprefix(SVG) for found in root.iter()} <= {
            *("svg", "rect", "g", "path", "line", "text"),
        }
        body = drawn[file].decode().partition(">")[2]
        assert "http" not in body
        assert "url(" not in body


def test_every_ratio_stands_in_its_forest_plot(drawn: dict[str, bytes]) -> None:
    base = factory_moe.comparison()
    for place, dense in enumerate((factory_moe.SMALL, factory_moe.LARGE), start=1):
        found = texts(drawn[f"figures/moe-{place}-ratios.svg"])
        for ratio in base.moe_ratios:
            if ratio.dense == dense:
                assert with_interval(ratio.ratio) in found
        assert found.count("n/a (no power sensor)") == 1
        assert "Output throughput: above 1 MoE is better" in found
        assert "Energy per output token (rapl): below 1 MoE is better" in found
    (told,) = {
        found.attrib["aria-label"]
        for found in ET.fromstring(drawn["figures/moe-2-ratios.svg"]).iter()
        if found.attrib.get("aria-label", "").startswith("1 stream, vllm 0.32.0: 3.00")
    }
    assert told == "1 stream, vllm 0.32.0: 3.00 (2.76 to 3.24)"


def marks(svg: bytes, text: str) -> list[dict[str, str]]:
    """The marks whose description has ``text``."""
    found = ET.fromstring(svg).iter()
    return [it.attrib for it in found if text in it.attrib.get("aria-label", "")]


def across(mark: dict[str, str]) -> float:
    (place,) = re.findall(r"translate\(([\d.]+),", mark["transform"])
    return float(place)


def test_a_mark_has_its_stacks_colour_and_stands_where_its_value_is(
    drawn: dict[str, bytes],
) -> None:
    svg = drawn["figures/moe-2-ratios.svg"]
    vllm, other = (marks(svg, f"1 stream, {name}") for name in ("vllm", "transformers"))
    assert {mark["fill"] for mark in vllm} == {charts.COLOURS[1]}
    assert {mark["fill"] for mark in other} == {charts.COLOURS[0]}
    assert {mark["d"][:20] for mark in vllm} != {mark["d"][:20] for mark in other}
    places = [across(marks(svg, f"1 stream, {label}")[0]) for label in ("transformers", "vllm")]
    (two,), (one,) = (
        marks(svg, f"{at}, transformers 5.19.0: {figure}")[:1]
        for at, figure in (("4 streams", "1.50"), ("16 streams", "1.00"))
    )
    assert across(one) < across(two) < places[0] < places[1]
    # Logarithmic: 1 to 1.5 is as far as 2 to 3.
    assert across(two) - across(one) == pytest.approx(places[1] - places[0], abs=0.01)


def test_a_curve_has_a_cross_where_there_is_no_value(drawn: dict[str, bytes]) -> None:
    svg = drawn["figures/moe-1-load.svg"]
    assert len(marks(svg, "n/a (no power sensor)")) == 1
    assert len(marks(svg, "n/a (the engine does not say)")) == 2  # shares, MoE and dense
    found = texts(svg)
    assert found.count("\N{MULTIPLICATION SIGN}") == 3
    assert [text for text in found if text.endswith(("stream", "streams"))] == [*factory_moe.LOADS]
    (touched,) = marks(svg, "vllm 0.32.0, expected, 16 streams")
    assert "0.644" in touched["aria-label"]  # 1 - (1 - 8 / 128) ** 16


def test_what_nobody_measured_is_hollow_and_said() -> None:
    base = factory_moe.comparison()
    ratios = [replace(it, ratio=replace(it.ratio, kind="simulated")) for it in base.moe_ratios]
    svg = markdown.render(replace(base, moe_ratios=ratios))["figures/moe-1-ratios.svg"]
    assert {mark["fill"] for mark in marks(svg, "vllm 0.32.0: 0.")} == {"white"}
    assert any(text.startswith("SIMULATED") for text in texts(svg))


def test_the_conclusion_says_who_is_better_where_and_what_is_matched() -> None:
    small, large, *_ = moe_words.conclusions(View(factory_moe.comparison()))
    assert small.lead == "wide-30b-a3b against dense-8b (no match holds):"
    assert small.text.startswith("at equal load, dense-8b is better throughout. MoE over dense: ")
    assert "output throughput 0.500x to 0.800x over 3 load points on vllm 0.32.0 and " in small.text
    assert large.lead.endswith("(matched by total parameters and memory):")
    assert "on transformers 5.19.0 (MoE better at 2, undecided at 1)" in large.text
    assert "wide-30b-a3b is better in 14 of 17 ratios, the others are no decision" in large.text
    assert large.text.endswith("The quality of the two is not matched (dense-32b).")


def test_one_ratio_has_its_interval() -> None:
    base = factory_moe.comparison()
    only = [it for it in base.moe_ratios if (it.load, it.metric) == ("16 streams", TOKENS)]
    small, large, *_ = moe_words.conclusions(View(replace(base, moe_ratios=only)))
    assert "0.500x (95 % 0.460 to 0.540, n = 3) on vllm 0.32.0 and" in small.text
    assert "on transformers 5.19.0 (undecided)" in large.text
    open_ = [replace(it, better="undecided") for it in only]
    found = moe_words.conclusions(View(replace(base, moe_ratios=open_)))
    assert "at equal load, it is undecided which is better." in found[0].text


def test_the_match_that_decides_is_flagged() -> None:
    sure, weak = moe_words.flags(View(factory_moe.comparison()))
    assert sure.lead == weak.lead == "Depends on the match:"
    assert sure.text == (
        "wide-30b-a3b on vllm 0.32.0, output throughput, chat: MoE is better against dense-32b, "
        "matched by total parameters (equal load, 16 streams): 1.50x (95 % 1.38 to 1.62, n = 3); "
        "dense is better against dense-8b, matched by active parameters (equal load, 16 streams): "
        "0.500x (95 % 0.460 to 0.540, n = 3)."
    )
    assert weak.text == (
        "wide-30b-a3b on vllm 0.32.0, energy per output token (rapl), chat (by point values alone: "
        "one launch each): MoE looks better against dense-8b, matched by active parameters (equal "
        "load, 16 streams): 0.500x (no interval, n = 1); dense looks better against dense-32b, "
        "matched by total parameters (equal load, 16 streams): 1.50x (no interval, n = 1)."
    )
    text = console.render(factory_moe.comparison())["report.txt"].decode()
    assert "Which is better depends on the match." in " ".join(text.split())
    rows = moe_tables.dependences(View(factory_moe.comparison())).rows
    assert [row[4] for row in rows] == [
        "depends on the match",
        "depends on the match, by point values alone",
        "cannot be told: fewer than two findings have a side",
        "no two findings are opposite",
    ]


def test_one_match_that_turns_with_the_load_does_not_depend_on_the_match() -> None:
    base = factory_moe.comparison()
    assert base.architectures is not None
    first = base.architectures.dependences[0]
    large = factory_moe.LARGE
    turning = [
        replace(first.findings[0], load=load, better=better, ratio=value(number, "ratio"))
        for load, better, number in (("1 stream", "dense", 0.5), ("16 streams", "moe", 2.0))
    ]
    assert {(one.match, one.dense) for one in turning} == {("total_parameters", large)}
    changed = replace(base.architectures, dependences=[replace(first, findings=turning)])
    one = replace(base, architectures=changed)
    (flag,) = moe_words.flags(View(one))
    assert flag.lead == "Depends on the operating point:"
    told = words.moe_to_dense(View(one))
    assert told is not None
    assert told.text.endswith("Which is better depends on the operating point.")
    (row,) = moe_tables.dependences(View(one)).rows
    assert row[4] == "depends on the operating point"


def test_a_best_that_some_load_is_missing_from_says_so() -> None:
    base = factory_moe.comparison()
    lost = "best without 16 streams (wide-30b-a3b: invalid)"
    changed = [
        replace(it, ratio=replace(it.ratio, detail=lost)) if it.at == "best" else it
        for it in base.moe_ratios
    ]
    row = moe_tables.by_match(View(replace(base, moe_ratios=changed))).rows[0]
    assert row[6].endswith(f"MoE at 4 streams, dense at 16 streams; {lost}")


def test_requests_running_of_two_workloads_stay_apart() -> None:
    base = factory_moe.comparison()
    assert base.architectures is not None
    silent = [replace(one, running={}) for one in base.architectures.knobs]
    more = [replace(one, workload="code") for one in base.rooflines]
    two = replace(
        base,
        architectures=replace(base.architectures, knobs=silent),
        rooflines=[*base.rooflines, *more],
    )
    (row,) = [one for one in moe_tables.knobs(View(two)).rows if one[1] == "requests running"]
    assert "chat, 1 stream: 1.00" in row[2]
    assert "code, 1 stream: 1.00" in row[2]


def test_one_look_at_requests_running_is_said_where_there_is_no_mean() -> None:
    base = replace(factory_moe.comparison(), rooflines=[])
    (row,) = [one for one in moe_tables.knobs(View(base)).rows if one[1] == "requests running"]
    assert row[2] == "1 stream: 1.00, 4 streams: 3.90, 16 streams: 15.5 (one look a launch)"


def test_a_share_has_room_for_its_interval() -> None:
    wide = value(0.1, "share", half=0.6)
    series = chart_curves.Series("a", charts.Style("#000000", "circle"), {"1 stream": wide})
    assert chart_curves.Panel("", [series], ratios=False).ends[1] > 0.16
    endless = replace(wide, high=9.0)
    series = series._replace(values={"1 stream": endless})
    assert chart_curves.Panel("", [series], ratios=False).ends[1] == pytest.approx(0.408)


def test_order_and_interactions_are_sentences() -> None:
    view = View(factory_moe.comparison())
    order, gains = moe_words.order(view), moe_words.interactions(view)
    assert order is not None
    assert gains is not None
    assert order.text.startswith(
        "surely another in 1 of 3, surely the same in 1, not both measured in 1: vllm 0.32.0 over "
        "transformers 5.19.0 is 0.800x"
    )
    assert "is 1.33x to 1.50x over 3 operating points" in gains.text
    assert gains.text.endswith("; no ratio in 1 of 6.")
    assert "undecided" not in gains.text


def test_one_architecture_cannot_answer() -> None:
    base = factory_moe.comparison()
    none = Architectures(
        pairs=[],
        interactions=[],
        order_changes=[],
        dependences=[],
        kept_out=[],
        knobs=[],
        kind="derived",
        why_not="only one architecture ran (dense)",
    )
    alone = replace(base, architectures=none, moe_ratios=[], rooflines=[], hardware=[])
    files = markdown.render(alone)
    assert files.keys() == {"report.md"}
    text = "- **Cannot answer:** only one architecture ran (dense)."
    assert text in files["report.md"].decode()
    told = console.render(alone)["report.txt"].decode()
    assert "MoE to dense: cannot answer: only one architecture ran (dense)." in told


def test_nothing_is_said_where_nobody_looked() -> None:
    alone = replace(factory.comparison(), moe_ratios=[])
    assert moe.TITLE not in markdown.render(alone)["report.md"].decode()
    old = markdown.render(factory.comparison())
    assert old.keys() == {"report.md"}
    assert "Every ratio of MoE to dense" in old["report.md"].decode()


def test_a_chart_that_would_be_empty_is_not_drawn() -> None:
    base = factory_moe.comparison()
    assert base.architectures is not None
    gone = [replace(it, ratio=absent("ratio", "failed"), better=None) for it in base.moe_ratios]
    lost = replace(
        base, moe_ratios=gone, architectures=replace(base.architectures, interactions=[])
    )
    files = markdown.render(lost)
    assert files.keys() == {"report.md"}
    text = files["report.md"].decode()
    assert "cannot answer: there is no ratio (failed). The quality" in text
    assert "| Output throughput | n/a (failed) | not judged | 0 |" in text


def test_absent_values_are_words_and_never_zero() -> None:
    def gone(found: Any) -> Any:
        if isinstance(found, Value):
            return replace(found, value=None, low=None, high=None, n=0, reason="withheld")
        if isinstance(found, list):
            return [gone(item) for item in found]
        if isinstance(found, msgspec.Struct):
            names = found.__struct_fields__
            return replace(found, **{name: gone(getattr(found, name)) for name in names})
        return found

    base = factory_moe.comparison()
    fields = ("moe_ratios", "architectures", "rooflines")
    text = section(replace(base, **{name: gone(getattr(base, name)) for name in fields}))
    assert "None" not in text
    body = text.split("<summary>Experts touched")[1].split("</details>")[0]
    rows = [row.split(" | ") for row in body.splitlines() if row.startswith("| vllm")]
    assert rows
    assert all(row[6] == "n/a (withheld)" for row in rows)


def test_tables_by_match_and_of_the_roofline() -> None:
    view = View(factory_moe.comparison())
    first = moe_tables.by_match(view).rows[0]
    assert first[:5] == [
        "nothing",
        "wide-30b-a3b / dense-8b",
        "Output throughput",
        "vllm 0.32.0",
        "0.500x to 0.800x over 3 load points (dense better at 3)",
    ]
    assert first[5].endswith("(dense better); at 20 tok/s/user")
    assert first[6].endswith("(dense better); MoE at 4 streams, dense at 16 streams")
    touched = [row[4] for row in moe_tables.rooflines(view).rows if row[1] == factory_moe.MOE]
    assert touched[0] == "8.00 (7.68 to 8.32) of 128"
    (note,) = moe_tables.rooflines(view).notes
    assert note == (
        "vllm 0.32.0 on dense-8b, vllm 0.32.0 on dense-32b, transformers 5.19.0 on dense-8b and "
        "transformers 5.19.0 on dense-32b: of memory alone"
    )
    assert f"\n\n- {note}\n" in section(view.comparison)
    assert moe_tables.hardware(view).rows == [
        [
            *("2 x Example accelerator", "8000", "bfloat16 2000 and fp8 4000", "160"),
            *("n/a (not known)", "declared", "example.com data sheet", "2026-11-01"),
        ]
    ]
    assert moe_tables.kept_out(view) == [
        "twin: random router, not a trained model (a twin of dense-8b)"
    ]


def hostile() -> Comparison:
    """The comparison with :data:`NAME` in place of every text that is not a code word."""
    base = factory_moe.comparison()
    kept = {"kind", "at", "match", "better", "reason", "metric", "meter", "bound", "batch_source"}

    def spoil(found: Any, key: str) -> Any:
        if isinstance(found, dict):
            free = key in {"settings", "running", "flops"} and "value" not in found
            return {(NAME if free else name): spoil(item, name) for name, item in found.items()}
        if isinstance(found, list):
            return [spoil(item, key) for item in found]
        return NAME + found if isinstance(found, str) and found and key not in kept else found

    fields = ("moe_ratios", "architectures", "rooflines", "hardware")
    plain = {name: msgspec.to_builtins(getattr(base, name)) for name in fields}
    types = {field.name: field.type for field in msgspec.structs.fields(Comparison)}
    spoilt = {
        name: msgspec.convert(_unspoil(spoil(found, name)), types[name])
        for name, found in plain.items()
    }
    return replace(base, **spoilt)


def _unspoil(found: Any) -> Any:
    """Nothing says why there would be no comparison."""
    return {**found, "why_not": ""} if isinstance(found, dict) else found


def test_hostile_names_are_inert_in_text_and_charts() -> None:
    files = markdown.render(hostile())
    text = files["report.md"].decode()
    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    inline = [child for token in tokens for child in token.children or []]
    assert not [it for it in inline if it.type in {"html_inline", "link_open", "em_open"}]
    images = {it.attrs["src"] for it in inline if it.type == "image"}
    assert images == files.keys() - {"report.md"} == FILES
    assert all("details" in it.content for it in tokens if it.type == "html_block")
    for file in FILES:
        root = ET.fromstring(files[file])  # well-formed: no control characters
        assert {it.tag.removeprefix(SVG) for it in root.iter()} <= {
            *("svg", "rect", "g", "path", "line", "text"),
        }
        found = {unicodedata.category(char) for char in files[file].decode().replace("\n", "")}
        assert not found & {"Cc", "Cf", "Cs", "Zl", "Zp"}
        assert float(root.attrib["width"]) <= charts.WIDTH


def test_altair_is_imported_only_where_there_is_something_to_draw() -> None:
    code = (
        "import sys; from tests.unit.reports import factory; from inferometer_reports import "
        "markdown; markdown.render(factory.comparison()); "
        "assert not {'altair', 'vl_convert'} & set(sys.modules)"
    )
    root = Path(__file__).parents[3]
    subprocess.run([sys.executable, "-c", code], check=True, cwd=root)


def test_ticks_and_labels() -> None:
    assert charts.ticks(0.78, 1.26) == pytest.approx([0.8, 0.9, 1.0, 1.1, 1.2])
    assert charts.ticks(0.3, 3.2) == pytest.approx([0.3, 0.5, 0.7, 1, 1.5, 2, 3])
    assert charts.ticks(0.01, 100) == pytest.approx([0.01, 0.1, 1, 10, 100])
    assert charts.spread([10, 11, 50], 10) == [5.5, 15.5, 50]
    assert charts.spread([], 10) == []
    assert charts.spread([3, 2, 1], 10) == [12, 2, -8]


def test_an_interval_that_leads_far_out_is_cut() -> None:
    wild = Value(value=2.0, unit="ratio", kind="derived", n=2, low=0.001, high=4000.0)
    low, high = charts.domain([wild])
    assert (low, high) == pytest.approx((0.25 / 1.08, 8 * 1.08))
    base = factory_moe.comparison()
    svg = markdown.render(replace(base, moe_ratios=[replace(base.moe_ratios[0], ratio=wild)]))
    assert with_interval(wild) in texts(svg["figures/moe-1-ratios.svg"])
    odd = Value(value=float("inf"), unit="ratio", kind="derived")
    assert charts.domain([odd, value(0.0, "ratio")]) == (0.8, 1.25)


def test_several_directories_have_charts_of_their_own() -> None:
    one, other, *_ = several(factory_moe.comparison()).groups
    found = markdown.render_several(replace(several(one.comparison), groups=[one, other]))
    names = {file for file in found if file.startswith("figures/group-2-")}
    assert names == {file.replace("figures/", "figures/group-2-") for file in FILES}
    assert "](figures/group-2-moe-1-ratios.svg)" in found["report.md"].decode()


def test_json_carries_it_all() -> None:
    comparison = factory_moe.comparison()
    content = report_json.render(comparison)["report.json"]
    assert msgspec.json.decode(content, type=Comparison) == comparison
    assert JOULES in content.decode()
