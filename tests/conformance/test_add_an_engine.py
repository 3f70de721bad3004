"""The how-to for engines, command by command, in an environment of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HOW_TO = ROOT / "docs" / "how-to" / "add-an-engine.md"
MOST_LINES = 60
OFFLINE = "--no-index --no-deps --no-build-isolation --quiet --disable-pip-version-check"


def blocks() -> list[str]:
    """Return what the how-to has a reader type, block by block."""
    return re.findall(r"```bash[^\n]*\n(.*?)```", HOW_TO.read_text(encoding="utf-8"), re.DOTALL)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> str:
    """PATH with an environment that has what this one has, and takes more without a network."""
    home = tmp_path_factory.mktemp("environment")
    venv.create(home, with_pip=False, symlinks=True)
    (site,) = home.glob("lib/python*/site-packages")
    ours = [entry for entry in sys.path if entry.endswith("site-packages")]
    # ``addsitedir`` reads their own .pth files as well: editable installs are found.
    lines = [f"import site; site.addsitedir({entry!r})" for entry in ours]
    (site / "parent.pth").write_text("\n".join(lines) + "\n")
    python = home / "bin" / "python"
    programs = {
        "pip": f'verb=$1; shift; exec "{python}" -m pip "$verb" {OFFLINE} "$@"',
        "pytest": f'exec "{python}" -m pytest -q -p no:cacheprovider "$@"',
        "inferometer": f'exec "{python}" -m inferometer "$@"',
    }
    for name, line in programs.items():
        program = home / "bin" / name
        program.write_text(f"#!/bin/sh\n{line}\n")
        program.chmod(0o755)
    return f"{home / 'bin'}{os.pathsep}{os.environ['PATH']}"


@pytest.mark.timeout(600)
def test_from_nothing_to_a_proved_engine_in_under_sixty_lines(path: str, tmp_path: Path) -> None:
    script = "".join(blocks())
    assert "plugins new" in script
    assert "plugins check" in script
    surroundings = {**os.environ, "PATH": path, "INFEROMETER_CACHE": str(tmp_path / "cache")}
    done = subprocess.run(
        ["bash", "-e", "-c", script],
        cwd=tmp_path,
        env=surroundings,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    out = done.stdout
    assert re.search(r"\d\d passed", out), out  # pytest
    (told,) = re.findall(r"^engine toy: (\d+) pass", out, re.MULTILINE)  # plugins check
    assert int(told) > 60
    assert re.search(r"^toy ", out, re.MULTILINE), out  # engines list: it is installed
    module = tmp_path / "inferometer-toy" / "inferometer_toy.py"
    assert len(module.read_text().splitlines()) < MOST_LINES
