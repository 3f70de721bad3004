"""The charts on dense against mixture-of-experts: what is drawn, and what stands in its place."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from inferometer.language import later, tr
from inferometer.numbers import point
from inferometer_reports import chart_curves, chart_forest, charts
from inferometer_reports import moe_words as words
from inferometer_reports.blocks import Picture
from inferometer_reports.moe_tables import scaled
from inferometer_reports.view import HOLLOW, key_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from inferometer.comparison import Interaction, ModelPair, MoeRatio, Value
    from inferometer_reports.charts import Style
    from inferometer_reports.view import View

T = TypeVar("T", "MoeRatio", "Interaction")
FOLDER = "figures"
AXIS = later("MoE / dense, logarithmic; 1 = equal")
MOST_ROWS = 18
"""Rows of a panel; past them load points between the lowest and the highest are left out."""
TOLD = 4
"""Values that stand in a chart's alternative text."""


def figures(view: View, prefix: str = "") -> list[Picture]:
    """Draw the charts of every pair of models.

    Files are named ``figures/<prefix>moe-<number of the pair>-<what>.svg``.

    Raises:
        ValueError: a chart cannot be drawn.
    """
    found = view.comparison.architectures
    if found is None:
        return []
    styles = charts.styles([stack.id for stack in view.comparison.stacks] + _stacks(view))
    drawn: list[Picture] = []
    for place, pair in enumerate(found.pairs, start=1):
        own = [one for one in words.of_pair(view, pair) if words.asked(view, one)]
        file = f"{FOLDER}/{prefix}moe-{place}"
        drawn += _ratios(view, pair, own, styles, f"{file}-ratios.svg")
        for number, workload in enumerate(dict.fromkeys(one.workload for one in own), start=1):
            rows = [one for one in own if one.workload == workload and one.at == "load"]
            end = f"-{number}" if number > 1 else ""
            drawn += _load(view, pair, rows, styles, f"{file}-load{end}.svg")
        gains = [
            one
            for one in found.interactions
            if (one.dense, one.moe) == (pair.dense, pair.moe) and words.asked(view, one)
        ]
        drawn += _interactions(view, pair, gains, styles, f"{file}-interactions.svg")
    return drawn


def _stacks(view: View) -> list[str]:
    return [one.stack for one in view.comparison.moe_ratios]


def _ratios(
    view: View, pair: ModelPair, own: Sequence[MoeRatio], styles: dict[str, Style], file: str
) -> list[Picture]:
    if not _any(one.ratio for one in own):
        return []
    shown, left = _fewer(own)
    panels = []
    for metric, meter in words.subjects(view):
        rows = [
            chart_forest.Row(_group(view, one), view.label(one.stack), styles[one.stack], one.ratio)
            for one in shown
            if (one.metric, one.meter) == (metric, meter)
        ]
        panels.append(chart_forest.Panel(_titled(view, metric, meter), rows))
    title = tr("{moe} over {dense}", moe=pair.moe, dense=pair.dense)
    subtitle = _subtitle([one.ratio for one in shown], f"{words.matched(pair)}{left}")
    drawn = chart_forest.chart(panels, title=title, subtitle=subtitle, axis=tr(AXIS))
    told = tr(
        "Forest plot of {title}, {matched}. {told}",
        title=title,
        matched=words.matched(pair),
        told=_told(view, shown),
    )
    return [Picture(file, told, charts.svg(drawn, told))]


def _any(values: Iterable[Value]) -> bool:
    return any(charts.positive(value.value) for value in values)


def _fewer(own: Sequence[T]) -> tuple[list[T], str]:
    """Return the rows to draw, in order of operating points, and what is said of those left out."""
    points = list(words.POINTS)
    loads = list(dict.fromkeys((one.workload, one.load) for one in own))
    rows = sorted(
        own, key=lambda one: (points.index(one.at), loads.index((one.workload, one.load)))
    )
    most = max(sum((one.metric, one.meter) == (it.metric, it.meter) for it in rows) for one in rows)
    if most <= MOST_ROWS:
        return rows, ""
    loads = list(dict.fromkeys((one.workload, one.load) for one in rows if one.at == "load"))
    kept = {loads[0], loads[len(loads) // 2], loads[-1]} if loads else set()
    few = [one for one in rows if one.at != "load" or (one.workload, one.load) in kept]
    return few, tr(
        "; {number} of {total} load points, the table has all",
        number=len(kept),
        total=len(loads),
    )


def _group(view: View, one: MoeRatio | Interaction) -> str:
    """Return the operating point, with the workload where there is more than one."""
    several = len({it.workload for it in view.comparison.moe_ratios}) > 1
    workload = f"{one.workload}, " if several else ""
    where = words.where(one)
    short = where.partition(",")[0] if one.at == "interactivity" else where
    return f"{workload}{short}"


def _titled(
    view: View, metric: str, meter: str | None, better: str = later("MoE is better")
) -> str:
    """Return a panel's title, with the side of 1 on which something is better."""
    info = view.metric(metric)
    title = view.metric_title(key_of(metric, meter), unit=False)
    if info is None:
        return title
    above = info.direction == "higher"
    return tr(
        "{title}: above 1 {better}" if above else "{title}: below 1 {better}",
        title=title,
        better=tr(better),
    )


def _subtitle(values: Sequence[Value], text: str) -> str:
    """Return what is matched, the intervals, and the kind of number where nobody measured it."""
    kinds = {value.kind for value in values if value.value is not None}
    made_up = tr("SIMULATED, no engine was measured. ") if "simulated" in kinds else ""
    hollow = tr(" Hollow: not measured.") if kinds & set(HOLLOW) else ""
    return tr(
        "{made_up}{text}. 95 % intervals over launches.{hollow}",
        made_up=made_up,
        text=f"{text[:1].upper()}{text[1:]}",
        hollow=hollow,
    )


def _told(view: View, rows: Sequence[MoeRatio]) -> str:
    """Return the first values of the first metric, and how many more there are."""
    subject = words.subjects(view)[0]
    ratios = [one for one in rows if (one.metric, one.meter) == subject]
    parts = [
        tr(
            "{metric} on {stack}, {group}: {ratio}",
            metric=view.metric_title(key_of(one.metric, one.meter), unit=False),
            stack=view.label(one.stack),
            group=_group(view, one),
            ratio=point(one.ratio),
        )
        for one in ratios[:TOLD]
    ]
    more = (
        [tr("{number} more in the table", number=len(rows) - len(parts))]
        if len(rows) > len(parts)
        else []
    )
    return f"{'; '.join([*parts, *more])}."


def _load(
    view: View, pair: ModelPair, rows: Sequence[MoeRatio], styles: dict[str, Style], file: str
) -> list[Picture]:
    """Draw the gain against load, and beneath it what the roofline says."""
    loads = list(dict.fromkeys(one.load for one in rows))
    if len(loads) < 2 or not _any(one.ratio for one in rows):
        return []
    panels = [
        chart_curves.Panel(
            _titled(view, metric, meter).replace(":", ", MoE / dense (log):", 1),
            [
                chart_curves.Series(
                    view.label(stack), styles[stack], {it.load: it.ratio for it in own}
                )
                for stack in dict.fromkeys(it.stack for it in rows)
                if (
                    own := [
                        it
                        for it in rows
                        if (it.stack, it.metric, it.meter) == (stack, metric, meter)
                    ]
                )
            ],
            ratios=True,
        )
        for metric, meter in words.subjects(view)[:2]
    ]
    panels += _beneath(view, pair, rows[0].workload, loads, styles)
    title = tr(
        "{moe} over {dense}, by load ({workload})",
        moe=pair.moe,
        dense=pair.dense,
        workload=rows[0].workload,
    )
    values = [value for panel in panels for it in panel.series for value in it.values.values()]
    subtitle = _subtitle(values, words.matched(pair))
    drawn = chart_curves.chart(panels, loads, title=title, subtitle=subtitle)
    told = tr(
        "Gain against load, {title}, {low} to {high}. {told}",
        title=title,
        low=loads[0],
        high=loads[-1],
        told=_told(view, rows),
    )
    return [Picture(file, told, charts.svg(drawn, told))]


def _beneath(
    view: View, pair: ModelPair, workload: str, loads: Sequence[str], styles: dict[str, Style]
) -> list[chart_curves.Panel]:
    """Return the experts touched and the achieved shares of the roofline, where there are any."""
    own = [
        one
        for one in view.comparison.rooflines
        if one.workload == workload and one.load in loads and one.stack in styles
    ]
    touched, achieved = [], []
    for stack in dict.fromkeys(one.stack for one in own):
        label, style = view.label(stack), styles[stack]
        moe, dense = (
            {one.load: one for one in own if (one.stack, one.model) == (stack, name)}
            for name in (pair.moe, pair.dense)
        )
        experts = {
            load: scaled(one.experts_touched, 1 / one.experts)
            for load, one in moe.items()
            if one.experts
        }
        seen = {
            load: scaled(one.experts_seen, 1 / one.experts)
            for load, one in moe.items()
            if one.experts and one.experts_seen.value is not None
        }
        touched += [
            chart_curves.Series(tr("{label}, expected", label=label), style, experts, dashed=True)
        ]
        touched += (
            [chart_curves.Series(tr("{label}, seen", label=label), style, seen)] if seen else []
        )
        for name, rows, dashed in (("MoE", moe, False), ("dense", dense, True)):
            values = {load: one.achieved for load, one in rows.items()}
            achieved.append(chart_curves.Series(f"{label}, {name}", style, values, dashed=dashed))
    panels = [
        chart_curves.Panel(
            tr("Experts touched in a step, of each MoE layer"), touched, ratios=False
        ),
        chart_curves.Panel(tr("Achieved share of the roofline"), achieved, ratios=False),
    ]
    return [panel for panel in panels if _any(v for it in panel.series for v in it.values.values())]


def _interactions(
    view: View, pair: ModelPair, rows: Sequence[Interaction], styles: dict[str, Style], file: str
) -> list[Picture]:
    """Draw the ratio of two stacks' gains, where there is any."""
    if not _any(one.ratio for one in rows):
        return []
    shown, left = _fewer(rows)
    panels = [
        chart_forest.Panel(
            _titled(view, metric, meter, tr("the first stack gains more")),
            [
                chart_forest.Row(_group(view, one), _both(view, one), styles[one.stack], one.ratio)
                for one in shown
                if (one.metric, one.meter) == (metric, meter)
            ],
        )
        for metric, meter in words.subjects(view)
    ]
    title = tr("Who gains more from {moe} over {dense}", moe=pair.moe, dense=pair.dense)
    subtitle = _subtitle(
        [one.ratio for one in shown], tr("gain over gain of two stacks{left}", left=left)
    )
    axis = tr("gain of the first stack / gain of the second, logarithmic")
    drawn = chart_forest.chart(panels, title=title, subtitle=subtitle, axis=axis)
    told = tr("Forest plot: {title}. ", title=title) + "; ".join(
        f"{_both(view, one)}, {_group(view, one)}: {point(one.ratio)}" for one in rows[:TOLD]
    )
    return [Picture(file, told, charts.svg(drawn, told))]


def _both(view: View, one: Interaction) -> str:
    return f"{view.label(one.stack)} / {view.label(one.other)}"
