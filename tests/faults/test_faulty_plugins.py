"""Every fault of tests/faults/plugins.py gets its reason, and costs no more than it must."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.faults.fault import Fault, disagreements, others_than
from tests.faults.plugins import PLUGINS
from tests.faults.running import put


@pytest.mark.parametrize("fault", PLUGINS, ids=lambda fault: fault.name)
def test_it_is_seen_and_named(fault: Fault, model_files: Path, tmp_path: Path) -> None:
    found = put(fault, tmp_path, model_files)
    assert disagreements(fault.expected, found) == []
    assert all(disagreements(wrong, found) for wrong in others_than(fault.expected))
