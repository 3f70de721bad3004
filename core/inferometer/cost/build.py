"""From evidence and a scenario to everything that is said about money."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec
import polars as pl

from inferometer.cells import shown, value_of, values
from inferometer.comparison.costs import Costs, Hour, PricedCell
from inferometer.cost import answers, crossings, misfits, objectives, pricing, reading, serving
from inferometer.cost.division import divide
from inferometer.cost.scene import Bills, Scene
from inferometer.declared import Slo
from inferometer.metrics.evaluate import evaluate
from inferometer.metrics.money import COST

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from inferometer.cells import Evidence
    from inferometer.comparison import Cell, Model, PhaseSplit, Stack, Value
    from inferometer.cost.cases import Case
    from inferometer.cost.scenario import Terms
    from inferometer.plan import LoadPoint


def priced(
    evidence: Evidence,
    case: Case,
    host: Mapping[str, object],
    phases: Sequence[PhaseSplit],
) -> tuple[Evidence, Bills]:
    """Return the evidence with its costs at the first hour's price, and the bills at all.

    Raises:
        StudyError: the scenario does not fit the results (:mod:`inferometer.cost.misfits`).
    """
    divisions = divide(evidence, phases)
    around = pricing.ground(evidence, host, case.scenario.machine, case.scenario.surcharges)
    slo = case.slo or (evidence.study.slo if isinstance(evidence.study.slo, Slo) else None)
    points: dict[str, pl.DataFrame] = {}
    case.refuse(list(misfits.misfits(case, evidence, around)))
    for terms in case.terms:
        money = pricing.money(evidence, terms, divisions, around)
        points[terms.entry.name] = evaluate(evidence.tables, money, slo=slo, metrics=COST)
    if case.terms:
        first = points[case.terms[0].entry.name]
        plain = replace(around, surcharges=())  # an engine's own costs are in no price of the hour
        price = pricing.hour_value(case.terms[0], evidence.records[:1], None, plain)[0]
        money = pricing.money(evidence, case.terms[0], divisions, around)
        evidence = replace(
            evidence,
            price=_with_origin(price, case.terms[0]),
            one_price=money["usd_per_hour"].n_unique() < 2,
        )
    else:
        first = evaluate(evidence.tables, slo=slo, metrics=COST)
    evidence = replace(evidence, points=pl.concat([evidence.points, first]))
    return evidence, Bills(ground=around, divisions=divisions, points=points)


def build_costs(
    evidence: Evidence,
    case: Case,
    bills: Bills,
    *,
    stacks: Sequence[Stack],
    models: Sequence[Model],
    cells: Sequence[Cell],
) -> Costs:
    """Return everything that the cost section says."""
    scene = Scene(
        evidence=evidence,
        case=case,
        bills=bills,
        models=models,
        cells=cells,
        priced=(),
        labels={stack.id: stack.label for stack in stacks},
    )
    rows = [_cell(scene, terms, cell) for terms in case.terms for cell in cells if cell.launches]
    scene = replace(scene, priced=rows)
    return Costs(
        as_of=case.as_of.isoformat(),
        scenario=case.name,
        hours=[_hour(scene, terms) for terms in case.terms],
        cells=rows,
        flips=crossings.flips(scene),
        tornados=[*crossings.tornados(scene), *answers.tornados(scene)],
        apis=answers.apis(scene),
        own_or_rent=answers.own_or_rent(scene),
        responses=answers.responses(scene),
        fleet=serving.fleet(scene),
        warnings=[*case.warnings, *misfits.strangers(case, evidence)],
        notes=[*_notes(scene), *_always_busy(case), *_unmet(scene), *_sources(case)],
    )


def _with_origin(price: Value, terms: Terms) -> Value:
    """Return the first hour's price as the head of a report says it."""
    origin = terms.origin
    stale = f"; stale: {origin.age_days} days old" if origin.stale else ""
    metered = price.kind != "estimated"
    assumed = origin.contract.startswith("assumed")
    return msgspec.structs.replace(
        price,
        n=0,
        kind=price.kind if metered else "estimated" if assumed else "declared",
        detail=f"{origin.source}, {origin.date}, {origin.contract}{stale}",
    )


def _hour(scene: Scene, terms: Terms) -> Hour:
    """Return an hour without what single engines cost beside it."""
    around = replace(scene.bills.ground, surcharges=())
    records = scene.evidence.records[:1]
    price, parts = pricing.hour_value(terms, records, None, around)
    return Hour(
        name=terms.entry.name,
        way="owned" if terms.entry.owned is not None else "rented",
        origin=terms.origin,
        gpus=pricing.reserved(records[0], around) if records else None,
        usd_per_hour=msgspec.structs.replace(price, n=0),
        parts=parts,
    )


def _cell(scene: Scene, terms: Terms, cell: Cell) -> PricedCell:
    records, point = scene.records(cell), scene.points[cell.id]
    around = scene.bills.ground
    price, parts = pricing.hour_value(terms, records, point.index, around)
    return PricedCell(
        hour=terms.entry.name,
        cell=cell.id,
        stack=cell.stack,
        model=cell.model,
        workload=cell.workload,
        load=cell.load,
        usd_per_hour=price,
        parts=parts,
        division=scene.division(cell),
        values=_values(scene, terms, cell, point),
        ranked=cell.valid and cell.refused is None,
    )


def _values(scene: Scene, terms: Terms, cell: Cell, point: LoadPoint) -> dict[str, Value]:
    rows = scene.bills.points[terms.entry.name].filter(
        pl.col("stack") == cell.stack,
        pl.col("model") == cell.model,
        pl.col("load_point") == point.index,
    )
    why = ("failed", "the launch has no window here")
    found = {metric.id: value_of(metric, values(rows, metric.id, None), why) for metric in COST}
    return shown(scene.evidence, found)


def _notes(scene: Scene) -> list[str]:
    """Return how to read the figures."""
    methods = {one.division.method: one.division.detail for one in scene.priced}
    found = [f"The bill is divided {words}." for method, words in methods.items() if method]
    if any((one.division.idle_share or 0) > 0.005 for one in scene.priced):
        found.append("Idle time is borne by input and output in proportion to their shares.")
    if any((one.division.cached_tokens_share or 0) > 0 for one in scene.priced):
        found.append("Cached input tokens cost nothing in this division: nothing computes them.")
    if any(not one.ranked for one in scene.priced):
        found.append("Cells that failed a check are shown, and are in no answer and no flip.")
    return found


def _always_busy(case: Case) -> list[str]:
    """Name the owned machines of price books that are taken to work in every paid hour."""
    return [
        f"{terms.entry.name}: an owned machine's hour, taken as working all the time; give its "
        "utilisation if it does not."
        for terms in case.terms
        if terms.quote is not None
        and terms.quote.contract == "owned"
        and terms.entry.owned is None
        and terms.entry.utilisation is None
    ]


def _sources(case: Case) -> list[str]:
    """Say whose the numbers are that stand beside the hours: a bill has no room for it."""
    return [
        f"{label[:1].upper()}{label[1:]}: {told.source}, {told.date}"
        + (f" (STALE: {told.age_days} days old)" if told.stale else "")
        for label, told in reading.beside(case.scenario, case.as_of)
    ]


def _unmet(scene: Scene) -> list[str]:
    """Say of which models and workloads nothing more is said, because no load is good enough."""
    places = {(one.model, one.workload): "" for one in scene.priced if one.ranked}
    for one in scene.priced:
        if one.ranked and objectives.met(scene, scene.by_id[one.cell]):
            places.pop((one.model, one.workload), None)
    return [
        f"{model}, {workload}: no load point meets the objectives ({objectives.words(scene)}), so "
        "that it is in no answer on APIs, responses and sensitivity."
        for model, workload in places
    ]
