"""Who may be ranked by what: an offered rate is no capacity."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from msgspec import structs

from inferometer.analyze import gather
from inferometer.cells import build_cells, build_models
from inferometer.comparison import Cell, Check, Objective, Value
from inferometer.contests import Field, build_rankings, keeping_up, tells, why_invalid
from inferometer.plan import LoadPoint
from inferometer.ranking import Entrant
from inferometer.study import LoadEntry, WorkloadEntry
from inferometer.testing.results import Fixture, write_results

if TYPE_CHECKING:
    from pathlib import Path

WORK = WorkloadEntry(name="w", input_tokens=32, output_tokens=8)


@pytest.mark.parametrize(
    ("objective", "follows", "at_open"),
    [
        ("throughput", None, False),
        ("cost", "price", False),
        ("energy", None, True),
        ("energy", "one wattage", False),
    ],
)
def test_at_an_offered_rate_only_joules_that_were_seen_tell_stacks_apart(
    objective: Objective, follows: str | None, at_open: bool
) -> None:
    for load, expected in (
        (LoadEntry(concurrency=2), True),
        (LoadEntry(rate=2.0), at_open),
        (LoadEntry(trace="t.jsonl"), at_open),
    ):
        point = LoadPoint(index=0, workload=WORK, load=load)
        assert tells(point, objective, follows) == expected


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("same work", "unequal_work"),
        ("engine's cache", "unequal_work"),
        ("token counting", "failed"),
        ("engine's count", "failed"),
        ("send lag", "starved"),
    ],
)
def test_a_failed_check_gives_its_own_reason(name: str, reason: str) -> None:
    failed = Check(name=name, rule="", value="5", verdict="fail")
    assert why_invalid([failed]) == (reason, f"invalid: {name}: 5")


def cell(stack: str, tok_s: float | None) -> Cell:
    value = Value(
        value=tok_s, unit="tok/s", kind="measured", reason=None if tok_s else "too_few_samples"
    )
    return Cell(
        id=stack,
        stack=stack,
        model="m",
        architecture="dense",
        workload="w",
        load="2 requests/s, Poisson",
        loop="open",
        launches=["l"],
        values={"output_tok_s": value},
        checks=[],
        valid=True,
    )


def test_a_stack_that_fell_behind_did_other_work_and_has_no_place() -> None:
    cells = {name: cell(name, tok_s) for name, tok_s in (("a", 100.0), ("b", 91.0), ("c", 60.0))}
    entrants = [Entrant(stack=name, cell=name, by_round={0: 1.0}) for name in cells]
    entrants.append(Entrant(stack="d", cell="d", reason="failed", detail="gone"))
    kept = keeping_up(entrants, cells)
    assert [(e.stack, e.reason) for e in kept] == [
        ("a", None),
        ("b", None),
        ("c", "fell_behind"),
        ("d", "failed"),
    ]
    assert kept[2].detail == "delivered 60% of the tokens of the stack that delivered most"
    assert not kept[2].by_round


@pytest.mark.parametrize(("boundary", "reason"), [("module", "other_boundary"), ("board", None)])
def test_a_module_is_not_ranked_against_a_board(
    tmp_path: Path, boundary: str, reason: str | None
) -> None:
    store = write_results(tmp_path / "r", Fixture(rates={"a": 40.0, "b": 20.0}))
    evidence = gather(store)
    first = evidence.records[0].stack["id"]
    meters = {True: "board", False: boundary}
    records = [
        structs.replace(
            record,
            meters=[
                structs.replace(info, boundary=meters[record.stack["id"] == first])
                for info in record.meters
            ],
        )
        for record in evidence.records
    ]
    evidence = replace(evidence, records=records)
    models = build_models(evidence)
    found = build_rankings(Field.of(evidence, build_cells(evidence, models), {}), models)
    energy = next(ranking for ranking in found if ranking.objective == "energy")
    other = {"a": "b", "b": "a"}[first]
    assert [u.reason for u in energy.unranked if u.stack == other] == ([reason] if reason else [])
    assert [u.stack for u in energy.unranked if u.stack == first] == []
    throughput = next(ranking for ranking in found if ranking.objective == "throughput")
    assert throughput.unranked == []
