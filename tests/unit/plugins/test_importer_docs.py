"""What the pages say of importing: its commands run, and the importer to copy is one."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.unit.plugins.test_importer_definitions import sglang_line, written

from inferometer import cli
from inferometer.plugins import Registry
from inferometer.store import Store
from inferometer_plugins.importers.quantities import LATENCIES, PERCENTS, QUANTITIES

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[3]
GOLDEN = ROOT / "tests" / "golden" / "importers"
HOW_TO = ROOT / "docs" / "how-to" / "import-other-tools.md"
REFERENCE = ROOT / "docs" / "reference" / "imported.md"
Capture = pytest.CaptureFixture[str]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with the files that the pages' commands name."""
    shutil.copytree(GOLDEN / "aiperf", tmp_path / "aiperf")
    for file in (tmp_path / "aiperf").iterdir():
        shutil.copy(file, tmp_path)
    shutil.copy(GOLDEN / "guidellm.json", tmp_path)
    shutil.copy(GOLDEN / "vllm-bench.json", tmp_path / "bench.json")
    written(tmp_path, sglang_line(), name="sglang.jsonl")
    one = {"hw": "h200", "framework": "vllm", "tput_per_gpu": 2.0, "mean_ttft": 0.5}
    (tmp_path / "agg_bmk.json").write_text(json.dumps([one]))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("page", [HOW_TO, REFERENCE])
def test_the_commands_of_a_page_run(page: Path, place: Path, capsys: Capture) -> None:
    text = page.read_text(encoding="utf-8")
    commands = re.findall(r"^inferometer ((?:import|report) .*)$", text, re.MULTILINE)
    for command in commands:
        assert cli.main(shlex.split(command)) == 0, command
    assert "Traceback" not in capsys.readouterr().err
    formats = {one.format for one in Store(place / "results").imported()}
    if page == HOW_TO:
        assert formats == set(Registry(only=["importers"]).importers())
    assert "Imported" in (place / "results" / "report" / "report.md").read_text()


def test_every_name_that_is_not_ours_is_explained() -> None:
    page = REFERENCE.read_text(encoding="utf-8")
    inner = {f"{name}_p{p}_finished_ms" for name in LATENCIES for p in PERCENTS}
    inner |= {f"inter_chunk_p{percent}_ms" for percent in PERCENTS}
    simple = {"duration_s", "finished_requests"}
    assert [id_ for id_ in QUANTITIES.keys() - inner - simple if f"`{id_}`" not in page] == []


@pytest.fixture
def stranger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Install the importer of plugins/README.md as a distribution of its own."""
    page = (ROOT / "plugins" / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    (source,) = (block for block in blocks if "class MyImporter" in block)
    (entry,) = re.findall(r"`(my-tool = \"my_package\")`", page)
    (tmp_path / "my_package.py").write_text(source)
    info = tmp_path / "my_package-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: my-package\nVersion: 1.2\n")
    (info / "entry_points.txt").write_text("[inferometer]\n" + entry.replace('"', "") + "\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield
    sys.modules.pop("my_package", None)


@pytest.mark.usefixtures("stranger")
def test_the_importer_to_copy_imports(tmp_path: Path, capsys: Capture) -> None:
    file = tmp_path / "said.json"
    file.write_text('{"tok_s": 12.5}')
    results = tmp_path / "results"
    words = ["my-tool", str(file), "--results", str(results), "--tool-version", "3"]
    assert cli.main(["import", *words]) == 0
    (found,) = Store(results).imported()
    (figure,) = found.figures
    assert (figure.value.value, figure.value.kind, found.place) == (12.5, "reported", "?")
    assert figure.value.detail.startswith("My tool 3, said.json, ")
    assert cli.main(["report", str(results)]) == 0
    assert "12.5 rep." in (results / "report" / "report.md").read_text()
    capsys.readouterr()
    file.write_text("{}")
    assert cli.main(["import", *words]) == 2
    assert "no file of format my-tool: lacks tok_s" in capsys.readouterr().err
    assert "my-tool" in cli_plugins(capsys)


def cli_plugins(capsys: Capture) -> str:
    """Return what ``inferometer plugins`` lists."""
    cli.main(["plugins"])
    return capsys.readouterr().out
