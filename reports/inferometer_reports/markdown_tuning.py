"""The section of ``report.md`` about searches: every trial of every ``tuned`` stack."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inferometer.numbers import number, percent, point
from inferometer_reports.escape import block, markdown, table
from inferometer_reports.view import unit_name

if TYPE_CHECKING:
    from inferometer.comparison import Tuning, TuningTrial
    from inferometer_reports.view import View

STOPPED = {
    "finished": "every knob was tried",
    "trials": "the trials were spent",
    "minutes": "the minutes were spent",
    "disturbed": "the machine was too busy for the defaults, twice",
    None: "not finished",
}


def section(view: View) -> list[str]:
    """Return the trials of every search; nothing where the study has no ``tuned`` stack."""
    searches = view.comparison.tuning
    if not searches:
        return []
    rules = [block(rule) for rule in dict.fromkeys(one.rule for one in searches)]
    lines = ["## Tuning: what was tried", "", *rules, ""]
    for one in searches:
        lines += _search(view, one)
    return lines


def _search(view: View, one: Tuning) -> list[str]:
    place = f"{one.model}, {one.workload}, {one.load}"
    unit = next((unit_name(trial.value.unit) for trial in one.trials), "")
    figure = view.metric_title(f"{one.metric}@{one.meter}" if one.meter else one.metric, unit=False)
    header = ["Trial", "Settings", f"{markdown(figure)} ({markdown(unit)})", "Noise", "Kind"]
    rows = [_row(one, trial) for trial in one.trials]
    lines = [
        f"### {markdown(view.label(one.stack))}: {markdown(place)}",
        "",
        f"{_budget(one)} Windows of {number(one.window_s)} s.",
        "",
        *table([*header, "Took (s)", "Verdict"], rows),
    ]
    lines += [f"- {markdown(knob)}: {markdown(why)}" for knob, why in one.knobs.items()]
    return [*lines, ""] if one.knobs else lines


def _budget(one: Tuning) -> str:
    allowed = []
    if one.trials_allowed is not None:
        allowed.append(f"{one.trials_allowed} trials")
    if one.minutes_allowed is not None:
        allowed.append(f"{number(one.minutes_allowed)} min")
    used = f"{len(one.trials)} trials, {number(one.spent_s / 60)} min"
    left = f", {one.left} values untried" if one.left else ""
    return f"Budget {' or '.join(allowed)}, used {used}: {STOPPED[one.stopped]}{left}."


def _row(one: Tuning, trial: TuningTrial) -> list[str]:
    settings = ", ".join(f"{knob} = {_plain(value)}" for knob, value in trial.settings.items())
    verdict = "**chosen**" if trial.number == one.chosen else "not chosen"
    if trial.value.value is None:
        verdict = f"failed: {markdown(trial.value.detail) or 'no detail'}"
    return [
        str(trial.number),
        markdown(settings) or "the engine's defaults",
        markdown(point(trial.value)),
        "none" if trial.noise_percent is None else percent(trial.noise_percent),
        trial.value.kind,
        number(trial.took_s),
        verdict,
    ]


def _plain(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
