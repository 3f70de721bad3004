"""The answer at the top of a report: on the page a card for each question, else sentences.

In every output all of it in few words.
"""

from __future__ import annotations

import re
from html import unescape
from typing import TYPE_CHECKING, NamedTuple

from inferometer.comparison import OBJECTIVES
from inferometer.language import later, tr
from inferometer.numbers import TAGS, number
from inferometer_reports import capacity, latency, verdicts, words
from inferometer_reports.blocks import Heading
from inferometer_reports.escape import line
from inferometer_reports.html.markup import Markup, element, join
from inferometer_reports.phrases import Statement
from inferometer_reports.view import ARCHITECTURES, by_place

if TYPE_CHECKING:
    from collections.abc import Sequence

    from inferometer.comparison import Ranking
    from inferometer_reports.blocks import Block
    from inferometer_reports.view import View

MOST_WORDS = 118
"""Words of the answer, titles and links of cards with it: 120 with the section's own title.

Sentences that are longer stand in the ranking.
"""
WHY = later("why")
_OTHER = later(" Another meter says otherwise.")
_IN_EVERY_CARD = re.compile(r"95 % |, n = \d+")
"""What is said once for all cards where they are short."""


class Answer(NamedTuple):
    """The answer as HTML, and the sentences that were too long for it."""

    html: Markup
    left_out: Sequence[Statement]


class Sentences(NamedTuple):
    """The answer in sentences, what is said once for all of them, and those that were too long."""

    told: Sequence[Statement]
    notes: Sequence[str]
    left_out: Sequence[Statement]


class Question(NamedTuple):
    """One card: its title, its whole sentence, and the rankings that the sentence is of."""

    title: str
    sentence: str
    rankings: Sequence[Ranking]


def answer(view: View, blocks: Sequence[Block]) -> Answer:
    """Return the cards; ``blocks`` are those of the ranking, to which the cards lead.

    Sentences are those of every output where all of them fit, else shorter ones, down to names.
    """
    asked = questions(view)
    others = [*capacity.answers(view), *latency.answers(view)]
    links = [_where(it, blocks) for it in asked]
    more = [element("p", element("strong", line(lead)), " ", line(text)) for lead, text in others]
    told = _html(asked, [it.sentence for it in asked], links, [_point(view), *more])
    if _size(told) <= MOST_WORDS:
        return Answer(told, [])
    for detail in (2, 1, 0):
        notes = [_point(view, _brackets(asked, detail)), *([_also(view)] if others else [])]
        told = _html(asked, [_short(view, it, detail) for it in asked], links, notes)
        if _size(told) <= MOST_WORDS:
            break
    return Answer(told, words.answers(view))


def sentences(view: View) -> Sentences:
    """Return the answer as sentences: those of the page, whole or short."""
    whole = words.answers(view)
    if _count(whole, []) <= MOST_WORDS:
        return Sentences(whole, [], [])
    order = [it.lead.rstrip(":") for it in whole]
    asked = sorted(questions(view), key=lambda it: order.index(it.title))
    others = [*capacity.answers(view), *latency.answers(view)]
    told, notes = list[Statement](), list[str]()
    for detail in (2, 1, 0):
        told = [Statement(f"{it.title}:", _short(view, it, detail)) for it in asked]
        marked = [_point(view, _brackets(asked, detail)), _also(view) if others else ""]
        notes = [text for it in marked if (text := unescape(re.sub("<[^>]*>", "", it)))]
        if _count(told, notes) <= MOST_WORDS:
            break
    return Sentences(told, notes, whole)


def _count(told: Sequence[Statement], notes: Sequence[str]) -> int:
    every = [text for it in told for text in (line(it.lead), line(it.text))]
    return len(" ".join([*every, *notes]).split())


def questions(view: View) -> list[Question]:
    """Return the questions in the order of the cards: a row for dense, a row for MoE."""
    told = {it.lead: it.text for it in words.answers(view)}
    return [
        Question(lead.rstrip(":"), told[lead], view.rankings(objective, it, profile=profile))
        for it in ARCHITECTURES
        for profile in view.profiles or ["defaults"]
        for objective in OBJECTIVES
        for lead in [words.question(view, objective, it, profile)]
    ]


def _html(
    asked: Sequence[Question], texts: Sequence[str], links: Sequence[str], notes: Sequence[Markup]
) -> Markup:
    cards = [
        element(
            "li",
            element("h3", line(it.title)),
            element("p", line(text)),
            element("a", tr(WHY), href=f"#{link}", aria_label=f"{tr(WHY)}: {line(it.title)}"),
        )
        for it, text, link in zip(asked, texts, links, strict=True)
    ]
    return join([element("ul", *cards, class_="cards"), *notes])


def _size(html: str) -> int:
    return len(re.sub("<[^>]*>", " ", html).split())


def _where(asked: Question, blocks: Sequence[Block]) -> str:
    """Return the place of a question's first table, or of what is missing."""
    titles = [one.text for one in blocks if isinstance(one, Heading)]
    found = (n for n, text in enumerate(titles, 1) if text.startswith(f"{asked.title}: "))
    place = next(found, None)
    return "missing" if place is None else f"ranking-{place}"


def _point(view: View, brackets: str = "") -> Markup:
    """Return where the answer holds, once for all cards."""
    points = view.points
    where = (
        tr("Workload {points}", points=", ".join(points[0]))
        if len(points) == 1
        else tr("Over {number} load points", number=len(points))
    )
    return element("p", line(f"{where}{brackets}.")) if points else Markup("")


def _brackets(asked: Sequence[Question], detail: int) -> str:
    """Return what stands in brackets in short sentences, if any does."""
    every = [_told(it) for it in asked]
    told = [found for found in every if any(one.entries for one in found)]
    counted = any(len(found) > 1 for found in told)
    sizes = {
        entry.value.n
        for found in told
        for entry in (found[0].entries if len(found) == 1 else ())
        if entry.value.n > 1
    }
    if not detail or not (counted or sizes):
        return ""
    if not sizes:
        return tr("; in brackets: lowest to highest ratio to the second")
    text = later("; in brackets: 95 % intervals over {sizes} launches")
    if counted:
        text = later(
            "; in brackets: lowest to highest ratio to the second, or 95 % intervals over {sizes} "
            "launches at one load point"
        )
    return tr(text, sizes=verdicts.span(min(sizes), max(sizes)))


def _told(asked: Question) -> Sequence[Ranking]:
    """Return the rankings that a short sentence is of: simulated ones where there are no others."""
    measured = [it for it in asked.rankings if it.kind != "simulated"]
    return measured if any(it.entries for it in measured) else asked.rankings


def _also(view: View) -> Markup:
    """Return links to what else was asked for."""
    found = [
        ("capacity", tr("Capacity"), capacity.answers(view)),
        ("latency", tr("Latency"), latency.answers(view)),
    ]
    links = [element("a", title, href=f"#{id_}") for id_, title, told in found if told]
    return element("p", tr("Also answered: "), *_listed(links))


def _listed(parts: Sequence[Markup]) -> list[str]:
    return [part for one in parts for part in (", ", one)][1:]


def _short(view: View, asked: Question, detail: int) -> str:
    """Return the sentence of a card: 2 with the second's name, 1 without it, 0 names alone."""
    found = _told(asked)
    if not any(it.entries for it in found):
        return asked.sentence.partition(" (")[0].rstrip(".") + "."
    text = _one(view, found[0], detail) if len(found) == 1 else _counted(view, found, detail)
    follows = any(it.follows_throughput and it.entries for it in found)
    other = detail and tr(_OTHER).strip(" .") in asked.sentence
    begin = tr("follows throughput: ") if follows and detail else ""
    return f"{begin}{text}.{tr(_OTHER) if other else ''}"


def _one(view: View, ranking: Ranking, detail: int) -> str:
    found = verdicts.verdict(view, ranking)
    figure = _IN_EVERY_CARD.sub("", found.figure)
    out = len(ranking.unranked)
    left_out = tr("; {out} not ranked", out=out) if out and detail else ""
    if not found.leads:
        short = f"{found.head}{figure}{found.tail}" if detail == 2 else _head(found.head, figure)
        bare = detail < 2 and bool(found.head.partition(tr(": ratio"))[1])
        if not detail and not bare:
            short, bare = short.partition(":")[0], True
        return f"{short}{_mark(ranking) if bare else ''}{left_out}"
    if not detail:
        return f"{found.head.removesuffix(': ')}{_mark(ranking)}"
    second = (
        tr(" that of {stack}", stack=view.label(by_place(ranking)[1].stack)) if detail == 2 else ""
    )
    return f"{found.head}{figure}{second}{left_out}"


def _mark(ranking: Ranking) -> str:
    """Return the tag of a ranking of which no figure is told that would have it."""
    return f" ({tr(TAGS[ranking.kind])})" if ranking.entries and ranking.kind in TAGS else ""


def _head(head: str, figure: str) -> str:
    """Return ``no clear winner among A and B`` without what follows, or a head with its figure."""
    found, mark, _ = head.partition(tr(": ratio"))
    return found if mark else f"{head}{figure}"


def _counted(view: View, rankings: Sequence[Ranking], detail: int) -> str:
    """Return at how many points each stack leads, by how much."""
    found, every = verdicts.counts(rankings), len(rankings)
    kinds = {TAGS[it.kind] for it in rankings if it.entries and it.kind in TAGS}
    tag = "".join(f" {tr(it)}" for it in sorted(kinds))
    parts = [
        tr(
            "{stack} leads at {number} of {every}",
            stack=view.label(stack),
            number=len(ratios),
            every=every,
        )
        + (f" ({_span(ratios)}{tag})" if detail else f" ({tag.strip()})" if tag else "")
        for stack, ratios in found.leads.items()
    ]
    undecided = later("no clear winner at {undecided} of {every}")
    if parts:
        undecided = later("no winner at {undecided}")
    parts += [tr(undecided, undecided=found.undecided, every=every)] if found.undecided else []
    unranked = later("not ranked at {unranked} of {every}")
    parts += [tr(unranked, unranked=found.unranked, every=every)] if found.unranked else []
    return "; ".join(parts)


def _span(ratios: Sequence[float]) -> str:
    low, high = number(min(ratios)), number(max(ratios))
    return f"{low}x" if low == high else tr("{low}x to {high}x", low=low, high=high)
