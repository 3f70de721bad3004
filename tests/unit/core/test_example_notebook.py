"""The example notebook runs as it stands: its cells in one namespace, as a kernel runs them."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

import pytest

from inferometer.testing.results import Fixture, write_results

pytestmark = pytest.mark.computing
NOTEBOOK = Path(__file__).parents[3] / "docs" / "examples" / "notebook.ipynb"
FIXTURE = Fixture(
    rates={"a": 1.0, "b": 1.0},
    models=("dense", "moe"),
    paces={
        1: {"a": (50.0, 10.0), "b": (100.0, 20.0)},
        4: {"a": (100.0, 20.0), "b": (200.0, 40.0)},
    },
)


def shown(source: str, names: dict[str, Any]) -> str:
    """Run one cell, and return what a notebook would show of its last expression."""
    *body, last = ast.parse(source).body
    value: Any = None
    if isinstance(last, ast.Expr):
        exec(compile(ast.Module(body, []), "cell", "exec"), names)
        value = eval(compile(ast.Expression(last.value), "cell", "eval"), names)
    else:
        exec(compile(ast.Module([*body, last], []), "cell", "exec"), names)
    if value is None:
        return ""
    made = value._repr_html_() if hasattr(value, "_repr_html_") else repr(value)
    assert isinstance(made, str)
    return made


def test_every_cell_of_the_example_runs_and_shows_something(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_results(tmp_path / "results" / "quickstart", FIXTURE)
    monkeypatch.chdir(tmp_path)
    document = json.loads(NOTEBOOK.read_text())
    assert (document["nbformat"], document["nbformat_minor"]) == (4, 5)
    names: dict[str, Any] = {}
    said = []
    for cell in document["cells"]:
        assert cell["id"]
        if cell["cell_type"] == "code":
            assert cell["outputs"] == []
            assert cell["execution_count"] is None
            said.append(shown("".join(cell["source"]), names))
    assert "SIMULATED" in said[0]
    assert all(said)
    assert sum("<svg" in text for text in said) >= 2
    assert (tmp_path / "throughput.csv").read_text().startswith("objective,")
