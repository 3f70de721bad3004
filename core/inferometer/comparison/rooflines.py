"""How near each load point came to what the hardware allows, and how many experts it touched."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from inferometer.comparison.value import Value


class Hardware(Struct, frozen=True, kw_only=True):
    """What the machine's accelerators (or its processor) can do, together.

    ``kind`` says where the numbers are from: a data sheet, or a probe of this machine.
    """

    name: str
    count: int
    kind: Literal["declared", "measured"]
    bytes_s: float
    flops: dict[str, float]
    """FLOP/s without sparsity, by data type (``bfloat16``, ``fp8``, ...)."""
    memory_bytes: float | None
    tdp_w: float | None
    source: str
    seen: str
    """Date, ISO 8601."""


class Roofline(Struct, frozen=True, kw_only=True):
    """The decode steps of one cell against the roofline: a lower bound on time, so shares below 1.

    Bytes and FLOPs are of one step over all accelerators that serve. ``batch`` are the sequences
    in a step, ``context`` the tokens that the cache holds for each. ``experts_touched`` are of
    each MoE layer, expected under even routing; ``experts_seen`` where an engine exposes its
    routing. Values without a number have a reason.
    """

    cell: str
    stack: str
    model: str
    workload: str
    load: str
    hardware: str
    """Name of what served, with the count in front where there are several; empty: not known."""
    batch: Value
    batch_source: Literal["server", "client"]
    """Running requests as the server told them, or in flight at the client."""
    context: Value
    experts: int | None
    top_k: int | None
    experts_touched: Value
    experts_seen: Value
    weight_bytes: Value
    cache_bytes: Value
    flops: Value
    step_ms: Value
    """Mean time of a decode step: the time per output token."""
    bandwidth_share: Value
    """Bytes of the step over what memory could move meanwhile."""
    compute_share: Value
    bound: Literal["memory", "compute"] | None
    """Which of the two would take longer at its peak."""
    ceiling_tok_s: Value
    """Output tokens per second if a step took no longer than the roofline says."""
    achieved: Value
    """The greater of the shares: of the roofline, what was achieved."""
