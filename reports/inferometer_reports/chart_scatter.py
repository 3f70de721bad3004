"""A scatter plot of stacks: one figure against another, and the front that none of them beats."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import altair as alt

from inferometer.language import tr
from inferometer.numbers import with_interval
from inferometer_reports.charts import (
    PALE,
    Drawing,
    around,
    layered,
    look,
    names,
    positive,
    ticks,
    wide,
)
from inferometer_reports.escape import line
from inferometer_reports.view import HOLLOW

if TYPE_CHECKING:
    from collections.abc import Sequence

    from inferometer.comparison import Value
    from inferometer_reports.charts import Part, Style

PLOT, HEIGHT = 470, 250
LABELS = 180
"""Pixels for the names on the right."""
STEP = 17
"""Pixels from one name to the next."""


class Dot(NamedTuple):
    """One load point of one stack."""

    name: str
    load: str
    style: Style
    x: Value
    y: Value
    on_front: bool


class Axes(NamedTuple):
    """What is drawn across and upwards, with units."""

    x: str
    y: str


class _Span(NamedTuple):
    low: float
    high: float
    log: bool


def chart(dots: Sequence[Dot], axes: Axes, *, title: str, subtitle: str) -> Drawing:
    """Return one panel; dots without a number in either are left out of it."""
    shown = [dot for dot in dots if positive(dot.x.value) and positive(dot.y.value)]
    across, upwards = _span([dot.x for dot in shown]), _span([dot.y for dot in shown])
    rows = {
        "dots": [_row(dot, across, upwards) for dot in shown],
        "front": sorted(
            ({"x": dot.x.value, "y": dot.y.value} for dot in shown if dot.on_front),
            key=lambda row: row["x"] or 0.0,
        ),
        "names": _legend(shown, upwards),
    }

    def part() -> list[Part]:
        x = alt.X("x:Q", scale=_scale(across), axis=_axis(across, axes.x))
        y = alt.Y("y:Q", scale=_scale(upwards), axis=_axis(upwards, axes.y))
        layers = [*_lines(x, y), *_dots(x, y), *names("names", y, PLOT + 14, LABELS)]
        return [layered(layers, "", PLOT, HEIGHT)]

    return Drawing(title, subtitle, (across, upwards, axes), part, rows)


def _span(values: Sequence[Value]) -> _Span:
    return _Span(*around(values), log=wide(values))


def _scale(span: _Span) -> alt.Scale:
    kind: Any = "log" if span.log else "linear"
    return alt.Scale(type=kind, domain=[span.low, span.high], nice=False)


def _axis(span: _Span, title: str) -> alt.Axis:
    words = line(tr("{title}, logarithmic", title=title) if span.log else title)
    if span.log:
        return alt.Axis(title=words, format="~g", values=ticks(span.low, span.high))
    return alt.Axis(title=words, format="~r", tickCount=6)


def _lines(x: alt.X, y: alt.Y) -> list[alt.Chart]:
    """Return the front, and each stack's load points joined."""
    front = alt.Chart(alt.NamedData("front")).mark_line(strokeWidth=5, color=PALE, aria=False)
    own = alt.Chart(alt.NamedData("dots")).mark_line(strokeWidth=1, aria=False)
    return [
        front.encode(x=x, y=y, order="x:Q"),
        own.encode(
            x=x, y=y, order="x:Q", detail="stack:N", color=alt.Color("colour:N", scale=None)
        ),
    ]


def _dots(x: alt.X, y: alt.Y) -> list[alt.Chart]:
    base = alt.Chart(alt.NamedData("dots"))
    colour = alt.Color("colour:N", scale=None)
    return [
        base.transform_filter("datum.x_low != null")
        .mark_rule(strokeWidth=1.5, aria=False)
        .encode(x=alt.X("x_low:Q"), x2="x_high:Q", y=y, color=colour),
        base.transform_filter("datum.y_low != null")
        .mark_rule(strokeWidth=1.5, aria=False)
        .encode(x=x, y=alt.Y("y_low:Q"), y2="y_high:Q", color=colour),
        base.mark_point(size=60, opacity=1, strokeWidth=1.5).encode(
            x=x, y=y, description="told:N", **look()
        ),
    ]


def _row(dot: Dot, across: _Span, upwards: _Span) -> dict[str, Any]:
    colour, shape = dot.style
    front = tr(", on the front") if dot.on_front else ""
    hollow = dot.x.kind in HOLLOW or dot.y.kind in HOLLOW
    x_low, x_high = _ends(dot.x, across)
    y_low, y_high = _ends(dot.y, upwards)
    return {
        "stack": line(dot.name),
        "x": dot.x.value,
        "y": dot.y.value,
        "x_low": x_low,
        "x_high": x_high,
        "y_low": y_low,
        "y_high": y_high,
        "colour": colour,
        "shape": shape,
        "fill": "white" if hollow else colour,
        "told": line(
            tr(
                "{name}, {load}{front}: {y} at {x}",
                name=dot.name,
                load=dot.load,
                front=front,
                y=with_interval(dot.y),
                x=with_interval(dot.x),
            )
        ),
    }


def _ends(value: Value, span: _Span) -> tuple[float | None, float | None]:
    """Return the interval as far as it is inside the plot."""
    low, high = positive(value.low), positive(value.high)
    if low is None or high is None:
        return None, None
    return max(low, span.low), min(high, span.high)


def _legend(dots: Sequence[Dot], upwards: _Span) -> list[dict[str, Any]]:
    """Return the stacks' names from the top down; their places are numbers of the y axis."""
    named = {line(dot.name): dot.style for dot in dots}
    return [
        {
            "name": name,
            "y": _number(8 + place * STEP, upwards),
            "colour": style.colour,
            "fill": style.colour,
            "shape": style.shape,
        }
        for place, (name, style) in enumerate(sorted(named.items()))
    ]


def _number(pixel: float, span: _Span) -> float:
    """Return the number that stands so many pixels below the top."""
    share = 1 - pixel / HEIGHT
    if span.log:
        return math.exp(math.log(span.low) + share * math.log(span.high / span.low))
    return span.low + share * (span.high - span.low)
