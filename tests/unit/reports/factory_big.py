"""A simulated study of ordinary size: 3 stacks x 2 models x 6 load points x 3 rounds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inferometer.analyze import analyze
from inferometer.testing.results import Fixture, write_results

if TYPE_CHECKING:
    from pathlib import Path

    from inferometer.comparison import Comparison

STREAMS = (1, 2, 4, 8, 16, 32)
FIXTURE = Fixture(
    rates={"a": 1, "b": 1, "c": 1},
    models=("dense", "moe"),
    paces={
        n: {
            "a": (20 + n * 2.0, 10 + n * 0.4),
            "b": (30 + n * 2.0, 12 + n * 0.3),
            "c": (60 + n * 3.0, 11 + n * 0.5),
        }
        for n in STREAMS
    },
    power_w={"a": 80.0, "b": 90.0, "c": 70.0},
    drift={("a", 1): 1.01, ("b", 2): 0.99, ("c", 0): 1.02},
)


def comparison(root: Path) -> Comparison:
    return analyze(write_results(root, FIXTURE).root)
