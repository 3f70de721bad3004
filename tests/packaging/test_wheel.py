"""The wheel and the source distribution: what is in them, and nothing else."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path, PurePosixPath

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = {
    "inferometer": "core",
    "inferometer_engines": "engines",
    "inferometer_plugins": "plugins",
    "inferometer_reports": "reports",
}
BESIDE = {".gitignore", "LICENSE", "PKG-INFO", "README.md", "docs/changelog.md", "pyproject.toml"}
"""What the source distribution holds besides the packages; hatchling adds the first."""


def build(source: Path, folder: Path, *what: str) -> None:
    """Build from ``source`` into ``folder``, dated by no clock."""
    line = [sys.executable, "-m", "build", *what, "--no-isolation", "--outdir", str(folder)]
    environ = os.environ | {"SOURCE_DATE_EPOCH": "1767225600"}
    # a checkout with changes would have the day in its version, and days end
    environ["SETUPTOOLS_SCM_PRETEND_VERSION_FOR_INFEROMETER"] = "0.1.0"
    subprocess.run([*line, str(source)], capture_output=True, check=True, env=environ)


def sources() -> set[str]:
    """Return the files of the four packages, from the root: those git knows or would."""
    line = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--"]
    folders = [f"{top}/{package}" for package, top in PACKAGES.items()]
    asked = subprocess.run([*line, *folders], cwd=ROOT, capture_output=True, text=True, check=False)
    if asked.returncode == 0:
        return {name for name in asked.stdout.splitlines() if (ROOT / name).is_file()}
    found = (file for folder in folders for file in (ROOT / folder).rglob("*"))
    return {
        file.relative_to(ROOT).as_posix()
        for file in found
        if file.is_file() and "__pycache__" not in file.parts
    }


def in_wheel(source: str) -> str:
    """Return the name in the wheel of a file of the checkout: without its top folder."""
    return str(PurePosixPath(*PurePosixPath(source).parts[1:]))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    build(ROOT, folder, "--wheel")
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def names(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source distribution, unpacked where there is no git."""
    folder = tmp_path_factory.mktemp("sdist")
    build(ROOT, folder, "--sdist")
    (built,) = folder.glob("*.tar.gz")
    with tarfile.open(built) as archive:
        archive.extraction_filter = getattr(tarfile, "data_filter", None)  # since 3.11.4
        archive.extractall(folder)
    return folder / built.name.removesuffix(".tar.gz")


def test_the_four_packages_and_nothing_else(names: set[str]) -> None:
    tops = {name.partition("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == set(PACKAGES)


def test_the_wheel_holds_every_file_of_the_packages_and_no_other(names: set[str]) -> None:
    ours = {name for name in names if ".dist-info/" not in name}
    assert ours == {in_wheel(name) for name in sources()}


def test_what_is_no_python_is_in_it_too(names: set[str]) -> None:
    assert {f"{package}/py.typed" for package in PACKAGES} <= names
    assert "inferometer/templates/study.toml" in names
    assert "inferometer/templates/cost.toml" in names
    assert "inferometer_plugins/prices/inferencex-2026-04.toml" in names
    assert "inferometer_plugins/prices/market-2026.toml" in names
    assert "inferometer/scripts/upcycle.py" in names
    assert "inferometer_engines/requirements/vllm-linux-x86_64-cpu.txt" in names
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)


def test_a_second_pair_of_eyes_sees_nothing_wrong(wheel: Path) -> None:
    check = Path(sys.executable).parent / "check-wheel-contents"
    line = [str(check), "--toplevel", ",".join(PACKAGES), str(wheel)]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_the_source_distribution_holds_what_builds_it_and_nothing_else(unpacked: Path) -> None:
    held = {it.relative_to(unpacked).as_posix() for it in unpacked.rglob("*") if it.is_file()}
    assert held == sources() | BESIDE


def test_a_wheel_from_it_is_the_same_to_the_byte(
    wheel: Path, unpacked: Path, tmp_path: Path
) -> None:
    build(unpacked, tmp_path, "--wheel")
    (again,) = tmp_path.glob("*.whl")
    assert again.name == wheel.name
    digests = {hashlib.sha256(it.read_bytes()).hexdigest() for it in (wheel, again)}
    assert len(digests) == 1


def test_where_nothing_tells_the_version_it_builds_all_the_same(unpacked: Path) -> None:
    told = unpacked / "PKG-INFO"
    kept = told.read_bytes()
    told.unlink()
    try:
        line = [sys.executable, "-m", "hatchling", "version"]
        said = subprocess.run(line, cwd=unpacked, capture_output=True, text=True, check=True)
    finally:
        told.write_bytes(kept)
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["version"]
    assert said.stdout.strip() == settings["fallback-version"]
