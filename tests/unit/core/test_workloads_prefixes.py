"""Shared beginnings and conversations: every length exact, and what is shared is told."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tokenizers import Tokenizer

from inferometer import workload
from inferometer.workloads import prefixes

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture(params=["bytes", "bos"])
def path(request: pytest.FixtureRequest, path_of: Callable[[str], Path]) -> Path:
    """With and without a beginning-of-sequence token."""
    kind: str = request.param
    return path_of(kind)


def encodes(path: Path, prompts: workload.PromptSet) -> bool:
    tokenizer = Tokenizer.from_file(str(path))
    return [tokenizer.encode(text).ids for text in prompts.text] == prompts.ids


def common(a: list[int], b: list[int]) -> int:
    pairs = enumerate(zip(a, b, strict=False))
    return next((i for i, (x, y) in pairs if x != y), min(len(a), len(b)))


def test_groups_share_exactly_their_prefix(path: Path) -> None:
    prompts = prefixes.grouped(path, [96] * 9, [64] * 9, groups=3, seed=1)
    assert encodes(path, prompts)
    assert {len(ids) for ids in prompts.ids} == {96}
    assert prompts.shared == (64,) * 9
    assert prompts.cache == "warm"
    assert prompts.reuse == 64 / 96
    for i in range(9):
        for j in range(i):
            same = common(prompts.ids[i], prompts.ids[j])
            # The unique part begins with a salt, whose first characters may coincide.
            assert 64 <= same < 72 if i % 3 == j % 3 else same < 8


def test_the_share_that_is_reused_holds_for_every_length(path: Path) -> None:
    lengths = [40, 64, 100, 200, 333] * 4
    prompts = prefixes.reused(path, lengths, 0.5, groups=2, seed=1)
    assert encodes(path, prompts)
    assert [len(ids) for ids in prompts.ids] == lengths
    for length, shared in zip(lengths, prompts.shared, strict=True):
        assert length / 2 - 2 <= shared <= length / 2 + 0.5
    for i in range(0, 20, 2):
        assert common(prompts.ids[i], prompts.ids[4]) >= prompts.shared[i]


def test_a_short_prompt_keeps_a_part_of_its_own(path: Path) -> None:
    prompts = prefixes.reused(path, [20, 16, 8, 400], 0.9, groups=1, seed=1)
    assert prompts.shared == (4, 0, 0, 360)
    assert [len(ids) for ids in prompts.ids] == [20, 16, 8, 400]
    assert encodes(path, prompts)


def test_the_same_arguments_give_the_same_prompts(path: Path) -> None:
    made = prefixes.reused(path, [50, 60], 0.5, groups=1, seed=1)
    assert made == prefixes.reused(path, [50, 60], 0.5, groups=1, seed=1)
    other = prefixes.reused(path, [50, 60], 0.5, groups=1, seed=2)
    assert common(made.ids[0], other.ids[0]) < 8


def test_warm_work_never_equals_cold_work(path: Path) -> None:
    cold = workload.build(path, 50, 2, seed=1)
    warm = workload.PromptSet(cold.ids, cold.text, cold.special_tokens, cache="warm")
    assert cold.sha256([1]) != warm.sha256([1])


def test_each_turn_has_its_history_before_it(path: Path) -> None:
    shapes = [[(30, 10), (20, 12), (25, 5)], [(40, 8)], [(35, 9), (24, 6)]]
    turns = prefixes.conversations(path, shapes, seed=1)
    assert [(t.conversation, t.turn, t.after) for t in turns] == [
        (0, 0, None),
        (1, 0, None),
        (2, 0, None),
        (0, 1, 0),
        (2, 1, 2),
        (0, 2, 3),
    ]
    assert [len(t.ids) for t in turns] == [30, 40, 35, 60, 68, 97]
    assert [t.output_tokens for t in turns] == [10, 8, 9, 12, 6, 5]
    assert [t.shared for t in turns] == [0, 0, 0, 30, 35, 60]
    tokenizer = Tokenizer.from_file(str(path))
    for turn in turns:
        assert tokenizer.encode(turn.text).ids == turn.ids
        if turn.after is not None:
            assert turn.ids[: turn.shared] == turns[turn.after].ids
    assert prefixes.conversations(path, [], seed=1) == []
