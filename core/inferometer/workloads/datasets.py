"""Lengths from files: pairs of input and output tokens, and ShareGPT conversations.

**Pairs**: one request a line, either ``input,output`` (a heading that is no numbers may come
first) or a JSON object with ``input_tokens`` and ``output_tokens``.

**ShareGPT**: a JSON array of objects with ``conversations``, an array of ``from`` and ``value``.
Of each, the first turn of a person (``human``, ``user``) with the model's turn directly after it
(``gpt``, ``chatgpt``, ``assistant``, ``bing``, ``bard``) counts; earlier ``system`` turns are
passed over. Kept are pairs of at least 4 tokens each, at most 1,024 in and 2,048 in all: the rules
of ``vllm bench serve`` (``is_valid_sequence``). Texts of over 32,768 characters are dropped
uncounted. Lengths are those of the model's own tokenizer, so they differ between models.

Only lengths are taken from a data set. The prompts' text stays ours, salted and exact: text that
everybody downloads cannot be made cold.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from inferometer.errors import UsageError, words
from inferometer.workloads import reading

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

MOST_PAIRS = 1_000_000
MOST_CONVERSATIONS = 10_000
"""ShareGPT pairs kept (the first ones): tokenising more takes long and changes little."""
PEOPLE = frozenset({"human", "user"})
MODELS = frozenset({"gpt", "chatgpt", "assistant", "bing", "bard"})
_HINT = (
    "Give a ShareGPT JSON array, or lines of input,output in tokens, or JSON lines with "
    "input_tokens and output_tokens."
)


@dataclass(frozen=True, slots=True)
class Pair:
    """One request's lengths in tokens."""

    input_tokens: int
    output_tokens: int


@dataclass(frozen=True, slots=True)
class Rules:
    """Which ShareGPT pairs are kept, in tokens."""

    least: int = 4
    most_input: int = 1024
    most_total: int = 2048

    def keep(self, pair: Pair) -> bool:
        """Say whether ``pair`` is neither too short nor too long."""
        return (
            min(pair.input_tokens, pair.output_tokens) >= self.least
            and pair.input_tokens <= self.most_input
            and pair.input_tokens + pair.output_tokens <= self.most_total
        )


class _Turn(Struct, frozen=True):
    from_: str = msgspec.field(name="from")
    value: str


class _Entry(Struct, frozen=True):
    conversations: list[_Turn]


class _Line(Struct, frozen=True):
    input_tokens: int
    output_tokens: int


def read(path: Path, count: Callable[[str], int]) -> list[Pair]:
    """Return the lengths in ``path``: ShareGPT when its first character is ``[``, else pairs.

    ``count`` gives the tokens of a text (ShareGPT only), without special tokens.

    Raises:
        UsageError: unreadable or malformed (the line or entry is named), or no usable pair.
    """
    return sharegpt(path, count) if _is_array(path) else pairs(path)


def pairs(path: Path) -> list[Pair]:
    """Return every pair of a file of lines, in order.

    Raises:
        UsageError: unreadable, a bad line (named), empty, or more than :data:`MOST_PAIRS` lines.
    """
    found: list[Pair] = []
    begun = False
    for number, text in reading.lines(path):
        pair = _pair(path, number, text, heading=not begun)
        begun = True
        if pair is not None:
            found.append(pair)
        if len(found) > MOST_PAIRS:
            raise UsageError(f"{path}: more than {MOST_PAIRS} pairs", hint="Give a sample of it.")
    if not found:
        raise UsageError(f"{path}: no pair of lengths", hint=_HINT)
    return found


def sharegpt(path: Path, count: Callable[[str], int], rules: Rules = Rules()) -> list[Pair]:
    """Return the lengths of at most :data:`MOST_CONVERSATIONS` pairs that ``rules`` keep.

    Raises:
        UsageError: unreadable, over a size limit, malformed (the entry is named), or none kept.
    """
    try:
        entries = msgspec.json.decode(reading.content(path), type=list[_Entry])
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: no ShareGPT file: {words(error)}", hint=_HINT) from error
    found: list[Pair] = []
    longest = 16 * rules.most_total
    for question, answer in _exchanges(entries):
        if len(question) > longest or len(answer) > longest:
            continue
        pair = Pair(count(question), count(answer))
        if rules.keep(pair):
            found.append(pair)
        if len(found) == MOST_CONVERSATIONS:
            break
    if not found:
        raise UsageError(
            f"{path}: none of {len(entries)} conversations begins with a question and an answer "
            f"of {rules.least} to {rules.most_input} tokens",
            hint=_HINT,
        )
    return found


def draw(found: Sequence[Pair], count: int, seed: str | int) -> list[Pair]:
    """Return ``count`` of the pairs: all of them in a random order, then again in another.

    The same for the same arguments. Each is drawn equally often, give or take one.
    """
    rng = random.Random(f"pairs/{seed}")  # noqa: S311 -- a sample, not a secret
    drawn: list[Pair] = []
    while len(drawn) < count:
        drawn += rng.sample(found, min(len(found), count - len(drawn)))
    return drawn


def _is_array(path: Path) -> bool:
    """Say whether the file begins with ``[``; its first line may be all of a huge file."""
    try:
        with path.open("rb") as file:
            return file.read(4096).removeprefix(b"\xef\xbb\xbf").lstrip()[:1] == b"["
    except OSError:
        return False


def _exchanges(entries: list[_Entry]) -> Iterator[tuple[str, str]]:
    for entry in entries:
        turns = [turn for turn in entry.conversations if turn.from_ != "system"][:2]
        if len(turns) == 2 and turns[0].from_ in PEOPLE and turns[1].from_ in MODELS:
            yield turns[0].value, turns[1].value


def _pair(path: Path, number: int, text: str, heading: bool) -> Pair | None:
    place = f"{path}, line {number}"
    if text.startswith("{"):
        try:
            line = msgspec.json.decode(text, type=_Line)
        except (msgspec.MsgspecError, RecursionError) as error:
            raise UsageError(f"{place}: {words(error)}", hint=_HINT) from error
        return _checked(line.input_tokens, line.output_tokens, place)
    cells = text.split(",")
    if heading and not any(any(map(str.isdigit, cell)) for cell in cells):
        return None
    if len(cells) != 2:
        raise UsageError(f"{place}: {reading.shown(text)} is not input,output", hint=_HINT)
    return _checked(
        reading.whole_number(cells[0], "input", place),
        reading.whole_number(cells[1], "output", place),
        place,
    )


def _checked(tokens_in: int, tokens_out: int, place: str) -> Pair:
    reading.tokens(tokens_in, "input", place)
    reading.tokens(tokens_out, "output", place)
    if not (tokens_in and tokens_out):
        raise UsageError(
            f"{place}: lengths must be at least 1, are {tokens_in} and {tokens_out}",
            hint=reading.CORRECT,
        )
    return Pair(tokens_in, tokens_out)
