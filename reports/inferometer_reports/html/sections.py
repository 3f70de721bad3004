"""The sections of the page, in the order in which a reader asks."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from msgspec.structs import replace

from inferometer.language import later, tr, trs
from inferometer_reports import capacity, equal, latency, moe_words, words
from inferometer_reports.blocks import Fold, Heading, Mono, Table, deeper, item, say
from inferometer_reports.document import figures
from inferometer_reports.html import figures as drawn
from inferometer_reports.html import grids, tables, texts, traces
from inferometer_reports.sections import (
    cost,
    energy,
    evidence,
    fronts,
    imported,
    method,
    moe,
    pairs,
    rankings,
    tuning,
)
from inferometer_reports.view import ARCHITECTURES, View

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from inferometer.comparison import Cell, MetricInfo, Objective
    from inferometer_reports.blocks import Block

MOST_CELLS = 24
"""Cells whose every value is in the page; of more they would be most of it."""
ACROSS = {
    later("Every ratio of MoE to dense"): (
        later("Stack"),
        later("Models"),
        later("Operating point"),
        later("What is equal"),
    ),
    later("Does one stack gain more than another?"): (
        later("Stacks"),
        later("MoE / dense"),
        later("Operating point"),
    ),
    later("Does the order of stacks change?"): (later("Stacks"), later("Operating point")),
}
"""Tables in which metrics stand beside each other, with what their rows are of."""
UNNUMBERED = later("Metrics of which there is no number here are defined in report.json.")


class Section(NamedTuple):
    """One section: its question, one sentence that answers it, and what that rests on."""

    id: str
    title: str
    question: str
    finding: str
    blocks: Sequence[Block]


def sections(view: View) -> list[Section]:
    """Return the sections behind the answer, each with what it says where data are missing."""
    return [make(view) for make in BY_ID.values()]


def _less(view: View, blocks: Iterable[Block]) -> list[Block]:
    """Return blocks of Markdown without what their tables would say twice."""
    return tables.shorter(tables.together(view, blocks))


def _inside(*parts: Sequence[Block]) -> list[Block]:
    """Return the sections of Markdown as parts of one: one alone loses its title."""
    there = [part for part in parts if part]
    if len(there) == 1 and isinstance(there[0][0], Heading) and there[0][0].level == 2:
        return list(there[0][1:])
    return [block for part in there for block in _one_deeper(part)]


def _one_deeper(part: Sequence[Block]) -> list[Block]:
    titled = isinstance(part[0], Heading) and part[0].level == 2
    return deeper(part, 1) if titled else list(part)


def _ranking(view: View) -> Section:
    blocks: list[Block] = [rankings.about()]
    for architecture in ARCHITECTURES:
        told = rankings.of(view, architecture)
        blocks += [*drawn.ranking(view, architecture), *_less(view, told)]
    opinions = pairs.section(view)
    blocks += [Fold(tr("Verdicts, pair by pair"), _less(view, opinions[1:]))] if opinions else []
    blocks += deeper(imported.section(view.comparison.imported), 1)
    return Section(
        "ranking", tr("Ranking"), tr("How sure is the order?"), words.how_sure(view).text, blocks
    )


def _capacity(view: View) -> Section:
    told = capacity.answers(view)
    finding = " ".join(f"{lead} {text}" for lead, text in told) or tr(texts.NO_CAPACITY)
    blocks = [*drawn.capacities(view), *_less(view, _inside(capacity.section(view)))]
    return Section("capacity", tr("Capacity"), tr("How many users at my SLO?"), finding, blocks)


def _trade_off(view: View) -> Section:
    blocks = [
        *_fronts(view, "throughput"),
        *grids.targets(view, "throughput"),
        *_less(view, _inside(fronts.at_equal_interactivity(view), fronts.weights(view))),
    ]
    return Section(
        "trade-off",
        tr("Trade-off"),
        tr("Speed for each user, or throughput?"),
        tr("At equal interactivity: {sentence}", sentence=equal.sentence(view)),
        blocks,
    )


def _fronts(view: View, objective: Objective) -> list[Block]:
    """Return each front of an objective: the chart of its first meter, then the table."""
    own = [it for it in view.comparison.fronts if it.objective == objective]
    if not own:
        none = View(replace(view.comparison, fronts=[]))
        return fronts.fronts(none)[1:] if objective == "throughput" else []
    blocks: list[Block] = [say(tr(fronts.FRONTS))] if objective == "throughput" else []
    for place, front in enumerate(own, start=1):
        _, _, title, *told = fronts.fronts(View(replace(view.comparison, fronts=[front])))
        blocks += [title, *drawn.front(view, front, place), *tables.shorter(told)]
    return blocks


def _cost(view: View) -> Section:
    price = words.price(view)
    told = f"{price.lead} {price.text}" if price else tr(texts.NO_PRICE)
    finding = f"{texts.amounts(view, 'cost') if price else ''} {told}".strip()
    blocks = [
        *_fronts(view, "cost"),
        *grids.targets(view, "cost"),
        *_less(view, _inside(cost.section(view))),
    ]
    return Section("cost", tr("Cost"), tr("What do a million tokens cost?"), finding, blocks)


def _energy(view: View) -> Section:
    told = texts.amounts(view, "energy") if view.comparison.meters else ""
    finding = told or " ".join(it.text for it in words.energy(view)) or tr(texts.NO_ENERGY)
    blocks = [
        *_fronts(view, "energy"),
        *grids.targets(view, "energy"),
        *traces.power(view),
        *_less(view, _inside(energy.section(view))),
    ]
    return Section(
        "energy", tr("Energy"), tr("How many joules a token, and by which meter?"), finding, blocks
    )


def _latency(view: View) -> Section:
    offered = latency.answers(view)
    finding = " ".join(f"{lead} {text}" for lead, text in offered) or tr(texts.NO_OFFERED)
    groups: dict[tuple[str, str], list[Cell]] = {}
    for cell in view.comparison.cells:
        groups.setdefault((cell.model, cell.workload), []).append(cell)
    blocks: list[Block] = []
    for number, cells in enumerate(groups.values(), start=1):
        told = latency.every(View(replace(view.comparison, cells=cells)))
        blocks += [*told[:1], *drawn.latency(view, cells, number), *tables.shorter(told[1:])]
    blocks += traces.distributions(view)
    blocks += _less(view, _inside(latency.section(view)))
    return Section("latency", tr("Latency"), tr("What do users feel?"), finding, blocks)


def _architectures(view: View) -> Section:
    answer = words.moe_to_dense(view)
    finding = f"{answer.lead} {answer.text}" if answer else tr(texts.ONE_ARCHITECTURE)
    if answer and view.comparison.moe_ratios:
        finding = moe_words.winner(view) or f"{tr(texts.NO_ORDER)} {finding}"
    told = _inside(moe.section(view, figures(view)))
    blocks = tables.across(
        tables.shorter(told), {tr(title): trs(*of) for title, of in ACROSS.items()}
    )
    return Section("moe", tr("Dense against MoE"), tr("Does the winner change?"), finding, blocks)


def _validity(view: View) -> Section:
    blocks = [
        *tables.shorter(_inside(evidence.checks(view), evidence.parity(view))),
        *traces.run_order(view),
    ]
    finding = words.checks(view).text
    return Section("validity", tr("Validity"), tr("Was the measurement sound?"), finding, blocks)


def _fairness(view: View) -> Section:
    blocks = tables.shorter(_inside(method.fairness(view), tuning.section(view)))
    return Section("fairness", tr("Fairness"), tr("What differed?"), texts.fairness(view), blocks)


def _missing(view: View) -> Section:
    blocks = [*_inside(evidence.missing(view)), *grids.planned(view)]
    finding = words.not_measured(view).text
    return Section("missing", tr("Missing and excluded"), tr("What is not here?"), finding, blocks)


def _method(view: View) -> Section:
    told = View(replace(view.comparison, metrics=_numbered(view)))
    blocks = tables.shorter(
        _inside(method.launch(view), method.method(told), method.provenance(view))
    )
    if len(told.comparison.metrics) < len(view.comparison.metrics):
        blocks.append(say(tr(UNNUMBERED)))
    return Section(
        "method", tr("Method and provenance"), tr("How was it done?"), texts.method(view), blocks
    )


def _numbered(view: View) -> list[MetricInfo]:
    """Return the metrics of which there is a number; all of them where there is none at all."""
    keys = {
        *(
            key
            for it in view.comparison.cells
            for key, one in it.values.items()
            if one.value is not None
        ),
        *(it.metric for it in view.comparison.rankings),
    }
    names = {key.partition("@")[0] for key in keys}
    return [it for it in view.comparison.metrics if it.id in names]


def _data(view: View) -> Section:
    told: list[Block] = [Fold(tr("Every cell, every value"), evidence.details(view)[1:])]
    if len(view.comparison.cells) > MOST_CELLS:
        told = [
            say(
                tr(
                    "Every value of more than {most} cells stands in those files alone.",
                    most=MOST_CELLS,
                )
            )
        ]
    files = [
        item(
            Mono("report.json"),
            tr(": everything here in full precision, with the reason of each gap"),
        ),
        item(
            Mono("report.md"), tr(": the same sentences and tables as text, with the charts as SVG")
        ),
    ]
    glossary = Table(trs("Word", "Meaning"), texts.glossary())
    blocks: list[Block] = [
        say(tr("Files of the same report, where they were written beside this one:")),
        *files,
        *told,
        Heading(3, tr("Glossary")),
        glossary,
    ]
    finding = texts.data(view)
    return Section("data", tr("Data and glossary"), tr("Where are the numbers?"), finding, blocks)


BY_ID: Mapping[str, Callable[[View], Section]] = {
    "ranking": _ranking,
    "capacity": _capacity,
    "trade-off": _trade_off,
    "cost": _cost,
    "energy": _energy,
    "latency": _latency,
    "moe": _architectures,
    "validity": _validity,
    "fairness": _fairness,
    "missing": _missing,
    "method": _method,
    "data": _data,
}
"""In the order of the page."""
