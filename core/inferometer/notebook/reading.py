"""Where results are: a results directory, or a ``report.json`` that somebody passed on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from inferometer.comparison import SCHEMA, Comparison
from inferometer.errors import UsageError
from inferometer.store import Store, decode

if TYPE_CHECKING:
    from pathlib import Path

REPORT = "report.json"


class _Head(msgspec.Struct):
    schema: str = ""


def opened(path: Path) -> tuple[Store | None, Comparison | None]:
    """Return the store of a results directory, or what a ``report.json`` holds.

    Raises:
        UsageError: neither is at ``path``, or the report is of another version.
    """
    if not path.exists():
        raise UsageError(
            f"{path}: no such file or directory",
            hint="Give the directory that `inferometer run` printed, or a report.json.",
        )
    if path.is_dir() and ((path / "plan.json").is_file() or not (path / REPORT).is_file()):
        store = Store(path)
        if not store.holds_only_imported():
            store.plan()  # says what is missing where this is no results directory
        return store, None
    return None, _report(path / REPORT if path.is_dir() else path)


def _report(path: Path) -> Comparison:
    schema = decode(path, _Head).schema
    if schema.startswith("inferometer/several/"):
        raise UsageError(
            f"{path}: a report on several results directories",
            hint="Load each of the directories.",
        )
    if schema != SCHEMA:
        raise UsageError(
            f"{path}: its schema is {schema[:40]!r}, this version reads {SCHEMA!r}",
            hint="Write it again from its results: inferometer report RESULTS.",
        )
    return decode(path, Comparison)
