"""A simulated engine: iterations of a batch in virtual time, and behind HTTP in real time.

What it models and what it leaves out: docs/reference/simulator.md. Importing this loads no array
library; the modules that need one load it themselves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from inferometer import hookimpl
from inferometer_plugins.simulator.adapter import Simulator

if TYPE_CHECKING:
    from collections.abc import Sequence

    from inferometer.engine import Engine

__all__ = ["Simulator"]


@hookimpl
def inferometer_engines() -> Sequence[Engine]:
    """Return the simulated engine."""
    return [Simulator()]
