"""Rankings at equal interactivity: each launch's load points are a curve, read at one speed.

At equal concurrency two stacks are at different latencies. Here they are compared where a user is
served equally fast; nothing is extrapolated.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import log, sqrt
from statistics import fmean
from typing import TYPE_CHECKING

from msgspec import structs

from inferometer import ranking
from inferometer.comparison import worst_kind
from inferometer.contests import by_profile, contest, looks_until, subjects
from inferometer.criteria.places import X_UNIT, by_workload, paired, speeds
from inferometer.criteria.slack import widened
from inferometer.numbers import number
from inferometer.uncertainty import interactivity

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from inferometer.comparison import Model, Ranking
    from inferometer.contests import Field
    from inferometer.plan import LoadPoint
    from inferometer.ranking import Contest, Entrant

    Range = tuple[float, float]

LEVELS = (20.0, 50.0, 100.0)
"""Interactivities (tok/s/user) at which stacks are compared, where two of them reach."""
NOWHERE = "equal interactivity"


@dataclass(frozen=True, slots=True, kw_only=True)
class Curved:
    """A stack's curves, one a launch, each from the same load points; or why it has none.

    ``entrant`` has the reason, and what is the same at every interactivity.
    """

    entrant: Entrant
    launches: Mapping[int, interactivity.Curve]
    left_out: str
    """Load points that are in none of the curves, in words."""

    @property
    def range(self) -> Range | None:
        """Return what all launches cover, in tok/s/user."""
        return interactivity.shared_range({self.entrant.stack: self.launches})


def at_equal_interactivity(field: Field, models: Sequence[Model]) -> list[Ranking]:
    """Return the rankings of every workload that two stacks have curves of.

    Simulated and real stacks are compared apart, each at interactivities of their own.
    """
    return [found for base, curves in contested(field, models) for found in _rankings(base, curves)]


def contested(field: Field, models: Sequence[Model]) -> Iterator[tuple[Contest, list[Curved]]]:
    """Yield the contest of every workload with two load points, with the curve of each stack."""
    evidence = field.evidence
    for model in models:
        for points in by_workload(evidence).values():
            for objective, meter, primary, follows in subjects(evidence) if points[1:] else ():
                for profile, stacks in by_profile(evidence):
                    base = replace(
                        contest(
                            model, points[0], objective, meter, primary=primary, follows=follows
                        ),
                        profile=profile,
                        looks_until=looks_until(evidence),
                    )
                    yield base, [curved(field, base, points, stack) for stack in stacks]


def curved(field: Field, base: Contest, points: Sequence[LoadPoint], stack: str) -> Curved:
    """Return the curves of the launches that have a number at every load point of the stack's."""
    every = [_at_point(field, base, point, stack) for point in points]
    fit = [(entrant, loads) for entrant, loads in every if entrant.reason is None]
    unfit = [entrant for entrant, _ in every if entrant.reason is not None]
    left_out = "; ".join(entrant.detail for entrant in unfit)
    if len(fit) < 2:
        words = f"a curve needs two load points; {left_out}"
        return _uncurved(unfit[0], unfit[0].reason, words if fit else unfit[0].detail)
    rounds = set.intersection(*(set(loads) for _, loads in fit))
    kind = worst_kind(["interpolated", *(entrant.kind for entrant, _ in fit)])
    common = replace(fit[0][0], cell="", by_round={}, kind=kind)
    if not rounds:
        words = "no launch has a number at every load point"
        return _uncurved(common, "too_few_samples", words)
    return Curved(
        entrant=common,
        launches={
            r: interactivity.frontier(
                [loads[r] for _, loads in fit], higher_is_better=base.higher_is_better
            )
            for r in sorted(rounds)
        },
        left_out=left_out,
    )


def _at_point(
    field: Field,
    base: Contest,
    point: LoadPoint,
    stack: str,
) -> tuple[Entrant, dict[int, interactivity.Load]]:
    """Return an entrant and its launches at a load point, or the reason with the load."""
    entrant = field.entrant(stack, base.model, point, base.objective, base.meter)
    loads: dict[int, interactivity.Load] = {}
    if entrant.reason is None:
        seen = speeds(field, stack, base.model, point)
        streams = float(point.load.concurrency or 0)
        loads = {
            r: interactivity.Load(streams, *both)
            for r, both in paired(seen.by_round, entrant.by_round).items()
        }
        entrant = replace(entrant, kind=worst_kind([entrant.kind, seen.kind]))
        if not loads:
            reason, detail = seen.reasons[0] if seen.reasons else ("too_few_samples", "")
            entrant = replace(entrant, reason=reason, detail=detail)
    if entrant.reason is not None:
        entrant = replace(entrant, detail=f"{point.label}: {entrant.detail}")
    return entrant, loads


def _uncurved(entrant: Entrant, reason: str | None, words: str) -> Curved:
    entrant = replace(entrant, cell="", by_round={}, reason=reason, detail=words)
    return Curved(entrant=entrant, launches={}, left_out="")


def _rankings(base: Contest, curves: Sequence[Curved]) -> list[Ranking]:
    """Return the rankings of one contest; those without a curve stand in the first of them."""
    absent = [one.entrant for one in curves if one.entrant.reason is not None]
    found: list[Ranking] = []
    for simulated in (False, True):
        group = [
            one
            for one in curves
            if one.entrant.reason is None and (one.entrant.kind == "simulated") is simulated
        ]
        for level, words in levels([one.range for one in group]):
            there = replace(base, load=words)
            seen = {one.entrant.stack: read_at(one, level, base) for one in group}
            entrants = [entrant for entrant, _ in seen.values()]
            slack = {stack: one for stack, (_, one) in seen.items()}
            found += [
                structs.replace(widened(one, slack), at="interactivity", interactivity=level)
                for one in ranking.rank(there, [*entrants, *absent])
            ]
        absent = [] if found else absent
    return found


def levels(ranges: Sequence[Range | None]) -> list[tuple[float | None, str]]:
    """Return where to compare, in words too: ``LEVELS`` that two of the ranges hold, if any.

    Else the geometric middle of what most of them share, at least two; None where no two share
    any. Nothing of fewer than two stacks.
    """
    if len(ranges) < 2:
        return []
    known = [one for one in ranges if one is not None]
    inside = [level for level in LEVELS if sum(low <= level <= high for low, high in known) > 1]
    if inside:
        return [(level, f"{level:g} {X_UNIT}") for level in inside]
    found = middle(known, least=2)
    if found is None:
        return [(None, NOWHERE)]
    level, most = found
    return [(level, f"{number(level)} {X_UNIT}, the middle of the range of {most} stacks")]


def middle(ranges: Sequence[Range], *, least: int = 1) -> tuple[float, int] | None:
    """Return the geometric middle of what most ranges share, and how many do.

    None where fewer than ``least`` share any.
    """
    shared = [
        (len(both), log(high / low), low, high)
        for low, _ in ranges
        for both in [[one for one in ranges if one[0] <= low <= one[1]]]
        for high in [min(one[1] for one in both)]
    ]
    most, _, low, high = max(shared, default=(0, 0.0, 0.0, 0.0))
    return (min(max(sqrt(low * high), low), high), most) if most >= least else None


def read_at(one: Curved, level: float | None, base: Contest) -> tuple[Entrant, float]:
    """Return what a stack has at ``level``, if every launch reaches there, and the mean slack."""
    found = one.range
    if found is not None and level is not None and found[0] <= level <= found[1]:
        read = {
            r: interactivity.read(curve, level, higher_is_better=base.higher_is_better)
            for r, curve in one.launches.items()
        }
        sure = {r: reading for r, reading in read.items() if reading is not None}
        by_round = {r: reading.value for r, reading in sure.items()}
        slack = fmean(reading.slack for reading in sure.values())
        return replace(one.entrant, by_round=by_round), slack
    words = "its launches share no interactivity"
    if found is not None:
        words = f"its launches cover {number(found[0])} to {number(found[1])} {X_UNIT}"
        if level is not None:
            words += f", all of it {'faster' if found[0] > level else 'slower'}"
    words += f"; without {one.left_out}" if one.left_out else ""
    return replace(one.entrant, reason="out_of_range", detail=words), 0.0
