"""One look at a results directory between two rounds: what is decided, and whether to go on.

Run as ``python -m inferometer.looking RESULTS ROUNDS`` by the measuring side; prints JSON.
"""

from __future__ import annotations

import sys
from dataclasses import replace as replaced
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from msgspec import UnsetType
from msgspec.structs import replace

from inferometer.analyze import analyze
from inferometer.look_records import Decided, Look
from inferometer.looks import first, launches
from inferometer.plan import decided, wanted
from inferometer.store import Store
from inferometer.study import parse
from inferometer.tables import model_name, stack_id
from inferometer.uncertainty import decisions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from inferometer.comparison import Comparison, Pair, Ranking
    from inferometer.declared import Sequential
    from inferometer.plan import Launch, Plan
    from inferometer.records import LaunchRecord


def look(root: Path, rounds: int) -> Look:
    """Return what is decided after ``rounds`` rounds, and whether another one begins.

    A load point of a stack on a model is decided when each of its pairs is, in every ranking that
    must be; a stack is ended when all of its pairs are. What is in no ranking (failed, invalid, an
    open loop) keeps nothing open. A pair of which one stack failed on the model keeps only that one
    open, for a later run: this one does not try it again.
    """
    store = Store(root)
    plan, before = store.plan(), [past for past in store.looks() if past.rounds < rounds]
    lost = _lost(store, plan, before, rounds)
    asked = parse(store.study_text(), str(root)).sequential
    assert not isinstance(asked, UnsetType), "only a sequential study is looked at"
    comparison = analyze(root)
    rankings = deciding(comparison, asked)
    open_ = [
        (pair.stack, pair.other, ranking) for ranking in rankings for pair in _undecided(ranking)
    ]
    going = {(name, ranking.model) for ranking in rankings for name in _going(ranking, lost)}
    ranked = {entry.stack for ranking in rankings for entry in ranking.entries}
    found = Look(
        rounds=rounds,
        ended=sorted(
            ranked
            - {name for name, _ in going}
            - {stack for past in before for stack in past.ended}
        ),
        decided=_decided(plan, rankings, before, lost),
        undecided=[words(one, other, ranking) for one, other, ranking in open_],
        launches=launches(store, rounds),
        spent_min=spent_min(store),
    )
    if rankings and going <= lost and rounds >= first(store):
        return replace(found, stop="failed" if open_ else "decided")
    return replace(found, stop=_stop(store, comparison, asked, [*before, found]))


def _lost(store: Store, plan: Plan, before: Sequence[Look], rounds: int) -> set[tuple[str, str]]:
    """Return each stack and model of which a launch that was to be made is not whole."""
    return {
        (launch.stack, launch.model.name)
        for launch in wanted(plan, before)
        if launch.round < rounds and not store.finished(launch.id)
    }


def _decided(
    plan: Plan,
    rankings: Sequence[Ranking],
    before: Sequence[Look],
    lost: set[tuple[str, str]],
) -> list[Decided]:
    """Return the load points that no earlier look ended and nothing keeps open any more.

    All of a launch's where nothing that it is ranked by is open, those in no ranking among them.
    """
    ranked: dict[tuple[str, str], dict[tuple[str, str], bool]] = {}
    for ranking in rankings:
        at = (ranking.workload, ranking.load)
        names = _going(ranking, lost)
        for entry in ranking.entries:
            places = ranked.setdefault((entry.stack, ranking.model), {})
            places[at] = places.get(at, False) or entry.stack in names
    past = decided(before)
    found = []
    for (stack, model), places in sorted(ranked.items()):
        over = not any(places.values())
        indices = [
            point.index
            for point in plan.launches[0].points
            if over or places.get((point.workload.name, point.label)) is False
        ]
        new = [index for index in indices if (stack, model, index) not in past]
        found += [Decided(stack=stack, model=model, load_points=new)] if new else []
    return found


def _going(ranking: Ranking, lost: set[tuple[str, str]]) -> set[str]:
    """Return the stacks that an open pair keeps going: of one with a stack that failed, that."""
    found: set[str] = set()
    for pair in _undecided(ranking):
        names = {pair.stack, pair.other}
        found |= {name for name in names if (name, ranking.model) in lost} or names
    return found


def _undecided(ranking: Ranking) -> list[Pair]:
    return [pair for pair in ranking.pairs if pair.verdict == "undecided"]


def deciding(comparison: Comparison, asked: Sequential) -> list[Ranking]:
    """Return the rankings that must be decided: at load points, primary, of more than one stack."""
    return [
        ranking
        for ranking in comparison.rankings
        if ranking.at == "load"
        and ranking.primary
        and ranking.objective in asked.objectives
        and len(ranking.entries) > 1
    ]


def words(one: str, other: str, ranking: Ranking) -> str:
    """Return an open pair in words."""
    where = f"{ranking.objective}, {ranking.model}, {ranking.workload}, {ranking.load}"
    return f"{one} and {other}: {where}"


def spent_min(store: Store) -> float:
    """Return the machine-minutes of all launches, failed ones too."""
    records = [*store.launches(), *store.failures()]
    return sum(record.ended_ns - record.started_ns for record in records) / 60e9


def next_min(store: Store, looks: Sequence[Look]) -> float:
    """Return the machine-minutes that the round behind the last of ``looks`` would take.

    Each of its launches as the whole ones of the same stack and model took on average, less the
    windows that are left out and the load before them.
    """
    plan, records = store.plan(), store.launches()
    return (
        sum(
            _expected_ns(launch, [r for r in records if _same(r, launch)])
            for launch in wanted(plan, looks)
            if launch.round == looks[-1].rounds
        )
        / 60e9
    )


def _same(record: LaunchRecord, launch: Launch) -> bool:
    return (stack_id(record), model_name(record)) == (launch.stack, launch.model.name)


def _expected_ns(launch: Launch, records: Sequence[LaunchRecord]) -> float:
    """Return how long a launch will take, from earlier ones of it; 0 where none is whole."""
    if not records:
        return 0.0
    loads: dict[int, list[int]] = {}
    for record in records:
        for window in record.windows:
            took = window.end_ns - window.start_ns + window.discarded_ns
            loads.setdefault(window.load_point, []).append(took)
    mean = {index: sum(took) / len(took) for index, took in loads.items()}
    beside = [
        record.ended_ns - record.started_ns - sum(mean[w.load_point] for w in record.windows)
        for record in records
    ]
    return sum(beside) / len(beside) + sum(mean.get(point.index, 0.0) for point in launch.left)


def _stop(
    store: Store, comparison: Comparison, asked: Sequential, looks: Sequence[Look]
) -> decisions.Stop | None:
    found = looks[-1]
    return decisions.stop(
        [],
        rounds=found.rounds,
        spent_min=found.spent_min,
        next_min=next_min(store, looks),
        budget_min=asked.minutes,
        rules=replaced(decisions.RULES, last=comparison.rounds_planned),
    )


def main(words: Sequence[str]) -> int:
    """Look, and print it."""
    sys.stdout.write(msgspec.json.encode(look(Path(words[0]), int(words[1]))).decode())
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
