"""Experts that a decode step touches: the formulas against simulated routers, and known shares."""

from __future__ import annotations

import numpy as np
import pytest
from tests.benchmarks.routing import row

from inferometer.model import experts_touched, touched_by

MODELS = {"8x7b": (8, 2), "a3b": (128, 8), "r1": (256, 8), "oss": (128, 4), "k2": (384, 8)}


@pytest.mark.parametrize(
    ("experts", "top_k", "percent"),
    [  # of a layer's experts, at batch 1, 8, 16, 32, 64, 128: Mixtral, Qwen3 A3B, DeepSeek-V3, ...
        (8, 2, [25, 90, 99, 100, 100, 100]),
        (128, 8, [6, 40, 64, 87, 98, 100]),
        (256, 8, [3, 22, 40, 64, 87, 98]),
        (128, 4, [3, 22, 40, 64, 87, 98]),
        (384, 8, [2, 16, 29, 49, 74, 93]),
        (128, 1, [1, 6, 12, 22, 39, 63]),
    ],
)
def test_shares_of_known_models(experts: int, top_k: int, percent: list[int]) -> None:
    found = [experts_touched(experts, top_k, batch) / experts for batch in (1, 8, 16, 32, 64, 128)]
    assert [round(100 * share) for share in found] == percent


def routed(weights: np.ndarray, top_k: int, tokens: int, seed: int) -> np.ndarray:
    """Return a row a token: its ``top_k`` experts, drawn without replacement by ``weights``."""
    noise = np.random.default_rng(seed).gumbel(size=(tokens, len(weights)))
    return np.argpartition(-(np.log(weights) + noise), top_k - 1, axis=1)[:, :top_k]


def counted(taken: np.ndarray, experts: int, batch: int) -> float:
    """Return the mean number of different experts in ``batch`` tokens."""
    steps = taken[: len(taken) // batch * batch].reshape(-1, batch * taken.shape[1])
    hit = np.zeros((len(steps), experts), dtype=bool)
    np.put_along_axis(hit, steps, values=True, axis=1)
    return float(hit.sum(axis=1).mean())


@pytest.mark.parametrize("batch", [1, 2, 8, 32, 128])
@pytest.mark.parametrize("model", MODELS)
def test_an_even_router_touches_what_the_formula_says(model: str, batch: int) -> None:
    experts, top_k = MODELS[model]
    taken = routed(np.ones(experts), top_k, 40_000, seed=batch)
    expected = experts_touched(experts, top_k, batch)
    assert counted(taken, experts, batch) == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize("batch", [1, 2, 8, 32, 128])
@pytest.mark.parametrize("model", MODELS)
def test_a_skewed_router_touches_what_its_shares_say_and_fewer_than_even(
    model: str, batch: int
) -> None:
    experts, top_k = MODELS[model]
    taken = routed(1 / np.arange(1.0, experts + 1), top_k, 40_000, seed=batch)
    shares = np.bincount(taken.ravel(), minlength=experts) / len(taken)
    assert shares.sum() == pytest.approx(top_k)
    found = counted(taken, experts, batch)
    assert found == pytest.approx(touched_by(shares.tolist(), batch), rel=0.01)
    if batch > 1:
        assert touched_by(shares.tolist(), batch) < experts_touched(experts, top_k, batch)


def test_even_shares_give_the_formula_for_even_routing() -> None:
    assert touched_by([0.25] * 8, 3) == pytest.approx(experts_touched(8, 2, 3))
    assert touched_by([1.0, 0.0, 0.0], 5) == 1.0  # an expert that all take, two that none does


def test_tokens_of_a_step_that_are_alike_touch_fewer_than_their_shares_say() -> None:
    """Two tokens take experts 0 and 1 in one step, 2 and 3 in the next: shares of a half each."""
    steps = [[[[0, 1], [0, 1]]], [[[2, 3], [2, 3]]]]
    found = row(2, steps, experts=4, top_k=2)
    assert (found.steps, found.counted) == (2, 2.0)
    assert found.even == 3.0  # 4 * (1 - 1/4)
    assert found.skewed == 3.0
