"""The search of profile ``tuned``: which settings to try next, and which of them won.

Plain and repeatable: the engine's defaults first, then knob by knob in the adapter's order, each
value once, on top of the best so far. One pass, no model of the engine, no chance. All of it is a
pure function of the trials that were made, so a search goes on where it was interrupted.

**When a trial is better.** By more than 2 % (:data:`MARGIN`), and by more than the noise that one
launch shows: the window is cut into 5 equal batches, ``s`` is the relative standard error of the
figure over them, and the logarithm of the ratio must exceed ``2.78 * hypot(s, s_best)`` (Student's
t, 97.5 %, 4 degrees of freedom). How launches differ among themselves a single one cannot show,
and the best of many is partly the luckiest: what is chosen is therefore measured again, in the
rounds, and no trial enters a ranking.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from msgspec import Struct

from inferometer.comparison import Kind
from inferometer.engine import Setting, Unsupported, tuned

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from inferometer.engine import Engine, Knob, LaunchContext
    from inferometer.study import Tuning

MARGIN = 1.02
BATCHES = 5
T = 2.776
"""Student's t, 97.5 %, :data:`BATCHES` - 1 degrees of freedom."""
RULE = (
    f"A trial replaces the best so far if it is better by more than {MARGIN - 1:.0%} and by more "
    f"than the noise of {BATCHES} batches of its window; the chosen settings are measured again "
    "in the rounds, and no trial enters a ranking."
)

Settings = tuple[Setting, ...]
Stop = Literal["finished", "trials", "minutes", "disturbed"]
DISTURBED = frozenset({"disturbed", "starved"})
"""Reasons of a trial that was lost to a busy machine, which say nothing about its settings."""


class Score(Struct, frozen=True, kw_only=True):
    """The figure of one trial's window, or None with the reason.

    ``spread`` is its relative standard error over :data:`BATCHES` batches of the window.
    """

    metric: str
    unit: str
    kind: Kind
    value: float | None = None
    spread: float = 0.0
    meter: str | None = None
    reason: str | None = None
    detail: str = ""


class Trial(Struct, frozen=True, kw_only=True):
    """One trial: a line of ``tuning/<stack>/<model>/trials.jsonl``. ``number`` counts from 1."""

    number: int
    settings: Settings
    launch: str
    score: Score
    took_s: float
    """From before the engine's start to after its end."""


class Found(Struct, frozen=True, kw_only=True):
    """The end of a search: ``tuning/<stack>/<model>/found.json``. Once written it stands."""

    settings: Settings
    """Empty when the defaults won, or when no trial succeeded."""
    chosen: int | None
    """Number of the trial that won; None when no trial succeeded."""
    stopped: Stop
    knobs: dict[str, str]
    """Every knob searched, with the adapter's reason for it."""
    left: int
    """Values of knobs that were not tried."""


def said(engine: Engine, context: LaunchContext, knobs: Sequence[Knob]) -> set[str]:
    """Return the names of knobs that a study sets in ``extra_args``, in the engine's own words.

    Those words stand last and win, so a trial of such a knob would measure the same again.
    """
    given = _options(context.spec.extra_args)
    plain = replace(context, spec=replace(context.spec, extra_args=()))

    def words(*settings: Setting) -> set[str]:
        try:
            return _options(engine.command(replace(plain, spec=tuned(plain.spec, settings))).argv)
        except Unsupported:  # its trial fails, and says why
            return set()

    return {
        knob.name
        for knob in (knobs if given else ())
        if any((words(setting) - words()) & given for setting in knob.settings())
    }


def _options(argv: Iterable[str]) -> set[str]:
    # vLLM's parser takes --max_num_seqs for --max-num-seqs; --no-x is the other way of x
    words = [word.partition("=")[0].replace("_", "-") for word in argv if word.startswith("--")]
    return {word.removeprefix("--no-").removeprefix("--") for word in words}


def walk(knobs: Sequence[Knob], trials: Sequence[Trial]) -> tuple[Trial | None, Settings | None]:
    """Return the best of ``trials``, and the settings to try next (None when all were tried).

    A trial that was lost to a busy machine says nothing about its settings: it is made once more.
    If that happens to the defaults twice, there is nothing to compare with, and the search ends.
    """
    done = {trial.settings: trial for trial in trials}  # the last of each
    made = Counter(trial.settings for trial in trials)

    def is_open(settings: Settings) -> bool:
        return made[settings] == 0 or (
            made[settings] == 1 and done[settings].score.reason in DISTURBED
        )

    if is_open(()):
        return None, ()
    first = done[()]
    if first.score.reason in DISTURBED:
        return None, None  # nothing could be shown to be better
    best = first if first.score.value is not None else None
    for knob in knobs:
        for setting in knob.settings():
            kept = best.settings if best else ()
            candidate = (*(one for one in kept if one.knob != knob.name), setting)
            if is_open(candidate):
                return best, candidate
            if better(done[candidate].score, best.score if best else None):
                best = done[candidate]
    return best, None


def better(score: Score, best: Score | None) -> bool:
    """Say whether a trial's figure beats the best one by more than noise; a failed one never."""
    if score.value is None:
        return False
    if best is None or best.value is None:
        return True
    gain = math.log(score.value / best.value)
    gain = -gain if score.metric.startswith("energy") else gain
    return gain > max(math.log(MARGIN), T * math.hypot(score.spread, best.spread))


def spent_s(trials: Sequence[Trial]) -> float:
    """Return the seconds that trials took."""
    return math.fsum(trial.took_s for trial in trials)


def untried(knobs: Sequence[Knob], trials: Sequence[Trial]) -> int:
    """Return how many settings of a whole search were not tried."""
    return 1 + sum(len(knob.values) for knob in knobs) - len({trial.settings for trial in trials})


def exhausted(tuning: Tuning, trials: Sequence[Trial]) -> Stop | None:
    """Return which part of the budget is spent, or None."""
    if tuning.trials is not None and len(trials) >= tuning.trials:
        return "trials"
    if tuning.minutes is not None and spent_s(trials) >= tuning.minutes * 60:
        return "minutes"
    return None
