"""Every reason, exit code and variable of the environment is documented, and none that is not."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

from tests.docs.pages import REFERENCE, ROOT, text_of

from inferometer import launch
from inferometer.reasons import WORDS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

VARIABLES = REFERENCE / "environment.md"
OWN_PROCESSES = {"SIMULATOR_API_KEY", "ORACLE_API_KEY", "HF_TOKEN", "TMPDIR", "LD_LIBRARY_PATH"}
"""Read by servers that we start, or set and put back by a check: nobody sets them for us."""


def sources() -> Iterator[Path]:
    for top in ("core", "engines", "plugins", "reports"):
        for path in (ROOT / top).rglob("*.py"):
            if not {"tests", "scripts"} & set(path.relative_to(ROOT).parts):
                yield path


def test_every_reason_has_its_words_and_what_somebody_wrote() -> None:
    page = text_of(REFERENCE / "reasons.md")
    rows = re.findall(r"^\| `(\w+)` \| (.+?) \| (.+) \|$", page, re.MULTILINE)
    assert {code: words for code, words, _ in rows} == WORDS
    assert len(rows) == len(WORDS)
    assert [code for code, _, when in rows if len(when.split()) < 3] == []


def read(tree: ast.AST) -> set[str]:
    """Return the names that ``os.environ`` is asked for, also by a constant of the module."""
    constants = {
        ast.unparse(node.targets[0]): node.value.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
    }
    found = set()
    for node in ast.walk(tree):
        key: ast.expr | None = None
        if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load):
            key = node.slice if ast.unparse(node.value) == "os.environ" else None
        elif isinstance(node, ast.Call) and ast.unparse(node.func) == "os.environ.get":
            key = node.args[0]
        if key is not None:
            name = key.value if isinstance(key, ast.Constant) else constants.get(ast.unparse(key))
            found |= {name} if isinstance(name, str) else set()
    return found


def test_every_variable_that_is_read_is_documented() -> None:
    asked, ours = set[str](), set[str]()
    for path in sources():
        text = text_of(path)
        asked |= read(ast.parse(text)) - OWN_PROCESSES if "environ" in text else set()
        if "testing" not in path.parts:
            ours |= set(re.findall(r"\bINFEROMETER_[A-Z_]+\b", text))
    page = text_of(VARIABLES)
    rows = re.findall(r"^\| (`[A-Z].*?) \|", page, re.MULTILINE)
    listed = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert len(asked) > 8
    assert (asked | ours) - listed == set()
    assert {name for name in listed if name.startswith("INFEROMETER_")} == ours


def test_what_an_engine_inherits_is_documented() -> None:
    page = text_of(VARIABLES)
    assert [name for name in (*launch.KEEP, *launch.KEEP_PREFIXES) if f"`{name}`" not in page] == []
