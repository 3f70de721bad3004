"""The hook, ``report.json`` and ``report.txt``."""

import subprocess
import sys
from io import StringIO

import msgspec
from msgspec.structs import replace
from rich.console import Console
from tests.unit.reports import factory

from inferometer.comparison import Comparison
from inferometer_reports import console, inferometer_renderers, report_json


def test_renderers_are_found_by_name_and_repeat_their_bytes() -> None:
    files = {}
    for renderer in inferometer_renderers():
        once, again = (dict(renderer.render(factory.comparison())) for _ in range(2))
        assert once == again
        files[renderer.name] = set(once)
    assert files == {"md": {"report.md"}, "json": {"report.json"}, "text": {"report.txt"}}


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


def test_summary_prints_to_a_console() -> None:
    file = StringIO()
    console.print_summary(factory.comparison(), Console(file=file, width=60))
    assert "QUICK LOOK" in file.getvalue()
