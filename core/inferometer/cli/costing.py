"""What ``cost``, ``fleet`` and ``report --cost`` share: options, warnings, sections as text."""

from __future__ import annotations

import shutil
import textwrap
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

import click

from inferometer.numbers import typed
from inferometer.redact import plain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from datetime import date
    from pathlib import Path

    from inferometer.comparison import Comparison, Costs
    from inferometer.costwords import Section, Table

WIDTH = 120
"""Columns where there is no terminal."""
NARROWEST = 60
GAP = "  "


def _day(context: click.Context, option: click.Parameter, value: str | None) -> date | None:  # noqa: ARG001 -- click's signature
    """Return the day that ``2026-11-22`` names."""
    from datetime import date

    try:
        return None if value is None else date.fromisoformat(value)
    except ValueError as error:
        raise click.BadParameter(f"{value!r} is no day such as 2026-11-22") from error


def amount(context: click.Context, option: click.Parameter, value: str | None) -> float | None:  # noqa: ARG001 -- as above
    """Return a positive number; ``k``, ``M`` and ``G`` are thousands, millions, billions."""
    try:
        return None if value is None else typed(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


def as_of(default: str) -> Callable[[Any], Any]:
    """Return the option of the day against which prices are old, passed on as ``day``."""
    return click.option(
        "--as-of",
        "day",
        callback=_day,
        metavar="DATE",
        help=f"Day against which prices are old or not; {default} by default.",
    )


max_age = click.option(
    "--max-price-age",
    type=click.IntRange(min=0),
    metavar="DAYS",
    help="Refuse a price older than that.",
)


def common(function: Any) -> Any:
    """Give a command RESULTS, SCENARIO, ``--as-of``, ``--max-price-age`` and ``--json``."""
    from pathlib import Path

    path = click.Path(path_type=Path)
    for option in (
        click.option("--json", "as_json", is_flag=True, help="Print one JSON document."),
        max_age,
        as_of("today"),
        click.argument("scenario", type=path, required=False, metavar="[SCENARIO.TOML]"),
        click.argument("results", type=path),
    ):
        function = option(function)
    return function


def priced(
    results: Path,
    scenario: Path | None,
    day: date | None,
    max_price_age: int | None,
    fleet: Mapping[str, Any] | None = None,
) -> tuple[Comparison, Costs]:
    """Analyse stored results at a scenario's prices, or the study's own; warn on stderr.

    Raises:
        UsageError: no results there, or the scenario does not hold together.
        InconclusiveError: the results give no cost at all.
    """
    from datetime import date

    from inferometer.errors import InconclusiveError, UsageError
    from inferometer.store import Store

    if scenario is not None and scenario.is_dir():
        raise UsageError(
            f"{scenario} is a directory, where a scenario's file is meant: prices are for one "
            "results directory at a time",
            hint="Give each by itself, or all to: inferometer report DIR DIR --cost SCENARIO.toml.",
        )
    Store(results).plan()  # a wrong directory is said before the analysis is imported
    from inferometer.analyze import analyze

    comparison = analyze(
        results,
        scenario,
        as_of=day or date.today(),  # noqa: DTZ011 -- the user's own day
        max_price_age=max_price_age,
        fleet=fleet,
    )
    if comparison.costs is None:
        raise InconclusiveError(
            f"{results}: nothing in it can be priced",
            hint="See the report for what was measured: inferometer report RESULTS.",
        )
    warn(comparison.costs)
    return comparison, comparison.costs


def warn(costs: Costs) -> None:
    """Print every warning on stderr."""
    for text in warnings(costs):
        click.echo(f"warning: {_line(text)}", err=True)


def warnings(costs: Costs) -> list[str]:
    """Return each warning once: stale prices first, then what the scenario was told of."""
    origins = [(hour.name, hour.origin) for hour in costs.hours]
    origins += [(one.api, one.origin) for one in costs.apis]
    found = [
        f"the price of {name} is of {origin.date}: stale, {origin.age_days} days old"
        for name, origin in origins
        if origin.stale
    ]
    found += [text for hour in costs.hours for text in hour.warnings]
    return list(dict.fromkeys([*found, *costs.warnings]))


def show(sections: Iterable[Section]) -> None:
    """Print sections on stdout, as wide as the terminal."""
    columns = shutil.get_terminal_size((WIDTH, 24)).columns
    for section in sections:
        click.echo("\n".join(lines(section, max(columns, NARROWEST))))


def lines(section: Section, width: int) -> Iterator[str]:
    """Yield a section as lines of at most ``width`` columns; what came from files is plain."""
    title = _line(section.title)
    yield title
    yield "=" * len(title)
    yield ""
    for text in section.lead:
        yield from _wrapped(text, width)
        yield ""
    for table in section.tables:
        yield from _wrapped(table.title, width)
        yield from _table(table, width)
        for text in table.notes:
            yield from _wrapped(text, width)
        yield ""
    for text in section.notes:
        yield from _wrapped(f"- {text}", width, "  ")
    if section.notes:
        yield ""


def _line(text: str) -> str:
    return " ".join(plain(text).split())


def _wrapped(text: str, width: int, indent: str = "") -> list[str]:
    return textwrap.wrap(_line(text), width, subsequent_indent=indent)


def _table(table: Table, width: int) -> Iterator[str]:
    """Yield a table; every column is wrapped between words, and within one only if it must be."""
    rows = [[_line(cell) for cell in row] for row in (table.header, *table.rows)]
    sizes = _sizes(rows, width - len(GAP) * (len(table.header) - 1))
    for index, row in enumerate(rows):
        cells = [
            textwrap.wrap(cell, size, break_on_hyphens=False)
            for cell, size in zip(row, sizes, strict=True)
        ]
        for parts in zip_longest(*cells, fillvalue=""):
            padded = (part.ljust(size) for part, size in zip(parts, sizes, strict=True))
            yield GAP.join(padded).rstrip()
        if index == 0:
            yield GAP.join("-" * size for size in sizes)


def _sizes(rows: Sequence[Sequence[str]], room: int) -> list[int]:
    """Return the widths of columns that fit ``room``; the widest give way first, words last."""
    columns = list(zip(*rows, strict=True))
    sizes = [max(1, *map(len, column)) for column in columns]
    longest = [max(map(len, " ".join(column).split(" "))) for column in columns]
    while sum(sizes) > room and max(sizes) > 1:
        pairs = list(zip(sizes, longest, strict=True))
        loose = [size if size > word else 0 for size, word in pairs]
        by = loose if any(loose) else sizes
        sizes[by.index(max(by))] -= 1
    return sizes
