"""Sensitivity: what each input does to a figure that it goes into, the widest swing first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inferometer.costwords.look import mark
from inferometer.costwords.shape import Section, Table
from inferometer.language import later, tr
from inferometer.numbers import number, shown

if TYPE_CHECKING:
    from collections.abc import Iterable

    from inferometer.comparison.costs import Swing, Tornado
    from inferometer.costwords.look import Look

BAR = 20
"""Characters of the widest bar."""
HOW = later(
    "Each input goes from its lowest to its highest value while the others stay. (+-20 %), or "
    "(+-1) of what is counted, is a range that the scenario does not give."
)
FIGURES = {
    "own_over_api": later("own cost of a request over that at {of}"),
    "usd_per_response": later("an accepted response"),
    "usd_per_month": later("a month of the fleet, {of}"),
}
"""What is varied beside the cost metrics of cells."""


def section(look: Look) -> list[Section]:
    """Return one table for each figure whose inputs were varied; the fleet's stand with it."""
    found = look.costs.tornados
    if not found:
        return []
    return [
        Section(
            id="tornado",
            title=tr("What the cost hangs on"),
            question=tr("Which input moves the result most?"),
            lead=(HOW,),
            tables=tuple(tables(look, found)),
        )
    ]


def tables(look: Look, found: Iterable[Tornado]) -> list[Table]:
    """Return one table for each figure whose inputs were varied."""
    return [_table(look, one) for one in found]


def _table(look: Look, one: Tornado) -> Table:
    widest = max((abs(swing.at_high - swing.at_low) for swing in one.swings), default=0.0)
    place = ": ".join(word for word in (look.paid(one.hour), look.at(one.cell)) if word)
    return Table(
        title=f"{place}: {_figure(look, one)}",
        header=(
            "input",
            "from",
            "to",
            tr("{unit} from", unit=one.unit),
            tr("{unit} to", unit=one.unit),
            "swing",
        ),
        rows=tuple(_row(swing, widest) for swing in one.swings),
    )


def _figure(look: Look, one: Tornado) -> str:
    """Return what is varied, and what it is now."""
    titles = {info.id: info.title for info in look.comparison.metrics}
    origins = {api.api: api.origin for api in look.costs.apis}
    stale = mark(origins[one.of]) if one.metric == "own_over_api" and one.of in origins else ""
    words = tr(FIGURES.get(one.metric, ""), of=one.of + stale)
    words = words or tr(titles.get(one.metric, one.metric))
    unit = "" if one.unit == "ratio" else f" {one.unit}"
    return f"{words} {number(one.base, grouped=True)}{unit}"


def _row(swing: Swing, widest: float) -> tuple[str, ...]:
    width = abs(swing.at_high - swing.at_low)
    bar = "=" * max(round(BAR * width / widest), 1) if width else tr("none")
    return (
        f"{swing.input}{_assumed(swing)}",
        _input(swing, swing.low_input),
        _input(swing, swing.high_input),
        number(swing.at_low, grouped=True),
        number(swing.at_high, grouped=True),
        bar,
    )


def _input(swing: Swing, value: float) -> str:
    said = shown(value, ",.0f") if swing.whole else number(value, grouped=True)
    return f"{said} {swing.unit}".rstrip()


def _assumed(swing: Swing) -> str:
    if not swing.assumed:
        return ""
    return " (+-1)" if swing.whole else " (+-20 %)"
