"""Looks between rounds: what they end, when they stop, and what the runner leaves out."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from msgspec import UnsetType
from msgspec.structs import replace

from inferometer import looks, plan
from inferometer.analyze import analyze
from inferometer.errors import UsageError
from inferometer.look_records import Decided, LeftOut, Look
from inferometer.looking import deciding, look, next_min
from inferometer.looks import Looks
from inferometer.plugins import Registry
from inferometer.progress import Silent
from inferometer.records import LaunchRecord
from inferometer.runner import measure_all, run
from inferometer.store import Store
from inferometer.study import parse
from inferometer.testing.results import Fixture, write_launch, write_results

NOISE = {("a", 0): 1.001, ("b", 1): 0.999, ("c", 2): 1.001, ("c", 0): 0.9995}


class Sequential(Fixture):
    """A study that looks after each round."""

    def study_text(self) -> str:
        return super().study_text() + "[sequential]\n"


def made(tmp_path: Path, kind: type[Fixture] = Sequential, **options: Any) -> Store:
    given = {"rates": {"a": 40.0, "b": 80.0, "c": 88.0}, "rounds": 4, "drift": NOISE, **options}
    base = Fixture(**given)
    return write_results(
        tmp_path / "r", kind(**{one.name: getattr(base, one.name) for one in fields(base)})
    )


def absent(rounds: int) -> frozenset[tuple[str, int]]:
    return frozenset((stack, r) for stack in "abc" for r in range(rounds, 8))


def test_when_all_is_decided_it_stops(tmp_path: Path) -> None:
    store = made(tmp_path, absent=absent(3))
    found = look(store.root, 3)
    assert found.stop == "decided"
    assert found.ended == ["a", "b", "c"]
    assert found.undecided == []


def test_a_stack_whose_pairs_are_decided_is_ended_and_the_others_go_on(tmp_path: Path) -> None:
    close = {"a": 40.0, "b": 80.0, "c": 80.5}
    drift = {key: (by - 1) * 10 + 1 for key, by in NOISE.items()}
    found = look(made(tmp_path, rates=close, drift=drift, absent=absent(3)).root, 3)
    assert (found.stop, found.ended) == (None, ["a"])
    assert len(found.undecided) == 3  # one pair, three objectives
    assert found.undecided[0].startswith("c and b: throughput, dense")


OPEN: dict[str, Any] = {
    "rates": {"a": 80.0, "b": 80.5},
    "drift": {("a", 0): 1.02, ("b", 1): 0.98},
}


def test_after_the_last_round_what_is_open_stays_open(tmp_path: Path) -> None:
    found = look(made(tmp_path, absent=absent(4), **OPEN).root, 4)
    assert (found.stop, len(found.undecided)) == ("rounds", 3)


@pytest.mark.parametrize(("minutes", "stop"), [(1.5, None), (1.4, "budget")])
def test_no_round_begins_that_would_not_fit(
    tmp_path: Path, minutes: float, stop: str | None
) -> None:
    store = made(tmp_path, rounds=8, absent=absent(3), **OPEN)
    path = store.root / "study.toml"
    path.write_text(f"{path.read_text()}minutes = {minutes}\n")
    found = look(store.root, 3)
    assert found.spent_min == pytest.approx(6 * 11 / 60)  # 1.1, and 0.37 for each further round
    assert found.stop == stop


@pytest.mark.parametrize(("minutes", "stop"), [(0.74, None), (0.73, "budget")])
def test_a_budget_stops_a_study_before_verdicts_are_due(
    tmp_path: Path, minutes: float, stop: str | None
) -> None:
    store = made(tmp_path, rounds=8, absent=absent(1), **OPEN)  # 22 s a round
    path = store.root / "study.toml"
    path.write_text(f"{path.read_text()}minutes = {minutes}\n")
    seen = Looks.of(parse(store.study_text(), "study"), store, Silent())
    assert seen.behind(1) is (stop is not None)
    (only,) = store.looks()
    assert (only.rounds, only.stop, only.ended, only.decided) == (1, stop, [], [])


FAILED: dict[str, Any] = {"rounds": 8, "failed": frozenset({("c", 1)})}


def test_a_stack_that_failed_holds_nobody_up_and_is_not_decided(tmp_path: Path) -> None:
    gone = absent(3) | {("c", 2)}
    found = look(made(tmp_path, absent=gone, **FAILED).root, 3)
    assert (found.stop, found.ended) == ("failed", ["a", "b"])
    assert {one.stack for one in found.decided} == {"a", "b"}
    assert len(found.undecided) == 6  # c and each of the others, three objectives
    assert found.launches == 7


def test_what_is_made_good_after_a_look_is_looked_at(tmp_path: Path) -> None:
    fixture: dict[str, Any] = {"rounds": 8, "absent": absent(3) | {("c", 1), ("c", 2)}}
    store = made(tmp_path, **fixture)
    asked = parse(store.study_text(), "study")
    assert Looks.of(asked, store, Silent()).behind(3)
    assert [one.stop for one in store.looks()] == ["failed"]
    base = Fixture(rates={"a": 40.0, "b": 80.0, "c": 88.0}, rounds=8, drift=NOISE)
    planned = store.plan()
    again = [n for n in plan.wanted(planned, store.looks()) if not store.finished(n.id)]
    assert [(n.stack, n.round) for n in again] == [("c", 1), ("c", 2)]
    for launch in again:
        write_launch(store, base, planned, launch)
    assert Looks.of(asked, store, Silent()).behind(3)
    (only,) = store.looks()
    assert (only.stop, only.ended, only.undecided) == ("decided", ["a", "b", "c"], [])


def test_a_run_killed_before_its_last_look_is_looked_at_by_the_next(tmp_path: Path) -> None:
    store = made(tmp_path, rounds=3, meter=None, **OPEN)
    study = parse(store.study_text(), "study")
    run(study, store.study_text(), store.root, Registry(), Silent())
    assert [(one.rounds, one.stop) for one in store.looks()] == [(3, "rounds")]


def test_what_looks_leave_out_is_not_wanted_and_not_missing(tmp_path: Path) -> None:
    store = made(tmp_path, rounds=8, absent=absent(3))
    planned = store.plan()
    assert len(plan.wanted(planned, [])) == 24
    ended = Look(rounds=3, ended=["a"])
    assert len(plan.wanted(planned, [ended])) == 3 + 8 + 8
    store.put_looks([ended, Look(rounds=5, ended=["b", "c"], stop="decided", spent_min=9.0)])
    left = plan.wanted(planned, store.looks())
    assert len(left) == 3 + 5 + 5
    seen = analyze(store.root)
    assert seen.stopped is not None
    assert (seen.stopped.reason, seen.stopped.ended) == ("decided", {"a": 3, "b": 5, "c": 5})
    assert {item.what for item in seen.missing} == {
        "b on dense, rounds 4, 5",
        "c on dense, rounds 4, 5",
    }


class Uneven(Sequential):
    """Two stacks, twice as fast as each other on ``small`` and nearly alike on ``long``."""

    def gaps(self, launch: plan.Launch, point: plan.LoadPoint) -> tuple[int, int]:
        first, gap = super().gaps(launch, point)
        if point.workload.name == "small":
            return first, gap
        alike = self.rates[launch.stack] / 40.0 / WAVER[launch.stack == "b"][launch.round]
        return round(first * alike), round(gap * alike)


WAVER = ((1.0, 1.02, 0.98, 1.01, 1.0), (1.0, 0.98, 1.02, 1.0, 1.01))
TWO: dict[str, Any] = {
    "rates": {"a": 40.0, "b": 80.0},
    "workloads": {"long": (20, 10)},
    "rounds": 5,
    "meter": None,
    "usd_per_hour": None,
}


def go_on(store: Store, fixture: Fixture, round_: int) -> None:
    """Write the launches of a round that the looks leave to be made."""
    planned = store.plan()
    for launch in plan.wanted(planned, store.looks()):
        if launch.round == round_:
            write_launch(store, fixture, planned, launch)


def test_a_decided_load_point_is_left_out_and_the_others_go_on(tmp_path: Path) -> None:
    base = Fixture(**TWO, absent=absent(3))
    fixture = Uneven(**{one.name: getattr(base, one.name) for one in fields(base)})
    store = write_results(tmp_path / "r", fixture)
    first = look(store.root, 3)
    assert (first.ended, first.stop, len(first.undecided)) == ([], None, 1)
    assert first.decided == [
        Decided(stack="a", model="dense", load_points=[0]),
        Decided(stack="b", model="dense", load_points=[0]),
    ]
    store.put_looks([first])
    go_on(store, fixture, 3)
    made = [record for record in store.launches() if record.round == 3]
    out = LeftOut(load_point=0, workload="small", load="4 streams", reason="decided", rounds=3)
    assert [record.left_out for record in made] == [[out], [out]]
    assert [[w.load_point for w in record.windows] for record in made] == [[1], [1]]

    second = look(store.root, 4)
    assert (second.decided, second.stop) == ([], None)  # what was decided is not decided again
    store.put_looks([first, second])
    go_on(store, fixture, 4)
    last = look(store.root, 5)
    store.put_looks([first, second, last])
    assert (last.stop, len(last.undecided)) == ("rounds", 1)

    seen = analyze(store.root)
    assert [item.what for item in seen.missing] == ["energy", "cost"]
    assert {cell.id: (len(cell.launches), cell.decided, cell.valid) for cell in seen.cells} == {
        "a/dense/small/4": (3, 3, True),
        "b/dense/small/4": (3, 3, True),
        "a/dense/long/4": (5, None, True),
        "b/dense/long/4": (5, None, True),
    }
    speeds = {r.workload: r for r in seen.rankings if r.objective == "throughput"}
    assert [(e.stack, e.value.n, e.verdict) for e in speeds["small"].entries] == [
        ("b", 3, "best"),
        ("a", 3, "behind"),
    ]
    assert {e.value.n for e in speeds["long"].entries} == {5}
    assert speeds["small"].entries[0].value.detail == "over the 3 rounds that it was measured in"
    assert seen.stopped is not None
    assert [(one.stack, one.workload, one.rounds) for one in seen.stopped.dropped] == [
        ("a", "small", 3),
        ("b", "small", 3),
    ]
    assert seen.rounds_complete == 5


def test_a_launch_with_nothing_left_is_not_made(tmp_path: Path) -> None:
    store = made(tmp_path, rounds=4, models=("dense", "moe"), absent=absent(3))
    planned = store.plan()
    over = Look(rounds=3, decided=[Decided(stack="a", model="moe", load_points=[0])])
    left = [(n.stack, n.model.name) for n in plan.wanted(planned, [over]) if n.round == 3]
    assert ("a", "moe") not in left
    assert len(left) == 5
    # an earlier round's launch, made again after it failed, has all of its load points
    assert all(not n.left_out for n in plan.wanted(planned, [over]) if n.round < 3)


def test_the_next_round_costs_what_is_left_of_it(tmp_path: Path) -> None:
    base = Fixture(**TWO, absent=absent(3))
    store = write_results(tmp_path / "r", base)  # each launch 2 x 11 s
    seen = Look(rounds=3, decided=[Decided(stack="a", model="dense", load_points=[0])])
    assert next_min(store, [Look(rounds=3)]) == pytest.approx(44 / 60)
    assert next_min(store, [seen]) == pytest.approx(33 / 60)
    assert next_min(store, [Look(rounds=3, ended=["a"])]) == pytest.approx(22 / 60)


def test_rankings_say_what_was_decided_when(tmp_path: Path) -> None:
    seen = analyze(made(tmp_path, absent=frozenset({("a", 3)})).root)
    ranking = next(r for r in seen.rankings if r.objective == "throughput")
    assert ranking.looks == 2
    assert [(e.stack, e.place, e.value.n) for e in ranking.entries] == [
        ("c", 1, 4),
        ("b", 2, 4),
        ("a", 3, 3),
    ]
    assert {(p.stack, p.other): (p.verdict, p.rounds) for p in ranking.pairs} == {
        ("c", "b"): ("better", 3),
        ("c", "a"): ("better", 3),
        ("b", "a"): ("better", 3),
    }
    assert ranking.entries[0].probability_best == pytest.approx(1)
    assert ranking.entries[1].ratio_to_best.value == pytest.approx(80 / 88, rel=0.01)


def test_only_load_points_must_be_decided(tmp_path: Path) -> None:
    store = made(tmp_path)
    seen = analyze(store.root)
    asked = parse(store.study_text(), "study").sequential
    assert not isinstance(asked, UnsetType)
    found = deciding(seen, asked)
    assert found
    more = [replace(r, at="interactivity", load="elsewhere") for r in seen.rankings]
    both = replace(seen, rankings=[*seen.rankings, *more])
    assert deciding(both, asked) == found


def test_the_measuring_side_asks_another_process_once(tmp_path: Path) -> None:
    store = made(tmp_path, absent=absent(3))
    asked = parse(store.study_text(), "study")
    seen = Looks.of(asked, store, Silent())
    assert not seen.behind(2)
    assert seen.behind(3)
    assert [found.stop for found in store.looks()] == ["decided"]
    before = (store.root / "looks.jsonl").stat().st_mtime_ns
    assert Looks.of(asked, store, Silent()).behind(3)
    assert (store.root / "looks.jsonl").stat().st_mtime_ns == before


def test_a_look_that_fails_stops_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = made(tmp_path, absent=absent(3))
    asked = parse(store.study_text(), "study")
    monkeypatch.setattr(looks, "MODULE", "inferometer.no_such_module")
    assert not Looks.of(asked, store, Silent()).behind(3)
    assert store.looks() == []


def test_a_look_that_failed_is_not_made_behind_a_later_one(tmp_path: Path) -> None:
    store = made(tmp_path, rounds=8, absent=absent(4))
    store.put_looks([Look(rounds=4, undecided=["a and b"])])
    asked = parse(store.study_text(), "study")
    assert not Looks.of(asked, store, Silent()).behind(3)
    assert [found.rounds for found in store.looks()] == [4]


def test_a_resumed_run_makes_again_what_an_earlier_round_lacks(tmp_path: Path) -> None:
    fixture = Fixture(rates={"a": 40.0, "b": 80.0}, rounds=4)
    store = made(tmp_path, rates=fixture.rates, absent=absent(2) | {("a", 1)})
    planned = store.plan()
    store.put_looks([Look(rounds=3, ended=["a", "b"], stop="decided")])
    again: list[tuple[str, int]] = []

    class Writing:
        results, progress = store, Silent()

        def measure(self, launch: plan.Launch) -> LaunchRecord:
            again.append((launch.stack, launch.round))
            write_launch(store, fixture, planned, launch)
            return next(record for record in store.launches() if record.id == launch.id)

    asked = parse(store.study_text(), "study")
    bench: Any = Writing()
    assert measure_all(bench, planned, Looks.of(asked, store, Silent()), {}) == 0
    assert sorted(again) == [("a", 1), ("a", 2), ("b", 2)]


def test_damaged_looks_are_named(tmp_path: Path) -> None:
    store = made(tmp_path, absent=absent(3))
    (store.root / "looks.jsonl").write_text("{}\n")
    with pytest.raises(UsageError, match=r"looks\.jsonl: not readable as Look"):
        analyze(store.root)


def test_a_study_of_fixed_rounds_is_never_looked_at(tmp_path: Path) -> None:
    store = made(tmp_path, Fixture)
    seen = Looks.of(parse(store.study_text(), "study"), store, Silent())
    assert not seen.behind(3)
    assert analyze(store.root).stopped is None
    assert seen.found == []
