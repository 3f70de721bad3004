"""Prompts for a trace: exact lengths, and equal beginnings where the trace says so.

A trace names blocks of :data:`BLOCK` prompt tokens by ids, chained: rows share a beginning as far
as their leading ids are equal. The blocks become real text once; only those that two rows share
are kept as common text, the rest of each prompt is its own and salted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from inferometer import workload
from inferometer.workloads.prefixes import UNIQUE

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from inferometer.workloads.traces import TraceRow

BLOCK = 512
"""Tokens a prefix id stands for (Mooncake, FAST 2025: blocks of 512 tokens)."""


def prompts(
    tokenizer_path: Path,
    rows: Sequence[TraceRow],
    *,
    seed: int,
    salt: str | int = "",
    block: int = BLOCK,
) -> workload.PromptSet:
    """Make the prompt of each row; the same for the same arguments.

    ``shared`` of the result is what a cache of unlimited size holds of each prompt when its turn
    comes: the blocks that an earlier row had. A last block that is not whole, and the last
    :data:`~inferometer.workloads.prefixes.UNIQUE` tokens of each prompt, are never shared. A trace
    that shares nothing gives cold prompts.

    Raises:
        UsageError: no readable tokenizer, or no exact text found.
    """
    paths, uses = _paths(rows, block)
    common = [[node for node in path if uses[node] > 1] for path in paths]
    bases = _bases(tokenizer_path, common, uses, block, f"{seed}/{salt}")
    made = workload.extend(
        tokenizer_path, bases, [row.input_tokens for row in rows], f"{seed}/{salt}"
    )
    shared = _seen_before(common, block)
    special = workload.load_tokenizer(tokenizer_path).num_special_tokens_to_add(is_pair=False)
    return workload.PromptSet(
        [ids for ids, _ in made],
        [text for _, text in made],
        special,
        cache="warm" if any(shared) else "cold",
        shared=shared if any(shared) else (),
    )


def _paths(rows: Sequence[TraceRow], block: int) -> tuple[list[list[int]], list[int]]:
    """Return each row's way through the tree of beginnings, and how many rows pass each node."""
    nodes: dict[tuple[int, str], int] = {}
    uses: list[int] = []
    paths = []
    for row in rows:
        node, path = -1, []
        for id_ in row.prefix[: max(0, row.input_tokens - UNIQUE) // block]:
            node = nodes.setdefault((node, id_), len(uses))
            if node == len(uses):
                uses.append(0)
            uses[node] += 1
            path.append(node)
        paths.append(path)
    return paths, uses


def _bases(
    tokenizer_path: Path, paths: Sequence[Sequence[int]], uses: Sequence[int], block: int, key: str
) -> list[workload.Base]:
    """Return the common text of each path. Blocks that always come together are made at once."""
    # A node ends a piece where the next one is passed by fewer rows.
    ends = [
        [i for i in range(len(path)) if i + 1 == len(path) or uses[path[i]] != uses[path[i + 1]]]
        for path in paths
    ]
    known: dict[int, workload.Base] = {}
    for wave in range(max(map(len, ends), default=0)):
        wanted: dict[int, tuple[workload.Base, int]] = {}
        for path, stops in zip(paths, ends, strict=True):
            if len(stops) > wave:
                before = known[path[stops[wave - 1]]] if wave else workload.NOTHING
                wanted[path[stops[wave]]] = (before, (stops[wave] + 1) * block)
        made = workload.extend(
            tokenizer_path,
            [base for base, _ in wanted.values()],
            [length for _, length in wanted.values()],
            f"{key}/blocks/{wave}",
        )
        known |= {node: workload.Base(*it) for node, it in zip(wanted, made, strict=True)}
    return [known[path[-1]] if path else workload.NOTHING for path in paths]


def _seen_before(paths: Sequence[Sequence[int]], block: int) -> tuple[int, ...]:
    """Return how many tokens of each path earlier paths had already."""
    seen: set[int] = set()
    shared = []
    for path in paths:
        shared.append(block * sum(node in seen for node in path))
        seen.update(path)
    return tuple(shared)
