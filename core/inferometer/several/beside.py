"""Comparisons side by side: values and places of each column, never one order over columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from inferometer.comparison import OBJECTIVES, Architecture, Objective, Value
from inferometer.comparison.several import Apart, Figure, Line, SideBySide

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from inferometer.comparison import Comparison, RankEntry, Ranking, Unranked
    from inferometer.several.manifest import Key

NAMED = 4
"""Up to so many differences stand in a sentence; the table has all."""
ARCHITECTURES: tuple[Architecture, ...] = ("dense", "moe")


class _Question(NamedTuple):
    """What one table is about."""

    objective: Objective
    architecture: Architecture
    profile: str
    simulated: bool
    metric: str


class _Place(NamedTuple):
    """What one line is about."""

    model: str
    workload: str
    load: str
    stack: str


def side_by_side(columns: Mapping[str, Comparison]) -> list[SideBySide]:
    """Return a table for each question that some column answers, in the order of questions."""
    found: dict[_Question, dict[_Place, dict[str, Figure]]] = {}
    for name, comparison in columns.items():
        labels = {stack.id: stack.label for stack in comparison.stacks}
        for question, place, figure in _figures(comparison):
            shown = place._replace(stack=labels.get(place.stack, place.stack))
            found.setdefault(question, {}).setdefault(shown, {})[name] = figure
    return [
        SideBySide(
            objective=question.objective,
            architecture=question.architecture,
            profile=question.profile,
            metric=question.metric,
            simulated=question.simulated,
            columns=list(columns),
            lines=[
                Line(**place._asdict(), figures=[figures.get(name) for name in columns])
                for place, figures in found[question].items()
            ],
        )
        for question in sorted(found, key=_order)
    ]


def apart(groups: Mapping[str, Mapping[str, Key]]) -> list[Apart]:
    """Return the keys in which groups differ, with each group's words."""
    names = list(dict.fromkeys(name for keys in groups.values() for name in keys))
    differing = [
        name
        for name in names
        if len({keys[name].compared if name in keys else None for keys in groups.values()}) > 1
    ]
    return [
        Apart(
            what=name,
            words=[keys[name].words if name in keys else "none" for keys in groups.values()],
        )
        for name in differing
    ]


def because(names: Sequence[str], differences: Sequence[Apart]) -> str:
    """Return the sentence that says why groups are not ranked together."""
    parts = [_difference(names, one) for one in differences[:NAMED]]
    more = len(differences) - NAMED
    parts += [f"and {more} more"] if more > 0 else []
    listed = "; ".join(parts)
    return f"Not ranked together, because of what differs: {listed}."


def _difference(names: Sequence[str], one: Apart) -> str:
    if len(set(one.words)) == 1:
        return one.what
    said = {
        words: [name for name, its in zip(names, one.words, strict=True) if its == words]
        for words in one.words
    }
    listed = "; ".join(f"{', '.join(who)}: {words or 'none'}" for words, who in said.items())
    return f"{one.what} ({listed})"


def _order(question: _Question) -> tuple[int, int, str, bool, str]:
    objective, architecture = OBJECTIVES.index(question.objective), question.architecture
    known = ARCHITECTURES.index(architecture)
    return objective, known, question.profile, question.simulated, question.metric


def _figures(comparison: Comparison) -> Iterator[tuple[_Question, _Place, Figure]]:
    for ranking in comparison.rankings:
        if not ranking.primary:
            continue
        question = _Question(
            ranking.objective,
            ranking.architecture,
            ranking.profile,
            ranking.kind == "simulated",
            ranking.metric,
        )
        for entry in ranking.entries:
            yield question, _place(ranking, entry.stack), _ranked(ranking, entry)
        for other in ranking.unranked:
            yield question, _place(ranking, other.stack), _unranked(ranking, other)


def _place(ranking: Ranking, stack: str) -> _Place:
    return _Place(ranking.model, ranking.workload, ranking.load, stack)


def _ranked(ranking: Ranking, entry: RankEntry) -> Figure:
    return Figure(
        value=entry.value,
        place_low=entry.place_low,
        place_high=entry.place_high,
        ranked=len(ranking.entries),
        ratio_to_best=entry.ratio_to_best,
        meter=ranking.meter,
    )


def _unranked(ranking: Ranking, item: Unranked) -> Figure:
    """Return a stack without a place: what it did, else why there is nothing."""
    nothing = Value(value=None, unit="", kind=ranking.kind, reason=item.reason, detail=item.detail)
    return Figure(value=item.value or nothing, meter=ranking.meter, reason=item.reason)
