"""``report.html``: one file that loads nothing, says what the others say, and lets nothing in."""

from __future__ import annotations

import base64
import hashlib
import re
import unicodedata
from html.parser import HTMLParser
from typing import NamedTuple

import pytest
from msgspec.structs import replace
from tests.unit.reports import factory, factory_moe, test_fronts, test_hostile
from tests.unit.reports.figures import absent
from tests.unit.reports.test_several import several

from inferometer.comparison import Comparison
from inferometer.numbers import with_interval
from inferometer_reports import blocks, charts, html, instruments, words
from inferometer_reports.html import answer, drawing, markup, texts, writer
from inferometer_reports.sections import rankings
from inferometer_reports.view import View, key_of

LIMIT_BYTES = 400_000
SCRIPT_BYTES = 8192
ORDER = [
    *("answer", "ranking", "capacity", "trade-off", "cost", "energy", "latency", "moe"),
    *("validity", "fairness", "missing", "method", "data"),
]


class Node(NamedTuple):
    """An element with its attributes and the text in it."""

    tag: str
    attributes: dict[str, str | None]
    text: list[str]

    @property
    def words(self) -> str:
        return "".join(self.text)


ENDS = {
    **{key: {"td", "th"} for key in ("td", "th")},
    "tr": {"td", "th", "tr"},
    "tbody": {"td", "th", "tr", "thead"},
    "li": {"li"},
    **{key: {"dt", "dd"} for key in ("dt", "dd")},
}
"""Open elements that an element ends by its beginning, as HTML has it."""


class Page(HTMLParser):
    """Reads a page; every element must be closed where it belongs."""

    def __init__(self, content: bytes) -> None:
        super().__init__(convert_charrefs=True)
        self.nodes: list[Node] = []
        self._open: list[Node] = []
        self.feed(content.decode())
        assert [node.tag for node in self._open] == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        while self._open and self._open[-1].tag in ENDS.get(tag, ()):
            self._open.pop()
        node = Node(tag, dict(attrs), [])
        self.nodes.append(node)
        if tag not in markup.VOID:
            self._open.append(node)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.nodes.append(Node(tag, dict(attrs), []))

    def handle_endtag(self, tag: str) -> None:
        while self._open[-1].tag in markup.ENDED:
            self._open.pop()
        assert self._open.pop().tag == tag

    def handle_data(self, data: str) -> None:
        for node in self._open:
            node.text.append(data)

    def all(self, tag: str) -> list[Node]:
        return [node for node in self.nodes if node.tag == tag]

    def one(self, id_: str) -> Node:
        (found,) = (node for node in self.nodes if node.attributes.get("id") == id_)
        return found


def rendered(comparison: Comparison) -> bytes:
    return html.render(comparison)["report.html"]


@pytest.fixture(scope="module")
def content() -> bytes:
    return rendered(factory.comparison())


@pytest.fixture(scope="module")
def page(content: bytes) -> Page:
    return Page(content)


@pytest.fixture(scope="module")
def full() -> Page:
    base = factory_moe.comparison()
    return Page(rendered(replace(base, fronts=test_fronts.FRONTS)))


def test_the_same_results_give_the_same_bytes(content: bytes) -> None:
    charts.drawn.cache_clear()
    assert rendered(factory.comparison()) == content
    assert len(content) < LIMIT_BYTES


def test_nothing_is_loaded_from_anywhere(full: Page) -> None:
    for node in full.nodes:
        assert node.tag not in {"link", "img", "iframe", "object", "use", "image", "base"}
        assert not node.attributes.keys() & {"src", "srcset", "xlink:href", "style", "action"}
        assert (node.attributes.get("href") or "#").startswith("#")
    (style,) = full.all("style")
    assert "url(" not in style.words
    assert "@import" not in style.words


def test_only_the_pages_own_style_and_script_are_allowed(page: Page) -> None:
    (policy,) = (
        node.attributes["content"]
        for node in page.all("meta")
        if node.attributes.get("http-equiv") == "Content-Security-Policy"
    )
    assert policy is not None
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules.pop("default-src") == "'none'"
    for tag, rule in (("style", "style-src"), ("script", "script-src")):
        (node,) = page.all(tag)
        digest = base64.b64encode(hashlib.sha256(node.words.encode()).digest()).decode()
        assert rules.pop(rule) == f"'sha256-{digest}'"
    assert rules == {"base-uri": "'none'", "form-action": "'none'"}


def test_the_script_is_small(page: Page) -> None:
    (script,) = page.all("script")
    assert len(script.words.encode()) <= SCRIPT_BYTES


def test_sections_stand_in_order_each_with_its_question_and_finding(page: Page) -> None:
    found = page.all("section")
    assert [node.attributes["id"] for node in found] == ORDER
    titles = [node.words for node in page.all("h2")]
    assert [title.partition(".")[0] for title in titles] == [str(n) for n in range(1, 14)]
    assert len(page.all("h1")) == 1
    for css in ("question", "finding"):
        own = [node for node in page.all("p") if node.attributes.get("class") == css]
        assert len(own) == len(ORDER) - 1
        assert all(node.words.strip() for node in own)
    ids = [node.attributes["id"] for node in page.nodes if "id" in node.attributes]
    assert len(ids) == len(set(ids))
    links = {node.attributes.get("href") for node in page.all("a")}
    assert links <= {f"#{id_}" for id_ in ids}


def test_tables_have_a_caption_and_heads(page: Page) -> None:
    tables = page.all("table")
    assert len(page.all("caption")) == len(tables)
    assert all(node.words.strip() for node in page.all("caption"))
    assert all(node.attributes == {"scope": "col"} for node in page.all("th"))


def test_the_answer_says_what_every_output_says(page: Page) -> None:
    view = View(factory.comparison())
    told = page.all("main")[0].words
    for statement in words.answers(view):
        assert f"{statement.lead} {statement.text}" in told
    for statement in words.context(view):
        assert statement.text in page.one("basis").words
    cards = [node.words for node in page.all("h3")][:6]
    assert cards == [
        f"{objective}, {architecture}"
        for architecture in ("dense", "MoE")
        for objective in ("Throughput", "Energy", "Cost")
    ]


def answer_of(comparison: Comparison) -> list[str]:
    """The answer as it is read, word by word, with the section's title."""
    html = answer.answer(View(comparison), []).html
    return ["1.", "Answer", *re.sub("<[^>]*>", " ", html).split()]


def many_points(count: int) -> Comparison:
    """The small comparison at several load points; at the last nothing is separated."""
    base = factory.comparison()
    found = [
        replace(it, load=f"{2**n} streams", separated=it.separated and n < count - 1)
        for it in base.rankings
        for n in range(count)
    ]
    return replace(base, rankings=found)


def test_the_answer_is_short() -> None:
    told = " ".join(answer_of(factory.comparison()))
    assert "vllm 0.32.0 leads: 1.25x (1.19 to 1.32) that of transformers 5.19.0." in told
    assert "no clear winner among vllm 0.32.0 and transformers 5.19.0: ratio 1.02 (0.97" in told
    assert "Workload chat, 8 streams; in brackets: 95 % intervals over 3 launches." in told
    for points in (1, 2, 3, 6):
        assert len(answer_of(many_points(points))) <= 120
    told = " ".join(answer_of(many_points(6)))
    assert "vllm 0.32.0 leads at 5 of 6 (1.25x); no winner at 1." in told
    estimated = [replace(it, kind="estimated") for it in many_points(6).rankings]
    told = " ".join(answer_of(replace(many_points(6), rankings=estimated)))
    assert "vllm 0.32.0 leads at 5 of 6 (1.25x est.); no winner at 1." in told


def test_an_answer_that_is_short_is_whole() -> None:
    base = factory.comparison()
    found = replace(
        base,
        models=base.models[:1],
        rankings=[it for it in base.rankings if it.architecture == "dense"],
        cells=[it for it in base.cells if it.architecture == "dense"],
    )
    told = answer.answer(View(found), rankings.rankings(View(found))[1:])
    for statement in words.answers(View(found)):
        assert statement.text in told.html
    assert not told.left_out
    assert told.html.count('href="#missing"') == 3


def test_a_card_leads_to_its_ranking(page: Page) -> None:
    titles = {node.attributes.get("id"): node.words for node in page.all("h3")}
    for node in page.all("a"):
        if node.words == "why":
            label = node.attributes["aria-label"] or ""
            place = (node.attributes["href"] or "").removeprefix("#")
            assert titles[place].startswith(f"{label.removeprefix('why: ')}: smol-135m")


def test_the_header_says_what_is_not_measured() -> None:
    base = factory.comparison()
    header = Page(rendered(base)).all("header")[0].words
    assert "Partly estimated: throughput measured, energy measured (second meter: " in header
    assert "nvml (L0: accelerators alone, n/a: no power sensor)" in header
    assert "Checks: 7 of 8 passed, 1 with a warning; none failed." in header
    bare = replace(base, cells=[replace(it, checks=[]) for it in base.cells])
    assert "no validity check was run" in Page(rendered(bare)).all("header")[0].words


def rows_of(page: Page) -> list[tuple[str | None, list[str]]]:
    """The cell that a row is of, and what stands in the row."""
    found: list[tuple[str | None, list[str]]] = []
    for node in page.nodes:
        if node.tag == "tr":
            found.append((node.attributes.get("data-cell"), []))
        elif node.tag == "td":
            found[-1][1].append(node.words)
    return found


def test_every_ranked_value_stands_there_as_everywhere(page: Page) -> None:
    comparison = factory.comparison()
    view = View(comparison)
    ranked = [row for row in rows_of(page) if row[0] and len(row[1]) == 11]
    expected = [
        (
            entry.cell,
            instruments.figure(view, entry.cell, key_of(it.metric, it.meter), entry.value),
            with_interval(entry.ratio_to_best),
        )
        for it in comparison.rankings
        for entry in it.entries
    ]
    found = [(cell, row[3], row[5]) for cell, row in ranked if cell == row[-1]]
    assert sorted(found) == sorted(expected)
    assert {row[4] for _, row in ranked} == {"3"}


def test_every_value_of_every_cell_stands_there(page: Page) -> None:
    told = [row for row in rows_of(page) if row[0] is None]
    for cell in factory.comparison().cells:
        for key, value in cell.values.items():
            if "@nvml" not in key or key.startswith("energy"):
                assert any(with_interval(value) in row for _, row in told)


def test_what_the_script_computes_with_has_every_digit(page: Page) -> None:
    value = factory.comparison().rankings[0].entries[0].value
    numbers = {(node.words, node.attributes.get("data-v")) for node in page.all("td")}
    assert (with_interval(value), f"{value.value:.6g}") in numbers


@pytest.mark.parametrize("key", list(factory.comparison().cells[0].values))
def test_a_deleted_value_is_words_and_never_zero(key: str, page: Page) -> None:
    comparison = factory.comparison()
    cell = comparison.cells[0]
    gone = replace(cell, values={**cell.values, key: absent(cell.values[key].unit, "withheld")})
    found = Page(rendered(replace(comparison, cells=[gone, *comparison.cells[1:]])))
    before, after = ([row for _, row in rows_of(it)] for it in (page, found))
    if "@nvml" in key and not key.startswith("energy"):
        assert before == after
        return
    said = {text for row in after for text in row} - {text for row in before for text in row}
    assert "n/a (withheld)" in said
    assert not {text for text in said if text.startswith("0 ")}


def test_what_is_missing_is_said_in_its_section(page: Page) -> None:
    bare = replace(
        factory.comparison(),
        price=absent("USD/h", "no_price"),
        meters=[],
        missing=[],
        costs=None,
        moe_ratios=[],
        differences=[],
    )
    found = Page(rendered(bare))
    assert texts.NO_CAPACITY in page.one("capacity").words
    assert texts.NO_PRICE in found.one("cost").words
    assert texts.NO_ENERGY in found.one("energy").words
    assert texts.ONE_ARCHITECTURE in found.one("moe").words
    assert "nothing is missing" in found.one("missing").words
    assert "No configurations were compared." in found.one("fairness").words


def test_charts_stand_in_the_page_with_an_accessible_value_for_each_mark(full: Page) -> None:
    figures = [node for node in full.all("figure") if node.attributes["class"] == "chart"]
    assert len(figures) == len(full.all("svg")) >= 6
    assert all(node.attributes["aria-label"] for node in figures)
    told = {node.attributes.get("aria-label") for node in full.nodes}
    for ranking in factory_moe.comparison().rankings:
        for entry in ranking.entries if ranking.primary else []:
            value = with_interval(entry.ratio_to_best)
            assert any(label and label.endswith(f": {value}") for label in told)
    for front in test_fronts.FRONTS:
        for dot in front.points if front.primary else []:
            text = f"{with_interval(dot.value)} at {with_interval(dot.interactivity)}"
            assert any(label and label.endswith(text) for label in told)


def test_every_colour_of_a_chart_has_another_in_the_dark(page: Page) -> None:
    (style,) = page.all("style")
    for colour in (*charts.COLOURS, charts.INK):
        assert f'.chart [fill="{colour}"]' in style.words
        assert f'.chart [stroke="{colour}"]' in style.words


def test_hostile_names_are_inert() -> None:
    content = rendered(test_hostile.hostile())
    found = Page(content)
    plain = Page(rendered(replace(factory.comparison(), fronts=test_fronts.FRONTS)))
    assert {node.tag for node in found.nodes} <= {node.tag for node in plain.nodes} | {"details"}
    assert len(found.all("script")) == len(found.all("style")) == 1
    names = {name for node in found.nodes for name in node.attributes}
    assert not {name for name in names if name.startswith("on")}
    assert not {"Cc", "Cf", "Cs", "Zl", "Zp"} & {
        unicodedata.category(char) for char in content.decode() if char not in "\n\t"
    }
    assert "<script>|" in found.one("answer").words


def test_a_simulation_is_said_above_everything() -> None:
    base = factory.comparison()
    cells = [
        replace(cell, values={k: replace(v, kind="simulated") for k, v in cell.values.items()})
        for cell in base.cells
    ]
    found = Page(rendered(replace(base, cells=cells)))
    (banner,) = (node for node in found.all("p") if node.attributes.get("class") == "banner")
    assert banner.words.startswith("SIMULATED")


@pytest.mark.parametrize(
    "inner", ["<script>1</script>", '<a href="#x">x</a>', '<g fill="url(#x)"/>', '<g onload="x"/>']
)
def test_a_chart_with_more_than_marks_is_refused(inner: str) -> None:
    svg = f'<svg xmlns="http://www.w3.org/2000/svg">{inner}</svg>'.encode()
    with pytest.raises(ValueError, match=r"the chart bad.svg cannot be part of a page"):
        drawing.figure(blocks.Picture("bad.svg", "bad", svg))


def test_code_keeps_its_lines_and_spaces() -> None:
    found = writer.code('a = "<b>"\r\n  c\x1b')
    assert found == (
        '<pre tabindex="0"><code>a = "&lt;b&gt;"\n  c\N{REPLACEMENT CHARACTER}</code></pre>'
    )


def test_several_directories_are_one_page() -> None:
    found = Page(html.render_several(several(factory.comparison()))["report.html"])
    text = found.all("main")[0].words
    assert len(found.all("h1")) == 1
    assert "Groups side by side" in text
    titles = [node.words for node in found.all("h3")]
    assert titles.count("Fairness: what differed between the stacks") == 4
    assert len({node.attributes.get("aria-label") for node in found.all("div")}) > 4
