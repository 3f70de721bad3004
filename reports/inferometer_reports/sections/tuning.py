"""The section about searches: every trial of every ``tuned`` stack."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inferometer.language import later, tr, trs
from inferometer.numbers import number, percent, point
from inferometer_reports.blocks import Heading, Strong, Table, item, say
from inferometer_reports.escape import line
from inferometer_reports.view import unit_name

if TYPE_CHECKING:
    from inferometer.comparison import Tuning, TuningTrial
    from inferometer_reports.blocks import Block
    from inferometer_reports.view import View

STOPPED = {
    "finished": later("every knob was tried"),
    "trials": later("the trials were spent"),
    "minutes": later("the minutes were spent"),
    "disturbed": later("the machine was too busy for the defaults, twice"),
    None: later("not finished"),
}


def section(view: View) -> list[Block]:
    """Return the trials of every search; nothing where the study has no ``tuned`` stack."""
    searches = view.comparison.tuning
    if not searches:
        return []
    rules = " ".join(line(rule) for rule in dict.fromkeys(one.rule for one in searches))
    blocks: list[Block] = [Heading(2, tr("Tuning: what was tried")), say(rules)]
    for one in searches:
        blocks += _search(view, one)
    return blocks


def _search(view: View, one: Tuning) -> list[Block]:
    place = f"{one.model}, {one.workload}, {one.load}"
    unit = next((unit_name(trial.value.unit) for trial in one.trials), "")
    figure = view.metric_title(f"{one.metric}@{one.meter}" if one.meter else one.metric, unit=False)
    header = [
        tr("Trial"),
        tr("Settings"),
        f"{line(figure)} ({line(unit)})",
        tr("Noise"),
        tr("Kind"),
    ]
    rows = [_row(one, trial) for trial in one.trials]
    return [
        Heading(3, f"{line(view.label(one.stack))}: {line(place)}"),
        say(
            tr(
                "{budget} Windows of {window_s} s.",
                budget=_budget(one),
                window_s=number(one.window_s),
            )
        ),
        Table([*header, *trs("Took (s)", "Verdict")], rows),
        *(item(f"{line(knob)}: {line(why)}") for knob, why in one.knobs.items()),
    ]


def _budget(one: Tuning) -> str:
    allowed = []
    if one.trials_allowed is not None:
        allowed.append(tr("{trials_allowed} trials", trials_allowed=one.trials_allowed))
    if one.minutes_allowed is not None:
        allowed.append(tr("{minutes_allowed} min", minutes_allowed=number(one.minutes_allowed)))
    used = tr(
        "{number} trials, {spent_s} min", number=len(one.trials), spent_s=number(one.spent_s / 60)
    )
    left = tr(", {left} values untried", left=one.left) if one.left else ""
    return tr(
        "Budget {allowed}, used {used}: {stopped}{left}.",
        allowed=" or ".join(allowed),
        used=used,
        stopped=tr(STOPPED[one.stopped]),
        left=left,
    )


def _row(one: Tuning, trial: TuningTrial) -> list[str]:
    settings = ", ".join(f"{knob} = {_plain(value)}" for knob, value in trial.settings.items())
    verdict = Strong(tr("chosen")) if trial.number == one.chosen else tr("not chosen")
    if trial.value.value is None:
        verdict = tr("failed: {why}", why=line(trial.value.detail) or tr("no detail"))
    return [
        str(trial.number),
        line(settings) or tr("the engine's defaults"),
        line(point(trial.value)),
        tr("none") if trial.noise_percent is None else percent(trial.noise_percent),
        tr(trial.value.kind),
        number(trial.took_s),
        verdict,
    ]


def _plain(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
