"""Capacity at the SLO: the rate that each stack surely carries, and the one it surely does not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inferometer.comparison import OBJECTIVES
from inferometer.language import later, tr, trs
from inferometer.numbers import number, point, shown, with_interval
from inferometer.reasons import reason_words
from inferometer_reports.blocks import Heading, Table, say
from inferometer_reports.escape import line
from inferometer_reports.sections.rankings import ranked
from inferometer_reports.view import ARCHITECTURES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from inferometer.comparison import Capacity, LaunchCapacity
    from inferometer_reports.blocks import Block
    from inferometer_reports.view import View

MOST = 3
"""Up to so many workloads and models stand in the answer; all are in the tables."""
NAMES = {"ttft_ms": "TTFT", "tpot_ms": "TPOT", "e2e_ms": "E2E"}
OUTCOMES = {
    "pass": later("meets the SLO"),
    "fail": later("misses the SLO"),
    "undecided": later("undecided"),
    "hopeless": later("the queue only grew"),
    "starved": later("the client was too slow"),
}


def places(view: View) -> list[list[Capacity]]:
    """Return the capacities of all stacks, grouped by model and workload."""
    groups: dict[tuple[str, str], list[Capacity]] = {}
    for one in view.comparison.capacities:
        groups.setdefault((one.model, one.workload), []).append(one)
    return list(groups.values())


def answers(view: View) -> list[tuple[str, str]]:
    """Return (subject, sentence) of the first models and workloads, and where the others are."""
    found = places(view)
    told = [
        (
            tr(
                "Capacity at the SLO, {model}, {workload}:",
                model=group[0].model,
                workload=group[0].workload,
            ),
            tr(
                "{sentence}. SLO: {slo}.",
                sentence="; ".join(_sentence(view, one) for one in group),
                slo=slo(group[0]),
            ),
        )
        for group in found[:MOST]
    ]
    if len(found) > MOST:
        told.append(
            (
                tr("Capacity at the SLO:"),
                tr("{number} more in the tables.", number=len(found) - MOST),
            )
        )
    return told


def slo(one: Capacity) -> str:
    """Return the objective in words."""
    return tr("{share} of the requests within {slo}", share=share(one), slo=one.slo)


def share(one: Capacity) -> str:
    """Return the share of the requests that must be good."""
    return f"{shown(one.share * 100, 'g')} %"


def _sentence(view: View, one: Capacity) -> str:
    name = view.label(one.stack)
    if one.passes.value is None or one.flag is not None:
        reason = one.flag or one.passes.reason
        tried = {"below_range": one.low, "above_range": one.high}.get(reason or "")
        at = tr(" ({tried} requests/s)", tried=shown(tried, "g")) if tried else ""
        return tr(
            "{name}: no capacity, {reason}{at}", name=name, reason=reason_words(reason), at=at
        )
    ends = tr(
        "meets it at {passes} requests/s and misses it at {fails}",
        passes=point(one.passes),
        fails=point(one.fails),
    )
    return f"{name} {ends}"


def section(view: View) -> list[Block]:
    """Return what was certified, the rankings at the SLO, and every rate; nothing if none was."""
    groups = places(view)
    if not groups:
        return []
    blocks: list[Block] = [Heading(2, tr("Capacity at the SLO"))]
    for group in groups:
        blocks += _group(view, group)
    for architecture in ARCHITECTURES:
        for objective in OBJECTIVES:
            for primary in (True, False):
                for ranking in view.rankings(objective, architecture, primary=primary, at="slo"):
                    blocks += ranked(view, ranking)
    return [*blocks, *_rates(view)]


def _group(view: View, group: Sequence[Capacity]) -> list[Block]:
    first = group[0]
    sure = shown(first.confidence * 100, "g")
    note = tr(
        "How many requests a second a stack may be offered, arriving at random: {slo}. At least "
        "the rate in the first column, and less than the rate in the second. Each end is "
        "certified; in one launch's search none is false with {sure} % confidence. Between them "
        "nothing is known. Searched from {low} to {high} requests/s.",
        slo=slo(first),
        sure=sure,
        low=shown(first.low, "g"),
        high=shown(first.high, "g"),
    )
    header = trs(
        "Stack", "Meets the SLO (req/s)", "Misses it (req/s)", "Middle (req/s)", "n", "Kind"
    )
    rows = [
        [
            line(view.label(one.stack)),
            with_interval(one.passes),
            with_interval(one.fails),
            with_interval(one.rate),
            str(one.rate.n),
            tr(one.rate.kind),
            _first_miss(one),
            _minutes(one.launches),
            line(reason_words(one.flag)) if one.flag else tr("none"),
        ]
        for one in group
    ]
    title = Heading(3, line(f"{first.model}, {first.workload}"))
    header += trs("Missed first", "Minutes", "Flag")
    return [title, say(line(note)), Table(header, rows)]


def _first_miss(one: Capacity) -> str:
    """Return the limit that most requests missed at the lowest failing rates."""
    missed: dict[str, int] = {}
    for launch in one.launches:
        for rate in launch.rates:
            if rate.rate == launch.fails:
                for name, count in rate.missed.items():
                    missed[name] = missed.get(name, 0) + count
    worst = max(missed, key=missed.__getitem__, default=None)
    return line(NAMES.get(worst, worst)) if worst else tr("n/a (nothing failed)")


def _minutes(launches: Sequence[LaunchCapacity]) -> str:
    return (
        number(sum(launch.minutes for launch in launches)) if launches else tr("n/a (not searched)")
    )


def _rates(view: View) -> list[Block]:
    rows = [
        [
            line(view.label(one.stack)),
            line(f"{one.model}, {one.workload}"),
            str(launch.round + 1),
            number(rate.rate),
            tr(OUTCOMES[rate.outcome]),
            str(rate.good),
            str(rate.good + rate.bad),
            line(_missed(rate.missed)),
            number(rate.seconds),
        ]
        for one in view.comparison.capacities
        for launch in one.launches
        for rate in launch.rates
    ]
    if not rows:
        return []
    header = trs("Stack", "Model and workload", "Round", "Offered (req/s)", "Verdict", "Good")
    header += trs("Counted", "Missed", "Seconds")
    return [Heading(3, tr("Every rate that was offered")), Table(header, rows)]


def _missed(missed: dict[str, int]) -> str:
    found = [f"{NAMES.get(name, name)} {count}" for name, count in sorted(missed.items())]
    return ", ".join(found) or tr("none")
