from __future__ import annotations

import numpy as np
import pytest

from inferometer.uncertainty.pareto import front, nondominated, weights_map


def test_who_is_dominated() -> None:
    merit = np.array([[1.0, 3.0], [3.0, 1.0], [1.0, 1.0], [3.0, 1.0]])
    assert nondominated(merit).tolist() == [True, True, False, True]  # equals do not dominate


def test_a_clear_front_is_certain() -> None:
    points = {
        "fast": {r: (100.0 + r, 10.0) for r in range(3)},
        "thrifty": {r: (50.0 + r, 1.0) for r in range(3)},
        "neither": {r: (40.0 + r, 20.0) for r in range(3)},
    }
    seen = front(points, [True, False])
    assert [(c.name, c.on_front, c.probability) for c in seen] == [
        ("fast", True, 1.0),
        ("thrifty", True, 1.0),
        ("neither", False, 0.0),
    ]
    assert seen[0].values == pytest.approx(((100 * 101 * 102) ** (1 / 3), 10.0))


def test_what_a_round_did_to_all_cancels() -> None:
    shake = (1.0, 1.3, 0.7)
    points = {
        name: {r: (level * shake[r], level * shake[r]) for r in range(3)}
        for name, level in (("one", 100.0), ("other", 99.0))
    }
    assert [c.probability for c in front(points, [True, True])] == [1.0, 0.0]


def test_even_points_are_on_the_front_half_the_time() -> None:
    points = {
        "one": {0: (1.0, 1.0), 1: (2.0, 2.0), 2: (4.0, 4.0)},
        "other": {0: (4.0, 4.0), 1: (2.0, 2.0), 2: (1.0, 1.0)},
    }
    seen = front(points, [True, True])
    assert [c.probability for c in seen] == pytest.approx([0.5, 0.5], abs=0.05)
    single = front({"one": {0: (1.0, 1.0)}, "other": {0: (2.0, 2.0)}}, [True, True])
    assert [(c.on_front, c.probability) for c in single] == [(False, None), (True, None)]
    assert front({}, [True]) == []
    with pytest.raises(ValueError, match="2 positive"):
        front({"one": {0: (1.0,)}}, [True, True])


def test_weights_choose_and_say_where_they_turn() -> None:
    # "fast" is 4 times ahead in one, "thrifty" twice in the other: it turns at a third.
    points = {"fast": {0: (4.0, 2.0)}, "thrifty": {0: (1.0, 1.0)}}
    seen = weights_map(points, [True, False], steps=10)
    assert seen.first["fast"] == pytest.approx(2 / 3, abs=0.03)
    turned = [weights[0] for weights, name in seen.cells if name == "fast"]
    assert min(turned) == pytest.approx(0.4)
    assert len(seen.cells) == 11
    more = weights_map(points | {"poor": {0: (0.5, 3.0)}}, [True, False], steps=10)
    assert more.cells == seen.cells  # nobody's score moved
    with pytest.raises(ValueError, match="no point"):
        weights_map({}, [True])
