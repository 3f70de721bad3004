"""Lines over a number (seconds, milliseconds, the running order), panels below each other."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import altair as alt

from inferometer_reports.charts import ABSENT, INK, Drawing, layered, look, names, ticks
from inferometer_reports.escape import line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from inferometer_reports.charts import Part, Style

PLOT, HEIGHT = 470, 120
"""Of a panel; one whose names need more is higher."""
LABELS = 175
"""Pixels for the names on the right."""
STEP = 17
"""Pixels from one name to the next."""


class Point(NamedTuple):
    """A place of a line; one with ``told`` has a mark that says so. ``y`` None: a cross below."""

    x: float
    y: float | None
    told: str = ""


class Line(NamedTuple):
    """One stack's line, or its marks alone; ``hollow`` ones are of what nobody measured."""

    name: str
    style: Style
    points: Sequence[Point]
    hollow: bool
    joined: bool = True


class Axis(NamedTuple):
    """What is drawn, with its unit, and the ends of the axis."""

    title: str
    low: float
    high: float
    log: bool = False
    format: str = "~r"
    """Of the ticks, as d3 writes it; ``d`` has ticks at whole numbers alone."""


class Panel(NamedTuple):
    """Lines on one pair of axes; ``rule`` is a line across at that height."""

    title: str
    lines: Sequence[Line]
    x: Axis
    y: Axis
    rule: float | None = None


def chart(panels: Sequence[Panel], *, title: str, subtitle: str) -> Drawing:
    """Return the panels below each other, each with its own axes."""
    rows: dict[str, list[dict[str, Any]]] = {}
    for place, panel in enumerate(panels):
        rows[f"points-{place}"] = _rows(panel)
        rows[f"names-{place}"] = _named(panel)
        rows[f"rule-{place}"] = [{"y": panel.rule}] if panel.rule is not None else []

    def parts() -> list[Part]:
        return [_panel(place, panel) for place, panel in enumerate(panels)]

    return Drawing(title, subtitle, panels, parts, rows)


def _panel(place: int, panel: Panel) -> Part:
    height = _height(panel)
    x = alt.X("x:Q", scale=_scale(panel.x), axis=_axis(panel.x))
    y = alt.Y("y:Q", scale=_scale(panel.y), axis=_axis(panel.y))
    rule = alt.Chart(alt.NamedData(f"rule-{place}")).mark_rule(color=INK, aria=False).encode(y=y)
    layers = [
        rule,
        *_lines(f"points-{place}", x, y, height),
        *names(f"names-{place}", y, PLOT + 12, LABELS),
    ]
    return layered(layers, panel.title, PLOT, height)


def _height(panel: Panel) -> int:
    return max(HEIGHT, STEP * len(panel.lines))


def _scale(axis: Axis) -> alt.Scale:
    kind: Any = "log" if axis.log else "linear"
    return alt.Scale(type=kind, domain=[axis.low, axis.high], nice=False)


def _axis(axis: Axis) -> alt.Axis:
    words = line(f"{axis.title}, logarithmic" if axis.log else axis.title)
    if axis.log:
        return alt.Axis(title=words, format="~g", values=ticks(axis.low, axis.high))
    least = 1 if axis.format == "d" else alt.Undefined
    return alt.Axis(title=words, format=axis.format, tickCount=6, tickMinStep=least)


def _lines(rows: str, x: alt.X, y: alt.Y, height: int) -> list[alt.Chart]:
    """Return lines, marks, and a cross on the axis where there is no value."""
    base = alt.Chart(alt.NamedData(rows))
    colour = alt.Color("colour:N", scale=None)
    return [
        base.transform_filter("datum.joined && datum.y != null")
        .mark_line(strokeWidth=1.5, aria=False)
        .encode(x=x, y=y, order="x:Q", color=colour, detail="series:N"),
        base.transform_filter("datum.told != '' && datum.y != null")
        .mark_point(size=42, opacity=1, strokeWidth=1.5)
        .encode(x=x, y=y, description="told:N", **look()),
        base.transform_filter("datum.told != '' && datum.y == null")
        .mark_text(text=ABSENT, fontSize=16, fontWeight="bold")
        .encode(x=x, y=alt.value(height - 7), color=colour, description="told:N"),
    ]


def _rows(panel: Panel) -> list[dict[str, Any]]:
    return [
        {
            "series": number,
            "x": point.x,
            "y": point.y,
            "told": line(point.told),
            "joined": own.joined,
            **_look(own),
        }
        for number, own in enumerate(panel.lines)
        for point in own.points
    ]


def _look(own: Line) -> dict[str, str]:
    colour, shape = own.style
    return {"colour": colour, "shape": shape, "fill": "white" if own.hollow else colour}


def _named(panel: Panel) -> list[dict[str, Any]]:
    return [
        {"name": line(own.name), "y": _number(8 + place * STEP, panel), **_look(own)}
        for place, own in enumerate(panel.lines)
    ]


def _number(pixel: float, panel: Panel) -> float:
    """Return the number that stands so many pixels below the top of a panel."""
    axis, share = panel.y, 1 - pixel / _height(panel)
    if axis.log:
        return math.exp(math.log(axis.low) + share * math.log(axis.high / axis.low))
    return axis.low + share * (axis.high - axis.low)
