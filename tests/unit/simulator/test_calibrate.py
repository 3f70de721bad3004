"""A law is found again from what an engine did."""

from __future__ import annotations

import numpy as np
import pytest

from inferometer_plugins.simulator.calibrate import Row, fit, point
from inferometer_plugins.simulator.laws import Linear
from inferometer_plugins.simulator.loads import Closed, Uniform, Workload
from inferometer_plugins.simulator.model import REFERENCE, silent
from inferometer_plugins.simulator.truth import truth

LAW = Linear()


def rows(scatter: float, seed: int = 1) -> list[Row]:
    rng = np.random.default_rng(seed)
    found = []
    for decoding in (1, 8, 64, 200):
        for context in (100, 1000, 4000):
            for prefill in (0, 0, 512, 4096):
                line = LAW.lines(decoding, prefill)[0]
                seconds = line.fixed_s + line.context_s * decoding * context
                factor = 1 + scatter * rng.standard_normal()
                found.append(Row(decoding, decoding * context, prefill, seconds * factor))
    return found


def test_steps_without_noise_give_the_law_itself() -> None:
    found = fit(rows(0.0))
    assert found.law.a_s == pytest.approx(LAW.a_s)
    assert found.law.d_s == pytest.approx(LAW.d_s)
    assert found.residual_share < 1e-9


def test_errors_say_how_far_off_noise_makes_it() -> None:
    true = (LAW.a_s, LAW.b_s, LAW.c_s, LAW.d_s)
    scores = []
    for seed in range(200):
        found = fit(rows(0.05, seed))
        values = (found.law.a_s, found.law.b_s, found.law.c_s, found.law.d_s)
        scores.append([(v - t) / e for v, t, e in zip(values, true, found.errors_s, strict=True)])
    assert np.mean(scores, axis=0) == pytest.approx([0] * 4, abs=0.25)
    assert np.std(scores, axis=0) == pytest.approx([1] * 4, abs=0.2)
    assert 0.03 < found.residual_share < 0.07


def test_load_points_give_the_law_within_a_few_percent() -> None:
    points = []
    for streams, prompt, output in (
        *((1, 100, 400), (16, 100, 400), (64, 100, 400), (16, 2000, 400), (64, 2000, 400)),
        *((16, 4000, 100), (4, 2000, 200)),
    ):
        work = Workload(name="x", prompt=Uniform(prompt, 1), output=Uniform(output, 1))
        seen = truth(silent(REFERENCE), work, Closed(streams=streams), runs=1, length_s=200)
        points.append(point(streams, prompt, output, seen.tok_s))
    law = fit(points).law
    assert law.a_s == pytest.approx(LAW.a_s, rel=0.05)
    assert law.c_s == pytest.approx(LAW.c_s, rel=0.05)
    assert law.d_s == pytest.approx(LAW.d_s, rel=0.05)


def test_rows_that_say_too_little_are_refused() -> None:
    with pytest.raises(ValueError, match="five at least"):
        fit(rows(0.0)[:4])
    with pytest.raises(ValueError, match="vary streams"):
        fit([Row(1, 100, 0, 0.01)] * 9)
