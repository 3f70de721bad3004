"""What weights would choose, only when asked for: no verdict, and no part of one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from inferometer.comparison import OBJECTIVES, LeftOut, Weighing, Weights, worst_kind
from inferometer.contests import METRIC, by_profile, subjects
from inferometer.criteria.places import together
from inferometer.metrics.catalogue import BY_ID
from inferometer.uncertainty import pareto

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from inferometer.comparison import Model, Objective
    from inferometer.contests import Field
    from inferometer.ranking import Entrant

    Three = dict[Objective, Entrant]

STEPS = {2: 100, 3: 10}
"""Of the grid of weights, by the number of criteria."""


def build_weights(field: Field, models: Sequence[Model]) -> list[Weighing]:
    """Return the map of each closed load point, for the stacks that have all three objectives.

    Energy is the primary meter's. A criterion that follows another by construction is left out:
    counted twice, it would have twice the weight.
    """
    evidence = field.evidence
    primary = [(o, meter, follows) for o, meter, first, follows in subjects(evidence) if first]
    follows = {objective: words for objective, _, words in primary if words}
    return [
        weighing
        for model in models
        for point in evidence.load_points
        if point.load.closed
        for profile, stacks in by_profile(evidence)
        for weighing in _weighings(
            Weighing(
                model=model.name,
                architecture=model.architecture,
                workload=point.workload.name,
                load=point.label,
                profile=profile,
                kind="measured",
                criteria=[objective for objective in OBJECTIVES if objective not in follows],
                follows=list(follows.values()),
                first={},
                cells=[],
                left_out=[],
            ),
            {
                stack: {
                    objective: field.entrant(stack, model.name, point, objective, meter)
                    for objective, meter, _ in primary
                }
                for stack in stacks
            },
        )
    ]


def _weighings(base: Weighing, stacks: Mapping[str, Three]) -> list[Weighing]:
    """Return the map of real stacks and that of simulated ones."""
    out = [_left_out(stack, three) for stack, three in stacks.items() if _why(three)]
    found = []
    for simulated in (False, True):
        group = {
            stack: three
            for stack, three in stacks.items()
            if not _why(three) and _simulated(three) is simulated
        }
        if group:
            found.append(_weighed(replace(base, left_out=out), group))
            out = []
    if not found and out:
        words = "no stack has all three of throughput, energy and cost"
        return [replace(base, left_out=out, why_not=words)]
    return found


def _why(three: Three) -> Entrant | None:
    return next((entrant for entrant in three.values() if entrant.reason is not None), None)


def _simulated(three: Three) -> bool:
    return "simulated" in {entrant.kind for entrant in three.values()}


def _left_out(stack: str, three: Three) -> LeftOut:
    which, entrant = next((o, e) for o, e in three.items() if e.reason is not None)
    return LeftOut(stack=stack, reason=entrant.reason or "", detail=f"{which}: {entrant.detail}")


def _weighed(base: Weighing, stacks: Mapping[str, Three]) -> Weighing:
    """Return the map over the rounds in which all stacks have every criterion."""
    points: dict[str, dict[int, list[float]]] = {}
    out = list(base.left_out)
    for stack, three in stacks.items():
        columns = [three[objective].by_round for objective in base.criteria]
        rounds = set.intersection(*(set(column) for column in columns))
        if rounds:
            points[stack] = {r: [column[r] for column in columns] for r in sorted(rounds)}
        else:
            words = "no launch has all the criteria"
            out.append(LeftOut(stack=stack, reason="too_few_samples", detail=words))
    points, unpaired = together(points)
    out += [
        LeftOut(stack=stack, reason="too_few_samples", detail=words)
        for stack, words in unpaired.items()
    ]
    kind = worst_kind(three[o].kind for three in stacks.values() for o in base.criteria)
    base = replace(base, left_out=out, kind=kind)
    if len(base.criteria) < 2:
        words = "every criterion follows throughput, so weights choose nothing"
        return replace(base, why_not=words)
    if len(points) < 2:
        words = "weights choose between two stacks or more"
        return replace(base, why_not=words)
    higher = [BY_ID[METRIC[objective]].direction == "higher" for objective in base.criteria]
    seen = pareto.weights_map(points, higher, steps=STEPS[len(higher)])
    return replace(
        base,
        first=seen.first,
        cells=[Weights(weights=list(weights), stack=stack) for weights, stack in seen.cells],
    )
