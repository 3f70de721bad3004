"""``inferometer simulate``: what lies past the machines. Importing this loads nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inferometer import hookimpl
from inferometer.command import Command

if TYPE_CHECKING:
    from collections.abc import Sequence


@hookimpl
def inferometer_commands() -> Sequence[Command]:
    """Return the one command, which has its own."""
    return [
        Command(
            "simulate",
            "Calibrate a simulator from results, plan a fleet with it.",
            "inferometer_plugins.simulate.cli:command",
        )
    ]
