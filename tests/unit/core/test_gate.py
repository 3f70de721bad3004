"""Who may be ranked, from comparisons."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inferometer.comparison import Parity
from inferometer.gate import Refusal, Server, refusals
from inferometer.parity import name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from inferometer.comparison import Parity as Pair


def cell(stack: str) -> tuple[str, str]:
    return stack, "m"


def judged(stacks: str, failing: str, distance: float = 0.04) -> list[Pair]:
    """Every pair of one-letter stacks; ``failing`` names the pairs that fail: ``ab ac``."""
    return [
        Parity(
            left=name(cell(a)),
            right=name(cell(b)),
            distance=distance,
            positions=10,
            verdict="fail" if a + b in failing.split() else "pass",
        )
        for i, a in enumerate(stacks)
        for b in stacks[i + 1 :]
    ]


def refused(pairs: list[Pair], precisions: Mapping[str, str]) -> dict[str, Refusal]:
    servers = {cell(stack): Server(words) for stack, words in precisions.items()}
    return {stack: why for (stack, _), why in refusals(pairs, servers).items()}


BF16 = "bfloat16"


def test_all_that_agree_are_ranked() -> None:
    assert refused(judged("abc", ""), dict.fromkeys("abc", BF16)) == {}


def test_the_one_that_differs_from_the_majority_is_not_ranked() -> None:
    seen = refused(judged("abc", "ab bc"), dict.fromkeys("abc", BF16))
    assert {stack: why.reason for stack, why in seen.items()} == {"b": "parity_failed"}
    assert "answers differ from those of a: ln p of the same tokens differs by 0.040" in (
        seen["b"].detail
    )


def test_two_that_disagree_have_no_place_either() -> None:
    seen = refused(judged("ab", "ab"), dict.fromkeys("ab", BF16))
    assert set(seen) == {"a", "b"}
    assert "nothing says which are right" in seen["a"].detail


def test_the_finer_precision_is_the_reference() -> None:
    coarse = "bfloat16, weights awq 4-bit"
    assert set(refused(judged("ab", "ab"), {"a": coarse, "b": BF16})) == {"a"}
    assert set(refused(judged("ab", "ab"), {"a": BF16, "b": "float32"})) == {"a"}
    assert refused(judged("ab", ""), {"a": coarse, "b": BF16}) == {}


def test_what_was_not_compared_is_ranked_at_equal_precision_only() -> None:
    pair = [Parity(left="a/m", right="b/m", note="the fixed texts were not answered by both")]
    assert refused(pair, {"a": BF16, "b": BF16}) == {}
    seen = refused(pair, {"a": BF16, "b": "bfloat16, KV fp8"})
    assert seen["b"].reason == "not_compared"
    assert "not answered by both" in seen["b"].detail
    assert set(refused([], {"a": BF16, "b": "float16"})) == {"b"}


def test_who_said_nothing_is_no_reference() -> None:
    pairs = [
        *judged("bc", "bc"),
        Parity(left="a/m", right="b/m"),
        Parity(left="a/m", right="c/m"),
    ]
    assert set(refused(pairs, dict.fromkeys("abc", BF16))) == {"b", "c"}


def test_a_stand_in_is_no_reference_for_the_measured() -> None:
    servers = {cell("a"): Server(BF16, simulated=True), cell("b"): Server(BF16)}
    assert refusals(judged("ab", "ab"), servers) == {}
