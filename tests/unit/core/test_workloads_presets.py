"""Use cases: each is complete, its limits hold, its documentation agrees."""

from __future__ import annotations

from pathlib import Path
from statistics import median
from typing import get_args

import pytest

from inferometer.workloads.lengths import draw, parse
from inferometer.workloads.presets import PRESETS, Preset

REFERENCE = Path(__file__).parents[3] / "docs" / "reference" / "study.md"


def test_every_name_has_a_preset_and_a_source() -> None:
    assert tuple(PRESETS) == get_args(Preset)
    for case in PRESETS.values():
        assert case.models
        assert case.source.endswith(".")


@pytest.mark.parametrize("name", PRESETS)
def test_each_is_a_distribution_with_limits_in_the_reference(name: Preset) -> None:
    case = PRESETS[name]
    (row,) = (ln for ln in REFERENCE.read_text().splitlines() if ln.startswith(f"| `{name}` |"))
    for lengths in (case.input, case.output):
        assert parse(str(lengths)) == lengths
        assert lengths.min is not None
        assert lengths.longest is not None
        assert f"{lengths.min:,} to {lengths.longest:,}" in row
        if lengths.mean is not None:
            assert f"({lengths.mean:,g}, {lengths.sigma:,g})" in row


@pytest.mark.parametrize(
    ("name", "tokens_in", "tokens_out"),
    [
        ("support-bot", (230, 260), (140, 155)),
        ("chat", (190, 215), (190, 215)),
        ("code-generation", (1350, 1550), (390, 420)),
        ("deep-research", (27_000, 32_000), (1900, 2200)),
    ],
)
def test_medians_are_those_that_are_written(
    name: Preset, tokens_in: tuple[int, int], tokens_out: tuple[int, int]
) -> None:
    case = PRESETS[name]
    for lengths, (low, high) in ((case.input, tokens_in), (case.output, tokens_out)):
        assert low <= median(draw(lengths, 3200, 1)) <= high
