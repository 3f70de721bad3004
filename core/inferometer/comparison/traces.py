"""What launches did one after the other, second by second and request by request: for charts."""

from __future__ import annotations

from typing import Literal

from msgspec import UNSET, Struct, UnsetType

from inferometer.comparison.value import Kind, Value


class Launched(Struct, frozen=True, kw_only=True):
    """One attempt to launch; in a comparison they stand in the order in which they ran.

    Those of several nodes stand node by node: what ran at one time on two has no order.
    """

    launch: str
    position: int
    """Planned place in the running order of the study, from 0."""
    round: int
    stack: str
    model: str
    status: Literal["ok", "failed"]
    reason: str | None
    """Why it failed."""
    speed: Value
    """Its output tok/s over the mean of all launches of its stack and model: the geometric mean
    over the closed load points, so 1 where nothing drifts. Of several nodes: those on its own."""
    node: str | UnsetType = UNSET
    """Where it ran; not there where the run knew no nodes."""


class Distribution(Struct, frozen=True, kw_only=True):
    """How one latency of a cell is spread over the requests of all its launches."""

    cell: str
    metric: Literal["ttft_ms", "tpot_ms"]
    kind: Kind
    requests: int
    shares: list[float]
    """Shares of the requests, rising, between 0 and 1."""
    values: list[float | None]
    """The least latency (ms) within which that share was; None where there were too few requests
    to tell, or too many failed."""


class PowerTrace(Struct, frozen=True, kw_only=True):
    """Watts of one meter over one window: means of ``step_s`` seconds from its start.

    There is none where readings were further apart than a step.
    """

    launch: str
    stack: str
    model: str
    workload: str
    load: str
    meter: str
    kind: Kind
    step_s: float
    watts: list[float]
