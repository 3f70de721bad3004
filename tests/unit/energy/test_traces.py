"""Random loads whose joules are known; ``python -m tests.benchmarks.energy_traces`` runs 10,000."""

from __future__ import annotations

import pytest
from tests.unit.energy import traces


@pytest.mark.parametrize(("length_s", "target"), [(10.0, 0.01), (30.0, 0.004)])
def test_a_watched_counter_gives_a_window_s_joules(length_s: float, target: float) -> None:
    found = traces.windows(1000, length_s)
    assert found.refused == []
    assert found.errors.size == 1000
    assert found.errors.max() <= target
    assert (found.of_pm <= 1).mean() >= 0.93  # the plus-minus holds the truth in 95 % of windows


def test_watts_give_them_less_well_and_say_so() -> None:
    found = traces.windows(500, 30.0, sensor=traces.MEANS)
    assert found.errors.max() > 0.004
    assert (found.of_pm <= 1).mean() >= 0.93
