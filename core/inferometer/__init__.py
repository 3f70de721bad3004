"""Inferometer: which LLM inference stack to run, by throughput, by energy, by cost.

Plugin authors need :data:`hookimpl` and the contracts in :mod:`inferometer.engine`,
:mod:`inferometer.meter` and :mod:`inferometer.renderer`. Programs use :mod:`inferometer.api`,
notebooks :func:`load`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from inferometer.hooks import hookimpl

if TYPE_CHECKING:
    from pathlib import Path

    from inferometer.notebook import Results

__all__ = ["hookimpl", "load"]
__version__: str
"""The release this is of: enters results and reports, so it names no commit."""


def load(path: str | Path, scenario: str | Path | None = None) -> Results:
    """Open a results directory, or a ``report.json``, as data frames, rankings and figures.

    ``scenario`` is a file of prices instead of the study's own. What is heavy is imported here and
    computed when it is first asked for.

    Raises:
        UsageError: there are no results at ``path``.
    """
    # By name: whatever measures imports this module, and must not reach what analyses.
    found: Results = import_module("inferometer.notebook").Results.at(path, scenario)
    return found


if not TYPE_CHECKING:

    def __getattr__(name: str) -> str:
        # Looked up when asked for: what reads it costs as much as all of `--help`.
        if name != "__version__":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return import_module("importlib.metadata").version("inferometer").partition("+")[0]
