"""The schemas: valid in both drafts, as strict as the types that parse the files, and not stale."""

from __future__ import annotations

import copy
import datetime as dt
import json
import os
import re
import tarfile
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from inferometer import api, cli, problems, schema, study
from inferometer.cost.scenario import Scenario
from inferometer.prices import Book
from inferometer.testing.results import Fixture, write_results

ROOT = Path(__file__).parents[3]
GOLDEN = ROOT / "docs" / "reference" / "schemas"
DRAFTS = (jsonschema.Draft4Validator, jsonschema.Draft202012Validator)
TYPES = {"study": study.Study, "cost": Scenario, "price-book": Book}
STUDIES = [
    ROOT / "core" / "inferometer" / "templates" / "study.toml",
    *(ROOT / "docs" / "examples" / "studies").glob("*.toml"),
]
COSTS = [
    ROOT / "core" / "inferometer" / "templates" / "cost.toml",
    *(ROOT / "docs" / "examples").glob("*.toml"),
]
BOOKS = list((ROOT / "plugins" / "inferometer_plugins" / "prices").glob("*.toml"))
WRITTEN = [
    *(("study", path) for path in STUDIES),
    *(("cost", path) for path in COSTS),
    *(("price-book", path) for path in BOOKS),
]
Capture = pytest.CaptureFixture[str]


@cache
def made(name: str) -> dict[str, Any]:
    return schema.of(name)


@cache
def validators(name: str) -> list[Any]:
    return [draft(made(name)) for draft in DRAFTS]


def refused(name: str, document: Any) -> bool:
    """Say what both drafts say, which must be the same."""
    old, new = (not validator.is_valid(document) for validator in validators(name))
    assert old == new
    return old


def read(path: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(
        json.dumps(tomllib.loads(path.read_text(encoding="utf-8")), default=dt.date.isoformat)
    )
    return document


@pytest.mark.parametrize("name", schema.FILES)
def test_both_drafts_take_it(name: str) -> None:
    for draft in DRAFTS:
        draft.check_schema(made(name))
    text = schema.text(name)
    words = set(re.findall(r'"(\$?\w+)":', text))
    assert not {"$defs", "const", "prefixItems", "exclusiveMinimum", "discriminator"} & words
    assert r"\\Z" not in text
    assert ":class:" not in text


@pytest.mark.parametrize("name", schema.FILES)
def test_what_is_checked_in_is_not_stale(name: str) -> None:
    path = GOLDEN / f"{name}.json"
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text(schema.text(name), encoding="utf-8")
    assert path.read_text(encoding="utf-8") == schema.text(name), (
        "UPDATE_GOLDEN=1 pytest " + __file__
    )


@pytest.mark.parametrize(("name", "path"), WRITTEN, ids=lambda it: getattr(it, "stem", it))
def test_every_file_of_ours_is_valid(name: str, path: Path) -> None:
    for validator in validators(name):
        validator.validate(read(path))


def mutants(value: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield (place, what stands there instead) for all of a document; None: taken away."""
    yield from (
        (*place, odd) for odd in (1, -1, 10**9, 1.5, "odd", "", True, [], {}, [1], {"odd": 1})
    )
    yield (*place, None)
    if isinstance(value, dict):
        yield (*place, "unknown_key", 1)
        for key, item in value.items():
            yield from mutants(item, (*place, key))
    elif isinstance(value, list):
        for index, item in enumerate(value[:2]):
            yield from mutants(item, (*place, index))


def mutated(document: Any, mutant: tuple[Any, ...]) -> Any:
    *way, last, odd = mutant
    document = inner = copy.deepcopy(document)
    for key in way:
        inner = inner[key]
    if odd is None:
        del inner[last]
    else:
        inner[last] = odd
    return document


@pytest.mark.parametrize(
    ("name", "path"),
    [("study", STUDIES[0]), ("study", STUDIES[1]), ("cost", COSTS[0]), ("price-book", BOOKS[0])],
    ids=lambda it: getattr(it, "stem", it),
)
def test_what_the_types_refuse_is_refused_and_nothing_else(name: str, path: Path) -> None:
    document = read(path)
    if "prices" in document:
        document["prices"] = document["prices"][:2]
    seen = {True: 0, False: 0}
    for mutant in mutants(document):
        if len(mutant) > 1:
            wrong = mutated(document, mutant)
            by_type = bool(problems.find(wrong, TYPES[name]))
            assert refused(name, wrong) == by_type, mutant
            seen[by_type] += 1
    assert seen[True] > 100
    assert seen[False] > 10


@pytest.mark.parametrize("key", ["engines", "models", "loads"])
def test_what_a_study_cannot_do_without_is_asked_for(key: str) -> None:
    document = read(STUDIES[0])
    del document[key]
    assert refused("study", document)


def test_results_are_valid(tmp_path: Path) -> None:
    store = write_results(tmp_path / "results", Fixture(rates={"a": 10.0, "b": 12.0}))
    import msgspec  # noqa: PLC0415 -- for this alone

    report = msgspec.json.encode(api.analyze(store.root))
    (folder, *_) = (store.root / "launches").iterdir()
    whole = [report, (store.root / "plan.json").read_bytes(), (folder / "launch.json").read_bytes()]
    lines = [(folder / f"{name}.jsonl").read_bytes() for name in ("requests", "readings")]
    for content in [*whole, *(line for each in lines for line in each.splitlines()[:3])]:
        assert not refused("results", json.loads(content))
    odds: list[Any] = [{}, {"schema": 1}, [], {**json.loads(report), "cells": 3}]
    for odd in odds:
        assert refused("results", odd)


@pytest.mark.parametrize("name", ["first", "last-of-1", "format-2"])
def test_stored_results_are_valid(name: str) -> None:
    seen = set()
    with tarfile.open(ROOT / "tests" / "golden" / "stores" / f"{name}.tar.xz") as archive:
        for member in archive:
            kind = Path(member.name).name
            if kind not in seen and kind in {"launch.json", "plan.json", "probes.jsonl"}:
                seen.add(kind)
                file = archive.extractfile(member)
                assert file is not None
                content = file.readline() if kind.endswith("l") else file.read()
                assert not refused("results", json.loads(content)), member.name
    assert seen >= {"launch.json", "plan.json"}


def test_the_command_prints_and_writes_it(tmp_path: Path, capsys: Capture) -> None:
    assert cli.main(["schema", "study"]) == 0
    assert capsys.readouterr().out == schema.text("study")
    assert cli.main(["schema", "cost", "-o", str(tmp_path / "cost.json")]) == 0
    assert (tmp_path / "cost.json").read_text() == schema.text("cost")
    assert cli.main(["schema", "cost", "-o", str(tmp_path / "absent" / "cost.json")]) == 2
    assert "cannot be written" in capsys.readouterr().err
    assert cli.main(["schema", "studdy"]) == 2


def test_every_key_of_a_study_that_has_words_shows_them() -> None:
    engine = made("study")["definitions"]["EngineEntry"]["properties"]
    assert engine["pass_env"]["description"].startswith("Variables handed on")
    assert "`" in made("study")["definitions"]["Study"]["description"]


def test_the_program_of_the_page_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (ROOT / "docs" / "reference" / "schema.md").read_text(encoding="utf-8")
    (program,) = re.findall(r"```python[^\n]*\n(.*?)```", page, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    assert cli.main(["schema", "study", "-o", "study.schema.json"]) == 0
    assert cli.main(["init"]) == 0
    exec(compile(program, "schema.md", "exec"), {})
    text = (tmp_path / "study.toml").read_text(encoding="utf-8")
    (tmp_path / "study.toml").write_text(text.replace("rounds = 5", "round = 5"), encoding="utf-8")
    with pytest.raises(jsonschema.ValidationError, match="round"):
        exec(compile(program, "schema.md", "exec"), {})
