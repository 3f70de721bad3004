"""The only sums that the page makes itself: dollars a million tokens at the reader's own prices."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inferometer.language import later, tr
from inferometer.numbers import point
from inferometer_reports import instruments, latency
from inferometer_reports.blocks import Datum
from inferometer_reports.escape import line
from inferometer_reports.html.markup import Markup, element
from inferometer_reports.html.writer import table
from inferometer_reports.view import ARCHITECTURES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from inferometer.comparison import Cell
    from inferometer_reports.view import View

TOKENS, JOULES = "output_tok_s", "energy_j_per_output_token"
FORMULA = later(
    "USD per million output tokens = price of an hour / 3600 / (output tokens a second) x "
    "1\u202f000\u202f000 + price of a kWh x J per output token / 3.6. Only what is typed here is "
    "computed in the page."
)


def form(view: View) -> Markup:
    """Return the table that the script fills; without script it is not shown."""
    cells = [
        cell
        for cell in view.comparison.cells
        if cell.loop == "closed" and cell.values.get(TOKENS) and cell.values[TOKENS].value
    ]
    if not cells:
        return Markup("")
    header = [
        tr("Stack"),
        tr("Model"),
        tr("Load point"),
        tr("Output throughput (tok/s)"),
        tr("J/output token"),
    ]
    meter = _meter(view, cells)
    by = instruments.meter(view, meter)
    rows = [
        [
            line(latency.name(view, cell)),
            line(cell.model),
            line(f"{cell.workload}, {cell.load}"),
            _datum(cell, TOKENS),
            _joules(cell, meter),
        ]
        for cell in cells
    ]
    return element(
        "div",
        element("h3", tr("At your own prices")),
        element("p", tr(FORMULA)),
        *([element("p", line(instruments.sentence(by)))] if by else []),
        table(tr("At your own prices"), header, rows),
        class_="calculator",
        hidden=True,
    )


def _meter(view: View, cells: Sequence[Cell]) -> str | None:
    """Return the meter of all rows: the one that ranks, else the first that was read.

    One for all, because meters see different parts of a machine.
    """
    ranks = [it.meter for side in ARCHITECTURES for it in view.rankings("energy", side)]
    known = [*ranks, *(info.name for info in view.comparison.meters)]
    return next((it for it in known if it and any(_told(cell, it) for cell in cells)), None)


def _told(cell: Cell, meter: str) -> bool:
    found = cell.values.get(f"{JOULES}@{meter}")
    return found is not None and found.value is not None


def _joules(cell: Cell, meter: str | None) -> str:
    key = f"{JOULES}@{meter}"
    return _datum(cell, key) if key in cell.values else tr("n/a (no power sensor)")


def _datum(cell: Cell, key: str) -> str:
    return Datum(point(cell.values[key]), cell.values[key], f"{cell.id}#{key}")
