"""``inferometer cost``: stored results and prices -> what the work costs. Measures nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from inferometer.cli import common, costing

if TYPE_CHECKING:
    from datetime import date
    from pathlib import Path

    from inferometer.comparison import Comparison, Costs


@click.command("cost")
@click.option("--load", metavar="TEXT", help="Only load points whose name has this in it.")
@costing.common
def command(
    *,
    results: Path,
    scenario: Path | None,
    day: date | None,
    max_price_age: int | None,
    load: str | None,
    as_json: bool,
) -> None:
    """Price the stored RESULTS by a scenario, or by the study's own price.

    A changed price needs no new measurement.
    """
    from inferometer.costwords import sections

    comparison, costs = costing.priced(results, scenario, day, max_price_age)
    if load is not None:
        comparison, costs = _at(comparison, costs, load)
    if as_json:
        click.echo(common.as_json(costs))
    else:
        costing.show(section for section in sections(comparison) if section.id != "fleet")


def _at(comparison: Comparison, costs: Costs, load: str) -> tuple[Comparison, Costs]:
    """Leave only the load points whose name holds ``load``, in any case of letters."""
    from msgspec.structs import replace

    from inferometer.errors import UsageError

    known = list(dict.fromkeys(cell.load for cell in comparison.cells))
    kept = {name for name in known if load.casefold() in name.casefold()}
    if not kept:
        listed = ", ".join(known) or "none"
        raise UsageError(f"--load: no load point has {load!r} in its name", hint=f"Has: {listed}.")
    others = {cell.id for cell in comparison.cells if cell.load not in kept}
    costs = replace(
        costs,
        cells=[one for one in costs.cells if one.load in kept],
        flips=[one for one in costs.flips if one.load in kept],
        tornados=[one for one in costs.tornados if one.cell not in others],
        apis=[one for one in costs.apis if one.cell not in others],
        responses=[one for one in costs.responses if one.at not in others],
    )
    rankings = [one for one in comparison.rankings if one.at == "load" and one.load in kept]
    return replace(comparison, rankings=rankings, costs=costs), costs
