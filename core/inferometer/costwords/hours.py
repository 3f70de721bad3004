"""What an hour costs on each way to pay for it: its parts, their formulas, and their sources."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inferometer.costwords.look import distinct, mark, part_rows
from inferometer.costwords.shape import Section, Table
from inferometer.language import tr
from inferometer.numbers import point
from inferometer.reasons import reason_words

if TYPE_CHECKING:
    from inferometer.comparison.costs import Hour
    from inferometer.costwords.look import Look


def section(look: Look) -> list[Section]:
    """Return the hours and the lines of each one's bill; nothing where none has a price."""
    if not look.priced:
        return []
    hours = look.costs.hours
    header = (
        "hour",
        tr("USD per hour"),
        tr("GPUs"),
        "contract",
        "region",
        tr("date, age"),
        "source",
    )
    table = Table(
        title=tr(
            "Prices, aged on {as_of}, from {scenario}",
            as_of=look.costs.as_of,
            scenario=look.costs.scenario,
        ),
        header=header,
        rows=tuple(_row(look, hour) for hour in hours),
    )
    found = Section(
        id="hours",
        title=tr("What an hour costs"),
        question=tr("What does one hour of the machine cost, and who says so?"),
        tables=(table, *(_parts(hour) for hour in hours if hour.parts)),
        notes=tuple(distinct(text for hour in hours for text in hour.warnings)),
    )
    return [found]


def _row(look: Look, hour: Hour) -> tuple[str, ...]:
    origin = hour.origin
    source = f"{origin.source}; {origin.detail}" if origin.detail else origin.source
    age = tr("1 day") if origin.age_days == 1 else tr("{age_days} days", age_days=origin.age_days)
    return (
        look.paid(hour.name),
        point(hour.usd_per_hour),
        tr("whole machine") if hour.gpus is None else str(hour.gpus),
        origin.contract or hour.way,
        origin.region or tr("not said"),
        f"{origin.date}, {tr('STALE, ') if origin.stale else ''}{age}",
        source,
    )


def _parts(hour: Hour) -> Table:
    usd = hour.usd_per_hour
    total = (
        reason_words(usd.reason) if usd.value is None else tr("{usd} USD per hour", usd=point(usd))
    )
    return Table(
        title=f"{hour.name}{mark(hour.origin)}: {total}",
        header=("part", tr("USD per hour"), "formula"),
        rows=tuple(part_rows(hour.parts, usd.value)),
    )
