"""What searches tried and found, for the report. Their figures are shown and never ranked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inferometer.comparison import Tuning, TuningTrial, Value
from inferometer.tuning import RULE, spent_s

if TYPE_CHECKING:
    from inferometer.plan import Plan, Search
    from inferometer.store import Store
    from inferometer.tuning import Trial


def build_tuning(store: Store, plan: Plan) -> list[Tuning]:
    """Return every search of the plan that has a trial, finished or not."""
    found = [_tuning(store.search(s.stack, s.model.name), plan, s) for s in plan.searches]
    return [one for one in found if one is not None]


def _tuning(store: Store, plan: Plan, search: Search) -> Tuning | None:
    trials, found, asked = store.trials(), store.found(), search.tuning
    if not trials:
        return None
    return Tuning(
        stack=search.stack,
        model=search.model.name,
        workload=search.point.workload.name,
        load=search.point.label,
        objective=asked.objective,
        metric=trials[0].score.metric,
        meter=next((trial.score.meter for trial in trials if trial.score.meter), None),
        window_s=search.window_s(plan.protocol),
        trials_allowed=asked.trials,
        minutes_allowed=asked.minutes,
        spent_s=spent_s(trials),
        stopped=found.stopped if found else None,
        left=found.left if found else 0,
        rule=RULE,
        knobs=found.knobs if found else {},
        chosen=found.chosen if found else None,
        trials=[_trial(trial) for trial in trials],
    )


def _trial(trial: Trial) -> TuningTrial:
    score = trial.score
    absent = score.value is None
    return TuningTrial(
        number=trial.number,
        settings={one.knob: one.value for one in trial.settings},
        value=Value(
            value=score.value,
            unit=score.unit,
            kind=score.kind,
            n=0 if absent else 1,
            reason=score.reason,
            detail=score.detail,
        ),
        noise_percent=None if absent else score.spread * 100,
        took_s=trial.took_s,
        launch=trial.launch,
    )
