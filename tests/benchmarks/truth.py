"""What the oracle knows, in the quantities that clients report.

The truth of a request begins when the oracle has read it whole and ends with the write of its last
content; both are stamped by the oracle right at the system calls. What a client adds (its queues,
the kernel's, its wake-up) is therefore all counted as the client's bias, in both directions.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from inferometer.testing.oracle import Truth


@dataclass(frozen=True, slots=True)
class Facts:
    """Of the requests answered in full; times in ms."""

    completed: int
    tokens: int
    ttft: list[float]
    e2e: list[float]
    tpot: list[float]
    tok_s: float
    """All tokens written / from the first arrival to the last write."""


def facts(truth: Sequence[Truth]) -> Facts:
    """Sum up the requests of a load."""
    done = [t for t in truth if t.outcome == "ok" and t.writes]
    last_ns = max((t.writes[-1][0] for t in done), default=0)
    span_s = (last_ns - min((t.arrived_ns for t in done), default=0)) * 1e-9
    tokens = sum(t.tokens for t in done)
    return Facts(
        completed=len(done),
        tokens=tokens,
        ttft=[(t.writes[0][0] - t.arrived_ns) * 1e-6 for t in done],
        e2e=[(t.writes[-1][0] - t.arrived_ns) * 1e-6 for t in done],
        tpot=[
            (t.writes[-1][0] - t.writes[0][0]) * 1e-6 / (t.tokens - 1) for t in done if t.tokens > 1
        ],
        tok_s=tokens / span_s if span_s else 0.0,
    )


def mean(values: Sequence[float]) -> float:
    """Return the mean, 0 of nothing."""
    return statistics.fmean(values) if values else 0.0


def p99(values: Sequence[float]) -> float:
    """Return the 99th percentile, linear between neighbours, 0 of nothing."""
    return float(np.percentile(values, 99)) if values else 0.0
