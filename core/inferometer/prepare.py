"""Everything a plan needs before its first launch: environments, models, prompts."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import psutil

from inferometer import attached, environment, packaged, precision, withheld, workload
from inferometer import study as studies
from inferometer.containers import image as images
from inferometer.containers.running import Container, seen
from inferometer.engine import LaunchSpec, Unsupported, profiled
from inferometer.errors import MachineError, UsageError
from inferometer.model import inspect
from inferometer.ports import in_use, is_free
from inferometer.workloads import requests

if TYPE_CHECKING:
    from collections.abc import Mapping

    from inferometer.engine import Engine, Platform
    from inferometer.environment import Environment
    from inferometer.model import ModelFacts
    from inferometer.plan import Launch, Plan
    from inferometer.plugins import Registry
    from inferometer.progress import Progress
    from inferometer.study import EngineEntry, ModelEntry


SHORTEST_SECRET = 6
"""Characters; anything shorter also occurs by chance."""


@dataclass(frozen=True, slots=True)
class PreparedStack:
    """An engine with the environment it runs in, or with the reason why it has none here."""

    id: str
    entry: EngineEntry
    engine: Engine
    environment: Environment | Unsupported

    def usable(self) -> Environment:
        """Return the environment, or raise why there is none (:class:`Unsupported`)."""
        if isinstance(self.environment, Unsupported):
            raise self.environment
        return self.environment

    @property
    def version(self) -> str:
        """Return the engine's version; empty when it cannot run here."""
        return "" if isinstance(self.environment, Unsupported) else self.environment.version

    @property
    def sha256(self) -> str | None:
        """Return the environment's hash; None when the engine cannot run here."""
        return None if isinstance(self.environment, Unsupported) else self.environment.sha256

    @property
    def secrets(self) -> tuple[str, ...]:
        """Return what must be in no result: what the server is sent, what ``pass_env`` hands on."""
        known = self.environment
        address = None if isinstance(known, Unsupported) else known.address
        sent = () if address is None else address.secrets
        handed = [os.environ.get(n, "") for n in self.entry.pass_env if withheld.opens(n)]
        found = {*sent, *(value for value in handed if len(value) >= SHORTEST_SECRET)}
        return tuple(sorted(found, key=len, reverse=True))

    @property
    def spec(self) -> LaunchSpec:
        """Return how the model is to be served, or raise :class:`Unsupported`."""
        values = {known.name: getattr(self.entry, known.name) for known in fields(LaunchSpec)}
        if (draft := self.entry.speculative) is not None:
            model = _whole(draft.model, self.entry.container is not None)
            values["speculative"] = msgspec.structs.replace(draft, model=model)
        return profiled(LaunchSpec(**values), self.entry.profile)

    def record(self) -> dict[str, Any]:
        """Return what is stored of the environment.

        A stand-in's launch is marked, so that it never ranks with measured ones.
        """
        mark = {"kind": "simulated"} if self.engine.simulated else {}
        known = self.environment
        return ({} if isinstance(known, Unsupported) else known.record()) | mark

    def describe(self) -> dict[str, object]:
        """Return the stack as :class:`~inferometer.records.LaunchRecord` stores it."""
        entry = self.entry
        label = f"{entry.name} {self.version}".rstrip()
        if self.id != entry.name or entry.profile != "defaults":
            label += f" ({entry.profile}, {self.id.rpartition('-')[2]})"
        return {
            "id": self.id,
            "engine": entry.name,
            "engine_version": self.version,
            "profile": entry.profile,
            "precision": precision.words(precision.asked(entry)),
            "parallelism": "unknown" if entry.url else parallelism(entry),
            "label": label,
        }


def _whole(name: str | None, contained: bool) -> str | None:
    """Return the absolute path of a folder that is here, anything else as it is.

    A model that the hub's cache of this machine has is a folder, too, for a container: its own home
    has no such cache, and nothing is downloaded.
    """
    if name is None:
        return None
    path = Path(name).expanduser()
    if not path.is_dir() and contained:
        path = _cached(name) or path
    return str(path.resolve()) if path.is_dir() else name


def _cached(name: str) -> Path | None:
    """Return the folder in the hub's cache that ``main`` of a model stands for."""
    root = Path(os.environ.get("HF_HOME", "~/.cache/huggingface")) / "hub"
    kept = Path(os.environ.get("HF_HUB_CACHE", root)).expanduser()
    folder = kept / f"models--{name.replace('/', '--')}"
    try:
        commit = (folder / "refs" / "main").read_text().strip()
    except OSError:
        return None
    return folder / "snapshots" / commit


def parallelism(entry: EngineEntry) -> str:
    """Return ``TP2``, or ``TP2 PP2 DP2 EP4``: tensor always, the others where they are used."""
    others = {
        "PP": entry.pipeline_parallel_size,
        "DP": entry.data_parallel_size,
        "EP": entry.expert_parallel_size,
    }
    used = [f"{name}{size}" for name, size in others.items() if size != 1]
    return " ".join([f"TP{entry.tensor_parallel_size}", *used])


@dataclass(frozen=True, slots=True)
class PreparedModel:
    """A model directory and what its ``config.json`` says."""

    entry: ModelEntry
    path: Path
    facts: ModelFacts
    checkpoint: bool = False
    """One that a stack serves in place of the model's own."""

    def describe(self, precision: str) -> dict[str, object]:
        """Return the model as :class:`~inferometer.records.LaunchRecord` stores it."""
        facts = self.facts
        shape = facts.shape
        widths = [each.mlp.shared_width for each in shape.layers] if shape else []
        return {
            "name": self.entry.name,
            "path": str(self.path),
            "sha256": facts.sha256,
            "architecture": facts.architecture,
            "total_parameters": facts.total_parameters,
            "active_parameters": facts.active_parameters,
            "approximations": list(facts.approximations),
            "unknown": list(facts.unknown),
            "counted": facts.counted,
            "layers": facts.layers,
            "moe_layers": list(shape.moe_layers) if shape else None,
            "experts": facts.experts,
            "top_k": facts.top_k,
            "shared_expert_width": max(widths) if widths else None,
            "kv_bytes_per_token": facts.kv_bytes_per_token,
            "context_length": facts.context_length,
            "weights_bytes": facts.weights_bytes,
            "dtype": facts.dtype,
            "quantization": facts.quantization,
            "precision": precision,
            "twin_of": self.entry.twin_of,
            "routing": facts.routing,
            "shape": msgspec.to_builtins(shape),
            "weights": facts.weights,
            **({"checkpoint": True} if self.checkpoint else {}),
        }


@dataclass(frozen=True, slots=True)
class Prepared:
    """What the measuring loop works with."""

    platform: Platform
    stacks: dict[str, PreparedStack]
    models: dict[str, PreparedModel]
    cores: int
    memory_bytes: int
    checkpoints: Mapping[tuple[str, str], PreparedModel] = field(default_factory=dict)
    """By stack and model, where a stack serves another checkpoint of it."""

    def model(self, launch: Launch) -> PreparedModel:
        """Return what a launch serves."""
        own = self.checkpoints.get((launch.stack, launch.model.name))
        return own or self.models[launch.model.name]


def prepare(plan: Plan, registry: Registry, progress: Progress) -> Prepared:
    """Build or find every environment and model of ``plan``.

    An engine that cannot run on this platform keeps the others from nothing.

    Raises:
        UsageError: an engine or a model is unknown or missing.
        MachineError: an environment cannot be built, or no engine can run on this platform.
    """
    withheld.learn_variables()
    named = (launch.engine for launch in plan.launches)
    withheld.learn_named(studies.secrets(named))
    platform = environment.current_platform(environment.accelerator())
    engines = registry.engines()
    root = environment.cache_root()
    entries = {launch.stack: launch.engine for launch in plan.launches}
    for entry in entries.values():
        if entry.name not in engines:
            raise UsageError.unknown("engine", entry.name, engines, place="[[engines]] name")
    stacks = {}
    for stack_id, entry in entries.items():
        progress.stage(f"environment of {entry.name}")
        built: Environment | Unsupported
        try:
            built = _environment(engines[entry.name], entry, platform, root, progress)
        except Unsupported as error:
            progress.warn(f"{stack_id}: cannot run here: {error}")
            built = error
        stacks[stack_id] = PreparedStack(stack_id, entry, engines[entry.name], built)
    refuse_idle(stacks)
    models = {}
    for model in {launch.model.name: launch.model for launch in plan.launches}.values():
        progress.stage(f"model {model.name}")
        path = _model_path(model, stacks, root, progress)
        models[model.name] = PreparedModel(model, path, inspect(path, root))
    checkpoints = {
        (stack_id, name): PreparedModel(models[name].entry, path, inspect(path, root), True)
        for stack_id, stack in stacks.items()
        for name, folder in stack.entry.checkpoints.items()
        for path in [Path(folder).expanduser().resolve()]
    }
    for point in plan.launches[0].points:  # lengths that cannot be had are refused now
        if (tokens := point.workload.input_tokens) is not None:
            tokenizer = models[plan.launches[0].model.name].path / "tokenizer.json"
            workload.build(tokenizer, tokens, 2, seed=plan.protocol.seed)
    if plan.protocol.port is not None and not is_free("127.0.0.1", plan.protocol.port):
        raise in_use("127.0.0.1", plan.protocol.port)
    prepared = Prepared(
        platform=platform,
        stacks=stacks,
        models=models,
        cores=len(os.sched_getaffinity(0)),
        memory_bytes=psutil.virtual_memory().total,
        checkpoints=checkpoints,
    )
    check_files(plan, prepared)
    return prepared


def _environment(
    engine: Engine, entry: EngineEntry, platform: Platform, root: Path, progress: Progress
) -> Environment:
    if entry.python is not None:
        return _existing(engine, Path(entry.python))
    if entry.url is not None:
        return _elsewhere(engine, entry, entry.url)
    if entry.container is not None:
        name = entry.image or engine.image(platform, entry.engine_version or "")
        progress.note(f"{entry.container}: looking into {name}")
        image = images.find(entry.container, name)
        return environment.contained(image, engine.distributions, entry.engine_version)
    if (python := environment.own(engine)) is not None:
        return _existing(engine, python)
    return environment.prepare(engine.requirements(platform), platform, root, progress.note)


def _elsewhere(engine: Engine, entry: EngineEntry, url: str) -> Environment:
    address = attached.at(url, engine.endpoint, entry.api_key_env)
    version = entry.engine_version
    found = attached.look(address, engine, model=entry.served_model_name, version=version)
    return environment.elsewhere(found)


def refuse_idle(stacks: dict[str, PreparedStack]) -> None:
    """Refuse a study of which nothing can run here (:class:`MachineError`)."""
    reasons = [s.environment for s in stacks.values() if isinstance(s.environment, Unsupported)]
    if len(reasons) == len(stacks):
        first = reasons[0]
        raise MachineError(
            "; ".join(dict.fromkeys(reason.message for reason in reasons)),
            hint=first.remedy or "Set python, container or url under [[engines]].",
        ) from first


def _existing(engine: Engine, python: Path) -> Environment:
    problem: UsageError | None = None
    for distribution in engine.distributions:
        try:
            return environment.existing(python, distribution)
        except UsageError as error:
            problem = problem or error
    assert problem is not None
    raise problem


def _model_path(
    entry: ModelEntry, stacks: dict[str, PreparedStack], root: Path, progress: Progress
) -> Path:
    if entry.packaged is None:
        assert entry.path is not None
        return Path(entry.path).expanduser().resolve()
    built = (stack.environment for stack in stacks.values())
    pythons = [each.python for each in built if not isinstance(each, Unsupported) and each.ours]
    for python in pythons:
        if packaged.can_convert(python):
            return packaged.ensure(entry.packaged, python, root, progress.note)
    ready = packaged.available(entry.packaged, root)
    if ready is not None:
        return ready
    raise MachineError(
        f"packaged model {entry.packaged!r}: no engine of this study can convert its weights",
        hint="Add the transformers engine to the study: its environment has what is needed.",
    )


def container(launch: Launch, prepared: Prepared, files: Path, name: str) -> Container | None:
    """Return the container of a launch, None where its engine runs as a process of ours.

    It sees the model, a draft model that is here and the files of its configuration, and has a home
    that lasts over launches: what an engine compiles is kept, as in an environment of ours.
    """
    stack = prepared.stacks[launch.stack]
    image = stack.usable().image
    if image is None:
        return None
    home = environment.cache_root() / "containers" / image.id.rpartition(":")[2][:16]
    home.mkdir(parents=True, exist_ok=True)
    folders = [prepared.model(launch).path]
    draft = stack.spec.speculative
    if draft is not None and draft.model is not None and Path(draft.model).is_dir():
        folders.append(Path(draft.model))
    return Container(
        image=image,
        name=name,
        home=home,
        mounts=seen([*folders, *([files] if files.is_dir() else [])]),
        accelerator=prepared.platform.accelerator,
        shm_bytes=prepared.memory_bytes // 2,
        args=stack.entry.container_args,
    )


def check_files(plan: Plan, prepared: Prepared) -> None:
    """Read every trace and file of lengths, so that a bad one is found before the first launch.

    Raises:
        UsageError: a file is missing, malformed or holds nothing usable, or a trace is too short.
    """
    protocol = plan.protocol
    for launch in plan.launches:
        if launch.round == 0:
            for point in launch.points:
                if requests.files(point.workload):
                    requests.draw(point.workload, 1, 0, tokenizer_of(launch, prepared))
                if (trace := point.load.trace) is not None:
                    assert protocol.window_s is not None  # rules: a trace needs both
                    needed_s = (protocol.discard_s or 0.0) + protocol.window_s
                    requests.replayed(Path(trace), point.load.time_scale, needed_s, 0.0)


def tokenizer_of(launch: Launch, prepared: Prepared) -> Path:
    """Return the tokenizer file of a launch's model, or say that it is missing."""
    path = prepared.model(launch).path / "tokenizer.json"
    if not path.is_file():
        raise UsageError(
            f"{path}: missing, so prompts of exact length cannot be made",
            hint="Save the tokenizer with the model (tokenizer.save_pretrained).",
        )
    return path


def work_files(plan: Plan) -> list[str]:
    """Return the files that lengths and arrivals come from."""
    points = plan.launches[0].points
    traces = [point.load.trace for point in points if point.load.trace]
    return [*traces, *(file for point in points for file in requests.files(point.workload))]
