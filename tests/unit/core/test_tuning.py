"""The search: what is tried next, when a trial is better, when it ends."""

from __future__ import annotations

import math

import pytest

from inferometer.engine import Knob, LaunchSpec, Setting, Unsupported, open_knobs, tuned
from inferometer.study import Tuning
from inferometer.tuning import Score, Trial, better, exhausted, untried, walk

SEQS = Knob(name="max_num_seqs", values=(4, 8), why="batches")
MODE = Knob(name="mode", values=("fast",), why="w", flags={"fast": ("--mode", "fast")})
GRAPHS = Knob(name="graphs", values=(False,), why="no compilation")


def score(value: float | None, spread: float = 0.0, metric: str = "output_tok_s") -> Score:
    reason = None if value else "out_of_memory"
    return Score(
        metric=metric, unit="tok/s", kind="measured", value=value, spread=spread, reason=reason
    )


def trial(number: int, settings: tuple[Setting, ...], value: float | None) -> Trial:
    return Trial(
        number=number, settings=settings, launch=f"t{number}", score=score(value), took_s=60.0
    )


def searched(values: list[float | None], knobs: list[Knob]) -> tuple[list[str], Trial | None]:
    """Make a whole search whose trials give ``values``; return what was tried and the best."""
    trials: list[Trial] = []
    while True:
        best, settings = walk(knobs, trials)
        if settings is None:
            return [", ".join(map(str, t.settings)) for t in trials], best
        trials.append(trial(len(trials) + 1, settings, values[len(trials)]))


def test_each_knob_is_tried_on_top_of_the_best_so_far() -> None:
    tried, best = searched([100, 90, 110, 120, 80], [SEQS, MODE, GRAPHS])
    assert tried == [
        "",
        "max_num_seqs = 4",
        "max_num_seqs = 8",
        "max_num_seqs = 8, mode = fast",
        "max_num_seqs = 8, mode = fast, graphs = false",
    ]
    assert best is not None
    assert (best.number, best.score.value) == (4, 120)


def test_a_value_that_won_is_replaced_and_not_added_to() -> None:
    tried, best = searched([100, 110, 120], [SEQS])
    assert tried == ["", "max_num_seqs = 4", "max_num_seqs = 8"]
    assert best is not None
    assert best.number == 3


def test_what_failed_is_never_chosen_not_even_where_the_defaults_failed() -> None:
    _, best = searched([100, None, None], [SEQS])
    assert best is not None
    assert best.number == 1
    _, best = searched([None, None, 50], [SEQS])
    assert best is not None
    assert best.number == 3
    assert searched([None, None, None], [SEQS])[1] is None


def test_a_search_goes_on_from_the_trials_it_has_and_repeats_none() -> None:
    trials = [trial(1, (), 100), trial(2, (SEQS.settings()[0],), 150)]
    assert walk([SEQS], trials) == (trials[1], (SEQS.settings()[1],))
    # a knob that is gone since, or came anew, does no harm
    assert walk([GRAPHS], trials) == (trials[0], tuple(GRAPHS.settings()))


def lost(number: int, settings: tuple[Setting, ...]) -> Trial:
    absent = Score(metric="output_tok_s", unit="tok/s", kind="measured", reason="starved")
    return Trial(number=number, settings=settings, launch="t", score=absent, took_s=60.0)


def test_a_trial_lost_to_a_busy_machine_is_made_once_more_and_the_defaults_are_needed() -> None:
    four, eight = ((setting,) for setting in SEQS.settings())
    assert walk([SEQS], [lost(1, ())]) == (None, ())
    assert walk([SEQS], [lost(1, ()), lost(2, ())]) == (None, None)
    first = trial(2, (), 100)
    trials = [lost(1, ()), first, lost(3, four)]
    assert walk([SEQS], trials) == (first, four)
    assert walk([SEQS], [*trials, lost(4, four)]) == (first, eight)
    assert untried([SEQS], trials) == 1


def test_better_is_by_more_than_two_percent_and_by_more_than_the_noise() -> None:
    assert not better(score(101.9), score(100))
    assert better(score(102.1), score(100))
    # 2.776 * hypot(3 %, 4 %) = 13.9 %, and ln 1.149 = 13.9 %
    assert not better(score(114, 0.03), score(100, 0.04))
    assert better(score(116, 0.03), score(100, 0.04))
    assert math.isclose(2.776 * 0.05, math.log(1.1489), rel_tol=1e-3)


def test_less_energy_is_better() -> None:
    energy = "energy_j_per_output_token"
    assert better(score(0.9, metric=energy), score(1.0, metric=energy))
    assert not better(score(1.1, metric=energy), score(1.0, metric=energy))


@pytest.mark.parametrize(
    ("tuning", "ends"),
    [
        (Tuning(trials=2), "trials"),
        (Tuning(minutes=2), "minutes"),  # two trials of 60 s
        (Tuning(trials=3, minutes=2.1), None),
        (Tuning(trials=2, minutes=1), "trials"),
    ],
)
def test_the_budget_is_trials_or_minutes(tuning: Tuning, ends: str | None) -> None:
    trials = [trial(1, (), 100), trial(2, (SEQS.settings()[0],), 150)]
    assert exhausted(tuning, trials) == ends


def test_settings_become_a_specification_and_the_studys_flags_come_last() -> None:
    found = (SEQS.settings()[1], MODE.settings()[0])
    spec = tuned(LaunchSpec(graphs=False, extra_args=("--mine",)), found)
    assert (spec.max_num_seqs, spec.graphs) == (8, False)
    assert spec.extra_args == ("--mode", "fast", "--mine")
    assert tuned(spec, ()) == spec


def test_what_the_study_sets_is_not_searched() -> None:
    knobs = [SEQS, MODE, GRAPHS]
    assert open_knobs("e", knobs, LaunchSpec()) == knobs
    assert open_knobs("e", knobs, LaunchSpec(max_num_seqs=4)) == [MODE, GRAPHS]
    assert open_knobs("e", knobs, LaunchSpec(extra_args=("--mode=slow",))) == [SEQS, GRAPHS]
    assert open_knobs("e", knobs, LaunchSpec(), {"max_num_seqs"}) == [MODE, GRAPHS]
    with pytest.raises(Unsupported, match=r"e: profile 'tuned' .* the study sets every knob"):
        open_knobs("e", [SEQS], LaunchSpec(max_num_seqs=4))
    with pytest.raises(Unsupported, match="the adapter knows no knob on this platform"):
        open_knobs("e", [], LaunchSpec())


@pytest.mark.parametrize(
    "knob",
    [
        Knob(name="kv_cache_dtype", values=("fp8",), why="changes answers"),
        Knob(name="tensor_parallel_size", values=(2,), why="another stack"),
        Knob(name="dtype", values=("x",), why="w", flags={"x": ("--dtype", "x")}),
        Knob(name="mode", values=("fast", "slow"), why="w", flags={"fast": ("--mode", "fast")}),
        Knob(name="max_num_seqs", values=(), why="nothing to try"),
    ],
    ids=lambda knob: knob.name,
)
def test_a_knob_that_may_not_be_tuned_is_refused_by_name(knob: Knob) -> None:
    with pytest.raises(ValueError, match=f"e: knob '{knob.name}'"):
        open_knobs("e", [knob], LaunchSpec())
