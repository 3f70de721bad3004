"""What ``[[models]]`` must hold together, beyond the types of its keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from inferometer import problems

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    Entries = Sequence[tuple[str, dict[str, Any]]]
    """The tables, each with its place: ``models[0]``."""


def find(entries: Entries) -> Iterator[problems.Problem]:
    """Find what types cannot say. Values of a wrong type are left to the walker."""
    yield from _sources(entries)
    yield from _twins(entries)
    for place, entry in entries:
        told = entry.get("quality")
        if isinstance(told, dict):
            yield from _quality(f"{place}.quality", told)


def _sources(entries: Entries) -> Iterator[problems.Problem]:
    for place, entry in entries:
        if ("path" in entry) == ("packaged" in entry):
            got = "both" if "path" in entry else "neither"
            yield place, f"needs exactly one of 'path' and 'packaged', has {got}"


def _twins(entries: Entries) -> Iterator[problems.Problem]:
    dense = [str(entry.get("name")) for _, entry in entries if "twin_of" not in entry]
    for place, entry in entries:
        twin = entry.get("twin_of")
        if isinstance(twin, str) and twin not in dense:
            known = ", ".join(dense) or "none"
            yield (
                f"{place}.twin_of",
                f"{problems.shown(twin)} is no dense model of this study; dense: {known}",
            )


def _quality(place: str, told: dict[str, Any]) -> Iterator[problems.Problem]:
    """Check a declared score: finite, and inside its interval, which has two ends."""
    ends = {
        key: told[key]
        for key in ("low", "score", "high")
        if isinstance(told.get(key), int | float) and not isinstance(told[key], bool)
    }
    wrong = [key for key, value in ends.items() if not problems.finite(value)]
    yield from ((f"{place}.{key}", "must be a finite number") for key in wrong)
    if ("low" in told) != ("high" in told):
        yield place, "needs both 'low' and 'high', the ends of the score's interval, or neither"
    elif len(ends) == 3 and not wrong and sorted(ends.values()) != list(ends.values()):
        yield place, "needs low <= score <= high"
