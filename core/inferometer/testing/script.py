"""What the oracle will write for one request, and when: a pure function of request and options."""

from __future__ import annotations

import dataclasses
import functools
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable

    from tokenizers import Tokenizer

    from inferometer.testing.options import Options

WORDS = ("the", "a", "of", "light", "wave", "phase", "two", "beams", "meet", "and", "add", "up")
NO_IDS = b'"prompt_token_ids":null'
"""What the first event of an answer holds in place of the prompt's token ids."""


@dataclass(frozen=True, slots=True)
class Step:
    """One write: when (seconds after arrival), what, and how many tokens are in it."""

    due_s: float
    data: bytes
    tokens: int


@dataclass(frozen=True, slots=True)
class Script:
    """A whole answer: streamed (``steps``) or in one piece (``whole``)."""

    prompt_tokens: int
    tokens: int
    stream: bool
    steps: tuple[Step, ...]
    whole: Callable[[], dict[str, Any]]

    def with_fault(self, fault: str, options: Options) -> Script:
        """Return the script with ``fault`` in its middle."""
        half = max(1, len(self.steps) // 2)
        begun, rest = self.steps[:half], self.steps[half:]
        if fault == "truncate":
            return dataclasses.replace(self, steps=begun)
        if fault == "error":
            body = error_body(options.error_shape, 503, "overloaded on purpose")
            error = Step(begun[-1].due_s, _event(body) + b"data: [DONE]\n\n", 0)
            return dataclasses.replace(self, steps=(*begun, error))
        if fault == "stall":
            late = (dataclasses.replace(step, due_s=step.due_s + options.stall_s) for step in rest)
            return dataclasses.replace(self, steps=(*begun, *late))
        if fault == "done_twice":
            last = self.steps[-1]
            again = dataclasses.replace(last, data=last.data + b"data: [DONE]\n\n")
            return dataclasses.replace(self, steps=(*self.steps[:-1], again))
        return self


def error_body(shape: str, status: int, message: str) -> dict[str, Any]:
    """Return an error as engines word it: nested (vLLM) or flat (SGLang)."""
    error = {"message": message, "type": "oracle", "param": None, "code": status}
    return {"object": "error", **error} if shape == "flat" else {"error": error}


def script(request: dict[str, Any], options: Options, *, chat: bool = False) -> Script:
    """Plan the answer to ``request``. Raises KeyError or ValueError for a bad one."""
    ids = _prompt_ids(_words(request["messages"]) if chat else request["prompt"], options)
    total = options.tokens if options.tokens is not None else int(request.get("max_tokens", 16))
    if total < 1:
        raise ValueError(f"max_tokens must be at least 1, not {total}")
    if options.as_asked:
        asked = request.get("stream_options") or {}
        options = _as_asked(
            options,
            bool(isinstance(asked, dict) and asked.get("continuous_usage_stats")),
            bool(request.get("return_token_ids")),
        )
    first = sum(ids) % len(WORDS)
    steps = _steps(options, first, len(ids), total, chat)
    if options.usage == "vllm" and options.token_ids:
        told = NO_IDS[:-4] + msgspec.json.encode(ids)
        place = 1 if chat and options.role_first else 0
        opening = dataclasses.replace(steps[place], data=steps[place].data.replace(NO_IDS, told, 1))
        steps = (*steps[:place], opening, *steps[place + 1 :])
    return Script(
        prompt_tokens=len(ids),
        tokens=total,
        stream=bool(request.get("stream", False)),
        steps=steps,
        whole=lambda: _whole(options, _tokens(first, total), len(ids), chat=chat),
    )


@functools.lru_cache(maxsize=64)
def _as_asked(options: Options, usage: bool, ids: bool) -> Options:
    return dataclasses.replace(
        options,
        continuous_usage=options.continuous_usage and usage,
        token_ids=options.token_ids and ids,
    )


@functools.lru_cache(maxsize=1024)
def _steps(
    options: Options,
    first: int,
    prompt_tokens: int,
    total: int,
    chat: bool,
) -> tuple[Step, ...]:
    """Render an answer. Most requests of a load share theirs, but for the prompt's token ids."""
    tokens = _tokens(first, total)
    opening = min(total, options.first_chunk_tokens or options.tokens_per_chunk)
    starts = [0, *range(opening, total, options.tokens_per_chunk)]
    chunks, due = [], options.ttft_ms * 1e-3
    for number, (start, end) in enumerate(pairwise([*starts, total])):
        due += options.itl_ms * 1e-3 * (end - start) if start else 0.0
        event = _chunk(options, tokens, (number, start, end), prompt_tokens, chat=chat)
        chunks.append(Step(due, event, end - start))
    steps = _merged(chunks, options.merge)
    steps.append(Step(steps[-1].due_s, _tail(options, total, prompt_tokens, chat=chat), 0))
    if chat and options.role_first:
        role = {"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}
        event = _event(_completion(options, [role], chat=True))
        steps.insert(0, Step(options.ttft_ms * 0.5e-3, event, 0))
    return tuple(steps)


def _tokens(first: int, total: int) -> list[int]:
    return [(first + i) % len(WORDS) for i in range(total)]


def _merged(chunks: list[Step], merge: int) -> list[Step]:
    groups = [chunks[i : i + merge] for i in range(0, len(chunks), merge)]
    return [
        Step(
            group[-1].due_s,
            b"".join(step.data for step in group),
            sum(step.tokens for step in group),
        )
        for group in groups
    ]


def _words(messages: list[dict[str, Any]]) -> str:
    return " ".join(str(message["content"]) for message in messages)


def _prompt_ids(prompt: object, options: Options) -> list[int]:
    if isinstance(prompt, str):
        if options.tokenizer is not None:
            return _tokenised(options.tokenizer, prompt)
        return [len(word) for word in prompt.split()]
    if isinstance(prompt, list) and all(isinstance(token, int) for token in prompt):
        return list(prompt)
    raise ValueError("prompt must be a string or a list of token ids")


def _tokenised(path: str, text: str) -> list[int]:
    return list(_tokenizer(path).encode(text).ids)


@functools.lru_cache(maxsize=1)
def _tokenizer(path: str) -> Tokenizer:
    from tokenizers import Tokenizer  # noqa: PLC0415 -- most oracles need none

    return Tokenizer.from_file(path)


def _chunk(
    options: Options,
    tokens: list[int],
    place: tuple[int, int, int],
    prompt_tokens: int,
    *,
    chat: bool,
) -> bytes:
    """Return the event of a chunk; ``place`` is its number, first token and end."""
    number, start, done = place
    part = tokens[start:done]
    words = [f" {WORDS[token]}" for token in part]
    if options.empty_text_every and (number + 1) % options.empty_text_every == 0:
        words = [""] * len(part)
    said = _delta(options, words, start, len(tokens)) if chat else {"text": "".join(words)}
    comment = b": keep-alive\n\n" if options.comments else b""
    if options.usage != "vllm":
        return comment + _event(_completion(options, [{"index": 0, **said}], chat=chat))
    choice: dict[str, Any] = {
        "index": 0,
        **said,
        "logprobs": None,
        "finish_reason": "length" if done == len(tokens) else None,
        "stop_reason": None,
        "prompt_token_ids": None,
        "token_ids": part if options.token_ids else None,
    }
    body = _completion(options, [choice], chat=chat)
    if options.continuous_usage:
        body["usage"] = _usage(options, prompt_tokens, done)
    return comment + _event(body)


def _delta(options: Options, words: list[str], start: int, total: int) -> dict[str, Any]:
    """Return a chat delta: reasoning first, then content, a tool call's arguments at the end."""
    thought = max(0, min(options.reasoning_tokens - start, len(words)))
    called = max(thought, min(total - options.tool_tokens - start, len(words)))
    delta: dict[str, Any] = {}
    if thought:
        delta[options.reasoning_field] = "".join(words[:thought])
    if called > thought:
        delta["content"] = "".join(words[thought:called])
    if called < len(words):
        arguments = {"name": "look", "arguments": "".join(words[called:])}
        delta["tool_calls"] = [{"index": 0, "type": "function", "function": arguments}]
    return {"delta": delta}


def _tail(options: Options, total: int, prompt_tokens: int, *, chat: bool) -> bytes:
    """Return the events after the last content."""
    told = total + 1 if options.fault == "wrong_usage" else total
    usage = _usage(options, prompt_tokens, told)
    if options.usage == "vllm":
        end = {**_completion(options, [], chat=chat), "usage": usage}
        return _event(end) + b"data: [DONE]\n\n"
    said: dict[str, Any] = {"delta": {}} if chat else {"text": ""}
    body = _completion(options, [{"finish_reason": "length", "index": 0, **said}], chat=chat)
    if options.usage == "transformers":
        body["usage"] = usage
    return _event(body)


def _whole(
    options: Options, tokens: list[int], prompt_tokens: int, *, chat: bool
) -> dict[str, Any]:
    text = "".join(f" {WORDS[token]}" for token in tokens)
    said = {"message": {"role": "assistant", "content": text}} if chat else {"text": text}
    choice = {"index": 0, **said, "finish_reason": "length"}
    return {
        **_completion(options, [choice], chat=chat, streamed=False),
        "usage": _usage(options, prompt_tokens, len(tokens)),
    }


def _completion(
    options: Options, choices: list[dict[str, Any]], *, chat: bool, streamed: bool = True
) -> dict[str, Any]:
    kind = "text_completion"
    if chat:
        kind = "chat.completion.chunk" if streamed else "chat.completion"
    return {
        "id": "cmpl-1",
        "object": kind,
        "created": 1,
        "model": options.model,
        "choices": choices,
    }


def _usage(options: Options, prompt: int, completion: int) -> dict[str, Any]:
    usage: dict[str, Any] = {
        "prompt_tokens": prompt,
        "total_tokens": prompt + completion,
        "completion_tokens": completion,
    }
    if options.usage == "vllm":
        usage["prompt_tokens_details"] = {"cached_tokens": options.cached_tokens}
    return usage


def _event(body: dict[str, Any]) -> bytes:
    return b"data: " + msgspec.json.encode(body) + b"\n\n"
