"""Measure a study of the oracle; as a process: ``python -m tests.e2e.measuring STUDY RESULTS``.

With ``NAME=VALUE`` behind, on Ray: these are the executor's options.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from inferometer import checks
from inferometer import study as studies
from inferometer.executor import Option
from inferometer.plugins import Registry
from inferometer.progress import Silent
from inferometer.runner import RunOutcome, run
from inferometer.testing.engine import registry as oracles
from inferometer_plugins.executors.ray import RayExecutor

if TYPE_CHECKING:
    import pytest

    from inferometer.checks.evidence import Evidence
    from inferometer.comparison import Check


ABOUT_THE_MACHINE = {
    *("quiet machine", "loop lag", "send lag", "client cpu"),
    *("delivered concurrency", "achieved rate"),
}
"""Checks that a window rightly fails where something else has the processors."""


def undisturbed(patch: pytest.MonkeyPatch) -> None:
    """Have windows judged as on a machine on which nothing else runs."""
    judge = checks.judge

    def judged(seen: Evidence) -> list[Check]:
        return [check for check in judge(seen) if check.name not in ABOUT_THE_MACHINE]

    patch.setattr(checks, "judge", judged)


def measure(
    text: str, results: Path, registry: Registry | None = None
) -> tuple[RunOutcome, Silent]:
    """Measure what a study says, with the oracle's plugin or those given."""
    progress = Silent()
    plugins = registry or oracles()
    outcome = run(studies.parse(text, "study.toml"), text, results, plugins, progress)
    return outcome, progress


def spread(text: str, results: Path, options: Mapping[str, Option]) -> tuple[RunOutcome, Silent]:
    """Measure on Ray; the engines must be installed ones."""
    progress = Silent()
    outcome = run(
        studies.parse(text, "study.toml"),
        text,
        results,
        Registry(),
        progress,
        open_cluster=partial(RayExecutor().open, options),
    )
    return outcome, progress


if __name__ == "__main__":
    study, into = Path(sys.argv[1]).read_text(), Path(sys.argv[2])
    given = dict(word.split("=", 1) for word in sys.argv[3:])
    _, heard = spread(study, into, given) if given else measure(study, into)
    sys.stderr.write("".join(f"{what}: {said}\n" for what, said in heard.said))
