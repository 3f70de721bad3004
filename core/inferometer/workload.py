"""Prompts of exact token length from real text, cold by construction.

The text is the language reference that ships with Python (``pydoc_data.topics``): real English,
on every machine, without a download. Random or repeated tokens would route mixture-of-experts
models unrealistically and mislead speculative decoding.

A prompt's ids are what the tokenizer makes of its text *with* special tokens, because that is what
a server does to a text: where the tokenizer adds a beginning-of-sequence token, it is ``ids[0]``
and one of the ``input_tokens``, so ``usage.prompt_tokens`` equals ``input_tokens`` whether ids or
text are sent.
"""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

import msgspec
from tokenizers import Tokenizer

from inferometer.errors import MachineError, UsageError, words

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

ATTEMPTS = 40
BATCH_TOKENS = 100_000
"""Tokens encoded at once: the tokenizer's own results take some 150 bytes a token."""
PROBES = 16
PROBE_TOKENS = 64


@dataclass(frozen=True, slots=True)
class PromptSet:
    """Prompts as token ids and as text that encodes to exactly those ids."""

    ids: list[list[int]]
    text: list[str]
    special_tokens: int
    """How many of each prompt's ids the tokenizer adds by itself (a BOS: 1)."""
    cache: Literal["cold", "warm"] = "cold"
    """Cold: no two prompts begin alike. Warm: they share beginnings by design, ``shared`` long.
    The two are never compared."""
    shared: tuple[int, ...] = ()
    """How many leading ids each prompt has in common with others, in a trace with earlier ones
    (warm only)."""

    @property
    def reuse(self) -> float:
        """Return the share of all prompt tokens that a perfect prefix cache need not compute."""
        return sum(self.shared) / max(sum(map(len, self.ids)), 1)

    def __len__(self) -> int:
        return len(self.ids)

    def sha256(self, lengths: Sequence[int]) -> str:
        """Return the hash of the work: every id in order and each request's output length."""
        work = (self.ids, lengths) if self.cache == "cold" else (self.ids, lengths, self.cache)
        return hashlib.sha256(msgspec.json.encode(work)).hexdigest()


class Base(NamedTuple):
    """The beginning of a prompt: ids and the text that encodes to exactly them."""

    ids: Sequence[int]
    text: str


NOTHING = Base((), "")


def build(
    tokenizer_path: Path, input_tokens: int, count: int, seed: int, salt: str | int = ""
) -> PromptSet:
    """Make ``count`` prompts of exactly ``input_tokens`` tokens; the same for the same arguments.

    Each begins with a hash of (``seed``, ``salt``, its index), so no two share a prefix and no
    prefix cache is warm; then real text from a random place. ``seed`` is the round's, ``salt``
    the load point's.

    Raises:
        UsageError: no readable tokenizer there, or the length is too short for salt and text.
        MachineError: this Python has no ``pydoc_data``.
    """
    return build_each(tokenizer_path, [input_tokens] * count, seed, salt)


def build_each(
    tokenizer_path: Path, lengths: Sequence[int], seed: int, salt: str | int = ""
) -> PromptSet:
    """Make one prompt of each length in ``lengths`` (tokens); otherwise as :func:`build`."""
    made = extend(tokenizer_path, [NOTHING] * len(lengths), lengths, f"{seed}/{salt}")
    special = load_tokenizer(tokenizer_path).num_special_tokens_to_add(is_pair=False)
    return PromptSet([ids for ids, _ in made], [text for _, text in made], special)


def extend(
    tokenizer_path: Path, bases: Sequence[Base], lengths: Sequence[int], key: str
) -> list[tuple[list[int], str]]:
    """Continue each of ``bases`` with salted text until it has exactly its length in tokens.

    Returns (ids, text) of each; ids begin with the base's, text encodes to ids. ``key`` decides
    the salts and the text, together with each one's index.

    Raises:
        UsageError: no readable tokenizer, or no text of such a length behind such a base.
    """
    tokenizer = load_tokenizer(tokenizer_path)
    words, per_token = corpus(), _words_per_token(tokenizer)
    found: list[tuple[list[int], str]] = [([], "")] * len(bases)
    missing = list(range(len(bases)))
    for attempt in range(ATTEMPTS):
        drafts = [
            _draft(
                words,
                int(per_token * (lengths[i] - len(bases[i].ids))) + 8 + attempt,
                f"{key}/{i}/{attempt}",
                bases[i].text,
            )
            for i in missing
        ]
        exact = _exact(tokenizer, drafts, [lengths[i] for i in missing])
        for i, made in zip(missing, exact, strict=True):
            if made is not None and made[0][: len(bases[i].ids)] == list(bases[i].ids):
                found[i] = made
        missing = [i for i in missing if not found[i][0]]
        if not missing:
            return found
    raise UsageError(
        f"{tokenizer_path}: no text of exactly {lengths[missing[0]]} tokens found for "
        f"{len(missing)} of {len(bases)} prompts",
        hint="Ask for longer prompts: input_tokens of 32 and more work with common tokenizers.",
    )


def probe_prompts(tokenizer_path: Path) -> PromptSet:
    """Return the 16 fixed texts of 64 tokens for output parity: to be continued, and scored.

    Real text, in which most tokens are unsure: coarse weights show there, and hardly where a model
    copies (``core/decisions/0007-parity-gate.md`` has the measurements).
    """
    return build(tokenizer_path, PROBE_TOKENS, PROBES, seed=0, salt="probe")


def tokenise(tokenizer_path: Path, text: str) -> list[int]:
    """Return the ids of generated ``text``, without special tokens."""
    ids: list[int] = load_tokenizer(tokenizer_path).encode(text, add_special_tokens=False).ids
    return ids


@functools.lru_cache(maxsize=4)
def load_tokenizer(path: Path) -> Tokenizer:
    """Read a ``tokenizer.json`` and switch its truncation and padding off."""
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises bare Exception
        raise UsageError(
            f"{path}: not a readable tokenizer.json: {words(error)}",
            hint="Models need a Hugging Face tokenizer.json beside config.json.",
        ) from error
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


@functools.lru_cache(maxsize=1)
def corpus() -> tuple[str, ...]:
    """Return the words of Python's language reference, in a fixed order, ASCII only."""
    try:
        from pydoc_data.topics import topics  # noqa: PLC0415 -- absent in cut-down Pythons
    except ImportError as error:
        raise MachineError(
            "this Python has no pydoc_data.topics, from which prompts are made",
            hint="Install the whole standard library (Debian: libpython3-stdlib).",
        ) from error
    text = " ".join(topics[name] for name in sorted(topics))
    return tuple(word for word in text.split() if word.isascii() and word.isprintable())


def _words_per_token(tokenizer: Tokenizer) -> float:
    """Return how many words hold at least a token, nearly always."""
    sample = corpus()[:2000]
    ids = tokenizer.encode(" ".join(sample), add_special_tokens=False).ids
    return 1.15 * len(sample) / len(ids)


def _draft(words: tuple[str, ...], length: int, key: str, base: str) -> str:
    """Return ``base``, a salt and ``length`` words from a random place, all made by ``key``."""
    salt = hashlib.sha256(key.encode()).hexdigest()
    start = int(salt[8:], 16) % len(words)
    taken = words[start : start + length]
    while len(taken) < length:
        taken += words[: length - len(taken)]
    return " ".join((*filter(None, (base,)), salt[:8], *taken))


def _exact(
    tokenizer: Tokenizer, drafts: list[str], lengths: Sequence[int]
) -> list[tuple[list[int], str] | None]:
    """Cut each draft behind its last wanted token; keep it if it encodes to just that many."""
    special = tokenizer.num_special_tokens_to_add(is_pair=False)
    if min(lengths, default=special + 1) <= special:
        raise UsageError(
            f"input_tokens = {min(lengths)}: the tokenizer itself adds {special}",
            hint=f"Give {special + 1} or more.",
        )
    at_once = max(1, BATCH_TOKENS // max(lengths, default=1))
    found: list[tuple[list[int], str] | None] = []
    for start in range(0, len(drafts), at_once):
        part = slice(start, start + at_once)
        wanted = lengths[part]
        cuts = [
            draft[: encoding.offsets[tokens - special - 1][1]]
            if len(encoding.ids) >= tokens - special
            else ""
            for draft, encoding, tokens in zip(
                drafts[part],
                tokenizer.encode_batch(drafts[part], add_special_tokens=False),
                wanted,
                strict=True,
            )
        ]
        found += [
            (encoding.ids, cut) if len(encoding.ids) == tokens else None
            for cut, tokens, encoding in zip(
                cuts, wanted, tokenizer.encode_batch_fast(cuts), strict=True
            )
        ]
    return found
