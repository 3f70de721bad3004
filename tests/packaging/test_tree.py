"""The tree is the architecture: what import-linter cannot say is said here."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.packaging import house_figures

from inferometer import errors

ROOT = Path(__file__).parents[2]
FOLDERS = ("core", "engines", "plugins", "reports")
PUBLIC = {
    *(
        "api",
        "command",
        "comparison",
        "costwords",
        "engine",
        "errors",
        "executor",
        "loadhosts",
        "hooks",
        "importer",
        "meter",
        "model",
    ),
    "language",
    *("numbers", "prices", "reasons", "records", "renderer", "testing"),
}
"""What plugins may import, besides the root."""
SOURCES = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))


def contracts() -> list[dict[str, Any]]:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    found = settings["contracts"]
    assert isinstance(found, list)
    return found


def modules() -> Iterator[str]:
    for path in (ROOT / "core" / "inferometer").iterdir():
        if path.suffix == ".py" and path.stem != "__init__":
            yield path.stem
        elif (path / "__init__.py").is_file():
            yield path.name


def test_whatever_is_not_public_is_forbidden_to_plugins() -> None:
    (contract,) = (it for it in contracts() if "public surface" in it["name"])
    private = {name.removeprefix("inferometer.") for name in contract["forbidden_modules"]}
    assert private == set(modules()) - PUBLIC


def test_every_package_is_typed() -> None:
    for package in ROOT.glob("*/inferometer*/__init__.py"):
        assert (package.parent / "py.typed").is_file(), package


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_modules_and_functions_are_short_and_say_what_they_are(path: Path) -> None:
    text = path.read_text()
    tree = ast.parse(text)
    assert ast.get_docstring(tree) or not text.strip() or "tests" in path.parts
    assert text.count("\n") <= 400
    for function in house_figures.functions(tree):
        assert house_figures.length(function) < 60, function.name
        typed = house_figures.annotated(function) or "scripts" in path.parts
        assert typed, function.name  # scripts: no types of torch's here


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_error_says_what_to_do_next(path: Path) -> None:
    ours = {name for name, value in vars(errors).items() if isinstance(value, type)} - {
        "StudyError"
    }
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ours:
            given = {keyword.arg for keyword in node.keywords}
            assert {"hint", None} & given or node.func.id == "Interrupted", f"line {node.lineno}"
