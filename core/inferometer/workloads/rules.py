"""What a ``[[workloads]]`` table must hold together, beyond the types of its keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from inferometer.workloads import lengths
from inferometer.workloads.presets import PRESETS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

SIDES = ("input", "output")
MOST_TURNS = 200


def problems(entry: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield (key, message) of one decoded table; values of a wrong type are passed over."""
    yield from _sources(entry)
    for side in SIDES:
        if isinstance(entry.get(side), dict):
            for key, text in lengths.problems(entry[side]):
                yield f"{side}.{key}", text
    if "turns" in entry or "think_s" in entry:
        yield from _turns(entry)
    else:
        yield from _cache(entry)


def longest(entry: Mapping[str, Any]) -> int | None:
    """Return the greatest sum of input and output that can occur, in tokens; None if unknown.

    The last turn of a conversation repeats all that was said before.
    """
    preset = entry.get("preset")
    case = PRESETS.get(preset) if isinstance(preset, str) else None  # type: ignore[call-overload]
    if case is not None:
        sizes = [case.input.longest, case.output.longest]
    else:
        sizes = [_longest(entry, side) for side in SIDES]
    turns = _most_turns(entry)
    return turns * sum(size for size in sizes if size) if all(sizes) and turns else None


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


def _turns(entry: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Check a conversation: its turns share beginnings by construction, so it is warm."""
    turns = entry.get("turns")
    if turns is None:
        yield "think_s", "needs 'turns': it is the pause before a conversation's next turn"
        return
    if entry.get("cache") != "warm":
        yield "cache", 'must be "warm": each turn repeats the conversation before it'
    for key in ("reuse", "prefix_groups"):
        if key in entry:
            yield key, "leave it out: what a conversation reuses follows from its turns"
    if not isinstance(turns, dict):
        return
    for key, text in lengths.problems(turns):
        yield f"turns.{key}", text
    kind, most = turns.get("distribution"), turns.get("tokens", turns.get("max"))
    if kind == "empirical":
        yield "turns.distribution", "files hold no turns; give a number or a distribution"
    elif most is None and kind in ("normal", "lognormal"):
        yield "turns.max", f"missing: say how long a conversation may be, at most {MOST_TURNS}"
    elif isinstance(most, int) and most > MOST_TURNS:
        yield "turns.max", f"must be at most {MOST_TURNS} turns, is {most}"


def _most_turns(entry: Mapping[str, Any]) -> int | None:
    turns = entry.get("turns", 1)
    if isinstance(turns, dict):
        turns = turns.get("tokens" if turns.get("distribution") == "fixed" else "max")
    return turns if isinstance(turns, int) else None
