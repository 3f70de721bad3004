"""Exit codes as documented, and suggestions."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from inferometer import errors

DOCUMENT = Path(__file__).parents[3] / "docs" / "reference" / "exit-codes.md"


def every(kind: type[errors.InferometerError]) -> set[type[errors.InferometerError]]:
    return {kind}.union(*(every(below) for below in kind.__subclasses__()))


def test_every_class_ends_with_its_documented_code() -> None:
    rows = re.findall(r"^\| (\d+) \|.*\| (.*) \|$", DOCUMENT.read_text(), re.MULTILINE)
    documented = {name: int(code) for code, names in rows for name in re.findall(r"`(\w+)`", names)}
    ours = {kind for kind in every(errors.InferometerError) if kind.__module__ == errors.__name__}
    assert documented == {kind.__name__: kind.exit_code for kind in ours}


def test_the_drawing_at_the_top_of_the_module_is_true() -> None:
    assert errors.__doc__ is not None
    drawn = re.findall(r"^[ |`-]*(\w+) +(\d+) ", errors.__doc__, re.MULTILINE)
    ours = {kind for kind in every(errors.InferometerError) if kind.__module__ == errors.__name__}
    assert dict(drawn) == {kind.__name__: str(kind.exit_code) for kind in ours}


def test_an_unknown_name_gets_a_suggestion_and_the_list() -> None:
    error = errors.UsageError.unknown("engine", "vlm", ["vllm", "sglang"], place="engines[0].name")
    assert error.message == "no engine named 'vlm' (engines[0].name)"
    assert error.hint == "Did you mean 'vllm'? Known: sglang, vllm."
    assert errors.UsageError.unknown("meter", "x", []).hint == "Known: none."


def test_a_study_error_has_one_line_for_each_problem() -> None:
    error = errors.StudyError("s.toml", [("a", "bad"), ("b[0].c", "worse")])
    assert str(error) == "s.toml: 2 problems\n  a: bad\n  b[0].c: worse"


@pytest.mark.parametrize(("name", "near"), [("dtyp", "dtype"), ("nonsense", None)])
def test_closest(name: str, near: str | None) -> None:
    assert errors.closest(name, ["dtype", "seed"]) == near
