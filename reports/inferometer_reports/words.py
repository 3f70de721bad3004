"""The report's sentences: pure rules over the comparison, the same in every output.

Each function returns plain text (a :class:`Statement` or nothing); outputs escape it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from inferometer.comparison import OBJECTIVES
from inferometer.numbers import percent, point, times
from inferometer.reasons import listing, reason_words
from inferometer_reports import capacity, equal, instruments, latency
from inferometer_reports.verdicts import answer
from inferometer_reports.view import ARCHITECTURE_WORDS, ARCHITECTURES, unit_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from inferometer.comparison import (
        Finding,
        Interaction,
        MatchDependence,
        MoeRatio,
        Objective,
        Stopped,
    )
    from inferometer_reports.view import View

MOST = 4
"""How many missing things or failing checks are named at the top."""
COUNTS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


class Statement(NamedTuple):
    """A sentence with the words that name its subject."""

    lead: str
    text: str


def answers(view: View) -> list[Statement]:
    """Return the verdict of every objective, dense and MoE, and the latencies of open loops."""
    verdicts = [
        Statement(
            f"{objective.capitalize()}, {ARCHITECTURE_WORDS[architecture]}"
            f"{view.profile_words(profile)}:",
            answer(view, objective, architecture, profile),
        )
        for objective in OBJECTIVES
        for architecture in ARCHITECTURES
        for profile in view.profiles or ["defaults"]
    ]
    others = [*capacity.answers(view), *latency.answers(view)]
    return verdicts + [Statement(lead, text) for lead, text in others]


def context(view: View) -> list[Statement]:
    """Return what stands right below the answers: how sure, what is missing, MoE to dense."""
    same_speed = Statement("Equal interactivity:", equal.sentence(view))
    found = [how_sure(view), *sequential(view), same_speed, *energy(view), price(view)]
    found += [by_construction(view), not_measured(view), moe_to_dense(view)]
    return [*(statement for statement in found if statement), checks(view)]


def label(view: View) -> Statement:
    """Return the preset and what it means: how many rounds at how many load points."""
    comparison = view.comparison
    quick = comparison.preset == "quick look"
    rounds = plural(comparison.rounds_complete, f"{'short ' if quick else ''}round")
    if comparison.rounds_complete < comparison.rounds_planned:
        rounds = _rounds(view)
    size = f"{rounds}, {plural(len(view.points), 'load point')}"
    advice = "; for a decision run a full study." if quick else "."
    return Statement(f"{(comparison.preset or 'study').upper()}:", size + advice)


def kinds(view: View) -> Statement:
    """Return where each objective's numbers come from."""
    parts = []
    for objective in OBJECTIVES:
        found = view.kinds_of(objective, primary=True)
        second = view.kinds_of(objective, primary=False)
        words = listing(found) or "not ranked"
        also = f" (second meter: {listing(second)})" if second and second != found else ""
        parts.append(f"{objective} {words}{also}")
    return Statement("Kinds of number:", f"{', '.join(parts)}.")


def banner(view: View) -> str | None:
    """Return the warning over the whole report when anything in it was simulated."""
    if "simulated" not in view.kinds:
        return None
    return "SIMULATED: numbers marked sim. come from a simulator; no engine was measured for them."


def how_sure(view: View) -> Statement:
    """Return the rounds and the smallest difference each objective could have shown."""
    design = f"{_rounds(view)}, every stack launched anew in each; windows of {_window(view)}."
    seen = [part for objective in OBJECTIVES if (part := _detectable(view, objective))]
    if not seen:
        return Statement("How sure:", f"{design} The smallest detectable difference is not known.")
    return Statement("How sure:", f"{design} Smallest detectable difference: {', '.join(seen)}.")


def _window(view: View) -> str:
    length_s = view.comparison.window_s
    return "10 residence times, 60 to 300 s" if length_s is None else f"{length_s:g} s"


STOPS = {
    "decided": "every pair is decided",
    "failed": "of every pair left open a stack has failed",
    "rounds": "the last round is done",
    "budget": "the next round would not have fitted into the minutes",
}
"""Why a sequential study ended."""


def _rounds(view: View) -> str:
    """Return how many rounds are complete, of how many: at most so many where they may stop."""
    comparison = view.comparison
    stopped = comparison.stopped
    if stopped is None or stopped.reason is None:
        return f"{comparison.rounds_complete} of {comparison.rounds_planned} rounds complete"
    return f"{comparison.rounds_complete} of at most {stopped.most_rounds} rounds"


def sequential(view: View) -> list[Statement]:
    """Return why a sequential study stopped, after what, what it decided on the way, what not."""
    stopped = view.comparison.stopped
    if stopped is None:
        return []
    parts = [ended(stopped)] if stopped.reason else []
    parts += [
        f"{view.label(stack)} was launched no more after round {rounds}: all its pairs were decided"
        for stack, rounds in stopped.ended.items()
        if rounds < stopped.rounds
    ]
    parts += _dropped(view, stopped)
    if prior := _prior(view):
        parts.append(prior)
    found = [Statement("Stopped:" if stopped.reason else "Goes on:", f"{'; '.join(parts)}.")]
    if stopped.undecided:
        pairs = plural(len(stopped.undecided), "pair")
        found.append(Statement("Undecided:", f"{pairs}: {_most(stopped.undecided)}."))
    return found if parts else found[1:]


def _prior(view: View) -> str:
    """Return from how many earlier launches the verdicts began, where they did."""
    found = [ranking.prior for ranking in view.comparison.rankings if ranking.prior is not None]
    if not found:
        return ""
    fewest = min(found, key=lambda prior: prior.launches)
    least = "at least " if any(prior.launches > fewest.launches for prior in found) else ""
    return f"prior from {least}{fewest.launches} launches in {studies(fewest.studies)}"


def studies(count_: int) -> str:
    """Return ``one earlier study``, ``two earlier studies``."""
    return plural(count_, "earlier study", "earlier studies")


def ended(stopped: Stopped) -> str:
    """Return what ended a sequential study, and what it had cost by then."""
    limit = "" if stopped.minutes_allowed is None else f" of {stopped.minutes_allowed:g} allowed"
    rounds = f"{stopped.rounds} of at most {stopped.most_rounds} rounds"
    spent = f"{stopped.minutes:.{0 if stopped.minutes >= 10 else 1}f} machine-minutes{limit}"
    reason = STOPS[stopped.reason] if stopped.reason else "it goes on"
    return f"after {rounds} and {spent}: {reason}"


def _dropped(view: View, stopped: Stopped) -> list[str]:
    """Return the load points that stacks which went on were not measured at any more."""
    groups: dict[tuple[int, str], list[str]] = {}
    for one in stopped.dropped:
        if one.rounds < stopped.ended.get(one.stack, stopped.rounds):
            where = f"{one.model}, {one.workload}, {one.load}"
            groups.setdefault((one.rounds, where), []).append(view.label(one.stack))
    said = [
        f"{where} after round {rounds} ({listing(names)})"
        for (rounds, where), names in groups.items()
    ]
    return [f"decided and measured no more: {_most(said)}"] if said else []


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
    return f"{objective} {low if low == high else f'{low} to {high}'}"


def energy(view: View) -> list[Statement]:
    """Return what energy was read from, meter by meter; or why there is none."""
    meters = view.comparison.meters
    if meters:
        return [
            Statement("Energy:", f"{instruments.sentence(info).rstrip('. ')}.") for info in meters
        ]
    return [
        Statement("Energy:", f"n/a ({item.reason}: {reason_words(item.reason)}; {item.detail}).")
        for item in view.comparison.missing
        if item.what == "energy"
    ]


def price(view: View) -> Statement | None:
    """Return what an hour costs where it ranks: whose price, of which day, stale or not."""
    found = view.comparison.price
    if found.value is None:
        return None
    return Statement("Price:", f"{point(found)} {unit_name(found.unit)}: {found.detail}.")


def by_construction(view: View) -> Statement | None:
    """Return why an objective's order is throughput's, where it is."""
    found = [
        ranking.follows_throughput.rstrip(". ")
        for ranking in view.comparison.rankings
        if ranking.follows_throughput and ranking.primary and ranking.entries
    ]
    if not found:
        return None
    return Statement("Not independent:", f"{'; '.join(dict.fromkeys(found))}.")


def not_measured(view: View) -> Statement:
    """Return what is absent and why."""
    missing = view.comparison.missing
    if not missing:
        return Statement("Not measured:", "nothing is missing.")
    parts = [f"{item.what}: {reason_words(item.reason)}" for item in missing]
    return Statement("Not measured:", f"{_most(parts)}.")


def moe_to_dense(view: View) -> Statement | None:
    """Return each stack's MoE-to-dense throughput at equal load, and what it can say."""
    ratios = [ratio for ratio in view.comparison.moe_ratios if ratio.at == "load"]
    found = view.comparison.architectures
    if found is not None and found.why_not:
        return Statement("MoE to dense:", f"cannot answer: {found.why_not.rstrip('. ')}.")
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
        (f"{pair[0]} over {pair[1]} on " if len(pairs) > 1 else "")
        + _of_stacks(view, [r for r in chosen if (r.moe, r.dense) == pair])
        for pair in pairs
    ]
    title = view.metric_title(chosen[0].metric, unit=False)
    sure = [one for one in (found.dependences if found else []) if not one.point_only]
    what = dict.fromkeys(depends_on(view, one) for one in sure if one.depends)
    flag = f"Which is better depends on {listing(what)}. " if what else ""
    text = f"{title}: {_most(parts)}. {flag}"
    note = routing_words(view, [ratio.moe for ratio in chosen])
    return Statement("MoE to dense:", f"{text}{note}".strip())


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
    return "the operating point" if same_match and not same_place else "the match"


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
        whose = "The router" if len(drawn) == len(there) else f"The router of {listing(drawn)}"
        told.append(
            f"{whose} is random (synthetic routing): this shows MoE overhead at equal quality, "
            "not how a trained MoE model runs."
        )
    if unknown:
        whose = "" if len(unknown) == len(there) else f" of {listing(unknown)}"
        told.append(f"The origin of the router{whose} is unknown.")
    return " ".join(told)


def span(ratios: Sequence[MoeRatio | Interaction], points: str = "load points") -> str:
    """Return one ratio with its interval, or the range of several."""
    present = [ratio.ratio for ratio in ratios if ratio.ratio.value is not None]
    if len(ratios) == 1 or not present:
        return times(ratios[0].ratio)
    low = min(present, key=lambda ratio: ratio.value or 0.0)
    high = max(present, key=lambda ratio: ratio.value or 0.0)
    return f"{point(low, 'x')} to {point(high, 'x')} over {len(present)} {points}"


def checks(view: View) -> Statement:
    """Return the validity checks' result; those that failed are named."""
    troubles = list(view.troubles())
    total = sum(len(cell.checks) for cell in view.comparison.cells)
    if not total:
        return Statement("Checks:", "no validity check was run.")
    verdicts = [check.verdict for _, check in troubles]
    passed = f"{total - len(troubles)} of {total} passed"
    others = [
        f"{verdicts.count(verdict)} {word}"
        for verdict, word in (("warn", "with a warning"), ("unknown", "could not be decided"))
        if verdict in verdicts
    ]
    failed = [f"{check.name} in {cell.id}" for cell, check in troubles if check.verdict == "fail"]
    failing = f"FAILED: {_most(failed)}" if failed else "none failed"
    return Statement("Checks:", f"{', '.join([passed, *others])}; {failing}.")


def _most(parts: Sequence[str]) -> str:
    more = len(parts) - MOST
    shown = "; ".join(parts[:MOST])
    return f"{shown}; and {more} more, listed below" if more > 0 else shown


def plural(number_of: int, noun: str, many: str = "") -> str:
    """Return ``three rounds`` or ``one round``."""
    return f"{count(number_of)} {noun if number_of == 1 else many or f'{noun}s'}"


def count(number_of: int) -> str:
    """Return a small whole number as a word."""
    return COUNTS[number_of] if 0 <= number_of < len(COUNTS) else str(number_of)
