"""A fleet in virtual time: replicas behind a router, for a day, request by request.

What it models, its formulas and how it was checked: docs/reference/fleet-simulator.md. Everything
that comes of it is ``simulated``. Importing this loads numpy, and never numba.
"""

from __future__ import annotations

from inferometer_plugins.fleet.answer import Answer, Slo, Tried, smallest
from inferometer_plugins.fleet.day import Day, Summary
from inferometer_plugins.fleet.engine import simulate
from inferometer_plugins.fleet.spec import (
    FLAT,
    OFFICE,
    PATTERNS,
    ROUTERS,
    Bursts,
    Failures,
    Fleet,
    Prefixes,
    RollingRestart,
    Router,
    Traffic,
)

__all__ = [
    "FLAT",
    "OFFICE",
    "PATTERNS",
    "ROUTERS",
    "Answer",
    "Bursts",
    "Day",
    "Failures",
    "Fleet",
    "Prefixes",
    "RollingRestart",
    "Router",
    "Slo",
    "Summary",
    "Traffic",
    "Tried",
    "simulate",
    "smallest",
]
