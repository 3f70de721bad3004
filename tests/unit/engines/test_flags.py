"""Every option and YAML field an adapter emits is in the lists of the engines' own releases.

The lists are read from published sources and, for vLLM 0.32, from its own parser: see
``tests/golden/engines/read_flags.py``. TensorRT-LLM cannot be installed without a GPU: its two
lists were read from its public source, at the commits they name.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from inferometer import environment
from inferometer.engine import (
    QUANTITIES,
    Adapter,
    Completion,
    Engine,
    Group,
    LaunchContext,
    LaunchSpec,
    Platform,
    Profile,
    Unsupported,
    open_knobs,
    profiled,
    tuned,
)
from inferometer.testing.conformance.kit import VALUES
from inferometer_engines.sglang import Sglang
from inferometer_engines.tensorrt_llm import TensorRtLlm
from inferometer_engines.vllm import Vllm
from inferometer_transformers import TransformersServe

GOLDEN = Path(__file__).parents[2] / "golden" / "engines"
ENGINES: dict[str, Engine] = {
    engine.name: engine for engine in (Vllm(), Sglang(), TensorRtLlm(), TransformersServe())
}
OF_VLLM_SERVE = {"--headless"}
"""An option of the command, older than all releases in question: lists read from source hold those
of engine and front end alone, the parser's (0.32) has it."""
LISTS = sorted(GOLDEN.glob("*.txt"))
METRIC_LISTS = sorted((GOLDEN.parent / "metrics").glob("*.txt"))
NEWEST = {"vllm": "0.33.0", "sglang": "0.5.23", "tensorrt-llm": "1.4.0", "transformers": "5.19.0"}


def reader() -> ModuleType:
    spec = importlib.util.spec_from_file_location("read_flags", GOLDEN / "read_flags.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


READER = reader()


def context(
    engine: Engine,
    version: str,
    *,
    profile: Profile = "defaults",
    accelerator: Any = "cuda",
    **spec: Any,
) -> LaunchContext:
    return LaunchContext(
        python=Path("/env/bin/python"),
        version=version,
        model_path=Path("/models/m"),
        model_name="/models/m",
        host="127.0.0.1",
        port=20001,
        platform=Platform(system="linux", machine="x86_64", python="3.11", accelerator=accelerator),
        spec=profiled(LaunchSpec(**spec), profile),
        profile=profile,
        cores=2,
        memory_bytes=8 << 30,
        files=Path("/results/configurations/x"),
        kv_bytes_per_token=1024,
    )


def emitted(engine: Engine, at: LaunchContext) -> set[str]:
    """Return options and YAML paths of a launch."""
    command = engine.command(at)
    words = {part for part in command.argv if part.startswith("--")}
    for text in command.files.values():
        words |= set(paths(json.loads(text)))
    return words


def paths(value: dict[str, Any], prefix: str = "") -> Iterator[str]:
    for key, item in value.items():
        yield prefix + key
        if isinstance(item, dict):
            yield from paths(item, f"{prefix}{key}.")


def everything(engine: Engine, version: str) -> Iterator[LaunchContext]:
    """Yield launches that together say everything this version of the engine can be told."""
    for accelerator in ("cuda", "cpu"):
        for name, values in VALUES.items():
            for value in values if not name.startswith("extra_") else ():
                more: dict[str, Any] = {}
                if name == "expert_parallel_size":
                    more["tensor_parallel_size"] = 2
                yield context(engine, version, accelerator=accelerator, **{name: value}, **more)
        for equal in ({"graphs": None}, {"graphs": False}):
            yield context(
                engine,
                version,
                profile="equalized",
                accelerator=accelerator,
                kv_cache_tokens=4096,
                **equal,
            )
        yield context(
            engine,
            version,
            accelerator=accelerator,
            chunked_prefill=False,
            max_num_batched_tokens=512,
        )
        yield from tunings(engine, version, accelerator)
        for rank in (0, 1):
            group = Group(nodes=2, rank=rank, address="10.0.0.1", port=20002)
            yield replace(context(engine, version, accelerator=accelerator), group=group)


def tunings(engine: Engine, version: str, accelerator: str) -> Iterator[LaunchContext]:
    """Yield a launch for every value of every knob."""
    plain = context(engine, version, profile="tuned", accelerator=accelerator)
    for moe, streams in ((True, 8), (False, 512)):
        at = replace(plain, moe=moe, streams=streams)
        for knob in engine.knobs(at):
            for setting in knob.settings():
                yield replace(at, spec=tuned(at.spec, [setting]))


def all_emitted(name: str, version: str) -> set[str]:
    found: set[str] = set()
    for at in everything(ENGINES[name], version):
        try:
            found |= emitted(ENGINES[name], at)
        except Unsupported:
            continue
    return found


@pytest.mark.parametrize("path", LISTS, ids=lambda path: path.stem)
def test_the_release_has_every_option_the_adapter_emits(path: Path) -> None:
    name, _, version = path.stem.rpartition("-")
    source, known = READER.read(path)
    assert source
    words = all_emitted(name, version)
    assert len(words) > 25
    assert words - known - OF_VLLM_SERVE == set()


def test_ranks_of_several_nodes_are_started_in_the_engines_own_words() -> None:
    def added(name: str, rank: int) -> str:
        alone = context(ENGINES[name], NEWEST[name], tensor_parallel_size=16)
        group = Group(nodes=2, rank=rank, address="10.0.0.1", port=20002)
        said = ENGINES[name].command(replace(alone, group=group)).argv
        plain = ENGINES[name].command(alone).argv
        assert [word for word in plain if word not in said] == []
        return " ".join(said[len(plain) :])

    vllm = "--distributed-executor-backend mp --nnodes 2 --node-rank {} --master-addr 10.0.0.1 "
    assert added("vllm", 0) == f"{vllm.format(0)}--master-port 20002"
    assert added("vllm", 1) == f"{vllm.format(1)}--master-port 20002 --headless"
    sglang = "--nnodes 2 --node-rank {} --dist-init-addr 10.0.0.1:20002"
    assert [added("sglang", rank) for rank in (0, 1)] == [sglang.format(0), sglang.format(1)]
    assert {name for name, engine in ENGINES.items() if not engine.one_node} == {"vllm", "sglang"}
    assert "MPI" in ENGINES["tensorrt-llm"].one_node
    on_cpu = context(ENGINES["vllm"], NEWEST["vllm"], accelerator="cpu")
    group = Group(nodes=2, rank=0, address="10.0.0.1", port=20002)
    with pytest.raises(Unsupported, match="CPU build is not started on several nodes"):
        ENGINES["vllm"].command(replace(on_cpu, group=group))


def test_every_engine_has_lists_from_its_oldest_release_on() -> None:
    found = {name: [] for name in ("sglang", "tensorrt-llm", "vllm")}  # type: dict[str, list[str]]
    for path in LISTS:
        name, _, version = path.stem.rpartition("-")
        found[name].append(version)
    assert set(map(len, found.values())) == {7, 2}
    with pytest.raises(Unsupported, match=r"sglang: version 0\.5\.8 is not known"):
        ENGINES["sglang"].command(context(ENGINES["sglang"], "0.5.8"))
    with pytest.raises(Unsupported, match=r"vllm: version 0\.11\.2 is not known"):
        ENGINES["vllm"].command(context(ENGINES["vllm"], "0.11.2"))


def test_the_values_cover_every_field_of_the_specification() -> None:
    named = {known.name for known in fields(LaunchSpec)}
    assert set(VALUES) == named


def told(engine: Engine, at: LaunchContext) -> object:
    """Return all that an engine is told: at its start and with each request."""
    command = engine.command(at)
    body = engine.request(
        Completion(model="m", prompt_ids=[1], prompt_text="a", output_tokens=1, seed=at.spec.seed)
    )
    return command.argv, dict(command.env), dict(command.files), body


@pytest.mark.parametrize("name", sorted(ENGINES))
@pytest.mark.parametrize("accelerator", ["cpu", "cuda", "rocm"])
@pytest.mark.parametrize("streams", [1, 8, 512])
@pytest.mark.parametrize("moe", [False, True])
def test_every_value_of_a_knob_changes_the_launch(
    name: str, accelerator: str, streams: int, moe: bool
) -> None:
    engine, version = ENGINES[name], NEWEST[name]
    if name == "tensorrt-llm" and accelerator != "cuda":
        return  # refused before anything is tuned
    plain = context(engine, version, profile="tuned", accelerator=accelerator)
    at = replace(plain, streams=streams, moe=moe)
    knobs = open_knobs(name, engine.knobs(at), at.spec)
    assert ("moe_backend" in {knob.name for knob in knobs}) <= moe
    assert all(len(knob.why) > 20 for knob in knobs)
    settings = [setting for knob in knobs for setting in knob.settings()]
    told_ = [told(engine, at)]
    told_ += [told(engine, replace(at, spec=tuned(at.spec, [one]))) for one in settings]
    assert settings
    assert all(told_.count(one) == 1 for one in told_)


def test_a_step_of_vllm_has_room_for_every_request() -> None:
    at = context(ENGINES["vllm"], "0.33.0", profile="tuned", accelerator="cpu", max_num_seqs=1024)
    (steps,) = [k for k in ENGINES["vllm"].knobs(at) if k.name == "max_num_batched_tokens"]
    assert steps.values == (4096,)
    old = context(ENGINES["vllm"], "0.12.0", profile="tuned")
    names = {knob.name for knob in ENGINES["vllm"].knobs(replace(old, moe=True, streams=8))}
    assert names == {"max_num_batched_tokens", "max_num_seqs"}


@pytest.mark.parametrize("path", METRIC_LISTS, ids=lambda path: path.stem)
def test_the_release_has_every_metric_that_is_read(path: Path) -> None:
    metrics = ENGINES[path.stem.rpartition("-")[0]].metrics
    source, known = READER.read(path)
    assert source
    assert metrics is not None
    for counter in metrics.counters:
        assert counter.name in QUANTITIES
        exposed = {counter.source, *(counter.source.removesuffix(e) for e in ("_total", "_count"))}
        assert exposed & known, counter.source


def test_an_adapter_of_a_few_lines_answers_for_the_rest() -> None:
    class Small(Adapter):
        name = "small"

    small = Small()
    assert (small.metrics, small.cache_reset, small.request_fields) == (None, None, frozenset())
    with pytest.raises(Unsupported, match="no container image"):
        small.image(Platform(system="l", machine="m", python="3", accelerator="cpu"), "1")


@pytest.mark.engine
@pytest.mark.timeout(600)
def test_the_real_parser_of_vllm_takes_every_line_and_is_the_list(tmp_path: Path) -> None:
    platform = environment.current_platform("cpu")
    engine = ENGINES["vllm"]
    built = environment.prepare(
        engine.requirements(platform), platform, environment.cache_root(), print
    )

    text = (GOLDEN / f"vllm-{built.version}.txt").read_text(encoding="utf-8")
    lines = tmp_path / "lines.json"
    lines.write_text(json.dumps([*vllm_lines(built.version), ["--no-such-flag"]]))
    line = [str(built.python), str(GOLDEN / "read_flags.py"), "vllm-parser", str(lines)]
    told = subprocess.run(line, capture_output=True, text=True, check=True).stdout
    assert told.startswith(f"{text.rstrip()}\n")
    assert json.loads(told.splitlines()[-1]) == [["--no-such-flag"]]


def vllm_lines(version: str) -> Iterator[list[str]]:
    """Yield what follows the module's name in every line for the CPU build."""
    for at in everything(ENGINES["vllm"], version):
        if at.platform.accelerator == "cpu":
            try:
                yield list(ENGINES["vllm"].command(at).argv[3:])
            except Unsupported:
                continue
