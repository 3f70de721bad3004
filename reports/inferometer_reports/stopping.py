"""How a sequential study ended, in words: after what, what it decided on the way, what not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inferometer.language import later, tr
from inferometer.numbers import shown
from inferometer.reasons import listing
from inferometer_reports.phrases import Statement, most, plural

if TYPE_CHECKING:
    from inferometer.comparison import Stopped
    from inferometer_reports.view import View

STOPS = {
    "decided": later("every pair is decided"),
    "failed": later("of every pair left open a stack has failed"),
    "rounds": later("the last round is done"),
    "budget": later("the next round would not have fitted into the minutes"),
}
"""Why a sequential study ended."""


def rounds_done(view: View) -> str:
    """Return how many rounds are complete, of how many: at most so many where they may stop."""
    comparison = view.comparison
    stopped = comparison.stopped
    if stopped is None or stopped.reason is None:
        return tr(
            "{rounds_complete} of {rounds_planned} rounds complete",
            rounds_complete=comparison.rounds_complete,
            rounds_planned=comparison.rounds_planned,
        )
    return tr(
        "{rounds_complete} of at most {most_rounds} rounds",
        rounds_complete=comparison.rounds_complete,
        most_rounds=stopped.most_rounds,
    )


def sequential(view: View) -> list[Statement]:
    """Return why a sequential study stopped, after what, what it decided on the way, what not."""
    stopped = view.comparison.stopped
    if stopped is None:
        return []
    parts = [ended(stopped)] if stopped.reason else []
    parts += [
        tr(
            "{stack} was launched no more after round {rounds}: all its pairs were decided",
            stack=view.label(stack),
            rounds=rounds,
        )
        for stack, rounds in stopped.ended.items()
        if rounds < stopped.rounds
    ]
    parts += _dropped(view, stopped)
    if prior := _prior(view):
        parts.append(prior)
    found = [
        Statement(tr("Stopped:") if stopped.reason else tr("Goes on:"), f"{'; '.join(parts)}.")
    ]
    if stopped.undecided:
        pairs = plural(len(stopped.undecided), "pair")
        found.append(Statement(tr("Undecided:"), f"{pairs}: {most(stopped.undecided)}."))
    return found if parts else found[1:]


def _prior(view: View) -> str:
    """Return from how many earlier launches the verdicts began, where they did."""
    found = [ranking.prior for ranking in view.comparison.rankings if ranking.prior is not None]
    if not found:
        return ""
    fewest = min(found, key=lambda prior: prior.launches)
    least = tr("at least ") if any(prior.launches > fewest.launches for prior in found) else ""
    return tr(
        "prior from {least}{launches} launches in {studies}",
        least=least,
        launches=fewest.launches,
        studies=studies(fewest.studies),
    )


def studies(count_: int) -> str:
    """Return ``one earlier study``, ``two earlier studies``."""
    return plural(count_, "earlier study", "earlier studies")


def ended(stopped: Stopped) -> str:
    """Return what ended a sequential study, and what it had cost by then."""
    limit = (
        ""
        if stopped.minutes_allowed is None
        else tr(
            " of {minutes_allowed} allowed", minutes_allowed=shown(stopped.minutes_allowed, "g")
        )
    )
    rounds = tr(
        "{rounds} of at most {most_rounds} rounds",
        rounds=stopped.rounds,
        most_rounds=stopped.most_rounds,
    )
    minutes = shown(stopped.minutes, ".0f" if stopped.minutes >= 10 else ".1f")
    spent = tr("{minutes} machine-minutes{limit}", minutes=minutes, limit=limit)
    reason = tr(STOPS[stopped.reason]) if stopped.reason else tr("it goes on")
    return tr("after {rounds} and {spent}: {reason}", rounds=rounds, spent=spent, reason=reason)


def _dropped(view: View, stopped: Stopped) -> list[str]:
    """Return the load points that stacks which went on were not measured at any more."""
    groups: dict[tuple[int, str], list[str]] = {}
    for one in stopped.dropped:
        if one.rounds < stopped.ended.get(one.stack, stopped.rounds):
            where = f"{one.model}, {one.workload}, {one.load}"
            groups.setdefault((one.rounds, where), []).append(view.label(one.stack))
    said = [
        tr(
            "{where} after round {rounds} ({names})",
            where=where,
            rounds=rounds,
            names=listing(names),
        )
        for (rounds, where), names in groups.items()
    ]
    return [tr("decided and measured no more: {most}", most=most(said))] if said else []
