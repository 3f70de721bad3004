"""What an engine says of its own launch, in canonical terms: what it resolved, and what fits."""

from __future__ import annotations

import re
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import msgspec

from inferometer import redact
from inferometer.engine import OUTCOMES, LaunchSpec
from inferometer.records import Told
from inferometer.redact import plain

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from inferometer.engine import Engine, Says
    from inferometer.launch import Server

MOST_BYTES = 8 << 20
"""Of a log that is read: what a launch says of itself stands at its beginning."""
LARGEST = 1e18
"""No size or count that an engine tells is near it: what says more, or NaN, says nothing."""
LONGEST = 200
"""Characters of a value that are kept: a setting is a word or a number."""
NAMES = (
    *(known.name for known in fields(LaunchSpec) if not known.name.startswith("extra_")),
    *OUTCOMES,
)


def resolved(engine: Engine, server: Server, hidden: Sequence[str] = ()) -> dict[str, Any]:
    """Return what the engine says of its configuration, by path, without secrets or ``hidden``."""
    found = {}
    for path in engine.resolved_configuration:
        route, _, key = path.partition("#")
        answer = server.get_json(route)
        if key:
            answer = answer.get(key) if isinstance(answer, dict) else None
        if answer is not None:
            found[path] = redact.without(redact.tree(answer), hidden)
    return found


def told(says: Sequence[Says], configuration: Mapping[str, Any], log: Path) -> dict[str, Told]:
    """Return what the engine says, or why it is not known, by every name in :data:`NAMES`.

    ``configuration`` holds its answers by path, ``log`` its output so far. A null is no answer:
    it means that the engine's code decides later.
    """
    lines = _lines(log) if any(one.pattern for one in says) else []
    found: dict[str, Told] = {}
    for one in says:
        value = _in_log(one, lines) if one.pattern else _answered(one, configuration)
        if value is not None and one.name not in found:
            found[one.name] = Told(value=value, source=one.path or "server.log")
    declared = {one.name for one in says}
    return {name: found.get(name) or _absent(name in declared) for name in NAMES}


def _absent(declared: bool) -> Told:
    text = "not where the adapter looks" if declared else "the adapter names no place for it"
    return Told(reason="not_told", detail=text)


def _lines(log: Path) -> list[str]:
    try:
        with log.open("rb") as file:
            text = file.read(MOST_BYTES)
    except OSError:
        return []
    return [plain(line) for line in text.decode("utf-8", "replace").splitlines()]


def _in_log(one: Says, lines: Iterable[str]) -> str | float | bool | None:
    pattern = re.compile(one.pattern)
    match = next(filter(None, map(pattern.search, lines)), None)
    if match is None:
        return None
    text = match[1]
    try:
        return _read(one, float(text.replace(",", "")))
    except ValueError:
        return _read(one, text)


def _answered(one: Says, configuration: Mapping[str, Any]) -> str | float | bool | None:
    for answer in configuration.values():
        found: Any = answer
        for key in one.path.split("."):
            if isinstance(found, dict):
                found = found.get(key)
            elif isinstance(found, list) and key.isdecimal() and int(key) < len(found):
                found = found[int(key)]
            else:
                found = None
        if isinstance(found, str | bool | int | float):
            return _read(one, found)
    return None


def _read(one: Says, value: str | float | bool) -> str | float | bool | None:
    if one.reads == "not":
        return not value
    if isinstance(value, str):
        return plain(value)[:LONGEST]
    if one.reads == "positive":
        return value > 0
    if isinstance(value, bool):
        return value
    if not abs(value) < LARGEST:
        return None
    scaled = value * one.scale
    return int(scaled) if scaled == int(scaled) else scaled


def asked(spec: LaunchSpec) -> dict[str, Any]:
    """Return a specification as it is stored; variables stand in the record already."""
    extra = {"extra_args": redact.argv(list(spec.extra_args))} if spec.extra_args else {}
    return {name: msgspec.to_builtins(value) for name, value in spec.asked().items()} | extra
