"""The launches of a results directory as a frame."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from inferometer import nodes, redact
from inferometer.tables import is_simulated, model_name, stack_id

if TYPE_CHECKING:
    from inferometer.records import LaunchRecord
    from inferometer.store import Store

SCHEMA = pl.Schema(
    {
        "launch": pl.String(),
        "stack": pl.String(),
        "model": pl.String(),
        "round": pl.Int64(),
        "node": pl.String(),
        "position": pl.Int64(),
        "status": pl.String(),
        "simulated": pl.Boolean(),
        "ready_s": pl.Float64(),
        "seconds": pl.Float64(),
        "windows": pl.Int64(),
        "peak_memory_bytes": pl.Int64(),
        "reason": pl.String(),
        "detail": pl.String(),
    }
)


def launches(store: Store) -> pl.DataFrame:
    """Return one row a launch in running order, node by node; a failed one has its ``reason``.

    ``seconds`` is from its start to its end, ``ready_s`` until it served; ``round`` counts from 1.
    """
    records = sorted([*store.launches(), *store.failures()], key=nodes.running_order)
    return pl.DataFrame([_row(one) for one in records], schema=SCHEMA, orient="row")


def _row(one: LaunchRecord) -> tuple[object, ...]:
    failure = one.failure
    return (
        *(one.id, stack_id(one), model_name(one), one.round + 1, one.node),
        *(one.position, one.status, is_simulated(one)),
        one.ready_s,
        (one.ended_ns - one.started_ns) / 1e9,
        len(one.windows),
        one.peak_memory_bytes,
        failure.reason if failure else None,
        redact.text(redact.plain(failure.message)) if failure else None,
    )
