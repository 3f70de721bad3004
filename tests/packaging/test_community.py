"""Pages for those who take part: forms that a code host accepts, and promises that hold."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
GITHUB = ROOT / ".github"
FORMS = sorted((GITHUB / "ISSUE_TEMPLATE").glob("*.yml"))


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.stem)
def test_each_form_is_one_that_the_host_accepts(form: Path) -> None:
    schema = "issue-config" if form.stem == "config" else "issue-forms"
    tool = Path(sys.executable).parent / "check-jsonschema"
    line = [str(tool), "--builtin-schema", f"vendor.github-{schema}", str(form)]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_there_is_a_form_for_each_kind_of_issue() -> None:
    assert [form.stem for form in FORMS] == ["bug", "config", "engine_or_plugin", "wrong_number"]


def test_each_make_target_that_a_page_names_is_there() -> None:
    made = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    for page in GITHUB.rglob("*.md"):
        named = re.findall(r"(?:`|^)make ([a-z-]+)", page.read_text(encoding="utf-8"), re.MULTILINE)
        assert set(named) <= set(made), page.name


def test_each_module_that_a_page_names_is_there() -> None:
    for page in GITHUB.rglob("*.md"):
        for name in re.findall(r"python -m (tests\.[\w.]+)", page.read_text(encoding="utf-8")):
            assert (ROOT / f"{name.replace('.', '/')}.py").is_file(), f"{page.name}: {name}"
