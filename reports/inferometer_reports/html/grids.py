"""Two tables that only the page has: what of the plan is there, and values at a few speeds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inferometer.language import later, tr, trs
from inferometer.numbers import point, shown, with_interval
from inferometer.reasons import reason_words
from inferometer_reports.blocks import Heading, Strong, Table, say
from inferometer_reports.escape import line
from inferometer_reports.sections.evidence import failed
from inferometer_reports.view import key_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from inferometer.comparison import Cell, Objective, Target, Targets
    from inferometer_reports.blocks import Block
    from inferometer_reports.view import View

WHOLE, PART, NONE, FAILED, REFUSED = "\u25cf", "\u25d0", "\u25cb", "\u2715", "\u2298"
LEGEND = later(
    "{whole} every round; {part} some rounds; {none} no launch; {failed} a check failed; "
    "{refused} shown, not ranked."
)
SPEEDS = later(
    "Read between load points, never beyond them. The best value of a row stands out; that is no "
    "verdict."
)


def planned(view: View) -> list[Block]:
    """Return which cells of the plan have which of their rounds."""
    cells = {(it.stack, it.model, it.workload, it.load): it for it in view.comparison.cells}
    if not cells:
        return []
    rows = [
        [
            line(view.label(stack)),
            line(model),
            *(_state(view, cells.get((stack, model, *point))) for point in view.points),
        ]
        for stack, model in dict.fromkeys((it.stack, it.model) for it in view.comparison.cells)
    ]
    header = [*trs("Stack", "Model"), *(line(", ".join(point)) for point in view.points)]
    legend = tr(LEGEND, whole=WHOLE, part=PART, none=NONE, failed=FAILED, refused=REFUSED)
    return [Heading(3, tr("Planned and finished")), say(legend), Table(header, rows)]


def _state(view: View, cell: Cell | None) -> str:
    if cell is None:
        return f"{NONE} {tr('not planned')}"
    wanted = cell.decided or view.comparison.rounds_planned
    count = tr("{launches} of {wanted}", launches=len(cell.launches), wanted=wanted)
    if failed(cell):
        return f"{FAILED} {count}"
    if cell.refused:
        return f"{REFUSED} {count} ({reason_words(cell.refused)})"
    if not cell.launches:
        reason = next((it.reason for it in cell.values.values() if it.reason), "not_run")
        return f"{NONE} {count} ({reason_words(reason)})"
    return f"{WHOLE if len(cell.launches) >= wanted else PART} {count}"


def targets(view: View, objective: Objective) -> list[Block]:
    """Return what each stack has at up to six speeds a user, of one objective."""
    found = [it for it in view.comparison.targets if it.objective == objective]
    return [block for it in found for block in _targets(view, it)]


def _targets(view: View, found: Targets) -> list[Block]:
    stacks = list(dict.fromkeys(stack for it in found.targets for stack in it.values))
    base = stacks[0] if stacks else ""
    metric = view.metric_title(key_of(found.metric, found.meter))
    title = tr(
        "At equal speed: {model}, {workload}{profile}",
        model=found.model,
        workload=found.workload,
        profile=view.profile_words(found.profile),
    )
    against = (
        tr(" Percent: against {stack}, from the point values.", stack=view.label(base))
        if stacks[1:]
        else ""
    )
    header = [tr("Interactivity (tok/s/user)"), *(line(view.label(stack)) for stack in stacks)]
    rows = [_speed(it, stacks, base) for it in found.targets]
    about = f"{metric[:1].upper()}{metric[1:]}. {tr(SPEEDS)}{against}"
    return [Heading(3, line(title)), say(line(about)), Table(header, rows)]


def _speed(found: Target, stacks: Sequence[str], base: str) -> list[str]:
    speed = shown(found.interactivity, "g")
    return [speed, *(_value(found, stack, base) for stack in stacks)]


def _value(found: Target, stack: str, base: str) -> str:
    value, of = found.values.get(stack), found.values.get(base)
    if value is None:
        return tr("n/a ({why})", why=reason_words("not_run"))
    if value.value is None:
        return point(value)
    text = with_interval(value)
    both = of is not None and (of.kind == "simulated") == (value.kind == "simulated")
    if both and of is not None and of.value and stack != base:
        text += f", {round((value.value / of.value - 1) * 100):+d} %"
    tilde = "" if text.startswith("~") else "~"
    return Strong(tilde + text) if stack == found.best else tilde + text
