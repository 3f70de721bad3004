from __future__ import annotations

import math

import numpy as np
import pytest

from inferometer.comparison import Kind, worst_kind
from inferometer.ranking import Contest, Entrant, comparable, rank
from inferometer.uncertainty.order import order

CONTEST = Contest(
    objective="throughput",
    metric="output_tok_s",
    unit="tok/s",
    higher_is_better=True,
    model="m",
    architecture="dense",
    workload="w",
    load="4 streams",
)


def entrant(stack: str, *values: float | None, kind: Kind = "measured") -> Entrant:
    by_round = {index: value for index, value in enumerate(values) if value is not None}
    return Entrant(stack=stack, cell=f"{stack}/m", by_round=by_round, kind=kind)


def test_clear_order_and_direction() -> None:
    values = {
        "a": {0: 10.0, 1: 10.1, 2: 9.9},
        "b": {0: 20.0, 1: 20.1, 2: 19.9},
        "c": {0: 5.0, 1: 5.05, 2: 4.95},
    }
    fast = order(values, higher_is_better=True)
    assert (fast.names, fast.places) == (["b", "a", "c"], [1, 2, 3])
    assert fast.lows == fast.highs == [1, 2, 3]
    assert fast.verdicts[1:] == ["worse", "worse"]
    cheap = order(values, higher_is_better=False)
    assert cheap.names == ["c", "a", "b"]
    assert cheap.ratios[1].value == pytest.approx(2, rel=0.01)


def test_ties_share_a_place() -> None:
    (seen,) = rank(
        CONTEST,
        [
            entrant("a", 100, 101, 99.9, 100.2),
            entrant("b", 100.1, 100.8, 100, 100.1),
            entrant("c", 50, 50.5, 50, 50.1),
        ],
    )
    assert [(e.stack, e.place, e.place_low, e.place_high) for e in seen.entries] == [
        ("a", 1, 1, 2),
        ("b", 1, 1, 2),
        ("c", 3, 3, 3),
    ]
    assert [e.verdict for e in seen.entries] == ["best", "tie", "behind"]
    assert not seen.separated
    assert seen.entries[2].ratio_to_best.value == pytest.approx(0.5, rel=0.01)


def test_identical_numbers_are_a_tie_and_not_a_rounding_victory() -> None:
    (seen,) = rank(CONTEST, [entrant("a", 0.1, 0.2, 0.3), entrant("b", 0.1, 0.2, 0.3)])
    assert [e.verdict for e in seen.entries] == ["best", "tie"]


def test_one_stack_is_alone() -> None:
    (seen,) = rank(CONTEST, [entrant("a", 1, 2, 3)])
    assert [(e.verdict, e.place, e.place_high) for e in seen.entries] == [("alone", 1, 1)]
    assert not seen.separated
    assert seen.minimum_detectable_percent is None


def test_one_round_separates_nobody() -> None:
    (seen,) = rank(CONTEST, [entrant("a", 100), entrant("b", 1)])
    assert [(e.place, e.place_low, e.place_high) for e in seen.entries] == [(1, 1, 2), (1, 1, 2)]
    assert [e.verdict for e in seen.entries] == ["best", "undecided"]
    assert seen.n_rounds == 1
    assert not seen.separated


def test_only_rounds_that_all_have_count() -> None:
    (seen,) = rank(CONTEST, [entrant("a", 10, 10, 10), entrant("b", 20, 20, None)])
    assert seen.n_rounds == 2
    assert [e.value.n for e in seen.entries] == [2, 2]


def test_a_stack_that_mostly_failed_does_not_undo_the_others() -> None:
    good = [entrant("a", 10, 10.1, 9.9), entrant("b", 20, 20.1, 19.9)]
    kept, out = comparable([*good, entrant("c", None, None, 5)])
    assert [e.stack for e in kept] == ["a", "b"]
    assert [(e.stack, e.reason) for e in out] == [("c", "too_few_samples")]
    assert out[0].by_round == {2: 5}
    (seen,) = rank(CONTEST, [*good, entrant("c", None, None, 5)])
    assert [(u.stack, u.value and u.value.value) for u in seen.unranked] == [("c", 5)]
    kept, out = comparable([entrant("a", 1, None), entrant("b", None, 1)])
    assert len(kept) + len(out) == 2
    assert len(out) >= 1


def test_simulated_never_ranks_with_measured() -> None:
    seen = rank(CONTEST, [entrant("a", 1, 1, 1), entrant("s", 9, 9, 9, kind="simulated")])
    assert [(r.kind, [e.stack for e in r.entries]) for r in seen] == [
        ("measured", ["a"]),
        ("simulated", ["s"]),
    ]


def test_a_stack_without_numbers_is_named_with_its_reason() -> None:
    broken = Entrant(stack="b", cell="b/m", reason="failed", detail="load: out of memory")
    (seen,) = rank(CONTEST, [entrant("a", 1, 2), broken])
    assert [(u.stack, u.reason, u.detail) for u in seen.unranked] == [
        ("b", "failed", "load: out of memory")
    ]
    (nobody,) = rank(CONTEST, [broken])
    assert (nobody.entries, nobody.n_rounds) == ([], 0)


def test_worst_kind() -> None:
    assert worst_kind(["measured", "estimated", "derived"]) == "estimated"
    assert worst_kind([]) == "measured"


@pytest.mark.parametrize(("k", "n"), [(2, 3), (3, 3), (4, 5)])
def test_equal_stacks_have_no_false_winner_in_95_of_100_studies(k: int, n: int) -> None:
    """A/A: equal stacks, noise of a launch 1.3 %, of a round 3 %; any pair separated is false."""
    rng = np.random.default_rng(20260101 + k)
    studies, false = 300, 0
    for _ in range(studies):
        logs = rng.normal(0, 0.013, (n, k)) + rng.normal(0, 0.03, (n, 1))
        values = {f"s{j}": {i: math.exp(logs[i, j]) for i in range(n)} for j in range(k)}
        false += any(place > 1 for place in order(values, higher_is_better=True).places)
    # 5 % of 300 is 15, with a standard deviation of 3.8
    assert false <= 15 + 2.6 * 3.8


def test_a_noisy_stack_is_judged_by_its_own_noise() -> None:
    """Two quiet stacks would water down the noise of the one that has all of it."""
    noisy = {0: 1.03, 1: 1.0, 2: 1.09}
    quiet = {name: dict.fromkeys(range(3), 1.0) for name in ("a", "b")}
    with_others = order({"noisy": noisy, **quiet}, higher_is_better=True)
    differences = np.log(list(noisy.values()))
    pair = next(pair for pair in with_others.pairs if pair.stack == "noisy")
    assert pair.ratio.high is not None
    half = math.log(pair.ratio.high / pair.ratio.value)
    # studentised range of three means with 4 degrees of freedom: 5.04
    assert half == pytest.approx(5.04 * differences.std(ddof=1) / math.sqrt(2 * 3), rel=1e-3)
    (level,) = [one for one in with_others.pairs if {one.stack, one.other} == {"a", "b"}]
    assert level.ratio.high == pytest.approx(math.exp(half * math.sqrt(2 / 3)), rel=1e-6)
