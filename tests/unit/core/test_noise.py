from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest

from inferometer.analyze import analyze
from inferometer.testing.results import Fixture, write_results

if TYPE_CHECKING:
    from pathlib import Path

    from inferometer.comparison import Noise

DRIFT = {("a", 1): 1.05, ("b", 2): 0.95}


def noise(root: Path, **options: object) -> dict[str, Noise]:
    fixture = Fixture(**{"rates": {"a": 40.0, "b": 40.0}, "drift": DRIFT, **options})  # type: ignore[arg-type] # any
    seen = analyze(write_results(root, fixture).root)
    return {found.objective: found for found in seen.noise}


def test_what_windows_do_not_explain_is_the_launches_own(tmp_path: Path) -> None:
    seen = noise(tmp_path)["throughput"]
    assert seen.launches == 6
    assert seen.window_sd_percent is not None
    assert seen.window_sd_percent < 1
    # differences of logs: 0, ln 1.05, -ln 0.95 over three rounds; half their variance is one's own
    off = [0.0, math.log(1.05), -math.log(0.95)]
    mean = sum(off) / 3
    own = math.sqrt(sum((x - mean) ** 2 for x in off) / 2 / 2)
    assert seen.launch_sd_percent == pytest.approx(math.expm1(own) * 100, rel=0.02)
    assert (seen.window_s, seen.beside_s > 0) == (10, True)
    assert seen.windows == 1  # more windows would not help: the launches differ


def test_one_price_and_constant_watts_have_the_noise_of_throughput(tmp_path: Path) -> None:
    seen = noise(tmp_path)
    throughput, cost = seen["throughput"], seen["cost"]
    assert cost.launch_sd_percent == pytest.approx(throughput.launch_sd_percent)
    assert cost.window_sd_percent == pytest.approx(throughput.window_sd_percent)
    # what requests do to a batch's joules is told of one stack alone, so it is not taken out
    energy = seen["energy"]
    assert (energy.window_sd_percent, energy.windows) == (None, None)
    assert energy.window_sd_reason == "told for tokens only"
    assert energy.detectable_percent is not None


@pytest.mark.parametrize("options", [{"rounds": 1}, {"rates": {"a": 40.0}}])
def test_one_launch_or_one_stack_tells_of_no_spread(
    tmp_path: Path, options: dict[str, object]
) -> None:
    assert noise(tmp_path, **options) == {}
