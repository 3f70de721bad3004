"""From a results directory to everything a report says. Reads files only; runs no engine."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from msgspec import UNSET
from msgspec.structs import replace

import inferometer
from inferometer import capacities, hardware, remarks, single_machine, validity
from inferometer.capacity_ranks import build_slo_rankings
from inferometer.cells import Evidence, build_cells, build_models, build_stacks, servers
from inferometer.comparison import Comparison, Value
from inferometer.contests import Field, build_rankings
from inferometer.cost import cases, pricing
from inferometer.cost.build import build_costs, priced
from inferometer.criteria.curves import at_equal_interactivity
from inferometer.criteria.fronts import build_fronts
from inferometer.criteria.targets import build_targets
from inferometer.criteria.weighing import build_weights
from inferometer.declared import Energy, Slo
from inferometer.errors import UsageError
from inferometer.fairness import differences
from inferometer.gate import refusals
from inferometer.lifetimes import OF_LAUNCHES
from inferometer.matching.build import build_architectures
from inferometer.metrics.catalogue import METRICS, PHYSICAL
from inferometer.metrics.evaluate import evaluate
from inferometer.node_agreement import build_nodes
from inferometer.noise import build_noise
from inferometer.parities import parities, worst
from inferometer.phases import build_phases
from inferometer.rooflines import build_hardware, build_rooflines
from inferometer.searches import build_tuning
from inferometer.startlines import starts
from inferometer.store import Store
from inferometer.study import parse
from inferometer.tables import model_name, scan, stack_id
from inferometer.traces import build_distributions, build_launched, build_power

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from inferometer.capacities import Searches
    from inferometer.comparison import Cell, Model, PhaseSplit, Ranking
    from inferometer.cost.cases import Case
    from inferometer.cost.scene import Bills
    from inferometer.gate import Refusal
    from inferometer.records import LaunchRecord
    from inferometer.study import Study


def analyze(
    results_root: Path,
    scenario: Path | None = None,
    *,
    as_of: date | None = None,
    max_price_age: int | None = None,
    fleet: Mapping[str, Any] | None = None,
    weights: bool = False,
) -> Comparison:
    """Analyse a results directory, whole or not: what is missing is told, never guessed.

    ``scenario`` is a file of prices instead of the study's own; ``as_of`` the day against which
    they are old (unset: today for a file's, the last launch's for the study's own, so that reports
    repeat), ``max_price_age`` in days. ``fleet`` are fields of
    :class:`~inferometer.cost.scenario.FleetEntry` that go before the file's. ``weights``
    asks for what weights of the objectives would choose, which is no part of any verdict.

    Raises:
        UsageError: it is no results directory, a file is damaged, or it holds launches that
            cannot be pooled; or the scenario does not hold together or does not fit the results.
    """
    store = Store(results_root)
    if store.holds_only_imported():
        return of_imported(store)
    host = host_of(store)
    day = created(host, [*store.launches(), *store.failures()])
    today = datetime.now(UTC).date()
    case = cases.case(
        scenario,
        study_of(store).price,
        as_of=as_of or (date.fromisoformat(day[:10]) if day and scenario is None else today),
        max_age_days=max_price_age,
        fleet=fleet or {},
    )
    evidence = gather(store, case.slo)
    return compare([store], evidence, case, host=host, day=day, weights=weights)


def of_imported(store: Store) -> Comparison:
    """Return a comparison of a directory where nothing was measured: only what was imported."""
    none = Value(value=None, unit="USD/h", kind="declared", reason="no_price")
    found = store.imported()
    return Comparison(
        title="Imported results",
        preset="imported",
        created=max(one.measured for one in found),
        plan_sha256="",
        rounds_planned=0,
        rounds_complete=0,
        window_s=None,
        inferometer_version=inferometer.__version__,
        host={},
        price=none,
        stacks=[],
        models=[],
        metrics=[],
        cells=[],
        rankings=[],
        moe_ratios=[],
        parity=[],
        missing=[],
        warnings=[],
        notes=["Nothing was measured here; everything is what files of other tools say."],
        study="",
        imported=found,
    )


def compare(
    stores: Sequence[Store],
    evidence: Evidence,
    case: Case,
    *,
    host: dict[str, object],
    day: str,
    weights: bool = False,
) -> Comparison:
    """Compare what ``evidence`` holds, which was read from ``stores``, at the prices of ``case``.

    ``host`` is the machine, ``day`` when the last launch ended; ``weights`` as in :func:`analyze`.

    Raises:
        StudyError: the prices do not fit the results.
    """
    phases = build_phases(evidence)
    evidence, bills = priced(evidence, case, host, phases)
    found = _compared(stores, evidence, case, bills, phases, host=host, day=day, weights=weights)
    found = replace(
        found,
        nodes=build_nodes(evidence),
        launched=build_launched(evidence),
        distributions=build_distributions(evidence),
        power=build_power(evidence),
        retried=remarks.retried(evidence) or UNSET,
        imported=[one for store in stores for one in store.imported()],
        tuning=[one for store in stores for one in build_tuning(store, evidence.plan)],
        hardware=build_hardware(evidence, host),
        starts=starts(stores),
    )
    if evidence.one_machine:
        return found
    return single_machine.without_intervals(found, "directories" if len(stores) > 1 else "nodes")


def _compared(
    stores: Sequence[Store],
    evidence: Evidence,
    case: Case,
    bills: Bills,
    phases: list[PhaseSplit],
    *,
    host: dict[str, object],
    day: str,
    weights: bool,
) -> Comparison:
    models = build_models(evidence)
    stacks = build_stacks(evidence)
    twins = {model.name: model.twin_of for model in models if model.twin_of}
    parity = worst(parities(store, twins) for store in stores)
    refused = refusals(parity, servers(evidence))
    cells = [_marked(cell, refused) for cell in build_cells(evidence, models)]
    field = Field.of(evidence, cells, refused)
    searches = capacities.read(stores, evidence)
    rankings = _rankings(field, models, searches)
    accelerators = _accelerators(evidence, bills)
    moe_ratios, architectures = build_architectures(field, models, parity, rankings, accelerators)
    return Comparison(
        title=evidence.study.name,
        preset=evidence.study.preset,
        created=day,
        plan_sha256=evidence.plan.sha256,
        rounds_planned=evidence.plan.protocol.rounds,
        rounds_complete=remarks.rounds_complete(evidence),
        stopped=remarks.stopped(evidence),
        window_s=evidence.plan.protocol.window_s,
        inferometer_version=inferometer.__version__,
        host=host,
        price=evidence.price,
        stacks=stacks,
        models=models,
        metrics=[*(m.info for m in METRICS), *OF_LAUNCHES, *capacities.metrics(searches)],
        cells=cells,
        rankings=rankings,
        moe_ratios=moe_ratios,
        parity=parity,
        missing=remarks.missing(evidence),
        warnings=remarks.warnings(evidence, cells, rankings, parity, refused),
        notes=remarks.notes(evidence, models, evidence.study.preset),
        study=study_texts(stores),
        differences=differences(evidence, models),
        meters=list(evidence.meters.values()),
        noise=build_noise(evidence, rankings),
        phases=phases,
        capacities=capacities.build_capacities(evidence, models, searches),
        costs=build_costs(evidence, case, bills, stacks=stacks, models=models, cells=cells),
        fronts=build_fronts(field, models, accelerators),
        targets=build_targets(field, models),
        weights=build_weights(field, models) if weights else None,
        rooflines=build_rooflines(evidence, cells, host),
        architectures=architectures,
    )


def _rankings(field: Field, models: Sequence[Model], searches: Searches | None) -> list[Ranking]:
    return [
        *build_rankings(field, models),
        *at_equal_interactivity(field, models),
        *build_slo_rankings(field, models, searches),
    ]


def _accelerators(evidence: Evidence, bills: Bills) -> dict[tuple[str, str], int]:
    """Return over how many accelerators each stack ran each model, where that is known."""
    return {
        (stack_id(record), model_name(record)): count
        for record in reversed(evidence.records)
        if (count := pricing.serving(record, bills.ground)) is not None
    }


def _marked(cell: Cell, refused: Mapping[tuple[str, str], Refusal]) -> Cell:
    refusal = refused.get((cell.stack, cell.model))
    return replace(cell, refused=refusal.reason) if refusal else cell


def gather(store: Store, slo: Slo | None = None) -> Evidence:
    """Read a results directory and evaluate every check, and every metric without a price.

    ``slo`` goes before the study's.
    """
    study = study_of(store)
    tables, records = scan(store), store.launches()
    slo = slo or (study.slo if isinstance(study.slo, Slo) else None)
    points = evaluate(
        tables,
        slo=slo,
        energy=study.energy if isinstance(study.energy, Energy) else None,
        metrics=PHYSICAL,
    )
    return Evidence(
        plan=store.plan(),
        study=study,
        records=records,
        failures=store.failures(),
        tables=tables,
        points=points,
        checks=hardware.judge(tables, records, points, validity.judge(tables)),
        looks=store.looks(),
        priors=store.priors(),
        slo=slo,
        one_machine=single_machine.one_machine(records, host_of(store)),
    )


def study_texts(stores: Sequence[Store]) -> str:
    """Return the study file's text; those of several directories one after the other, each once."""
    return "\n".join(dict.fromkeys(store.study_text() for store in stores))


def study_of(store: Store) -> Study:
    """Return the study of a results directory."""
    return parse(store.study_text(), str(store.root / "study.toml"))


def created(host: Mapping[str, object], records: Sequence[LaunchRecord]) -> str:
    """Return when the last launch ended, ISO 8601 in UTC; empty when it cannot be known.

    Launches carry the wall clock; for those that do not, ``host`` holds one reading of both
    clocks, ``wall_ns`` and ``monotonic_ns``.
    """
    walls = [record.ended_wall_ns for record in records if record.ended_wall_ns is not None]
    if walls:
        return _utc(max(walls))
    wall, monotonic = host.get("wall_ns"), host.get("monotonic_ns")
    if not records or not isinstance(wall, int) or not isinstance(monotonic, int):
        return ""
    return _utc(wall + max(record.ended_ns for record in records) - monotonic)


def _utc(wall_ns: int) -> str:
    try:
        moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=wall_ns // 1000)
    except OverflowError:  # no clock says so
        return ""
    return moment.isoformat(timespec="seconds")


def host_of(store: Store) -> dict[str, object]:
    """Return what is known of the machine that measured; empty when nothing is."""
    try:
        return store.host()
    except UsageError:
        return {}
