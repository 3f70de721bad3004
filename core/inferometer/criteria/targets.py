"""What each stack has at a handful of interactivities: a table to look up, where nothing is ranked.

Read between load points like the rankings at equal interactivity
(:mod:`inferometer.criteria.curves`), and never beyond them.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from msgspec.structs import replace

from inferometer import stats
from inferometer.comparison import Target, Targets, Value
from inferometer.criteria.curves import contested, read_at

if TYPE_CHECKING:
    from collections.abc import Sequence

    from inferometer.comparison import Model
    from inferometer.contests import Field
    from inferometer.criteria.curves import Curved
    from inferometer.ranking import Contest

MOST, LEAST = 6, 4
STEPS = (10, 15, 20, 30, 50, 70)
"""Of every decade; finer ones where few of them are reached."""
FINER = tuple(range(10, 100))


def build_targets(field: Field, models: Sequence[Model]) -> list[Targets]:
    """Return each objective by its first meter, where any stack has a curve."""
    return [
        Targets(
            objective=base.objective,
            metric=base.metric,
            meter=base.meter,
            model=base.model,
            architecture=base.architecture,
            workload=base.workload,
            profile=base.profile,
            targets=[_target(field, base, curves, level) for level in levels],
        )
        for base, curves in contested(field, models)
        for levels in [at([one.range for one in curves])]
        if base.primary and levels
    ]


def at(ranges: Sequence[tuple[float, float] | None]) -> list[float]:
    """Return up to six round interactivities that one of the ranges holds at least, evenly spread.

    >>> at([(8.0, 90.0), (20.0, 70.0)])
    [10.0, 15.0, 20.0, 30.0, 50.0, 70.0]
    """
    known = [one for one in ranges if one is not None]
    for steps in (STEPS, FINER):
        inside = [
            level
            for decade in range(-4, 5)
            for step in steps
            for level in [float(f"{step}e{decade}")]
            if any(low <= level <= high for low, high in known)
        ]
        if len(inside) >= LEAST:
            break
    return thinned(inside)


def thinned(levels: Sequence[float]) -> list[float]:
    """Return up to six of them, from the first to the last in even steps."""
    if len(levels) <= MOST:
        return list(levels)
    return [levels[round(place * (len(levels) - 1) / (MOST - 1))] for place in range(MOST)]


def _target(field: Field, base: Contest, curves: Sequence[Curved], level: float) -> Target:
    values = {one.entrant.stack: _value(base, one, level) for one in curves}
    if not field.evidence.one_machine:
        values = {stack: replace(one, low=None, high=None) for stack, one in values.items()}
    real = {stack: one for stack, one in values.items() if one.kind != "simulated"}
    there = {stack: one.value for stack, one in (real or values).items() if one.value is not None}
    pick = max if base.higher_is_better else min
    best = pick(there, key=there.__getitem__) if there else None
    return Target(interactivity=level, values=values, best=best)


def _value(base: Contest, one: Curved, level: float) -> Value:
    entrant, slack = one.entrant, 0.0
    if entrant.reason is None:
        entrant, slack = read_at(one, level, base)
    if entrant.reason is not None:
        return Value(
            value=None,
            unit=base.unit,
            kind=entrant.kind,
            reason=entrant.reason,
            detail=entrant.detail,
        )
    seen = stats.estimate(list(entrant.by_round.values()))
    wide = math.exp(slack)
    return Value(
        value=seen.value,
        unit=base.unit,
        kind=entrant.kind,
        n=seen.n,
        low=None if seen.low is None else seen.low / wide,
        high=None if seen.high is None else seen.high * wide,
    )
