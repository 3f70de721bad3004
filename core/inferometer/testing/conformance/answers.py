"""Checks of requests and answers, against a fake that answers as the engine does."""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING, Any

import msgspec

from inferometer.testing.check import applies, check, checks_of, need
from inferometer.testing.conformance import talk
from inferometer.testing.conformance.kit import OUTPUT_TOKENS, PATIENCE_S, PROMPT_TOKENS

if TYPE_CHECKING:
    from inferometer.loadgen.driver import Answer
    from inferometer.records import Request
    from inferometer.testing.check import Check
    from inferometer.testing.conformance.kit import Fake, Kit


def _error(fake: Fake, **how: Any) -> Request:
    (answer,) = fake.ask(fake.completion(**how))
    need(answer.request.status == "error", f"told as {answer.request.status}")
    return answer.request


def _fields(fake: Fake, **how: Any) -> dict[str, Any]:
    return msgspec.json.decode(fake.completion(**how).content, type=dict[str, Any])


@check
def prompt_arrives_whole(kit: Kit) -> None:
    """The engine counts exactly the prompt tokens that were sent."""
    told = kit.fake().answer().request.input_tokens
    need(told == PROMPT_TOKENS, f"{PROMPT_TOKENS} were sent, {told} are told")


@check
def length_is_exact(kit: Kit) -> None:
    """A model that would end early is kept from it: as many tokens as asked."""
    for tokens in (1, 2, 33):
        told = kit.fake().answer(tokens=tokens).request.output_tokens
        need(told == tokens, f"{tokens} were asked for, {told} came")


@check
def finish_is_told(kit: Kit) -> None:
    """An answer says that it ended by its length."""
    reason = kit.fake().answer().request.finish_reason
    need(reason == "length", f"finish_reason is {reason!r}")


@check
def tokens_are_counted(kit: Kit) -> None:
    """The tokens of a stream are counted by ids or by usage, not by events."""
    answer = kit.fake().answer()
    need(answer.request.output_tokens == OUTPUT_TOKENS, f"{answer.request.output_tokens} tokens")
    if answer.request.tokens_from == "none":
        applies(kit.behaviour.usage == "asked", "the engine tells them only at the end")
    need(_in_events(answer) == OUTPUT_TOKENS, f"the events tell {_in_events(answer)}")


def _in_events(answer: Answer) -> int:
    return sum(tokens for _, tokens, _, _ in answer.chunks)


@check
def merged_tokens_counted(kit: Kit) -> None:
    """Several tokens in one event are all counted."""
    fake = kit.fake()
    with fake.scene(tokens_per_chunk=5):
        answer = fake.answer()
    need(len(answer.chunks) == 3, f"{len(answer.chunks)} events came instead of 3")
    _all_counted(kit, answer)


@check
def silent_tokens_counted(kit: Kit) -> None:
    """Tokens in an event without text are counted."""
    fake = kit.fake()
    with fake.scene(empty_text_every=2):
        answer = fake.answer()
    _all_counted(kit, answer)


def _all_counted(kit: Kit, answer: Answer) -> None:
    need(answer.request.output_tokens == OUTPUT_TOKENS, f"{answer.request.output_tokens} tokens")
    if kit.behaviour.usage == "asked":
        need(_in_events(answer) == OUTPUT_TOKENS, f"the events tell {_in_events(answer)}")


@check
def first_token_has_a_time(kit: Kit) -> None:
    """The first token comes after the request and before the last one."""
    row = kit.fake().answer().request
    need(row.first_ns and row.last_ns, "no event has content")
    assert row.first_ns is not None
    assert row.last_ns is not None
    need(row.sent_ns < row.first_ns < row.last_ns, "first, last and send are not in order")


@check
def cached_tokens_told(kit: Kit) -> None:
    """Cached prompt tokens are told with the usage, so that cold caches are proved."""
    applies(kit.behaviour.usage == "asked", "the engine does not tell them")
    fake = kit.fake()
    with fake.scene(cached=8):
        told = fake.answer().request.cached_tokens
    need(told == 8, f"8 were cached, {told} are told")


@check
def one_answer_is_read(kit: Kit) -> None:
    """A request that does not stream gets one answer, with exact usage."""
    row = kit.fake().answer(stream=False).request
    need(row.output_tokens == OUTPUT_TOKENS, f"{row.output_tokens} tokens")
    need(row.input_tokens == PROMPT_TOKENS, f"{row.input_tokens} prompt tokens")


@check
def many_at_once(kit: Kit) -> None:
    """Requests side by side are each answered whole."""
    fake = kit.fake()
    rows = [
        a.request for a in fake.ask(*(fake.completion(number=i) for i in range(8)), concurrency=4)
    ]
    need(all(row.status == "ok" for row in rows), f"failed: {[r.error for r in rows if r.error]}")
    need(all(row.output_tokens == OUTPUT_TOKENS for row in rows), "lengths differ")


@check
def body_is_accepted(kit: Kit) -> None:
    """The engine takes the request as it is: no field that it would refuse."""
    row = kit.fake().ask(kit.fake().completion())[0].request
    need(row.http_status == 200, f"HTTP {row.http_status}: {row.error}")


@check
def listed_fields_accepted(kit: Kit) -> None:
    """The engine takes every field that the adapter calls accepted."""
    applies(kit.engine.request_fields, "it lists no fields")
    applies(kit.behaviour.fields, "what the engine takes is not known beyond the adapter's list")
    wrong = kit.engine.request_fields - kit.behaviour.fields
    need(not wrong, f"refused by the engine: {', '.join(sorted(wrong))}")


@check
def unknown_field_told(kit: Kit) -> None:
    """A field that the engine does not know is refused, and the refusal is told."""
    applies(kit.behaviour.unknown_fields, "the engine ignores them")
    fake = kit.fake()
    (answer,) = fake.ask(talk.body({**_fields(fake), "made_up_field": 1}))
    row = answer.request
    need(row.http_status == kit.behaviour.unknown_fields, f"HTTP {row.http_status}")
    need("made_up_field" in (row.error or ""), f"told as {row.error!r}")


@check
def bad_request_told(kit: Kit) -> None:
    """A refused request is an error with the engine's own words, in its shape."""
    fake = kit.fake()
    (answer,) = fake.ask(talk.body({**_fields(fake), "prompt": {"no": "prompt"}}))
    need(answer.request.http_status == 400, f"HTTP {answer.request.http_status}")
    need("bad request" in (answer.request.error or ""), f"told as {answer.request.error!r}")


@check
def wrong_model_told(kit: Kit) -> None:
    """A model that is not served is an error with its name."""
    fake = kit.fake()
    (answer,) = fake.ask(talk.body({**_fields(fake), "model": "made-up-other"}))
    need("made-up-other" in (answer.request.error or ""), f"told as {answer.request.error!r}")


@check
def error_in_stream_told(kit: Kit) -> None:
    """An error inside a 200 stream is a failure, with the engine's words."""
    fake = kit.fake()
    with fake.scene(fault="error"):
        row = _error(fake)
    need(row.http_status == 200, f"HTTP {row.http_status}")
    need("overloaded on purpose" in (row.error or ""), f"told as {row.error!r}")


@check
def overload_told(kit: Kit) -> None:
    """Overload is a failure in the engine's own way: 503, or an error inside a 200 stream."""
    fake = kit.fake()
    in_stream = kit.behaviour.overload == "stream"
    with fake.scene(fault="overload" if in_stream else "status"):
        row = _error(fake)
    need(row.http_status == (200 if in_stream else 503), f"HTTP {row.http_status}")
    need("overloaded on purpose" in (row.error or ""), f"told as {row.error!r}")


@check
def overload_of_one_answer_told(kit: Kit) -> None:
    """Overload of a request that does not stream is 503, and a failure."""
    fake = kit.fake()
    with fake.scene(fault="overload"):
        row = _error(fake, stream=False)
    need(row.http_status == 503, f"HTTP {row.http_status}")


@check
def cut_stream_told(kit: Kit) -> None:
    """A stream that breaks off is a failure, however much of it came."""
    fake = kit.fake()
    with fake.scene(fault="cut"):
        row = _error(fake)
    need(row.first_ns is not None, "nothing of it came")


@check
def key_asked_for(kit: Kit) -> None:
    """Its key reaches the server otherwise than as an argument, and is needed for an answer."""
    applies(kit.engine.api_key, "it takes no key: whoever is on this machine can ask it")
    fake = kit.fake()
    key = fake.server.headers["authorization"].removeprefix("Bearer ")
    need(key not in " ".join(fake.seen()["argv"]), "the key is on the command line")
    said = msgspec.json.decode(fake.completion(stream=False).content)
    found, _ = talk.call(fake.server, "POST", kit.engine.endpoint, said, key=False)
    need(found == 401, f"without the key it answers {found}")
    fake.answer()


@check
def client_may_leave(kit: Kit) -> None:
    """A client that goes away ends its request, and the server answers the next one."""
    fake = kit.fake()
    before = fake.seen()["aborted"]
    content = fake.completion().content
    head = f"POST {kit.engine.endpoint} HTTP/1.1\r\nhost: x\r\ncontent-length: {len(content)}\r\n"
    head += "".join(f"{name}: {value}\r\n" for name, value in fake.server.headers.items()) + "\r\n"
    with fake.scene(hold=True):
        with socket.create_connection(
            (fake.server.host, fake.server.port), timeout=PATIENCE_S
        ) as left:
            left.sendall(head.encode() + content)
            left.recv(1024)
        until = time.monotonic() + PATIENCE_S
        while fake.seen()["running"] and time.monotonic() < until:
            time.sleep(0.02)
    seen = fake.seen()
    need(not seen["running"], "its request still runs")
    need(seen["aborted"] == before + 1, "its request was not seen to be aborted")
    fake.answer()


CHECKS: tuple[Check[Kit], ...] = checks_of(list(globals().values()))
