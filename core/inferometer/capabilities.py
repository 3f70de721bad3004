"""What an engine's adapter can do, asked of the adapter itself: nothing is started or installed.

How a term of :class:`~inferometer.engine.LaunchSpec` is said is seen by setting it: the difference
between that launch and one without it is the engine's own words for it.
"""

from __future__ import annotations

import difflib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import msgspec

from inferometer.engine import (
    QUANTITIES,
    Completion,
    LaunchContext,
    LaunchSpec,
    Platform,
    Profile,
    Speculative,
    Unsupported,
    open_knobs,
    profiled,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from inferometer.engine import Engine

MACHINES = ("x86_64", "aarch64")
ACCELERATORS = ("cuda", "rocm", "cpu")
KV_TOKENS = 65536
EXAMPLES: dict[str, Sequence[Any]] = {
    "dtype": ("float16",),
    "tensor_parallel_size": (2,),
    "pipeline_parallel_size": (2,),
    "data_parallel_size": (2,),
    "expert_parallel_size": (2,),
    "max_model_len": (4096,),
    "max_num_seqs": (64,),
    "max_num_batched_tokens": (2048,),
    "kv_cache_dtype": ("fp8",),
    "kv_cache_tokens": (KV_TOKENS,),
    "kv_cache_bytes": (2**30,),
    "prefix_caching": (True, False),
    "chunked_prefill": (True, False),
    "graphs": (True, False),
    "quantization": ("fp8",),
    "speculative": (Speculative(method="ngram", tokens=3),),
    "stream_interval": (4,),
    "attention_backend": ("NAME",),
    "moe_backend": ("NAME",),
    "seed": (7,),
}
"""Values that each term is set to, in turn."""
NEEDS: dict[str, dict[str, Any]] = {"expert_parallel_size": {"tensor_parallel_size": 2}}
"""Terms that are set beside another, because it has no meaning without them."""


class Wording(msgspec.Struct, frozen=True, kw_only=True):
    """How one value of a term is said from version ``since`` on, or why it is ``refused``."""

    since: str
    value: str
    words: tuple[str, ...] = ()
    """What is added or changed: parts of the command line, ``NAME=value`` of the environment,
    lines of a configuration file, fields of a request. Empty: it is the engine's own way."""
    refused: str = ""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """Yes, with what (``given``), or no, with the reason (``refused``)."""

    name: str
    given: str = ""
    refused: str = ""


class Capabilities(msgspec.Struct, frozen=True, kw_only=True):
    """What :func:`describe` returns; the JSON document of ``inferometer engines show``."""

    name: str
    simulated: bool
    distributions: tuple[str, ...]
    versions: tuple[str, ...]
    """Releases the adapter was checked against, oldest first; empty: it does not say."""
    endpoint: str
    serving_platform: str
    """The platform for which ``profiles`` and ``terms`` were asked."""
    requirements: tuple[Answer, ...]
    images: tuple[Answer, ...]
    profiles: tuple[Answer, ...]
    terms: dict[str, tuple[Wording, ...]]
    request_fields: tuple[str, ...]
    request_sent: tuple[str, ...]
    readiness: dict[str, Any]
    cache_reset: dict[str, Any] | None
    metrics: dict[str, Any] | None
    resolved_configuration: tuple[str, ...]
    failures: tuple[dict[str, str], ...]


def describe(engine: Engine, here: Platform) -> Capabilities:
    """Return what ``engine`` can do.

    Terms and profiles are those of ``here``, or of the first platform on which it serves at all.
    """
    versions = tuple(engine.versions)
    at = serving_platform(engine, here)
    return Capabilities(
        name=engine.name,
        simulated=engine.simulated,
        distributions=tuple(engine.distributions),
        versions=versions,
        endpoint=engine.endpoint,
        serving_platform=short(at),
        requirements=tuple(requirements(engine, here.python)),
        images=tuple(_images(engine, here.python)),
        profiles=tuple(profiles(engine, at)),
        terms={name: tuple(_wordings(engine, at, name)) for name in EXAMPLES},
        request_fields=tuple(sorted(engine.request_fields)),
        request_sent=_sent(engine),
        readiness=msgspec.to_builtins(engine.readiness),
        cache_reset=msgspec.to_builtins(engine.cache_reset),
        metrics=_metrics(engine),
        resolved_configuration=tuple(engine.resolved_configuration),
        failures=tuple(msgspec.to_builtins(known) for known in engine.failures),
    )


def short(platform: Platform) -> str:
    """Return ``linux-x86_64-cuda``."""
    return f"{platform.system}-{platform.machine}-{platform.accelerator}"


def platforms(python: str) -> list[Platform]:
    """Return the platforms that engines are asked about."""
    return [
        Platform(system="linux", machine=machine, python=python, accelerator=accelerator)  # type: ignore[arg-type]
        for machine in MACHINES
        for accelerator in ACCELERATORS
    ]


def requirements(engine: Engine, python: str) -> Iterator[Answer]:
    """Yield where an environment can be built from locked requirements."""

    def given(platform: Platform) -> str:
        found = engine.requirements(platform)
        pins = sum("==" in line.split("#")[0] for line in found.lock.splitlines())
        return f"{found.distribution}, {pins} pins"

    return (_asked(short(at), lambda at=at: given(at)) for at in platforms(python))  # type: ignore[misc]


def profiles(engine: Engine, at: Platform) -> Iterator[Answer]:
    """Yield which profiles the newest known version can be started with on platform ``at``."""

    def given(profile: Profile) -> str:
        spec = profiled(LaunchSpec(kv_cache_tokens=KV_TOKENS), profile)
        spec = spec if profile == "equalized" else LaunchSpec()
        context = _context(at, _newest(engine), spec, profile)
        engine.command(context)
        if profile == "tuned":
            return ", ".join(k.name for k in open_knobs(engine.name, engine.knobs(context), spec))
        return "yes"

    return (_asked(name, lambda name=name: given(name)) for name in get_args(Profile))  # type: ignore[misc]


def serving_platform(engine: Engine, here: Platform) -> Platform:
    """Return ``here``, or the first platform where ``engine`` has a command, or ``here`` again."""
    for at in (here, *platforms(here.python)):
        context = _context(at, _newest(engine), LaunchSpec())
        if not _asked("", lambda context=context: str(engine.command(context))).refused:  # type: ignore[misc]
            return at
    return here


# -- inside ----------------------------------------------------------------------------------


def _asked(name: str, given: Callable[[], str]) -> Answer:
    """Return what an adapter says; a stranger's adapter may also raise something else."""
    try:
        return Answer(name=name, given=given())
    except Unsupported as refusal:
        return Answer(name=name, refused=refusal.message)
    except Exception as error:  # noqa: BLE001 -- a stranger's code; the answer has the error
        return Answer(name=name, refused=f"raised {type(error).__name__}: {error}")


def _sent(engine: Engine) -> tuple[str, ...]:
    try:
        return tuple(engine.request(_completion()))
    except Exception as error:  # noqa: BLE001 -- as above
        return (f"raised {type(error).__name__}: {error}",)


def _newest(engine: Engine) -> str:
    return engine.versions[-1] if engine.versions else "0"


def _images(engine: Engine, python: str) -> Iterator[Answer]:
    version = _newest(engine)
    return (
        _asked(short(at), lambda at=at: engine.image(at, version))  # type: ignore[misc]
        for at in platforms(python)
    )


def _context(
    at: Platform, version: str, spec: LaunchSpec, profile: Profile = "defaults"
) -> LaunchContext:
    """Return a launch that will not be made: places and sizes are made up."""
    return LaunchContext(
        python=Path("/environment/bin/python"),
        version=version,
        model_path=Path("/model"),
        model_name="model",
        host="127.0.0.1",
        port=20000,
        platform=at,
        spec=spec,
        profile=profile,
        cores=8,
        memory_bytes=64 << 30,
        files=Path("/configuration"),
        kv_bytes_per_token=1 << 16,
    )


def _completion(seed: int | None = None) -> Completion:
    return Completion(model="model", prompt_ids=(1,), prompt_text="a", output_tokens=1, seed=seed)


def _wordings(engine: Engine, at: Platform, term: str) -> Iterator[Wording]:
    """Yield the wordings of a term, each from the version at which it begins."""
    for value in EXAMPLES[term]:
        last: Wording | None = None
        for version in engine.versions or ("",):
            found = _wording(engine, at, version, term, value)
            if last is None or (found.words, found.refused) != (last.words, last.refused):
                yield found
                last = found


def _wording(engine: Engine, at: Platform, version: str, term: str, value: Any) -> Wording:
    words: list[str] = []
    beside = LaunchSpec(**NEEDS.get(term, {}))

    def given() -> str:
        plain = _told(engine, _context(at, version or "0", beside))
        asked = replace(beside, **{term: value})
        words.extend(_added(plain, _told(engine, _context(at, version or "0", asked))))
        return ""

    refused = _asked(term, given).refused
    # The version stands in its own column.
    refused = refused.replace(f"{engine.name} {version}: ", "").replace(f"{engine.name}: ", "")
    shown = str(value).lower() if isinstance(value, bool) else str(value)
    if isinstance(value, Speculative):
        shown = value.method
    return Wording(since=version, value=shown, words=tuple(words), refused=refused)


def _told(engine: Engine, context: LaunchContext) -> list[list[str]]:
    """Return all that an engine is told, in comparable parts: command, variables, files, body."""
    command = engine.command(context)
    body = engine.request(_completion(context.spec.seed))
    return [
        list(command.argv),
        [f"{name}={value}" for name, value in sorted(command.env.items())],
        [part for text in command.files.values() for part in _settings(text)],
        [f"request: {name}={value}" for name, value in body.items()],
    ]


def _settings(text: str) -> Iterator[str]:
    """Yield a configuration file as dotted paths with values if it is JSON, else as its lines."""
    try:
        yield from _paths(msgspec.json.decode(text, type=dict[str, Any]), "")
    except msgspec.MsgspecError:
        yield from (line.strip() for line in text.splitlines())


def _paths(value: dict[str, Any], prefix: str) -> Iterator[str]:
    for key, item in value.items():
        if isinstance(item, dict) and item:
            yield from _paths(item, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}: {msgspec.json.encode(item).decode()}"


def _added(before: list[list[str]], after: list[list[str]]) -> Iterator[str]:
    """Yield what is new, and after ``without`` what is gone with nothing in its place."""
    for old, new in zip(before, after, strict=True):
        for what, i, j, k, m in difflib.SequenceMatcher(None, old, new, False).get_opcodes():
            if what in {"insert", "replace"}:
                # A changed value is shown with its flag.
                flagged = k > 0 and new[k - 1].startswith("--") and not new[k].startswith("-")
                yield from new[k - flagged : m]
            elif what == "delete":
                yield f"without {' '.join(old[i:j])}"


def _metrics(engine: Engine) -> dict[str, Any] | None:
    if engine.metrics is None:
        return None
    found: dict[str, Any] = msgspec.to_builtins(engine.metrics)
    for counter in found["counters"]:
        counter["unit"], counter["kind"] = QUANTITIES.get(counter["name"], ("unknown", "unknown"))
    return found
