"""The study file: what to compare. Frozen structs; every problem is reported at once.

``load`` reads TOML, names each bad key by its path, and suggests the nearest known key.
"""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct, field

from inferometer.engine import Profile


class Protocol(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How to measure. ``discard_s`` unset means one residence time, seen in the warm-up."""

    rounds: int = 5
    window_s: float = 60.0
    discard_s: float | None = None
    warmup_requests: int | None = None
    """Requests answered before the load begins; unset means one per stream."""
    seed: int = 1
    probe: bool = True
    """Send 20 fixed prompts in the first round and compare greedy answers between stacks."""
    ready_timeout_s: float | None = None
    request_timeout_s: float = 600.0


class Price(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one hour of the whole machine costs. A price without source and date is refused."""

    usd_per_hour: float
    source: str
    date: str
    """ISO 8601 day on which the price was true."""
    contract: Literal["on-demand", "reserved", "spot", "negotiated", "owned", "assumed"]


class EngineEntry(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[[engines]]``: one stack. ``python`` names an existing interpreter instead of a venv."""

    name: str
    profile: Profile = "defaults"
    python: str | None = None
    dtype: str = "bfloat16"
    tensor_parallel_size: int = 1
    max_model_len: int | None = None
    max_num_seqs: int | None = None
    prefix_caching: bool | None = None
    graphs: bool | None = None
    seed: int | None = 0
    extra_args: tuple[str, ...] = ()
    extra_env: dict[str, str] = {}


class ModelEntry(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[[models]]``: a directory with ``config.json``, or a packaged model by name."""

    name: str
    path: str | None = None
    packaged: str | None = None
    twin_of: str | None = None
    """Name of the dense model of this study that this MoE model is compared with."""


class WorkloadEntry(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[[workloads]]``: prompts of exact token length from real text, pinned output length."""

    name: str
    input_tokens: int
    output_tokens: int


class LoadEntry(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[[loads]]``: closed loop, ``concurrency`` streams."""

    concurrency: int


class MeterEntry(Struct, frozen=True, kw_only=True):
    """``[[meters]]``: a meter by name with its own options."""

    name: str
    options: dict[str, Any] = field(default_factory=dict)


class Study(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A whole study. ``preset`` is printed as a label on everything made from it."""

    name: str
    preset: str = ""
    protocol: Protocol = Protocol()
    price: Price | None = None
    engines: tuple[EngineEntry, ...]
    models: tuple[ModelEntry, ...]
    workloads: tuple[WorkloadEntry, ...]
    loads: tuple[LoadEntry, ...]
    meters: tuple[MeterEntry, ...] = ()
