"""What a ``[[workloads]]`` table must hold together, beyond the types of its keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from inferometer.workloads import lengths
from inferometer.workloads.presets import PRESETS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

SIDES = ("input", "output")


def problems(entry: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield (key, message) of one decoded table; values of a wrong type are passed over."""
    yield from _sources(entry)
    for side in SIDES:
        if isinstance(entry.get(side), dict):
            for key, text in lengths.problems(entry[side]):
                yield f"{side}.{key}", text
    yield from _cache(entry)


def longest(entry: Mapping[str, Any]) -> int | None:
    """Return the greatest sum of input and output that can occur, in tokens; None if unknown."""
    preset = entry.get("preset")
    case = PRESETS.get(preset) if isinstance(preset, str) else None  # type: ignore[call-overload]
    if case is not None:
        sizes = [case.input.longest, case.output.longest]
    else:
        sizes = [_longest(entry, side) for side in SIDES]
    return sum(size for size in sizes if size) if all(sizes) else None


def _longest(entry: Mapping[str, Any], side: str) -> int | None:
    table = entry.get(side)
    size = entry.get(f"{side}_tokens")
    if isinstance(table, dict):
        size = table.get("tokens" if table.get("distribution") == "fixed" else "max")
    return size if isinstance(size, int) else None


def _sources(entry: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    whole = [key for key in ("preset", "file") if key in entry]
    parts = [key for side in SIDES for key in (f"{side}_tokens", side) if key in entry]
    if len(whole) == 2 or (whole and parts):
        had = " and ".join(f"'{key}'" for key in (*whole, *parts))
        yield "", f"takes its lengths from one place, has {had}"
    elif not whole:
        for side in SIDES:
            given = [key for key in (f"{side}_tokens", side) if key in entry]
            if not given:
                yield f"{side}_tokens", f"missing: give it, or '{side}', 'preset' or 'file'"
            elif len(given) == 2:
                yield side, f"stands beside '{side}_tokens'; give one of them"


def _cache(entry: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if entry.get("cache") == "warm":
        if "reuse" not in entry:
            yield "reuse", "missing: a warm workload states which share of a prompt is reused"
        return
    for key in ("reuse", "prefix_groups"):
        if key in entry:
            yield key, 'needs cache = "warm"'
