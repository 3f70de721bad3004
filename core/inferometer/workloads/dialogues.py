"""Conversations as planned work: scripted turns, each with the whole history before it.

What an engine answers is not known beforehand, so the history has a stand-in for each answer:
real text of the planned length. A cache can therefore reuse the prompt of the turn before, and not
the answer to it: that is the reuse which is declared.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from inferometer import workload
from inferometer.workloads import lengths, prefixes, requests
from inferometer.workloads.lengths import Lengths

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from inferometer.study import WorkloadEntry
    from inferometer.workloads.prefixes import Turn

MOST_TOKENS = 4_000_000
"""Prompt tokens prepared for one load point: each turn's history is encoded again."""
LEAST_PER_STREAM = 2
"""Conversations made for each stream, however long they are."""

Shape = list[tuple[int, int]]
"""A conversation's turns as (new tokens of the user, tokens of the answer)."""


@dataclass(frozen=True, slots=True)
class Script:
    """Requests in sending order: a stream takes a conversation whole, then the next one.

    ``conversation`` and ``think_s`` have one entry a request; ``starts`` are the places of the
    conversations' first requests.
    """

    prompts: workload.PromptSet
    output_tokens: list[int]
    conversation: list[int]
    think_s: list[float]
    starts: list[int]


def script(
    entry: WorkloadEntry, tokenizer: Path, *, streams: int, count: int, seed: int, salt: int
) -> Script:
    """Return conversations of at least ``count`` requests; the same for the same arguments.

    The first one of stream k of n begins at k / n of its turns (:func:`begin`), so that the load
    begins as it goes on: with conversations of all ages.

    Raises:
        UsageError: no readable tokenizer or file of lengths, or no exact text found.
    """
    planned = shapes(entry, tokenizer, streams=streams, count=count, key=f"{seed}/{salt}")
    told: dict[int, list[Turn]] = defaultdict(list)
    for turn in prefixes.conversations(tokenizer, planned, seed, salt):
        told[turn.conversation].append(turn)
    kept = [told[c][begin(len(shape), c, streams) :] for c, shape in enumerate(planned)]
    turns = [turn for conversation in kept for turn in conversation]
    firsts = {id(conversation[0]) for conversation in kept}
    special = workload.load_tokenizer(tokenizer).num_special_tokens_to_add(is_pair=False)
    return Script(
        prompts=workload.PromptSet(
            [turn.ids for turn in turns],
            [turn.text for turn in turns],
            special,
            cache="warm",
            shared=tuple(0 if id(turn) in firsts else turn.shared for turn in turns),
        ),
        output_tokens=[turn.output_tokens for turn in turns],
        conversation=[turn.conversation for turn in turns],
        think_s=[0.0 if id(turn) in firsts else entry.think_s or 0.0 for turn in turns],
        starts=[place for place, turn in enumerate(turns) if id(turn) in firsts],
    )


def shapes(
    entry: WorkloadEntry, tokenizer: Path, *, streams: int, count: int, key: str
) -> list[Shape]:
    """Return conversations of at least ``count`` turns in all.

    Of very long ones fewer: as many as :data:`MOST_TOKENS` prompt tokens allow, at least
    :data:`LEAST_PER_STREAM` a stream.
    """
    found: list[Shape] = []
    turns = tokens = 0
    for shape in _drawn(entry, tokenizer, max(count, LEAST_PER_STREAM * streams), key):
        enough = turns >= count or tokens > MOST_TOKENS
        if enough and len(found) >= LEAST_PER_STREAM * streams:
            break
        turns += len(shape) - begin(len(shape), len(found), streams)
        found.append(shape)
        tokens += prompt_tokens(shape)
    return found


def begin(turns: int, conversation: int, streams: int) -> int:
    """Return at which of its turns a conversation begins: k / n of them for stream k's first."""
    return turns * conversation // streams if conversation < streams else 0


def prompt_tokens(shape: Shape) -> int:
    """Return the prompt tokens of all turns: each has the whole history before it."""
    later = range(len(shape), 0, -1)
    return sum(user * n + answer * (n - 1) for n, (user, answer) in zip(later, shape, strict=True))


def _drawn(entry: WorkloadEntry, tokenizer: Path, count: int, key: str) -> Iterator[Shape]:
    """Yield ``count`` conversations, which are more than enough."""
    law = entry.turns
    if not isinstance(law, Lengths):
        law = Lengths(distribution="fixed", tokens=law)
    sizes = lengths.draw(law, count, f"{key}/turns")
    pairs = iter(requests.draw(entry, sum(sizes), key, tokenizer))
    for size in sizes:
        taken = itertools.islice(pairs, size)
        yield [(pair.input_tokens, pair.output_tokens) for pair in taken]
