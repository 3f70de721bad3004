"""Stacks at equal interactivity in words: where they were compared, or why they were not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inferometer.comparison import OBJECTIVES
from inferometer.language import tr
from inferometer.reasons import listing
from inferometer_reports.verdicts import clause
from inferometer_reports.view import ARCHITECTURE_WORDS, ARCHITECTURES

if TYPE_CHECKING:
    from inferometer.comparison import Ranking
    from inferometer_reports.view import View

INTERACTIVITY = "interactivity_tok_s_user"
MOST = 4
"""So many rankings are told at the top; all are in the section."""


def rankings(view: View) -> list[Ranking]:
    """Return every ranking at equal interactivity: dense first, then by objective."""
    return [
        ranking
        for architecture in ARCHITECTURES
        for objective in OBJECTIVES
        for primary in (True, False)
        for ranking in view.rankings(objective, architecture, primary=primary, at="interactivity")
    ]


def sentence(view: View) -> str:
    """Return the verdicts that follow from no other, each with the place it is for."""
    every = rankings(view)
    if not every:
        return tr("not compared: {why_not}.", why_not=why_not(view))
    told = [ranking for ranking in every if ranking.primary and not ranking.follows_throughput]
    parts = [
        f"{_where(view, ranking, told)}: {clause(view, ranking)}{beyond(view, ranking)}"
        for ranking in told[:MOST]
    ]
    if len(told) > MOST:
        parts.append(tr("{number} more, in the report", number=len(told) - MOST))
    return f"{'. '.join(parts)}."


def _where(view: View, ranking: Ranking, others: list[Ranking]) -> str:
    """Return ``throughput, dense, at 50 tok/s/user``, with what else tells it from the others."""
    words = [tr(ranking.objective), ARCHITECTURE_WORDS[ranking.architecture]]
    same = [it for it in others if it.architecture == ranking.architecture]
    words += [
        name
        for name, names in (
            (ranking.model, {it.model for it in same}),
            (ranking.workload, {it.workload for it in same}),
        )
        if len(names) > 1
    ]
    text = tr(
        "{words}{profile_words}, at {load}",
        words=", ".join(words),
        profile_words=view.profile_words(ranking.profile),
        load=ranking.load,
    )
    return f"{text[:1].upper()}{text[1:]}"


def beyond(view: View, ranking: Ranking) -> str:
    """Return which stacks have no place because they served users faster at every load point."""
    out = [item.stack for item in ranking.unranked if item.reason == "out_of_range"]
    place = (ranking.model, ranking.workload)
    found = []
    for stack in out:
        speeds = [
            cell.values[INTERACTIVITY].value
            for cell in view.comparison.cells
            if (cell.stack, cell.model, cell.workload) == (stack, *place)
            and cell.loop == "closed"
            and INTERACTIVITY in cell.values
        ]
        known = [speed for speed in speeds if speed is not None]
        if ranking.interactivity is not None and known and min(known) > ranking.interactivity:
            found.append(view.label(stack))
    return (
        tr("; faster than that at every load point: {found}", found=listing(found)) if found else ""
    )


def why_not(view: View) -> str:
    """Return why stacks were not compared at equal interactivity."""
    closed = [cell for cell in view.comparison.cells if cell.loop == "closed"]
    loads: dict[str, set[str]] = {}
    for cell in closed:
        loads.setdefault(cell.workload, set()).add(cell.load)
    if not closed:
        return tr("no closed loop was run") if view.comparison.cells else tr("no result")
    if max(map(len, loads.values())) < 2:
        return tr("one load point of each workload, and a curve over interactivity needs two")
    if len({cell.stack for cell in closed}) < 2:
        return tr("one stack alone")
    return tr("fewer than two stacks have two valid load points of one workload")
