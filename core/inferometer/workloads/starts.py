"""How a closed loop begins as it goes on: with requests of all ages.

At any moment of a long load each stream is somewhere in a request. A long request is met more often
than a short one, in proportion to its output length L, and at any of its tokens alike (the
inspection paradox of renewal theory; Feller 1971, *An Introduction to Probability Theory and Its
Applications* II, chapter I.4). So each stream's first request is chosen with probability
proportional to L, its age ``made`` is uniform over 0 to L - 1 tokens, and it is sent as what it
would be then: its prompt and ``made`` tokens of text behind it, with L - ``made`` left to make. It
is never longer than its own prompt and answer together.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, NamedTuple

from inferometer import workload
from inferometer.workloads import requests

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from inferometer.study import WorkloadEntry
    from inferometer.workloads.datasets import Pair

POOL = 16_384
"""Requests of which the first ones are chosen."""


class Running(NamedTuple):
    """A request, and how many tokens of its output are made already."""

    pair: Pair
    made: int


def running(entry: WorkloadEntry, streams: int, key: str, tokenizer: Path) -> list[Running]:
    """Return the first request of each stream; the same for the same arguments.

    Raises:
        UsageError: a file of the entry is unreadable or malformed.
    """
    if not streams:
        return []
    pool = requests.draw(entry, POOL, f"{key}/start", tokenizer)
    rng = random.Random(f"start/{key}")  # noqa: S311 -- a sample, not a secret
    chosen = rng.choices(pool, [pair.output_tokens for pair in pool], k=streams)
    return [Running(pair, int(rng.random() * pair.output_tokens)) for pair in chosen]


def continued(
    prompts: workload.PromptSet, made: Mapping[int, int], tokenizer: Path, key: str
) -> workload.PromptSet:
    """Return ``prompts`` with ``made[place]`` tokens of real text of its own behind each of those.

    What they share (``PromptSet.shared``) stays.

    Raises:
        UsageError: no exact text was found.
    """
    places = [place for place, tokens in made.items() if tokens]
    bases = [workload.Base(prompts.ids[place], prompts.text[place]) for place in places]
    sizes = [len(prompts.ids[place]) + made[place] for place in places]
    longer = workload.extend(tokenizer, bases, sizes, f"{key}/start")
    ids, text = list(prompts.ids), list(prompts.text)
    for place, (own_ids, own_text) in zip(places, longer, strict=True):
        ids[place], text[place] = own_ids, own_text
    return workload.PromptSet(
        ids, text, prompts.special_tokens, cache=prompts.cache, shared=prompts.shared
    )
