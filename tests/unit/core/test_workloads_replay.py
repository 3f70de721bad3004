"""Prompts of a trace: exact, and alike exactly where the trace says so."""

from __future__ import annotations

import itertools
import random
from typing import TYPE_CHECKING

import pytest
from tokenizers import Tokenizer

from inferometer import workload
from inferometer.workloads import replay
from inferometer.workloads.traces import TraceRow

if TYPE_CHECKING:
    from pathlib import Path


def row(tokens: int, *prefix: str) -> TraceRow:
    return TraceRow(0.0, tokens, 1, prefix)


def blocks(prompts: workload.PromptSet, block: int) -> list[list[tuple[int, ...]]]:
    return [[tuple(ids[i : i + block]) for i in range(0, len(ids), block)] for ids in prompts.ids]


def test_rows_share_the_blocks_that_the_trace_names(tokenizer: Path) -> None:
    rows = [
        row(150, "a", "b", "c", "d"),
        row(160, "a", "b", "e", "f", "g"),
        row(130, "a", "b", "e", "f"),
        row(100, "x", "b"),
        row(33, "a", "b"),
        row(40),
    ]
    prompts = replay.prompts(tokenizer, rows, seed=1, block=32)
    encoder = Tokenizer.from_file(str(tokenizer))
    assert [encoder.encode(text).ids for text in prompts.text] == prompts.ids
    assert [len(ids) for ids in prompts.ids] == [150, 160, 130, 100, 33, 40]
    assert prompts.cache == "warm"
    # Of 33 tokens 16 stay the prompt's own, so no whole block is left to share.
    assert prompts.shared == (0, 64, 96, 0, 0, 0)
    first, second, third, fourth, *_ = blocks(prompts, 32)
    assert first[:2] == second[:2] == third[:2]
    assert second[2] == third[2]
    assert first[2] != second[2]
    assert second[3] != third[3]
    assert fourth[:2] != first[:2]
    assert prompts == replay.prompts(tokenizer, rows, seed=1, block=32)


def test_the_same_id_elsewhere_is_another_block(tokenizer: Path) -> None:
    prompts = replay.prompts(tokenizer, [row(90, "a", "z"), row(90, "b", "z")], seed=1, block=32)
    assert (prompts.cache, prompts.shared, prompts.reuse) == ("cold", (), 0.0)
    first, second = blocks(prompts, 32)
    assert first[1] != second[1]


def test_equal_prompts_still_end_differently(tokenizer: Path) -> None:
    prompts = replay.prompts(tokenizer, [row(64, "a", "b")] * 3, seed=1, block=32)
    assert prompts.shared == (0, 32, 32)
    assert len({tuple(ids) for ids in prompts.ids}) == 3


@pytest.mark.parametrize("seed", range(5))
def test_any_two_prompts_share_just_the_blocks_of_both_traces(tokenizer: Path, seed: int) -> None:
    rng = random.Random(seed)
    rows = [
        row(rng.randint(30, 200), *rng.choices("ab", k=rng.randint(0, 6)))
        for _ in range(rng.randint(2, 12))
    ]
    prompts = replay.prompts(tokenizer, rows, seed=seed, block=32)
    split = blocks(prompts, 32)
    for j, one in enumerate(rows):
        longest = 0
        for i, other in enumerate(rows[:j]):
            usable = (min(one.input_tokens, other.input_tokens) - 16) // 32
            pairs = zip(one.prefix[:usable], other.prefix[:usable], strict=False)
            alike = list(itertools.takewhile(lambda pair: pair[0] == pair[1], pairs))
            n = len(alike)
            assert split[i][:n] == split[j][:n]
            assert split[i][n : n + 1] != split[j][n : n + 1]
            longest = max(longest, n)
        assert (prompts.shared or (0,) * len(rows))[j] == 32 * longest
