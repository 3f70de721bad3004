"""The cost of the work at each load point: one bill, divided once between input and output."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from inferometer.costwords.look import (
    NOT_RANKED,
    absent,
    distinct,
    part_rows,
    tidy,
)
from inferometer.costwords.shape import Section, Table
from inferometer.language import later, tr
from inferometer.numbers import number, percent, point, with_interval
from inferometer.reasons import reason_words

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from inferometer.comparison.costs import Part, PricedCell
    from inferometer.costwords.look import Look

RANKS = "bill_usd_per_mtok_output"
SPLIT = {
    "output's part / M output": "usd_per_mtok_output",
    "input's part / M input": "usd_per_mtok_input",
    "total / M tokens": "usd_per_mtok_total",
}
FOR_A_DOLLAR = {
    "output tok/USD": "output_tok_per_usd",
    "input tok/USD": "input_tok_per_usd",
    "total tok/USD": "total_tok_per_usd",
}
REQUESTS = {
    "USD per request": "usd_per_request",
    "USD per good request": "usd_per_good_request",
    "USD per user-hour": "usd_per_user_hour",
}
INTERACTIVITY = "interactivity_tok_s_user"
DIVIDED = (
    *(later("divided by"), "input", "output", "idle", later("cached tokens")),
    later("input + output, of the bill"),
)
POINT = ("workload", "load")
METHODS = {
    "phases": later("joules of prefill and decode"),
    "engine": later("the engine's busy seconds"),
    "client": later("time to the first token"),
}
ONE_BILL = later(
    "Output's and input's part divide one bill: tokens x price over both sides give it once. The "
    "figure that ranks sets the whole bill against the output tokens, so it must not be added to "
    "them. Shares of idle time are borne by both sides."
)


def section(look: Look) -> list[Section]:
    """Return the tables of every hour and model; nothing where no cell has a price."""
    if not look.priced or not look.costs.cells:
        return []
    tables: list[Table] = []
    for hour in distinct(cell.hour for cell in look.costs.cells):
        for model in distinct(cell.model for cell in look.costs.cells if cell.hour == hour):
            cells = [it for it in look.costs.cells if (it.hour, it.model) == (hour, model)]
            tables += _tables(look, cells, f"{look.paid(hour)}: {model}")
    return [
        Section(
            id="points",
            title=tr("What the work costs"),
            question=tr("What do a token, a request and a user cost at each load point?"),
            lead=(ONE_BILL,),
            tables=tuple(tables),
        )
    ]


def _tables(look: Look, cells: Sequence[PricedCell], place: str) -> list[Table]:
    ranks = cells[0].hour == look.costs.hours[0].name
    bill = (tr("USD per hour"), tr("USD / M output (ranks)") if ranks else tr("USD / M output"))
    whole = [(point(one.usd_per_hour), *_figures(one, (RANKS,))) for one in cells]
    split = [_figures(one, SPLIT.values()) for one in cells]
    tokens = [_figures(one, FOR_A_DOLLAR.values()) for one in cells]
    users = [(*_figures(one, REQUESTS.values()), _interactivity(look, one)) for one in cells]
    asked = (*REQUESTS, tr("interactivity (tok/s/user)"))
    tables: list[tuple[str, Sequence[str], Sequence[Sequence[str]]]] = [
        (tr("the whole bill over output tokens"), bill, whole),
        (tr("one bill, in USD per million tokens"), (*SPLIT,), split),
        (tr("how the bill is divided"), DIVIDED, [_divided(one) for one in cells]),
        (tr("tokens for one dollar"), (*FOR_A_DOLLAR,), tokens),
        (tr("requests and users"), asked, users),
    ]
    found = []
    for what, header, figures in tables:
        rows = [(*_who(look, one), *row) for one, row in zip(cells, figures, strict=True)]
        found.append(tidy(place, what, ("stack", *POINT, *header), rows, POINT))
    how = distinct(one.division.detail for one in cells if one.division.detail)
    found[2] = replace(found[2], notes=tuple(tr("Divided {text}.", text=text) for text in how))
    return [*found, *_own_parts(look, cells, place)]


def _who(look: Look, one: PricedCell) -> tuple[str, str, str]:
    label = look.label(one.stack) + ("" if one.ranked else tr(NOT_RANKED))
    return label, one.workload, one.load


def _figures(one: PricedCell, ids: Iterable[str]) -> tuple[str, ...]:
    missing = absent("not_recorded")
    return tuple(with_interval(one.values.get(id_, missing)) for id_ in ids)


def _interactivity(look: Look, one: PricedCell) -> str:
    cell = look.cell(one.cell)
    value = cell.values.get(INTERACTIVITY) if cell else None
    return point(value or absent("not_recorded"))


def _divided(one: PricedCell) -> tuple[str, ...]:
    division = one.division
    shares = (
        division.input_share,
        division.output_share,
        division.idle_share,
        division.cached_tokens_share,
    )
    return (
        tr(METHODS.get(division.method or "", f"n/a ({reason_words(division.reason)})")),
        *(tr("not known") if share is None else percent(share * 100) for share in shares),
        proof(one),
    )


def proof(one: PricedCell) -> str:
    """Return ``40.0 % + 60.0 % = 100 %``: each side's dollars over the bill's, from the figures.

    With p a price per million tokens, output's share is p_output / bill per output token; for
    every dollar of the bill there are 1 / p_total tokens, 1 / bill per output token of them output.
    """
    ids = (RANKS, *SPLIT.values())
    found = (one.values.get(id_, absent("not_recorded")).value for id_ in ids)
    known = [value for value in found if value]
    if len(known) < len(ids):
        return f"n/a ({reason_words(one.division.reason or 'not_recorded')})"
    bill, output, input_, all_ = known
    sides = input_ * (1 / all_ - 1 / bill), output / bill
    said = [f"{number(share * 100)} %" for share in (*sides, sum(sides))]
    return f"{said[0]} + {said[1]} = {said[2]}"


def _own_parts(look: Look, cells: Sequence[PricedCell], place: str) -> list[Table]:
    """Return the lines that a cell's bill has and its hour's has not: surcharges, own watts."""
    hour = look.hour(cells[0].hour)
    usual = {_line(part) for part in hour.parts} if hour else set()
    rows = [
        (*_who(look, one), *row)
        for one in cells
        for row in part_rows([part for part in one.parts if _line(part) not in usual], None)
    ]
    if not rows:
        return []
    header = ("stack", *POINT, "part", tr("USD per hour"), "formula")
    return [tidy(place, tr("lines of their own in the bill of an hour"), header, rows, POINT)]


def _line(part: Part) -> tuple[str, str]:
    """Return what tells two lines apart; a last digit of floating point does not."""
    return part.name, part.formula or repr(part.usd)
