"""Tables of what is said of stacks: places, pairs, fronts, MoE over dense, capacities."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inferometer.comparison.rows.table import (
    RATIO,
    VALUE,
    Rows,
    key_of,
    number,
    ratio,
    rows,
    texts,
    unknown,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from inferometer.comparison import Comparison, RankEntry, Ranking, Unranked
    from inferometer.comparison.rows.table import Row

_QUESTION = ("objective", "metric", "meter", "primary")
_WHERE = ("profile", "model", "architecture", "workload", "at", "load", "n_rounds")
QUESTION = {**texts("objective", "metric", "meter"), "primary": bool}
WHERE = {**texts(*_WHERE[:-1]), "n_rounds": int}


def _asked(ranking: Ranking) -> Row:
    return tuple(getattr(ranking, name) for name in (*_QUESTION, *_WHERE))


def rankings(comparison: Comparison) -> Rows:
    """Return one row a stack of each ranking; one without a place has None there, and why.

    ``shared`` says that others have the same place. One round alone allows no order of several
    stacks: their ``place`` is None and ``place_reason`` is ``too_few_samples``.
    """
    columns = {
        **QUESTION,
        **WHERE,
        "place": int,
        "shared": bool,
        "place_low": int,
        "place_high": int,
        **texts("place_reason", "place_detail", "stack", "cell", "verdict"),
        "probability_best": float,
        **VALUE,
        **RATIO,
        "precision": str,
    }
    found = (
        (*_asked(one), *cells)
        for one in comparison.rankings
        for cells in (*_entries(one), *map(_unranked, one.unranked))
    )
    return rows(columns, found)


def _entries(ranking: Ranking) -> Iterator[Row]:
    places = [entry.place for entry in ranking.entries]
    told = ranking.n_rounds > 1 or len(places) < 2
    for entry in sorted(ranking.entries, key=lambda entry: entry.place):
        shared = places.count(entry.place) > 1
        ordered: Row = (entry.place, shared, entry.place_low, entry.place_high, None, None)
        place = ordered if told else _placeless("too_few_samples", "one launch each")
        yield (*place, *_entry(ranking, entry))


def _entry(ranking: Ranking, entry: RankEntry) -> Row:
    result = f"{entry.cell or entry.stack}#{key_of(ranking.metric, ranking.meter)}"
    return (
        *(entry.stack, entry.cell or None, entry.verdict, entry.probability_best),
        *number(entry.value, result),
        *ratio(entry.ratio_to_best),
        entry.precision,
    )


def _unranked(one: Unranked) -> Row:
    value = number(one.value, "") if one.value is not None else unknown(one.reason)
    return (
        *_placeless(one.reason, one.detail),
        *(one.stack, None, None, None),
        *value,
        *ratio(one.ratio_to_best),
        one.precision,
    )


def _placeless(reason: str, detail: str) -> Row:
    return None, None, None, None, reason, detail


def pairs(comparison: Comparison) -> Rows:
    """Return one row a pair of stacks of each ranking: ``ratio`` is ``stack`` over ``other``."""
    found = (
        (*_asked(one), pair.stack, pair.other, pair.verdict, *ratio(pair.ratio), pair.rounds)
        for one in comparison.rankings
        for pair in one.pairs
    )
    columns = {**QUESTION, **WHERE, **texts("stack", "other", "verdict"), **RATIO, "rounds": int}
    return rows(columns, found)


def fronts(comparison: Comparison) -> Rows:
    """Return one row a load point of each front: interactivity in tok/s/user against a value."""
    names = ("profile", "model", "architecture", "workload", "per")
    spans = ("interactivity", "interactivity_low", "interactivity_high")
    columns = {
        **QUESTION,
        **texts(*names, "stack", "load", "cell"),
        **dict.fromkeys(spans, float),
        "on_front": bool,
        "probability": float,
        **VALUE,
    }
    found = (
        (
            *(getattr(front, name) for name in (*_QUESTION, *names)),
            *(point.stack, point.load, point.cell),
            *(point.interactivity.value, point.interactivity.low, point.interactivity.high),
            *(point.on_front, point.probability),
            *number(point.value, f"{point.cell}#{key_of(front.metric, front.meter)}"),
        )
        for front in comparison.fronts
        for point in front.points
    )
    return rows(columns, found)


def moe_ratios(comparison: Comparison) -> Rows:
    """Return one row a ratio of MoE over dense on one stack."""
    names = ("stack", "dense", "moe", "match", "metric", "meter", "workload", "at", "load")
    found = (
        (
            *(getattr(one, name) for name in (*names, "better")),
            *number(one.ratio, f"{one.stack}#{key_of(one.metric, one.meter)}/moe"),
        )
        for one in comparison.moe_ratios
    )
    return rows({**texts(*names, "better"), **VALUE}, found)


def capacities(comparison: Comparison) -> Rows:
    """Return one row a stack, model and workload: the highest rate that meets the SLO.

    ``passes`` was certified to meet it, ``fails`` to miss it; both in the unit of the value.
    """
    names = ("stack", "model", "architecture", "workload", "slo", "flag")
    found = (
        (
            *(getattr(one, name) for name in names),
            *(one.share, one.confidence, one.passes.value, one.fails.value),
            *number(one.rate, f"{one.stack}/{one.model}/{one.workload}#capacity"),
        )
        for one in comparison.capacities
    )
    shares = dict.fromkeys(("share", "confidence", "passes", "fails"), float)
    return rows({**texts(*names), **shares, **VALUE}, found)
