"""What the machine behind a launch can do: its accelerators by their makers, or its processor.

A processor's figures are those of the probe at the start of the study (``host.json``); nobody
prints them for part of a virtual machine.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any

from inferometer.comparison import Hardware
from inferometer.redact import plain
from inferometer.roofline import accelerators
from inferometer.roofline.accelerators import SEEN, SOURCES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from inferometer.records import LaunchRecord

PARALLEL = ("tensor_parallel_size", "pipeline_parallel_size", "data_parallel_size")
WEIGHT_ONLY = ("awq", "gptq", "w4a16", "w8a16", "bitsandbytes", "gguf", "int4_wo")
"""Names of quantisations that are undone before anything is multiplied."""


def serving(record: LaunchRecord, host: Mapping[str, object], simulated: bool) -> Hardware | str:
    """Return what served a launch, all of it together, or in words why that is not known.

    ``host`` is that of the results. A simulated engine has the accelerators that a made-up meter
    names, and never this machine's.
    """
    if record.environment.get("kind") == "url":
        return "someone else's server: what it runs on is not known"
    names = _metered(record)
    if not names and not simulated:
        gpus = host.get("gpus")
        names = [str(name) for name in gpus] if isinstance(gpus, list) else []
    if names:
        return _accelerators(names, prod(int(record.asked.get(size) or 1) for size in PARALLEL))
    if simulated:
        return "simulated: no hardware computed it"
    found = host.get("processor")
    return _processor(found if isinstance(found, dict) else {}, host)


def number_type(record: LaunchRecord) -> str | None:
    """Return the type that a launch multiplied in; None where its quantisation does not tell."""
    own = str(record.precision.get("dtype") or record.model.get("dtype") or "")
    weights = str(record.precision.get("quantization") or record.model.get("quantization") or "")
    if not weights or any(name in weights.lower() for name in WEIGHT_ONLY):
        return own or None
    return "fp8" if "fp8" in weights.lower() else None


def _metered(record: LaunchRecord) -> list[str]:
    """Return the models of the accelerators that a meter saw at work."""
    for info in record.meters:
        if info.scope == "L0" and not info.reason:
            named = [one.model for one in info.devices if one.model and not one.left_out]
            if named:
                return named
    return []


def _accelerators(names: Sequence[str], wanted: int) -> Hardware | str:
    """Return accelerators of one model together: ``wanted``, or all when there are fewer."""
    models = sorted({" ".join(name.split()) for name in names})
    peak = accelerators.of(models[0])
    if len(models) > 1 or peak is None:
        return f"not in the table of accelerators: {plain(', '.join(models))}"
    count = min(len(names), wanted)
    flops = dict(peak.flops)
    if "bfloat16" in flops:
        flops["float16"] = flops["bfloat16"]
    return Hardware(
        name=models[0],
        count=count,
        kind="declared",
        bytes_s=count * peak.bytes_s,
        flops={kind: count * rate for kind, rate in flops.items()},
        memory_bytes=None if peak.memory_bytes is None else count * peak.memory_bytes,
        tdp_w=None if peak.tdp_w is None else count * peak.tdp_w,
        source=SOURCES[peak.source],
        seen=SEEN,
    )


def _processor(found: Mapping[str, Any], host: Mapping[str, object]) -> Hardware | str:
    rates = [found.get("read_s"), found.get("copy_s")]
    known = [float(rate) for rate in rates if isinstance(rate, int | float) and rate > 0]
    if not known:
        reason = found.get("reason")
        return plain(str(reason)) if reason else "the processor was not probed"
    threads, flops, by = found.get("threads"), found.get("flops"), found.get("by")
    by = by if isinstance(by, dict) else {}
    cores = int(threads) if isinstance(threads, int) else 1
    gib = host.get("memory_gib")
    size = found.get("array_bytes")
    return Hardware(
        name=f"{plain(str(host.get('cpu_model') or 'processor'))}, {cores} threads",
        count=1,
        kind="measured",
        bytes_s=max(known),
        flops=_rates(flops if isinstance(flops, dict) else {}),
        memory_bytes=float(gib) * 2**30 if isinstance(gib, int | float) else None,
        tdp_w=None,
        source=f"probe of this machine before the first launch: the faster of reading and copying "
        f"{(size if isinstance(size, int) else 0) / 1e9:.1f} GB with {cores} threads; matrix "
        f"products {_by(by)}, no type taken for slower than float32",
        seen=plain(str(found.get("seen") or "")),
    )


def _rates(flops: Mapping[str, object]) -> dict[str, float]:
    """Return FLOP/s by type, none below float32's: any narrower product can be done in that.

    Processors whose bfloat16 instructions are slower exist, and engines that go by float32 there
    would be above what is meant as a bound.
    """
    found = {
        plain(str(kind)): float(rate)
        for kind, rate in flops.items()
        if isinstance(rate, int | float) and rate > 0
    }
    return {kind: max(rate, found.get("float32", 0.0)) for kind, rate in found.items()}


def _by(by: Mapping[str, object]) -> str:
    told = [f"in {plain(str(kind))} by {plain(str(what))}" for kind, what in by.items()]
    return ", ".join(told) or "by an unknown library"
