"""Prompts that begin alike on purpose: shared prefixes and conversations of several turns.

Every length is exact, and so is what is shared: the ids of a prompt's shared beginning are equal
to those of the prompts it shares it with. An engine that caches whole blocks of B tokens can reuse
``floor(shared / B) * B`` of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from inferometer import workload
from inferometer.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

UNIQUE = 16
"""Tokens of each prompt that stay its own, at least: one cache block of common engines."""
STEPS = 16
"""How many tokens earlier a prefix may end, where its text alone would encode otherwise."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One request of a conversation; it may be sent once the turn at index ``after`` is answered.

    The prompt is the previous turn's prompt, a stand-in for its answer (``output_tokens`` of real
    text: the true answer is not known beforehand), and new text of the user. ``shared`` is the
    length of the previous prompt, which a cache has certainly seen.
    """

    conversation: int
    turn: int
    after: int | None
    ids: list[int]
    text: str
    output_tokens: int
    shared: int


def reused(
    tokenizer_path: Path,
    lengths: Sequence[int],
    reuse: float,
    *,
    groups: int,
    seed: int,
    salt: str | int = "",
) -> workload.PromptSet:
    """Make one prompt of each length of which the share ``reuse`` (0 to 1) is its group's.

    Prompt i belongs to group i mod ``groups`` and begins with the first round(``reuse`` x length)
    tokens of the group's text, or fewer where :data:`UNIQUE` of its own would not be left.

    Raises:
        UsageError: no readable tokenizer, or no exact text found.
    """
    wanted = [max(0, min(round(reuse * n), n - UNIQUE)) for n in lengths]
    return grouped(tokenizer_path, lengths, wanted, groups=groups, seed=seed, salt=salt)


def grouped(
    tokenizer_path: Path,
    lengths: Sequence[int],
    prefixes: Sequence[int],
    *,
    groups: int,
    seed: int,
    salt: str | int = "",
) -> workload.PromptSet:
    """Make prompts of exactly ``lengths`` tokens, the first ``prefixes`` of them shared.

    Prompt i belongs to group i mod ``groups``. A group's prefixes are beginnings of one text, made
    for its longest: with equal ``prefixes`` each is exact; of different ones a shorter may end up
    to :data:`STEPS` tokens early (``PromptSet.shared`` has the true number).

    Raises:
        UsageError: no readable tokenizer, or no exact text found.
    """
    heads = [
        max((n for i, n in enumerate(prefixes) if i % groups == group), default=0)
        for group in range(groups)
    ]
    tokenizer = workload.load_tokenizer(tokenizer_path)
    # Shorter than this there is no text besides what the tokenizer adds.
    least = tokenizer.num_special_tokens_to_add(is_pair=False) + 1
    wanted = [max(n, least) for n in heads]
    texts = workload.build_each(tokenizer_path, wanted, seed, f"{salt}/prefix")
    known: dict[tuple[int, int], workload.Base] = {}
    bases = []
    for i, n in enumerate(prefixes):
        place = (i % groups, n)
        if place not in known:
            whole = workload.Base(texts.ids[place[0]], texts.text[place[0]])
            known[place] = _beginning(tokenizer_path, whole, n) if n >= least else workload.NOTHING
        bases.append(known[place])
    made = workload.extend(tokenizer_path, bases, lengths, f"{seed}/{salt}")
    return workload.PromptSet(
        [ids for ids, _ in made],
        [text for _, text in made],
        texts.special_tokens,
        cache="warm",
        shared=tuple(len(base.ids) for base in bases),
    )


def conversations(
    tokenizer_path: Path,
    shapes: Sequence[Sequence[tuple[int, int]]],
    seed: int,
    salt: str | int = "",
) -> list[Turn]:
    """Make the turns of conversations: all first turns, then all second ones, and so on.

    ``shapes`` has for each conversation its turns as (new user tokens, output tokens). Turn k's
    prompt has exactly ``sum(user[:k + 1]) + sum(output[:k])`` tokens. No chat template is applied.

    Raises:
        UsageError: no readable tokenizer, or no exact text found.
    """
    turns: list[Turn] = []
    last: dict[int, int] = {}
    for number in range(max(map(len, shapes), default=0)):
        open_ = [c for c, shape in enumerate(shapes) if len(shape) > number]
        bases = [_history(turns[last[c]]) if number else workload.NOTHING for c in open_]
        if number:
            bases = _longer(
                tokenizer_path,
                bases,
                [shapes[c][number - 1][1] for c in open_],
                f"{seed}/{salt}/answer/{number}",
            )
        key = f"{seed}/{salt}/user/{number}"
        prompts = _longer(tokenizer_path, bases, [shapes[c][number][0] for c in open_], key)
        for c, prompt in zip(open_, prompts, strict=True):
            after = last.get(c)
            turns.append(
                Turn(
                    conversation=c,
                    turn=number,
                    after=after,
                    ids=list(prompt.ids),
                    text=prompt.text,
                    output_tokens=shapes[c][number][1],
                    shared=0 if after is None else len(turns[after].ids),
                )
            )
            last[c] = len(turns) - 1
    return turns


def _history(turn: Turn) -> workload.Base:
    return workload.Base(turn.ids, turn.text)


def _longer(
    tokenizer_path: Path, bases: Sequence[workload.Base], more: Sequence[int], key: str
) -> list[workload.Base]:
    """Continue each base by exactly so many tokens."""
    lengths = [len(base.ids) + n for base, n in zip(bases, more, strict=True)]
    return [workload.Base(*made) for made in workload.extend(tokenizer_path, bases, lengths, key)]


def _beginning(tokenizer_path: Path, whole: workload.Base, tokens: int) -> workload.Base:
    """Return the first ``tokens`` ids of ``whole`` with their text, or slightly fewer."""
    if tokens == len(whole.ids):
        return whole
    tokenizer = workload.load_tokenizer(tokenizer_path)
    special = tokenizer.num_special_tokens_to_add(is_pair=False)
    offsets = tokenizer.encode(whole.text, add_special_tokens=False).offsets
    for n in range(tokens, max(tokens - STEPS, special), -1):
        text = whole.text[: offsets[n - special - 1][1]]
        ids = tokenizer.encode(text).ids
        if ids == list(whole.ids[:n]):
            return workload.Base(ids, text)
    raise UsageError(
        f"{tokenizer_path}: no prefix of about {tokens} tokens found whose text encodes to itself",
        hint="Use one input length, or another share of reuse.",
    )
