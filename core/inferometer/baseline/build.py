"""From two results directories (and a confirming one) to everything that is said of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import inferometer
from inferometer.baseline import apart, judging, sides
from inferometer.baseline.judging import Confirming
from inferometer.baseline.lines import COMPARED, Two, lines
from inferometer.comparison.versus import Versus
from inferometer.errors import InconclusiveError, UsageError
from inferometer.plan import wanted
from inferometer.several import manifest, names
from inferometer.tables import is_simulated

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from inferometer.baseline.margins import Rules
    from inferometer.baseline.sides import Body
    from inferometer.comparison.versus import Line

INDEPENDENT = (
    "Launches of two directories are independent samples (Welch's interval on logarithms). What a "
    "day, a reboot or another machine does to one side alone is in no interval: to have it cancel, "
    "measure both as stacks of one study and name them with --pair."
)
PAIRED = "Both sides are stacks of one directory: launches are paired by round."
OTHER_MACHINE = (
    "Nothing shows that both come from one machine; chips of one model differ by some per cent, "
    "which no interval here holds."
)


class Asked(NamedTuple):
    """What is compared, and by which rules; without ``gate`` nothing is gated."""

    baseline: Path
    current: Path
    confirm: Path | None = None
    allow: Sequence[str] = ()
    pairs: Mapping[str, str] = {}
    gate: Rules | None = None


def against(asked: Asked) -> Versus:
    """Compare a results directory with a baseline.

    Raises:
        UsageError: a directory cannot be read, or is another's copy; or an option names nothing.
        InconclusiveError: the two have no stack in common, and nothing is gated.
    """
    allow = apart.allowed(asked.allow)
    same = asked.baseline.resolve() == asked.current.resolve()
    if same and not asked.pairs:
        raise UsageError(
            f"{asked.current} is given twice",
            hint="Name two of its stacks with --pair NEW=OLD, or give another directory.",
        )
    bodies = _read([asked.baseline, *([] if same else [asked.current]), *_more(asked)])
    baseline, current = bodies[0], bodies[0 if same else 1]
    pairs = _pairs(baseline, current, asked.pairs)
    if not pairs and asked.gate is None:
        raise InconclusiveError(
            f"no stack is in both {baseline.head.name} and {current.head.name}",
            hint=f"Name two with --pair NEW=OLD, of {_stacks(current)} and {_stacks(baseline)}.",
        )
    two = _two(baseline, current, pairs, allow, same=same)._replace(named=bool(asked.pairs))
    found = lines(two)
    again = None
    if asked.confirm is not None:
        again = _confirming(two, bodies[-1], allow)
    return Versus(
        inferometer_version=inferometer.__version__,
        baseline=baseline.side,
        current=current.side,
        simulated=any(is_simulated(r) for body in bodies for r in body.evidence.records),
        paired=same,
        differences=list(two.differences),
        metrics=[metric.info for metric in COMPARED],
        lines=found,
        notes=_notes(two, found if asked.gate is None else ()),
        gate=None if asked.gate is None else judging.judge(two, found, asked.gate, again),
    )


def _more(asked: Asked) -> list[Path]:
    return [] if asked.confirm is None else [asked.confirm]


def _read(roots: Sequence[Path]) -> list[Body]:
    bodies = [sides.read(name, root) for name, root in zip(names(roots), roots, strict=True)]
    manifest.refuse_copies([body.head for body in bodies])
    return bodies


def _two(
    baseline: Body, current: Body, pairs: dict[str, str], allow: frozenset[str], *, same: bool
) -> Two:
    found = apart.differences(baseline, current, pairs, allow)
    return Two(baseline, current, pairs, found, paired=same)


def _pairs(baseline: Body, current: Body, named: Mapping[str, str]) -> dict[str, str]:
    """Return the stacks to compare, by the current side's names; none where none is on both.

    Raises:
        UsageError: a named stack is in no plan.
    """
    ours, theirs = (sorted({stack for stack, _ in body.planned}) for body in (current, baseline))
    for new, old in named.items():
        for stack, known, body in ((new, ours, current), (old, theirs, baseline)):
            if stack not in known:
                raise UsageError.unknown("stack", stack, known, place=body.head.name)
    return dict(named) or {stack: stack for stack in ours if stack in theirs}


def _stacks(body: Body) -> str:
    return ", ".join(sorted({stack for stack, _ in body.planned}))


def _confirming(two: Two, body: Body, allow: frozenset[str]) -> Confirming:
    """Compare the confirming launches with the baseline, or with their own where it is paired."""
    itself = {stack: stack for stack in two.pairs}
    strays = [
        one
        for one in apart.differences(two.current, body, itself, allow)
        if not one.allowed and one.bears_on in {"everything", "nothing"}
    ]
    baseline = body if two.paired else two.baseline
    second = _two(baseline, body, two.pairs, allow, same=two.paired)
    return Confirming(body.side, lines(second), strays)


def _notes(two: Two, found: Sequence[Line]) -> list[str]:
    notes = [PAIRED if two.paired else INDEPENDENT]
    heads = [two.baseline.head, two.current.head]
    if not two.paired and not manifest.one_machine(heads):
        notes.append(OTHER_MACHINE)
    for body in dict.fromkeys([two.baseline.head.name, two.current.head.name]):
        side = next(b for b in (two.baseline, two.current) if b.head.name == body)
        if count := side.side.failed:
            notes.append(f"Launches of {body} that failed: {count}; the others are compared.")
        planned = len(wanted(side.evidence.plan, side.evidence.looks))
        if (open_ := planned - side.side.launches - count) > 0:
            notes.append(f"{open_} of {planned} planned launches of {body} were not made (yet).")
    judged = sum(line.verdict != "not_judged" for line in found)
    if judged:
        chance = f"about {round(judged / 20)}" if judged > 10 else "less than one"
        notes.append(
            f"{judged} lines were judged, each at 95 %: {chance} of them would be called better or "
            "worse by chance alone, were nothing different."
        )
    return notes
