"""A drawn chart as part of the page: only marks, text and what they are called.

What Vega draws is a tree of moved groups, one element a stroke. Here it is flat: each mark has its
place, strokes of one look are one path, and what marks have in common stands once around them.
"""

from __future__ import annotations

import re
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple
from xml.etree import ElementTree as ET

from inferometer.language import ENGLISH, current
from inferometer_reports.charts import ABSENT, INK
from inferometer_reports.html.markup import Markup, element, join
from inferometer_reports.html.strokes import moved, shape, short, stroke

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from inferometer_reports.blocks import Picture

_SVG = "{http://www.w3.org/2000/svg}"
_DRAWN = {"svg", "g", "path", "rect", "line", "text"}
_LOOK = {
    *("fill", "stroke", "stroke-width", "stroke-dasharray", "opacity", "fill-opacity"),
    *("stroke-opacity", "text-anchor", "font-size", "font-weight"),
}
"""What groups hand down to the marks in them."""
_KEPT = _LOOK | {
    *("role", "aria-label", "aria-hidden", "viewBox", "width", "height", "transform", "d"),
    *("x", "y", "x1", "x2", "y1", "y2"),
}
_DROPPED = {
    *("class", "version", "font-family", "pointer-events", "display", "stroke-miterlimit"),
    *("stroke-linecap", "aria-describedby", "aria-roledescription", "font-style"),
    *("stroke-dashoffset", "dominant-baseline"),
}
"""What a chart may have and the page has no need of."""
_USUAL = {
    *(("opacity", "1"), ("fill-opacity", "1"), ("stroke-opacity", "1"), ("stroke", "none")),
    *(("text-anchor", "start"), ("font-weight", "normal"), ("font-size", "11px")),
}
"""What holds without being said, here or by the page's style."""
MANY = 3
"""Marks of one look from which it is shorter to say it once."""
_MOVE = re.compile(r"translate\((-?[\d.e-]+)[, ]+(-?[\d.e-]+)\)")
_LONG = re.compile(r"-?\d+\.\d{3,}")


class _Leaf(NamedTuple):
    """One element without children: ``own`` is its place and name, ``look`` may be shared."""

    name: str
    own: dict[str, str]
    look: dict[str, str]
    text: str = ""


class _Zone(NamedTuple):
    """Leaves that assistive technology meets together: as one image, not at all, or each."""

    about: tuple[tuple[str, str], ...]
    leaves: list[_Leaf]


class _Place(NamedTuple):
    """Where the walk is: how far moved, and what groups handed down."""

    x: float
    y: float
    look: dict[str, str]
    about: tuple[tuple[str, str], ...]


def figure(one: Picture) -> Markup:
    """Return a chart for the page, with places rounded to tenths of a pixel.

    Raises:
        ValueError: there is something in it that a chart has no need of.
    """
    root = ET.fromstring(one.svg)  # noqa: S314 - drawn by this process
    zones: list[_Zone] = []
    try:
        _walk(root, _Place(0.0, 0.0, {}, ()), zones)
    except ValueError as error:
        raise ValueError(f"the chart {one.file} cannot be part of a page: {error}") from error
    size = {key: root.attrib[key] for key in ("width", "height", "viewBox") if key in root.attrib}
    drawn = element("svg", *map(_zone, zones), **size)
    return element("figure", drawn, class_="chart", tabindex="0", role="group", aria_label=one.alt)


def _walk(found: ET.Element, place: _Place, zones: list[_Zone]) -> None:
    name = found.tag.removeprefix(_SVG)
    if name not in _DRAWN:
        raise ValueError(f"there is <{name}>")
    for key, value in found.attrib.items():
        if key not in _KEPT | _DROPPED or (key != "aria-label" and "url(" in value):
            raise ValueError(f"there is {key}={value[:40]!r}")
    if found.attrib.get("display") == "none":
        return
    here = _entered(found, place, name)
    if name in {"svg", "g"}:
        for child in found:
            _walk(child, here, zones)
        return
    leaf = _leaf(name, found, here)
    if leaf is None:
        return
    if not zones or zones[-1].about != here.about:
        zones.append(_Zone(here.about, []))
    zones[-1].leaves.append(leaf)


def _entered(found: ET.Element, place: _Place, name: str) -> _Place:
    """Return the place inside an element; only texts may be turned."""
    said = found.attrib
    x, y = place.x, place.y
    transform = said.get("transform", "")
    if name != "text":
        moves = _MOVE.fullmatch(transform)
        if transform and not moves:
            raise ValueError(f"there is transform={transform[:40]!r}")
        x, y = (x + float(moves[1]), y + float(moves[2])) if moves else (x, y)
    look = {key: value for key, value in said.items() if key in _LOOK}
    if name == "g" and float(look.get("opacity", "1")) != 1:
        raise ValueError("there is a group that is not opaque")
    return _Place(x, y, place.look | look, _about(found, place, name))


def _about(found: ET.Element, place: _Place, name: str) -> tuple[tuple[str, str], ...]:
    """Return what a group is to assistive technology; a title is its own words."""
    said = found.attrib
    if place.about:
        return place.about
    if said.get("aria-hidden") == "true":
        return (("aria-hidden", "true"),)
    label = said.get("aria-label", "")
    if name != "g" or said.get("role") != "img" or " text '" in label[:16]:
        return ()
    label = _LONG.sub(lambda it: f"{float(it[0]):.3g}", label)
    foreign = (("lang", ENGLISH.code),) * (current().code != ENGLISH.code)
    return (("role", "img"), ("aria-label", label), *foreign)


def _leaf(name: str, found: ET.Element, place: _Place) -> _Leaf | None:
    """Return a mark at its place in the whole drawing; None where nothing is seen of it."""
    look = dict(place.look)
    if name == "text":
        return _text(found, place, look)
    if name == "rect":
        return _rect(found, place, look)
    look.setdefault("fill", "none")
    if look["fill"] == "none" and look.get("stroke", "none") == "none":
        return None
    named = _named(found)
    if name == "line":
        x1, y1, x2, y2 = (float(found.attrib.get(it, "0")) for it in ("x1", "y1", "x2", "y2"))
        d = stroke(place.x, place.y, (x1, y1, x2, y2))
        look["fill"] = "none"
        return _Leaf("path", named | {"d": d}, look) if d else None
    d = found.attrib.get("d", "")
    if named or look["fill"] != "none":
        tag, at = shape(d, place.x, place.y)
        return _Leaf(tag, named | at, look)
    return _Leaf("path", {"d": moved(d, place.x, place.y)}, look)


def _named(found: ET.Element) -> dict[str, str]:
    """Return the accessible name of a mark; each is an image of its value."""
    label = found.attrib.get("aria-label")
    return {"aria-label": label, "role": "img"} if label else {}


def _rect(found: ET.Element, place: _Place, look: dict[str, str]) -> _Leaf | None:
    """Return a rectangle; the white one behind everything is the page itself."""
    if look.get("fill") == "white" and "stroke" not in look and "x" not in found.attrib:
        return None
    at = {key: float(found.attrib.get(key, "0")) for key in ("x", "y", "width", "height")}
    own = {"x": at["x"] + place.x, "y": at["y"] + place.y}
    own |= {"width": at["width"], "height": at["height"]}
    return _Leaf("rect", _named(found) | {k: short(v) for k, v in own.items()}, look)


def _text(found: ET.Element, place: _Place, look: dict[str, str]) -> _Leaf | None:
    words = found.text or ""
    if not words.strip():
        return None
    own = _named(found) if words == ABSENT else {}
    transform = found.attrib.get("transform", "")
    moves = _MOVE.fullmatch(transform)
    if moves or not transform:
        x, y = (float(moves[1]), float(moves[2])) if moves else (0.0, 0.0)
        own |= {"x": short(place.x + x), "y": short(place.y + y)}
    else:
        turned = _LONG.sub(lambda it: short(float(it[0])), transform)
        own |= {"transform": f"translate({short(place.x)},{short(place.y)}) {turned}"}
    if look.get("fill", INK) in {INK, "none"}:
        look.pop("fill", None)
    for key in ("stroke", "stroke-width", "stroke-dasharray"):
        look.pop(key, None)
    return _Leaf("text", own, look, words)


def _zone(zone: _Zone) -> Markup:
    inside = join(_run(run) for run in _runs(_joined(zone.leaves)))
    return element("g", inside, **dict(zone.about)) if zone.about else inside


def _joined(leaves: Sequence[_Leaf]) -> list[_Leaf]:
    """Return the leaves with nameless strokes that follow each other as one path for each look."""
    found: list[_Leaf] = []
    strokes: dict[tuple[tuple[str, str], ...], _Leaf] = {}
    for leaf in leaves:
        if leaf.own.keys() != {"d"} or leaf.look.get("fill") != "none":
            found += strokes.values()
            strokes = {}
            found.append(leaf)
            continue
        key = tuple(sorted(leaf.look.items()))
        before = strokes[key].own["d"] if key in strokes else ""
        strokes[key] = leaf._replace(own={"d": before + leaf.own["d"]})
    return [*found, *strokes.values()]


def _runs(leaves: Sequence[_Leaf]) -> Iterator[list[_Leaf]]:
    """Yield marks, and texts of one look, that follow each other."""
    run: list[_Leaf] = []
    for leaf in leaves:
        texts = [one.name == "text" for one in (*run[:1], leaf)]
        if run and (len(set(texts)) > 1 or (texts[0] and run[0].look != leaf.look)):
            yield run
            run = []
        run.append(leaf)
    if run:
        yield run


def _run(run: Sequence[_Leaf]) -> Markup:
    """Return leaves; what all of them look like stands once around them."""
    looks = [{item for item in leaf.look.items() if item not in _USUAL} for leaf in run]
    shared = set.intersection(*looks) if len(run) > 1 else set()
    rests = [look - shared for look in looks]
    inside = join(
        _group(rest, [leaf for leaf, _ in found])
        for rest, found in groupby(zip(run, rests, strict=True), key=lambda it: it[1])
    )
    return element("g", inside, **_said(shared)) if shared else inside


def _group(look: set[tuple[str, str]], leaves: Sequence[_Leaf]) -> Markup:
    """Return leaves of one look; where they are many it stands around them."""
    around = look if len(leaves) >= MANY else set()
    own = _said(look - around)
    inside = join(element(leaf.name, leaf.text, **leaf.own, **own) for leaf in leaves)
    return element("g", inside, **_said(around)) if around else inside


def _said(look: Iterable[tuple[str, str]]) -> Mapping[str, str]:
    return dict(sorted(look))
