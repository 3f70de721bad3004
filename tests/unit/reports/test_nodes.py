"""The nodes of a run in its report: how many, what ran where, which rounds were split."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from inferometer.analyze import analyze
from inferometer.language import speaking
from inferometer.several import analyze_several
from inferometer.testing.results import Fixture, write_results
from inferometer_reports import html, markdown, report_json, tables_csv
from inferometer_reports.languages import load

if TYPE_CHECKING:
    from pathlib import Path

    from inferometer.comparison import Comparison

GPU = {"gpus": ["NVIDIA <b>H200</b>"] * 2, "cpu_model": "made up"}


@pytest.fixture(scope="module")
def split(tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    root = tmp_path_factory.mktemp("nodes")
    where = {(s, r): f"node-{1 + r // 2}" for s in "ab" for r in range(4)}
    fixture = Fixture(
        rates={"a": 100.0, "b": 80.0},
        rounds=4,
        nodes=where | {("b", 3): "node-1"},
        host={"nodes": {"node-1": GPU, "node-2": "no table"}},
    )
    write_results(root, fixture)
    return analyze(root)


def test_the_method_says_how_rounds_lie_on_nodes(split: Comparison) -> None:
    text = markdown.render(split)["report.md"].decode()
    assert "The launches ran on two nodes. A round is given whole to one node" in text
    assert "Split over nodes, as after one was lost: round 4." in text
    assert "only ratios have intervals" in text
    rows = [row for row in text.splitlines() if row.startswith("| node-")]
    assert len(rows) == 2
    assert "2 x NVIDIA" in rows[0]
    assert "<b>" not in rows[0].replace("\\<", "")
    assert "unknown" in rows[1]


def test_the_page_has_the_node_of_every_launch(split: Comparison) -> None:
    page = html.render(split)["report.html"].decode()
    assert page.count("<td>node-2<td>") >= 3
    assert "Node by node." in page


def test_the_data_carries_the_node(split: Comparison) -> None:
    data = json.loads(report_json.render(split)["report.json"])
    assert data["nodes"]["split"] == [3]
    assert {one["node"] for one in data["launched"]} == {"node-1", "node-2"}
    rows = tables_csv.render(split)["tables/nodes.csv"].decode().splitlines()
    assert rows[0] == "launch,node,round,stack,model,status"
    assert len(rows) == 9
    assert rows[-1].split(",")[1] == "node-2"


def test_in_indonesian(split: Comparison) -> None:
    with speaking(load("id")):
        text = markdown.render(split)["report.md"].decode()
    assert "Peluncuran berjalan pada dua node." in text
    assert "Terbagi atas beberapa node, seperti setelah satu node hilang: putaran 4." in text


def test_without_nodes_there_is_no_column(tmp_path: Path) -> None:
    write_results(tmp_path, Fixture(rates={"a": 100.0, "b": 80.0}))
    found = analyze(tmp_path)
    assert "Node" not in markdown.render(found)["report.md"].decode()
    assert "Node by node" not in html.render(found)["report.html"].decode()
    assert "tables/nodes.csv" not in tables_csv.render(found)


def test_of_pooled_directories_each_node_keeps_its_hardware(tmp_path: Path) -> None:
    """One ran on nodes, the other on the machine itself."""
    host = {"gpus": GPU["gpus"], "cpu_model": "made up"}
    far = {"nodes": {"node-1": GPU, "node-2": GPU}}
    where = {(s, r): f"node-{1 + r}" for s in "ab" for r in range(2)}
    rates = {"a": 100.0, "b": 80.0}
    write_results(
        tmp_path / "far", Fixture(rates=rates, rounds=2, nodes=where, host=host | far, seed=1)
    )
    write_results(tmp_path / "near", Fixture(rates=rates, rounds=2, host=host, seed=2))
    (group,) = analyze_several([tmp_path / "far", tmp_path / "near"]).groups
    assert group.machine == "not shown to be one"
    text = markdown.render(group.comparison)["report.md"].decode()
    rows = [row for row in text.splitlines() if "2 x NVIDIA" in row and "made up |" in row]
    assert [row.split(" | ")[:3] for row in rows] == [
        ["| no node", "4", "2"],
        ["| far/node-1", "2", "1"],
        ["| far/node-2", "2", "1"],
    ]
