"""The hook, ``report.json`` and ``report.txt``."""

import subprocess
import sys
from io import StringIO

import msgspec
from msgspec.structs import replace
from rich.console import Console
from tests.unit.reports import factory

from inferometer.comparison import Comparison
from inferometer_reports import charts, console, inferometer_renderers, report_json, words
from inferometer_reports.view import View


def test_renderers_are_found_by_name_and_repeat_their_bytes() -> None:
    files = {}
    for renderer in inferometer_renderers():
        once = dict(renderer.render(factory.comparison()))
        charts.drawn.cache_clear()
        again = dict(renderer.render(factory.comparison()))
        assert once == again
        files[renderer.name] = {name.partition("/")[0] for name in once}
    assert files == {
        "html": {"report.html"},
        "md": {"report.md"},
        "json": {"report.json"},
        "text": {"report.txt"},
        "csv": {"tables"},
        "figures": {"figures"},
        "openmetrics": {"report.openmetrics.txt"},
    }


def test_importing_the_plugin_imports_no_renderer() -> None:
    code = (
        "import sys, inferometer_reports; inferometer_reports.inferometer_renderers(); "
        "heavy = {'rich', 'msgspec', 'polars', 'inferometer_reports.words'} & set(sys.modules); "
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_json_is_the_comparison() -> None:
    comparison = factory.comparison()
    content = report_json.render(comparison)["report.json"]
    assert msgspec.json.decode(content, type=Comparison) == comparison
    assert content.startswith(b'{\n  "schema": "inferometer/report/2",\n')


def test_json_does_not_depend_on_the_order_of_keys() -> None:
    comparison = factory.comparison()
    turned = replace(comparison, host=dict(reversed(comparison.host.items())))
    assert report_json.render(turned) == report_json.render(comparison)


def test_json_survives_text_that_is_not_unicode() -> None:
    broken = replace(factory.comparison(), host={"path\udcff": ["\udcff"]})
    content = report_json.render(broken)["report.json"]
    assert msgspec.json.decode(content, type=Comparison).host == {"path\ufffd": ["\ufffd"]}


def test_text_has_answers_and_rankings_in_100_columns() -> None:
    lines = console.render(factory.comparison())["report.txt"].decode().splitlines()
    assert max(len(line) for line in lines) <= 100
    text = "\n".join(lines)
    assert "Throughput, dense: vllm 0.32.0 leads: 1.25x" in text
    assert "Energy, MoE: no clear winner" in text
    assert "=1" in text
    assert "0.800 (0.760 to 0.840)" in text


def test_the_answer_of_the_text_is_short_and_whole_below() -> None:
    comparison = factory.comparison()
    text = console.render(comparison)["report.txt"].decode()
    above = text[text.index("Throughput, dense:") : text.index("How sure:")]
    assert len(above.split()) <= 120
    assert "in brackets: 95 % intervals over 3 launches." in above
    below = " ".join(text[text.index("Checks:") :].split())
    for statement in words.answers(View(comparison)):
        assert f"{statement.lead} {statement.text}" in below


def test_summary_prints_to_a_console() -> None:
    file = StringIO()
    console.print_summary(factory.comparison(), Console(file=file, width=60))
    assert "QUICK LOOK" in file.getvalue()
