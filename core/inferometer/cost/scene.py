"""What the parts of the cost section look at: cells with their bills, and how to find them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import polars as pl

from inferometer.cells import cell_id, values
from inferometer.cost import objectives
from inferometer.cost.division import together
from inferometer.metrics.windows import KEY, population
from inferometer.tables import model_name, stack_id

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from inferometer.cells import Evidence
    from inferometer.comparison import Cell, Model, Value
    from inferometer.comparison.costs import Division, PricedCell
    from inferometer.cost.cases import Case
    from inferometer.cost.division import Place
    from inferometer.cost.pricing import Ground
    from inferometer.cost.scenario import Terms
    from inferometer.plan import LoadPoint
    from inferometer.records import LaunchRecord

BILL = "bill_usd_per_mtok_output"
"""What ranks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bills:
    """Every window's bill at every hour's price."""

    ground: Ground
    divisions: Mapping[Place, Division]
    points: Mapping[str, pl.DataFrame]
    """Cost metrics as the long table has them, by the name of the hour."""


class Lengths(NamedTuple):
    """Mean tokens of a request that finished in the window."""

    input: float
    output: float


@dataclass(frozen=True, kw_only=True)
class Scene:
    """Read once, then only looked at."""

    evidence: Evidence
    case: Case
    bills: Bills
    models: Sequence[Model]
    cells: Sequence[Cell]
    priced: Sequence[PricedCell]
    labels: Mapping[str, str]
    """Of the stacks."""

    @cached_property
    def by_id(self) -> dict[str, Cell]:
        """Return the cells by id."""
        return {cell.id: cell for cell in self.cells}

    @cached_property
    def points(self) -> dict[str, LoadPoint]:
        """Return the load point of each cell."""
        return {
            cell_id(stack, model.name, point): point
            for stack in self.evidence.stacks
            for model in self.models
            for point in self.evidence.load_points
        }

    @cached_property
    def lengths(self) -> dict[str, Lengths]:
        """Return the mean request of each cell in which one finished."""
        places = {
            (record.id, point.index): cell_id(stack_id(record), model_name(record), point)
            for record in self.evidence.records
            for point in self.evidence.load_points
        }
        prompt = pl.coalesce("input_tokens", "input_tokens_expected")
        rows = (
            population(self.evidence.tables)
            .filter("finished")
            .group_by(KEY, maintain_order=True)
            .agg(prompt.sum().alias("inputs"), pl.col("output_tokens").sum(), n=pl.len())
        )
        sums: dict[str, list[float]] = {}
        for launch, point, inputs, outputs, n in rows.iter_rows():
            total = sums.setdefault(places[launch, point], [0.0, 0.0, 0.0])
            for index, value in enumerate((inputs, outputs, n)):
                total[index] += value or 0
        return {cell: Lengths(i / n, o / n) for cell, (i, o, n) in sums.items() if n}

    def division(self, cell: Cell) -> Division:
        """Return how a cell's bill is divided, over its launches."""
        point = self.points[cell.id].index
        places = [(record.id, point) for record in self.records(cell)]
        divisions = self.bills.divisions
        return together([divisions[place] for place in places if place in divisions])

    def terms(self, hour: str) -> Terms:
        """Return one of the hours by its name."""
        return next(one for one in self.case.terms if one.entry.name == hour)

    def records(self, cell: Cell) -> list[LaunchRecord]:
        """Return the whole launches of a cell."""
        return [record for record in self.evidence.records if record.id in cell.launches]

    def by_round(self, cell: Cell, metric: str, meter: str | None = None) -> dict[int, float]:
        """Return one metric of a cell in each round."""
        rows = self.evidence.points.filter(
            pl.col("stack") == cell.stack,
            pl.col("model") == cell.model,
            pl.col("load_point") == self.points[cell.id].index,
        )
        return values(rows, metric, meter).by_round

    def cheapest(self, hour: str) -> list[PricedCell]:
        """Return the cell with the least bill for each model and workload at an hour.

        Of those that are ranked and meet the objectives: a load at which people wait too long is
        no answer to what the work costs.
        """
        best: dict[tuple[str, str], PricedCell] = {}
        for one in self.priced:
            if one.hour != hour or not one.ranked or _bill(one) is None:
                continue
            if not objectives.met(self, self.by_id[one.cell]):
                continue
            key = (one.model, one.workload)
            if key not in best or (_bill(one) or 0) < (_bill(best[key]) or 0):
                best[key] = one
        return list(best.values())

    def metered(self, cell: Cell, metric: str) -> tuple[Value, str] | None:
        """Return a cell's value by the first meter that has one, and the meter's name."""
        for name in self.evidence.meters:
            found = cell.values.get(f"{metric}@{name}")
            if found is not None and found.value is not None:
                return found, name
        return None


def _bill(one: PricedCell) -> float | None:
    return one.values[BILL].value
