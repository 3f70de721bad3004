"""The plan: a pure function of the study, balanced over rounds."""

from __future__ import annotations

from collections import Counter

import msgspec
import pytest

from inferometer import declared, plan
from inferometer.study import (
    EngineEntry,
    LoadEntry,
    ModelEntry,
    Protocol,
    Study,
    Tuning,
    WorkloadEntry,
)

HASH = "f458ef5200ae93aa2c964013602a900167ff5688ef837373c24ea9ff1693abb9"
FIRST = "r1-a-n-8b9fae7c"
"""Of the study below, before there were searches."""


def make(rounds: int = 4, seed: int = 1) -> Study:
    return Study(
        name="t",
        protocol=Protocol(rounds=rounds, window_s=60.0, seed=seed),
        engines=(
            EngineEntry(name="a"),
            EngineEntry(name="b"),
            EngineEntry(name="b", dtype="float16"),
        ),
        models=(ModelEntry(name="m", path="/m"), ModelEntry(name="n", path="/n")),
        workloads=(
            WorkloadEntry(name="short", input_tokens=1, output_tokens=2),
            WorkloadEntry(name="long", input_tokens=3, output_tokens=4),
        ),
        loads=(LoadEntry(concurrency=1), LoadEntry(concurrency=8)),
    )


def pairs(expanded: plan.Plan, round_: int) -> list[tuple[str, str]]:
    return [(it.stack, it.model.name) for it in expanded.launches if it.round == round_]


def test_every_round_launches_every_stack_on_every_model_once() -> None:
    expanded = plan.expand(make())
    assert len(expanded.launches) == 4 * 3 * 2
    for round_ in range(4):
        assert set(Counter(pairs(expanded, round_)).values()) == {1}
        assert len(pairs(expanded, round_)) == 6
    assert [launch.position for launch in expanded.launches] == list(range(24))


def test_odd_rounds_mirror_the_round_before() -> None:
    expanded = plan.expand(make())
    assert pairs(expanded, 1) == pairs(expanded, 0)[::-1]
    assert pairs(expanded, 3) == pairs(expanded, 2)[::-1]
    assert pairs(expanded, 2) != pairs(expanded, 0)  # drawn anew; true of this seed


def test_the_same_study_gives_the_same_plan_and_another_seed_another() -> None:
    assert plan.expand(make()) == plan.expand(make())
    assert plan.expand(make(seed=2)).sha256 != plan.expand(make()).sha256


def test_launch_ids_are_unique_and_can_name_folders() -> None:
    ids = [launch.id for launch in plan.expand(make()).launches]
    assert len(set(ids)) == len(ids)
    assert all(set(id_) <= set("abcdefghijklmnopqrstuvwxyz0123456789-._") for id_ in ids)


def test_entries_of_one_engine_are_told_apart_whatever_their_order() -> None:
    study = make()
    a, *bs = plan.stack_ids(study)
    assert a == "a"
    assert len(set(bs)) == 2
    reversed_ = msgspec.structs.replace(study, engines=study.engines[::-1])
    assert plan.stack_ids(reversed_) == [*bs[::-1], a]


@pytest.mark.parametrize("index", range(4))
def test_each_launch_meets_every_workload_at_every_load(index: int) -> None:
    point = plan.expand(make()).launches[5].points[index]
    expected = [("short", 1), ("short", 8), ("long", 1), ("long", 8)]
    assert (point.workload.name, point.load.concurrency) == expected[index]
    assert point.index == index


def test_a_warm_load_point_says_so() -> None:
    warm = WorkloadEntry(name="w", input_tokens=64, output_tokens=2, cache="warm", reuse=0.5)
    point = plan.LoadPoint(index=0, workload=warm, load=LoadEntry(concurrency=8))
    assert point.label == "8 streams, warm cache"


def test_keys_added_later_leave_older_plans_alone() -> None:
    entry = WorkloadEntry(name="w", input_tokens=64, output_tokens=2)
    assert msgspec.json.encode(entry) == b'{"name":"w","input_tokens":64,"output_tokens":2}'


def test_a_study_without_a_search_has_the_hash_it_always_had() -> None:
    assert b"tuning" not in msgspec.json.encode(make())
    expanded = plan.expand(make())
    assert expanded.searches == ()
    assert expanded.sha256 == HASH
    assert expanded.launches[0].id == FIRST


def test_stretches_without_load_are_in_the_hash_once_they_are_asked_for() -> None:
    asked = msgspec.structs.replace(make(), protocol=Protocol(rounds=4, window_s=60.0, idle_s=0.0))
    assert b"idle_s" not in msgspec.json.encode(make())
    assert plan.expand(asked).sha256 != HASH


def tuned(concurrency: int | None = None) -> Study:
    study = make()
    engines = (EngineEntry(name="a", profile="tuned"), *study.engines[1:])
    tuning = Tuning(trials=2, concurrency=concurrency)
    return msgspec.structs.replace(study, engines=engines, tuning=tuning)


def test_every_tuned_stack_is_searched_on_every_model_at_the_first_closed_loop() -> None:
    searches = plan.expand(tuned()).searches
    assert [(it.stack, it.model.name) for it in searches] == [("a", "m"), ("a", "n")]
    assert {it.point.index for it in searches} == {0}
    assert {it.point.index for it in plan.expand(tuned(concurrency=8)).searches} == {1}


def test_the_budget_is_part_of_the_plan_and_of_the_launches_that_it_tunes() -> None:
    two, other = plan.expand(tuned()), plan.expand(tuned(concurrency=8))
    assert two.sha256 != other.sha256
    ids = {launch.id for launch in two.launches} & {launch.id for launch in other.launches}
    assert {launch.stack for launch in two.launches if launch.id in ids} == set(
        plan.stack_ids(tuned())[1:]
    )


def test_capacity_is_searched_with_every_workload_of_single_requests() -> None:
    study = make()
    asked = declared.Capacity(low=1.0, high=8.0, rounds=2)
    slo = declared.Slo(ttft_ms=500.0)
    talk = WorkloadEntry(name="talk", input_tokens=1, output_tokens=2, turns=3, cache="warm")
    works = (*study.workloads, talk)
    searched = msgspec.structs.replace(study, capacity=asked, slo=slo, workloads=works)
    made = plan.expand(searched)
    assert made.capacity is not None
    assert [work.name for work in made.capacity.workloads] == ["short", "long"]
    rounds = [launch.round for launch in made.launches if made.capacity.wanted(launch)]
    assert sorted(set(rounds)) == [0, 1]
    assert plan.expand(study).capacity is None
    # what is searched makes a launch another one
    other = msgspec.structs.replace(searched, capacity=declared.Capacity(low=1.0, high=9.0))
    assert {it.id for it in made.launches}.isdisjoint(it.id for it in plan.expand(other).launches)
