"""Capacity at the SLO: the rate that each stack surely carries, and the one it surely does not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inferometer.comparison import OBJECTIVES
from inferometer.numbers import number, point, with_interval
from inferometer.reasons import reason_words
from inferometer_reports.escape import markdown, table
from inferometer_reports.markdown_rankings import ranked
from inferometer_reports.view import ARCHITECTURES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from inferometer.comparison import Capacity, LaunchCapacity
    from inferometer_reports.view import View

MOST = 3
"""Up to so many workloads and models stand in the answer; all are in the tables."""
NAMES = {"ttft_ms": "TTFT", "tpot_ms": "TPOT", "e2e_ms": "E2E"}
OUTCOMES = {
    "pass": "meets the SLO",
    "fail": "misses the SLO",
    "undecided": "undecided",
    "hopeless": "the queue only grew",
    "starved": "the client was too slow",
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
            f"Capacity at the SLO, {group[0].model}, {group[0].workload}:",
            f"{'; '.join(_sentence(view, one) for one in group)}. SLO: {slo(group[0])}.",
        )
        for group in found[:MOST]
    ]
    if len(found) > MOST:
        told.append(("Capacity at the SLO:", f"{len(found) - MOST} more in the tables."))
    return told


def slo(one: Capacity) -> str:
    """Return the objective in words."""
    return f"{share(one)} of the requests within {one.slo}"


def share(one: Capacity) -> str:
    """Return the share of the requests that must be good."""
    return f"{one.share * 100:g} %"


def _sentence(view: View, one: Capacity) -> str:
    name = view.label(one.stack)
    if one.passes.value is None or one.flag is not None:
        reason = one.flag or one.passes.reason
        tried = {"below_range": one.low, "above_range": one.high}.get(reason or "")
        at = f" ({tried:g} requests/s)" if tried else ""
        return f"{name}: no capacity, {reason_words(reason)}{at}"
    ends = f"meets it at {point(one.passes)} requests/s and misses it at {point(one.fails)}"
    return f"{name} {ends}"


def section(view: View) -> list[str]:
    """Return what was certified, the rankings at the SLO, and every rate; nothing if none was."""
    groups = places(view)
    if not groups:
        return []
    lines = ["## Capacity at the SLO", ""]
    for group in groups:
        lines += _group(view, group)
    for architecture in ARCHITECTURES:
        for objective in OBJECTIVES:
            for primary in (True, False):
                for ranking in view.rankings(objective, architecture, primary=primary, at="slo"):
                    lines += ranked(view, ranking)
    return [*lines, *_rates(view)]


def _group(view: View, group: Sequence[Capacity]) -> list[str]:
    first = group[0]
    sure = f"{first.confidence * 100:g}"
    note = (
        f"How many requests a second a stack may be offered, arriving at random: {slo(first)}. "
        "At least the rate in the first column, and less than the rate in the second. Each end is "
        f"certified; in one launch's search none is false with {sure} % confidence. Between them "
        "nothing is known. Searched from "
        f"{first.low:g} to {first.high:g} requests/s."
    )
    header = ["Stack", "Meets the SLO (req/s)", "Misses it (req/s)", "Middle (req/s)", "n", "Kind"]
    rows = [
        [
            markdown(view.label(one.stack)),
            with_interval(one.passes),
            with_interval(one.fails),
            with_interval(one.rate),
            str(one.rate.n),
            one.rate.kind,
            _first_miss(one),
            _minutes(one.launches),
            markdown(reason_words(one.flag)) if one.flag else "none",
        ]
        for one in group
    ]
    title = f"### {markdown(f'{first.model}, {first.workload}')}"
    header += ["Missed first", "Minutes", "Flag"]
    return [title, "", markdown(note), "", *table(header, rows)]


def _first_miss(one: Capacity) -> str:
    """Return the limit that most requests missed at the lowest failing rates."""
    missed: dict[str, int] = {}
    for launch in one.launches:
        for rate in launch.rates:
            if rate.rate == launch.fails:
                for name, count in rate.missed.items():
                    missed[name] = missed.get(name, 0) + count
    worst = max(missed, key=missed.__getitem__, default=None)
    return markdown(NAMES.get(worst, worst)) if worst else "n/a (nothing failed)"


def _minutes(launches: Sequence[LaunchCapacity]) -> str:
    return number(sum(launch.minutes for launch in launches)) if launches else "n/a (not searched)"


def _rates(view: View) -> list[str]:
    rows = [
        [
            markdown(view.label(one.stack)),
            markdown(f"{one.model}, {one.workload}"),
            str(launch.round + 1),
            number(rate.rate),
            OUTCOMES[rate.outcome],
            str(rate.good),
            str(rate.good + rate.bad),
            markdown(_missed(rate.missed)),
            number(rate.seconds),
        ]
        for one in view.comparison.capacities
        for launch in one.launches
        for rate in launch.rates
    ]
    if not rows:
        return []
    header = ["Stack", "Model and workload", "Round", "Offered (req/s)", "Verdict", "Good"]
    header += ["Counted", "Missed", "Seconds"]
    return ["### Every rate that was offered", "", *table(header, rows)]


def _missed(missed: dict[str, int]) -> str:
    found = [f"{NAMES.get(name, name)} {count}" for name, count in sorted(missed.items())]
    return ", ".join(found) or "none"
