"""Executors that come with Inferometer: Ray, for launches on several machines."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inferometer import hookimpl
from inferometer_plugins.executors.ray import RayExecutor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from inferometer.executor import Executor


@hookimpl
def inferometer_executors() -> Sequence[Executor]:
    """Return the executors; Ray itself is imported when one is opened."""
    return [RayExecutor()]
