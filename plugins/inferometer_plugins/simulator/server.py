"""The model behind the completions protocol: ``python -m inferometer_plugins.simulator.server``.

Answers are as long as asked for and hold one word over and over: only their times mean anything.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
from hmac import compare_digest
from pathlib import Path
from typing import Annotated, Any, cast

import httptools
import msgspec
import uvloop

from inferometer_plugins.simulator.adapter import KEY_VARIABLE, SETTINGS
from inferometer_plugins.simulator.live import Live
from inferometer_plugins.simulator.model import NOISES, PRESETS, Params

WORD, TOKEN = " word", 1
LONGEST = 1 << 20
"""Most tokens of an answer."""
EVENTS = "text/event-stream; charset=utf-8"


class Ask(msgspec.Struct, forbid_unknown_fields=True):
    """A completion request; a text's tokens are its words."""

    model: str
    prompt: list[int] | str
    max_tokens: Annotated[int, msgspec.Meta(ge=1, le=LONGEST)] = 16
    min_tokens: int = 0
    ignore_eos: bool = False
    temperature: float = 0.0
    stream: bool = False
    stream_options: dict[str, Any] | None = None
    return_token_ids: bool = False

    @property
    def prompt_tokens(self) -> int:
        """Return how many tokens were sent."""
        return len(self.prompt.split() if isinstance(self.prompt, str) else self.prompt)


_ask = msgspec.json.Decoder(Ask)


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What a server was started with."""

    model: str
    seed: int
    params: Params
    told: dict[str, str]
    """What a study says and nothing depends on."""
    max_model_len: int | None


class Service:
    """What connections share."""

    def __init__(self, settings: Settings) -> None:
        self.settings, self.model = settings, settings.model
        self.live = Live(settings.params, settings.seed)
        key = os.environ.get(KEY_VARIABLE, "")
        self.key = f"Bearer {key}".encode() if key else b""
        """What a request for a completion must carry; empty: nothing."""

    def answer(self, path: str) -> tuple[int, str, bytes]:
        """Return status, content type and content of a GET."""
        if path == "/health":
            return 200, "application/json", b"{}"
        if path == "/metrics":
            return 200, "text/plain; version=0.0.4", self._metrics()
        if path == "/v1/models":
            listed = {"object": "list", "data": [{"id": self.model, "object": "model"}]}
            return 200, "application/json", msgspec.json.encode(listed)
        if path == SETTINGS:
            return 200, "application/json", msgspec.json.encode(self.settings)
        return 404, "application/json", refusal(404, f"no such path: {path[:100]}")

    def refused(self, body: bytes) -> Ask | tuple[int, bytes]:
        """Return the request, or status and content of its refusal."""
        try:
            ask = _ask.decode(body)
            self._fit(ask)
        except (msgspec.MsgspecError, ValueError) as error:
            return 400, refusal(400, f"bad request: {error}")
        if ask.model != self.model:
            return 404, refusal(404, f"the model {ask.model[:200]} does not exist")
        return ask

    def _fit(self, ask: Ask) -> None:
        most, tokens = self.settings.max_model_len, ask.prompt_tokens + ask.max_tokens
        if most is not None and tokens > most:
            raise ValueError(f"{tokens} tokens are more than max_model_len, {most}")

    def _metrics(self) -> bytes:
        batch, counts = self.live.batch, self.live.counts
        values: dict[str, tuple[str, float]] = {
            "prompt_tokens_total": ("counter", counts.prompt),
            "generation_tokens_total": ("counter", counts.output),
            "request_success_total": ("counter", counts.finished),
            "request_aborted_total": ("counter", counts.aborted),
            "preemptions_total": ("counter", batch.preempted),
            "steps_total": ("counter", batch.steps),
            "energy_joules_total": ("counter", round(counts.joules, 3)),
            "requests_running": ("gauge", batch.running),
            "requests_waiting": ("gauge", len(batch.waiting)),
        }
        lines = (
            f"# TYPE simulator:{name} {kind}\nsimulator:{name} {value}\n"
            for name, (kind, value) in values.items()
        )
        return "".join(lines).encode()


class Connection(asyncio.Protocol):
    """A keep-alive connection, with one request at a time."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None
        self._path, self._body, self._key = "", b"", b""
        self._ask: Ask | None = None
        self._number, self._made = 0, 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport."""
        # uvloop's transports do not inherit from asyncio.Transport
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, _exc: Exception | None) -> None:
        """End what was asked for."""
        self._transport = None
        if self._ask is not None:
            self._service.live.leave(self._number)

    def data_received(self, data: bytes) -> None:
        """Parse."""
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            if self._transport is not None:
                self._transport.abort()

    def on_message_begin(self) -> None:
        """Begin a request."""
        self._path, self._body, self._key = "", b"", b""

    def on_url(self, url: bytes) -> None:
        """Keep the path."""
        self._path = url.decode("latin-1").split("?", 1)[0]

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep the key."""
        if name.lower() == b"authorization":
            self._key = value

    def on_body(self, body: bytes) -> None:
        """Keep a piece of the body."""
        self._body += body

    def on_message_complete(self) -> None:
        """Answer."""
        if self._ask is not None:  # nobody may pipeline requests
            assert self._transport is not None
            self._transport.abort()
        elif self._path == "/v1/completions":
            self._complete()
        else:
            self._reply(*self._service.answer(self._path))

    def _complete(self) -> None:
        if self._service.key and not compare_digest(self._key, self._service.key):
            self._reply(401, "application/json", refusal(401, "wrong or missing key"))
            return
        ask = self._service.refused(self._body)
        if not isinstance(ask, Ask):
            self._reply(ask[0], "application/json", ask[1])
            return
        try:
            live = self._service.live
            self._number = live.submit(self, ask.prompt_tokens, ask.max_tokens)
        except ValueError as error:  # no prompt at all, or more than the cache holds
            self._reply(400, "application/json", refusal(400, f"bad request: {error}"))
            return
        self._ask, self._made = ask, 0
        if ask.stream:
            self._write(head(EVENTS, "transfer-encoding: chunked"))

    def token(self) -> None:
        """Write a token; behind the last one the end of the answer."""
        ask = self._ask
        assert ask is not None
        self._made += 1
        last = self._made == ask.max_tokens
        if ask.stream:
            self._write(framed(event(self._chunk(ask, last=last))))
        if not last:
            return
        self._ask = None
        body = self._completion([]) | {"usage": usage(ask)}
        if ask.stream:
            told = (ask.stream_options or {}).get("include_usage")
            end = (event(body) if told else b"") + b"data: [DONE]\n\n"
            self._write(framed(end) + b"0\r\n\r\n")
            return
        body["choices"] = [choice(ask, ask.max_tokens, last=True)]
        self._reply(200, "application/json", msgspec.json.encode(body))

    def _chunk(self, ask: Ask, *, last: bool) -> dict[str, Any]:
        return self._completion([choice(ask, 1, last=last)])

    def _completion(self, choices: list[dict[str, Any]]) -> dict[str, Any]:
        return {
            "id": f"cmpl-{self._number}",
            "object": "text_completion",
            "created": 1,
            "model": self._service.model,
            "choices": choices,
        }

    def _reply(self, status: int, kind: str, content: bytes) -> None:
        self._write(head(kind, f"content-length: {len(content)}", status) + content)

    def _write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)


def choice(ask: Ask, tokens: int, *, last: bool) -> dict[str, Any]:
    """Return a choice of so many tokens."""
    return {
        "index": 0,
        "text": WORD * tokens,
        "logprobs": None,
        "finish_reason": "length" if last else None,
        "token_ids": [TOKEN] * tokens if ask.return_token_ids else None,
    }


def usage(ask: Ask) -> dict[str, Any]:
    """Return the counts of an answer; nothing is ever cached."""
    return {
        "prompt_tokens": ask.prompt_tokens,
        "completion_tokens": ask.max_tokens,
        "total_tokens": ask.prompt_tokens + ask.max_tokens,
        "prompt_tokens_details": {"cached_tokens": 0},
    }


def refusal(status: int, message: str) -> bytes:
    """Return the content of an error."""
    return msgspec.json.encode({"error": {"message": message, "code": status}})


def event(body: dict[str, Any]) -> bytes:
    """Return a server-sent event."""
    return b"data: " + msgspec.json.encode(body) + b"\n\n"


def framed(data: bytes) -> bytes:
    """Return a chunk of a body."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def head(kind: str, framing: str, status: int = 200) -> bytes:
    """Return the head of an answer."""
    return f"HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\n{framing}\r\n\r\n".encode()


async def serve(settings: Settings, host: str, port: int) -> None:
    """Serve until SIGTERM or SIGINT."""
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    made = Service(settings)
    steps = asyncio.create_task(made.live.run())
    steps.add_done_callback(lambda _: stop.set())
    server = await loop.create_server(lambda: Connection(made), host, port)
    await stop.wait()
    server.close()
    steps.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await steps


def options(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m inferometer_plugins.simulator.server")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--preset", choices=sorted(PRESETS), default="reference")
    parser.add_argument("--params", type=Path, help="a JSON file with Params, in place of a preset")
    parser.add_argument("--noise", choices=sorted(NOISES))
    parser.add_argument("--slowdown", type=float)
    parser.add_argument("--max-seqs", type=int)
    parser.add_argument("--budget", type=int)
    parser.add_argument("--kv-tokens", type=int)
    parser.add_argument("--told", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--max-model-len", type=int)
    parser.add_argument("--seed", type=int, help="of the noise; unset: another one each launch")
    return parser.parse_args(argv)


def params_of(given: argparse.Namespace) -> Params:
    """Return the engine that a command line describes."""
    params = PRESETS[given.preset]
    if given.params is not None:
        params = msgspec.json.decode(given.params.read_bytes(), type=Params)
    names = ("slowdown", "max_seqs", "budget", "kv_tokens")
    changes = {name: getattr(given, name) for name in names if getattr(given, name) is not None}
    noise = params.noise if given.noise is None else NOISES[given.noise]
    return msgspec.structs.replace(params, noise=noise, **changes)


def main(argv: list[str] | None = None) -> None:
    """Serve as a process."""
    given = options(argv)
    seed = given.seed if given.seed is not None else int.from_bytes(os.urandom(4), "big")
    settings = Settings(
        model=given.model,
        seed=seed,
        params=params_of(given),
        told=dict(word.split("=", 1) for word in given.told),
        max_model_len=given.max_model_len,
    )
    uvloop.run(serve(settings, given.host, given.port))


if __name__ == "__main__":
    main()
