"""The workflow of the how-to, its steps run as a runner runs them, without one."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.unit.core.test_baseline import write

pytestmark = pytest.mark.computing
PAGE = Path(__file__).parents[3] / "docs" / "how-to" / "gate-a-pull-request.md"
SHIM = """#!/bin/sh
# Stands for the program: measures by copying results made beforehand; the gate is the real one.
if [ "$1" = run ]; then
  mkdir -p results && cp -r "$MADE/$(basename "$4")" "$4" && echo "$4" >> measured && exit 0
fi
exec "$PYTHON" -m inferometer "$@"
"""


def workflow() -> dict[str, Any]:
    (text,) = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL)
    found = yaml.safe_load(text)
    assert isinstance(found, dict)
    return found


def run_steps(folder: Path, baseline: Path) -> int:
    """Run each `run:` step with the runner's shell and stop at the first that fails."""
    job = workflow()["jobs"]["gate"]
    shims = folder / "bin"
    shims.mkdir()
    (shims / "inferometer").write_text(SHIM)
    (shims / "inferometer").chmod(0o755)
    environment = {
        **os.environ,
        **job["env"],
        "BASELINE": str(baseline),
        "PATH": f"{shims}:{os.environ['PATH']}",
        "PYTHON": sys.executable,
        "MADE": str(folder / "made"),
        "GITHUB_STEP_SUMMARY": str(folder / "summary.md"),
    }
    for step in job["steps"]:
        if "run" in step:
            shell = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]]
            done = subprocess.run(
                shell, cwd=folder, env=environment, capture_output=True, text=True, check=False
            )
            if done.returncode:
                return done.returncode
    return 0


@pytest.mark.parametrize(
    ("rates", "code", "verdict", "measured"),
    [
        ((40.0, 40.0), 0, "passed", ["results/pr"]),
        ((36.0, 36.0), 3, "failed", ["results/pr", "results/again"]),
        ((36.0, 40.0), 0, "passed", ["results/pr", "results/again"]),
        ((None, None), 4, "inconclusive", ["results/pr"]),
    ],
)
def test_the_steps_end_as_the_page_says(
    tmp_path: Path,
    rates: tuple[float | None, float | None],
    code: int,
    verdict: str,
    measured: list[str],
) -> None:
    baseline = write(tmp_path / "main")
    for name, rate in zip(("pr", "again"), rates, strict=True):
        noise = (1.0,) if rate is None else (1.0, 1.008, 0.99, 1.005, 0.995)
        write(tmp_path / "made" / name, rate or 40.0, noise=noise)
    assert run_steps(tmp_path, baseline) == code
    assert json.loads((tmp_path / "gate.json").read_text())["gate"]["verdict"] == verdict
    assert f"GATE {verdict.upper()}:" in (tmp_path / "gate.html").read_text()
    assert (tmp_path / "measured").read_text().split() == measured
    summary = (tmp_path / "summary.md").read_text()
    assert f"**GATE {verdict.upper()}:**" in summary
    assert summary.count("# pr against main") == len(measured)


def test_what_is_kept_is_what_the_steps_write() -> None:
    steps = workflow()["jobs"]["gate"]["steps"]
    (kept,) = [step for step in steps if "upload-artifact" in step.get("uses", "")]
    assert kept["if"] == "always()"
    assert kept["with"]["path"].split() == ["gate.json", "gate.html", "results"]
