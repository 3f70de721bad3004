"""New plugins: what is written, what is refused. That they work: tests/conformance."""

from __future__ import annotations

import ast
import tomllib
from pathlib import Path

import pytest

from inferometer import cli, scaffold

Capture = pytest.CaptureFixture[str]


def test_a_name_is_used_in_every_place() -> None:
    names = scaffold.named("Inferometer_My.Engine")
    assert names == scaffold.Names(
        "inferometer-my-engine", "inferometer_my_engine", "my-engine", "MyEngine"
    )
    assert scaffold.named("toy") == scaffold.Names("toy", "toy", "toy", "Toy")


@pytest.mark.parametrize(
    "name",
    [
        *("", "a b", "-toy", "toy-", "../toy", "a/b", "t" * 65, "json", "class", "3d"),
        *("numpy", "pytest", "tests", "conftest", "inferometer_plugins"),
        *("inferometer", "inferometer-", "inferometer-plugins", "inferometer-9", "toy\n"),
    ],
)
def test_names_that_cannot_be_are_refused(name: str, tmp_path: Path, capsys: Capture) -> None:
    folder = tmp_path / "new"
    line = ["plugins", "new", "--kind", "engine", "--directory", str(folder), "--", name]
    assert cli.main(line) == 2
    assert "error: NAME" in capsys.readouterr().err
    assert not folder.exists()


def test_a_name_that_holds_the_template_s_is_written_as_it_is() -> None:
    texts = scaffold.distribution(scaffold.named("inferometer-quuxy"), "engine")
    assert 'name = "inferometer-quuxy"' in texts["pyproject.toml"]
    assert 'quuxy = "inferometer_quuxy"' in texts["pyproject.toml"]
    assert "quuxyy" not in "".join(texts.values())


def test_a_plugin_that_is_installed_can_be_written_anew() -> None:
    assert scaffold.named("inferometer-redfish").module == "inferometer_redfish"


@pytest.mark.parametrize("kind", scaffold.KINDS)
def test_what_is_written_is_whole(kind: str, tmp_path: Path, capsys: Capture) -> None:
    folder = tmp_path / "new"
    line = ["plugins", "new", "inferometer-my-tool", "--kind", kind, "--directory", str(folder)]
    assert cli.main(line) == 0
    out, err = capsys.readouterr()
    files = {path for path in folder.rglob("*") if path.is_file()}
    assert {Path(word) for word in out.splitlines()} == files
    assert f"inferometer plugins check {folder}" in err
    for path in files:
        text = path.read_text()
        assert "quux" not in text.lower(), path
        assert not {"{article}", "{kind}", "{what}", "{todo}", "{contract}"} & set(text.split())
        if path.suffix == ".py":
            ast.parse(text)
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    group = "inferometer.commands" if kind == "workload" else "inferometer"
    assert project["entry-points"] == {group: {"my-tool": "inferometer_my_tool"}}
    assert {path.name for path in files} >= {"README.md", ".gitignore", "test.yml"}
    assert "license" not in project
    assert "licence" in (folder / "README.md").read_text()


@pytest.mark.parametrize(
    ("name", "kind", "said"),
    [
        ("inferometer-vllm", "engine", "engine 'vllm' comes with Inferometer"),
        ("md", "renderer", "renderer 'md' comes with Inferometer"),
        ("inferometer-report", "workload", "'report' is a command of Inferometer's own"),
        ("inferometer-" + "long-" * 7 + "name", "workload", "is no name for a command"),
    ],
)
def test_names_that_are_taken_are_refused(
    name: str, kind: str, said: str, tmp_path: Path, capsys: Capture
) -> None:
    folder = tmp_path / "new"
    line = ["plugins", "new", name, "--kind", kind, "--directory", str(folder)]
    assert cli.main(line) == 2
    assert said in capsys.readouterr().err
    assert not folder.exists()


def test_nothing_is_overwritten(tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "kept").write_text("mine")
    line = ["plugins", "new", "toy", "--kind", "engine", "--directory", str(tmp_path)]
    assert cli.main(line) == 2
    assert "is there already" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]
    assert cli.main([*line[:-1], str(tmp_path / "kept")]) == 2


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "file").touch()
    line = ["plugins", "new", "toy", "--kind", "meter", "--directory", str(tmp_path / "file" / "x")]
    assert cli.main(line) == 6
    assert "cannot be written: Not a directory" in capsys.readouterr().err


def test_the_engine_is_short() -> None:
    texts = scaffold.distribution(scaffold.named("inferometer-toy"), "engine")
    assert len(texts["inferometer_toy.py"].splitlines()) < 60
