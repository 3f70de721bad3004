"""Matches, operating points, gains and their contradictions, on plain numbers."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferometer.comparison import Match, Quality, Value
from inferometer.matching.findings import conclusion, findings
from inferometer.matching.gains import gain, interaction
from inferometer.matching.matches import Subject, matches
from inferometer.matching.points import (
    Point,
    Reading,
    at_best,
    at_interactivity,
    at_load,
    levels,
    reach,
)
from inferometer.matching.sides import leaning, side


def by_kind(dense: Subject, moe: Subject) -> dict[str, Match]:
    found = matches(dense, moe)
    assert [m.kind for m in found] == ["total_parameters", "active_parameters", "memory", "quality"]
    return {one.kind: one for one in found}


def test_the_four_matches_of_a_fine_grained_moe() -> None:
    moe = Subject(
        name="moe",
        total_parameters=30e9,
        active_parameters=3e9,
        weights_bytes=60e9,
        accelerators=1,
        quality=Quality(name="GPQA Diamond", score=65.8, low=62.0, high=69.6, source="a"),
    )
    dense = Subject(
        name="dense",
        total_parameters=32e9,
        active_parameters=32e9,
        weights_bytes=64e9,
        accelerators=2,
        quality=Quality(name="gpqa diamond", score=68.4, low=64.0, high=72.8, source="b"),
    )
    found = by_kind(dense, moe)
    assert [found[kind].holds for kind in found] == [True, False, True, True]
    assert (found["memory"].unit, found["memory"].dense) == ("bytes", 64e9)
    assert (
        "the dense model has 10.7 times the active parameters" in found["active_parameters"].detail
    )
    assert found["quality"].detail == "intervals overlap: 64 to 72.8 and 62 to 69.6 (b; a)"
    assert found["quality"].unit == "gpqa diamond"


def test_memory_is_bytes_or_else_accelerators_and_says_which() -> None:
    moe = Subject(name="moe", weights_bytes=60e9, accelerators=1)
    eight = Subject(name="eight", weights_bytes=16e9, accelerators=1)
    found = by_kind(eight, moe)["memory"]
    assert (found.holds, found.unit, found.dense, found.moe) == (True, "accelerators", 1, 1)
    assert found.detail.startswith("1 accelerator each, not the same bytes: the MoE model has 3.75")
    two = Subject(name="two", weights_bytes=16e9, accelerators=2)
    found = by_kind(two, moe)["memory"]
    assert (found.holds, found.unit) == (False, "bytes")
    assert "2 accelerators for the dense model, 1 for the MoE" in found.detail
    nobody = Subject(name="cpu", weights_bytes=16e9)
    assert by_kind(nobody, moe)["memory"].holds is False
    assert by_kind(Subject(name="x"), moe)["memory"].holds is None


@pytest.mark.parametrize(
    ("dense", "moe", "holds", "words"),
    [
        (None, None, None, "declares no quality of dense and moe"),
        (("A", 1.0, 0.5, 1.5), None, None, "declares no quality of moe"),
        (("A", 1.0, 0.5, 1.5), ("B", 1.0, 0.5, 1.5), None, "scores of different names"),
        (("A", 1.0, None, None), ("A", 1.0, 0.5, 1.5), None, "without an interval"),
        (("A", 1.0, 0.5, 1.5), ("A", 3.0, 2.5, 3.5), False, "are apart"),
        (("A", 1.0, 0.5, 1.5), ("A", 2.0, 1.5, 2.5), True, "overlap"),
    ],
)
def test_quality_is_equal_where_intervals_of_one_score_overlap(
    dense: Any, moe: Any, holds: bool | None, words: str
) -> None:
    def subject(name: str, told: Any) -> Subject:
        if told is None:
            return Subject(name=name)
        score, value, low, high = told
        quality = Quality(name=score, score=value, low=low, high=high, source="s")
        return Subject(name=name, quality=quality)

    found = by_kind(subject("dense", dense), subject("moe", moe))["quality"]
    assert found.holds is holds
    assert words in found.detail


def test_a_twin_is_of_equal_quality_by_construction() -> None:
    twin = Subject(name="twin", twin_of="dense")
    assert by_kind(Subject(name="dense"), twin)["quality"].holds is True
    assert by_kind(Subject(name="other"), twin)["quality"].holds is None


sizes = st.floats(min_value=1e6, max_value=1e12)


@given(sizes, sizes, st.floats(min_value=0.01, max_value=100))
def test_matches_do_not_depend_on_scale_nor_on_which_is_dense(
    one: float, other: float, factor: float
) -> None:
    def holds(dense: float, moe: float) -> bool | None:
        return matches(
            Subject(name="d", total_parameters=dense), Subject(name="m", total_parameters=moe)
        )[0].holds

    if abs(abs(math.log(one / other)) - math.log(1.15)) > 1e-9:  # not on the edge itself
        assert holds(one, other) is holds(other, one) is holds(one * factor, other * factor)


def ratio(value: float, low: float | None = None, high: float | None = None) -> Value:
    return Value(value=value, unit="ratio", kind="derived", n=3, low=low, high=high)


@pytest.mark.parametrize(
    ("seen", "higher", "lower"),
    [
        (ratio(1.5, 1.2, 1.9), "moe", "dense"),
        (ratio(0.5, 0.4, 0.6), "dense", "moe"),
        (ratio(1.0, 0.99, 1.01), "tie", "tie"),
        (ratio(1.0, 1.0, 1.0), "tie", "tie"),
        (ratio(1.0, 0.9, 1.1), "undecided", "undecided"),
        (ratio(2.0), "undecided", "undecided"),
        (Value(value=None, unit="ratio", kind="derived", reason="failed"), None, None),
    ],
)
def test_sides(seen: Value, higher: str | None, lower: str | None) -> None:
    assert side(seen, higher_is_better=True) == higher
    assert side(seen, higher_is_better=False) == lower


def test_leanings_are_by_more_than_the_margin() -> None:
    assert leaning(ratio(1.019), higher_is_better=True) == "tie"
    assert leaning(ratio(1.021), higher_is_better=True) == "moe"
    assert leaning(ratio(1.021), higher_is_better=False) == "dense"


def model(*values: float, speeds: tuple[float, ...] = (), rounds: int = 3) -> list[Point]:
    """Return load points of 1, 2, 4, ... streams, the same in every round."""
    return [
        Point(
            load=f"{2**i} streams",
            streams=2.0**i,
            values=dict.fromkeys(range(rounds), value),
            speeds=dict.fromkeys(range(rounds), speeds[i] if speeds else 100 / 2**i),
        )
        for i, value in enumerate(values)
    ]


def test_three_operating_points() -> None:
    dense, moe = model(100, 160, 200), model(50, 120, 300, speeds=(80, 70, 60))
    here = at_load(dense, moe)
    assert [one.load for one in here] == ["1 streams", "2 streams", "4 streams"]
    assert [gain(one).value for one in here] == pytest.approx([0.5, 0.75, 1.5])
    best = at_best(dense, moe, higher_is_better=True)
    assert best is not None
    assert (best.dense_load, best.moe_load) == ("4 streams", "4 streams")
    assert gain(best).value == pytest.approx(1.5)
    cheapest = at_best(dense, moe, higher_is_better=False)
    assert cheapest is not None
    assert (cheapest.dense_load, cheapest.moe_load) == ("1 streams", "1 streams")
    assert at_best(dense[:1], moe[:1], higher_is_better=True) is None
    # both reach 60 to 80 tok/s/user; their geometric middle
    both = reach(dense, moe, higher_is_better=True)
    assert both == (60, 80)
    ((level, words),) = levels([both])
    assert level == pytest.approx(math.sqrt(60 * 80))
    assert "the middle of what both models reach of one stack" in words
    read = at_interactivity(dense, moe, (70.0, "70"), higher_is_better=True)
    assert read.moe[0] == pytest.approx(120)  # its second load point
    assert 100 < read.dense[0] < 160
    assert read.slacks[0] > read.slacks[1] == 0
    assert gain(read).kind == "interpolated"
    seen = gain(read)
    assert seen.low is not None
    assert seen.value is not None
    assert seen.low < seen.value / 1.01  # no scatter, so all of it is the slack
    assert "interpolated to within" in seen.detail


def test_usual_levels_go_before_the_middle_and_nowhere_is_said() -> None:
    assert levels([(15, 60), (30, 200)]) == [
        (20.0, "20 tok/s/user"),
        (50.0, "50 tok/s/user"),
        (100.0, "100 tok/s/user"),
    ]
    assert levels([None, None]) == [(None, "equal interactivity")]
    slow = model(10, 20, speeds=(4, 2))
    quick = model(100, 160, speeds=(100, 80))
    assert reach(slow, quick, higher_is_better=True) is None
    read = at_interactivity(slow, quick, (None, "equal interactivity"), higher_is_better=True)
    assert read.reason == "out_of_range"
    assert read.detail == (
        "the dense model's launches cover 2.00 to 4.00 tok/s/user; "
        "the MoE model's launches cover 80.0 to 100 tok/s/user"
    )
    assert gain(read).reason == "out_of_range"


def test_a_load_that_failed_is_left_out_of_the_best_and_of_curves_not_of_what_is_told() -> None:
    dense, moe = model(100, 160), model(50, 300)
    moe[1] = Point(load="2 streams", streams=2, reason="failed", detail="moe: died")
    assert [one.reason for one in at_load(dense, moe)] == [None, "failed"]
    best = at_best(dense, moe, higher_is_better=True)
    assert best is not None
    assert (best.dense_load, best.moe_load) == ("2 streams", "1 streams")
    assert gain(best).value == pytest.approx(50 / 160)
    assert gain(best).detail == "best without 2 streams (moe: died)"
    assert reach(dense, moe, higher_is_better=True) is None  # one point is no curve
    read = at_interactivity(dense, moe, (70.0, "70"), higher_is_better=True)
    assert read.reason == "failed"
    assert read.detail == "no curve of two load points; 2 streams: moe: died"
    both = [Point(load=f"{n} streams", streams=n, reason="failed", detail="died") for n in (1, 2)]
    none = at_best(dense, both, higher_is_better=True)
    assert none is not None
    assert gain(none).reason == "failed"
    starved = replace(dense[0], reason="starved", detail="dense: starved")
    mixed = at_best([starved, dense[1]], both, higher_is_better=True)
    assert mixed is not None
    assert (mixed.reason, mixed.detail) == ("failed", "died")  # of the model that has none at all
    mixed = at_best(both, [starved, moe[0]], higher_is_better=True)
    assert mixed is not None
    assert (mixed.reason, mixed.detail) == ("failed", "died")


def test_best_is_chosen_over_rounds_that_all_loads_have() -> None:
    # By its own rounds 1 stream has 200; in the round that both have, 2 streams is the better.
    points = [
        Point(load="1 streams", streams=1, values={0: 100, 1: 400}),
        Point(load="2 streams", streams=2, values={0: 150}),
    ]
    best = at_best(points, points, higher_is_better=True)
    assert best is not None
    assert best.dense_load == "2 streams"


gains = st.lists(st.floats(min_value=0.1, max_value=10), min_size=4, max_size=4)


def reading(dense: dict[int, float], moe: dict[int, float]) -> Reading:
    return Reading(at="load", load="8 streams", dense=dense, moe=moe)


@given(st.lists(gains, min_size=2, max_size=5))
def test_an_interaction_is_the_ratio_of_ratios_and_turns_over(rounds: list[list[float]]) -> None:
    one = reading({i: r[0] for i, r in enumerate(rounds)}, {i: r[1] for i, r in enumerate(rounds)})
    other = reading(
        {i: r[2] for i, r in enumerate(rounds)}, {i: r[3] for i, r in enumerate(rounds)}
    )
    seen, back = interaction(one, other), interaction(other, one)
    product = gain(one).value / gain(other).value  # type: ignore[operator]  # both are there
    assert seen.value == pytest.approx(product)
    assert seen.value * back.value == pytest.approx(1)  # type: ignore[operator]
    assert seen.low * back.high == pytest.approx(1)  # type: ignore[operator]
    assert seen.n == len(rounds)


def test_an_interaction_counts_the_rounds_that_have_all_four_launches() -> None:
    # Stack "one" gains 2 and 4; "other" has no launch of its MoE in round 1, and 1 in round 0.
    one = reading({0: 10, 1: 10}, {0: 20, 1: 40})
    other = reading({0: 10, 1: 10}, {0: 10})
    seen = interaction(one, other)
    assert seen.value == pytest.approx(2)
    assert (seen.n, seen.low) == (1, None)
    away = Reading(at="load", load="8 streams", reason="failed", detail="died")
    assert interaction(one, away).reason == interaction(away, one).reason == "failed"
    assert interaction(one, reading({}, {})).reason == "too_few_samples"


def test_an_interaction_shares_what_rounds_share() -> None:
    # In round 1 the machine is twice as fast for everybody: no single ratio nor theirs moves.
    one = reading({0: 10, 1: 20}, {0: 20, 1: 40})
    other = reading({0: 10, 1: 20}, {0: 10, 1: 20})
    seen = interaction(one, other)
    assert (seen.value, seen.low, seen.high) == pytest.approx((2, 2, 2))


TOTAL = Subject(name="large", total_parameters=32)
ACTIVE = Subject(name="small", total_parameters=3, active_parameters=3)
MOE = Subject(name="moe", total_parameters=30, active_parameters=3)


def test_opposite_sure_sides_depend_on_the_match() -> None:
    wins = reading({0: 10, 1: 10, 2: 10}, {0: 20, 1: 20.2, 2: 19.8})
    loses = reading({0: 10, 1: 10, 2: 10}, {0: 5, 1: 5.1, 2: 4.9})
    found = [
        *findings(TOTAL, MOE, [wins], higher_is_better=True),
        *findings(ACTIVE, MOE, [loses], higher_is_better=True),
    ]
    assert [(f.match, f.dense, f.better) for f in found] == [
        ("total_parameters", "large", "moe"),
        ("active_parameters", "small", "dense"),
    ]
    assert conclusion(found, higher_is_better=True) == (True, False)
    assert conclusion(found[:1], higher_is_better=True) == (None, False)
    assert conclusion([found[0], found[0]], higher_is_better=True) == (False, False)


def test_single_launches_contradict_each_other_by_points_alone() -> None:
    wins, loses = reading({0: 10}, {0: 20}), reading({0: 10}, {0: 5})
    found = [
        *findings(TOTAL, MOE, [wins], higher_is_better=True),
        *findings(ACTIVE, MOE, [loses], higher_is_better=True),
    ]
    assert {f.better for f in found} == {"undecided"}
    assert conclusion(found, higher_is_better=True) == (True, True)
    assert conclusion(found[:1] * 2, higher_is_better=True) == (False, True)


def test_an_undecided_interval_takes_no_side() -> None:
    wins = reading({0: 10, 1: 10, 2: 10}, {0: 20, 1: 20.2, 2: 19.8})
    open_ = reading({0: 10, 1: 10, 2: 10}, {0: 5, 1: 15, 2: 6})
    found = [
        *findings(TOTAL, MOE, [wins], higher_is_better=True),
        *findings(ACTIVE, MOE, [open_], higher_is_better=True),
    ]
    assert [f.better for f in found] == ["moe", "undecided"]
    assert conclusion(found, higher_is_better=True) == (None, False)


@pytest.mark.parametrize("rounds", [3, 5])
def test_interactions_of_equals_are_undecided_nineteen_times_in_twenty(rounds: int) -> None:
    # Launches differ by 3 %, rounds by 20 %, which all four share; no stack gains more.
    rng = np.random.default_rng(rounds)
    wrong = 0
    for _ in range(1000):
        shared = rng.normal(0, 0.2, rounds)
        cells = np.exp(shared + rng.normal(0, 0.03, (4, rounds)))
        dense, moe, other_dense, other_moe = (dict(enumerate(row)) for row in cells.tolist())
        seen = interaction(reading(dense, moe), reading(other_dense, other_moe))
        wrong += side(seen, higher_is_better=True) in {"moe", "dense"}
    assert 0.035 < wrong / 1000 < 0.065
