"""From a results directory to everything a report says. Reads files only; runs no engine."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from msgspec.structs import replace

import inferometer
from inferometer import hardware, remarks, validity
from inferometer.cells import (
    Evidence,
    build_cells,
    build_models,
    build_stacks,
    servers,
)
from inferometer.comparison import Comparison, Value
from inferometer.contests import build_rankings
from inferometer.declared import Energy, Slo
from inferometer.errors import UsageError
from inferometer.fairness import differences
from inferometer.gate import refusals
from inferometer.lifetimes import OF_LAUNCHES
from inferometer.metrics.catalogue import METRICS
from inferometer.metrics.evaluate import evaluate
from inferometer.moe_ratios import build_moe_ratios
from inferometer.parity import parities
from inferometer.phases import build_phases
from inferometer.searches import build_tuning
from inferometer.store import Store
from inferometer.study import parse
from inferometer.tables import scan

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from inferometer.comparison import Cell
    from inferometer.declared import Price
    from inferometer.gate import Refusal
    from inferometer.records import LaunchRecord

NO_PRICE = Value(
    value=None, unit="USD/h", kind="declared", reason="no_price", detail="the study has no [price]"
)


def analyze(results_root: Path) -> Comparison:
    """Analyse a results directory, whole or not: what is missing is told, never guessed.

    Raises:
        UsageError: it is no results directory, a file is damaged, or it holds launches that
            cannot be pooled.
    """
    store = Store(results_root)
    evidence = gather(store)
    models = build_models(evidence)
    stacks = build_stacks(evidence)
    parity = parities(store, {model.name: model.twin_of for model in models if model.twin_of})
    refused = refusals(parity, servers(evidence))
    cells = [_marked(cell, refused) for cell in build_cells(evidence, models)]
    rankings = build_rankings(evidence, models, cells, refused)
    host = _host(store)
    study = evidence.study
    return Comparison(
        title=study.name,
        preset=study.preset,
        created=created(host, evidence.recorded()),
        plan_sha256=evidence.plan.sha256,
        rounds_planned=evidence.plan.protocol.rounds,
        rounds_complete=remarks.rounds_complete(evidence),
        window_s=evidence.plan.protocol.window_s,
        inferometer_version=inferometer.__version__,
        host=host,
        price=price_value(study.price),
        stacks=stacks,
        models=models,
        metrics=[*(metric.info for metric in METRICS), *OF_LAUNCHES],
        cells=cells,
        rankings=rankings,
        moe_ratios=build_moe_ratios(evidence, models, cells, parity),
        parity=parity,
        missing=remarks.missing(evidence),
        warnings=remarks.warnings(evidence, cells, rankings, parity, refused),
        notes=remarks.notes(evidence, models, study.preset),
        study=store.study_text(),
        differences=differences(evidence, models),
        tuning=build_tuning(store, evidence.plan),
        meters=list(evidence.meters.values()),
        phases=build_phases(evidence),
    )


def _marked(cell: Cell, refused: Mapping[tuple[str, str], Refusal]) -> Cell:
    refusal = refused.get((cell.stack, cell.model))
    return replace(cell, refused=refusal.reason) if refusal else cell


def gather(store: Store) -> Evidence:
    """Read a results directory and evaluate every metric and check."""
    study = parse(store.study_text(), str(store.root / "study.toml"))
    tables, records = scan(store), store.launches()
    points = evaluate(
        tables,
        study.price,
        slo=study.slo if isinstance(study.slo, Slo) else None,
        energy=study.energy if isinstance(study.energy, Energy) else None,
    )
    return Evidence(
        plan=store.plan(),
        study=study,
        records=records,
        failures=store.failures(),
        tables=tables,
        points=points,
        checks=hardware.judge(tables, records, points, validity.judge(tables)),
    )


def price_value(price: Price | None) -> Value:
    """Return the price per hour with its source, date and contract in ``detail``."""
    if price is None:
        return NO_PRICE
    return Value(
        value=price.usd_per_hour,
        unit="USD/h",
        kind="estimated" if price.contract == "assumed" else "declared",
        detail=f"{price.source}, {price.date}, {price.contract}",
    )


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
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=wall_ns // 1000)
    return moment.isoformat(timespec="seconds")


def _host(store: Store) -> dict[str, object]:
    try:
        return store.host()
    except UsageError:
        return {}
