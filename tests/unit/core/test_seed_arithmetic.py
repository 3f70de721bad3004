"""The worked example that the field quotes, with its arithmetic put right.

3,000 tok/s at 1,000 W: 3 tokens a joule ("tokens per watt" says the source), 10.8 million a
kilowatt-hour; at 0.17 $/kWh 1.574e-8 $ a token, not 1.7e-8.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl
import pytest

from inferometer.metrics.evaluate import evaluate
from inferometer.tables import scan
from inferometer.testing.results import Fixture, write_results

if TYPE_CHECKING:
    from pathlib import Path

USD_PER_KWH = 0.17


def test_three_tokens_a_joule(tmp_path: Path) -> None:
    fixture = Fixture(rates={"a": 3000.0}, rounds=1, concurrency=30, power_w=1000.0)
    points = evaluate(scan(write_results(tmp_path / "r", fixture)))

    def number(metric: str) -> float:
        return float(points.filter(pl.col("metric") == metric)["value"].item())

    assert number("output_tok_s") == pytest.approx(3000)
    assert number("mean_power_w") == pytest.approx(1000)
    assert number("output_tokens_per_j") == pytest.approx(3)
    assert number("energy_j_per_output_token") == pytest.approx(1 / 3)
    assert number("output_tokens_per_kwh") == pytest.approx(10.8e6)
    assert number("tok_s_per_kw") == pytest.approx(3000)
    assert number("tok_s_per_mw") == pytest.approx(3e6)
    usd = USD_PER_KWH / number("output_tokens_per_kwh")
    assert usd == pytest.approx(1.574e-8, rel=1e-4)
    assert usd * 1e6 == pytest.approx(0.01574, rel=1e-3)  # $ a million tokens
