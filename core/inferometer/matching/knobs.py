"""How each stack ran each model: what decides how many sequences meet in a step, and where."""

from __future__ import annotations

from statistics import fmean
from typing import TYPE_CHECKING

from inferometer.comparison import Knobs
from inferometer.redact import plain
from inferometer.tables import model_name, stack_id

if TYPE_CHECKING:
    from collections.abc import Sequence

    from inferometer.cells import Evidence
    from inferometer.records import LaunchRecord

NAMES = (
    *("tensor_parallel_size", "pipeline_parallel_size", "data_parallel_size"),
    *("expert_parallel_size", "max_num_seqs", "max_num_batched_tokens", "max_concurrency"),
    *("moe_backend", "attention_backend", "chunked_prefill", "graphs"),
)
"""Fields of :class:`inferometer.engine.LaunchSpec` and of ``engine.OUTCOMES``."""
PARALLEL = frozenset(NAMES[:4])


def build_knobs(evidence: Evidence) -> list[Knobs]:
    """Return the knobs of every stack on every model that has a whole launch."""
    found: dict[tuple[str, str], list[LaunchRecord]] = {}
    for record in evidence.records:
        found.setdefault((stack_id(record), model_name(record)), []).append(record)
    return [
        Knobs(
            stack=stack,
            model=model,
            settings={
                name: " or ".join(dict.fromkeys(_setting(record, name) for record in records))
                for name in NAMES
            },
            running=_running(records),
        )
        for (stack, model), records in sorted(found.items())
    ]


def _running(records: Sequence[LaunchRecord]) -> dict[str, float]:
    """Return the mean over launches of what the server told, by workload and load."""
    told: dict[str, list[float]] = {}
    for record in records:
        for window in record.windows:
            if window.requests_running is not None:
                place = f"{window.workload}, {window.load}"
                told.setdefault(place, []).append(window.requests_running)
    return {place: fmean(seen) for place, seen in told.items()}


def _setting(record: LaunchRecord, name: str) -> str:
    """Return what the engine says, else what it was asked; sizes of parallelism are 1 unasked.

    Nothing is asked of a server that someone else runs, nor known of results before it was kept.
    """
    told = record.told.get(name)
    if told is not None and told.value is not None:
        return plain(str(told.value))
    if record.asked.get(name) is not None:
        return f"{plain(str(record.asked[name]))} (asked)"
    return "1 (not asked)" if name in PARALLEL and record.asked else "not told"
