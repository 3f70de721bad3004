"""Which executor runs the launches, with the options given for it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from inferometer.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from inferometer.executor import Cluster, Executor, Option
    from inferometer.plugins import Registry


def chosen(
    registry: Registry, name: str, pairs: Sequence[str]
) -> Callable[[Path, str], AbstractContextManager[Cluster | None]]:
    """Return what opens the executor ``name`` with ``key=value`` options.

    Raises:
        UsageError: there is no such executor, or it has no such option, or not of such a value.
    """
    from inferometer.local import NAME, Local

    executor: Executor
    if name == NAME:  # also where no plugin is loaded
        executor = Local()
    else:
        known = registry.executors()
        if name not in known:
            raise UsageError.unknown("executor", name, {*known, NAME}, place="--executor")
        executor = known[name]
    return partial(executor.open, _options(executor, pairs))


def _options(executor: Executor, pairs: Sequence[str]) -> dict[str, Option]:
    found: dict[str, Option] = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if key not in executor.options:
            kind = f"option of executor {executor.name!r}"
            raise UsageError.unknown(kind, key, executor.options, place="--executor-option")
        type_ = executor.options[key]
        try:
            found[key] = type_(text) if equals and text else _missing()
        except ValueError as error:
            raise UsageError(
                f"option {key} of executor {executor.name!r}: {pair!r} gives no {type_.__name__}",
                hint=f"Write --executor-option {key}=VALUE.",
            ) from error
    return found


def _missing() -> Option:
    raise ValueError
