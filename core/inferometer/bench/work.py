"""The requests of a bench: lengths, prompts, bodies; built before the first is sent."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from inferometer import workload
from inferometer.loadgen.offer import Body
from inferometer.workloads import lengths, replay

if TYPE_CHECKING:
    from collections.abc import Sequence

    from inferometer.bench.options import Options
    from inferometer.workloads.traces import TraceRow

MOST_TOKENS = 16_000_000
"""Prompt tokens prepared in all; a longer load uses prompts again, which the checks show."""


class Work(NamedTuple):
    """Requests, ready to send, the warm-up's first. ``reuse``: see :class:`workload.PromptSet`."""

    bodies: list[Body]
    reuse: float


def build(options: Options, trace: Sequence[TraceRow], warmup: int, count: int) -> Work:
    """Return ``warmup`` and then at most ``count`` requests; a trace's rows follow the warm-up.

    With a tokenizer prompts have their length exactly, and a trace's common beginnings; without
    one they are that many words, and share nothing.
    """
    pairs = _pairs(options, trace, warmup, count)
    texts, reuse = _texts(options, trace, [tokens for tokens, _ in pairs], warmup)
    bodies = [
        Body(msgspec.json.encode(request(options, text, output)), index, size, output)
        for index, (text, (size, output)) in enumerate(zip(texts, pairs, strict=True))
    ]
    return Work(bodies, reuse)


def _texts(
    options: Options, trace: Sequence[TraceRow], sizes: list[int], warmup: int
) -> tuple[list[str], float]:
    """Return a prompt of each size, and the share of the measured ones that a cache may hold."""
    seed = options.seed
    if options.tokenizer is None:
        return [_words(size, f"{seed}/{index}") for index, size in enumerate(sizes)], 0.0
    first = workload.build_each(options.tokenizer, sizes[:warmup], seed, "warm-up").text
    if trace:
        rest = replay.prompts(
            options.tokenizer, trace[: len(sizes) - warmup], seed=seed, salt="bench"
        )
    else:
        rest = workload.build_each(options.tokenizer, sizes[warmup:], seed, "bench")
    return first + rest.text, rest.reuse


def request(options: Options, text: str, output_tokens: int) -> dict[str, Any]:
    """Return one request in OpenAI's words, greedy and streamed.

    Unless ``plain``, it has what vLLM and SGLang understand beyond them: ``ignore_eos`` for an
    exact length, and usage in every chunk. ``extra_body`` wins; a null in it takes a field away.
    """
    body: dict[str, Any] = {"model": options.model}
    if options.endpoint == "chat":
        body["messages"] = [{"role": "user", "content": text}]
    else:
        body["prompt"] = text
    usage = {"include_usage": True}
    body |= {"max_tokens": output_tokens, "temperature": 0, "stream": True, "stream_options": usage}
    if not options.plain:
        body["ignore_eos"] = usage["continuous_usage_stats"] = True
    body |= options.extra_body
    return {key: value for key, value in body.items() if value is not None}


def _pairs(
    options: Options, trace: Sequence[TraceRow], warmup: int, count: int
) -> list[tuple[int, int]]:
    """Return (input, output) lengths in tokens."""
    if trace:
        rows = [(row.input_tokens, row.output_tokens) for row in trace[:count]]
        return [rows[index % len(rows)] for index in range(warmup)] + rows
    sides = [
        lengths.draw(lengths.parse(spec, name), warmup + count, f"{options.seed}/{name}")
        for name, spec in (
            ("--input-tokens", options.input_tokens),
            ("--output-tokens", options.output_tokens),
        )
    ]
    pairs = list(zip(*sides, strict=True))
    total = 0
    for index, (tokens, _) in enumerate(pairs):
        total += tokens
        if total > MOST_TOKENS and index > warmup:
            return pairs[:index]
    return pairs


def _words(count: int, key: str) -> str:
    """Return a salt and real text from a random place: ``count`` words that begin like no other."""
    words, salt = workload.corpus(), hashlib.sha256(key.encode()).hexdigest()
    start = int(salt[8:], 16) % len(words)
    taken = words[start : start + count - 1]
    while len(taken) < count - 1:
        taken += words[: count - 1 - len(taken)]
    return " ".join((salt[:8], *taken))
