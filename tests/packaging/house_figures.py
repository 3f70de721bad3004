"""How our own source measures up: the table of what the project is held to.

Usage: ``python -m tests.packaging.house_figures [FOLDER ...]``

Counts modules, lines, lengths of functions, annotations and test lines, over the four packages and
each distribution beside them, and prints them beside three codebases that were counted in the same
way. A module is a ``.py`` file, with all of its lines; a function is from its ``def`` to its last
line, those inside others too; one is annotated when its result and all of its parameters but
``self`` and ``cls`` are. Each FOLDER of other sources, such as an unpacked wheel, is counted and
printed with them. ``test_tree.py`` holds the bars.
"""

from __future__ import annotations

import ast
import statistics
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
SOURCES = {
    "core": ("core/inferometer",),
    "engines": ("engines/inferometer_engines",),
    "plugins": ("plugins/inferometer_plugins",),
    "reports": ("reports/inferometer_reports",),
}
TESTS = ("tests",)
LONG = 50
"""Lines that a function is called long above."""
Function = ast.FunctionDef | ast.AsyncFunctionDef


class Figures(NamedTuple):
    """One row of the table; lengths in lines, shares of 1."""

    modules: int
    lines: int
    median_module: float
    largest_module: int
    median_function: float
    p90_function: float
    longest_function: int
    long: float
    annotated: float
    tests_per_line: float | None


OTHERS = {
    "tox 4 (ccb12fc)": Figures(113, 16_481, 93, 656, 6, 24, 219, 0.022, 1.0, 1.3),
    "pluggy (e382e72)": Figures(8, 1_736, 87, 749, 8, 31, 93, 0.043, 1.0, 1.9),
    "import-linter (ad48a96)": Figures(33, 3_991, 97, 498, 9, 30, 107, 0.019, 0.94, 2.2),
}
"""Counted in the summer of 2026 at the commits named, tests left out but for the last figure."""


def modules(*folders: str) -> list[Path]:
    """Return the modules under some folders of the checkout."""
    return sorted(file for folder in folders for file in (ROOT / folder).rglob("*.py"))


def functions(tree: ast.AST) -> Iterator[Function]:
    """Find every function, methods and inner ones too."""
    return (node for node in ast.walk(tree) if isinstance(node, Function))


def length(function: Function) -> int:
    """Return how many lines a function has, from its ``def`` on."""
    return (function.end_lineno or function.lineno) - function.lineno + 1


def annotated(function: Function) -> bool:
    """Whether a function says the types of all that goes in and comes out."""
    it = function.args
    every = [*it.posonlyargs, *it.args, *it.kwonlyargs, it.vararg, it.kwarg]
    asked = [one for one in every if one is not None and one.arg not in {"self", "cls"}]
    return function.returns is not None and all(one.annotation is not None for one in asked)


def count(files: list[Path], tests: list[Path] | None = None) -> Figures:
    """Return the figures of some modules, and of the tests that go with them."""
    texts = [file.read_text(encoding="utf-8") for file in files]
    lines = [text.count("\n") for text in texts]
    found = [one for text in texts for one in functions(ast.parse(text))]
    lengths = sorted(map(length, found))
    tested = sum(file.read_text(encoding="utf-8").count("\n") for file in tests or ())
    return Figures(
        modules=len(files),
        lines=sum(lines),
        median_module=statistics.median(lines),
        largest_module=max(lines),
        median_function=statistics.median(lengths),
        p90_function=lengths[len(lengths) * 9 // 10],
        longest_function=lengths[-1],
        long=sum(one > LONG for one in lengths) / len(lengths),
        annotated=sum(map(annotated, found)) / len(found),
        tests_per_line=tested / sum(lines) if tests else None,
    )


def ours() -> dict[str, Figures]:
    """Return our rows: the whole, then each package and each distribution beside them."""
    whole = [folder for folders in SOURCES.values() for folder in folders]
    found = {"inferometer": count(modules(*whole), modules(*TESTS))}
    found |= {f"- {name}": count(modules(*folders)) for name, folders in SOURCES.items()}
    for project in sorted(ROOT.glob("plugins/*/pyproject.toml")):
        folder = project.parent.relative_to(ROOT)
        source = [file for file in modules(str(folder)) if "tests" not in file.parts]
        found[f"- {folder.name}"] = count(source, modules(str(folder / "tests")))
    return found


def row(name: str, it: Figures) -> str:
    """Return a line of the table."""
    cells = (
        name,
        f"{it.modules:,}",
        f"{it.lines:,}",
        f"{it.median_module:g}",
        f"{it.largest_module:,}",
        f"{it.median_function:g} / {it.p90_function:g} / {it.longest_function}",
        f"{it.long:.1%}",
        f"{it.annotated:.1%}",
        "" if it.tests_per_line is None else f"{it.tests_per_line:.2f}",
    )
    return f"| {' | '.join(cells)} |"


def table(folders: list[Path]) -> str:
    """Return the table: ours, some folders of other sources, and what was counted once."""
    heads = (
        "codebase",
        "modules",
        "lines",
        "median module",
        "largest module",
        "median / p90 / longest function",
        f"functions > {LONG} lines",
        "annotated",
        "test lines a line",
    )
    rule = f"|{'---|' * len(heads)}"
    given = {folder.name: count(sorted(folder.rglob("*.py"))) for folder in folders}
    rows = [row(name, figures) for name, figures in (ours() | given | OTHERS).items()]
    return "\n".join([f"| {' | '.join(heads)} |", rule, *rows])


if __name__ == "__main__":
    print(table([Path(word) for word in sys.argv[1:]]))
