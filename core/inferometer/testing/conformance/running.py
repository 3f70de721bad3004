"""The checks against an engine that really runs: what only the engine itself can say.

The caller starts the server and ends it, and so sees readiness and shutdown as in a run.
"""

from __future__ import annotations

import socket
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

from inferometer import counters, workload
from inferometer.engine import Completion
from inferometer.testing.check import applies, check, checks_of, need
from inferometer.testing.conformance import talk

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

    from inferometer.engine import Engine, Readiness
    from inferometer.launch import Server
    from inferometer.loadgen.driver import Answer, Body
    from inferometer.testing.check import Check, Result

INPUT_TOKENS, OUTPUT_TOKENS = 48, 12
STREAMS = 4
AT_ONCE = 32
"""Requests of an overload: more than engines of a test take into one batch."""
PLAUSIBLE: Mapping[str, Any] = {
    "top_p": 1.0,
    "seed": 7,
    "min_tokens": OUTPUT_TOKENS,
    "ignore_eos": True,
    "detokenize": True,
    "add_special_tokens": False,
    "return_token_ids": True,
}
"""Values of fields that an adapter may use, where none of its own requests has one."""


@dataclass(frozen=True, slots=True)
class Live:
    """A running server and what to ask it."""

    engine: Engine
    server: Server
    model: str
    tokenizer: Path
    readiness: Readiness
    known: Mapping[str, str] = field(default_factory=dict)

    def completions(
        self, count: int, salt: str, *, tokens: int = OUTPUT_TOKENS, stream: bool = True
    ) -> list[Body]:
        """Return requests whose prompts nobody has sent before."""
        prompts = workload.build(self.tokenizer, INPUT_TOKENS, count, time.time_ns(), salt)
        return [
            talk.body(
                self.engine.request(
                    Completion(
                        model=self.model,
                        prompt_ids=ids,
                        prompt_text=text,
                        output_tokens=tokens,
                        stream=stream,
                    )
                ),
                INPUT_TOKENS,
                tokens,
            )
            for ids, text in zip(prompts.ids, prompts.text, strict=True)
        ]

    def answers(self, bodies: list[Body], concurrency: int = 1) -> list[Answer]:
        """Send requests and return their answers, all of them whole."""
        answers = talk.ask(self.engine, self.server, bodies, concurrency)
        for answer in answers:
            need(answer.request.status == "ok", f"a request failed: {answer.request.error}")
        return answers

    def settled(self) -> dict[str, float]:
        """Return the counters once two readings 0.3 s apart agree; they trail the answers."""
        before: dict[str, float] = {}
        for _ in range(40):
            now = talk.counted(self.engine, self.server, before)
            if before and not any(_grown(before, now).values()):
                return now
            before = now
            time.sleep(0.3)
        return before


def _grown(before: dict[str, float], after: dict[str, float]) -> dict[str, float]:
    return counters.difference(before, after)


@check
def ready(live: Live) -> None:
    """The readiness path answers 200."""
    found = talk.status(live.server, live.readiness.path)
    need(found == 200, f"{live.readiness.path} answers {found}")


@check
def readiness_undisturbing(live: Live) -> None:
    """Asking for readiness moves no counter."""
    applies(live.engine.metrics, "no counters")
    before = live.settled()
    for _ in range(3):
        talk.status(live.server, live.readiness.path)
    moved = {name: by for name, by in _grown(before, live.settled()).items() if by}
    idle = {name: by for name, by in moved.items() if name.endswith("_s")}
    need(moved == idle, f"{live.readiness.path} moves {', '.join(moved)}")


@check
def streams_exact_tokens(live: Live) -> None:
    """Streamed answers have exactly the tokens asked for, and every prompt arrives whole."""
    for answer in live.answers(live.completions(2 * STREAMS, "streams"), STREAMS):
        row = answer.request
        need(row.input_tokens == INPUT_TOKENS, f"usage tells {row.input_tokens} prompt tokens")
        need(row.output_tokens == OUTPUT_TOKENS, f"{row.output_tokens} tokens came")
        need(row.tokens_from != "none", "no event tells how many tokens are in it")
        counted = sum(tokens for _, tokens, _, _ in answer.chunks)
        need(counted == OUTPUT_TOKENS, f"the events tell {counted} tokens")


@check
def whole_answer(live: Live) -> None:
    """A request that does not stream gets one JSON answer with exact usage."""
    (row,) = (a.request for a in live.answers(live.completions(1, "whole", stream=False)))
    need(row.output_tokens == OUTPUT_TOKENS, f"usage tells {row.output_tokens} tokens")
    need(row.input_tokens == INPUT_TOKENS, f"usage tells {row.input_tokens} prompt tokens")


@check
def fields_accepted(live: Live) -> None:
    """The server takes every field that the adapter calls accepted."""
    fields = live.engine.request_fields
    applies(fields, "the adapter lists no fields")
    (one,) = live.completions(1, "fields")
    said = msgspec.json.decode(one.content, type=dict[str, Any])
    for name in sorted(fields - said.keys() & PLAUSIBLE.keys()):
        (answer,) = talk.ask(
            live.engine, live.server, [talk.body({**said, name: PLAUSIBLE[name]}, 0, 0)]
        )
        need(answer.request.status == "ok", f"{name}: {answer.request.error}")


@check
def counters_move(live: Live) -> None:
    """Counters grow by what was sent: prompt tokens, output tokens, requests."""
    applies(live.engine.metrics, "no counters")
    count = 2 * STREAMS
    before = live.settled()
    live.answers(live.completions(count, "counters"), STREAMS)
    grown = _grown(before, live.settled())
    prompt, output = count * INPUT_TOKENS, count * OUTPUT_TOKENS
    wanted = {
        "prompt_tokens": {prompt},
        "output_tokens": {output, output - count},  # some leave out what prefill makes
        "requests_finished": {count},
    }
    declared = {counter.name for counter in live.engine.metrics.counters}  # type: ignore[union-attr]
    wrong = {
        name: grown.get(name)
        for name, right in wanted.items()
        if name in declared and grown.get(name) not in right
    }
    need(not wrong, f"after {count} requests of {INPUT_TOKENS} and {OUTPUT_TOKENS} tokens: {wrong}")


@check
def cache_reset(live: Live) -> None:
    """The cache reset is done when the engine is idle, and nothing is cached after it."""
    how = live.engine.cache_reset
    applies(how, "the adapter declares none: prompts must differ")
    assert how is not None
    bodies = live.completions(1, "reset")
    live.answers(bodies)
    need(talk.reset(live.server, how), f"{how.method} {how.path} is not done")
    (answer,) = live.answers(bodies)
    cached = answer.request.cached_tokens
    need(not cached, f"{cached} tokens of the same prompt were still cached")


@check
def bad_request(live: Live) -> None:
    """A request that makes no sense is refused with a message."""
    (one,) = live.completions(1, "bad")
    said = msgspec.json.decode(one.content, type=dict[str, Any]) | {"max_tokens": "many"}
    (answer,) = talk.ask(live.engine, live.server, [talk.body(said)])
    row = answer.request
    need(row.status == "error", "max_tokens = 'many' was answered")
    need(row.http_status in range(400, 500), f"it was answered with {row.http_status}")
    need(row.error and row.error != f"HTTP {row.http_status}", f"no message: {row.error}")


@check
def key_needed(live: Live) -> None:
    """Without the key of the launch no completion is answered."""
    applies(live.server.headers, "the server was started without a key")
    (one,) = live.completions(1, "no key", stream=False)
    found, _ = talk.call(
        live.server, "POST", live.engine.endpoint, msgspec.json.decode(one.content), key=False
    )
    need(found == 401, f"without its key it answers {found}")


@check
def overload(live: Live) -> None:
    """Of many requests at once each is answered whole or refused with a message, none in part."""
    rows = [
        answer.request
        for answer in talk.ask(
            live.engine, live.server, live.completions(AT_ONCE, "overload"), AT_ONCE
        )
    ]
    need(len(rows) == AT_ONCE, f"{AT_ONCE - len(rows)} of {AT_ONCE} requests have no end")
    for row in rows:
        if row.status == "ok":
            need(row.output_tokens == OUTPUT_TOKENS, f"{row.output_tokens} tokens came")
            continue
        need(row.http_status, f"a request got no answer at all: {row.error}")
        need(row.error != f"HTTP {row.http_status}", f"refused without a word: {row.error}")
        need(row.first_ns is None, f"an answer that had begun failed: {row.error}")
    need(any(row.status == "ok" for row in rows), f"none was answered: {rows[0].error}")
    live.answers(live.completions(1, "after overload"))


@check
def resolved_configuration(live: Live) -> None:
    """Every route of the resolved configuration answers with JSON."""
    paths = live.engine.resolved_configuration
    applies(paths, "the adapter declares none")
    for path in paths:
        route, _, key = path.partition("#")
        answer = live.server.get_json(route)
        need(answer, f"{route} has no JSON answer")
        need(not key or (isinstance(answer, dict) and answer.get(key)), f"{route} has no {key}")


@check
def client_leaves(live: Live) -> None:
    """A client that goes away ends its request, and the server still answers."""
    (one,) = live.completions(1, "leaves", tokens=512)
    head = f"POST {live.engine.endpoint} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
    head += "".join(f"{name}: {value}\r\n" for name, value in live.server.headers.items())
    request = head.encode()
    with socket.create_connection((live.server.host, live.server.port), timeout=60) as left:
        left.sendall(request + b"content-length: %d\r\n\r\n%b" % (len(one.content), one.content))
        left.recv(4096)
    if live.engine.metrics and any(
        counter.name == "requests_running" for counter in live.engine.metrics.counters
    ):
        for _ in range(50):
            if not talk.counted(live.engine, live.server).get("requests_running"):
                break
            time.sleep(0.2)
        else:
            need(False, "its request still runs 10 s later")
    live.answers(live.completions(1, "after"))


CHECKS: tuple[Check[Live], ...] = checks_of(list(globals().values()))


def live(
    engine: Engine,
    server: Server,
    *,
    model: str,
    tokenizer: Path,
    readiness: Readiness | None = None,
    known: Mapping[str, str] | None = None,
    only: Collection[str] = (),
) -> list[Result]:
    """Check ``engine`` against a server of it that runs; takes seconds and about 60 requests.

    ``model`` is the name requests use, ``tokenizer`` its ``tokenizer.json``; ``readiness`` is the
    command's own where it has one. ``known`` are reasons of failures by check id; ``only`` names
    the checks to run. The server must be idle, take 560 tokens of context, and stays running. Start
    it with a limit on its queue to see how it refuses.
    """
    subject = Live(engine, server, model, tokenizer, readiness or engine.readiness, known or {})
    return [each.run(subject) for each in CHECKS if not only or each.id in only]
