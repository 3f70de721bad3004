"""The sentence of one ranking, and of one question over all its load points.

Rules over numbers: a lead needs ``separated``, an order needs two rounds, and what could not be
seen is said. Text is plain; each output escapes it.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

from msgspec.structs import replace

from inferometer.language import later, tr
from inferometer.numbers import number, percent, point, times, with_interval
from inferometer.reasons import listing, reason_words
from inferometer_reports.view import ARCHITECTURE_WORDS, by_place, key_of, leaders, unit_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from inferometer.comparison import Architecture, Objective, RankEntry, Ranking, Value
    from inferometer_reports.view import View

OPEN = later("every load was an open loop, at which stacks that keep up deliver what is offered")
POINTS_IN_WORDS = 3
"""Up to so many load points each get a clause of the answer; more are counted."""


def inverse(ratio: Value) -> Value:
    """Return the best's value over this stack's, from this stack's over the best's."""
    if not ratio.value or ratio.value < 0:
        return ratio
    low = 1 / ratio.high if ratio.high else None
    high = 1 / ratio.low if ratio.low and ratio.low > 0 else None
    return replace(ratio, value=1 / ratio.value, low=low, high=high)


class Verdict(NamedTuple):
    """A ranking in words: ``head`` + ``figure`` + ``tail``, and what belongs after it."""

    head: str
    figure: str = ""
    tail: str = ""
    unseen: str = ""
    left_out: str = ""
    leads: bool = False
    """Whether ``head`` names the one that leads."""

    @property
    def clause(self) -> str:
        """Return the whole verdict, without the final stop."""
        return f"{self.head}{self.figure}{self.tail}{self.unseen}{self.left_out}"


def clause(view: View, ranking: Ranking) -> str:
    """Return the verdict of one ranking, without the final stop."""
    return verdict(view, ranking).clause


def verdict(view: View, ranking: Ranking) -> Verdict:
    """Return the verdict of one ranking."""
    entries = by_place(ranking)
    first = leaders(ranking) if entries else []
    if not entries:
        return Verdict(tr("not ranked: {why}", why=_unranked(view, ranking) or tr("no result")))
    if len(entries) == 1:
        found = _alone(view, ranking, entries[0])
    elif ranking.n_rounds < 2:
        names = listing(view.label(entry.stack) for entry in entries)
        found = Verdict(tr("one launch each of {names}: no interval, so no order", names=names))
    elif ranking.separated and len(first) == 1:
        found = _lead(view, ranking, entries)
    else:
        found = _no_winner(view, ranking, first if len(first) > 1 else entries[:2])
    left_out = tr("; not ranked: {why}", why=_unranked(view, ranking)) if ranking.unranked else ""
    return found._replace(left_out=left_out)


def _alone(view: View, ranking: Ranking, entry: RankEntry) -> Verdict:
    info = view.metric(ranking.metric)
    unit = f" {unit_name(info.unit)}" if info else ""
    seen = f"{with_interval(entry.value)}{unit}, n = {entry.value.n}"
    others = any(item.value is not None for item in ranking.unranked)
    what = tr("could be ranked") if others else tr("was measured")
    return Verdict(tr("only {stack} {what}: ", stack=view.label(entry.stack), what=what), seen)


def _lead(view: View, ranking: Ranking, entries: Sequence[RankEntry]) -> Verdict:
    best, second = (view.label(entry.stack) for entry in entries[:2])
    ratio = times(inverse(entries[1].ratio_to_best))
    return Verdict(
        tr("{best} leads: ", best=best),
        ratio,
        tr(" the {noun} of {second}", noun=noun(view, ranking), second=second),
        leads=True,
    )


def _no_winner(view: View, ranking: Ranking, first: Sequence[RankEntry]) -> Verdict:
    best = next((entry for entry in first if entry.verdict == "best"), first[0])
    others = [entry for entry in first if entry is not best]
    ratio = times(inverse(others[0].ratio_to_best)).replace("x ", " ", 1)
    names = listing(view.label(entry.stack) for entry in first)
    pair = ""
    if len(others) > 1:
        pair = tr(
            " of {stack} to {other}",
            stack=view.label(best.stack),
            other=view.label(others[0].stack),
        )
    if all(entry.verdict == "tie" for entry in others):
        return Verdict(
            tr("a tie of {names}: ratio{pair} ", names=names, pair=pair),
            ratio,
            tr(", equal within the margin"),
        )
    blind = ranking.minimum_detectable_percent
    unseen = (
        tr("; differences under {smallest} could not have been seen", smallest=percent(blind))
        if blind
        else ""
    )
    return Verdict(
        tr("no clear winner among {names}: ratio{pair} ", names=names, pair=pair),
        ratio,
        unseen="" if ranking.follows_throughput else unseen,
    )


def noun(view: View, ranking: Ranking) -> str:
    """Return the metric's title as it stands inside a sentence."""
    title = view.metric_title(key_of(ranking.metric, ranking.meter), unit=False)
    return title[:1].lower() + title[1:] if title[1:2].islower() else title


def _unranked(view: View, ranking: Ranking) -> str:
    """Return ``no power sensor (A and B); answers differ (C at 1.8x of the best ranked)``."""
    groups: dict[str, list[str]] = defaultdict(list)
    for item in ranking.unranked:
        ratio = item.ratio_to_best
        shown = tr(" at {ratio} of the best ranked", ratio=point(ratio, "x")) if ratio else ""
        groups[reason_words(item.reason)].append(f"{view.label(item.stack)}{shown}")
    return "; ".join(f"{words} ({listing(names)})" for words, names in groups.items())


def answer(
    view: View, objective: Objective, architecture: Architecture, profile: str | None = None
) -> str:
    """Return the answer to one question: which stack (of a profile) leads in ``objective``."""
    every = view.rankings(objective, architecture, profile=profile)
    if not every:
        return _no_ranking(view, objective, architecture)
    rankings = [ranking for ranking in every if ranking.kind != "simulated"]
    if not any(ranking.entries for ranking in rankings):
        rankings = every
    if len(rankings) == 1:
        text = clause(view, rankings[0])
    elif len(rankings) <= POINTS_IN_WORDS:
        text = _by_point(view, rankings)
    else:
        text = _counted(view, rankings)
    sentences = [text]
    if any(ranking.follows_throughput and ranking.entries for ranking in rankings):
        sentences[0] = tr("follows throughput by construction: {text}", text=text)
    if len(rankings) < len(every):
        sentences.append(tr("Simulated stacks are ranked apart"))
    sentences += _contradictions(view, rankings)
    return f"{'. '.join(sentences)}."


def _no_ranking(view: View, objective: Objective, architecture: Architecture) -> str:
    if architecture not in view.architectures:
        return tr(
            "not ranked: no {architecture} model was launched.",
            architecture=ARCHITECTURE_WORDS[architecture],
        )
    if objective == "cost" and view.comparison.price.value is None:
        return tr("not ranked: {why}.", why=reason_words(view.comparison.price.reason))
    if all(cell.loop == "open" for cell in view.comparison.cells) and view.comparison.cells:
        return tr("not ranked: {why}.", why=tr(OPEN))
    reasons = {m.reason for m in view.comparison.missing if objective in m.what.lower()}
    found = listing(reason_words(reason) for reason in sorted(reasons))
    return tr("not ranked: {why}.", why=found or tr("no result"))


def _by_point(view: View, rankings: Sequence[Ranking]) -> str:
    """Return one clause for all points with the same verdict, a figure for each point."""
    groups: dict[Verdict, list[tuple[str, str]]] = defaultdict(list)
    for name, ranking in zip(point_names(rankings), rankings, strict=True):
        found = verdict(view, ranking)
        groups[found._replace(figure="", unseen="")].append((name, found.figure))
    texts = []
    for shape, points in groups.items():
        named = ", ".join(
            tr("at {name} {figure}", name=name, figure=figure).rstrip() for name, figure in points
        )
        joint = "" if points[0][1] else " "
        texts.append(shape._replace(figure=f"{joint}{named}").clause)
    return "; ".join(texts)


def _counted(view: View, rankings: Sequence[Ranking]) -> str:
    """Return how often each stack leads, with the span of its lead over the second."""
    found = counts(rankings)
    parts = [
        tr(
            "{stack} leads at {number} of {total} load points ({low}x to {high}x the {noun} of "
            "the second)",
            stack=view.label(stack),
            number=len(ratios),
            total=len(rankings),
            low=number(min(ratios)),
            high=number(max(ratios)),
            noun=noun(view, rankings[0]),
        )
        for stack, ratios in found.leads.items()
    ]
    undecided = later("no clear winner at {rest} of {total} load points")
    parts += [tr(undecided, rest=found.undecided, total=len(rankings))] if found.undecided else []
    unranked = later("not ranked at {rest} of {total} load points")
    parts += [tr(unranked, rest=found.unranked, total=len(rankings))] if found.unranked else []
    return "; ".join(parts)


class Counts(NamedTuple):
    """Of several load points: by how much each stack leads where it does, and the other points."""

    leads: dict[str, list[float]]
    undecided: int
    unranked: int


def counts(rankings: Sequence[Ranking]) -> Counts:
    """Count who leads; a point at which fewer than two stacks are ranked has no contest."""
    leads: dict[str, list[float]] = defaultdict(list)
    unranked = 0
    for ranking in rankings:
        entries = by_place(ranking)
        unranked += len(entries) < 2
        if ranking.separated and ranking.n_rounds >= 2 and len(entries) > 1:
            ratio = inverse(entries[1].ratio_to_best).value
            if ratio is not None:
                leads[leaders(ranking)[0].stack].append(ratio)
    led = sum(map(len, leads.values()))
    return Counts(dict(leads), len(rankings) - unranked - led, unranked)


def _contradictions(view: View, rankings: Sequence[Ranking]) -> list[str]:
    """Name the other meters whose order begins differently."""
    meters = {
        other.meter or tr("a meter without a name")
        for ranking in rankings
        for other in view.second_opinions(ranking)
        if other.entries and _first(other) != _first(ranking)
    }
    return (
        [tr("Another meter says otherwise: {meters}", meters=listing(sorted(meters)))]
        if meters
        else []
    )


def _first(ranking: Ranking) -> set[str]:
    return {entry.stack for entry in leaders(ranking)} if ranking.entries else set()


def point_names(rankings: Sequence[Ranking]) -> list[str]:
    """Return what tells the rankings of one question apart: the load, the workload, the model."""
    columns = [[getattr(r, field) for r in rankings] for field in ("model", "workload", "load")]
    varying = [column for column in columns if len(set(column)) > 1]
    return [", ".join(names) for names in zip(*varying, strict=True)]


def span(low: int, high: int) -> str:
    """Return ``1`` or ``1 to 2``."""
    return str(low) if low == high else tr("{low} to {high}", low=low, high=high)
