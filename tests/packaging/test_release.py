"""Releases and their news: what is refused, and that fragments are what they should be."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
PLUGIN = "plugins/inferometer-toy"


@pytest.fixture(scope="module")
def release() -> ModuleType:
    spec = importlib.util.spec_from_file_location("release", ROOT / ".ci" / "release.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def git(root: Path, *words: str) -> None:
    who = ["-c", "user.name=A", "-c", "user.email=a@b.example"]
    subprocess.run(["git", "-C", str(root), *who, *words], check=True, capture_output=True)


def write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message", "Change it")


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no repository be reached but those of the tests, and no settings of whoever tests."""
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A checkout of 1.0.0 as it is released."""
    git(tmp_path, "init", "--quiet")
    news = {
        ".github/changelog/README.md": "How",
        "docs/changelog.md": "# Changes\n\n## 1.0.0 (x)\n",
    }
    plugin = {f"{PLUGIN}/pyproject.toml": '[project]\nversion = "0.1"\n'}
    write(tmp_path, news | plugin | {f"{PLUGIN}/inferometer_toy.py": "1\n"})
    git(tmp_path, "tag", "--annotate", "v1.0.0", "--message", "x")
    return tmp_path


def test_what_is_released_is_the_tag(release: ModuleType, root: Path) -> None:
    assert release.check(root) == "1.0.0"


def test_what_is_not_committed_is_no_release(release: ModuleType, root: Path) -> None:
    (root / "new").touch()
    with pytest.raises(release.NotReleasableError, match=r"not committed:\n\?\? new"):
        release.check(root)


def test_a_commit_without_a_tag_is_none(release: ModuleType, root: Path) -> None:
    write(root, {"more": ""})
    with pytest.raises(release.NotReleasableError, match="has 0 version tags"):
        release.check(root)


@pytest.mark.parametrize(
    ("files", "why"),
    [
        ({".github/changelog/1.fixed.md": "x"}, r"not in .*: 1\.fixed\.md.*VERSION=1\.0\.1"),
        ({"docs/changelog.md": "# Changes\n"}, r"no heading of 1\.0\.1"),
        ({f"{PLUGIN}/inferometer_toy.py": "2\n"}, r"inferometer-toy: changed since v1\.0\.0"),
    ],
)
def test_what_was_left_behind_is_named(
    release: ModuleType, root: Path, files: dict[str, str], why: str
) -> None:
    write(root, {"docs/changelog.md": "# Changes\n\n## 1.0.1 (x)\n\n## 1.0.0 (x)\n"} | files)
    git(root, "tag", "v1.0.1")
    with pytest.raises(release.NotReleasableError, match=why):
        release.check(root)


def test_a_plugin_that_changed_is_released_under_its_next_version(
    release: ModuleType, root: Path
) -> None:
    write(
        root,
        {
            "docs/changelog.md": "# Changes\n\n## 1.0.1 (x)\n",
            f"{PLUGIN}/inferometer_toy.py": "2\n",
            f"{PLUGIN}/pyproject.toml": '[project]\nversion = "0.2"\n',
        },
    )
    git(root, "tag", "v1.0.1")
    assert release.check(root) == "1.0.1"


def towncrier(root: Path) -> subprocess.CompletedProcess[str]:
    config = ["--config", str(ROOT / "pyproject.toml"), "--dir", str(root)]
    line = [sys.executable, "-m", "towncrier", "build", "--draft", "--version", "next", *config]
    return subprocess.run(line, capture_output=True, text=True, check=False)


def test_each_fragment_is_well_named_and_says_something() -> None:
    done = towncrier(ROOT)
    assert done.returncode == 0, done.stderr
    for file in (ROOT / ".github" / "changelog").glob("*"):
        text = file.read_text(encoding="utf-8").strip()
        assert len(text.split()) > 4, file.name
        assert file.name == "README.md" or not text.startswith("#"), file.name
        assert file.name == "README.md" or "](" not in text, f"{file.name}: a link that moves"


def test_a_misnamed_fragment_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / ".github" / "changelog"
    folder.mkdir(parents=True)
    (folder / "17.fixed.md").write_text("Joules of a torn window were counted.")
    assert (
        "### Fixed\n\n- Joules of a torn window were counted. (#17)" in towncrier(tmp_path).stdout
    )
    (folder / "17.bug.md").write_text("Joules of a torn window were counted.")
    assert towncrier(tmp_path).returncode != 0


def test_kinds_of_fragments_are_those_that_are_told() -> None:
    told = (ROOT / ".github" / "changelog" / "README.md").read_text(encoding="utf-8")
    kinds = [line.split("`")[1] for line in told.splitlines() if line.startswith("| `")]
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["towncrier"]
    assert kinds == [kind["directory"] for kind in settings["type"]]
