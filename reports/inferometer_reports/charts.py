"""What every chart shares: drawing to SVG, colours, and where ticks and labels stand.

Importing this imports Altair, so it is imported when a chart is drawn, not before. Text that enters
a chart goes through :func:`inferometer_reports.escape.line`; it is data there, never part of an
expression.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import altair as alt
import vl_convert

from inferometer_reports.escape import line

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from inferometer.comparison import Value

VEGA_LITE = "6.4"
"""The release that draws; another one may place things elsewhere."""
WIDTH = 720
"""Pixels that a chart is made for."""
FONT = "Liberation Sans, Arial, Helvetica, sans-serif"
"""The first is inside vl-convert, so that text has one width on every machine."""
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#000000", "#9900FF", "#663311")
"""Told apart under every kind of colour blindness; the first four are Okabe's and Ito's."""
SHAPES = ("circle", "square", "triangle-up", "diamond", "triangle-down")
ABSENT = "\N{MULTIPLICATION SIGN}"
"""Stands on the axis where a value is absent."""
INK, FAINT, PALE = "#333333", "#767676", "#D9D9D9"
TICKS = (
    (0.1, *(step / 10 for step in range(2, 20))),
    (1.0, 1.5, 2.0, 3.0, 5.0, 7.0),
    (1.0, 2.0, 5.0),
    (1.0,),
)
"""Ticks of a logarithmic axis, from the finest; all but the first are of every decade."""
MOST_TICKS = 8
WIDE = 20
"""Greatest over least value from which an axis is logarithmic."""


Part = alt.LayerChart | alt.FacetChart


class Drawing(NamedTuple):
    """Panels below each other, and the rows that they name.

    Rows stand beside the panels, because Altair copies whatever is inside at every step. ``panels``
    makes them from what ``of`` is, and is called only for a chart that was not drawn before.
    """

    title: str
    subtitle: str
    of: object
    panels: Callable[[], Sequence[Part]]
    rows: dict[str, list[dict[str, Any]]]


class Style(NamedTuple):
    """How one stack looks in every chart."""

    colour: str
    shape: str


def styles(stacks: Sequence[str]) -> dict[str, Style]:
    """Return each stack's colour and shape: the same for the same set of stacks."""
    return {
        stack: Style(COLOURS[place % len(COLOURS)], SHAPES[place % len(SHAPES)])
        for place, stack in enumerate(sorted(set(stacks)))
    }


def svg(drawing: Drawing, description: str) -> bytes:
    """Draw a chart; the same chart gives the same bytes, and nothing is loaded from anywhere.

    Raises:
        ValueError: the chart cannot be drawn.
    """
    known = repr((drawing.title, drawing.subtitle, description, drawing.of, drawing.rows))
    return drawn(_Chart(known, drawing, description))


@dataclass(frozen=True, slots=True)
class _Chart:
    """A chart that is told from others by ``known``."""

    known: str
    drawing: Drawing = field(compare=False)
    description: str = field(compare=False)


@lru_cache(maxsize=64)
def drawn(chart: _Chart) -> bytes:
    """Return a chart as SVG; each is drawn once, as several outputs show it.

    Raises:
        ValueError: the chart cannot be drawn.
    """
    drawing = chart.drawing
    title = alt.TitleParams(
        text=line(drawing.title),
        subtitle=line(drawing.subtitle),
        anchor="start",
        color=INK,
        subtitleColor=FAINT,
        offset=10,
        limit=WIDTH - 20,
    )
    config = alt.Config(
        font=FONT,
        view=alt.ViewConfig(stroke=None),
        concat=alt.CompositionConfig(spacing=14),
        axis=alt.AxisConfig(
            labelColor=INK,
            titleColor=INK,
            titleFontWeight="normal",
            gridColor=PALE,
            tickColor=PALE,
            domainColor=PALE,
        ),
    )
    whole = alt.vconcat(
        *drawing.panels(),
        title=title,
        description=line(chart.description),
        background="white",
        config=config,
    )
    specification = json.dumps({**whole.to_dict(), "datasets": drawing.rows})
    svg: str = vl_convert.vegalite_to_svg(specification, vl_version=VEGA_LITE, allowed_base_urls=[])
    return svg.encode()


def layered(layers: Sequence[alt.Chart], title: str, width: int, height: Any) -> Part:
    """Return one panel; ``height`` is a number of pixels or a step."""
    head = alt.TitleParams(text=line(title), anchor="start", fontSize=12, color=INK)
    return alt.layer(*layers, width=width, height=height, title=head)


def look() -> dict[str, Any]:
    """Return the channels that give a mark its row's colour, shape and filling."""
    return {
        "shape": alt.Shape("shape:N", scale=None),
        "stroke": alt.Stroke("colour:N", scale=None),
        "fill": alt.Fill("fill:N", scale=None),
    }


def names(rows: str, y: alt.Y, left: int, limit: int) -> list[alt.Chart]:
    """Return stacks' names in ink, at most ``limit`` pixels wide, each behind its stack's mark.

    ``left`` is where the marks stand, in pixels from the left of the panel.
    """
    base = alt.Chart(alt.NamedData(rows)).encode(y=y)
    mark = base.mark_point(size=40, opacity=1, aria=False).encode(x=alt.value(left), **look())
    text = base.mark_text(align="left", limit=limit, color=INK)
    return [mark, text.encode(x=alt.value(left + 10), text="name:N")]


def positive(number: float | None) -> float | None:
    """Return a number that has a place on a logarithmic axis, else None."""
    return number if number is not None and math.isfinite(number) and number > 0 else None


def domain(values: Sequence[Value]) -> tuple[float, float]:
    """Return the ends of a logarithmic axis of ratios: 1 is on it, and every value.

    An interval may lead out of it: past four times the outermost value it is cut.
    """
    points = [found for value in values if (found := positive(value.value))]
    lows = [found for value in values if (found := positive(value.low))]
    highs = [found for value in values if (found := positive(value.high))]
    least, most = min([1.0, *points]), max([1.0, *points])
    low = max(min([least, *lows]), least / 4)
    high = min(max([most, *highs]), most * 4)
    return min(low / 1.08, 0.8), max(high * 1.08, 1.25)


def wide(values: Sequence[Value]) -> bool:
    """Say whether values lie so far apart that they need a logarithmic axis."""
    found = [number for value in values if (number := positive(value.value))]
    return len(found) > 1 and max(found) > WIDE * min(found)


def around(values: Sequence[Value]) -> tuple[float, float]:
    """Return the ends of an axis that has every value, and what of the intervals lies near."""
    points = [found for value in values if (found := positive(value.value))] or [1.0]
    lows = [found for value in values if (found := positive(value.low))]
    highs = [found for value in values if (found := positive(value.high))]
    low = max(min([*points, *lows]), min(points) / 2)
    high = min(max([*points, *highs]), max(points) * 2)
    return low / 1.06, high * 1.06


def ticks(low: float, high: float) -> list[float]:
    """Return the values at which a logarithmic axis from ``low`` to ``high`` has ticks."""
    inside: list[float] = []
    for place, steps in enumerate(TICKS):
        decades = range(-9, 10) if place else range(1)
        inside = [
            tick
            for decade in decades
            for step in steps
            if low <= (tick := step * 10.0**decade) <= high
        ]
        if len(inside) <= MOST_TICKS:
            return inside
    return inside[:: math.ceil(len(inside) / MOST_TICKS)]


def spread(places: Sequence[float], gap: float) -> list[float]:
    """Return the places moved apart so that none is nearer to the next than ``gap``.

    They keep their order, and each run of those that touch stays centred where it was.
    """
    runs: list[tuple[float, list[int]]] = []
    for index in sorted(range(len(places)), key=places.__getitem__):
        runs.append((places[index], [index]))
        while len(runs) > 1 and _touch(runs[-2], runs[-1], gap):
            (first, left), (second, right) = runs[-2:]
            both = [*left, *right]
            centre = (first * len(left) + second * len(right)) / len(both)
            runs[-2:] = [(centre, both)]
    found = [0.0] * len(places)
    for centre, members in runs:
        for place, index in enumerate(members):
            found[index] = centre + (place - (len(members) - 1) / 2) * gap
    return found


def _touch(left: tuple[float, list[int]], right: tuple[float, list[int]], gap: float) -> bool:
    between = gap * (len(left[1]) + len(right[1])) / 2
    return right[0] - left[0] < between
