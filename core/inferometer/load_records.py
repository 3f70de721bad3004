"""What is kept of each host that a load came from."""

from __future__ import annotations

from msgspec import Struct


class LoadHost(Struct, frozen=True, kw_only=True):
    """One of several hosts a load came from, as seen by the one that measured."""

    address: str
    workers: int
    requests: int
    """Sent under load, up to the end of the window."""
    offset_ms: float
    """Its monotonic clock minus ours at the window's start."""
    bound_ms: float
    """How far that may be from the truth, at any moment of the window."""
    drift_ppm: float
    """By how much its clock gained on ours meanwhile, as was taken into account."""
    edge_ms: float
    """How much later than the window it cut its streams; negative: earlier. It was told the end
    beforehand, when the drift was not known."""
    round_trip_ms: float
    """The least that was seen."""
    client_cpu_s: float
    loop_lag_p99_ms: float | None
    send_lag_p99_ms: float | None
