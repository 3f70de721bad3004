"""The report's sentences: pure rules over the comparison, the same in every output.

Each function returns plain text (a :class:`Statement` or nothing); outputs escape it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from inferometer.comparison import OBJECTIVES
from inferometer.language import later, tr
from inferometer.numbers import percent, point, shown, times
from inferometer.reasons import listing, reason_words
from inferometer_reports import capacity, equal, instruments, latency, stopping
from inferometer_reports.phrases import MOST, Statement, count, most, plural
from inferometer_reports.verdicts import answer
from inferometer_reports.view import ARCHITECTURE_WORDS, ARCHITECTURES, unit_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from inferometer.comparison import (
        Architecture,
        Finding,
        Interaction,
        MatchDependence,
        MoeRatio,
        Objective,
    )
    from inferometer_reports.view import View

__all__ = ["MOST", "Statement", "count", "plural"]
"""What sections take from here with the sentences; all else is public by its name."""


def answers(view: View) -> list[Statement]:
    """Return the verdict of every objective, dense and MoE, and the latencies of open loops."""
    verdicts = [
        Statement(
            question(view, objective, architecture, profile),
            answer(view, objective, architecture, profile),
        )
        for objective in OBJECTIVES
        for architecture in ARCHITECTURES
        for profile in view.profiles or ["defaults"]
    ]
    others = [*capacity.answers(view), *latency.answers(view)]
    return verdicts + [Statement(lead, text) for lead, text in others]


def question(view: View, objective: Objective, architecture: Architecture, profile: str) -> str:
    """Return ``Throughput, dense:``, with the profile where there is more than one."""
    words = f"{tr(objective).capitalize()}, {ARCHITECTURE_WORDS[architecture]}"
    return f"{words}{view.profile_words(profile)}:"


def context(view: View) -> list[Statement]:
    """Return what stands right below the answers: how sure, what is missing, MoE to dense."""
    same_speed = Statement(tr("Equal interactivity:"), equal.sentence(view))
    found = [how_sure(view), *stopping.sequential(view), same_speed, *energy(view), price(view)]
    found += [by_construction(view), not_measured(view), moe_to_dense(view), imported(view)]
    found += [start(view)]
    return [*(statement for statement in found if statement), checks(view)]


def label(view: View) -> Statement:
    """Return the preset and what it means: how many rounds at how many load points."""
    comparison = view.comparison
    quick = comparison.preset == "quick look"
    rounds = plural(comparison.rounds_complete, "short round" if quick else "round")
    if comparison.rounds_complete < comparison.rounds_planned:
        rounds = stopping.rounds_done(view)
    size = f"{rounds}, {plural(len(view.points), 'load point')}"
    advice = tr("; for a decision run a full study.") if quick else "."
    return Statement(f"{tr(comparison.preset or 'study').upper()}:", size + advice)


def kinds(view: View) -> Statement:
    """Return where each objective's numbers come from."""
    parts = []
    for objective in OBJECTIVES:
        found = view.kinds_of(objective, primary=True)
        second = view.kinds_of(objective, primary=False)
        words = listing(map(tr, found)) or tr("not ranked")
        also = (
            tr(" (second meter: {second})", second=listing(map(tr, second)))
            if second and second != found
            else ""
        )
        parts.append(f"{tr(objective)} {words}{also}")
    return Statement(tr("Kinds of number:"), f"{', '.join(parts)}.")


def banner(view: View) -> str | None:
    """Return the warning over the whole report when anything in it was simulated."""
    if "simulated" not in view.kinds:
        return None
    return tr(
        "SIMULATED: numbers marked sim. come from a simulator; no engine was measured for them."
    )


def how_sure(view: View) -> Statement:
    """Return the rounds and the smallest difference each objective could have shown."""
    design = _design(view)
    seen = [part for objective in OBJECTIVES if (part := _detectable(view, objective))]
    if not seen:
        return Statement(
            tr("How sure:"),
            tr("{design} The smallest detectable difference is not known.", design=design),
        )
    return Statement(
        tr("How sure:"),
        tr("{design} Smallest detectable difference: {seen}.", design=design, seen=", ".join(seen)),
    )


def _design(view: View) -> str:
    rounds, window = stopping.rounds_done(view), _window(view)
    if any(stack.environment.get("kind") == "url" for stack in view.comparison.stacks):
        return tr(
            "{rounds}; servers that ran already were not launched anew; windows of {window}.",
            rounds=rounds,
            window=window,
        )
    return tr(
        "{rounds}, every stack launched anew in each; windows of {window}.",
        rounds=rounds,
        window=window,
    )


def _window(view: View) -> str:
    length_s = view.comparison.window_s
    return (
        tr("10 residence times, 60 to 300 s") if length_s is None else f"{shown(length_s, 'g')} s"
    )


def _detectable(view: View, objective: Objective) -> str:
    found = [
        ranking.minimum_detectable_percent
        for architecture in ARCHITECTURES
        for ranking in view.rankings(objective, architecture)
        if ranking.minimum_detectable_percent is not None
    ]
    if not found:
        return ""
    low, high = percent(min(found)), percent(max(found))
    return f"{tr(objective)} {low if low == high else tr('{low} to {high}', low=low, high=high)}"


def energy(view: View) -> list[Statement]:
    """Return what energy was read from, meter by meter; or why there is none."""
    meters = view.comparison.meters
    if meters:
        return [
            Statement(tr("Energy:"), f"{instruments.sentence(info).rstrip('. ')}.")
            for info in meters
        ]
    return [
        Statement(
            tr("Energy:"), f"n/a ({item.reason}: {reason_words(item.reason)}; {item.detail})."
        )
        for item in view.comparison.missing
        if item.what == "energy"
    ]


def price(view: View) -> Statement | None:
    """Return what an hour costs where it ranks: whose price, of which day, stale or not."""
    found = view.comparison.price
    if found.value is None:
        return None
    return Statement(tr("Price:"), f"{point(found)} {unit_name(found.unit)}: {found.detail}.")


def by_construction(view: View) -> Statement | None:
    """Return why an objective's order is throughput's, where it is."""
    found = [
        tr(ranking.follows_throughput.rstrip(". "))
        for ranking in view.comparison.rankings
        if ranking.follows_throughput and ranking.primary and ranking.entries
    ]
    if not found:
        return None
    return Statement(tr("Not independent:"), f"{'; '.join(dict.fromkeys(found))}.")


def not_measured(view: View) -> Statement:
    """Return what is absent and why."""
    missing = view.comparison.missing
    if not missing:
        return Statement(tr("Not measured:"), tr("nothing is missing."))
    parts = [f"{item.what}: {reason_words(item.reason)}" for item in missing]
    return Statement(tr("Not measured:"), f"{most(parts)}.")


def moe_to_dense(view: View) -> Statement | None:
    """Return each stack's MoE-to-dense throughput at equal load, and what it can say."""
    ratios = [ratio for ratio in view.comparison.moe_ratios if ratio.at == "load"]
    found = view.comparison.architectures
    if found is not None and found.why_not:
        return Statement(
            tr("MoE to dense:"), tr("cannot answer: {why_not}.", why_not=found.why_not.rstrip(". "))
        )
    if not ratios:
        return None
    metrics = [
        ranking.metric
        for architecture in ARCHITECTURES
        for ranking in view.rankings("throughput", architecture)
    ]
    chosen = [r for r in ratios if r.metric in metrics] or ratios
    chosen = [ratio for ratio in chosen if ratio.metric == chosen[0].metric]
    pairs = list(dict.fromkeys((ratio.moe, ratio.dense) for ratio in chosen))
    parts = [
        (tr("{moe} over {dense} on ", moe=pair[0], dense=pair[1]) if len(pairs) > 1 else "")
        + _of_stacks(view, [r for r in chosen if (r.moe, r.dense) == pair])
        for pair in pairs
    ]
    title = view.metric_title(chosen[0].metric, unit=False)
    sure = [one for one in (found.dependences if found else []) if not one.point_only]
    what = dict.fromkeys(depends_on(view, one) for one in sure if one.depends)
    flag = tr("Which is better depends on {what}. ", what=listing(what)) if what else ""
    text = f"{title}: {most(parts)}. {flag}"
    note = routing_words(view, [ratio.moe for ratio in chosen])
    return Statement(tr("MoE to dense:"), f"{text}{note}".strip())


def opposite(view: View, one: MatchDependence) -> tuple[list[Finding], list[Finding]]:
    """Return the findings in which the MoE is better, and those in which the dense model is.

    Surely; of values without an interval, by the value.
    """
    info = view.metric(one.metric)
    higher = info is not None and info.direction == "higher"
    moe = [it for it in one.findings if it.better == "moe" or _looks(it, above=higher)]
    dense = [it for it in one.findings if it.better == "dense" or _looks(it, above=not higher)]
    return moe, dense


def _looks(found: Finding, *, above: bool) -> bool:
    value = found.ratio.value
    if found.ratio.low is not None or value is None or value == 1:
        return False
    return (value > 1) is above


def depends_on(view: View, one: MatchDependence) -> str:
    """Return what an answer depends on: the match, or only where the same two are compared."""
    moe, dense = opposite(view, one)
    both = [(left, right) for left in moe for right in dense]
    same_place = any((it.at, it.load) == (other.at, other.load) for it, other in both)
    same_match = any((it.match, it.dense) == (other.match, other.dense) for it, other in both)
    return tr("the operating point") if same_match and not same_place else tr("the match")


def imported(view: View) -> Statement | None:
    """Return whose results stand beside ours, and that they have no place."""
    found = view.comparison.imported
    if not found:
        return None
    tools = listing(dict.fromkeys(one.tool for one in found))
    number_of = plural(len(found), "measurement")
    text = tr(
        "{measurements} of {tools}, under the title Imported; not ranked: no launches are told.",
        measurements=number_of,
        tools=tools,
    )
    return Statement(tr("Imported:"), text)


def start(view: View) -> Statement | None:
    """Return where the lines are that start the winner."""
    rankings, starts = view.comparison.rankings, view.comparison.starts
    ranked = {(one.stack, ranking.model) for ranking in rankings for one in ranking.entries}
    if not any((one.stack, one.model) in ranked for one in starts):
        return None
    text = tr("lines to paste: section Launch the winner, or inferometer launch RESULTS.")
    return Statement(tr("To start it:"), text)


def _of_stacks(view: View, ratios: Sequence[MoeRatio]) -> str:
    stacks = dict.fromkeys(ratio.stack for ratio in ratios)
    return "; ".join(
        f"{view.label(stack)} {span([r for r in ratios if r.stack == stack])}" for stack in stacks
    )


def routing_words(view: View, moes: Sequence[str]) -> str:
    """Return what the ratios of these MoE models mean, by the origin of each one's router."""
    there = [model for model in view.comparison.models if model.name in moes]
    drawn = [model.name for model in there if model.routing == "synthetic"]
    unknown = [model.name for model in there if model.routing == "unknown"]
    told = []
    if drawn:
        whose = (
            tr("The router")
            if len(drawn) == len(there)
            else tr("The router of {drawn}", drawn=listing(drawn))
        )
        told.append(
            tr(
                "{whose} is random (synthetic routing): this shows MoE overhead at equal "
                "quality, not how a trained MoE model runs.",
                whose=whose,
            )
        )
    if unknown:
        whose = "" if len(unknown) == len(there) else tr(" of {unknown}", unknown=listing(unknown))
        told.append(tr("The origin of the router{whose} is unknown.", whose=whose))
    return " ".join(told)


def span(ratios: Sequence[MoeRatio | Interaction], points: str = later("load points")) -> str:
    """Return one ratio with its interval, or the range of several."""
    present = [ratio.ratio for ratio in ratios if ratio.ratio.value is not None]
    if len(ratios) == 1 or not present:
        return times(ratios[0].ratio)
    low = min(present, key=lambda ratio: ratio.value or 0.0)
    high = max(present, key=lambda ratio: ratio.value or 0.0)
    return tr(
        "{low} to {high} over {number} {points}",
        low=point(low, "x"),
        high=point(high, "x"),
        number=len(present),
        points=tr(points),
    )


def checks(view: View) -> Statement:
    """Return the validity checks' result; those that failed are named."""
    troubles = list(view.troubles())
    total = sum(len(cell.checks) for cell in view.comparison.cells)
    if not total:
        return Statement(tr("Checks:"), tr("no validity check was run."))
    verdicts = [check.verdict for _, check in troubles]
    passed = tr("{passed} of {total} passed", passed=total - len(troubles), total=total)
    others = [
        f"{verdicts.count(verdict)} {word}"
        for verdict, word in (
            ("warn", tr("with a warning")),
            ("unknown", tr("could not be decided")),
        )
        if verdict in verdicts
    ]
    failed = [
        tr("{check} in {cell}", check=tr(check.name), cell=cell.id)
        for cell, check in troubles
        if check.verdict == "fail"
    ]
    failing = tr("FAILED: {checks}", checks=most(failed)) if failed else tr("none failed")
    return Statement(tr("Checks:"), f"{', '.join([passed, *others])}; {failing}.")
