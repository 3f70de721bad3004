"""What the source never does: run a shell or foreign text, unpickle, unpack without looking.

Ruff's rules ``S`` are on for all of it and say the same in part; this test also sees what they
leave out, and that nobody turned one of them off.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted(
    path
    for top in ("core", "engines", "plugins", "reports")
    for path in (ROOT / top).rglob("*.py")
    if "tests" not in path.relative_to(ROOT).parts
)
CALLS = {
    *("eval", "exec", "compile", "__import__", "os.system", "os.popen", "pty.spawn"),
    *("subprocess.getoutput", "subprocess.getstatusoutput", "tempfile.mktemp"),
    *("yaml.load", "yaml.unsafe_load", "yaml.full_load", "numpy.load", "np.load", "torch.load"),
    *("joblib.load", "pandas.read_pickle"),
}
MODULES = {
    "pickle",
    "cPickle",
    "dill",
    "cloudpickle",
    "marshal",
    "shelve",
    "commands",
    "jsonpickle",
}
METHODS = {"extractall", "extract", "unpack_archive"}
"""Of archives: none is unpacked, members are read by name."""
NEVER = {
    *("S102", "S301", "S302", "S306", "S307"),  # exec, pickle, marshal, mktemp, eval
    *("S202", "S501", "S506", "S701", "S702"),  # unpacking, certificates, YAML, templates
    *("S602", "S604", "S605", "S606", "S608", "S609"),  # shells
}
"""Rules of ruff that no line may set aside."""


def name_of(node: ast.expr) -> str:
    """Return the dotted name of what is called."""
    if isinstance(node, ast.Attribute):
        return f"{name_of(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def faults(source: str) -> list[str]:
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [each.name.partition(".")[0] for each in node.names]
            found += [f"import {name}" for name in names if name in MODULES]
        elif isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] in MODULES:
            found.append(f"import {node.module}")
        elif isinstance(node, ast.Call):
            name = name_of(node.func)
            shell = any(
                each.arg == "shell"
                and not (isinstance(each.value, ast.Constant) and each.value.value is False)
                for each in node.keywords
            )
            if name in CALLS or name.rpartition(".")[2] in METHODS or shell:
                found.append(f"line {node.lineno}: {name}{' with a shell' if shell else ''}")
    return found


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_shell_no_pickle_no_foreign_text_is_run(path: Path) -> None:
    assert faults(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "text",
    [
        "import pickle",
        "from marshal import loads",
        "eval('1')",
        "import os; os.system('ls')",
        "import subprocess; subprocess.run('ls', shell=True)",
        "import yaml; yaml.load(x)",
        "import tarfile; tarfile.open(p).extractall()",
        "import tempfile; tempfile.mktemp()",
    ],
)
def test_the_search_finds_them(text: str) -> None:
    assert faults(text)


def test_no_line_sets_a_rule_aside_that_would_see_them() -> None:
    rule = re.compile(r"#\s*noqa:\s*([A-Z0-9, ]+)")
    found = {
        code.strip()
        for path in SOURCES
        for codes in rule.findall(path.read_text(encoding="utf-8"))
        for code in codes.split(",")
    }
    assert not found & NEVER


def test_nothing_of_ours_trusts_code_that_comes_with_a_model() -> None:
    words = re.compile(
        r"trust[-_]remote[-_]code[\"']?\s*(?:=|:|,)\s*True|--trust[-_]remote[-_]code"
    )
    found = [
        str(path.relative_to(ROOT))
        for path in SOURCES
        if words.search(path.read_text(encoding="utf-8"))
    ]
    assert found == []
