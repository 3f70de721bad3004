"""Pieces of TOML in the documentation, each read by what reads such a file in the program."""

from __future__ import annotations

import re
import tomllib
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from tests.studies import written

from inferometer import prices, study
from inferometer.baseline import margins
from inferometer.cost import reading
from inferometer.cost.scenario import Scenario
from inferometer.plan import expand
from inferometer.plugins import Registry

if TYPE_CHECKING:
    from collections.abc import Sequence

BASE: dict[str, Any] = {
    "engines": [{"name": "vllm"}],
    "models": [{"name": "m", "path": "/models/m"}],
    "workloads": [{"name": "chat", "input_tokens": 512, "output_tokens": 128}],
    "loads": [{"concurrency": 8}],
    "meters": [{"name": "declared", "options": {"power_w": 50}}],
}
"""What a piece of a study stands in, where it says nothing else."""
ANY_DAY = date(2026, 11, 23)


def fields(type_: type[msgspec.Struct]) -> set[str]:
    return {field.encode_name for field in msgspec.structs.fields(type_)}


def read(text: str, earlier: Sequence[str], folder: Path) -> str:
    """Read a piece as what it is, and return the word for that; ``earlier`` are those above it.

    Raises:
        UsageError, StudyError, ValueError: it is no such thing.
    """
    found = tomllib.loads(text)
    keys = set(found)
    if "gate" in keys:
        margins.load(put(folder / "gate.toml", text))
        return "rules of a gate"
    if "prices" in keys:
        prices.read(put(folder / "book.toml", text), as_of=ANY_DAY)
        return "price book"
    if keys <= {"project", "build-system", "tool"}:
        plugin(found)
        return "project file"
    if keys <= fields(study.Study):
        of_study(found, [tomllib.loads(each) for each in earlier])
        return "study"
    if keys <= fields(Scenario):
        of_scenario(text)
        return "scenario of prices"
    raise ValueError(f"no file of ours has these keys together: {sorted(keys)}")


def put(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def plugin(found: dict[str, Any]) -> None:
    """Hold the entry points of a project to the groups that there are."""
    points = found.get("project", {}).get("entry-points", {})
    for group, names in points.items():
        whole = ".".join([group, *names]) if isinstance(next(iter(names.values())), dict) else group
        assert whole in {"inferometer", "inferometer.commands"}, whole


def of_study(found: dict[str, Any], earlier: Sequence[dict[str, Any]]) -> None:
    """Read a study, or a piece of one with what a page said before it and the base around it."""
    above: dict[str, Any] = {}
    for piece in earlier:
        for key, value in piece.items():
            if key in fields(study.Study):
                above[key] = above.get(key, []) + value if isinstance(value, list) else value
    whole = {"name": "piece", **BASE, **found}
    try:
        expand(study.parse(written(**whole), "the page"))
    except Exception:
        if not above:
            raise
        for key, value in found.items():
            above[key] = above.get(key, []) + value if isinstance(value, list) else value
        whole = {"name": "piece", **BASE, **above}
        expand(study.parse(written(**whole), "the page"))
    known = Registry()
    for entry in whole["engines"]:
        assert entry["name"] in known.engines(), f"no engine {entry['name']!r}"
    for entry in whole["meters"]:
        options = known.meters()[entry["name"]].options
        assert set(entry.get("options", {})) <= set(options), f"options of {entry['name']!r}"


def of_scenario(text: str) -> None:
    """Read a scenario, or a piece of one behind a machine and an hour of it."""
    scenario = reading.parse(text, "the page")
    books = Registry().price_books().values()
    reading.resolve(scenario, books, as_of=ANY_DAY, name="the page", text=text)
    assert not re.search(r"\bTODO\b", text)
