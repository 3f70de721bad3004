"""Measure a study of the oracle; as a process: ``python -m tests.e2e.measuring STUDY RESULTS``."""

from __future__ import annotations

import sys
from pathlib import Path

from inferometer import study as studies
from inferometer.plugins import Registry
from inferometer.progress import Silent
from inferometer.runner import RunOutcome, run
from inferometer.testing.engine import registry as oracles


def measure(
    text: str, results: Path, registry: Registry | None = None
) -> tuple[RunOutcome, Silent]:
    """Measure what a study says, with the oracle's plugin or those given."""
    progress = Silent()
    plugins = registry or oracles()
    outcome = run(studies.parse(text, "study.toml"), text, results, plugins, progress)
    return outcome, progress


if __name__ == "__main__":
    measure(Path(sys.argv[1]).read_text(), Path(sys.argv[2]))
