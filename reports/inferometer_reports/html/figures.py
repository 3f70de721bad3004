"""The charts that only the page has: who is behind, capacity, fronts, and latency by load."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inferometer.comparison import OBJECTIVES
from inferometer.language import tr
from inferometer.numbers import point, with_interval
from inferometer_reports import capacity, chart_curves, chart_forest, chart_scatter, charts
from inferometer_reports.blocks import Picture
from inferometer_reports.view import ARCHITECTURE_WORDS, HOLLOW, by_place, key_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from inferometer.comparison import Architecture, Capacity, Cell, Front, Kind, Ranking, Value
    from inferometer_reports.charts import Style
    from inferometer_reports.view import View

MOST_POINTS = 4
"""Load points of a forest plot; where there are more, the lowest to the highest, evenly."""
TOLD = 4
"""Values that stand in a chart's alternative text."""
LATENCIES = (
    ("ttft_p50_ms", "ttft_ms"),
    ("ttft_p90_ms",),
    ("tpot_p50_ms", "tpot_ms"),
)
"""Of each, the first of which there is a number."""


def styles(view: View) -> dict[str, Style]:
    """Return each stack's colour and shape, the same in every chart."""
    return charts.styles([stack.id for stack in view.comparison.stacks])


def style(known: dict[str, Style], stack: str) -> Style:
    """Return the style of a stack, in ink where the comparison does not list it."""
    return known.get(stack) or charts.Style(charts.INK, charts.SHAPES[0])


def subtitle(kinds: Iterable[Kind], text: str) -> str:
    """Return ``text`` with what a chart says of kinds of number that nobody measured."""
    found = set(kinds)
    made_up = tr("SIMULATED, no engine was measured. ") if "simulated" in found else ""
    hollow = tr(" Hollow: not measured.") if found & set(HOLLOW) else ""
    return f"{made_up}{text}{hollow}"


def _kinds(values: Sequence[Value]) -> str:
    kinds = {value.kind for value in values if value.value is not None}
    return subtitle(kinds, tr("95 % intervals over launches."))


def ranking(view: View, architecture: Architecture) -> list[Picture]:
    """Draw each stack's ratio to the best, objective by objective."""
    found = {
        objective: [it for it in view.rankings(objective, architecture) if len(it.entries) > 1]
        for objective in OBJECTIVES
    }
    panels = [
        chart_forest.Panel(_side(view, own[0]), _rows(view, own)) for own in found.values() if own
    ]
    values = [row.value for panel in panels for row in panel.rows]
    if not any(charts.positive(value.value) for value in values):
        return []
    most = max(map(len, found.values()))
    some = tr(" {shown} of {every} operating points.", shown=MOST_POINTS, every=most)
    about = f"{_kinds(values)}{some if most > MOST_POINTS else ''}"
    title = tr("Ratio to the best, {architecture}", architecture=ARCHITECTURE_WORDS[architecture])
    axis = tr("value / the best one's, logarithmic; 1 = the best")
    drawn = chart_forest.chart(panels, title=title, subtitle=about, axis=axis)
    told = [f"{row.name}, {row.group}: {point(row.value)}" for row in panels[0].rows]
    alt = tr(
        "Forest plot. {title}: {told}. All values are in the tables below.",
        title=title,
        told="; ".join(told[:TOLD]),
    )
    return [Picture(f"ranking-{architecture}.svg", alt, charts.svg(drawn, alt))]


def _side(view: View, one: Ranking) -> str:
    info = view.metric(one.metric)
    title = view.metric_title(key_of(one.metric, one.meter), unit=False)
    if info is None:
        return title
    higher = info.direction == "higher"
    return tr("{title}: below 1 is behind" if higher else "{title}: above 1 is behind", title=title)


def _rows(view: View, found: Sequence[Ranking]) -> list[chart_forest.Row]:
    known = styles(view)
    every = list(zip(_places(view, found), found, strict=True))
    last, steps = len(every) - 1, MOST_POINTS - 1
    kept = every if last <= steps else [every[round(n * last / steps)] for n in range(MOST_POINTS)]
    return [
        chart_forest.Row(
            name, view.label(entry.stack), style(known, entry.stack), entry.ratio_to_best
        )
        for name, one in kept
        for entry in by_place(one)
    ]


def _places(view: View, found: Sequence[Ranking]) -> list[str]:
    """Return the operating points, with what else tells them apart."""
    columns = [[getattr(it, field) for it in found] for field in ("profile", "model", "workload")]
    more = [column for column in columns if len(set(column)) > 1]
    return [
        f"{view.apart(one)}{', '.join([*(it[place] for it in more), one.load])}"
        for place, one in enumerate(found)
    ]


def capacities(view: View) -> list[Picture]:
    """Draw the capacity of each stack at the SLO: a panel per model and workload."""
    groups = capacity.places(view)
    panels = [
        chart_forest.Panel(f"{group[0].model}, {group[0].workload}", _rates(view, group))
        for group in groups
    ]
    values = [row.value for panel in panels for row in panel.rows]
    if not any(charts.positive(value.value) for value in values):
        return []
    title = tr("Capacity at the SLO")
    axis = tr("requests/s, the middle between those that meet it and those that miss it")
    drawn = chart_forest.chart(
        panels, title=title, subtitle=_kinds(values), axis=axis, amounts=True
    )
    told = [f"{row.name}: {with_interval(row.value)}" for panel in panels for row in panel.rows]
    alt = tr(
        "Dots with intervals. {title}, requests/s: {told}.",
        title=title,
        told="; ".join(told[:TOLD]),
    )
    return [Picture("capacity.svg", alt, charts.svg(drawn, alt))]


def _rates(view: View, group: Sequence[Capacity]) -> list[chart_forest.Row]:
    known = styles(view)
    return [
        chart_forest.Row("", view.label(one.stack), style(known, one.stack), one.rate)
        for one in group
    ]


def front(view: View, found: Front, place: int) -> list[Picture]:
    """Draw the front of an objective's first meter; ``place`` tells it from its other fronts."""
    known = styles(view)
    dots = [
        chart_scatter.Dot(
            view.label(it.stack),
            it.load,
            style(known, it.stack),
            it.interactivity,
            it.value,
            it.on_front,
        )
        for it in found.points
    ]
    drawable = [it for it in dots if charts.positive(it.x.value) and charts.positive(it.y.value)]
    if len(drawable) < 2 or not found.primary:
        return []
    metric = view.metric_title(key_of(found.metric, found.meter))
    per = tr(" per {per}", per=found.per) if found.per else ""
    axes = chart_scatter.Axes(tr("Interactivity (tok/s/user)"), f"{metric}{per}")
    title = tr(
        "{objective} against speed per user: {model}",
        objective=tr(found.objective).capitalize(),
        model=found.model,
    )
    title += f", {found.workload}{view.profile_words(found.profile)}"
    kinds = {value.kind for it in dots for value in (it.x, it.y)}
    words = subtitle(kinds, tr("Grey band: the front. 95 % intervals over launches."))
    drawn = chart_scatter.chart(dots, axes, title=title, subtitle=words)
    told = [
        tr("{name}, {load}: {y} at {x}", name=it.name, load=it.load, y=point(it.y), x=point(it.x))
        for it in drawable
        if it.on_front
    ]
    alt = tr(
        "Scatter plot. {title}. On the front: {told}.", title=title, told="; ".join(told[:TOLD])
    )
    return [Picture(f"front-{found.objective}-{place}.svg", alt, charts.svg(drawn, alt))]


def latency(view: View, cells: Sequence[Cell], number: int) -> list[Picture]:
    """Draw the latencies of one model and workload by load point, where there are two."""
    loads = list(dict.fromkeys(cell.load for cell in cells))
    panels = [
        panel for keys in LATENCIES if len(loads) > 1 and (panel := _panel(view, cells, keys))
    ]
    if not panels:
        return []
    values = [value for it in panels for series in it.series for value in series.values.values()]
    title = tr(
        "Latency by load: {model}, {workload}", model=cells[0].model, workload=cells[0].workload
    )
    drawn = chart_curves.chart(panels, loads, title=title, subtitle=_kinds(values))
    told = [
        f"{series.name}, {load}: {with_interval(value)}"
        for series in panels[0].series
        for load, value in series.values.items()
    ]
    alt = tr(
        "Curves. {title}. {panel}: {told}.",
        title=title,
        panel=panels[0].title,
        told="; ".join(told[:TOLD]),
    )
    return [Picture(f"latency-{number}.svg", alt, charts.svg(drawn, alt))]


def _panel(view: View, cells: Sequence[Cell], keys: Sequence[str]) -> chart_curves.Panel | None:
    """Return the curves of the first metric of which there is a number."""
    known = styles(view)
    for key in keys:
        own = [cell for cell in cells if key in cell.values]
        if not any(charts.positive(cell.values[key].value) for cell in own):
            continue
        series = [
            chart_curves.Series(
                view.label(stack),
                style(known, stack),
                {cell.load: cell.values[key] for cell in own if cell.stack == stack},
            )
            for stack in dict.fromkeys(cell.stack for cell in own)
        ]
        panel = chart_curves.Panel(view.metric_title(key), series, ratios=False, amounts=True)
        log = tr(", logarithmic") if panel.logarithmic else ""
        return panel._replace(title=f"{panel.title}{log}")
    return None
