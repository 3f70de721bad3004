"""Compiling takes seconds: whoever comes first does it, the others load what it kept."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from filelock import FileLock

from inferometer_plugins.fleet import Fleet, Traffic, simulate


@pytest.fixture(autouse=True, scope="session")
def _compiled() -> None:
    with FileLock(Path(tempfile.gettempdir()) / "inferometer-fleet-compiles.lock"):
        simulate(Fleet(), Traffic(requests_per_day=10), seed=0)
