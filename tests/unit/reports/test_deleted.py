"""Whatever is missing from the results is null with a reason in every output, and never zero.

Each test takes one thing away from stored results: a file, one field of a file, a launch, the
price, the meter. Then every number of the other stack must be what it was.
"""

from __future__ import annotations

import csv
import html
import io
import json
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from msgspec import structs

from inferometer.analyze import analyze
from inferometer.comparison import Comparison
from inferometer.errors import InferometerError
from inferometer.reasons import reason_words
from inferometer.records import LaunchRecord, MeterInfo, Reading, Request, Window
from inferometer.testing.results import Fixture, write_results
from inferometer_reports import html as page
from inferometer_reports import markdown, report_json, tables_csv

WHOLE = Fixture(rates={"a": 120.0, "b": 90.0})
TAKEN = "a"
"""The stack that loses something; the other must not notice."""
MODEL = """
name path sha256 architecture total_parameters active_parameters weights_bytes precision twin_of
routing
"""
STACK = "id engine engine_version profile precision parallelism label"
SHOWN: set[str] = set()
"""Reasons that were found in Markdown and HTML already: rendering is slow."""
FILES = ("chunks.bin", "requests.jsonl", "readings.jsonl", "probes.jsonl")


class Told(NamedTuple):
    """What the three outputs say."""

    comparison: Comparison
    data: dict[str, Any]

    @property
    def markdown(self) -> str:
        return words_of(markdown.render(self.comparison)["report.md"].decode())

    @property
    def html(self) -> str:
        shown = page.render(self.comparison)["report.html"].decode()
        return words_of(re.sub(r"<[^>]+>", " ", shown))

    @property
    def empty_cells(self) -> set[tuple[str, str, str, str]]:
        """What ``values.csv`` leaves empty: stack, model, metric and the reason beside it."""
        text = tables_csv.render(self.comparison)["tables/values.csv"].decode()
        return {
            (row["stack"], row["model"], "@".join(filter(None, names)), row["reason"])
            for row in csv.DictReader(io.StringIO(text))
            for names in [(row["metric"], row["meter"])]
            if not row["value"]
        }

    @property
    def values(self) -> dict[tuple[str, str, str], dict[str, Any]]:
        """Every value of every cell, by stack, model and metric."""
        return {
            (cell["stack"], cell["model"], name): value
            for cell in self.data["cells"]
            for name, value in cell["values"].items()
        }


def words_of(text: str) -> str:
    """Return the words alone: no escapes, white space as single spaces."""
    return " ".join(html.unescape(text).replace("\\", "").split())


def told(comparison: Comparison) -> Told:
    return Told(comparison, json.loads(report_json.render(comparison)["report.json"]))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Told]:
    root = tmp_path_factory.mktemp("whole") / "results"
    write_results(root, WHOLE)
    return root, told(analyze(root))


def check(found: Told, before: Told) -> set[str]:
    """Compare with the whole results; return the metrics that are absent now."""
    gone, reasons, absent = set(), set(), set()
    assert "b" in [cell["stack"] for cell in found.data["cells"]]
    for key, value in found.values.items():
        stack, _, name = key
        was = before.values.get(key)
        assert (value["value"] is None) == (value["reason"] is not None), (key, value)
        if stack != TAKEN and was is not None:
            assert value == was, key
        if stack != TAKEN and was is None:  # on a model of which only the other has the name
            assert value["value"] is None, key
        if value["value"] == 0 and was is not None:
            assert was["value"] == 0, key
        if value["value"] is None and was is not None and was["value"] is not None:
            gone.add(name)
            reasons.add(value["reason"])
            absent.add((*key, value["reason"]))
    texts = [found.markdown, found.html] if reasons - SHOWN else []
    for reason in reasons - SHOWN:
        assert all(words_of(reason_words(reason)) in text for text in texts), reason
    SHOWN.update(reasons)
    assert absent <= (found.empty_cells if absent else set())
    named: dict[str, set[str]] = {}
    for ranking in found.data["rankings"]:
        every = [*ranking["entries"], *ranking["unranked"]]
        named.setdefault(ranking["objective"], set()).update(entry["stack"] for entry in every)
        assert all(entry["value"]["value"] for entry in ranking["entries"])
        assert all(entry["reason"] for entry in ranking["unranked"])
    assert all(stacks == {"a", "b"} for stacks in named.values()), named
    return gone


def launches(root: Path) -> Iterator[Path]:
    """Yield the folders of the launches that lose something."""
    for folder in sorted((root / "launches").iterdir()):
        if json.loads((folder / "launch.json").read_bytes())["stack"]["id"] == TAKEN:
            yield folder


def without(value: Any, field: str) -> Any:
    return {key: item for key, item in value.items() if key != field}


def rewritten(path: Path, change: Callable[[Any], Any]) -> None:
    """Change each JSON document of a file: the only one, or one a line."""
    if path.suffix == ".jsonl":
        rows = [change(json.loads(line)) for line in path.read_bytes().splitlines()]
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        path.write_text(json.dumps(change(json.loads(path.read_bytes()))))


def names(struct: Any) -> list[str]:
    return [field.name for field in structs.fields(struct)]


FIELDS = [
    *(("launch.json", "", name) for name in names(LaunchRecord)),
    *(("launch.json", "windows", name) for name in names(Window)),
    *(("launch.json", "meters", name) for name in names(MeterInfo)),
    *(("launch.json", "model", name) for name in MODEL.split()),
    *(("launch.json", "stack", name) for name in STACK.split()),
    *(("requests.jsonl", "", name) for name in names(Request)),
    *(("readings.jsonl", "", name) for name in names(Reading)),
]


def take(document: Any, inside: str, field: str) -> Any:
    if not inside:
        return without(document, field)
    part = document[inside]
    taken = (
        [without(one, field) for one in part] if isinstance(part, list) else without(part, field)
    )
    return document | {inside: taken}


def outcome(root: Path) -> Told | InferometerError:
    try:
        return told(analyze(root))
    except InferometerError as error:
        return error


@pytest.mark.parametrize(("file", "inside", "field"), FIELDS)
def test_a_field_of_one_stack_is_null_with_a_reason_or_an_error_that_names_the_file(
    file: str, inside: str, field: str, whole: tuple[Path, Told], tmp_path: Path
) -> None:
    root = tmp_path / "results"
    shutil.copytree(whole[0], root)
    for folder in launches(root):
        rewritten(folder / file, lambda document: take(document, inside, field))
    found = outcome(root)
    if isinstance(found, Told):
        check(found, whole[1])
        return
    places = [str(root), *(folder.name for folder in launches(whole[0]))]
    assert any(place in found.message for place in places), found.message
    assert found.hint
    assert found.exit_code != 1


@pytest.mark.parametrize("file", FILES)
def test_a_file_of_one_stack(file: str, whole: tuple[Path, Told], tmp_path: Path) -> None:
    root = tmp_path / "results"
    shutil.copytree(whole[0], root)
    for folder in launches(root):
        (folder / file).unlink(missing_ok=True)
    gone = check(told(analyze(root)), whole[1])
    if file == "readings.jsonl":
        assert "energy_j_per_output_token@fixture" in gone
        assert "output_tok_s" not in gone
    if file in {"chunks.bin", "requests.jsonl"}:
        assert "output_tok_s" in gone


STUDIES = {
    "price": replace(WHOLE, usd_per_hour=None),
    "meter": replace(WHOLE, meter=None),
    "launch": replace(WHOLE, absent=frozenset({("a", 1)})),
    "launches but one": replace(WHOLE, absent=frozenset({("a", 1), ("a", 2)})),
    "every launch": replace(WHOLE, absent=frozenset({("a", 0), ("a", 1), ("a", 2)})),
    "failed launch": replace(WHOLE, failed=frozenset({("a", 0)})),
}


@pytest.mark.parametrize("what", STUDIES)
def test_a_part_of_the_study(what: str, whole: tuple[Path, Told], tmp_path: Path) -> None:
    write_results(tmp_path / "results", STUDIES[what])
    found = told(analyze(tmp_path / "results"))
    ranked = {
        ranking["objective"]: [entry["stack"] for entry in ranking["entries"]]
        for ranking in found.data["rankings"]
    }
    if what in {"price", "meter"}:
        objective, metric = {
            "price": ("cost", "bill_usd_per_mtok_output"),
            "meter": ("energy", "energy_j_per_output_token@fixture"),
        }[what]
        assert not ranked.get(objective)
        assert all(
            value["value"] is None for (_, _, name), value in found.values.items() if name == metric
        )
        both = [(key, value) for key, value in found.values.items() if key[2] == "output_tok_s"]
        assert [value for _, value in both] == [whole[1].values[key] for key, _ in both]
        words = {"price": "no price given", "meter": "no power sensor"}[what]
        assert words in found.markdown.casefold()
        assert words in found.html.casefold()
        return
    gone = check(found, whole[1])
    assert ("output_tok_s" in gone) == (what == "every launch")


def test_too_few_requests_for_a_percentile(tmp_path: Path) -> None:
    write_results(tmp_path / "results", replace(WHOLE, rates={"a": 40.0, "b": 40.0}, window_s=2))
    found = told(analyze(tmp_path / "results"))
    few = {name for (_, _, name), value in found.values.items() if value["value"] is None}
    assert {"ttft_p99_ms", "ttft_p90_ms", "tpot_p99_ms"} <= few
    for value in (found.values["a", "dense", name] for name in ("ttft_p90_ms", "ttft_p99_ms")):
        assert (value["value"], value["reason"]) == (None, "too_few_samples")
    assert "too few samples" in found.markdown
    assert "too few samples" in found.html
