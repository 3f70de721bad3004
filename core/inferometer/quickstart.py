"""The study for someone who has none: what this machine can measure with nothing to prepare."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

from inferometer import environment
from inferometer.declared import Price
from inferometer.engine import Unsupported
from inferometer.errors import MachineError
from inferometer.study import (
    EngineEntry,
    LoadEntry,
    MeterEntry,
    ModelEntry,
    Protocol,
    Study,
    WorkloadEntry,
)

if TYPE_CHECKING:
    from pathlib import Path

    from inferometer.engine import Platform
    from inferometer.plugins import Registry

MEMORY_GIB = 8
DISK_GIB = 12
ENGINES = {
    "vllm": "comes with inferometer",
    "transformers": "pip install inferometer-transformers",
}
"""Engines with locked environments, and where their adapters come from."""
X86_FLAG = {"vllm": "avx512f"}
"""A processor feature that an engine's CPU build was proved to need on x86-64."""
METERS: dict[str, dict[str, float]] = {
    "cpu-time": {"watts_per_busy_core": 10.0},
    "declared": {"power_w": 65.0},
    "rapl": {},
    "nvml": {},
    "nvml-power": {},
}
NEED_GPU = {"nvml", "nvml-power"}
MODELS = (
    ModelEntry(name="smollm2-135m", packaged="smollm2-135m"),
    ModelEntry(name="smollm2-135m-moe", packaged="smollm2-135m-moe", twin_of="smollm2-135m"),
)
PRICE = Price(
    usd_per_hour=0.10,
    source="illustrative value of the quickstart; put your own in the study",
    date="2026-11-22",
    contract="assumed",
)


def choose(registry: Registry, host: dict[str, Any]) -> tuple[Study, list[str]]:
    """Return a study for ``host`` (see :mod:`inferometer.provenance`) and why it is this one.

    Raises:
        MachineError: no installed engine has an environment for this machine.
    """
    platform = environment.current_platform()
    engines, about_engines = _engines(registry, host, platform)
    if not engines:
        raise MachineError(
            f"quickstart: no engine for {platform}: {'; '.join(about_engines)}",
            hint="Write a study (`inferometer init`) and set `python` under [[engines]] to an "
            "interpreter that has the engine.",
        )
    meters = [name for name in METERS if name in registry.meters()]
    if not host["gpus"]:
        meters = [name for name in meters if name not in NEED_GPU]
    study = Study(
        name="Quick look",
        preset="quick look",
        protocol=Protocol(rounds=3, window_s=10.0),
        price=PRICE,
        # Eager: compiling takes minutes in each launch, more than everything else here.
        engines=tuple(EngineEntry(name=name, graphs=False) for name in engines),
        models=MODELS,
        workloads=(WorkloadEntry(name="short", input_tokens=32, output_tokens=8),),
        loads=(LoadEntry(concurrency=8),),
        meters=tuple(MeterEntry(name=name, options=dict(METERS[name])) for name in meters),
    )
    return study, [*_about_machine(host), *about_engines, *_about_study(study)]


def check_machine(host: dict[str, Any], cache: Path) -> str:
    """Return what disk space there is, in words, or refuse a machine that is too small.

    What the cache already holds counts as free: it need not be fetched again.

    Raises:
        MachineError: too little memory, or too little space for the engines' environments.
    """
    memory = host["memory_gib"]
    if memory < MEMORY_GIB:
        raise MachineError(
            f"quickstart: {memory} GiB of memory, needs {MEMORY_GIB} GiB",
            hint="Use a larger machine, or raise the container's memory limit.",
        )
    free = _free_gib(cache)
    if free < DISK_GIB and free + _held_gib(cache) < DISK_GIB:
        raise MachineError(
            f"quickstart: {free:.1f} GiB free for {cache}, needs {DISK_GIB} GiB",
            hint="Free space, or set INFEROMETER_CACHE to a folder on a larger disk.",
        )
    return f"disk: {free:.0f} GiB free for {cache}, where engines and models are kept"


def _engines(
    registry: Registry, host: dict[str, Any], platform: Platform
) -> tuple[list[str], list[str]]:
    known = registry.engines()
    broken = {row.name: row.problem for row in registry.problems()}
    chosen, about = [], []
    for name, origin in ENGINES.items():
        flag = X86_FLAG.get(name) if platform.machine == "x86_64" and not host["gpus"] else None
        if name not in known:
            why = broken.get(name, f"not installed ({origin})")
            about.append(f"engine {name}: left out, {why}")
        elif flag and flag not in host["cpu_flags"]:
            about.append(f"engine {name}: left out, its CPU build needs {flag}, absent here")
        else:
            try:
                known[name].requirements(platform)
            except Unsupported as error:
                about.append(f"engine {name}: left out, {error}")
            else:
                chosen.append(name)
                about.append(f"engine {name}: in an environment of its own, eager (no compilation)")
    if len(chosen) == 1:
        about.append(f"only one engine, {chosen[0]}: it will be ranked with no other")
    return chosen, about


def _about_machine(host: dict[str, Any]) -> list[str]:
    flags = ", ".join(host["cpu_flags"]) or "none of interest"
    gpus = ", ".join(host["gpus"]) or "none seen, so engines run on the processor"
    return [
        f"processor: {host['cpu_model'] or 'unknown'}, {host['cores']} cores ({flags})",
        f"memory: {host['memory_gib']} GiB",
        f"GPU: {gpus}",
    ]


def _about_study(study: Study) -> list[str]:
    assert study.price is not None
    (workload,), (load,) = study.workloads, study.loads
    meters = ", ".join(meter.name for meter in study.meters) or "none installed"
    protocol, price = study.protocol, study.price
    return [
        "models: a small dense one and its mixture-of-experts twin of equal quality",
        "models come from the package index; no model hub is asked",
        f"workload: {workload.input_tokens} tokens in, {workload.output_tokens} out",
        f"load: {load.concurrency} streams",
        f"protocol: {protocol.rounds} rounds, windows of {protocol.window_s:g} s",
        "this is a quick look, labelled so: too few rounds for close calls",
        f"energy: {meters}; watts that are declared give estimates, not measurements",
        f"price: {price.usd_per_hour:.2f} USD per hour, {price.source}",
    ]


def _free_gib(folder: Path) -> float:
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free / 2**30


def _held_gib(folder: Path) -> float:
    files = (file for file in folder.rglob("*") if file.is_file() and not file.is_symlink())
    return sum(file.stat().st_size for file in files) / 2**30
