"""Strokes of a drawing as short path data: moved to their place, in tenths of a pixel."""

from __future__ import annotations

import re

_STEP = re.compile(r"([MLHVZCSQTAmlhvzcsqta])([^MLHVZCSQTAmlhvzcsqta]*)")
_NUMBER = re.compile(r"-?\d*\.?\d+(?:e-?\d+)?")
_CIRCLE = re.compile(r"M([\d.]+),0A\1,\1,0,1,1,-\1,0A\1,\1,0,1,1,\1,0")
SEEN = 0.05
"""Pixels; nothing is seen of a shorter stroke."""


def stroke(x: float, y: float, ends: tuple[float, float, float, float]) -> str:
    """Return the path of a line, moved by ``x`` and ``y``; empty where nothing is seen of it.

    ``ends``: x and y of its beginning, x and y of its end.
    """
    x1, y1, x2, y2 = ends
    across, down = x2 - x1, y2 - y1
    if abs(across) < SEEN and abs(down) < SEEN:
        return ""
    begin = f"M{_pair(x + x1, y + y1)}"
    if abs(down) < SEEN:
        return f"{begin}H{short(x + x2)}"
    if abs(across) < SEEN:
        return f"{begin}V{short(y + y2)}"
    return f"{begin}L{_pair(x + x2, y + y2)}"


def moved(d: str, x: float, y: float) -> str:
    """Return path data moved by ``x`` and ``y`` and rounded.

    Raises:
        ValueError: a step of a path that is to be moved is neither M, L, H, V nor Z, or relative.
    """
    found = []
    for name, rest in _STEP.findall(d):
        numbers = [float(one) for one in _NUMBER.findall(rest)]
        if x or y:
            numbers = _moved(name, numbers, x, y)
        found.append(name + ",".join(map(short, numbers)))
    return "".join(found)


def shape(d: str, x: float, y: float) -> tuple[str, dict[str, str]]:
    """Return a mark at ``x`` and ``y`` as an element: its name and attributes.

    Raises:
        ValueError: it is neither a circle nor made of straight strokes.
    """
    circle = _CIRCLE.fullmatch(d)
    if circle:
        return "circle", {"cx": short(x), "cy": short(y), "r": short(float(circle[1]))}
    return "path", {"d": moved(d, x, y)}


def _moved(name: str, numbers: list[float], x: float, y: float) -> list[float]:
    if name in {"M", "L"}:
        return [one + (y if place % 2 else x) for place, one in enumerate(numbers)]
    if name in {"H", "V"}:
        return [one + (x if name == "H" else y) for one in numbers]
    if name in {"h", "v", "l", "Z", "z"}:
        return numbers
    raise ValueError(f"there is a path with {name!r} that is no mark")


def _pair(x: float, y: float) -> str:
    return f"{short(x)},{short(y)}"


def short(number: float) -> str:
    """Return a place in tenths of a pixel."""
    return f"{round(number, 1) + 0.0:.1f}".removesuffix(".0")
