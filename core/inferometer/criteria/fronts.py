"""Pareto fronts: every closed load point of every stack, one metric against interactivity."""

from __future__ import annotations

from dataclasses import dataclass
from dataclasses import replace as renewed
from typing import TYPE_CHECKING

from msgspec.structs import replace

from inferometer import stats
from inferometer.comparison import Front, FrontPoint, LeftOut, Value, worst_kind
from inferometer.contests import METRIC, by_profile, subjects
from inferometer.criteria.places import X_UNIT, by_workload, paired, speeds, together
from inferometer.metrics.catalogue import BY_ID
from inferometer.uncertainty import pareto

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from inferometer.comparison import Kind, Model
    from inferometer.contests import Field
    from inferometer.plan import LoadPoint

    Accelerators = Mapping[tuple[str, str], int]
    """How many serve, by stack and model; those of which it is not known are not there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """A cell in the plane: (interactivity, value) of each round that has both."""

    cell: str
    stack: str
    load: str
    by_round: Mapping[int, tuple[float, float]]
    kinds: tuple[Kind, Kind]

    @property
    def simulated(self) -> bool:
        """Say whether a simulator made any of it."""
        return "simulated" in self.kinds


def build_fronts(field: Field, models: Sequence[Model], accelerators: Accelerators) -> list[Front]:
    """Return every front of at least two cells: each objective (energy: each meter).

    Throughput is per accelerator where that is known of every stack in the front.
    """
    evidence = field.evidence
    return [
        front
        for model in models
        for points in by_workload(evidence).values()
        for objective, meter, primary, follows in subjects(evidence)
        if objective != "energy" or meter
        for profile, stacks in by_profile(evidence)
        for base in [
            Front(
                objective=objective,
                metric=METRIC[objective],
                meter=meter,
                primary=primary,
                model=model.name,
                architecture=model.architecture,
                workload=points[0].workload.name,
                profile=profile,
                kind="measured",
                per=None,
                follows_throughput=follows,
                points=[],
            )
        ]
        for front in _fronts(
            base,
            [_place(field, base, stack, point) for stack in stacks for point in points],
            accelerators,
        )
    ]


def _place(field: Field, base: Front, stack: str, point: LoadPoint) -> Placed | LeftOut:
    """Return a cell as a point of the plane, or why it is none."""
    entrant = field.entrant(stack, base.model, point, base.objective, base.meter)
    reason, detail = entrant.reason, entrant.detail
    if reason is None:
        seen = speeds(field, stack, base.model, point)
        both = paired(seen.by_round, entrant.by_round)
        if both:
            return Placed(
                cell=entrant.cell,
                stack=stack,
                load=point.label,
                by_round=both,
                kinds=(seen.kind, entrant.kind),
            )
        reason, detail = seen.reasons[0] if seen.reasons else ("too_few_samples", "")
    return LeftOut(stack=stack, load=point.label, reason=reason, detail=detail)


def _fronts(
    base: Front, places: Sequence[Placed | LeftOut], accelerators: Accelerators
) -> list[Front]:
    """Return the front of real points and that of simulated ones; cells without stand in one."""
    left_out = [one for one in places if isinstance(one, LeftOut)]
    found: list[Front] = []
    for simulated in (False, True):
        group = [one for one in places if isinstance(one, Placed) and one.simulated is simulated]
        kept, out = together({one.cell: one.by_round for one in group})
        left_out += [
            LeftOut(stack=one.stack, load=one.load, reason="too_few_samples", detail=out[one.cell])
            for one in group
            if one.cell in out
        ]
        group = [renewed(one, by_round=kept[one.cell]) for one in group if one.cell in kept]
        if len(group) > 1:
            found.append(_front(replace(base, left_out=left_out), group, accelerators))
            left_out = []
    return found


def _front(base: Front, group: Sequence[Placed], accelerators: Accelerators) -> Front:
    metric = BY_ID[base.metric]
    shares = [accelerators.get((one.stack, base.model)) for one in group]
    known = base.objective == "throughput" and all(shares)
    points = {
        one.cell: {r: (x, y / (share or 1) if known else y) for r, (x, y) in one.by_round.items()}
        for one, share in zip(group, shares, strict=True)
    }
    seen = pareto.front(points, [True, metric.direction == "higher"])
    shown = [
        FrontPoint(
            cell=one.cell,
            stack=one.stack,
            load=one.load,
            interactivity=_value([x for x, _ in points[one.cell].values()], X_UNIT, one.kinds[0]),
            value=_value(
                [y for _, y in points[one.cell].values()],
                metric.unit,
                worst_kind(["derived", one.kinds[1]]) if known else one.kinds[1],
            ),
            on_front=candidate.on_front,
            probability=candidate.probability,
        )
        for one, candidate in zip(group, seen, strict=True)
    ]
    per = "accelerator" if known else "machine"
    return replace(
        base,
        kind=worst_kind(kind for one in group for kind in one.kinds),
        per=per if base.objective == "throughput" else None,
        points=sorted(shown, key=lambda one: (-(one.interactivity.value or 0.0), one.cell)),
    )


def _value(values: Sequence[float], unit: str, kind: Kind) -> Value:
    seen = stats.estimate(values)
    return Value(value=seen.value, unit=unit, kind=kind, n=seen.n, low=seen.low, high=seen.high)
