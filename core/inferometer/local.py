"""The executor of one machine: no cluster, this process measures one launch after another."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from inferometer import hookimpl

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from inferometer.executor import Executor, Option

NAME = "local"


@dataclass(frozen=True, slots=True)
class Local:
    """What measures where nothing else is asked for."""

    name: str = NAME
    options: Mapping[str, type] = field(default_factory=dict)

    def open(
        self,
        options: Mapping[str, Option],  # noqa: ARG002 -- the contract's
        results: Path,  # noqa: ARG002 -- as above
        plan_sha256: str,  # noqa: ARG002 -- as above
    ) -> AbstractContextManager[None]:
        """Return nothing: there is nothing to open."""
        return nullcontext()


@hookimpl
def inferometer_executors() -> Sequence[Executor]:
    """Return the executor of one machine."""
    return [Local()]
