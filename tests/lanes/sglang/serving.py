"""Starts real SGLang on the processor, through the adapter's own command, with the stub kernels."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import secrets
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inferometer import environment, packaged, workload
from inferometer.attached import fetch
from inferometer.engine import LaunchContext, LaunchSpec, Requirements
from inferometer.launch import serve
from inferometer.loadgen.driver import Answer, collect
from inferometer.loadgen.http import Target
from inferometer.point import request_bodies
from inferometer.ports import lease
from inferometer_engines.sglang import Sglang
from inferometer_engines.vllm import TORCH_CPU_INDEX, Vllm

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from inferometer.engine import Readiness
    from inferometer.environment import Environment
    from inferometer.launch import Server

HERE = Path(__file__).parent
HOST = "127.0.0.1"
ENGINE = Sglang()
STREAMS = 4
"""Requests that run at once, and as many may wait; more are turned away."""
KV_TOKENS = 8192
SHARED = Path("/dev/shm")
"""Where SGLang leaves files whatever it is told."""
VARIABLES = {
    "PYTHONPATH": str(HERE / "stub"),
    # Threads that spin for each other stand still on a busy machine.
    "OMP_NUM_THREADS": "1",
    "OMP_WAIT_POLICY": "passive",
}
MARK = "INFEROMETER_LANE"
"""A variable by which the processes of one server are found."""


def built() -> Environment:
    """Return SGLang's environment, built now if it is not in the cache."""
    requirements = Requirements(
        distribution="sglang",
        lock=(HERE / "requirements.txt").read_text(encoding="utf-8"),
        optional_index=TORCH_CPU_INDEX,
    )
    return environment.prepare(
        requirements, environment.current_platform("cpu"), environment.cache_root(), print
    )


def model(name: str) -> Path:
    """Return a packaged model; made in vLLM's environment, for SGLang's cannot convert."""
    root, platform = environment.cache_root(), environment.current_platform("cpu")
    if found := packaged.available(name, root):
        return found
    maker = environment.prepare(Vllm().requirements(platform), platform, root, print)
    return packaged.ensure(name, maker.python, root, print)


def context(built: Environment, at: Path, port: int, **spec: Any) -> LaunchContext:
    """Return what the adapter is told; ``spec`` are fields of the specification."""
    return LaunchContext(
        python=built.python,
        version=built.version,
        model_path=at,
        model_name=str(at),
        host=HOST,
        port=port,
        platform=environment.current_platform("cpu"),
        spec=LaunchSpec(**spec),
        profile="defaults",
        cores=os.cpu_count() or 1,
        memory_bytes=8 << 30,
    )


@dataclass(slots=True)
class Live:
    """A server that answers. ``mark`` is in the environment of its processes alone."""

    server: Server
    model: Path
    readiness: Readiness
    mark: str
    before: set[str]
    stack: contextlib.ExitStack = field(repr=False)
    stop_s: float | None = None

    @property
    def tokenizer(self) -> Path:
        """Return the model's tokenizer file."""
        return self.model / "tokenizer.json"

    def send(
        self, prompts: workload.PromptSet, lengths: Sequence[int], streams: int = STREAMS
    ) -> list[Answer]:
        """Send prompts through the load path, the first alone, and return the answers in order."""
        bodies = request_bodies(ENGINE, str(self.model), prompts, lengths)
        target = Target(host=HOST, port=self.server.port, path=ENGINE.endpoint)
        return collect(target, bodies, streams, should_stop=self.server.dead)

    def get(self, path: str) -> bytes:
        """GET a path and return the body of its 200 answer."""
        status, body = fetch(HOST, self.server.port, path, timeout_s=30.0)
        assert status == 200, (path, status, body[:200])
        return body

    def post(self, path: str, body: object = None) -> tuple[int, bytes]:
        """POST JSON (or nothing) and return status and body."""
        with contextlib.closing(self.opened(path, body)) as connection:
            answer = connection.getresponse()
            return answer.status, answer.read()

    def opened(self, path: str, body: object = None) -> http.client.HTTPConnection:
        """Send a request and return its connection, the answer unread."""
        connection = http.client.HTTPConnection(HOST, self.server.port, timeout=120)
        content = None if body is None else json.dumps(body)
        connection.request("POST", path, content, {"Content-Type": "application/json"})
        return connection

    def stop(self) -> None:
        """End the server, once."""
        if self.stop_s is None:
            began = time.monotonic()
            self.stack.close()
            self.stop_s = time.monotonic() - began

    def processes(self) -> list[str]:
        """Return the command lines of all processes that have this server's variables."""
        found = []
        mark = f"{MARK}={self.mark}".encode()
        for folder in Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                if folder.name.isdigit() and mark in (folder / "environ").read_bytes().split(b"\0"):
                    found.append((folder / "cmdline").read_text(errors="replace"))
        return [line for line in found if line and "supervise.py" not in line]

    def shared_left(self) -> set[str]:
        """Return what SGLang put into shared memory since before the start."""
        return {name for name in shared() if name.startswith("sglang")} - self.before


def shared() -> set[str]:
    """Return the names of the files in shared memory."""
    return {entry.name for entry in SHARED.iterdir()}


@contextlib.contextmanager
def live(built: Environment, at: Path, folder: Path) -> Iterator[Live]:
    """Serve a model with the stub kernels until :meth:`Live.stop` or the end."""
    with contextlib.ExitStack() as stack:
        mark = secrets.token_hex(8)
        port = stack.enter_context(lease(HOST))
        command = ENGINE.command(
            context(
                built,
                at,
                port,
                max_model_len=1024,
                max_num_seqs=STREAMS,
                kv_cache_tokens=KV_TOKENS,
                graphs=False,
                seed=0,
                attention_backend="torch_native",
                extra_args=("--max-queued-requests", str(STREAMS)),
                extra_env={**VARIABLES, MARK: mark},
            )
        )
        readiness = command.readiness or ENGINE.readiness
        before, serving = shared(), stack.enter_context(contextlib.ExitStack())
        server = serving.enter_context(
            serve(
                command,
                host=HOST,
                port=port,
                readiness=readiness,
                failures=ENGINE.failures,
                folder=folder,
                deadline_s=900.0,
            )
        )
        running = Live(server, at, readiness, mark, before, serving)
        try:
            yield running
        finally:
            running.stop()
