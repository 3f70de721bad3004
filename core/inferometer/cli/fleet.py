"""``inferometer fleet``: a demand, and what carries it. From stored results; measures nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from inferometer.cli import common, costing
from inferometer.errors import UsageError

if TYPE_CHECKING:
    from datetime import date
    from pathlib import Path

SHOWN = ("hours", "fleet", "remarks")


@click.command("fleet")
@click.option("--workload", metavar="NAME", help="A workload of the results, or a preset.")
@click.option(
    "--requests-per-day",
    callback=costing.amount,
    metavar="N",
    help="The demand: 250000, 1e6 or 1M.",
)
@costing.common
def command(
    *,
    results: Path,
    scenario: Path | None,
    day: date | None,
    max_price_age: int | None,
    workload: str | None,
    requests_per_day: float | None,
    as_json: bool,
) -> None:
    """Size the fleet that carries a demand, from the stored RESULTS and a scenario.

    Flags go before the scenario's [fleet].
    """
    from inferometer.costwords import sections

    given = {"workload": workload, "requests_per_day": requests_per_day}
    asked = {key: value for key, value in given.items() if value is not None}
    comparison, costs = costing.priced(results, scenario, day, max_price_age, asked or None)
    if costs.fleet is None:
        raise UsageError(
            "no demand is given",
            hint="Give --workload and --requests-per-day, or [fleet] in the scenario file.",
        )
    if as_json:
        keys = ("as_of", "scenario", "hours", "fleet", "warnings", "notes")
        click.echo(common.as_json({key: getattr(costs, key) for key in keys}))
    else:
        costing.show(section for section in sections(comparison) if section.id in SHOWN)
