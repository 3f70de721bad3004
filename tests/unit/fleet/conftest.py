"""Compiling takes seconds: whoever comes first does it, the others load what it kept."""

from __future__ import annotations

import pytest
from filelock import FileLock

from inferometer_plugins.fleet import Fleet, Traffic, simulate


@pytest.fixture(autouse=True, scope="session")
def _compiled(tmp_path_factory: pytest.TempPathFactory) -> None:
    # beside the folders of this run's processes, not at a name that another user may own
    with FileLock(tmp_path_factory.getbasetemp().parent / "fleet-compiles.lock"):
        simulate(Fleet(), Traffic(requests_per_day=10), seed=0)
