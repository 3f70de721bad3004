"""Which stack is the cheapest: the cost rankings in words, never point estimates alone."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from inferometer.costwords.evens import flip_words
from inferometer.costwords.look import distinct
from inferometer.costwords.shape import Section
from inferometer.language import later, tr
from inferometer.numbers import number, point, times, with_interval
from inferometer.reasons import listing, reason_words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from inferometer.comparison import RankEntry, Ranking
    from inferometer.costwords.look import Look

POINTS = 3
"""Up to so many load points of a model each get a sentence; more are counted."""
FLIPS = 3
"""So many flips are told here; the others stand in the section on flips."""
NO_PRICE = later(
    "{no_price}: no sum of money can be said. What needs no price is the ratio of hourly prices at "
    "which two stacks cost the same per token."
)
OPEN = later("open loops show no capacity: every stack that keeps up delivers what is offered")


def section(look: Look) -> Section:
    """Return the verdict of each model at the first hour's price, and when it turns."""
    lead = [*_price(look), *_verdicts(look)] if look.priced else _unpriced(look)
    first = look.costs.hours[0].name if look.costs.hours else None
    flips = [flip_words(flip) for flip in look.costs.flips if first in {None, flip.hour}]
    more = len(flips) - FLIPS
    if more > 0:
        flips = [
            *flips[:FLIPS],
            tr("{more} more pairs stand under when the order flips.", more=more),
        ]
    return Section(
        id="answer",
        title=tr("The cheapest stack"),
        question=tr("Which stack is the cheapest, by how much, and when does the order flip?"),
        lead=(*lead, *flips),
    )


def _unpriced(look: Look) -> list[str]:
    """Return why no sum can be said: no price was given, or no hour has one here."""
    return [
        tr(
            "No sum of money can be said at {paid}: {reason} ({detail}).",
            paid=look.paid(hour.name),
            reason=reason_words(hour.usd_per_hour.reason),
            detail=hour.usd_per_hour.detail,
        )
        for hour in look.costs.hours
    ] or [tr(NO_PRICE, no_price=reason_words("no_price").capitalize())]


def _price(look: Look) -> list[str]:
    hour = look.costs.hours[0]
    others = len(look.costs.hours) - 1
    beside = tr("; {others} more below", others=others) if others else ""
    price = point(hour.usd_per_hour, " USD")
    return [
        (
            tr(
                "Ranked at {paid}: {price} per hour, of {date} ({source}){beside}.",
                paid=look.paid(hour.name),
                price=price,
                date=hour.origin.date,
                source=hour.origin.source,
                beside=beside,
            )
        )
    ]


def _verdicts(look: Look) -> list[str]:
    groups: dict[tuple[str, str], list[Ranking]] = defaultdict(list)
    for ranking in look.comparison.rankings:
        if ranking.objective == "cost" and ranking.primary and ranking.at == "load":
            groups[ranking.model, ranking.profile].append(ranking)
    several = len({profile for _, profile in groups}) > 1
    found = []
    for (model, profile), rankings in groups.items():
        subject = (
            tr("{model}, profile {profile}", model=model, profile=profile) if several else model
        )
        if len(rankings) > POINTS:
            found.append(f"{subject}: {_counted(look, rankings)}.")
        else:
            found += [
                f"{subject}, {one.workload}, {one.load}: {verdict(look, one)}." for one in rankings
            ]
    if not found:
        loops = {cell.loop for cell in look.comparison.cells}
        return [
            tr(
                "No stack was ranked by cost{why}.",
                why=f": {tr(OPEN)}" if loops == {"open"} else "",
            )
        ]
    told = [one.follows_throughput or "" for rows in groups.values() for one in rows if one.entries]
    return [*found, *(f"{tr(text.rstrip('. ')).capitalize()}." for text in distinct(told) if text)]


def verdict(look: Look, ranking: Ranking) -> str:
    """Return one cost ranking in words, without the final stop."""
    entries = sorted(ranking.entries, key=lambda entry: entry.place)
    first = [entry for entry in entries if entry.place == entries[0].place]
    names = listing(look.label(entry.stack) for entry in entries)
    if not entries:
        return tr("not ranked: {why}", why=_left_out(look, ranking) or tr("no result"))
    if len(entries) == 1:
        value = entries[0].value
        text = tr(
            "only {names} could be ranked: {value} {unit}, n = {n}",
            names=names,
            value=with_interval(value),
            unit=value.unit,
            n=value.n,
        )
    elif ranking.n_rounds < 2:
        text = tr("one launch each of {names}: no interval, so no order", names=names)
    elif ranking.separated and len(first) == 1:
        best, second = (look.label(entry.stack) for entry in entries[:2])
        text = tr(
            "{best} is the cheapest: {second} costs {ratio} as much",
            best=best,
            second=second,
            ratio=times(entries[1].ratio_to_best),
        )
    else:
        text = _shared(look, first if len(first) > 1 else entries[:2])
    simulated = tr("simulated: ") if ranking.kind == "simulated" else ""
    left_out = tr("; not ranked: {why}", why=_left_out(look, ranking)) if ranking.unranked else ""
    return f"{simulated}{text}{left_out}"


def _shared(look: Look, first: Sequence[RankEntry]) -> str:
    best = next((entry for entry in first if entry.verdict == "best"), first[0])
    others = [entry for entry in first if entry is not best]
    names = listing(look.label(entry.stack) for entry in first)
    ratio = tr(
        "{stack} costs {ratio} as much as {other}",
        stack=look.label(others[0].stack),
        ratio=times(others[0].ratio_to_best),
        other=look.label(best.stack),
    )
    if all(entry.verdict == "tie" for entry in others):
        return tr("a tie of {names}, equal within the margin: {ratio}", names=names, ratio=ratio)
    return tr("no clear winner among {names}: {ratio}", names=names, ratio=ratio)


def _left_out(look: Look, ranking: Ranking) -> str:
    groups: dict[str, list[str]] = defaultdict(list)
    for item in ranking.unranked:
        groups[reason_words(item.reason)].append(look.label(item.stack))
    return "; ".join(f"{words} ({listing(names)})" for words, names in groups.items())


def _counted(look: Look, rankings: Sequence[Ranking]) -> str:
    leads: dict[str, list[float]] = defaultdict(list)
    for ranking in rankings:
        entries = sorted(ranking.entries, key=lambda entry: entry.place)
        if ranking.separated and ranking.n_rounds > 1 and len(entries) > 1:
            leads[entries[0].stack].append(entries[1].ratio_to_best.value or 1.0)
    parts = [
        tr(
            "{stack} is the cheapest at {number} of {total} load points (the next costs {low}x "
            "to {high}x as much)",
            stack=look.label(stack),
            number=len(ratios),
            total=len(rankings),
            low=number(min(ratios)),
            high=number(max(ratios)),
        )
        for stack, ratios in leads.items()
    ]
    rest = len(rankings) - sum(map(len, leads.values()))
    if rest:
        parts.append(
            tr("no clear winner at {rest} of {total} load points", rest=rest, total=len(rankings))
        )
    return "; ".join(parts)
