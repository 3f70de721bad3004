"""What bundled plugins and other programs may call: small, typed, public.

Measuring: :func:`load_study`, :func:`expand`, :func:`run`. Reading: :func:`results`. Analysing
(imports polars when called): :func:`analyze`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from inferometer.plan import expand
from inferometer.store import Store

if TYPE_CHECKING:
    from inferometer.comparison import Comparison
    from inferometer.runner import RunOutcome
    from inferometer.study import Study

__all__ = ["analyze", "expand", "load_study", "results", "run"]


def load_study(path: str | Path) -> Study:
    """Read a study file; raises ``StudyError`` with every problem in it."""
    from inferometer import study  # noqa: PLC0415 -- importing the API stays cheap

    return study.load(Path(path))


def run(path: str | Path, directory: str | Path) -> RunOutcome:
    """Measure the study at ``path`` into ``directory`` and return the outcome."""
    from inferometer.plugins import Registry  # noqa: PLC0415 -- as above
    from inferometer.progress import Silent  # noqa: PLC0415 -- as above
    from inferometer.runner import run as measure  # noqa: PLC0415 -- as above

    text = Path(path).read_text(encoding="utf-8")
    return measure(load_study(path), text, Path(directory), Registry(), Silent())


def results(directory: str | Path) -> Store:
    """Open a results directory for reading."""
    return Store(Path(directory))


def analyze(directory: str | Path) -> Comparison:
    """Return the comparison made from a results directory."""
    from inferometer.analyze import analyze as compare  # noqa: PLC0415 -- imports polars

    return compare(Path(directory))
