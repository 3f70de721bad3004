"""One results directory, read once, looked up by stack, model and operating point."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from inferometer import hardware, validity
from inferometer.analyze import gather
from inferometer.cells import absent, values
from inferometer.comparison.versus import Side
from inferometer.contests import no_meter, other_boundary, why_invalid
from inferometer.cost import cases
from inferometer.cost.build import priced
from inferometer.phases import build_phases
from inferometer.several import manifest
from inferometer.store import Store
from inferometer.tables import model_name, stack_id

if TYPE_CHECKING:
    from pathlib import Path

    import polars as pl

    from inferometer.cells import Evidence, Values
    from inferometer.plan import LoadPoint
    from inferometer.several.manifest import Head


class Place(NamedTuple):
    """An operating point, by what it is and not by its number: plans count differently."""

    model: str
    workload: str
    load: str


class Told(NamedTuple):
    """One metric of one cell, or the reason why it has no number."""

    values: Values | None
    reason: str = ""
    detail: str = ""


@dataclass(frozen=True)
class Body:
    """What a results directory holds."""

    head: Head
    evidence: Evidence

    @property
    def side(self) -> Side:
        """Return it as reports name it."""
        return Side(
            name=self.head.name,
            created=self.head.day,
            plan_sha256=self.head.plan.sha256,
            launches=len(self.evidence.records),
            failed=sum(self.lost.values()),
            host=self.head.host,
        )

    @cached_property
    def points(self) -> dict[tuple[str, str], LoadPoint]:
        """Return the load points by workload and load in words."""
        return {(one.workload.name, one.label): one for one in self.evidence.load_points}

    @cached_property
    def planned(self) -> set[tuple[str, str]]:
        """Return stack and model of every planned launch."""
        return {(one.stack, one.model.name) for one in self.evidence.plan.launches}

    @property
    def no_meter(self) -> tuple[str, str]:
        """Return reason and detail for energy where no meter could be read."""
        if self.evidence.study.meters and not self.evidence.meters:
            return "no_sensor", "no whole launch says what its meters were"
        return no_meter(self.evidence.meters)

    @cached_property
    def lost(self) -> dict[tuple[str, str], int]:
        """Return how many launches failed and were not made good, by stack and model."""
        whole = {record.id for record in self.evidence.records}
        lost = {
            record.id: (stack_id(record), model_name(record))
            for record in self.evidence.failures
            if record.id not in whole
        }
        return dict(Counter(lost.values()))

    @cached_property
    def places(self) -> list[Place]:
        """Return every planned operating point, in the study's order."""
        models = [entry.name for entry in self.evidence.study.models]
        return [Place(model, *point) for model in models for point in self.points]

    @cached_property
    def rows(self) -> dict[tuple[object, ...], pl.DataFrame]:
        """Return the long table by stack, model and number of the load point."""
        return self.evidence.points.partition_by("stack", "model", "load_point", as_dict=True)

    @cached_property
    def clocks(self) -> dict[tuple[str, int], float]:
        """Return the median compute clock (MHz) of each window in which one was seen."""
        return hardware.clocks(self.evidence.tables)

    def has(self, stack: str, place: Place) -> bool:
        """Say whether the plan has a cell."""
        return (stack, place.model) in self.planned and place[1:] in self.points

    def launches(self, stack: str, model: str) -> list[str]:
        """Return the whole launches of a stack on a model."""
        return [
            record.id
            for record in self.evidence.records
            if (stack_id(record), model_name(record)) == (stack, model)
        ]

    def told(self, stack: str, place: Place, metric: str, meter: str | None) -> Told:
        """Return one metric of a cell, by round; no number of a cell that failed a check."""
        if not self.has(stack, place):
            return Told(None, "not_run", "not planned here")
        index = self.points[place[1:]].index
        whole = self.launches(stack, place.model)
        rows = self.rows.get((stack, place.model, index))
        if rows is None:
            missing = ("failed", "the launch has no window here")
            return Told(None, *(missing if whole else absent(self.evidence, stack, place.model)))
        keys = [(launch, index) for launch in whole]
        known = {key: self.evidence.checks[key] for key in keys if key in self.evidence.checks}
        wrong = [one for one in validity.combine(known) if one.verdict == "fail"]
        if wrong:
            return Told(None, *why_invalid(wrong))
        elsewhere = other_boundary(self.evidence, whole, meter) if meter else ""
        if elsewhere:
            return Told(None, "other_boundary", elsewhere)
        found = values(rows, metric, meter)
        if found.by_round:
            return Told(found)
        usual = ("not_run", "not measured here")
        return Told(None, *(found.reasons[0] if found.reasons else usual))


def read(name: str, root: Path) -> Body:
    """Read a results directory, with its costs at the price that it gives itself.

    Raises:
        UsageError: it is no results directory, or a file is damaged.
    """
    head = manifest.head(name, Store(root))
    evidence = gather(head.store)
    as_of = date.fromisoformat(head.day[:10]) if head.day else datetime.now(UTC).date()
    case = cases.case(None, evidence.study.price, as_of=as_of, max_age_days=None, fleet={})
    return Body(head, priced(evidence, case, head.host, build_phases(evidence))[0])
