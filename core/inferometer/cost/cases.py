"""What an analysis is told about money: a scenario's file, the study's own price, or nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from msgspec import structs

from inferometer.cost import reading
from inferometer.cost.scenario import FleetEntry, Scenario
from inferometer.errors import UsageError
from inferometer.plugins import Registry

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date
    from pathlib import Path

    from inferometer.cost.scenario import Objectives, Terms
    from inferometer.declared import Price

STUDY = "study"
"""Stands for a file's name where the price is the study's own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A scenario with every price looked up. ``terms`` is empty where there is no price."""

    name: str
    as_of: date
    scenario: Scenario
    terms: Sequence[Terms]
    warnings: Sequence[str] = ()

    @property
    def slo(self) -> Objectives | None:
        """Return the objectives that go before the study's."""
        return self.scenario.slo


def case(
    path: Path | None,
    price: Price | None,
    *,
    as_of: date,
    max_age_days: int | None,
    fleet: Mapping[str, Any],
) -> Case:
    """Return the case of the file at ``path``, else of the study's ``price``.

    Raises:
        UsageError: the file does not hold together, a quote is unknown, or a price is older than
            ``max_age_days``.
    """
    if path is None:
        terms = [] if price is None else reading.of_study(price, as_of, max_age_days=max_age_days)
        scenario = Scenario(hours=tuple(one.entry for one in terms))
        return Case(name=STUDY, as_of=as_of, scenario=_with(scenario, fleet), terms=terms)
    text = reading.read(path)
    scenario = reading.parse(text, str(path))
    registry = Registry()
    machine = scenario.machine
    # A book also says how the market names its accelerators.
    asked = (machine is not None and machine.gpu) or any(
        it.quote or it.gpu for it in scenario.hours
    )
    books = registry.price_books() if asked else {}
    broken = [row for row in registry.problems() if row.kind == "price book"] if asked else []
    return Case(
        name=path.name,
        as_of=as_of,
        scenario=_with(scenario, fleet),
        terms=reading.resolve(
            scenario,
            books.values(),
            as_of=as_of,
            max_age_days=max_age_days,
            name=str(path),
            text=text,
        ),
        warnings=[
            *(f"price book {row.name} is left out: {row.problem}" for row in broken),
            *reading.warnings(scenario, text),
            *reading.stale(scenario, as_of),
        ],
    )


def _with(scenario: Scenario, fleet: Mapping[str, Any]) -> Scenario:
    """Put single fields before those of the file's [fleet]; a demand may be made of them alone."""
    if not fleet:
        return scenario
    if scenario.fleet is not None:
        return structs.replace(scenario, fleet=structs.replace(scenario.fleet, **fleet))
    for key in ("workload", "requests_per_day"):
        if key not in fleet:
            raise UsageError(
                f"the demand has no {key}",
                hint="Give --workload and --requests-per-day, or [fleet] in the scenario file.",
            )
    return structs.replace(scenario, fleet=FleetEntry(**fleet))
