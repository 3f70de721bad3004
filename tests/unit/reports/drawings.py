"""The charts of a page, with what each mark and text looks like in light and in dark."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple
from xml.etree import ElementTree as ET

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

NAMES = {"white": "#ffffff", "black": "#000000"}


class Seen(NamedTuple):
    """One element with a colour, its own or from the groups around it."""

    tag: str
    label: str
    words: str
    fill: str
    stroke: str


def charts(page: str) -> list[ET.Element]:
    return [ET.fromstring(found) for found in re.findall(r"<svg .*?</svg>", page, re.DOTALL)]


def seen(element: ET.Element, fill: str = "ink", stroke: str = "none") -> Iterator[Seen]:
    """Every mark and text; ``ink`` is what the page's style gives to texts."""
    fill, stroke = element.get("fill", fill), element.get("stroke", stroke)
    if element.tag in {"path", "circle", "text", "rect"}:
        yield Seen(element.tag, element.get("aria-label", ""), element.text or "", fill, stroke)
    for child in element:
        yield from seen(child, fill, stroke)


def themes(page: str) -> list[dict[str, str]]:
    """Variables of the page's style: light, then dark."""
    found = re.findall(r":root(?:\[data-theme=dark\])?\{(.*?)\}", page, re.DOTALL)[:2]
    return [dict(re.findall(r"(--[\w-]+):(#\w+)", it)) for it in found]


def shown(page: str, theme: dict[str, str], colour: str) -> str:
    """Return what the page makes of a colour of a drawing."""
    if colour == "ink":
        return theme["--c-ink"]
    for said in ("fill", "stroke"):
        rule = re.search(rf'\.chart \[{said}="{colour}"\]\{{{said}:var\((--[\w-]+)\)\}}', page)
        if rule:
            return theme[rule[1]]
    return NAMES.get(colour, colour)


def linear(colour: str) -> NDArray[np.float64]:
    """Return linear red, green and blue, 0 to 1."""
    digits = colour.lstrip("#")
    digits = "".join(one * 2 for one in digits) if len(digits) == 3 else digits
    values = np.array([int(digits[place : place + 2], 16) / 255 for place in (0, 2, 4)])
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def contrast(one: str, other: str) -> float:
    """Return the contrast ratio of WCAG 2.2."""
    light = sorted(float(linear(it) @ [0.2126, 0.7152, 0.0722]) for it in (one, other))
    return (light[1] + 0.05) / (light[0] + 0.05)
