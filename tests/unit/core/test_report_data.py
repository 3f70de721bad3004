"""A report's data files say the same: JSON, CSV, Parquet, Markdown, and the manifest of them."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
import subprocess
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from inferometer import cli
from inferometer.cli.manifest import write as write_manifest
from inferometer.comparison import Value
from inferometer.numbers import with_interval
from inferometer.records import MeterInfo
from inferometer.testing.results import Fixture, write_results

pytestmark = pytest.mark.computing
RATES = {"a": 40.0, "b": 20.0}
DEAF = MeterInfo(
    name="fixture", scope="L0", kind="measured", method="none", reason="no_sensor", detail="no"
)
STUDIES = {
    "whole": Fixture(rates=RATES),
    "no price": Fixture(rates=RATES, usd_per_hour=None),
    "no sensor": Fixture(rates=RATES, meter=DEAF),
    "no meter": Fixture(rates=RATES, meter=None),
    "a launch less": Fixture(rates=RATES, absent=frozenset({("b", 2)})),
    "a stack that failed": Fixture(rates=RATES, failed=frozenset({("b", n) for n in range(3)})),
    "one launch": Fixture(rates=RATES, rounds=1),
    "tokens unknown": Fixture(rates=RATES, counted=False),
    "dense and MoE": Fixture(rates=RATES, models=("dense", "moe")),
}


def report(root: Path, fixture: Fixture, *flags: str) -> Path:
    write_results(root, fixture)
    assert cli.main(["report", str(root), *flags]) == 0
    return root / "report"


def read(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(path.read_text(), newline="")))


def numbers(item: Any, place: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every number of a ``report.json`` with its JSON pointer."""
    if isinstance(item, dict) and set(item) == set(Value.__struct_fields__):
        yield place, item
    elif isinstance(item, dict):
        for key, value in item.items():
            escaped = key.replace("~", "~0").replace("/", "~1")
            yield from numbers(value, f"{place}/{escaped}")
    elif isinstance(item, list):
        for index, value in enumerate(item):
            yield from numbers(value, f"{place}/{index}")


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return the report of a study in all formats that are compared, made at the first call."""

    @cache
    def made(name: str) -> Path:
        root = tmp_path_factory.mktemp("study") / "r"
        return report(root, STUDIES[name], "--format", "json,csv,md")

    return made


@pytest.mark.parametrize("name", STUDIES)
def test_csv_has_every_number_of_the_json_or_its_reason(
    name: str, reports: Callable[[str], Path]
) -> None:
    folder = reports(name)
    told = dict(numbers(json.loads((folder / "report.json").read_bytes())))
    rows = {row["result"]: row for row in read(folder / "tables" / "numbers.csv")}
    assert set(rows) == set(told)
    assert any(value["value"] is None for value in told.values())
    for place, value in told.items():
        row = rows[place]
        for column in ("value", "low", "high"):
            seen = float(row[column]) if row[column] else None
            assert seen == value[column], (place, column)
        assert (row["kind"], row["n"]) == (value["kind"], str(value["n"]))
        assert row["reason"] == (value["reason"] or "")
        assert (row["value"] == "") == (row["reason"] != ""), place


@pytest.mark.parametrize("name", STUDIES)
def test_markdown_has_the_values_of_the_csv(name: str, reports: Callable[[str], Path]) -> None:
    folder = reports(name)
    text = (folder / "report.md").read_text()
    cells = {cell.strip() for line in text.splitlines() for cell in line.split("|")}
    seen = 0
    for row in read(folder / "tables" / "values.csv"):
        if row["value"]:
            # reports set thousands apart by a thin space, the core by a comma
            assert with_interval(value_of(row)).replace(",", "\N{NARROW NO-BREAK SPACE}") in cells
            seen += 1
    assert seen > 10 or name == "tokens unknown"


def value_of(row: dict[str, str]) -> Value:
    low, high = (float(row[end]) if row[end] else None for end in ("low", "high"))
    kind: Any = row["kind"]
    return Value(
        value=float(row["value"]), unit=row["unit"], kind=kind, n=int(row["n"]), low=low, high=high
    )


def test_parquet_has_the_requests_behind_the_values(tmp_path: Path) -> None:
    folder = report(tmp_path / "r", Fixture(rates=RATES, rounds=1))
    frame = pl.read_parquet(folder / "requests.parquet")
    values = {
        (row["stack"], row["metric"]): row["value"]
        for row in read(folder / "tables" / "values.csv")
        if row["value"]
    }
    for stack, gap in (("a", 100.0), ("b", 200.0)):
        own = frame.filter(pl.col("stack") == stack, "in_latency")
        assert own["ttft_ms"].mean() == pytest.approx(gap)
        assert float(values[stack, "ttft_ms"]) == pytest.approx(own["ttft_ms"].mean())
        assert float(values[stack, "e2e_ms"]) == pytest.approx(own["e2e_ms"].mean())
        ended = frame.filter(pl.col("stack") == stack, "ended_in_window")
        assert float(values[stack, "requests_s"]) == pytest.approx(ended.height / 10)


def test_the_report_names_the_hash_of_the_requests(tmp_path: Path) -> None:
    folder = report(tmp_path / "r", STUDIES["whole"])
    content = (folder / "requests.parquet").read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    (file,) = json.loads((folder / "report.json").read_bytes())["files"]
    assert (file["name"], file["sha256"]) == ("requests.parquet", digest)
    assert file["bytes"] == len(content)
    assert file["rows"] == pl.read_parquet(io.BytesIO(content)).height
    assert digest in (folder / "report.md").read_text()
    assert digest in (folder / "report.html").read_text()
    assert read(folder / "tables" / "files.csv")[0]["sha256"] == digest


def test_requests_hold_no_secret_of_an_error(tmp_path: Path) -> None:
    store = write_results(tmp_path / "r", Fixture(rates={"a": 40.0}, rounds=1))
    (record,) = store.launches()
    path = store.folder(record.id) / "requests.jsonl"
    first, *rest = path.read_bytes().splitlines(keepends=True)
    error = b'"error":"\\u001b[31mBearer abcdefghijkl refused"'
    reason = b'"finish_reason":"\\u001b[2Jstop sk-abcdefghijklmnopqrst"'
    first = re.sub(rb'"finish_reason":(null|"[^"]*")', reason.replace(b"\\", rb"\\"), first)
    assert reason in first
    path.write_bytes(b"".join([first.replace(b'"error":null', error), *rest]))
    assert cli.main(["report", str(store.root), "--format", "json"]) == 0
    frame = pl.read_parquet(store.root / "report" / "requests.parquet")
    assert frame["error"].drop_nulls().to_list() == ["[hidden] refused"]
    assert "stop [hidden]" in frame["finish_reason"].to_list()
    assert not frame["finish_reason"].str.contains("\x1b").any()


def manifest(folder: Path) -> dict[str, str]:
    every = (folder / "MANIFEST.sha256").read_text().splitlines()
    lines = [line for line in every if not line.startswith("# ")]
    return {name: digest for digest, _, name in (line.partition("  ") for line in lines)}


def contents(folder: Path) -> dict[str, bytes]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def test_the_manifest_has_every_file_and_everything_repeats(tmp_path: Path) -> None:
    folder = report(tmp_path / "r", STUDIES["dense and MoE"])
    flags = ["--format", "figures,openmetrics"]
    assert cli.main(["report", str(tmp_path / "r"), *flags]) == 0
    before = contents(folder)
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in before.items()}
    del hashes["MANIFEST.sha256"]
    assert manifest(folder) == hashes
    assert {name.partition("/")[0] for name in hashes} == {
        *("report.html", "report.md", "report.json", "report.txt", "report.openmetrics.txt"),
        *("requests.parquet", "tables", "figures"),
    }
    assert cli.main(["report", str(tmp_path / "r")]) == 0
    assert cli.main(["report", str(tmp_path / "r"), *flags]) == 0
    assert contents(folder) == before


def test_the_manifest_shows_a_changed_file_and_forgets_one_that_is_gone(tmp_path: Path) -> None:
    folder = report(tmp_path / "r", STUDIES["one launch"], "--format", "json,text,md")
    before = manifest(folder)
    (folder / "report.txt").write_text("changed")
    (folder / "report.md").unlink()
    lines = f"{'0' * 64}  ../study.toml\n"
    (folder / "MANIFEST.sha256").write_text((folder / "MANIFEST.sha256").read_text() + lines)
    assert cli.main(["report", str(tmp_path / "r"), "--format", "json"]) == 0
    after = manifest(folder)
    assert after["report.txt"] == before["report.txt"]
    assert set(before) - set(after) == {"report.md"}
    assert not [name for name in after if name.startswith("..")]


def test_sha256sum_reads_the_manifest(tmp_path: Path) -> None:
    folder = report(tmp_path / "r", STUDIES["one launch"], "--format", "json,csv,text")
    check = ["sha256sum", "--check", "--strict", "MANIFEST.sha256"]
    assert subprocess.run(check, cwd=folder, check=False, capture_output=True).returncode == 0
    (folder / "report.txt").write_text("changed")
    assert subprocess.run(check, cwd=folder, check=False, capture_output=True).returncode == 1


def test_what_the_same_format_writes_no_more_is_removed_and_only_that(tmp_path: Path) -> None:
    folder, outside = tmp_path / "report", tmp_path / "outside"
    outside.mkdir()

    def write(form: str, *names: str) -> None:
        written = {folder / name: (form, name.encode()) for name in names}
        for path in written:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(path.relative_to(folder).as_posix().encode())
        write_manifest(folder, written, [form])

    write("csv", "tables/a.csv", "tables/b.csv", "tables/changed.csv")
    write("md", "report.md", "figures/a.svg")
    (folder / "tables" / "changed.csv").write_text("by somebody")
    (folder / "tables" / "own.csv").write_text("somebody's")
    (folder / "link").symlink_to(outside)
    (outside / "b.csv").write_text("outside")
    digest = hashlib.sha256(b"outside").hexdigest()
    with (folder / "MANIFEST.sha256").open("a") as file:
        names = ("../outside/b.csv", f"{outside}/b.csv", f"/{outside}/b.csv", "link/b.csv")
        file.write("# csv\n")
        file.writelines(f"{digest}  {name}\n" for name in names)
    write("csv", "tables/a.csv")
    assert (outside / "b.csv").exists()
    assert set(contents(folder)) == {
        *("MANIFEST.sha256", "report.md", "figures/a.svg"),
        *("tables/a.csv", "tables/changed.csv", "tables/own.csv"),
    }
    assert set(manifest(folder)) == {"tables/a.csv", "report.md", "figures/a.svg"}


def test_a_manifest_without_formats_takes_nothing_away(tmp_path: Path) -> None:
    folder = report(tmp_path / "r", STUDIES["one launch"], "--format", "json,csv,text")
    path = folder / "MANIFEST.sha256"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(line for line in lines if not line.startswith("# ")))
    before = set(contents(folder))
    assert cli.main(["report", str(tmp_path / "r"), "--format", "json"]) == 0
    assert set(contents(folder)) == before
    assert set(manifest(folder)) == before - {"MANIFEST.sha256"}


def test_tables_of_a_group_that_is_gone_go_too(tmp_path: Path) -> None:
    for name, rate in (("one", 40.0), ("two", 20.0)):
        write_results(tmp_path / name, Fixture(rates={name: rate}, rounds=1))
    out = tmp_path / "out"
    both = [str(tmp_path / "one"), str(tmp_path / "two")]
    flags = ["--format", "csv,json", "--out", str(out)]
    assert cli.main(["report", *both, *flags]) == 0
    assert (out / "tables" / "group-2" / "cells.csv").is_file()
    assert cli.main(["report", both[0], *flags]) == 0
    assert (out / "tables" / "cells.csv").is_file()
    assert not list(out.glob("tables/group-*/*"))
