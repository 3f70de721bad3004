"""Which rankings a study has, and who takes part in each."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, get_args

from msgspec import UnsetType

from inferometer import ranking
from inferometer.cells import absent, cell_id, values
from inferometer.engine import Profile
from inferometer.metrics.catalogue import BY_ID
from inferometer.ranking import Contest, Entrant

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import polars as pl

    from inferometer.cells import Evidence
    from inferometer.comparison import Cell, Check, Model, Objective, Ranking
    from inferometer.gate import Refusal
    from inferometer.plan import LoadPoint
    from inferometer.records import MeterInfo, Prior

METRIC: dict[Objective, str] = {
    "throughput": "output_tok_s",
    "energy": "energy_j_per_output_token",
    "cost": "bill_usd_per_mtok_output",
}
KEPT_UP = 0.9
"""Share of the tokens of the best stack that another must have delivered at an offered rate."""
COST_FOLLOWS = "cost follows throughput here by construction: one hourly price for every stack"
ENERGY_FOLLOWS = (
    "energy follows throughput here by construction: one constant wattage for every stack"
)
_WHY_INVALID = {
    "errors": "failed",
    "lost requests": "failed",
    "little's law": "failed",
    "token counting": "failed",
    "engine's count": "failed",
    "retokenised sample": "failed",
    "growing queue": "failed",
    "one clock": "clock_unsure",
    "host clocks": "clock_unsure",
    "closed under load": "starved",
    "delivered concurrency": "starved",
    "achieved rate": "starved",
    "loop lag": "starved",
    "send lag": "starved",
    "client cpu": "starved",
    "fresh prompts": "starved",
    "quiet machine": "disturbed",
    "accelerator busy": "device_starved",
    "throttling": "throttled",
    "power limit": "unequal_limits",
    "window length": "too_few_samples",
}
"""Reason of a failed check; every other check is about unequal work: ``unequal_work``."""


def build_rankings(field: Field, models: Sequence[Model]) -> list[Ranking]:
    """Return every ranking: each objective (energy: each meter), model, load point and profile.

    Of open loops only those that :func:`tells` lets through.
    """
    evidence = field.evidence
    return [
        found
        for model in models
        for point in evidence.load_points
        for objective, meter, primary, follows in subjects(evidence)
        if tells(point, objective, follows)
        for profile, stacks in by_profile(evidence)
        for entrants in [
            [field.entrant(stack, model.name, point, objective, meter) for stack in stacks]
        ]
        for found in ranking.rank(
            replace(
                contest(model, point, objective, meter, primary=primary, follows=follows),
                profile=profile,
                looks_until=looks_until(evidence),
                priors=priors(evidence, model, point, METRIC[objective], meter),
            ),
            entrants if point.load.closed else keeping_up(entrants, field.cells),
        )
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """Everybody who could take part: the cells, their rows of the long table, who was refused."""

    evidence: Evidence
    cells: Mapping[str, Cell]
    rows: Mapping[tuple[object, ...], pl.DataFrame]
    """By stack, model and load point."""
    refused: Mapping[tuple[str, str], Refusal]

    @classmethod
    def of(
        cls,
        evidence: Evidence,
        cells: Sequence[Cell],
        refused: Mapping[tuple[str, str], Refusal],
    ) -> Field:
        """Gather it; ``refused`` are the cells (stack, model) that did not pass the gate."""
        return cls(
            evidence=evidence,
            cells={cell.id: cell for cell in cells},
            rows=evidence.points.partition_by("stack", "model", "load_point", as_dict=True),
            refused=refused,
        )

    def entrant(
        self, stack: str, model: str, point: LoadPoint, objective: Objective, meter: str | None
    ) -> Entrant:
        """Return what a stack enters with at a load point, or why it cannot."""
        cell = self.cells[cell_id(stack, model, point)]
        rows = self.rows.get((stack, model, point.index))
        entrant = _entrant(self.evidence, cell, rows, objective, meter)
        return _gated(entrant, self.refused.get((stack, model)), cell, self.cells)


def looks_until(evidence: Evidence) -> int | None:
    """Return the last round that a sequential study may look after; None: rounds are fixed."""
    if isinstance(evidence.study.sequential, UnsetType):
        return None
    return evidence.plan.protocol.rounds


def priors(
    evidence: Evidence, model: Model, point: LoadPoint, metric: str, meter: str | None
) -> list[Prior]:
    """Return what earlier studies said of the spread of launches in one contest."""
    wanted = (metric, meter, model.name, point.workload.name, point.label)
    return [
        one
        for one in evidence.priors
        if (one.metric, one.meter, one.model, one.workload, one.load) == wanted
    ]


def by_profile(evidence: Evidence) -> list[tuple[Profile, list[str]]]:
    """Return each profile with its stacks: what one ranks says nothing about another."""
    profiles = {launch.stack: launch.engine.profile for launch in evidence.plan.launches}
    return [
        (profile, [stack for stack in evidence.stacks if profiles[stack] == profile])
        for profile in get_args(Profile)
        if profile in profiles.values()
    ]


def _gated(
    entrant: Entrant, refusal: Refusal | None, cell: Cell, cells: Mapping[str, Cell]
) -> Entrant:
    """Add what precision it has; one refused at the gate keeps its values and gets no place."""
    sizes = [other.weights_bytes for other in cells.values() if other.model == cell.model]
    known = [size for size in sizes if size]
    entrant = replace(
        entrant,
        precision=cell.precision,
        compression=max(known) / cell.weights_bytes if cell.weights_bytes else None,
    )
    if refusal is None or entrant.reason is not None:
        return entrant
    return replace(entrant, reason=refusal.reason, detail=refusal.detail)


def keeping_up(entrants: Sequence[Entrant], cells: Mapping[str, Cell]) -> list[Entrant]:
    """Take out those that delivered too little of what was offered: their work is not equal."""
    found = {
        entrant.stack: cells[entrant.cell].values["output_tok_s"].value or 0.0
        for entrant in entrants
        if entrant.by_round and entrant.reason is None
    }
    most = max(found.values(), default=0.0)
    kept = []
    for entrant in entrants:
        share = found.get(entrant.stack, most) / most if most else 1.0
        if share >= KEPT_UP:
            kept.append(entrant)
            continue
        words = f"delivered {share:.0%} of the tokens of the stack that delivered most"
        kept.append(replace(entrant, by_round={}, reason="fell_behind", detail=words))
    return kept


def tells(point: LoadPoint, objective: Objective, follows: str | None) -> bool:
    """Say whether an objective can order stacks at a load point.

    At an offered rate every stack that keeps up delivers the same tokens per second, so the order
    by throughput, by cost at one price and by energy at one wattage would be chance. Joules that a
    meter saw are for equal work there, and do tell stacks apart.
    """
    return point.load.closed or (objective == "energy" and follows is None)


def primary_meter(meters: Mapping[str, MeterInfo]) -> str | None:
    """Return the meter the energy ranking goes by; None when none could be read.

    Measured before estimated meters that see the load, those before constants (J/token is then
    throughput relabelled); among equals the study's order.
    """
    readable = [info for info in meters.values() if info.reason is None]
    return min(readable, key=_standing).name if readable else None


def _standing(info: MeterInfo) -> int:
    if info.follows_throughput:
        return 3
    return {"measured": 0, "estimated": 1}.get(info.kind, 2)


def subjects(evidence: Evidence) -> Iterator[tuple[Objective, str | None, bool, str | None]]:
    """Return objective, meter, whether primary, and the sentence on following throughput."""
    meters = evidence.meters
    first = primary_meter(meters)
    yield "throughput", None, True, None
    if first is None:
        yield "energy", None, True, None
    for name in sorted(meters, key=lambda name: name != first):
        info = meters[name]
        if info.reason is None:
            follows = ENERGY_FOLLOWS if info.follows_throughput else None
            yield "energy", name, name == first, follows
    yield "cost", None, True, COST_FOLLOWS if evidence.one_price else None


def contest(
    model: Model,
    point: LoadPoint,
    objective: Objective,
    meter: str | None,
    *,
    primary: bool,
    follows: str | None,
) -> Contest:
    """Return the contest of one objective at one load point."""
    metric = BY_ID[METRIC[objective]]
    return Contest(
        objective=objective,
        metric=metric.id,
        unit=metric.unit,
        higher_is_better=metric.direction == "higher",
        meter=meter,
        primary=primary,
        model=model.name,
        architecture=model.architecture,
        workload=point.workload.name,
        load=point.label,
        follows_throughput=follows,
    )


def _entrant(
    evidence: Evidence,
    cell: Cell,
    rows: pl.DataFrame | None,
    objective: Objective,
    meter: str | None,
) -> Entrant:
    reason, detail = absent(evidence, cell.stack, cell.model)
    if rows is None:
        if cell.launches:
            reason, detail = "failed", "the launch has no window here"
        return Entrant(stack=cell.stack, cell=cell.id, reason=reason, detail=detail)
    wrong = [check for check in cell.checks if check.verdict == "fail"]
    if wrong:
        reason, detail = why_invalid(wrong)
        return Entrant(stack=cell.stack, cell=cell.id, reason=reason, detail=detail)
    if objective == "energy" and meter is None:
        reason, detail = no_meter(evidence.meters)
        return Entrant(stack=cell.stack, cell=cell.id, reason=reason, detail=detail)
    elsewhere = other_boundary(evidence, cell.launches, meter) if meter else ""
    if elsewhere:
        return Entrant(stack=cell.stack, cell=cell.id, reason="other_boundary", detail=elsewhere)
    found = values(rows, METRIC[objective], meter)
    if not found.by_round:
        reason, detail = found.reasons[0] if found.reasons else ("not_run", "not measured here")
        return Entrant(stack=cell.stack, cell=cell.id, reason=reason, detail=detail)
    return Entrant(stack=cell.stack, cell=cell.id, by_round=found.by_round, kind=found.kind)


def other_boundary(evidence: Evidence, launches: Sequence[str], meter: str) -> str:
    """Say where ``launches`` were metered otherwise than the first; empty: all alike.

    Joules of a board and of the module that holds it, or of two scopes, share no rank.
    """
    known = evidence.meters.get(meter)
    for record in evidence.records:
        for info in record.meters:
            if known is None or info.name != meter or record.id not in launches:
                continue
            if info.reason is None and boundary_words(info) != boundary_words(known):
                return f"{meter} covers {boundary_words(info)} here, {boundary_words(known)} there"
    return ""


def boundary_words(info: MeterInfo) -> str:
    """Return scope and boundary in words: two that differ are not comparable."""
    return f"{info.scope} ({info.boundary})" if info.boundary else info.scope


def why_invalid(failed: Sequence[Check]) -> tuple[str, str]:
    """Return reason and detail of a cell that failed these checks."""
    words = "; ".join(f"{check.name}: {check.value}" for check in failed)
    return _WHY_INVALID.get(failed[0].name, "unequal_work"), f"invalid: {words}"


def no_meter(meters: Mapping[str, MeterInfo]) -> tuple[str, str]:
    """Return reason and detail for energy when no meter could be read."""
    if not meters:
        return "no_sensor", "the study asked for no meter"
    words = "; ".join(f"{name}: {info.detail or info.method}" for name, info in meters.items())
    return next(iter(meters.values())).reason or "no_sensor", words
