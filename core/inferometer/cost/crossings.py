"""Where the order by cost turns, and what moves a cost most."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inferometer import stats
from inferometer.comparison import Value, worst_kind
from inferometer.contests import tells
from inferometer.cost import evens, pricing
from inferometer.cost.scene import BILL
from inferometer.cost.tornado import tornado

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from inferometer.comparison import Cell
    from inferometer.comparison.costs import Flip, Tornado
    from inferometer.cost.evens import Side
    from inferometer.cost.scenario import Surcharge, Terms
    from inferometer.cost.scene import Scene

OUTPUT = "output_tok_s"
MTOK_PER_HOUR = 3600 / 1e6
"""Million tokens in an hour at one a second."""


def flips(scene: Scene) -> list[Flip]:
    """Return, for each closed load point and hour, when each stack costs what the cheapest does.

    Without any price the leader is the one of highest throughput, and only the ratio is said.
    """
    hours: list[Terms | None] = [*scene.case.terms] or [None]
    return [
        _flip(scene, terms, leader, follower)
        for terms in hours
        for group in _groups(scene)
        for leader, *others in [_by_cost(scene, terms, group)]
        for follower in others
    ]


def tornados(scene: Scene) -> list[Tornado]:
    """Return the sensitivity of the cheapest cell of each model and workload, at each hour."""
    found = []
    for terms in scene.case.terms:
        for one in scene.cheapest(terms.entry.name):
            cell = scene.by_id[one.cell]
            gpus, power_kw, surcharges = arguments(scene, terms, cell)
            found.append(
                tornado(
                    terms,
                    gpus=gpus,
                    cell=cell.id,
                    metric=BILL,
                    unit="USD/Mtok",
                    throughput=cell.values[OUTPUT],
                    per_hour=MTOK_PER_HOUR,
                    power_kw=power_kw,
                    surcharges=surcharges,
                )
            )
    return found


def arguments(
    scene: Scene, terms: Terms, cell: Cell
) -> tuple[int | None, float | None, list[Surcharge]]:
    """Return what a cell's hour is computed with: GPUs, metered kW, surcharges of its engine."""
    point = scene.points[cell.id].index
    return pricing.arguments(terms, scene.records(cell), point, scene.bills.ground)


def _groups(scene: Scene) -> Iterator[list[Cell]]:
    """Yield the cells that may be compared: ranked, of one model, closed load and profile."""
    profiles = {launch.stack: launch.engine.profile for launch in scene.evidence.plan.launches}
    groups: dict[tuple[str, str, str, str], list[Cell]] = {}
    for cell in scene.cells:
        sound = cell.valid and cell.refused is None and cell.values[OUTPUT].value is not None
        if sound and tells(scene.points[cell.id], "cost", None):
            key = (cell.model, cell.workload, cell.load, profiles[cell.stack])
            groups.setdefault(key, []).append(cell)
    yield from (group for group in groups.values() if len(group) > 1)


def _by_cost(scene: Scene, terms: Terms | None, group: Sequence[Cell]) -> list[Cell]:
    fastest = sorted(group, key=lambda cell: -(cell.values[OUTPUT].value or 0.0))
    if terms is None:
        return fastest
    bills = {
        one.cell: one.values[BILL].value for one in scene.priced if one.hour == terms.entry.name
    }
    known = [cell for cell in fastest if bills.get(cell.id) is not None]
    return sorted(known, key=lambda cell: bills[cell.id] or 0.0) or fastest


def _flip(scene: Scene, terms: Terms | None, leader: Cell, follower: Cell) -> Flip:
    return evens.flip(
        _side(scene, terms, leader),
        _side(scene, terms, follower),
        _ratio(scene, follower, leader),
        hour=terms.entry.name if terms else "",
        model=leader.model,
        workload=leader.workload,
        load=leader.load,
        names=(leader.stack, follower.stack),
        labels=(scene.labels[leader.stack], scene.labels[follower.stack]),
    )


def _side(scene: Scene, terms: Terms | None, cell: Cell) -> Side | None:
    if terms is None:
        return None
    gpus, power_kw, surcharges = arguments(scene, terms, cell)
    owned = terms.entry.owned
    if owned is not None and owned.meter is not None and power_kw is None:
        return None
    kind = pricing.kind_of(terms, scene.bills.ground)
    return evens.side(terms, gpus=gpus, power_kw=power_kw, surcharges=surcharges, kind=kind)


def _ratio(scene: Scene, over: Cell, under: Cell) -> Value:
    """Return output throughput of one cell over another's, paired by round."""
    kind = worst_kind(["derived", over.values[OUTPUT].kind, under.values[OUTPUT].kind])
    both = [scene.by_round(cell, OUTPUT) for cell in (over, under)]
    found = stats.paired_ratio(both[0], both[1])
    if found is None:
        words = "no round has both stacks"
        return Value(value=None, unit="ratio", kind=kind, reason="too_few_samples", detail=words)
    return Value(
        value=found.value, unit="ratio", kind=kind, n=found.n, low=found.low, high=found.high
    )
