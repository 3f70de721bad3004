"""A fake engine server, as a process: ``server.py SETUP ARGV...``.

It reads the real command line and configuration file that an adapter made, serves the routes the
adapter declares, and behaves as the engine does. ``SETUP`` is the JSON of :class:`Setup`. A
running server is steered by ``POST /__scene`` (see :class:`Scene`) and asked by ``GET /__seen``.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from inferometer.testing.fakes.sampling import endless
from inferometer.testing.fakes.scene import Scene, Setup, paths
from inferometer.testing.fakes.tally import Tally
from inferometer.testing.options import Options
from inferometer.testing.script import error_body, script

if TYPE_CHECKING:
    from collections.abc import Mapping

HOSTS = ("--host", "--hostname", "--bind", "--listen")
PORTS = ("--port", "--http-port", "-p")
GAP_S = 0.001
"""Between two packets of an answer."""


def option(argv: list[str], names: tuple[str, ...]) -> str | None:
    """Return what follows the first of ``names`` on a command line, or its ``=``."""
    for place, word in enumerate(argv):
        flag, equals, value = word.partition("=")
        if flag in names:
            return value if equals else next(iter(argv[place + 1 :]), None)
    return None


class Fake:
    """The server: what it was set up with, what it has counted, what it has seen."""

    def __init__(self, setup: Setup, argv: list[str]) -> None:
        self.setup = setup
        self.argv = argv
        self.scene = setup.scene
        self.tally = Tally(setup)
        self.ready = False
        self.files: dict[str, Any] = {}
        self.key = os.environ.get(setup.key_variable, "") if setup.key_variable else ""
        if setup.key_flag and (file := option(argv, (setup.key_flag,))):
            self.key = Path(file).read_text(encoding="utf-8")
        self.said = "\n".join([*argv, *(f"{name}={value}" for name, value in os.environ.items())])

    def refuse(self, message: str) -> None:
        """End as an engine does that cannot start."""
        sys.stdout.write(f"{message}\n")
        sys.stdout.flush()
        raise SystemExit(1)

    def read_command(self) -> tuple[str, int]:
        """Return host and port; end where an option or a setting is not known."""
        setup = self.setup
        for word in self.argv:
            name = word.partition("=")[0]
            if name.startswith("--") and name not in setup.options:
                self.refuse(setup.unknown_option.replace("{}", name))
            file = Path(word.partition("=")[2] or word)
            if file.is_absolute() and file.parent == Path(setup.files) and file.is_file():
                self.read_file(file)
        port = option(self.argv, PORTS) or self.setting("port")
        if port is None:
            self.refuse("no port on the command line, and none in a configuration file")
        if setup.model not in " ".join([*self.argv, json.dumps(self.files)]):
            self.refuse("no model on the command line, and none in a configuration file")
        return option(self.argv, HOSTS) or self.setting("host") or "127.0.0.1", int(str(port))

    def setting(self, name: str) -> str | None:
        """Return what a configuration file says at its top."""
        files = [found for found in self.files.values() if isinstance(found, dict)]
        return next((str(found[name]) for found in files if name in found), None)

    def read_file(self, file: Path) -> None:
        """Read a configuration file that is JSON, and so YAML; others are only kept."""
        text = file.read_text(encoding="utf-8")
        self.said += f"\n{text}"
        try:
            found = json.loads(text)
        except ValueError:
            found = text
        self.files[file.name] = found
        if unknown := sorted(paths(found) - set(self.setup.settings)):
            self.refuse(self.setup.unknown_setting.replace("{}", unknown[0]))

    # -- serving -----------------------------------------------------------------------------

    async def serve(self, host: str, port: int) -> None:
        """Bind, load, listen, and serve until killed."""
        listening = socket.socket()
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((host, port))
        except OSError:
            self.refuse(self.setup.port_taken.replace("{}", str(port)))
        if self.setup.starting == "refused":
            await asyncio.sleep(self.setup.load_s)
            self.ready = True
        server = await asyncio.start_server(self.connected, sock=listening, backlog=256)
        if not self.ready:
            asyncio.get_running_loop().call_later(self.setup.load_s, setattr, self, "ready", True)
        async with server:
            await server.serve_forever()

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection, request after request."""
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                first, *lines = head.split("\r\n")
                method, target, _ = first.split(" ", 2)
                headers = {
                    name.lower(): value.strip()
                    for name, _, value in (line.partition(":") for line in lines if line)
                }
                body = await reader.readexactly(int(headers.get("content-length", "0")))
                if self.known(target, headers.get("authorization", "")):
                    await self.answer(method, target, body, reader, writer)
                else:
                    send(writer, 401, self.error(401, "Unauthorized"))
        writer.close()

    def known(self, target: str, authorization: str) -> bool:
        """Say whether who asks may: health, counters and what steers us are for everybody."""
        path = target.partition("?")[0]
        if not self.key or path.startswith("/__") or path == self.setup.metrics:
            return True
        key = authorization.removeprefix("Bearer ")
        return path in self.setup.ready or (len(key) > 20 and key in self.key)

    async def answer(
        self,
        method: str,
        target: str,
        body: bytes,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        """Answer one request."""
        setup, path = self.setup, target.partition("?")[0]
        if path == "/__scene":
            self.scene = msgspec.json.decode(body, type=Scene)
            self.tally.steer(self.scene)
            send(writer, 200, {})
        elif path == "/__seen":
            send(writer, 200, self.seen())
        elif not self.ready:
            send(writer, 503, self.error(503, "starting"), setup.starting_headers)
        elif (method, path) == ("POST", setup.endpoint) and self.serves(f"POST {path}"):
            await self.complete(body, reader, writer)
        elif self.serves(f"{method} {path}"):
            send(writer, *self.told(method, target))
        else:
            send(writer, 404, self.error(404, "Not Found"))

    def told(self, method: str, target: str) -> tuple[int, Any]:
        """Return status and body of a route that is no completion."""
        setup, path = self.setup, target.partition("?")[0]
        if (method, path) == (setup.reset_method, setup.reset_path):
            done = (200, setup.reset_done)
            status, said = setup.reset_refused if self.tally.running else done
            return status, said.encode()
        if method == "GET" and path in setup.generating:
            self.tally.finish(self.tally.begin(1, 0), 1)
            return 200, b""
        if method == "GET" and path == setup.metrics:
            return 200, self.tally.page()
        if method == "GET" and (target in setup.answers or path in setup.ready):
            return 200, setup.answers.get(target, b"")
        return 404, self.error(404, "Not Found")

    def serves(self, route: str) -> bool:
        """Say whether the engine has this route, as it was started."""
        return (not self.setup.routes or route in self.setup.routes) and self.has(route)

    def has(self, what: str) -> bool:
        """Say whether what a route or a figure needs was said at the start."""
        return self.setup.needs.get(what, "") in self.said

    def error(self, status: int, message: str) -> dict[str, Any]:
        """Return an error in this engine's words."""
        if self.setup.error_shape in {"nested", "flat"}:
            return error_body(self.setup.error_shape, status, message)
        return {"error" if self.setup.error_shape == "text" else "detail": message}

    def seen(self) -> dict[str, Any]:
        """Return what this process got, for the checks to look at."""
        return {
            "argv": self.argv,
            "environment": dict(os.environ),
            "files": self.files,
            "running": self.tally.running,
            "aborted": self.tally.aborted,
        }

    # -- completions -------------------------------------------------------------------------

    async def complete(
        self, body: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Answer a completion request, or refuse it."""
        setup, scene = self.setup, self.scene
        try:
            asked = msgspec.json.decode(body, type=dict[str, Any])
            unknown = sorted(asked.keys() - set(setup.fields)) if setup.unknown_fields else []
            if unknown:
                send(writer, setup.unknown_fields, self.error(400, f"unknown field {unknown[0]}"))
                return
            plan = script(asked, self.options(asked))
        except (msgspec.DecodeError, KeyError, ValueError, TypeError) as error:
            send(writer, 400, self.error(400, f"bad request: {error}"))
            return
        if asked.get("model") != setup.model_name:
            send(writer, 404, self.error(404, f"no model {asked.get('model')}"))
        elif scene.fault == "status" or (scene.fault == "overload" and not plan.stream):
            send(writer, 503, self.error(503, "overloaded on purpose"))
        elif not plan.stream:
            self.tally.finish(self.tally.begin(plan.prompt_tokens, scene.cached), plan.tokens)
            send(writer, 200, plan.whole())
        else:
            faulty = plan.with_fault("error", Options(error_shape=self.shape)).steps
            steps = faulty if scene.fault in {"error", "overload"} else plan.steps
            began = self.tally.begin(plan.prompt_tokens, scene.cached)
            whole = await self.stream([step.data for step in steps], reader, writer)
            self.tally.finish(began, plan.tokens if whole and not scene.fault else 0, whole=whole)

    @property
    def shape(self) -> Any:
        """Return the shape of an error inside a stream."""
        return "flat" if self.setup.error_shape == "flat" else "nested"

    def options(self, asked: dict[str, Any]) -> Options:
        """Return how the answer looks: usage and ids only as asked, an end unless forbidden."""
        setup, scene = self.setup, self.scene
        told = asked.get("stream_options") or {}
        usage = isinstance(told, dict) and bool(told.get("include_usage"))
        wanted = int(asked.get("max_tokens") or 16)
        return Options(
            model=setup.model_name,
            tokens=wanted if endless(asked) else max(1, wanted // 2),
            tokens_per_chunk=scene.tokens_per_chunk,
            empty_text_every=scene.empty_text_every,
            usage="transformers" if setup.usage == "always" else "vllm" if usage else "none",
            token_ids=setup.token_ids,
            as_asked=True,
            error_shape=self.shape,
            cached_tokens=scene.cached if self.has("cached_tokens") else 0,
        )

    async def stream(
        self, events: list[bytes], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        """Write the events; say whether the client stayed to the end."""
        writer.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
            b"transfer-encoding: chunked\r\n\r\n"
        )
        if self.scene.fault == "cut":
            events = events[: len(events) // 2]
        for place, event in enumerate(events, 1):
            await asyncio.sleep(GAP_S)
            last = place == len(events)
            while last and self.scene.hold and not gone(reader, writer):  # noqa: ASYNC110 -- no event
                await asyncio.sleep(GAP_S)
            if gone(reader, writer):
                return False
            writer.write(b"%x\r\n%b\r\n" % (len(event), event))
        if self.scene.fault == "cut":
            writer.close()
        else:
            writer.write(b"0\r\n\r\n")
        return True


def gone(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    """Say whether the client has closed its end."""
    return reader.at_eof() or writer.is_closing()


def send(
    writer: asyncio.StreamWriter,
    status: int,
    body: Any,
    headers: Mapping[str, str] | None = None,
) -> None:
    """Write one whole answer; what is not bytes goes as JSON."""
    content = body if isinstance(body, bytes) else msgspec.json.encode(body)
    lines = "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
    head = f"HTTP/1.1 {status} X\r\n{lines}content-length: {len(content)}\r\n\r\n"
    writer.write(head.encode() + content)


def main(argv: list[str]) -> None:
    """Serve as a process."""
    setup = msgspec.json.decode(Path(argv[0]).read_bytes(), type=Setup)
    if setup.stubborn:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    fake = Fake(setup, argv[1:])
    if setup.orphan:
        child = subprocess.Popen(["sleep", "60"], start_new_session=True)  # noqa: S607 -- coreutils
        Path(setup.orphan).write_text(str(child.pid), encoding="utf-8")
    asyncio.run(fake.serve(*fake.read_command()))


if __name__ == "__main__":
    main(sys.argv[1:])
