"""One look at a results directory between two rounds: what is decided, and whether to go on.

Run as ``python -m inferometer.looking RESULTS ROUNDS`` by the measuring side; prints JSON.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec
from msgspec import UnsetType

from inferometer.analyze import analyze
from inferometer.records import Look
from inferometer.store import Store
from inferometer.study import parse

if TYPE_CHECKING:
    from collections.abc import Sequence

    from inferometer.comparison import Comparison, Ranking
    from inferometer.declared import Sequential


def look(root: Path, rounds: int) -> Look:
    """Return what is decided after ``rounds`` rounds, and whether another one begins.

    A stack is ended when each of its pairs is decided in every ranking that must be; a stack that
    is in no ranking (failed, invalid) keeps nothing open.
    """
    store = Store(root)
    asked = parse(store.study_text(), str(root)).sequential
    assert not isinstance(asked, UnsetType), "only a sequential study is looked at"
    comparison = analyze(root)
    rankings = deciding(comparison, asked)
    open_ = [
        (pair.stack, pair.other, ranking)
        for ranking in rankings
        for pair in ranking.pairs
        if pair.verdict == "undecided"
    ]
    wanted = {name for one, other, _ in open_ for name in (one, other)}
    ranked = {entry.stack for ranking in rankings for entry in ranking.entries}
    before = {stack for past in store.looks() for stack in past.ended}
    spent = spent_min(store)
    return Look(
        rounds=rounds,
        ended=sorted(ranked - wanted - before),
        undecided=[words(one, other, ranking) for one, other, ranking in open_],
        stop=_stop(comparison, asked, bool(rankings) and not open_, rounds, spent),
        spent_min=spent,
    )


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


def _stop(
    comparison: Comparison, asked: Sequential, decided: bool, rounds: int, spent: float
) -> Literal["decided", "rounds", "budget"] | None:
    if decided:
        return "decided"
    if rounds >= comparison.rounds_planned:
        return "rounds"
    if asked.minutes is not None and spent + spent / rounds > asked.minutes:
        return "budget"
    return None


def main(words: Sequence[str]) -> int:
    """Look, and print it."""
    sys.stdout.write(msgspec.json.encode(look(Path(words[0]), int(words[1]))).decode())
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
