"""From a ``[[workloads]]`` table to the requests of one load point: lengths, then prompts."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from inferometer import workload
from inferometer.workloads import datasets, lengths, prefixes
from inferometer.workloads.datasets import Pair
from inferometer.workloads.lengths import Lengths
from inferometer.workloads.presets import PRESETS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from inferometer.study import WorkloadEntry

MOST_TOKENS = 16_000_000
"""Prompt tokens prepared for one load point; as ids in memory, about 0.6 GB."""


def draw(entry: WorkloadEntry, count: int, seed: str | int, tokenizer: Path) -> list[Pair]:
    """Return the lengths of ``count`` requests in tokens; the same for the same arguments.

    ``tokenizer`` counts the texts of a ShareGPT file.

    Raises:
        UsageError: a file of the entry is unreadable or malformed.
    """
    if entry.file is not None:
        return datasets.draw(_pairs(Path(entry.file), tokenizer), count, seed)
    if entry.preset is not None:
        case = PRESETS[entry.preset]
        sides = (case.input, case.output)
    else:
        sides = (
            entry.input or Lengths(distribution="fixed", tokens=entry.input_tokens),
            entry.output or Lengths(distribution="fixed", tokens=entry.output_tokens),
        )
    drawn = [
        lengths.draw(side, count, f"{seed}/{name}", _values(side, name, tokenizer))
        for side, name in zip(sides, ("input_tokens", "output_tokens"), strict=True)
    ]
    return [Pair(*pair) for pair in zip(*drawn, strict=True)]


def files(entry: WorkloadEntry) -> list[str]:
    """Return the files that the entry's lengths come from."""
    sides = (side.file for side in (entry.input, entry.output) if side is not None)
    return [file for file in (entry.file, *sides) if file is not None]


def affordable(pairs: Sequence[Pair], least: int) -> list[Pair]:
    """Return the first of ``pairs`` with :data:`MOST_TOKENS` prompt tokens; ``least`` always."""
    total = 0
    for index, pair in enumerate(pairs):
        total += pair.input_tokens
        if total > MOST_TOKENS and index >= least:
            return list(pairs[:index])
    return list(pairs)


def prompts(
    entry: WorkloadEntry, pairs: Sequence[Pair], tokenizer: Path, seed: int, salt: str | int
) -> workload.PromptSet:
    """Return a prompt of each input length: cold, or warm with the share ``entry.reuse`` shared.

    Raises:
        UsageError: no readable tokenizer, or no exact text found.
    """
    sizes = [pair.input_tokens for pair in pairs]
    if entry.cache == "cold":
        return workload.build_each(tokenizer, sizes, seed, salt)
    assert entry.reuse is not None
    return prefixes.reused(
        tokenizer, sizes, entry.reuse, groups=entry.prefix_groups, seed=seed, salt=salt
    )


def _values(side: Lengths, name: str, tokenizer: Path) -> list[int] | None:
    if side.file is None:
        return None
    return [getattr(pair, name) for pair in _pairs(Path(side.file), tokenizer)]


@cache
def _pairs(path: Path, tokenizer: Path) -> list[Pair]:
    return datasets.read(path.expanduser(), lambda text: len(workload.tokenise(tokenizer, text)))
