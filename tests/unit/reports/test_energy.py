"""Energy says the same in the terminal, in Markdown and in JSON: what it is, or why it is not."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING

import msgspec
import polars as pl
import pytest
from msgspec.structs import replace
from tests.unit.reports import factory, figures

from inferometer.analyze import analyze, gather
from inferometer.cells import build_cells, build_models
from inferometer.comparison import Comparison
from inferometer.records import MeterInfo
from inferometer.store import Store
from inferometer.testing.results import Fixture, write_results
from inferometer_reports import console, instruments, markdown, report_json

if TYPE_CHECKING:
    from pathlib import Path

DECLARED = MeterInfo(
    name="declared",
    scope="L2",
    kind="declared",
    method="a constant 80 W for the whole machine, declared in the study",
    follows_throughput=True,
)
ABSENT = MeterInfo(
    name="rapl", scope="L1", kind="measured", method="counters", reason="no_sensor", detail="none"
)
KEY = "energy_j_per_output_token"


def outputs(tmp_path: Path, meter: MeterInfo | None) -> tuple[str, str, Comparison]:
    """Return the terminal's summary, ``report.md`` and ``report.json`` of a quick look."""
    write_results(tmp_path, Fixture(rates={"a": 40.0, "b": 80.0}, meter=meter))
    for file in tmp_path.glob("launches/*/launch.json"):  # as if an engine had run
        record = json.loads(file.read_bytes())
        record["environment"]["kind"] = "venv"
        file.write_text(json.dumps(record))
    found = analyze(tmp_path)
    text = console.render(found)["report.txt"].decode()
    page = markdown.render(found)["report.md"].decode()
    content = report_json.render(found)["report.json"]
    return text, page, msgspec.json.decode(content, type=Comparison)


def test_declared_watts_are_estimated_energy_everywhere(tmp_path: Path) -> None:
    text, page, told = outputs(tmp_path, DECLARED)
    for output in (text, page):
        one_line = " ".join(output.split())
        assert "Energy:" in one_line
        assert f"declared (L2, estimated): {DECLARED.method}." in one_line
    assert f"Energy estimated: {DECLARED.method}" in text
    assert "2.00 est." in text
    assert "| 2 | 2 | a 0 | 2.00 est." in page
    assert "estimated |" in page.partition("## Energy")[2].partition("## Launch")[0]
    assert told.meters == [DECLARED]
    for cell in told.cells:
        assert cell.values[f"{KEY}@declared"].kind == "estimated"
        assert cell.values["mean_power_w@declared"].kind == "declared"


@pytest.mark.parametrize("meter", [None, ABSENT])
def test_no_sensor_is_said_everywhere(tmp_path: Path, meter: MeterInfo | None) -> None:
    text, page, told = outputs(tmp_path, meter)
    for output in (text, page):
        one_line = " ".join(output.replace("\\", "").split())
        assert "n/a (no_sensor: no power sensor;" in one_line
        assert "not ranked: no power sensor" in one_line
    energy = [r for r in told.rankings if r.objective == "energy" and r.unranked]
    assert {item.reason for ranking in energy for item in ranking.unranked} == {"no_sensor"}
    for cell in told.cells:
        values = [value for key, value in cell.values.items() if key.startswith(f"{KEY}@")]
        assert {value.reason for value in values} == ({"no_sensor"} if meter else set())
        assert all(value.value is None for value in values)


def test_one_instrument_alone_is_marked_beside_the_figure() -> None:
    page = markdown.render(factory.comparison())["report.md"].decode()
    assert "0.225 (0.216 to 0.234) uncorroborated" in page
    text = " ".join(console.render(factory.comparison())["report.txt"].decode().split())
    assert "uncorroborated" in text


@pytest.mark.parametrize(
    ("detail", "reason", "expected"),
    [
        ("uncorroborated: one instrument alone", None, "uncorroborated"),
        ("corroborated: agrees within 2 % (nvml)", None, "corroborated"),
        ("corroborated: agrees; uncorroborated: one alone", None, "uncorroborated"),
        ("differ by 30 %", "disputed", "disputed"),
        ("net of bare idle: 5 W over 10 s", None, ""),
    ],
)
def test_marks(detail: str, reason: str | None, expected: str) -> None:
    value = replace(figures.value(1.0, "J/token"), detail=detail, reason=reason)
    assert instruments.mark(value) == expected


def test_phases_add_up_and_refusals_are_told() -> None:
    page = markdown.render(factory.comparison())["report.md"].decode()
    section = page.partition("### Prefill and decode")[2].partition("\n## ")[0]
    assert "| 13.2 % | 42.1 % | 47.4 % | -2.6 % | 3800 |" in section
    assert "chat -3.1 %" in section
    assert "25 % of its busy seconds as prefill" in section
    assert "Not told apart: transformers 5.19.0" in section
    assert "psys (left out: contains package-0)" in page


def test_what_was_not_declared_has_one_line_and_no_rows(tmp_path: Path) -> None:
    _, page, told = outputs(tmp_path, DECLARED)
    (line,) = [line for line in page.splitlines() if line.startswith("Not declared in the study")]
    assert "Goodput" in line
    assert "Carbon per million output tokens" in line
    assert not [row for row in page.splitlines() if row.startswith("| Goodput (req/s) | n/a")]
    assert told.cells[0].values["goodput_requests_s"].reason == "not_declared"


def test_a_dispute_in_one_launch_stands_beside_the_figure_of_the_others(tmp_path: Path) -> None:
    write_results(tmp_path, Fixture(rates={"a": 40.0}, rounds=3))
    evidence = gather(Store(tmp_path))
    said = "corroborated: agrees within 2 %"
    changed = pl.when(pl.col("metric") != KEY).then("value")
    points = evidence.points.with_columns(
        value=changed.when(pl.col("round") != 1).then("value"),
        reason=pl.when((pl.col("metric") == KEY) & (pl.col("round") == 1))
        .then(pl.lit("disputed"))
        .otherwise("reason"),
        detail=pl.when(pl.col("metric") == KEY).then(pl.lit(said)).otherwise("detail"),
    )
    (cell,) = build_cells(dataclasses.replace(evidence, points=points), build_models(evidence))
    (found,) = [value for key, value in cell.values.items() if key.startswith(KEY)]
    assert (found.n, found.reason) == (2, None)
    assert instruments.mark(found) == "partly disputed"
