"""Verdicts between load points: two stacks that are equal there, and one that is behind.

With ``n`` streams a token takes ``a + b n`` ms. At 50 tok/s/user ``EVEN`` and ``STEEP`` both have
10 streams and 500 tok/s, and nowhere else the same; ``BEHIND`` has 9 streams and 450.
"""

from __future__ import annotations

import math
from statistics import fmean

import numpy as np
import pytest
from msgspec.structs import replace

from inferometer import ranking
from inferometer.comparison import Ranking
from inferometer.criteria.slack import widened
from inferometer.ranking import Contest, Entrant
from inferometer.uncertainty.interactivity import Load, Reading, read

EVEN, STEEP, BEHIND = (10.0, 1.0), (5.0, 1.5), (6.5, 1.5)
LAUNCH_SD, WINDOW_SD = 0.01, 0.003
CONTEST = Contest(
    objective="throughput",
    metric="output_tok_s",
    unit="tok/s",
    higher_is_better=True,
    model="m",
    architecture="dense",
    workload="w",
    load="50 tok/s/user",
)


def straight(curve: list[Load], interactivity: float) -> Reading:
    """What is usual: a straight line in log-log, and no doubt."""
    x, y = np.log([(load.interactivity, load.value) for load in curve[::-1]]).T
    return Reading(math.exp(float(np.interp(math.log(interactivity), x, y))), 0.0)


def study(
    rng: np.random.Generator,
    *stacks: tuple[float, float],
    usual: bool = False,
    streams: tuple[int, ...] = (4, 16, 64),
    rounds: int = 5,
) -> Ranking:
    entrants, slack = [], {}
    for name, (a, b) in zip("xyz", stacks, strict=False):
        found = {}
        for r in range(rounds):
            offset = rng.normal(0, LAUNCH_SD)
            curve = [
                Load(n, *(k / (a + b * n) * noise(rng, offset) for k in (1000, 1000 * n)))
                for n in streams
            ]
            reading = straight(curve, 50.0) if usual else read(curve, 50.0)
            assert reading is not None
            found[r] = reading
        by_round = {r: reading.value for r, reading in found.items()}
        entrants.append(Entrant(stack=name, cell="", by_round=by_round))
        slack[name] = fmean(reading.slack for reading in found.values())
    (ranked,) = ranking.rank(CONTEST, entrants)
    return widened(ranked, slack)


def noise(rng: np.random.Generator, offset: float) -> float:
    """One window of a launch: its own offset, and noise on top."""
    return math.exp(offset + rng.normal(0, WINDOW_SD))


def winners(*stacks: tuple[float, float], usual: bool = False, studies: int = 100) -> list[str]:
    rng = np.random.default_rng(1)
    found = [study(rng, *stacks, usual=usual) for _ in range(studies)]
    return [one.pairs[0].stack for one in found if one.pairs[0].verdict == "better"]


def test_stacks_that_are_equal_there_are_told_apart_only_by_the_usual_way() -> None:
    assert len(winners(EVEN, STEEP)) <= 5
    assert len(winners(EVEN, STEEP, usual=True)) >= 80


def test_one_that_is_a_tenth_behind_is_found() -> None:
    found = winners(EVEN, BEHIND)
    assert set(found) == {"x"}
    assert len(found) >= 97


def test_a_wide_gap_with_nothing_between_decides_nothing() -> None:
    found = study(np.random.default_rng(1), EVEN, BEHIND, streams=(4, 32))
    assert found.pairs[0].verdict == "undecided"
    assert [entry.place for entry in found.entries] == [1, 1]
    assert not found.separated


def test_slack_widens_what_was_surely_seen() -> None:
    seen = study(np.random.default_rng(1), EVEN, BEHIND)
    pair, (first, second) = seen.pairs[0], seen.entries
    assert pair.ratio.value is not None
    assert pair.ratio.low is not None
    more = widened(seen, {"x": 0.01, "y": 0.02})
    assert more.pairs[0].ratio.low == pytest.approx(pair.ratio.low * math.exp(-0.03))
    assert more.entries[0].value.low == pytest.approx((first.value.low or 0) * math.exp(-0.01))
    assert more.entries[1].ratio_to_best.low == pytest.approx(
        (second.ratio_to_best.low or 0) * math.exp(-0.03)
    )
    assert more.minimum_detectable_percent == pytest.approx(
        (1 + (seen.minimum_detectable_percent or 0) / 100) * math.exp(0.04) * 100 - 100
    )
    assert more.slack == {"x": 0.01, "y": 0.02}
    gone = widened(seen, {"x": 0.2, "y": 0.2})
    assert (gone.pairs[0].verdict, gone.pairs[0].rounds) == ("undecided", None)
    assert [(it.place, it.place_low, it.place_high) for it in gone.entries] == [(1, 1, 2)] * 2
    assert gone.entries[1].verdict == "undecided"


def test_what_was_open_stays_open() -> None:
    seen = study(np.random.default_rng(1), EVEN, BEHIND)
    pairs = [replace(pair, verdict="undecided") for pair in seen.pairs]
    found = widened(replace(seen, pairs=pairs), {"x": 0.0, "y": 0.0})
    assert found.pairs[0].verdict == "undecided"
    assert [entry.place for entry in found.entries] == [1, 1]
