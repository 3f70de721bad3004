"""Every plugin of this repository against this tree, and one of each kind fresh from its template:
what docs/reference/compatibility.md promises."""

from __future__ import annotations

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


@pytest.fixture(scope="module", params=list(scaffold.KINDS))
def fresh(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A plugin of each kind, as it is written."""
    folder = tmp_path_factory.mktemp("fresh") / "toy"
    names = scaffold.named(f"inferometer-fresh-{request.param}")
    scaffold.write(folder, scaffold.distribution(names, request.param))
    return folder


def test_a_fresh_one_passes(fresh: Path) -> None:
    found = plugins.check(fresh)
    assert failed(found) == {}
    (brought,) = {told.of for told in found} - {"plugin"}
    passed = [told for told in found if told.of == brought and told.result.outcome == "pass"]
    assert len(passed) >= 10


def test_its_own_tests_pass(fresh: Path) -> None:
    line = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error"]
    done = subprocess.run(line, cwd=fresh, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert " passed" in done.stdout


# Engines, meters and what is drawn have tests of their own: what is bundled besides.


@pytest.mark.parametrize("name", ["csv", "json", "md", "openmetrics", "text"])
def test_a_renderer_of_ours_passes(name: str) -> None:
    assert [it for it in renderers.run(name) if it.outcome == "fail"] == []


def test_a_page_of_ours_is_harmless_and_asks_nobody() -> None:
    ids = ["what-engines-say-is-harmless", "asks-nobody", "same-bytes-again", "prints-nothing"]
    assert {it.outcome for it in renderers.run("html", only=ids)} == {"pass"}


@pytest.mark.parametrize("name", SAMPLES)
def test_an_importer_of_ours_passes(name: str) -> None:
    assert [it for it in importers.run(name, samples=SAMPLES[name]) if it.outcome == "fail"] == []


def test_the_local_executor_passes() -> None:
    assert [it for it in executors.run("local") if it.outcome == "fail"] == []
