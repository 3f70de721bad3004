"""Curves over load points, panels below each other on one x axis, labelled where they end."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import altair as alt

from inferometer.numbers import with_interval
from inferometer_reports.charts import (
    ABSENT,
    INK,
    Drawing,
    around,
    domain,
    layered,
    look,
    names,
    positive,
    spread,
    ticks,
    wide,
)
from inferometer_reports.escape import line
from inferometer_reports.view import HOLLOW

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from inferometer.comparison import Value
    from inferometer_reports.charts import Part, Style

PLOT, HEIGHT = 480, 130
LABELS = 175
"""Pixels for the labels on the right."""
GAP = 14
"""Least distance between two labels, in pixels."""
ASIDE = 0.035
"""How far curves stand apart, of the distance between load points, so that intervals show."""


class Series(NamedTuple):
    """One curve: a value for each load point that has one. ``dashed`` tells it from another."""

    name: str
    style: Style
    values: Mapping[str, Value]
    dashed: bool = False


class Panel(NamedTuple):
    """Curves with one y axis: ratios on a logarithmic one with a line at 1, or shares from 0.

    ``amounts`` are neither: from 0, or on a logarithmic axis where they lie far apart. Intervals
    are on it whole, up to four times the outermost value.
    """

    title: str
    series: list[Series]
    ratios: bool
    amounts: bool = False

    @property
    def logarithmic(self) -> bool:
        """Say whether the y axis is."""
        return self.ratios or (self.amounts and wide(self._values))

    @property
    def _values(self) -> list[Value]:
        return [value for series in self.series for value in series.values.values()]

    @property
    def ends(self) -> tuple[float, float]:
        """Ends of the y axis."""
        values = self._values
        if self.ratios:
            return domain(values)
        if self.logarithmic:
            return around(values)
        most = max((found for value in values if (found := positive(value.value))), default=0.0)
        highs = [found for value in values if (found := positive(value.high))]
        return 0.0, max(most * 1.15, min(max(highs, default=0.0), most * 4) * 1.02, 0.02)


def chart(panels: Sequence[Panel], loads: Sequence[str], *, title: str, subtitle: str) -> Drawing:
    """Return the panels below each other; the load points stand under the last."""
    rows: dict[str, list[dict[str, Any]]] = {
        "one": [{"y": 1}],
        "loads": [{"x": place, "load": line(load)} for place, load in enumerate(loads)],
    }
    for place, panel in enumerate(panels):
        rows[f"curves-{place}"] = _rows(panel, loads)
        rows[f"names-{place}"] = _named(panel)

    def parts() -> list[Part]:
        return [
            _panel(place, panel, loads, last=panel is panels[-1])
            for place, panel in enumerate(panels)
        ]

    return Drawing(title, subtitle, (panels, loads), parts, rows)


def _panel(place: int, panel: Panel, loads: Sequence[str], *, last: bool) -> Part:
    x = alt.X(
        "x:Q",
        scale=alt.Scale(domain=[-0.4, len(loads) - 0.6], nice=False),
        axis=alt.Axis(values=list(range(len(loads))), labels=False, title=None),
    )
    axis = (
        alt.Axis(title=None, format="~g", values=ticks(*panel.ends))
        if panel.logarithmic
        else alt.Axis(title=None, format="~r" if panel.amounts else "~%", tickCount=4)
    )
    ends = list(panel.ends)
    scale = (
        alt.Scale(type="log", domain=ends, nice=False)
        if panel.logarithmic
        else alt.Scale(domain=ends, nice=False)
    )
    y = alt.Y("y:Q", scale=scale, axis=axis)
    layers = [*_curves(f"curves-{place}", x, y), *names(f"names-{place}", y, PLOT + 8, LABELS)]
    if panel.ratios:
        one = alt.Chart(alt.NamedData("one")).mark_rule(color=INK, aria=False)
        layers.insert(0, one.encode(y=y))
    if last:
        layers.append(_loads(len(loads), x))
    return layered(layers, panel.title, PLOT, HEIGHT)


def _curves(rows: str, x: alt.X, y: alt.Y) -> list[alt.Chart]:
    """Return lines, intervals, points, and a cross on the axis where there is no value."""
    base = alt.Chart(alt.NamedData(rows))
    there = base.transform_filter("datum.y != null")
    barred = base.transform_filter("datum.low != null")
    colour = alt.Color("colour:N", scale=None)
    dashes = alt.Scale(domain=["whole", "dashed"], range=[[1, 0], [5, 3]])
    return [
        there.mark_line(strokeWidth=1.5, aria=False).encode(
            x=x,
            y=y,
            color=colour,
            detail="series:N",
            strokeDash=alt.StrokeDash("dash:N", scale=dashes, legend=None),
        ),
        barred.mark_rule(strokeWidth=2, aria=False).encode(
            x=x, y=alt.Y("low:Q"), y2="high:Q", color=colour
        ),
        there.mark_point(size=42, opacity=1, strokeWidth=1.5).encode(
            x=x, y=y, description="told:N", **look()
        ),
        base.transform_filter("datum.y == null")
        .mark_text(text=ABSENT, fontSize=16, fontWeight="bold")
        .encode(x=x, y=alt.value(HEIGHT - 7), color=colour, description="told:N"),
    ]


def _loads(number: int, x: alt.X) -> alt.Chart:
    base = alt.Chart(alt.NamedData("loads"))
    text = base.mark_text(baseline="top", color=INK, limit=PLOT / number - 4)
    found: alt.Chart = text.encode(x=x, y=alt.value(HEIGHT + 8), text="load:N")
    return found


def _rows(panel: Panel, loads: Sequence[str]) -> list[dict[str, Any]]:
    return [
        {
            "series": number,
            "x": place + (number - (len(panel.series) - 1) / 2) * ASIDE,
            "told": line(f"{series.name}, {load}: {with_interval(value)}"),
            "dash": "dashed" if series.dashed else "whole",
            **_look(series, hollow=value.kind in HOLLOW),
            **_places(value, panel.ends),
        }
        for number, series in enumerate(panel.series)
        for place, load in enumerate(loads)
        if (value := series.values.get(load)) is not None
    ]


def _look(series: Series, *, hollow: bool) -> dict[str, str]:
    colour, shape = series.style
    return {"colour": colour, "shape": shape, "fill": "white" if hollow else colour}


def _places(value: Value, ends: tuple[float, float]) -> dict[str, float | None]:
    y, low, high = (positive(number) for number in (value.value, value.low, value.high))
    if y is None or low is None or high is None:
        return {"y": y, "low": None, "high": None}
    return {"y": y, "low": max(low, ends[0]), "high": min(high, ends[1])}


def _named(panel: Panel) -> list[dict[str, Any]]:
    """Return each curve's name and where it stands: beside its last value, apart from others."""
    named = []
    for series in panel.series:
        values = [number for it in series.values.values() if (number := positive(it.value))]
        if values:
            named.append((series, values[-1]))
    pixels = spread([_pixel(panel, last) for _, last in named], GAP)
    return [
        {
            "name": line(series.name),
            "y": _number(panel, pixel),
            **_look(series, hollow=all(it.kind in HOLLOW for it in series.values.values())),
        }
        for (series, _), pixel in zip(named, pixels, strict=True)
    ]


def _pixel(panel: Panel, number: float) -> float:
    """Return how far below the top of a panel a number stands."""
    low, high, at = (math.log(it) if panel.logarithmic else it for it in (*panel.ends, number))
    return HEIGHT * (1 - (at - low) / (high - low))


def _number(panel: Panel, pixel: float) -> float:
    """Return the number that stands there: the inverse of :func:`_pixel`."""
    low, high = (math.log(it) if panel.logarithmic else it for it in panel.ends)
    at = low + (1 - pixel / HEIGHT) * (high - low)
    return math.exp(at) if panel.logarithmic else at
