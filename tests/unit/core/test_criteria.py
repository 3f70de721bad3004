"""Stacks at equal interactivity, fronts and weights, on results made up of whole numbers.

With ten tokens an answer, ``a`` and ``b`` give these tok/s/user and tok/s:

         2 streams     4 streams     8 streams     at 50 tok/s/user
    a    80, 80        60, 120       40, 160       5.6 streams, 140
    b    62.5, 100     41.7, 150     25, 200       3 streams, 128.6

so ``b`` is ahead by a quarter at equal concurrency, and behind where a user is served equally fast.
"""

from __future__ import annotations

from datetime import date
from math import log
from typing import TYPE_CHECKING, Any

import pytest
from msgspec import structs

from inferometer.analyze import analyze, gather
from inferometer.cells import build_cells, build_models
from inferometer.contests import Field
from inferometer.criteria.curves import NOWHERE, at_equal_interactivity, levels
from inferometer.criteria.fronts import build_fronts
from inferometer.gate import Refusal
from inferometer.records import LaunchRecord
from inferometer.store import Store, decode, encode
from inferometer.testing.results import Fixture, write_results

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from inferometer.comparison import Comparison, Front, Ranking

A = {2: (137.5, 12.5), 4: (550 / 3, 50 / 3), 8: (275.0, 25.0)}
B = {2: (56.0, 16.0), 4: (152 / 3, 24.0), 8: (40.0, 40.0)}
"""By streams: ms to the first token, and between tokens."""
FAST = {2: (5.0, 5.0), 4: (20 / 3, 20 / 3), 8: (10.0, 10.0)}
"""Covers 100 to 200 tok/s/user."""
LOW = {2: (10.0, 20.0), 4: (10.0, 30.0), 8: (10.0, 50.0)}
"""50 tok/s/user and 105.3 tok/s; 20 and 173.9 at 8 streams, where ``b`` has more of both."""
B_AT_50 = 3 / (20 / 1000 * (1 + 1 / 6))
"""Streams over stream-seconds for each token."""
NOISE = {("a", 0): 1.001, ("b", 1): 0.999, ("a", 2): 0.9995}


def made(tmp_path: Path, stacks: dict[str, dict[int, tuple[float, float]]], **options: Any) -> Path:
    streams = options.pop("streams", (2, 4, 8))
    given = {
        "rates": dict.fromkeys(stacks, 1.0),
        "paces": {c: {name: paces[c] for name, paces in stacks.items()} for c in streams},
        "drift": NOISE,
        **options,
    }
    return write_results(tmp_path / "r", Fixture(**given)).root


class Sequential(Fixture):
    """A study that looks after each round."""

    def study_text(self) -> str:
        return super().study_text() + "[sequential]\n"


def rewrite(root: Path, change: Callable[[LaunchRecord], LaunchRecord]) -> None:
    store = Store(root)
    for record in store.launches():
        path = store.folder(record.id) / "launch.json"
        path.write_bytes(encode(change(decode(path, LaunchRecord))))


def at_equal(seen: Comparison, objective: str = "throughput") -> list[Ranking]:
    return [r for r in seen.rankings if r.at == "interactivity" and r.objective == objective]


def order(ranking: Ranking) -> list[tuple[str, int]]:
    return [(entry.stack, entry.place) for entry in ranking.entries]


# -- at equal interactivity ----------------------------------------------------------------------


def test_the_order_at_equal_interactivity_is_not_that_at_equal_concurrency(tmp_path: Path) -> None:
    seen = analyze(made(tmp_path, {"a": A, "b": B}))
    loads = [r for r in seen.rankings if r.at == "load" and r.objective == "throughput"]
    assert [order(r) for r in loads] == [[("b", 1), ("a", 2)]] * 3
    (found,) = at_equal(seen)
    assert (found.load, found.interactivity) == ("50 tok/s/user", 50.0)
    assert order(found) == [("a", 1), ("b", 2)]
    assert found.separated
    first, second = found.entries
    assert first.value.value == pytest.approx(140, rel=2e-3)
    assert second.ratio_to_best.value == pytest.approx(B_AT_50 / 140, rel=3e-3)
    assert (second.verdict, second.probability_best) == ("behind", None)
    assert max(found.slack.values()) < 2e-3  # both are engines that the curve has exactly
    assert (first.cell, first.value.n, found.n_rounds) == ("", 3, 3)
    (dollars,) = at_equal(seen, "cost")  # 3.6 USD an hour: 1000 over tok/s
    assert dollars.entries[0].value.value == pytest.approx(1000 / 140, rel=2e-3)
    assert dollars.slack == pytest.approx(found.slack)
    assert dollars.follows_throughput
    (joules,) = at_equal(seen, "energy")  # 80 W for both
    assert joules.entries[0].value.value == pytest.approx(80 / 140, rel=2e-3)


def test_two_load_points_leave_the_order_open(tmp_path: Path) -> None:
    (found,) = at_equal(analyze(made(tmp_path, {"a": A, "b": B}, streams=(2, 8))))
    assert order(found) == [("a", 1), ("b", 1)]
    assert not found.separated
    assert [(p.stack, p.verdict) for p in found.pairs] == [("a", "undecided")]
    first, second = found.entries
    assert (first.place_low, first.place_high, second.verdict) == (1, 2, "undecided")
    # From 80 to 160 tok/s is all that the two load points of a say.
    assert found.slack["a"] == pytest.approx(log(140 / 80), rel=0.01)
    assert first.value.low == pytest.approx(80, rel=0.02)
    assert first.value.detail.endswith("; interpolated to within 75 %")


def test_a_stack_that_does_not_reach_there_says_how_far_it_does(tmp_path: Path) -> None:
    (found,) = at_equal(analyze(made(tmp_path, {"a": A, "b": B, "fast": FAST})))
    assert order(found) == [("a", 1), ("b", 2)]
    (out,) = found.unranked
    assert (out.stack, out.reason) == ("fast", "out_of_range")
    assert out.detail == "its launches cover 100 to 200 tok/s/user, all of it faster"


def test_one_launch_that_does_not_reach_there_takes_the_stack_out(tmp_path: Path) -> None:
    # 62.5 tok/s/user * 0.7 is under 50; without that launch the mean would be of the fast ones.
    slow = made(tmp_path, {"a": A, "b": B}, drift={("b", 1): 0.7})
    (found,) = at_equal(analyze(slow))
    assert found.load == "41.8 tok/s/user, the middle of the range of 2 stacks"
    assert found.interactivity == pytest.approx((40 * 62.5 * 0.7) ** 0.5, rel=1e-3)


def test_stacks_that_share_no_interactivity_are_not_compared(tmp_path: Path) -> None:
    (found,) = at_equal(analyze(made(tmp_path, {"a": A, "fast": FAST})))
    assert (found.load, found.interactivity, found.entries) == (NOWHERE, None, [])
    assert [(out.stack, out.detail) for out in found.unranked] == [
        ("a", "its launches cover 40.0 to 80.0 tok/s/user"),
        ("fast", "its launches cover 100 to 200 tok/s/user"),
    ]


def test_where_stacks_are_compared() -> None:
    assert levels([(10.0, 60.0), (15.0, 55.0), (90.0, 110.0)]) == [
        (20.0, "20 tok/s/user"),
        (50.0, "50 tok/s/user"),
    ]
    # Two share 1 to 9, three share 4 to 9.
    ((level, words),) = levels([(1.0, 9.0), (4.0, 10.0), (2.0, 16.0)])
    assert (level, words) == (6.0, "6.00 tok/s/user, the middle of the range of 3 stacks")
    assert levels([(1.0, 2.0), None, (3.0, 4.0)]) == [(None, NOWHERE)]
    assert levels([(1.0, 2.0)]) == []


def test_a_load_point_that_failed_a_check_is_in_no_curve(tmp_path: Path) -> None:
    root = made(tmp_path, {"a": A, "b": B, "fast": FAST}, streams=(2, 8))

    def starved(record: LaunchRecord) -> LaunchRecord:
        slow = {"loop_lag_p99_ms": 1000.0} if record.stack["id"] == "b" else {}
        one, *others = record.windows
        return structs.replace(record, windows=[structs.replace(one, **slow), *others])

    rewrite(root, starved)
    seen = analyze(root)
    (found,) = at_equal(seen)
    assert not found.entries
    out = next(it for it in found.unranked if it.stack == "b")
    assert out.reason == "starved"
    assert out.detail.startswith("a curve needs two load points; 2 streams: invalid: loop lag")
    (front,) = fronts(seen)
    assert [(it.stack, it.load, it.reason) for it in front.left_out] == [
        ("b", "2 streams", "starved")
    ]
    assert "b/dense/small/2" not in {point.cell for point in front.points}


def test_a_stack_refused_at_the_gate_is_in_no_curve_and_no_front(tmp_path: Path) -> None:
    evidence = gather(Store(made(tmp_path, {"a": A, "b": B, "low": LOW}, streams=(2, 8))))
    models = build_models(evidence)
    refused = {("low", "dense"): Refusal("parity_failed", "its answers differ")}
    field = Field.of(evidence, build_cells(evidence, models), refused)
    found = next(r for r in at_equal_interactivity(field, models) if r.objective == "throughput")
    assert {entry.stack for entry in found.entries} == {"a", "b"}
    assert [(it.stack, it.reason, it.detail) for it in found.unranked] == [
        ("low", "parity_failed", "2 streams: its answers differ")
    ]
    front = next(it for it in build_fronts(field, models, {}) if it.objective == "throughput")
    assert {point.stack for point in front.points} == {"a", "b"}
    assert [(it.stack, it.load) for it in front.left_out] == [
        ("low", "2 streams"),
        ("low", "8 streams"),
    ]


def test_simulated_stacks_have_curves_and_fronts_of_their_own(tmp_path: Path) -> None:
    stacks = {"a": A, "b": B, "c": A, "d": B}
    root = made(tmp_path, stacks)

    def measured(record: LaunchRecord) -> LaunchRecord:
        real = record.stack["id"] in {"c", "d"}
        return structs.replace(record, environment={"kind": "venv" if real else "simulated"})

    rewrite(root, measured)
    seen = analyze(root)
    assert [(r.kind, [e.stack for e in r.entries]) for r in at_equal(seen)] == [
        ("interpolated", ["c", "d"]),
        ("simulated", ["a", "b"]),
    ]
    assert [(it.kind, sorted({p.stack for p in it.points})) for it in fronts(seen)] == [
        ("measured", ["c", "d"]),
        ("simulated", ["a", "b"]),
    ]


def test_a_sequential_study_decides_there_too(tmp_path: Path) -> None:
    given = Fixture(
        rates={"a": 1.0, "b": 1.0},
        paces={c: {"a": A[c], "b": B[c]} for c in (2, 4, 8)},
        drift=NOISE,
        rounds=4,
    )
    fields = {name: getattr(given, name) for name in given.__dataclass_fields__}
    seen = analyze(write_results(tmp_path / "r", Sequential(**fields)).root)
    (found,) = at_equal(seen)
    assert (found.looks, [(p.stack, p.verdict) for p in found.pairs]) == (2, [("a", "better")])


def test_one_load_point_is_no_curve(tmp_path: Path) -> None:
    seen = analyze(write_results(tmp_path / "r", Fixture(rates={"a": 40.0, "b": 20.0})).root)
    assert at_equal(seen) == []
    assert seen.weights is None


# -- fronts --------------------------------------------------------------------------------------


def fronts(seen: Comparison, objective: str = "throughput") -> list[Front]:
    return [front for front in seen.fronts if front.objective == objective]


def test_a_front_by_hand(tmp_path: Path) -> None:
    seen = analyze(made(tmp_path, {"a": A, "b": B, "low": LOW}, streams=(2, 8)))
    (front,) = fronts(seen)
    assert (front.per, front.kind, front.meter) == ("machine", "simulated", None)
    assert [(p.stack, p.load, p.on_front) for p in front.points] == [
        ("a", "2 streams", True),
        ("b", "2 streams", True),
        ("low", "2 streams", True),
        ("a", "8 streams", True),
        ("b", "8 streams", True),
        ("low", "8 streams", False),  # b has more of both
    ]
    point = front.points[1]
    assert point.interactivity.value == pytest.approx(62.5, rel=2e-3)
    assert point.value.value == pytest.approx(100, rel=2e-3)
    assert (point.value.n, point.value.unit) == (3, "tok/s")
    assert [p.probability for p in front.points] == [1.0, 1.0, 1.0, 1.0, 1.0, 0.0]
    (dollars,) = fronts(seen, "cost")
    assert [p.on_front for p in dollars.points] == [p.on_front for p in front.points]
    assert dollars.per is None


def test_a_front_is_of_rounds_that_all_its_points_have(tmp_path: Path) -> None:
    # Three slow rounds for both, of which b has one: over rounds of its own it would be ahead.
    slow = {(stack, index): 0.5 for stack in "ab" for index in (2, 3, 4)}
    absent = frozenset({("b", 3), ("b", 4)})
    near = {streams: (first * 1.01, gap * 1.01) for streams, (first, gap) in A.items()}
    root = made(tmp_path, {"a": A, "b": near}, rounds=5, drift=slow, absent=absent)
    (front,) = fronts(analyze(root))
    assert {p.value.n for p in front.points} == {3}
    assert [(p.stack, p.on_front) for p in front.points] == [("a", True), ("b", False)] * len(A)
    seen = analyze(root, weights=True)
    assert seen.weights is not None
    assert {one.first.get("a") for one in seen.weights} == {1.0}


def test_a_point_with_too_few_rounds_leaves_the_others_theirs(tmp_path: Path) -> None:
    absent = frozenset({("b", 1), ("b", 2)})
    (front,) = fronts(analyze(made(tmp_path, {"a": A, "b": B, "c": B}, absent=absent)))
    assert {(p.stack, p.value.n) for p in front.points} == {("a", 3), ("c", 3)}
    assert [(out.stack, out.load, out.detail) for out in front.left_out] == [
        ("b", load, "1 round, too few shared with the others")
        for load in ("2 streams", "4 streams", "8 streams")
    ]


def test_one_round_gives_no_probability(tmp_path: Path) -> None:
    (front,) = fronts(analyze(made(tmp_path, {"a": A, "b": B}, rounds=1)))
    assert {point.probability for point in front.points} == {None}


def test_joules_have_a_front_by_each_meter(tmp_path: Path) -> None:
    power = {"a": 80.0, "b": 160.0}
    seen = analyze(made(tmp_path, {"a": A, "b": B}, power_w=power, streams=(2, 8)))
    (front,) = fronts(seen, "energy")
    assert (front.meter, front.primary) == ("fixture", True)
    # a: 1 J/token at 80 tok/s/user, 0.5 at 40; b: 1.6 at 62.5, 0.8 at 25.
    assert [(p.stack, p.load, p.on_front) for p in front.points] == [
        ("a", "2 streams", True),
        ("b", "2 streams", False),
        ("a", "8 streams", True),
        ("b", "8 streams", False),
    ]


def test_throughput_is_per_accelerator_where_that_is_known(tmp_path: Path) -> None:
    root = made(tmp_path, {"a": A, "b": B}, streams=(2, 8))
    store = Store(root)
    with store.writing():
        store.put_host({**store.host(), "gpus": ["H200", "H200"]})

    def wide(record: LaunchRecord) -> LaunchRecord:
        size = 2 if record.stack["id"] == "b" else 1
        return structs.replace(record, asked={"tensor_parallel_size": size})

    rewrite(root, wide)
    (front,) = fronts(analyze(root))
    assert front.per == "accelerator"
    assert [round(p.value.value or 0) for p in front.points] == [80, 50, 160, 100]
    assert [p.on_front for p in front.points] == [True, False, True, False]


# -- weights -------------------------------------------------------------------------------------


def test_weights_by_hand(tmp_path: Path) -> None:
    # At 2 streams b has 1.25 times the tokens, at twice the watts 1.6 times the joules a token.
    power = {"a": 80.0, "b": 160.0}
    root = made(tmp_path, {"a": A, "b": B}, power_w=power, streams=(2, 8))
    seen = analyze(root, weights=True)
    assert seen.weights is not None
    one, other = seen.weights
    assert (one.load, one.criteria, one.left_out) == ("2 streams", ["throughput", "energy"], [])
    assert one.follows == [
        "cost follows throughput here by construction: one hourly price for every stack"
    ]
    # b where w ln 1.25 > (1 - w) ln 1.6: from w = 0.678 on.
    turn = log(1.6) / log(1.6 * 1.25)
    assert next(cell.weights[0] for cell in one.cells if cell.stack == "b") == pytest.approx(0.68)
    assert one.first["b"] == pytest.approx(1 - turn, abs=0.04)
    assert sum(one.first.values()) == pytest.approx(1)
    assert other.load == "8 streams"


def test_weights_need_all_three(tmp_path: Path) -> None:
    seen = analyze(made(tmp_path, {"a": A, "b": B}, usd_per_hour=None), weights=True)
    assert seen.weights is not None
    one = seen.weights[0]
    assert (one.cells, one.why_not) == (
        [],
        "no stack has all three of throughput, energy and cost",
    )
    assert [(out.stack, out.reason) for out in one.left_out] == [
        ("a", "no_price"),
        ("b", "no_price"),
    ]


PRICES = """[machine]
gpus = 1
[[hours]]
name = "rented"
price = 3.6
source = "made up"
date = "2026-11-01"
contract = "on-demand"
[[surcharges]]
engine = "b"
what = "support"
usd_per_gpu_hour = 3.6
source = "made up"
date = "2026-11-01"
"""


def test_where_nothing_follows_all_three_have_weights(tmp_path: Path) -> None:
    # At 2 streams b has 1.25 times the tokens, 1.6 times the joules and 1.6 times the dollars.
    root = made(tmp_path, {"a": A, "b": B}, power_w={"a": 80.0, "b": 160.0})
    scenario = tmp_path / "cost.toml"
    scenario.write_text(PRICES)
    seen = analyze(root, scenario, as_of=date(2026, 11, 22), weights=True)
    assert seen.weights is not None
    one = seen.weights[0]
    assert (one.criteria, one.follows) == (["throughput", "energy", "cost"], [])
    # b where the weight of throughput is above 0.678: a corner of the triangle.
    turn = log(1.6) / log(1.6 * 1.25)
    assert one.first["b"] == pytest.approx((1 - turn) ** 2, abs=0.02)
    assert len(one.cells) == 66
    assert {cell.weights[0] > 0.65 for cell in one.cells if cell.stack == "b"} == {True}
    (equal,) = at_equal(seen, "cost")
    assert equal.follows_throughput is None
    assert order(equal) == [("a", 1), ("b", 2)]
