"""The cost of the work at each load point: one bill, divided once between input and output."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inferometer.costwords.look import (
    NOT_RANKED,
    absent,
    distinct,
    part_rows,
    tidy,
)
from inferometer.costwords.shape import Section, Table
from inferometer.numbers import number, percent, point, with_interval
from inferometer.reasons import reason_words

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from inferometer.comparison import Value
    from inferometer.comparison.costs import PricedCell
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
DIVIDED = ("divided by", "idle", "cached input", "input + output = bill")
POINT = ("workload", "load")
METHODS = {
    "phases": "joules of prefill and decode",
    "engine": "the engine's own busy seconds",
    "client": "time to first token against the rest",
}
ONE_BILL = (
    "Output's and input's part divide one bill: tokens x price over both sides give it once. "
    "Tokens for a dollar and the figure that ranks each set the whole bill against one kind of "
    "token, so they must not be added."
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
            title="What the work costs",
            question="What do a token, a request and a user cost at each load point?",
            lead=(ONE_BILL,),
            tables=tuple(tables),
        )
    ]


def _tables(look: Look, cells: Sequence[PricedCell], place: str) -> list[Table]:
    ranks = cells[0].hour == look.costs.hours[0].name
    bill = ("USD per hour", "USD / M output (ranks)" if ranks else "USD / M output")
    whole = [(point(one.usd_per_hour), *_figures(one, (RANKS,))) for one in cells]
    split = [_figures(one, SPLIT.values()) for one in cells]
    tokens = [_figures(one, FOR_A_DOLLAR.values()) for one in cells]
    users = [(*_figures(one, REQUESTS.values()), _interactivity(look, one)) for one in cells]
    asked = (*REQUESTS, "interactivity (tok/s/user)")
    tables: list[tuple[str, Sequence[str], Sequence[Sequence[str]]]] = [
        ("the whole bill over output tokens", bill, whole),
        ("one bill, in USD per million tokens", (*SPLIT,), split),
        ("how the bill is divided", DIVIDED, [_divided(one) for one in cells]),
        ("tokens for one dollar", (*FOR_A_DOLLAR,), tokens),
        ("requests and users", asked, users),
    ]
    found = []
    for what, header, figures in tables:
        rows = [(*_who(look, one), *row) for one, row in zip(cells, figures, strict=True)]
        found.append(tidy(place, what, ("stack", *POINT, *header), rows, POINT))
    return [*found, *_own_parts(look, cells, place)]


def _who(look: Look, one: PricedCell) -> tuple[str, str, str]:
    label = look.label(one.stack) + ("" if one.ranked else NOT_RANKED)
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
    how = METHODS.get(division.method or "", f"n/a ({reason_words(division.reason)})")
    cached = division.cached_tokens_share
    return (
        f"{how}; {division.detail}" if division.detail else how,
        "not known" if division.idle_share is None else percent(division.idle_share * 100),
        "not known" if cached is None else percent(cached * 100),
        proof(one),
    )


def proof(one: PricedCell) -> str:
    """Return ``40.0 % + 60.0 % = 100 %``: each side's dollars over the bill's, from the figures.

    A side's part of the bill is its price per token times the tokens that a dollar of the whole
    bill brings.
    """
    found = (
        _side(one.values.get(f"usd_per_mtok_{side}"), one.values.get(f"{side}_tok_per_usd"))
        for side in ("input", "output")
    )
    sides = [share for share in found if share is not None]
    if len(sides) < 2:
        return f"n/a ({reason_words(one.division.reason or 'not_recorded')})"
    said = [f"{number(share * 100)} %" for share in (*sides, sum(sides))]
    return f"{said[0]} + {said[1]} = {said[2]}"


def _side(per_mtok: Value | None, for_a_dollar: Value | None) -> float | None:
    if per_mtok is None or for_a_dollar is None:
        return None
    if per_mtok.value is None or for_a_dollar.value is None:
        return None
    return per_mtok.value * for_a_dollar.value / 1e6


def _own_parts(look: Look, cells: Sequence[PricedCell], place: str) -> list[Table]:
    """Return the lines that a cell's bill has and its hour's has not: surcharges, own watts."""
    hour = look.hour(cells[0].hour)
    usual = hour.parts if hour else []
    rows = [
        (*_who(look, one), *row)
        for one in cells
        if one.parts != usual
        for row in part_rows([part for part in one.parts if part not in usual], None)
    ]
    if not rows:
        return []
    header = ("stack", *POINT, "part", "USD per hour", "formula")
    return [tidy(place, "lines of their own in the bill of an hour", header, rows, POINT)]
