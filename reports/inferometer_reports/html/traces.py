"""Charts of what launches did: one after the other, by the second, and request by request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from inferometer.comparison import Value, worst_kind
from inferometer.language import later, tr, trs
from inferometer.numbers import TAGS, number, point, shown
from inferometer.reasons import reason_words
from inferometer_reports import chart_lines, charts
from inferometer_reports.blocks import Datum, Heading, Picture, Table, say
from inferometer_reports.escape import line
from inferometer_reports.html.figures import style, styles, subtitle
from inferometer_reports.view import HOLLOW

if TYPE_CHECKING:
    from collections.abc import Sequence

    from inferometer.comparison import Cell, Distribution, Kind, Launched, PowerTrace
    from inferometer_reports.blocks import Block
    from inferometer_reports.view import View

    Latency = Literal["ttft_ms", "tpot_ms"]

LEAST_REACH = 0.02
"""The axis of the running order reaches at least so far from 1, or noise would look like drift."""
SHARES = (0.1, 0.25, 0.5, 0.75, 0.9, 0.95)
MARKED = (0.5, 0.9)
"""Shares of the requests that have a mark."""
NAMES: dict[Latency, str] = {"ttft_ms": "TTFT", "tpot_ms": "TPOT"}
TOLD = 4
ONE_EACH = later("No drift can be seen: a launch is held against others of its stack and model.")


def run_order(view: View) -> list[Block]:
    """Return every launch in the order in which it ran, against the mean of its like."""
    found = view.comparison.launched
    if not found:
        return []
    nodes = any(one.node for one in found)
    header = trs("Order", "Round", "Stack", "Model", "Ended", "Output tok/s over the mean")
    header[2:2] = trs("Node") if nodes else []
    rows = [
        [
            str(order),
            str(one.round + 1),
            *([line(one.node or "")] if nodes else []),
            line(view.label(one.stack)),
            line(one.model),
            tr("failed ({why})", why=reason_words(one.reason))
            if one.status == "failed"
            else tr("whole"),
            Datum(_pace(one.speed), one.speed, f"{one.launch}#speed"),
        ]
        for order, one in enumerate(found, start=1)
    ]
    title = Heading(3, tr("Launches in running order"))
    drawn = _order_chart(view, found)
    told = [] if drawn else [say(tr(ONE_EACH))]
    return [title, *drawn, *told, Table(header, rows)]


def _order_chart(view: View, found: Sequence[Launched]) -> list[Picture]:
    values = [one.speed.value for one in found if one.speed.value is not None]
    if not values:
        return []
    known = styles(view)
    reach = max(LEAST_REACH, *(abs(value - 1) * 1.25 for value in values))
    y = chart_lines.Axis(tr("tok/s / the mean"), 1 - reach, 1 + reach)
    x = chart_lines.Axis(tr("running order"), 0.5, len(found) + 0.5, format="d")
    panels = []
    for model in _models(view, found):
        lines = [
            chart_lines.Line(
                view.label(stack),
                style(known, stack),
                _launches(view, found, stack, model),
                _hollow(
                    worst_kind(
                        it.speed.kind for it in found if (it.stack, it.model) == (stack, model)
                    )
                ),
            )
            for stack in _stacks(view, found)
        ]
        panels.append(chart_lines.Panel(model, lines, x, y, rule=1.0))
    title = tr("Speed of every launch in running order")
    about = tr("1: the mean of its stack and model.")
    if any(it.node for it in found):
        about = tr("Node by node. 1: the mean of its stack and model there.")
    words = subtitle({it.speed.kind for it in found}, about)
    drawn = chart_lines.chart(panels, title=title, subtitle=words)
    told = [it.told for it in panels[0].lines[0].points]
    alt = tr(
        "Marks in running order. {title}, over the mean: {told}.",
        title=title,
        told="; ".join(told[:TOLD]),
    )
    return [Picture("order.svg", alt, charts.svg(drawn, alt))]


def _stacks(view: View, found: Sequence[Launched]) -> list[str]:
    """Return the stacks in the order of every other chart."""
    there = {it.stack for it in found}
    known = [it.id for it in view.comparison.stacks]
    return [*(it for it in known if it in there), *sorted(there - set(known))]


def _models(view: View, found: Sequence[Launched]) -> list[str]:
    there = {it.model for it in found}
    known = [it.name for it in view.comparison.models]
    return [*(it for it in known if it in there), *sorted(there - set(known))]


def _launches(
    view: View, found: Sequence[Launched], stack: str, model: str
) -> list[chart_lines.Point]:
    return [
        chart_lines.Point(
            order,
            it.speed.value,
            tr(
                "{name}, launch {order}: {pace}",
                name=view.label(stack),
                order=order,
                pace=_pace(it.speed),
            ),
        )
        for order, it in enumerate(found, start=1)
        if (it.stack, it.model) == (stack, model)
    ]


def _pace(value: Value) -> str:
    """Return a ratio near 1 with a figure more than others."""
    if value.value is None:
        return point(value)
    return f"{number(value.value, figures=4)} {tr(TAGS.get(value.kind, ''))}".rstrip()


def _hollow(kind: Kind) -> bool:
    return kind in HOLLOW


def distributions(view: View) -> list[Block]:
    """Return how latencies are spread over requests, at the highest load of each workload."""
    own = {(it.cell, it.metric): it for it in view.comparison.distributions}
    found = [
        (own[cell.id, metric], cell)
        for metric in NAMES
        for cell in view.comparison.cells
        if (cell.id, metric) in own
    ]
    if not found:
        return []
    header = trs("Stack", "Operating point", "Latency (ms)")
    header += [f"{it * 100:g} %" for it in SHARES]
    rows = [
        [
            line(view.label(cell.stack)),
            line(_where(cell)),
            NAMES[one.metric],
            *(_within(one, share) for share in SHARES),
            str(one.requests),
        ]
        for one, cell in found
    ]
    about = tr("Of the requests of all launches, each share was answered within so many ms.")
    table = Table([*header, tr("Requests")], rows)
    return [Heading(3, tr("Spread over requests")), *_spread_chart(view, found), say(about), table]


def _where(cell: Cell) -> str:
    return f"{cell.model}, {cell.workload}, {cell.load}"


def _at(one: Distribution, share: float) -> float | None:
    """Return the latency within which a share of the requests was, where that is known."""
    known = zip(one.shares, one.values, strict=True)
    return next((value for at, value in known if abs(at - share) < 1e-9), None)


def _within(one: Distribution, share: float) -> str:
    value = _at(one, share)
    if value is None:
        return tr("n/a ({why})", why=reason_words("too_few_samples"))
    return f"{number(value)} {tr(TAGS.get(one.kind, ''))}".rstrip()


def _spread_chart(view: View, found: Sequence[tuple[Distribution, Cell]]) -> list[Picture]:
    groups: dict[tuple[Latency, str], list[tuple[Distribution, Cell]]] = {}
    for one, cell in found:
        if sum(value is not None for value in one.values) > 1:
            groups.setdefault((one.metric, _where(cell)), []).append((one, cell))
    if not groups:
        return []
    known = styles(view)
    panels = []
    for (metric, where), own in groups.items():
        values = [
            Value(value=value, unit="ms", kind=one.kind) for one, _ in own for value in one.values
        ]
        low, high = charts.around(values)
        lines = [
            chart_lines.Line(
                view.label(cell.stack),
                style(known, cell.stack),
                _answered(view.label(cell.stack), one),
                _hollow(one.kind),
            )
            for one, cell in own
        ]
        x = chart_lines.Axis(f"{NAMES[metric]} (ms)", low, high, log=charts.wide(values))
        y = chart_lines.Axis(tr("of the requests"), 0.0, 1.0, format="~%")
        panels.append(chart_lines.Panel(f"{NAMES[metric]}: {where}", lines, x, y))
    title = tr("Share of the requests answered within a time")
    words = subtitle({one.kind for one, _ in found}, tr("Marks at 50 % and 90 %."))
    drawn = chart_lines.chart(panels, title=title, subtitle=words)
    told = [it.told for own in panels[0].lines for it in own.points if it.told]
    alt = tr(
        "Curves. {title}. {panel}: {told}.",
        title=title,
        panel=panels[0].title,
        told="; ".join(told[:TOLD]),
    )
    return [Picture("spread.svg", alt, charts.svg(drawn, alt))]


def _answered(name: str, one: Distribution) -> list[chart_lines.Point]:
    """Return the points of a curve where they are known; the share is drawn upwards."""
    return [
        chart_lines.Point(
            value,
            share,
            tr(
                "{name}: {percent} % within {within} ms",
                name=name,
                percent=f"{share * 100:g}",
                within=_within(one, share),
            )
            if any(abs(share - it) < 1e-9 for it in MARKED)
            else "",
        )
        for share, value in zip(one.shares, one.values, strict=True)
        if value is not None
    ]


def power(view: View) -> list[Block]:
    """Return the power over time at the highest load, of the first meter that was read."""
    found = view.comparison.power
    if not found:
        return []
    header = trs("Stack", "Operating point", "Meter", "Mean (W)", "Lowest step", "Highest step")
    header += trs("Step", "Launch")
    rows = [
        [
            line(view.label(it.stack)),
            line(f"{it.model}, {it.workload}, {it.load}"),
            line(it.meter),
            *(_watts(it, each) for each in (sum(it.watts) / len(it.watts), *_ends(it))),
            f"{shown(it.step_s, 'g')} s",
            line(it.launch),
        ]
        for it in found
    ]
    return [
        Heading(3, tr("Power over time")),
        *_power_chart(view, found),
        Table(header, rows),
    ]


def _ends(one: PowerTrace) -> tuple[float, float]:
    return min(one.watts), max(one.watts)


def _watts(one: PowerTrace, watts: float) -> str:
    return f"{number(watts)} {tr(TAGS.get(one.kind, ''))}".rstrip()


def _power_chart(view: View, found: Sequence[PowerTrace]) -> list[Picture]:
    order = [info.name for info in view.comparison.meters]
    meter = min({it.meter for it in found}, key=lambda it: order.index(it) if it in order else 99)
    groups: dict[str, list[PowerTrace]] = {}
    for it in found:
        if it.meter == meter:
            groups.setdefault(f"{it.model}, {it.workload}, {it.load}", []).append(it)
    known = styles(view)
    top = max(max(it.watts) for own in groups.values() for it in own) * 1.1 or 1.0
    panels = [
        chart_lines.Panel(
            where,
            [
                chart_lines.Line(
                    view.label(it.stack), style(known, it.stack), _steps(view, it), _hollow(it.kind)
                )
                for it in own
            ],
            chart_lines.Axis(
                tr("seconds in the window"), 0.0, max(len(it.watts) * it.step_s for it in own)
            ),
            chart_lines.Axis(f"W ({meter})", 0.0, top),
        )
        for where, own in groups.items()
    ]
    title = tr("Power over time")
    about = tr("One launch each. Marks: lowest and highest step.")
    words = subtitle({it.kind for own in groups.values() for it in own}, about)
    drawn = chart_lines.chart(panels, title=title, subtitle=words)
    told = [it.told for own in panels[0].lines for it in own.points if it.told]
    alt = tr(
        "Curves. {title}. {panel}: {told}.",
        title=f"{title}, {meter}",
        panel=panels[0].title,
        told="; ".join(told[:TOLD]),
    )
    return [Picture("power.svg", alt, charts.svg(drawn, alt))]


def _steps(view: View, one: PowerTrace) -> list[chart_lines.Point]:
    """Return the middle of each step; the lowest and the highest say what they are."""
    low, high = _ends(one)
    ends = {
        one.watts.index(low): later("{name}, lowest step: {watts} W"),
        one.watts.index(high): later("{name}, highest step: {watts} W"),
    }
    return [
        chart_lines.Point(
            (place + 0.5) * one.step_s,
            watts,
            tr(ends[place], name=view.label(one.stack), watts=_watts(one, watts))
            if place in ends
            else "",
        )
        for place, watts in enumerate(one.watts)
    ]
