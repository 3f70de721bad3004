"""Every fault gives its reason and no number; its twin gives a number."""

from __future__ import annotations

import pytest
from tests.unit.energy.faults import CATALOGUE, Fault, caught, clean


@pytest.mark.parametrize("fault", CATALOGUE, ids=lambda fault: fault.name)
def test_a_fault_gives_a_reason_and_its_twin_a_number(fault: Fault) -> None:
    seen = caught(fault)
    assert seen
    assert set(seen) == {fault.reason}
    assert set(clean(fault)) == {None}


def test_the_table_is_long_enough() -> None:
    assert len(CATALOGUE) >= 30
    assert len({fault.name for fault in CATALOGUE}) == len(CATALOGUE)
