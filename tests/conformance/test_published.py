"""Every plugin of this repository against this tree, and one of each kind fresh from its template:
what docs/reference/compatibility.md promises."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from inferometer import scaffold
from inferometer.testing import executors, importers, plugins, renderers

ROOT = Path(__file__).parents[2]
FOLDERS = sorted(path.parent for path in (ROOT / "plugins").glob("*/pyproject.toml"))
GOLDEN = ROOT / "tests" / "golden" / "importers"
SAMPLES = {
    "aiperf": sorted((GOLDEN / "aiperf").iterdir(), reverse=True),
    "guidellm": [GOLDEN / "guidellm.json"],
    "sglang-bench": [GOLDEN / "sglang-bench.jsonl"],
    "vllm-bench": [GOLDEN / "vllm-bench.json"],
}


def failed(found: list[plugins.Told]) -> dict[str, str]:
    return {
        f"{told.of}: {told.result.id}": told.result.detail
        for told in found
        if told.result.outcome == "fail"
    }


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: str(path.name))
def test_a_distribution_of_ours_passes(folder: Path) -> None:
    found = plugins.check(folder)
    assert failed(found) == {}
    assert len({told.of for told in found}) > 1


def fresh(folder: Path, kind: str) -> Path:
    """Write a plugin of a kind, as its author gets it."""
    names = scaffold.named(f"inferometer-fresh-{kind}")
    scaffold.write(folder / kind, scaffold.distribution(names, kind))
    return folder / kind


# That of an engine is proved by test_add_an_engine.py, with the how-to's own commands.


@pytest.mark.parametrize("kind", sorted(set(scaffold.KINDS) - {"engine"}))
def test_a_fresh_one_passes(kind: str, tmp_path: Path) -> None:
    found = plugins.check(fresh(tmp_path, kind))
    assert failed(found) == {}
    (brought,) = {told.of for told in found} - {"plugin"}
    passed = [told for told in found if told.of == brought and told.result.outcome == "pass"]
    assert len(passed) >= 8


@pytest.mark.parametrize("kind", scaffold.KINDS)
def test_its_own_tests_are_the_kit(kind: str, tmp_path: Path) -> None:
    more = [] if kind in {"meter", "importer", "workload"} else ["--collect-only"]
    line = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error", *more]
    done = subprocess.run(
        line, cwd=fresh(tmp_path, kind), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
    assert re.search(r"\d+ (passed|tests collected)", done.stdout)


# Engines, meters and what is drawn have tests of their own: what is bundled besides.


@pytest.mark.parametrize("name", ["csv", "json", "md", "openmetrics", "text"])
def test_a_renderer_of_ours_passes(name: str) -> None:
    assert [it for it in renderers.run(name) if it.outcome == "fail"] == []


@pytest.mark.parametrize("name", SAMPLES)
def test_an_importer_of_ours_passes(name: str) -> None:
    assert [it for it in importers.run(name, samples=SAMPLES[name]) if it.outcome == "fail"] == []


def test_the_local_executor_passes() -> None:
    assert [it for it in executors.run("local") if it.outcome == "fail"] == []
