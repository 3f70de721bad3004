"""Dots with their intervals, one row each: amounts, or ratios on both sides of a line at 1."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import altair as alt

from inferometer.numbers import with_interval
from inferometer_reports.charts import (
    INK,
    Drawing,
    around,
    domain,
    layered,
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

PLOT = 255
"""Pixels of the plot between the names on its left and the figures on its right."""
GROUPS, NAMES, FIGURES = 115, 185, 150
ROW = 18


class Row(NamedTuple):
    """One value. ``group`` is written where it differs from the row above."""

    group: str
    name: str
    style: Style
    value: Value


class Panel(NamedTuple):
    """The values of one metric."""

    title: str
    rows: list[Row]


class _Span(NamedTuple):
    ends: tuple[float, float]
    log: bool
    one: bool
    """Whether there is a line at 1."""


def chart(
    panels: Sequence[Panel], *, title: str, subtitle: str, axis: str, amounts: bool = False
) -> Drawing:
    """Return the panels that have rows below each other, all on one scale.

    ``amounts`` are no ratios: their axis is logarithmic only where they lie far apart.
    """
    shown = [panel for panel in panels if panel.rows]
    values = [row.value for panel in shown for row in panel.rows]
    span = _Span(domain(values), log=True, one=True)
    if amounts:
        span = _Span(around(values), log=wide(values), one=False)
        axis = f"{axis}, logarithmic" if span.log else axis

    def parts() -> list[Part]:
        return [
            _panel(f"rows-{place}", panel.title, span, axis if panel is shown[-1] else None)
            for place, panel in enumerate(shown)
        ]

    rows = {f"rows-{place}": _rows(panel.rows, span.ends) for place, panel in enumerate(shown)}
    rows["one"] = [{"x": 1}]
    return Drawing(title, subtitle, (shown, span, axis), parts, rows)


def _panel(rows: str, title: str, span: _Span, axis: str | None) -> Part:
    kind: Any = "log" if span.log else "linear"
    marked: dict[str, Any] = {"values": ticks(*span.ends)} if span.log else {"tickCount": 5}
    x = alt.X(
        "x:Q",
        scale=alt.Scale(type=kind, domain=list(span.ends), nice=False),
        axis=alt.Axis(format="~g" if span.log else "~r", title=axis, **marked),
    )
    one = alt.Chart(alt.NamedData("one")).mark_rule(color=INK, aria=False).encode(x=x)
    base = alt.Chart(alt.NamedData(rows)).encode(y=alt.Y("y:O", axis=None))
    layers = [*([one] if span.one else []), *_marks(base, x), *_texts(base)]
    return layered(layers, title, PLOT, alt.Step(ROW))


def _marks(base: alt.Chart, x: alt.X) -> list[alt.Chart]:
    """Return the intervals, arrows where one leads out of the plot, and the points."""
    colour = alt.Color("colour:N", scale=None)
    rule = base.transform_filter("datum.low != null").mark_rule(strokeWidth=2, aria=False)
    point = base.transform_filter("datum.x != null").mark_point(size=42, opacity=1, strokeWidth=1.5)
    return [
        rule.encode(x=alt.X("low:Q"), x2="high:Q", color=colour),
        *(
            base.transform_filter(f"datum.{end}_cut")
            .mark_point(shape=arrow, size=40, filled=True, opacity=1, aria=False)
            .encode(x=alt.X(f"{end}:Q"), color=colour)
            for end, arrow in (("low", "triangle-left"), ("high", "triangle-right"))
        ),
        point.encode(
            x=x,
            shape=alt.Shape("shape:N", scale=None),
            stroke=alt.Stroke("colour:N", scale=None),
            fill=alt.Fill("fill:N", scale=None),
            description="told:N",
        ),
    ]


def _texts(base: alt.Chart) -> list[alt.Chart]:
    group = base.mark_text(align="left", fontWeight="bold", limit=GROUPS - 6, color=INK)
    name = base.mark_text(align="right", limit=NAMES - 10, color=INK)
    figure = base.mark_text(align="left", limit=FIGURES, color=INK)
    return [
        group.encode(x=alt.value(-(NAMES + GROUPS)), text="group:N"),
        name.encode(x=alt.value(-8), text="name:N"),
        figure.encode(x=alt.value(PLOT + 8), text="figure:N"),
    ]


def _rows(rows: Sequence[Row], ends: tuple[float, float]) -> list[dict[str, Any]]:
    found = []
    above = None
    for place, row in enumerate(rows):
        figure = with_interval(row.value)
        name = ", ".join(part for part in (row.group, row.name) if part)
        found.append(
            {
                "y": place,
                "group": line(row.group) if row.group != above else "",
                "name": line(row.name),
                "figure": line(figure),
                "told": line(f"{name}: {figure}"),
                "colour": row.style.colour,
                "fill": "white" if row.value.kind in HOLLOW else row.style.colour,
                "shape": row.style.shape,
                **_places(row.value, ends),
            }
        )
        above = row.group
    return found


def _places(value: Value, ends: tuple[float, float]) -> dict[str, Any]:
    """Return where a value and the ends of its interval are; None is drawn nowhere."""
    x, low, high = (positive(number) for number in (value.value, value.low, value.high))
    if x is None or low is None or high is None:
        return {"x": x, "low": None, "high": None, "low_cut": False, "high_cut": False}
    return {
        "x": x,
        "low": max(low, ends[0]),
        "high": min(high, ends[1]),
        "low_cut": low < ends[0],
        "high_cut": high > ends[1],
    }
