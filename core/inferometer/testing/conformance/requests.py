"""Checks of the requests an adapter makes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from inferometer.testing.check import applies, check, checks_of, need
from inferometer.testing.conformance.kit import completion
from inferometer.testing.fakes.sampling import endless, greedy

if TYPE_CHECKING:
    from inferometer.testing.check import Check
    from inferometer.testing.conformance.kit import Kit


def body(kit: Kit, *, stream: bool = True, **how: Any) -> dict[str, Any]:
    """Return a request for 12 tokens."""
    return kit.engine.request(completion("made-up-model", 12, stream, 0, **how))


@check
def request_pure(kit: Kit) -> None:
    """The same completion gives the same request, and no two share what can be changed."""
    first, second = body(kit), body(kit)
    kept = msgspec.json.encode(first)
    need(msgspec.json.encode(second) == kept, "the second request is not the first")
    first.clear()
    need(msgspec.json.encode(second) == kept, "two requests are one thing")


@check
def request_fields(kit: Kit) -> None:
    """A request holds only fields that the adapter calls accepted."""
    allowed = kit.engine.request_fields
    applies(allowed, "it lists no fields")
    for how in ({}, {"stream": False}, {"seed": 7}):
        extra = body(kit, **how).keys() - allowed
        need(not extra, f"not in request_fields: {', '.join(sorted(extra))}")


@check
def request_model(kit: Kit) -> None:
    """A request names the model as it is told to."""
    need(body(kit).get("model") == "made-up-model", f"model is {body(kit).get('model')!r}")


@check
def request_prompt(kit: Kit) -> None:
    """The prompt is the token ids where the engine takes them, else exactly the text."""
    asked = completion("m", 12, True, 0)
    said = kit.engine.request(asked).get("prompt")
    need(said in (list(asked.prompt_ids), asked.prompt_text), f"prompt is {str(said)[:80]}")


@check
def request_length(kit: Kit) -> None:
    """The length is exact: so many tokens at most, and none fewer."""
    said = body(kit)
    need(said.get("max_tokens") == 12, f"max_tokens is {said.get('max_tokens')!r}")
    need(endless(said), "nothing keeps the model from ending early")


@check
def request_greedy(kit: Kit) -> None:
    """Sampling is greedy, said aloud."""
    need(greedy(body(kit)), "temperature is not 0")


@check
def request_streams(kit: Kit) -> None:
    """A request streams when it is to stream, and not otherwise."""
    need(body(kit).get("stream") is True, "stream is not true")
    whole = body(kit, stream=False)
    need(not whole.get("stream"), "stream is true though it is to be one answer")
    need("stream_options" not in whole, "stream_options without a stream is an error")


@check
def request_seed(kit: Kit) -> None:
    """No request has a seed that nobody gave."""
    need(body(kit).get("seed") is None, f"seed is {body(kit).get('seed')!r}")


CHECKS: tuple[Check[Kit], ...] = checks_of(list(globals().values()))
