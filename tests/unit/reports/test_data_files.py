"""CSV tables, OpenMetrics and figure files: data for other programs, inert and without zeros."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace
from tests.unit.reports import factory
from tests.unit.reports.figures import MODELS, SPEEDS

from inferometer.comparison import Comparison, rows
from inferometer.comparison.rows.table import VALUE
from inferometer_reports import figure_files, openmetrics, tables_csv

DOCUMENTATION = Path(__file__).parents[3] / "docs" / "reference" / "data-files.md"
pytestmark = pytest.mark.computing
FORMULAS = [
    '=HYPERLINK("http://x.invalid","a")',
    "+1",
    "-1",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "  =1",
    "\uff1d1",
]


def table(comparison: Comparison, name: str) -> list[dict[str, str]]:
    content = tables_csv.render(comparison)[f"tables/{name}.csv"].decode()
    return list(csv.DictReader(io.StringIO(content, newline="")))


def hostile(name: str) -> Comparison:
    base = factory.comparison()
    cells = [replace(cell, workload=name, refused=name) for cell in base.cells]
    stacks = [replace(stack, label=name, command=name) for stack in base.stacks]
    return replace(base, stacks=stacks, cells=cells)


# -- CSV -----------------------------------------------------------------------------------


def test_every_table_has_a_file_and_a_header() -> None:
    files = tables_csv.render(factory.comparison())
    assert set(files) == {f"tables/{name}.csv" for name in rows.NAMES}
    for name in rows.NAMES:
        header = files[f"tables/{name}.csv"].decode().splitlines()[0]
        assert header == ",".join(rows.table(factory.comparison(), name).columns)


def test_numbers_are_not_rounded_and_what_is_absent_has_a_reason() -> None:
    found = {(row["cell"], row["metric"]): row for row in table(factory.comparison(), "values")}
    speed = found["vllm-dense", "output_tok_s"]
    assert float(speed["value"]) == SPEEDS["dense"]["vllm"]
    assert (speed["kind"], speed["n"], speed["reason"]) == ("measured", "3", "")
    assert speed["result"] == "vllm-dense#output_tok_s"
    late = found["vllm-dense", "ttft_p99_ms"]
    assert (late["value"], late["low"], late["reason"]) == ("", "", "too_few_samples")


def test_ties_and_places_are_those_of_the_rankings() -> None:
    found = [
        (row["model"], row["stack"], row["place"], row["shared"])
        for row in table(factory.comparison(), "rankings")
        if row["objective"] == "throughput"
    ]
    dense, moe = MODELS["dense"], MODELS["moe"]
    assert [row[2:] for row in found if row[0] == dense] == [("1", "false"), ("2", "false")]
    assert [row[2:] for row in found if row[0] == moe] == [("1", "true"), ("1", "true")]


def test_the_documentation_has_every_column_in_its_order() -> None:
    number = "`, `".join(VALUE)
    text = DOCUMENTATION.read_text().replace("the columns of a number", f"`{number}`")
    told = dict(re.findall(r"^\| `(\w+)` \| [^|]+ \| (.+) \|$", text, re.MULTILINE))
    for name in rows.NAMES:
        columns = list(rows.table(factory.comparison(), name).columns)
        assert re.findall(r"`(\w+)`", told[name]) == columns, name


@pytest.mark.parametrize("name", FORMULAS)
def test_a_formula_in_a_name_stays_text(name: str) -> None:
    starts = tuple("=+-@\t\r\n\uff1d")
    for table_name in ("stacks", "cells", "values"):
        for row in table(hostile(name), table_name):
            for column, cell in row.items():
                assert column in VALUE or not cell.lstrip(" ").startswith(starts), (column, cell)
    (label, *_) = [row["label"] for row in table(hostile(name), "stacks")]
    assert label == f"'{name}".replace("\r", "\n")


def test_a_negative_number_stays_a_number() -> None:
    base = factory.comparison()
    value = replace(base.cells[0].values["output_tok_s"], value=-2.5)
    cell = replace(base.cells[0], values={"output_tok_s": value})
    (row,) = table(replace(base, cells=[cell]), "values")
    assert row["value"] == "-2.5"


def test_control_characters_and_lone_surrogates_reach_no_file() -> None:
    found = hostile('a\x1b[31m\udcff\u202e,"b"\nc')
    (row, *_) = table(found, "stacks")
    assert row["label"] == 'a\ufffd[31m\ufffd\ufffd,"b"\nc'


def test_what_is_not_finite_is_absent() -> None:
    base = factory.comparison()
    value = replace(base.cells[0].values["output_tok_s"], value=float("inf"))
    cell = replace(base.cells[0], values={"output_tok_s": value})
    found = replace(base, cells=[cell])
    (row,) = table(found, "values")
    assert row["value"] == ""
    samples = _samples(openmetrics.render(found)[openmetrics.FILE].decode())
    assert 'reason="not_finite"' in samples
    assert "} inf" not in samples


# -- OpenMetrics -----------------------------------------------------------------------------

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
LABEL = r'[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\[\\"n])*"'
SAMPLE = re.compile(rf"({NAME})(\{{{LABEL}(?:,{LABEL})*\}})? (-?[0-9.]+(?:e[+-]?[0-9]+)?)")
META = re.compile(rf"# (TYPE|UNIT|HELP) ({NAME}) (.*)")


def _samples(text: str) -> str:
    return "\n".join(line for line in text.splitlines() if not line.startswith("#"))


def families(text: str) -> Iterator[tuple[str, dict[str, str], list[tuple[str, str, float]]]]:
    """Yield name, metadata and samples of each family; what the grammar does not allow fails."""
    assert text.endswith("\n# EOF\n")
    name, meta, samples = "", dict[str, str](), list[tuple[str, str, float]]()
    for line in text.removesuffix("# EOF\n").splitlines():
        if found := META.fullmatch(line):
            kind, its, words = found.groups()
            if its != name:
                if name:
                    yield name, meta, samples
                name, meta, samples = its, {}, []
            assert kind not in meta
            assert not samples, f"{line}: metadata behind samples"
            meta[kind] = words
        else:
            sample = SAMPLE.fullmatch(line)
            assert sample, line
            samples.append((sample[1], sample[2] or "", float(sample[3])))
    yield name, meta, samples


def test_openmetrics_holds_to_the_grammar() -> None:
    text = openmetrics.render(hostile('a\\b"c\nd{e}=1'))[openmetrics.FILE].decode()
    seen = set()
    for name, meta, samples in families(text):
        assert name not in seen, "a family is in one piece"
        seen.add(name)
        assert meta["TYPE"] in {"gauge", "info"}
        assert "HELP" in meta
        assert name.endswith(meta.get("UNIT", ""))
        suffix = "_info" if meta["TYPE"] == "info" else ""
        assert {its for its, _, _ in samples} == {f"{name}{suffix}"}
        assert len({labels for _, labels, _ in samples}) == len(samples)
    assert r'workload="a\\b\"c\nd{e}=1"' in text
    assert "nan" not in _samples(text).lower()


def test_openmetrics_has_base_units_and_says_what_is_absent() -> None:
    comparison = factory.comparison()
    text = openmetrics.render(comparison)[openmetrics.FILE].decode()
    found = {name: (meta, samples) for name, meta, samples in families(text)}
    meta, samples = found["inferometer_ttft_p50_seconds"]
    assert meta["UNIT"] == "seconds"
    assert {value for _, _, value in samples} == {41.26 / 1000}
    _, speeds = found["inferometer_output_tokens_per_second"]
    assert sorted(value for *_, value in speeds) == sorted(
        speed for stacks in SPEEDS.values() for speed in stacks.values()
    )
    assert "inferometer_ttft_p99_seconds" not in found
    _, absent = found["inferometer_absent"]
    late = [labels for _, labels, _ in absent if 'metric="ttft_p99_ms"' in labels]
    assert len(late) == len(comparison.cells)
    assert all('reason="too_few_samples"' in labels for labels in late)
    low, high = (found[f"inferometer_ttft_p50_{end}_seconds"][1] for end in ("low", "high"))
    assert low[0][2] < 41.26 / 1000 < high[0][2]
    places = [value for *_, value in found["inferometer_place"][1]]
    assert set(places) == {1.0, 2.0}


# -- figures ---------------------------------------------------------------------------------


def test_every_chart_is_a_file_twice() -> None:
    files = figure_files.render(factory.comparison())
    stems = {name.rpartition(".")[0] for name in files}
    assert {f"{stem}.{end}" for stem in stems for end in ("svg", "png")} == set(files)
    assert "figures/ranking-dense" in stems
    for name, content in files.items():
        assert content.startswith(b"<svg" if name.endswith("svg") else b"\x89PNG"), name
