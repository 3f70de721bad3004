"""The oracle with knobs whose best setting is known, as a plugin.

As a process it measures a study: ``python -m tests.e2e.tunable STUDY RESULTS``.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

from tests.e2e import measuring

from inferometer import checks, hookimpl
from inferometer.checks import Evidence
from inferometer.comparison import Check
from inferometer.engine import Command, Engine, Knob, LaunchContext
from inferometer.hooks import GROUP
from inferometer.plugins import Registry
from inferometer.progress import Silent
from inferometer.runner import RunOutcome
from inferometer.testing.engine import OracleEngine

KNOBS = (
    Knob(
        name="itl",
        values=("20 ms", "broken", "1 ms"),
        why="slower, refused, faster",
        flags={
            "20 ms": ("--itl-ms", "20"),
            "broken": ("--no-such-flag",),
            "1 ms": ("--itl-ms", "1"),
        },
    ),
    Knob(
        name="ttft",
        values=("90 ms", "5 ms"),
        why="slower, faster",
        flags={"90 ms": ("--ttft-ms", "90"), "5 ms": ("--ttft-ms", "5")},
    ),
)
DEFAULTS = ("--ttft-ms", "30", "--itl-ms", "10")
SLOW, REFUSED, FAST = ({"itl": value} for value in KNOBS[0].values)
BEST = FAST | {"ttft": "5 ms"}
KEY = ("oracle", "dense")


class Tunable(OracleEngine):
    """The oracle with other defaults, and knobs."""

    __slots__ = ()

    def command(self, context: LaunchContext) -> Command:
        flags = (*DEFAULTS, *context.spec.extra_args)
        return super().command(replace(context, spec=replace(context.spec, extra_args=flags)))

    def knobs(self, context: LaunchContext) -> Sequence[Knob]:
        assert context.streams == 4  # of the first closed loop, in trials and rounds
        return KNOBS


@hookimpl
def inferometer_engines() -> Sequence[Engine]:
    """Return the engine: this module is its plugin."""
    return [Tunable()]


def measure(text: str, results: Path) -> tuple[RunOutcome, Silent]:
    """Measure a study whose engine ``oracle`` is the one here."""
    own = EntryPoint(name="tunable", value="tests.e2e.tunable", group=GROUP)
    return measuring.measure(text, results, Registry([*entry_points(group=GROUP), own]))


JUDGE = checks.judge


def forgiving(seen: Evidence) -> list[Check]:
    """Judge without what a busy machine can break, and so would shape the search."""
    return [check for check in JUDGE(seen) if check.name in {"errors", "token counting"}]


if __name__ == "__main__":
    checks.judge = forgiving
    measure(Path(sys.argv[1]).read_text(), Path(sys.argv[2]))
