"""From a study's evidence to everything that is said of dense against MoE."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inferometer.comparison import Architectures, MatchDependence, MoeRatio, worst_kind
from inferometer.matching.cases import build_cases
from inferometer.matching.findings import conclusion, findings
from inferometer.matching.gains import gain
from inferometer.matching.knobs import build_knobs
from inferometer.matching.matches import matches
from inferometer.matching.orders import interactions, order_changes
from inferometer.matching.pairs import kept_out, match_words, model_pairs, subject
from inferometer.matching.sides import side

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from inferometer.comparison import Model, Parity, Ranking
    from inferometer.contests import Field
    from inferometer.matching.cases import Case
    from inferometer.matching.matches import Subject

    Accelerators = Mapping[tuple[str, str], int]
    """How many serve, by stack and model; those of which it is not known are not there."""


def build_architectures(
    field: Field,
    models: Sequence[Model],
    parity: Sequence[Parity],
    rankings: Sequence[Ranking],
    accelerators: Accelerators,
) -> tuple[list[MoeRatio], Architectures]:
    """Return MoE over dense on each stack, and what follows from it.

    There is no ratio of a twin that does not answer as its dense model: the stack serves another
    function for one of them.
    """
    cases = build_cases(field, models, parity)
    ratios = [ratio for case in cases for ratio in _ratios(field, case, accelerators)]
    pairs = model_pairs(models, accelerators, _sizes(field))
    return ratios, Architectures(
        pairs=pairs,
        interactions=interactions(cases),
        order_changes=order_changes(cases, rankings),
        dependences=_dependences(field, cases, accelerators),
        kept_out=kept_out(models),
        knobs=build_knobs(field.evidence) if pairs else [],
        kind=worst_kind(["derived", *(r.ratio.kind for r in ratios if r.ratio.value is not None)]),
        why_not="" if pairs else _why_not(field, models),
    )


def _ratios(field: Field, case: Case, accelerators: Accelerators) -> list[MoeRatio]:
    dense, moe = (case.precisions.get(model.name, "") for model in (case.dense, case.moe))
    found = matches(
        *(_served(field, case, model, accelerators) for model in (case.dense, case.moe))
    )
    return [
        MoeRatio(
            stack=case.stack,
            dense=case.dense.name,
            moe=case.moe.name,
            match=match_words(case.dense, case.moe, found, dense, moe),
            metric=case.asked.metric,
            meter=case.asked.meter,
            workload=case.workload,
            load=reading.load,
            ratio=ratio,
            at=reading.at,
            interactivity=reading.interactivity,
            better=side(ratio, higher_is_better=case.asked.higher_is_better),
            dense_load=reading.dense_load,
            moe_load=reading.moe_load,
        )
        for reading in case.readings
        for ratio in [gain(reading)]
    ]


def _dependences(
    field: Field, cases: Sequence[Case], accelerators: Accelerators
) -> list[MatchDependence]:
    """Return, for each MoE model on each stack, whether all matches that hold agree."""
    groups: dict[tuple[str, str, str, str | None, str], list[Case]] = {}
    for case in cases:
        asked = case.asked
        key = (case.stack, case.moe.name, asked.metric, asked.meter, case.workload)
        groups.setdefault(key, []).append(case)
    return [_dependence(field, group, accelerators) for group in groups.values()]


def _dependence(field: Field, group: Sequence[Case], accelerators: Accelerators) -> MatchDependence:
    first = group[0]
    higher = first.asked.higher_is_better
    found = [
        finding
        for case in group
        for finding in findings(
            _served(field, case, case.dense, accelerators),
            _served(field, case, case.moe, accelerators),
            case.readings,
            higher_is_better=higher,
        )
    ]
    depends, point_only = conclusion(found, higher_is_better=higher)
    return MatchDependence(
        stack=first.stack,
        moe=first.moe.name,
        metric=first.asked.metric,
        meter=first.asked.meter,
        workload=first.workload,
        findings=found,
        depends=depends,
        point_only=point_only,
    )


def _served(field: Field, case: Case, model: Model, accelerators: Accelerators) -> Subject:
    """Return a model as the stack served it, at whichever load."""
    return subject(
        model,
        weights_bytes=_sizes(field).get((case.stack, model.name)),
        accelerators=accelerators.get((case.stack, model.name)),
    )


def _sizes(field: Field) -> dict[tuple[str, str], int]:
    """Return the bytes of the weights as served, by stack and model, where they are known."""
    return {
        (cell.stack, cell.model): cell.weights_bytes
        for cell in field.cells.values()
        if cell.weights_bytes
    }


def _why_not(field: Field, models: Sequence[Model]) -> str:
    """Say in words why there is no pair."""
    kinds = [model.architecture for model in models]  # what a record says may be anything
    if not models:
        return "no model ran"
    for kind, words in (("dense", "no dense model ran"), ("moe", "no MoE model ran")):
        if kind not in kinds:
            planned = {entry.name for entry in field.evidence.study.models}
            more = planned - {model.name for model in models}
            return f"{words}; planned and not seen: {', '.join(sorted(more))}" if more else words
    return "no MoE model that ran has a dense one that it may be compared with"
