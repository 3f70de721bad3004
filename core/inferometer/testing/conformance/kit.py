"""What the checks work with: one adapter, made-up contexts, and fake servers of its engine."""

from __future__ import annotations

import shutil
import sys
import tempfile
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from inferometer.engine import (
    Command,
    Completion,
    LaunchContext,
    LaunchSpec,
    Platform,
    Speculative,
    Unsupported,
    profiled,
)
from inferometer.keys import keyed
from inferometer.launch import serve
from inferometer.ports import lease
from inferometer.testing.check import Failed, NotApplicable, known_of
from inferometer.testing.conformance import talk
from inferometer.testing.conformance.behaviours import BEHAVIOURS, Behaviour
from inferometer.testing.conformance.known import KNOWN
from inferometer.testing.conformance.setting import setup_of
from inferometer.testing.fakes.scene import Scene

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from inferometer.engine import Engine, Profile
    from inferometer.launch import Server
    from inferometer.loadgen.driver import Answer, Body
    from inferometer.testing.fakes.scene import Setup

HOST = "127.0.0.1"
HOME = Path("/made-up/environment")
PROMPT_TOKENS, OUTPUT_TOKENS = 20, 12
WORDS = [
    "interferometers",
    "compare",
    "two",
    "beams",
    "of",
    "light",
    "by",
    "letting",
    "them",
    "meet",
    "again",
]
SERVER = Path(__file__).parent.parent / "fakes" / "server.py"
PATIENCE_S = 30.0
"""For what takes milliseconds on a machine that does nothing else."""
PLATFORMS = tuple(
    Platform(system="linux", machine=machine, python="3.11", accelerator=accelerator)
    for accelerator in ("cuda", "cpu", "rocm")
    for machine in ("x86_64", "aarch64")
)
VALUES: Mapping[str, Sequence[Any]] = {
    "dtype": ["float16"],
    "tensor_parallel_size": [2],
    "pipeline_parallel_size": [2],
    "data_parallel_size": [2],
    "expert_parallel_size": [2],
    "max_model_len": [4096],
    "max_num_seqs": [64],
    "max_num_batched_tokens": [2048],
    "kv_cache_dtype": ["fp8", "bfloat16"],
    "kv_cache_tokens": [65536],
    "kv_cache_bytes": [2**30],
    "prefix_caching": [False, True],
    "chunked_prefill": [False, True],
    "graphs": [False, True],
    "quantization": ["fp8"],
    "speculative": [
        Speculative(method=method, tokens=3, model=None if method == "ngram" else "/made-up/draft")
        for method in ("draft_model", "eagle", "eagle3", "mtp", "ngram")
    ],
    "stream_interval": [4],
    "attention_backend": ["TRITON"],
    "moe_backend": ["triton"],
    "seed": [7],
    "extra_args": [("--made-up-flag", "made-up-value")],
    "extra_env": [{"MADE_UP_VARIABLE": "made-up-value"}],
}
"""For each term of a launch the values that the checks try; of what is on or off, both."""

BESIDE: Mapping[str, Mapping[str, Any]] = {"expert_parallel_size": {"tensor_parallel_size": 2}}
"""Terms that stand beside another's values: experts are spread over accelerators there are."""


class Variant(NamedTuple):
    """A term of a launch with one value: what is said without it, and with it."""

    term: str
    value: Any
    plain: Command | Unsupported
    said: Command | Unsupported


@dataclass(frozen=True, slots=True)
class Fake:
    """A fake server that runs."""

    engine: Engine
    server: Server
    at: LaunchContext
    command: Command

    def completion(
        self, *, tokens: int = OUTPUT_TOKENS, stream: bool = True, number: int = 0
    ) -> Body:
        """Return a request; each ``number`` has a prompt of its own."""
        said = self.engine.request(completion(self.at.model_name, tokens, stream, number))
        return talk.body(said, PROMPT_TOKENS, tokens)

    def ask(self, *bodies: Body, concurrency: int = 1) -> list[Answer]:
        """Send requests; return the answers."""
        return talk.ask(self.engine, self.server, bodies, concurrency)

    def answer(self, **how: Any) -> Answer:
        """Send one request that must succeed; return its answer."""
        (answer,) = self.ask(self.completion(**how))
        if answer.request.status != "ok":
            raise Failed(f"the request failed: {answer.request.error}")
        return answer

    @contextmanager
    def scene(self, **how: Any) -> Iterator[None]:
        """Have the server behave otherwise for a while."""
        talk.call(self.server, "POST", "/__scene", Scene(**how))
        try:
            yield
        finally:
            talk.call(self.server, "POST", "/__scene", Scene())

    def seen(self) -> dict[str, Any]:
        """Return what the process got and has counted."""
        _, told = talk.call(self.server, "GET", "/__seen")
        return msgspec.json.decode(told, type=dict[str, Any])

    def counted(self, before: Mapping[str, float] | None = None) -> dict[str, float]:
        """Return the counters, read as in a run."""
        return talk.counted(self.engine, self.server, before)


def completion(model: str, tokens: int, stream: bool, number: int, **how: Any) -> Completion:
    """Return a request whose prompt is so many ids, or as many words."""
    return Completion(
        model=model,
        prompt_ids=[100 + (number + i) % 50 for i in range(PROMPT_TOKENS)],
        prompt_text=" ".join(WORDS[(number + i) % len(WORDS)] for i in range(PROMPT_TOKENS)),
        output_tokens=tokens,
        stream=stream,
        **how,
    )


@dataclass(slots=True)
class Kit:
    """One adapter under check. Close it: servers are started when first needed, and kept."""

    engine: Engine
    behaviour: Behaviour
    known: Mapping[str, str] = field(default_factory=dict)
    _stack: ExitStack = field(default_factory=ExitStack)
    _folder: Path | None = None
    _shared: Fake | Exception | None = None
    _starts: int = 0
    _platforms: dict[str, Platform] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        engine: Engine,
        behaviour: Behaviour | None = None,
        known: Mapping[str, str] | None = None,
    ) -> Kit:
        """Return the kit for an engine, with what is known of it by its name."""
        return cls(
            engine,
            behaviour or BEHAVIOURS.get(engine.name) or Behaviour(),
            known_of(engine, KNOWN.get(engine.name) if known is None else known),
        )

    def close(self) -> None:
        """End the servers and remove what they left."""
        self._stack.close()

    # -- contexts ------------------------------------------------------------------------------

    @property
    def version(self) -> str:
        """Return the newest release."""
        return self.behaviour.versions[0]

    def platform(self, version: str = "") -> Platform:
        """Return the first platform that the adapter has a command for."""
        if version in self._platforms:
            return self._platforms[version]
        refusals = []
        for platform in PLATFORMS:
            try:
                self.command(self.context(version=version, platform=platform))
            except Unsupported as refusal:
                refusals.append(str(refusal))
            else:
                return self._platforms.setdefault(version, platform)
        raise Failed("no platform has a command: " + "; ".join(dict.fromkeys(refusals)))

    def context(
        self,
        *,
        version: str = "",
        platform: Platform | None = None,
        profile: Profile = "defaults",
        home: Path = HOME,
        port: int = 20001,
        host: str = HOST,
        **spec: Any,
    ) -> LaunchContext:
        """Return a context in which ``spec`` are the terms of the launch."""
        return LaunchContext(
            python=home / "bin" / "python",
            version=version or self.version,
            model_path=home / "model",
            model_name=str(home / "model"),
            host=host,
            port=port,
            platform=platform or self.platform(version),
            spec=profiled(LaunchSpec(**spec), profile),
            profile=profile,
            cores=2,
            memory_bytes=16 << 30,
            files=home / "files",
            kv_bytes_per_token=1024,
        )

    def command(self, at: LaunchContext) -> Command:
        """Return the adapter's command, or raise its refusal."""
        return self.engine.command(at)

    def variants(self, at: LaunchContext) -> Iterator[Variant]:
        """Yield the launch with one term changed at a time."""
        alone = self._said(at)
        for name, values in VALUES.items():
            base, plain = at, alone
            if name in BESIDE:
                beside = replace(at, spec=replace(at.spec, **BESIDE[name]))
                if not isinstance(said := self._said(beside), Unsupported):
                    base, plain = beside, said
            for value in values:
                changed = replace(base, spec=replace(base.spec, **{name: value}))
                yield Variant(name, value, plain, self._said(changed))

    def _said(self, at: LaunchContext) -> Command | Unsupported:
        try:
            return self.command(at)
        except Unsupported as refusal:
            return refusal

    # -- servers -------------------------------------------------------------------------------

    def folder(self) -> Path:
        """Return a new folder, removed with the kit."""
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="inferometer-conformance-"))
            self._stack.callback(shutil.rmtree, self._folder, ignore_errors=True)
        self._starts += 1
        folder = self._folder / str(self._starts)
        for name in ("bin", "files", "model"):
            (folder / name).mkdir(parents=True)
        return folder

    def fake(self) -> Fake:
        """Return the server that checks share; each leaves it as it found it."""
        if self._shared is None:
            try:
                self._shared = self._stack.enter_context(self.started())
            except Exception as error:  # noqa: BLE001 -- told by every check that needs it
                self._shared = error
        if isinstance(self._shared, Exception):
            raise NotApplicable(f"no server: see starts ({self._shared})")
        return self._shared

    @contextmanager
    def started(
        self,
        *,
        version: str = "",
        platform: Platform | None = None,
        port: int | None = None,
        last_words: str = "",
        unknown_settings: bool = False,
        deadline_s: float = PATIENCE_S,
        grace_s: float = 5.0,
        spec: Mapping[str, Any] | None = None,
        **setup: Any,
    ) -> Iterator[Fake]:
        """Start the adapter's command on a fake server, as a run starts it on the engine.

        ``last_words`` are written by a process that ends at once, instead of the server;
        ``unknown_settings`` make it forget what its configuration file may hold; ``setup`` are
        fields of its :class:`~inferometer.testing.fakes.scene.Setup`.
        """
        folder = self.folder()
        with lease(HOST) if port is None else nullcontext(port) as leased:
            at = self.context(
                version=version, platform=platform, home=folder, port=leased, **(spec or {})
            )
            command = self.command(at)
            whole = setup_of(self.engine, self.behaviour, at, command, list(self.variants(at)))
            if unknown_settings:
                whole = msgspec.structs.replace(whole, settings=[])
            command = stage(folder, command, msgspec.structs.replace(whole, **setup), last_words)
            with (
                keyed(command, self.engine.api_key, folder) as own,
                serve(
                    own.command,
                    host=at.host,
                    port=at.port,
                    readiness=command.readiness or self.engine.readiness,
                    failures=self.engine.failures,
                    folder=folder,
                    deadline_s=deadline_s,
                    grace_s=grace_s,
                    headers=own.headers,
                ) as server,
            ):
                yield Fake(self.engine, server, at, own.command)


def stage(folder: Path, command: Command, setup: Setup, last_words: str) -> Command:
    """Write configuration files and a program for ``argv[0]``; return what to start."""
    for name, text in command.files.items():
        (folder / "files" / name).write_text(text, encoding="utf-8")
    (folder / "setup.json").write_bytes(msgspec.json.encode(setup))
    (folder / "last-words").write_text(last_words + "\n", encoding="utf-8")
    program = folder / "bin" / Path(command.argv[0]).name
    run = f"exec '{sys.executable}' -I '{SERVER}' '{folder}/setup.json' \"$@\""
    if last_words:
        run = f"cat '{folder}/last-words'; exit 3"
    program.write_text(f"#!/bin/sh\n{run}\n", encoding="utf-8")
    program.chmod(0o755)
    return replace(command, argv=(str(program), *command.argv[1:]))
