"""The wheel: what is in it, and nothing else."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = {
    "inferometer": "core",
    "inferometer_engines": "engines",
    "inferometer_plugins": "plugins",
    "inferometer_reports": "reports",
}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    line = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder)]
    subprocess.run([*line, str(ROOT)], capture_output=True, check=True)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def names(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_the_four_packages_and_nothing_else(names: set[str]) -> None:
    tops = {name.partition("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == set(PACKAGES)


def test_every_file_of_the_packages_is_in_it(names: set[str]) -> None:
    for package, top in PACKAGES.items():
        for file in (ROOT / top / package).rglob("*"):
            if file.is_file() and "__pycache__" not in file.parts:
                assert str(file.relative_to(ROOT / top)) in names


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
