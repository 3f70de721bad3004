"""The split of prefill and decode: known truth, refusals, conservation."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests.benchmarks import phase_split

from inferometer.energy.split import Fit, Stretch, fit, parts

IDLE_W, PREFILL_J, DECODE_J = 100.0, 0.02, 0.5
SHAPES = {"long": (40_000.0, 100.0), "even": (10_000.0, 400.0), "short": (1_000.0, 900.0)}


def window(launch: str, shape: str, scale: float = 1.0) -> Stretch:
    prompt, output = SHAPES[shape]
    joules = 10 * IDLE_W + PREFILL_J * prompt + DECODE_J * output
    return Stretch(
        launch=launch,
        shape=shape,
        seconds=10,
        prompt_tokens=prompt,
        output_tokens=output,
        energy_j=joules * scale,
    )


def idle(launch: str, scale: float = 1.0) -> Stretch:
    return Stretch(
        launch=launch,
        shape="",
        seconds=10,
        prompt_tokens=0,
        output_tokens=0,
        energy_j=10 * IDLE_W * scale,
    )


def study(*scales: float) -> list[Stretch]:
    """One launch a scale: three windows and a stretch of loaded idle, all times the scale."""
    return [
        row
        for index, scale in enumerate(scales)
        for row in (
            *(window(f"r{index}", shape, scale) for shape in SHAPES),
            idle(f"r{index}", scale),
        )
    ]


def test_exact_rows_give_the_exact_terms() -> None:
    found = fit(study(1, 1))
    assert found.reason is None
    assert found.terms == pytest.approx([IDLE_W, PREFILL_J, DECODE_J])
    assert (found.launches, found.windows, found.shapes) == (2, 6, 3)
    assert found.held_out == pytest.approx({"even": 0}, abs=1e-9)


def test_the_interval_is_a_jackknife_over_launches() -> None:
    scales = np.array([0.98, 1.0, 1.03])
    found = fit(study(*scales))
    # every launch is its scale times the truth; relative residuals, so each term is a mean of 3
    half = (found.decode_j_per_token.high or 0) - found.decode_j_per_token.value
    expected = 4.303 * DECODE_J * scales.std(ddof=1) / np.sqrt(3)
    assert half == pytest.approx(expected, rel=0.03)
    assert found.idle_w.low == pytest.approx(IDLE_W * (1 - expected / DECODE_J), rel=0.01)


def test_one_launch_has_no_interval() -> None:
    rows = [replace(row, launch="r0") for row in study(1, 1)]
    found = fit(rows)
    assert found.terms == pytest.approx([IDLE_W, PREFILL_J, DECODE_J])
    assert found.prefill_j_per_token.low is None


def without_idle(rows: list[Stretch]) -> list[Stretch]:
    return [row for row in rows if row.shape]


def one_shape(rows: list[Stretch]) -> list[Stretch]:
    return [replace(row, shape="even" if row.shape else "") for row in rows]


def alike(rows: list[Stretch]) -> list[Stretch]:
    """Workloads that differ in length and not in the ratio of prompts to answers."""
    return [
        replace(
            row,
            prompt_tokens=row.output_tokens * 2,
            energy_j=row.energy_j + (0.5 if row.shape == "long" else 0.0),
        )
        for row in rows
    ]


def contradictory(rows: list[Stretch]) -> list[Stretch]:
    """The shape between the two others takes half as much again."""
    return [
        replace(row, energy_j=row.energy_j * 1.5) if row.shape == "even" else row for row in rows
    ]


def free_prompts(rows: list[Stretch]) -> list[Stretch]:
    return [
        replace(
            row, energy_j=10 * IDLE_W + DECODE_J * row.output_tokens - 0.001 * row.prompt_tokens
        )
        for row in rows
    ]


@pytest.mark.parametrize(
    ("spoil", "reason", "words"),
    [
        (lambda rows: rows[:4], "too_few_samples", "3 windows over 3 workloads"),
        (one_shape, "too_few_samples", "over 1 workloads"),
        (without_idle, "no_baseline", "no stretch of loaded idle"),
        (alike, "shapes_alike", "condition number"),
        (contradictory, "no_fit", "even is predicted"),
        (free_prompts, "no_fit", "the fit leaves nothing for prefill"),
    ],
)
def test_what_cannot_be_told_apart_is_refused(spoil: object, reason: str, words: str) -> None:
    assert callable(spoil)
    found: Fit = fit(spoil(study(1, 1)))
    assert found.reason == reason
    assert words in found.detail
    assert np.isnan(found.terms).all()


def test_parts_add_up_and_what_is_left_over_may_be_negative() -> None:
    found = fit(study(1, 1))
    low = parts(found, window("r0", "even", 0.95))
    assert low.unallocated_j == pytest.approx(-0.05 * 1400)
    whole = low.prefill_j + low.decode_j + low.idle_j + low.unallocated_j
    assert whole == pytest.approx(low.metered_j, rel=1e-12)


def test_random_worlds_are_split_truly() -> None:
    found = phase_split.run(300, seed=2)
    for name, error in found.errors.items():
        assert np.quantile(error, 0.5) <= phase_split.MEDIAN, name
        assert np.quantile(error, 0.95) <= phase_split.P95, name
    assert sum(found.refused.values()) <= 15
    assert found.missed <= phase_split.CONSERVED
