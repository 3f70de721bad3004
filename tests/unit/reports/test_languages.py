"""The languages of the reports: complete catalogues, and the same facts in every language."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import msgspec
import pytest
from tests.unit.reports import factory, factory_moe
from tests.unit.reports.figures import absent

from inferometer.comparison import Comparison, Kind, Objective, Ranking, Value
from inferometer.contests import COST_FOLLOWS, ENERGY_FOLLOWS
from inferometer.costwords import sections
from inferometer.language import ENGLISH, current, later, speaking, tr, trs
from inferometer.metrics import catalogue
from inferometer.numbers import interval, number, percent, point, shown, times, with_interval
from inferometer.reasons import WORDS, listing, reason_words
from inferometer.renderer import LanguageRenderer
from inferometer_reports import inferometer_renderers, words
from inferometer_reports.languages import LANGUAGES, load
from inferometer_reports.phrases import plural
from inferometer_reports.verdicts import clause, inverse
from inferometer_reports.view import View, by_place, leaders

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[3]
MARKED = (
    *(ROOT / "reports").rglob("*.py"),
    *(ROOT / "core" / "inferometer" / "costwords").glob("*.py"),
    *(ROOT / "core" / "inferometer" / f"{name}.py" for name in ("numbers", "reasons")),
)
CATALOGUES = ROOT / "reports" / "inferometer_reports" / "languages"
CODES = {
    *get_args(Kind),
    *get_args(Objective),
    *("best", "tie", "behind", "undecided", "alone", "better"),
    *("pass", "warn", "fail", "unknown", "not comparable"),
    *("disputed", "partly disputed", "uncorroborated", "corroborated"),
    *("higher is better", "lower is better", "trained", "synthetic", "none"),
    *("memory", "compute", "quick look", "study", COST_FOLLOWS, ENERGY_FOLLOWS),
}
"""Words of a result that are shown as they are."""
CHECKED = (
    *("client cpu", "closed under load", "cold cache", "delivered concurrency", "engine's cache"),
    *("engine's count", "errors", "fresh prompts", "little's law", "loop lag", "lost requests"),
    *("one clock", "output length", "preemptions", "prompt length", "quiet machine"),
    *("retokenised sample", "same work", "send lag", "token counting", "tokens per chunk"),
    *("window length", "Time to ready", "Peak memory", "Peak device memory"),
    *("Memory of the weights", "KV cache capacity", "Requests of full length that fit", "workload"),
)
"""Names of checks, titles of what is measured once a launch, and a head of some tables."""
FIELD = re.compile(r"{(\w*)}")


def marked() -> Iterator[str]:
    """Yield every template in the code: of tr, trs and later, and the nouns of plural."""
    for path in MARKED:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute):
                yield from texts(node)


def texts(call: ast.Call) -> Iterator[str]:
    name = call.func.id if isinstance(call.func, ast.Name) else getattr(call.func, "attr", "")
    where = {"tr": slice(1), "later": slice(1), "trs": slice(None), "plural": slice(1, 2)}
    for arg in call.args[where.get(name, slice(0))]:
        for one in (arg.body, arg.orelse) if isinstance(arg, ast.IfExp) else (arg,):
            if isinstance(one, ast.Constant) and isinstance(one.value, str):
                yield one.value


OTHERS = [code for code in LANGUAGES if code != ENGLISH.code]


@pytest.mark.parametrize("code", OTHERS)
def test_every_template_has_an_entry_and_no_entry_is_an_orphan(code: str) -> None:
    wanted = {*marked(), *WORDS.values(), *CODES, *(it.title for it in catalogue.METRICS)}
    there = set(load(code).templates)
    assert wanted - there == set()
    heads = {
        head for one in sections(factory.comparison()) for it in one.tables for head in it.header
    }
    assert there - wanted - heads == set(CHECKED)


@pytest.mark.parametrize("code", OTHERS)
def test_no_entry_stands_twice(code: str) -> None:
    tables = tomllib.loads((CATALOGUES / f"{code}.toml").read_text())
    keys = [key for name, table in tables.items() if name != "language" for key in table]
    assert sorted(keys) == sorted(set(keys))


@pytest.mark.parametrize("code", OTHERS)
def test_entries_keep_the_names_and_the_numbers(code: str) -> None:
    for english, text in load(code).templates.items():
        assert sorted(FIELD.findall(text)) == sorted(FIELD.findall(english)), english
        assert sorted(re.findall(r"\d+", text)) == sorted(re.findall(r"\d+", english)), english
        assert english[:1].isspace() == text[:1].isspace(), english
        assert english[-1:].isspace() == text[-1:].isspace(), english


def plain(text: str, code: str, english: str) -> list[str]:
    """Return the numbers of a text in the marks of C; details that stay English keep theirs."""
    for literal in sorted(re.findall(r"\d{1,3}(?:,\d{3})+", english), key=len, reverse=True):
        text = text.replace(literal, literal.replace(",", ""))
    text = re.sub(r"(?<=\d)\u202f(?=\d{3})", "", text)
    text = text.replace("no rankings", "0 rankings") if code == "en" else text.replace(",", ".")
    return sorted(re.findall(r"\d+(?:\.\d+)?", text))


def in_language(code: str, format_: str, comparison: Comparison) -> str:
    (renderer,) = (one for one in inferometer_renderers() if one.name == format_)
    assert isinstance(renderer, LanguageRenderer)
    return renderer.in_language(code).render(comparison)[f"report.{SUFFIX[format_]}"].decode()


SUFFIX = {"md": "md", "text": "txt", "json": "json", "html": "html"}
COMPARISONS = {"small": factory.comparison, "dense and MoE": factory_moe.comparison}


@pytest.mark.parametrize("name", COMPARISONS)
@pytest.mark.parametrize("format_", ["md", "text"])
@pytest.mark.parametrize("code", OTHERS)
def test_every_language_has_the_same_numbers(code: str, format_: str, name: str) -> None:
    comparison = COMPARISONS[name]()
    english, other = (in_language(it, format_, comparison) for it in ("en", code))
    assert english != other
    assert plain(other, code, english) == plain(english, "en", english)


def test_the_answer_is_that_of_the_json_in_every_language() -> None:
    comparison = factory.comparison()
    stored = msgspec.json.decode(in_language("id", "json", comparison), type=Comparison)
    assert stored == comparison
    view = View(stored)
    for code in LANGUAGES:
        with speaking(load(code)):
            for ranking in stored.rankings:
                assert_says(view, ranking, clause(view, ranking))


def assert_says(view: View, ranking: Ranking, said: str) -> None:
    """Hold a sentence against its ranking: who, by how much, how sure."""
    first = by_place(ranking)
    if len(first) < 2:
        return
    ratio = inverse(first[1].ratio_to_best)
    figure = times(ratio)
    assert interval(ratio) in figure
    assert figure in said or figure.replace("x ", " ", 1) in said
    names = [view.label(entry.stack) for entry in first[:2]]
    assert all(name in said for name in names)
    leads = tr("{best} leads: ", best=names[0])
    assert said.startswith(leads) == (ranking.separated and len(leaders(ranking)) == 1)


def test_the_answer_in_indonesian() -> None:
    view = View(factory.comparison())
    with speaking(load("id")):
        first, *_, dense_moe = (f"{it.lead} {it.text}" for it in words.answers(view)[:2])
    assert first == (
        "Throughput, dense: vllm 0.32.0 unggul: 1,25x (95 % 1,19 sampai 1,32, n = 3) throughput "
        "keluaran transformers 5.19.0."
    )
    assert dense_moe == (
        "Throughput, MoE: tidak ada pemenang yang jelas di antara vllm 0.32.0 dan transformers "
        "5.19.0: rasio 1,02 (95 % 0,97 sampai 1,07, n = 3); selisih di bawah 6 % tidak akan "
        "terlihat."
    )


@pytest.mark.parametrize("format_", SUFFIX)
def test_english_is_what_it_is_without_a_language(format_: str) -> None:
    comparison = factory.comparison()
    (renderer,) = (one for one in inferometer_renderers() if one.name == format_)
    plain_text = renderer.render(comparison)[f"report.{SUFFIX[format_]}"].decode()
    in_language("id", format_, comparison)
    assert in_language("en", format_, comparison) == plain_text


@pytest.mark.parametrize("format_", ["json", "csv", "openmetrics"])
def test_data_are_the_same_in_every_language(format_: str) -> None:
    comparison = factory.comparison()
    (renderer,) = (one for one in inferometer_renderers() if one.name == format_)
    assert isinstance(renderer, LanguageRenderer)
    assert renderer.in_language("id").render(comparison) == renderer.render(comparison)


def test_an_unknown_language_is_refused() -> None:
    with pytest.raises(ValueError, match="no catalogue of language 'xx'; there are en, id"):
        load("xx")


def test_marks_of_numbers() -> None:
    with speaking(load("id")):
        assert number(1.234) == "1,23"
        assert number(1_234_567.0, figures=7, grouped=True) == "1\u202f234\u202f567"
        assert percent(6.0) == "6 %"
        assert percent(6.4) == "6,4 %"
        assert shown(1.5, ".2f") == "1,50"
    with speaking(load("en")):
        assert number(1_234_567.0, figures=7, grouped=True) == "1\u202f234\u202f567"
    assert number(1.234) == "1.23"
    assert current() is ENGLISH


def test_words_of_the_core() -> None:
    value = Value(value=201.0, low=195.0, high=208.0, unit="tok/s", kind="measured", n=3)
    with speaking(load("id")):
        assert with_interval(value) == "201 (195 sampai 208)"
        assert listing(["A", "B", "C"]) == "A, B dan C"
        assert reason_words("no_sensor") == "tidak ada sensor daya"
        assert point(absent("USD", "no_price")) == "n/a (harga tidak diberikan)"
        assert (plural(3, "round"), plural(0, "round")) == ("tiga putaran", "0 putaran")
    assert (plural(3, "round"), plural(0, "round")) == ("three rounds", "no rounds")


def test_a_template_is_filled_in_once_and_foreign_braces_stay() -> None:
    assert tr("{best} leads: ", best="{names}") == "{names} leads: "
    assert tr("{not a field}") == "{not a field}"
    assert later("x") == "x"
    assert trs("Stack", "n") == ["Stack", "n"]
