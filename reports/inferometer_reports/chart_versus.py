"""The chart of results against a baseline: every ratio with its interval, metric by metric."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inferometer.language import later, tr
from inferometer.numbers import times
from inferometer_reports import chart_forest, charts
from inferometer_reports import words_versus as words
from inferometer_reports.blocks import Picture
from inferometer_reports.view import HOLLOW

if TYPE_CHECKING:
    from collections.abc import Sequence

    from inferometer.comparison.versus import Line, Versus
    from inferometer_reports.charts import Style

MOST_ROWS = 12
"""Ratios of one metric; where there are more, those that are worst."""
TOLD = 4
"""Ratios that stand in the chart's alternative text."""
AXIS = later("now / baseline, logarithmic; 1 = equal")


def figures(versus: Versus) -> list[Picture]:
    """Draw the ratios of the metrics with a table of their own, or of those at the gate.

    None where there is no ratio.

    Raises:
        ValueError: the chart cannot be drawn.
    """
    metrics = [lines for key in _metrics(versus) if (lines := _drawable(versus, key))]
    if not metrics:
        return []
    styles = charts.styles([line.stack for line in versus.lines])
    panels = [_panel(versus, own, styles) for own in metrics]
    pairs = [words.stacks(line) for line in versus.lines]
    title = tr("Now over baseline: {pairs}", pairs=", ".join(dict.fromkeys(pairs)))
    below = _subtitle(versus, metrics)
    drawn = chart_forest.chart(panels, title=title, subtitle=below, axis=tr(AXIS))
    rows = panels[0].rows[:TOLD]
    told = "; ".join(f"{_named(row)}: {times(row.value)}" for row in rows)
    alt = tr(
        "Forest plot. {title}: {told}. All values are in the tables below.",
        title=f"{title}. {panels[0].title}",
        told=told,
    )
    return [Picture("versus.svg", alt, charts.svg(drawn, alt))]


def _named(row: chart_forest.Row) -> str:
    return ", ".join(filter(None, (row.group, row.name)))


def _metrics(versus: Versus) -> list[tuple[str, str | None]]:
    if versus.gate is None:
        return words.headline(versus)
    return list(dict.fromkeys((one.line.metric, one.line.meter) for one in versus.gate.lines))


def _drawable(versus: Versus, key: tuple[str, str | None]) -> list[Line]:
    own = [one for one in versus.lines if (one.metric, one.meter) == key]
    return [one for one in own if charts.positive(one.ratio.value)]


def _panel(versus: Versus, lines: Sequence[Line], styles: dict[str, Style]) -> chart_forest.Panel:
    """Return a row a line, named by what tells it from the others."""
    metric, meter = lines[0].metric, lines[0].meter
    info = next((one for one in versus.metrics if one.id == metric), None)
    higher = info is not None and info.direction == "higher"
    name = (tr(info.title) if info else metric) + (f", {meter}" if meter else "")
    title = tr("{title}: below 1 is worse" if higher else "{title}: above 1 is worse", title=name)
    if len(lines) > MOST_ROWS:
        title += tr("; the worst {most} of {number}", most=MOST_ROWS, number=len(lines))
        sign = 1 if higher else -1
        lines = sorted(lines, key=lambda one: (one.ratio.value or 1) * sign)[:MOST_ROWS]
    fields = [
        field
        for field in ("model", "workload")
        if len({getattr(one, field) for one in versus.lines}) > 1
    ]
    rows = [
        chart_forest.Row(
            one.stack if len(styles) > 1 else "",
            ", ".join([*(getattr(one, field) for field in fields), one.load]),
            styles[one.stack],
            one.ratio,
        )
        for one in lines
    ]
    return chart_forest.Panel(title, rows)


def _subtitle(versus: Versus, metrics: Sequence[Sequence[Line]]) -> str:
    made_up = tr("SIMULATED, no engine was measured. ") if versus.simulated else ""
    differ = any(one.reason == "not_comparable" for own in metrics for one in own)
    held = tr(" No verdict: something differs, see below.") if differ else ""
    kinds = {one.ratio.kind for own in metrics for one in own}
    hollow = tr(" Hollow: not measured.") if kinds & set(HOLLOW) else ""
    return f"{made_up}{tr('95 % intervals over launches.')}{hollow}{held}"
