"""What an accepted response costs, in dollars and in joules, part by part."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inferometer.costwords.look import absent, distinct
from inferometer.costwords.shape import Section, Table
from inferometer.language import tr
from inferometer.numbers import number, point, with_interval

if TYPE_CHECKING:
    from inferometer.comparison.costs import ResponseCost
    from inferometer.costwords.look import Look


def section(look: Look) -> list[Section]:
    """Return every place where an accepted response was priced, and its parts."""
    found = look.costs.responses
    if not found:
        return []
    table = Table(
        title=tr("An accepted response"),
        header=("at", "hour", "attempts", "USD", "J"),
        rows=tuple(
            (
                look.at(one.at),
                look.paid(one.hour) if one.hour else tr("by its price list"),
                number(one.attempts),
                with_interval(one.usd),
                with_interval(one.energy_j),
            )
            for one in found
        ),
    )
    return [
        Section(
            id="response",
            title=tr("Cost per meaningful response"),
            question=tr("What does an accepted response cost, with all that it takes?"),
            tables=(table, *(_parts(look, one) for one in found)),
            notes=tuple(distinct(text for one in found for text in one.warnings)),
        )
    ]


def _parts(look: Look, one: ResponseCost) -> Table:
    hour = f", {look.paid(one.hour)}" if one.hour else ""
    rows = [
        (part.name, _or_absent(part.usd), _or_absent(part.energy_j), part.formula)
        for part in one.parts
    ]
    rows.append((tr("sum"), point(one.usd), point(one.energy_j), tr("of the lines above")))
    return Table(
        title=tr("{at}{hour}: parts of a response", at=look.at(one.at), hour=hour),
        header=("part", "USD", "J", "formula"),
        rows=tuple(rows),
    )


def _or_absent(value: float | None) -> str:
    return point(absent("not_known")) if value is None else number(value, grouped=True)
