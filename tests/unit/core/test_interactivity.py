"""Curves of load points, read where a user is served equally fast.

An engine with ``n`` streams that needs ``10 + n`` ms for a token of each gives
``1000 / (10 + n)`` tok/s/user and ``n`` times that.
"""

from __future__ import annotations

from math import log, nextafter

import numpy as np
import pytest

from inferometer.uncertainty.interactivity import Load, frontier, read, shared_range


def straight(*streams: float) -> list[Load]:
    return [Load(n, 1000 / (10 + n), n * 1000 / (10 + n)) for n in streams]


def test_an_engine_whose_step_grows_with_its_batch_is_read_exactly() -> None:
    for n in (3.0, 10.0, 39.0):
        found = read(straight(2, 8, 40), 1000 / (10 + n))
        assert found is not None
        assert found.value == pytest.approx(n * 1000 / (10 + n))
        assert found.slack == pytest.approx(0, abs=1e-9)


def test_so_are_its_costs() -> None:
    # 1000 + 10 n watts, over n * 1000 / (10 + n) tok/s; with three load points nearly.
    joules = [
        load._replace(value=(1000 + 10 * load.streams) / load.value) for load in straight(2, 8, 40)
    ]
    found = read(joules, 50.0, higher_is_better=False)  # 10 streams, 500 tok/s, 1100 W
    assert found is not None
    assert found.value == pytest.approx(2.2, rel=0.02)
    assert abs(log(found.value / 2.2)) <= found.slack
    dollars = [load._replace(value=7 / load.value) for load in straight(2, 8, 40)]
    found = read(dollars, 50.0, higher_is_better=False)
    assert found is not None
    assert found.value == pytest.approx(7 / 500)


def test_two_load_points_say_no_more_than_that_it_lies_between() -> None:
    two = straight(10, 40)  # 50 tok/s/user, 500 tok/s; 20, 800
    found = read(two, 25.0)  # 30 streams: 750
    assert found is not None
    assert found.value == pytest.approx(750)
    assert found.slack == pytest.approx(log(750 / 500))
    for load in two:
        assert read(two, load.interactivity) == (load.value, 0.0)
    assert read(two, 50.1) is None
    assert read(two, 19.9) is None


def test_a_bend_shows_when_its_load_point_is_left_out() -> None:
    # Experts that a larger batch wakes: a step of 10 ms at 2 streams, 40 from 8 on.
    bent = [Load(2, 100.0, 200.0), Load(8, 25.0, 200.5), Load(32, 24.0, 768.0)]
    found = read(bent, 50.0)
    assert found is not None
    assert found.slack == pytest.approx(log(200.5 / found.value), abs=1e-9)  # the smaller bound
    found = read(bent, 24.5)
    assert found is not None
    assert found.slack > log(1.5)


def test_interpolation_stays_between_its_neighbours() -> None:
    curve = [Load(9, 1.0, 100.0), Load(5, 2.0, 99.0), Load(3, 3.0, 20.0), Load(2, 4.0, 19.0)]
    values = [found.value for x in np.linspace(1, 4, 40) if (found := read(curve, x)) is not None]
    assert len(values) == 40
    assert all(19 <= value <= 100 for value in values)
    assert all(99 <= value <= 100 for value in values[:14])


def test_beaten_load_points_do_not_bend_the_curve() -> None:
    curve = straight(2, 40)
    beaten = [*curve, Load(64, 19.0, 700.0), Load(30, 25.0, 150.0)]
    assert frontier(beaten) == sorted(curve, key=lambda load: load.interactivity)
    assert read(beaten, 19.5) is None
    joules = [Load(8, 10.0, 1.0), Load(2, 100.0, 5.0), Load(4, 50.0, 7.0)]
    kept = frontier(joules, higher_is_better=False)
    assert [load.interactivity for load in kept] == [10.0, 100.0]


def test_nothing_is_read_from_what_is_not_positive() -> None:
    with pytest.raises(ValueError, match="positive"):
        read([Load(1, 0.0, 5.0)], 20.0)


def test_the_range_is_that_of_every_launch() -> None:
    curves = {
        "a": {0: [Load(2, 100.0, 1.0), Load(8, 10.0, 1.0)]},
        "b": {
            0: [Load(2, 20.0, 1.0), Load(8, 10.0, 1.0)],
            1: [Load(2, 19.0, 1.0), Load(8, 9.0, 1.0)],
        },
    }
    assert shared_range(curves) == (10, 19)
    assert shared_range({"a": {0: [Load(1, 1.0, 1.0)]}, "b": {0: [Load(1, 2.0, 1.0)]}}) is None
    assert shared_range({}) is None


def test_interactivities_that_differ_by_rounding_are_one() -> None:
    under = nextafter(50.0, 0.0)
    curve = [Load(1, 50.0, 100.0), Load(2, under, 200.0), Load(4, 25.0, 400.0)]
    assert frontier(curve) == [Load(4, 25.0, 400.0), Load(2, 50.0, 200.0)]
    found = read(curve, 40.0)
    assert found is not None
    assert 200 < found.value < 400
