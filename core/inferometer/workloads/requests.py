"""From a ``[[workloads]]`` table to the requests of one load point: lengths, then prompts."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from inferometer import workload
from inferometer.errors import UsageError
from inferometer.workloads import datasets, lengths, prefixes, traces
from inferometer.workloads.datasets import Pair
from inferometer.workloads.lengths import Lengths
from inferometer.workloads.presets import PRESETS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from inferometer.study import WorkloadEntry
    from inferometer.workloads.traces import Trace, TraceRow

    Rows = tuple[TraceRow, ...]

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


def replayed(path: Path, time_scale: float, needed_s: float, slack_s: float) -> Rows:
    """Return the rows that a trace sends within ``needed_s`` + ``slack_s``, times in s, scaled.

    Raises:
        UsageError: unreadable or malformed, over before ``needed_s``, or with more prompt tokens
            than can be prepared.
    """
    rows = [
        replace(row, offset_s=row.offset_s * time_scale)
        for row in _trace(path).rows
        if row.offset_s * time_scale < needed_s + slack_s
    ]
    last_s = _trace(path).rows[-1].offset_s * time_scale
    if last_s < needed_s:
        raise UsageError(
            f"{path}: over after {last_s:.1f} s, but discard_s and window_s are {needed_s:g} s",
            hint="Shorten window_s, or stretch the trace with a larger time_scale.",
        )
    total = sum(row.input_tokens for row in rows)
    if total > MOST_TOKENS:
        raise UsageError(
            f"{path}: {total} prompt tokens in {needed_s + slack_s:g} s, over {MOST_TOKENS}",
            hint="Shorten window_s, or stretch the trace with a larger time_scale.",
        )
    return tuple(rows)


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
def _trace(path: Path) -> Trace:
    return traces.read(path.expanduser())


@cache
def _pairs(path: Path, tokenizer: Path) -> list[Pair]:
    return datasets.read(path.expanduser(), lambda text: len(workload.tokenise(tokenizer, text)))
