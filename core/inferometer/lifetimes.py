"""What a launch says of itself, whatever the load was: time to ready, memory, capacity."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from inferometer import redact, stats
from inferometer.comparison import MetricInfo, Value
from inferometer.records import Told
from inferometer.tables import is_simulated

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from inferometer.comparison import Kind
    from inferometer.records import LaunchRecord

NONE = Told(reason="not_recorded")
THEIRS = "the engine's own words"


class Row(NamedTuple):
    """One metric of launches: what it is, and how a launch says it."""

    info: MetricInfo
    said: Callable[[LaunchRecord], Told]


def _gib(said: Told) -> Told:
    if not isinstance(said.value, int | float):
        return said
    return Told(value=said.value / 2**30, source=said.source)


def _told(name: str) -> Callable[[LaunchRecord], Told]:
    return lambda record: record.told.get(name, NONE)


TABLE = (
    Row(
        MetricInfo(
            id="ready_s",
            title="Time to ready",
            unit="s",
            direction="lower",
            formula="start of the engine's process to its first ready answer",
        ),
        lambda record: Told(value=record.ready_s) if record.ready_s else NONE,
    ),
    Row(
        MetricInfo(
            id="peak_memory_gib",
            title="Peak memory",
            unit="GiB",
            direction="lower",
            formula="largest sample of private memory of the engine's processes + their shared "
            "part",
            source="proc(5), statm, sampled every 0.5 s",
        ),
        lambda record: (
            _gib(Told(value=record.peak_memory_bytes)) if record.peak_memory_bytes else NONE
        ),
    ),
    Row(
        MetricInfo(
            id="peak_device_memory_gib",
            title="Peak device memory",
            unit="GiB",
            direction="lower",
            formula="largest sample of the memory of the engine's processes, summed over the "
            "devices",
            source="NVML, running compute processes, sampled every 0.5 s",
        ),
        lambda record: _gib(record.peak_device_memory or NONE),
    ),
    Row(
        MetricInfo(
            id="weights_gib",
            title="Memory of the weights",
            unit="GiB",
            direction="lower",
            formula="as the engine says, on one accelerator",
            source=THEIRS,
        ),
        lambda record: _gib(_told("weights_bytes")(record)),
    ),
    Row(
        MetricInfo(
            id="kv_cache_tokens",
            title="KV cache capacity",
            unit="tokens",
            direction="higher",
            formula="as the engine says, of one replica",
            source=THEIRS,
        ),
        _told("kv_cache_tokens"),
    ),
    Row(
        MetricInfo(
            id="max_concurrency",
            title="Requests of full length that fit",
            unit="requests",
            direction="higher",
            formula="KV cache capacity / longest context, as the engine says",
            source=THEIRS,
        ),
        _told("max_concurrency"),
    ),
)
OF_LAUNCHES = tuple(row.info for row in TABLE)
"""What a launch says of itself, whatever the load was."""
_SAID = {row.info.id: row.said for row in TABLE}


def of_launches(info: MetricInfo, whole: Sequence[LaunchRecord], why: tuple[str, str]) -> Value:
    """Return one value over the ``whole`` launches of a cell, or ``why`` there is none."""
    said = [_SAID[info.id](record) for record in whole]
    seen = [float(one.value) for one in said if isinstance(one.value, int | float)]
    kind: Kind = "simulated" if any(map(is_simulated, whole)) else "measured"
    if not seen:
        theirs = any("url" in record.environment for record in whole)
        if theirs:
            why = ("not_run", "a server that was there already")
        elif said:
            why = (said[0].reason or "not_recorded", redact.plain(said[0].detail))
        return Value(value=None, unit=info.unit, kind=kind, reason=why[0], detail=why[1])
    # the same in every launch is shown as it was told, unrounded; nothing has no logarithm
    found = stats.estimate(seen, log=len(set(seen)) > 1 and min(seen) > 0)
    sources = dict.fromkeys(redact.plain(one.source) for one in said if one.source)
    return Value(
        value=found.value,
        unit=info.unit,
        kind=kind,
        n=found.n,
        low=None if found.low is None else max(found.low, 0.0),
        high=found.high,
        detail=", ".join(sources),
    )
