"""Results that earlier versions wrote are read, ranked as they were then, and reported.

Each was made by a commit of this repository, by ``tests/golden/stores/make.py``; what that version
said of it stands beside it.
"""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import pytest
from tests.golden.stores.make import verdict

from inferometer.cli import main
from inferometer.records import SCHEMA
from inferometer.store import Store
from inferometer.verifying import verify

STORES = Path(__file__).parents[2] / "golden" / "stores"
MADE_BY = {
    "first": "d32f46a, the first that measured: parity probes, closed loops",
    "loops": "cdb80cd: open loops, worker processes, retokenised samples",
    "parity": "2829ffd: scores, profiles, the engine's counters, what else the machine did",
    "counters": "00e9411: meters with devices, instruments, conditions, idle stretches",
    "sequential": "1cad5a5: looks between rounds, points left out, streams of all ages, soak",
    "capacity": "c210c3d: searches for capacity",
    "report-2": "f5717aa: events of runs, figures of windows",
    "last-of-1": "e5633c9: nodes; the last form of format 1",
    "format-2": "the first of format 2: hashes",
}


@pytest.fixture(params=sorted(MADE_BY))
def old(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    name: str = request.param
    with tarfile.open(STORES / f"{name}.tar.xz") as archive:
        archive.extraction_filter = getattr(tarfile, "data_filter", None)  # since 3.11.4
        archive.extractall(tmp_path)
    return tmp_path / name


def test_it_is_read_and_ranked_as_it_was_then(old: Path) -> None:
    said = json.loads((STORES / f"{old.name}.json").read_text())
    assert set(said) >= {"throughput dense", "energy dense", "cost dense"}
    found = verdict(old)
    for ranking, entries in said.items():
        assert len(entries) == 2
        assert [entry["stack"] for entry in found[ranking]] == [e["stack"] for e in entries]
        assert [entry["place"] for entry in found[ranking]] == [e["place"] for e in entries]
        for now, then in zip(found[ranking], entries, strict=True):
            assert now["value"] == pytest.approx(then["value"], rel=1e-9)
            assert now["ratio"] == pytest.approx(then["ratio"], rel=1e-9)


def test_it_is_reported_told_of_and_not_called_broken(
    old: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", str(old), "--format", "json,md"]) == 0
    report = json.loads((old / "report" / "report.json").read_text())
    assert report["rankings"]
    assert "oracle" in (old / "report" / "report.md").read_text()
    assert main(["status", str(old)]) in {0, 4}  # the first ones wrote no events
    capsys.readouterr()
    found = verify(old)
    assert found.findings == []
    assert found.schema == Store(old).plan().schema == (2 if old.name == "format-2" else 1)
    assert bool(found.head) == (found.schema == 2)


def test_every_format_is_among_them() -> None:
    assert {path.name.split(".")[0] for path in STORES.glob("*.tar.xz")} == set(MADE_BY)
    assert SCHEMA == 2, "keep a store of the new format, and say here what made it"
