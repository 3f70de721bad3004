"""The decode steps of every closed cell against the roofline of the hardware that served it.

A step reads the weights that its tokens touch and the cache of all its sequences, and computes
(:mod:`inferometer.roofline.steps`). No step is faster than the longer of bytes / bandwidth and
FLOPs / (FLOP/s); the time per output token is what it took. Means stand for steps that differ, and
prompts that are read between decode steps lengthen them: shares err low.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal, NamedTuple

from inferometer import stats
from inferometer.cells import cell_id
from inferometer.comparison import Hardware, Roofline, Value
from inferometer.hardware import SPECULATIVE, Load, cache_type, loads, split_of
from inferometer.precision import served_bytes
from inferometer.roofline import machines, steps
from inferometer.tables import is_simulated, model_name, stack_id

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from inferometer.cells import Evidence
    from inferometer.comparison import Cell, Kind
    from inferometer.plan import LoadPoint
    from inferometer.records import LaunchRecord

PARTS = {
    "batch": "sequences",
    "context": "tokens",
    "experts_touched": "experts",
    "weight_bytes": "bytes",
    "cache_bytes": "bytes",
    "flops": "FLOP",
    "step_ms": "ms",
    "bandwidth_share": "share",
    "compute_share": "share",
    "ceiling_tok_s": "tok/s",
    "achieved": "share",
}
SEEN = {"batch", "context", "step_ms"}
"""Made of what was measured alone; the others have a model or a data sheet in them."""
SHARES = ("bandwidth_share", "compute_share", "achieved")
OF_HARDWARE = (*SHARES, "ceiling_tok_s")
MISPLACED = {
    "measured": "more than the probe reached: what a step reads was in a cache, or something "
    "disturbed the probe",
    "declared": "more than the data sheet allows: the batch, the time per token or what a step "
    "reads is not as assumed",
}
SERVER = "output tokens over steps, as the server counted both"
CLIENT = "in flight at the client: the server counts no steps"
GUESSED = f"in flight at the client; {SPECULATIVE}"
EVEN = "expected of even routing; real routers are skewed and touch fewer"
NO_CACHE = "weights alone: the cache's bytes per token are not known"


class _Seen(NamedTuple):
    """One launch at one load point: numbers by the names in ``PARTS``, as far as known."""

    numbers: dict[str, float]
    reasons: dict[str, tuple[str, str]]
    """Of numbers that are absent: reason and detail."""


class _Frame(NamedTuple):
    """What the numbers of a cell are seen in."""

    hardware: Hardware | str
    simulated: bool
    one_machine: bool


def build_hardware(evidence: Evidence, host: Mapping[str, object]) -> list[Hardware]:
    """Return what served the launches, each once; ``host`` is that of the results."""
    host = _ground(evidence, host)
    found = [machines.serving(record, host, is_simulated(record)) for record in evidence.records]
    named = {(each.name, each.count): each for each in found if isinstance(each, Hardware)}
    return [named[key] for key in sorted(named)]


def build_rooflines(
    evidence: Evidence, cells: Sequence[Cell], host: Mapping[str, object]
) -> list[Roofline]:
    """Return the roofline of each closed cell that has windows; ``host`` is that of the results."""
    host = _ground(evidence, host)
    seen = loads(evidence.tables, evidence.points)
    records: dict[tuple[str, str], list[LaunchRecord]] = {}
    for record in evidence.records:
        records.setdefault((stack_id(record), model_name(record)), []).append(record)
    points = {
        cell_id(stack, model, point): point
        for stack, model in records
        for point in evidence.load_points
        if point.load.closed
    }
    return [
        _roofline(evidence, cell, points[cell.id], here, host)
        for cell in cells
        if cell.id in points
        for here in [_here(records[cell.stack, cell.model], points[cell.id], seen)]
        if here
    ]


def _ground(evidence: Evidence, host: Mapping[str, object]) -> Mapping[str, object]:
    """Return the host; without its probe where the launches may be of several machines."""
    if evidence.one_machine:
        return host
    return {**host, "processor": {"reason": "the launches may be of several machines"}}


def _here(
    records: Sequence[LaunchRecord], point: LoadPoint, seen: Mapping[tuple[str, int], Load]
) -> list[tuple[LaunchRecord, Load]]:
    """Return the launches that have a window of a load point, with what its steps were like.

    With speculative decoding tokens over steps are no batch, so the client's count stands.
    """
    keys = [(record, (record.id, point.index)) for record in records]
    return [
        (record, seen[key]._replace(per_step=None) if _speculates(record) else seen[key])
        for record, key in keys
        if key in seen
    ]


def _speculates(record: LaunchRecord) -> bool:
    return bool(record.asked.get("speculative"))


def _roofline(
    evidence: Evidence,
    cell: Cell,
    point: LoadPoint,
    here: Sequence[tuple[LaunchRecord, Load]],
    host: Mapping[str, object],
) -> Roofline:
    first = here[0][0]
    hardware = machines.serving(first, host, is_simulated(first))
    tpot = cell.values["tpot_ms"]
    why = (tpot.reason or "too_few_samples", tpot.detail)
    found = [_look(record, load, hardware, why) for record, load in here]
    told = all(load.per_step is not None for _, load in here)
    notes = {
        "batch": SERVER if told else GUESSED if _speculates(first) else CLIENT,
        "bandwidth_share": _read_words(found, hardware, host),
        "flops": "" if steps.has_shape(first.model) else steps.NO_SHAPE,
        "experts_touched": EVEN,
    }
    frame = _Frame(hardware, is_simulated(first), evidence.one_machine)
    values = {name: _value(frame, name, found, notes.get(name, "")) for name in PARTS}
    experts, top_k = first.model.get("experts"), first.model.get("top_k")
    return Roofline(
        cell=cell.id,
        stack=cell.stack,
        model=cell.model,
        workload=point.workload.name,
        load=point.label,
        hardware=_named(hardware),
        batch_source="server" if told else "client",
        experts=experts if isinstance(experts, int) else None,
        top_k=top_k if isinstance(top_k, int) else None,
        experts_seen=_unseen(first, frame),
        bound=_bound(values),
        **values,
    )


def _named(hardware: Hardware | str) -> str:
    if isinstance(hardware, str):
        return ""
    return hardware.name if hardware.count == 1 else f"{hardware.count} x {hardware.name}"


def _look(
    record: LaunchRecord, load: Load, hardware: Hardware | str, no_tpot: tuple[str, str]
) -> _Seen:
    """Return what is known of the decode steps of one launch at one load point."""
    split = split_of(record)
    sequences, weights = load.sequences(split.replicas), served_bytes(record)
    if _speculates(record):
        known = {"batch": sequences, "context": load.context}
        known = {key: value for key, value in known.items() if value > 0}
        return _Seen(known, dict.fromkeys(PARTS, ("speculative", SPECULATIVE)))
    taken_ms = load.tpot_ms if load.tpot_ms and math.isfinite(load.tpot_ms) else 0.0
    numbers = {"batch": sequences, "context": load.context, "step_ms": taken_ms}
    reasons = {"step_ms": no_tpot}
    if not weights:
        words = "the size of the weights as served is not known"
        reasons = dict.fromkeys(PARTS, ("not_told", words)) | reasons
        return _Seen({key: value for key, value in numbers.items() if value > 0}, reasons)
    work = steps.step(
        record.model,
        weights,
        sequences=sequences,
        context=load.context,
        split=split,
        kv_type=cache_type(record),
    )
    numbers |= {
        "weight_bytes": work.weight_bytes,
        "cache_bytes": work.cache_bytes,
        "flops": work.flops,
        "experts_touched": work.experts_touched or 0.0,
    }
    reasons["experts_touched"] = _why_no_experts(record)
    reasons["cache_bytes"] = ("not_recorded", "bytes per token of the cache")
    shares, why = _shares(record, numbers, hardware, no_tpot)
    return _Seen({k: v for k, v in (numbers | shares).items() if v > 0}, reasons | why)


def _why_no_experts(record: LaunchRecord) -> tuple[str, str]:
    if record.model.get("architecture") != "moe":
        return "dense", ""
    return "not_recorded", "config.json does not say how many experts there are or work"


def _shares(
    record: LaunchRecord,
    numbers: Mapping[str, float],
    hardware: Hardware | str,
    no_tpot: tuple[str, str],
) -> tuple[dict[str, float], dict[str, tuple[str, str]]]:
    """Return what follows from the hardware, and reasons for what does not."""
    if isinstance(hardware, str):
        return {}, dict.fromkeys(OF_HARDWARE, ("no_peaks", hardware))
    kind = machines.number_type(record)
    rate = hardware.flops.get(kind or "")
    least_s = {
        "bandwidth_share": (numbers["weight_bytes"] + numbers["cache_bytes"]) / hardware.bytes_s
    }
    why = dict.fromkeys(SHARES, no_tpot)
    if rate:
        least_s["compute_share"] = numbers["flops"] / rate
    else:
        words = f"FLOP/s in {kind} are not known" if kind else "the type computed in is not known"
        why["compute_share"] = ("no_peaks", words)
    bound_s = max(least_s.values())
    found = {"ceiling_tok_s": numbers["batch"] / bound_s}
    if taken_s := numbers["step_ms"] / 1e3:
        found |= {name: seconds / taken_s for name, seconds in least_s.items()}
        found["achieved"] = bound_s / taken_s
    return found, why


def _value(frame: _Frame, name: str, found: Sequence[_Seen], note: str) -> Value:
    """Return one number over the launches of a cell."""
    kind: Kind = "simulated" if frame.simulated else "derived" if name in SEEN else "estimated"
    known = [seen.numbers[name] for seen in found if name in seen.numbers]
    if not known:
        reason, detail = found[0].reasons.get(name, ("not_recorded", ""))
        return Value(value=None, unit=PARTS[name], kind=kind, reason=reason, detail=detail)
    over = stats.estimate(known)
    words = [note]
    if name in SHARES and over.value > 1 and isinstance(frame.hardware, Hardware):
        words.append(f"ABOVE 1: {MISPLACED[frame.hardware.kind]}")
    alone = all(seen.reasons.get("compute_share", ("",))[0] == "no_peaks" for seen in found)
    if alone and name in {"achieved", "ceiling_tok_s"}:
        words.append("of memory alone: FLOP/s in the type computed in are not known")
    return Value(
        value=over.value,
        unit=PARTS[name],
        kind=kind,
        n=over.n,
        low=over.low if frame.one_machine else None,
        high=over.high if frame.one_machine else None,
        detail="; ".join(word for word in words if word),
    )


def _bound(values: Mapping[str, Value]) -> Literal["memory", "compute"] | None:
    memory, compute = values["bandwidth_share"].value, values["compute_share"].value
    if memory is None or compute is None:
        return None
    return "memory" if memory >= compute else "compute"


def _read_words(
    found: Sequence[_Seen], hardware: Hardware | str, host: Mapping[str, object]
) -> str:
    """Say what is missing of the bytes, and where a processor's cache may hold much of them."""
    words = [NO_CACHE] if all("cache_bytes" not in seen.numbers for seen in found) else []
    probe = host.get("processor")
    size = probe.get("cache_bytes") if isinstance(probe, dict) else None
    read = max(
        seen.numbers.get("weight_bytes", 0.0) + seen.numbers.get("cache_bytes", 0.0)
        for seen in found
    )
    measured = isinstance(hardware, Hardware) and hardware.kind == "measured"
    if measured and isinstance(size, int) and 0 < read < 2 * size:
        words.append(
            f"a step reads {read / 1e6:.0f} MB and the processor's last cache holds "
            f"{size / 1e6:.0f} MB (shared with whatever else runs): memory may move less"
        )
    return "; ".join(words)


def _unseen(record: LaunchRecord, frame: _Frame) -> Value:
    dense = record.model.get("architecture") != "moe"
    return Value(
        value=None,
        unit=PARTS["experts_touched"],
        kind="simulated" if frame.simulated else "measured",
        reason="dense" if dense else "not_told",
        detail="" if dense else "the engine was not asked which experts its tokens took",
    )
