"""Latency at offered loads: what open loops are for. Shown side by side, never ranked."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from inferometer.language import later, tr
from inferometer.numbers import point, with_interval
from inferometer.reasons import reason_words
from inferometer_reports import samples
from inferometer_reports.blocks import Datum, Heading, Table, say
from inferometer_reports.escape import line
from inferometer_reports.view import ARCHITECTURE_TITLES, ARCHITECTURE_WORDS, unit_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from inferometer.comparison import Cell
    from inferometer_reports.blocks import Block
    from inferometer_reports.view import View

ROWS = (
    "ttft_intended_p50_ms",
    "ttft_intended_p90_ms",
    "ttft_intended_p99_ms",
    "tpot_ms",
    "tpot_p90_ms",
    "e2e_intended_p50_ms",
    "e2e_intended_p90_ms",
    "e2e_intended_p99_ms",
    "requests_s",
    "goodput_requests_s",
    "slo_attainment",
)
FELT = (
    *(f"ttft_{end}" for end in ("p50_ms", "p90_ms", "p99_ms")),
    *("tpot_ms", "tpot_p50_ms", "tpot_p90_ms", "tpot_p99_ms"),
    *("interactivity_tok_s_user", "goodput_requests_s", "slo_attainment"),
)
"""What users felt, whatever the loop."""
HEADLINES = ("ttft_intended_p90_ms", "ttft_intended_p50_ms", "ttft_intended_ms")
"""The first of which some stack has a number stands in the answer."""
MOST = 3
"""Up to so many open-loop load points stand in the answer; all are in the table."""
NOTE = later(
    "Requests came on schedule, the same for every stack; latency counts from the time each was "
    "meant to be sent. A failed request is unfinished: a percentile that reaches it has no "
    "number. Nothing is ranked here: at an offered rate, stacks that keep up deliver the same "
    "throughput."
)


class Place(NamedTuple):
    """A model at an open-loop load point, with the cells of all stacks."""

    where: str
    cells: list[Cell]


def places(view: View) -> list[Place]:
    """Return every model and open-loop load point, in order of appearance."""
    groups: dict[tuple[str, str, str], list[Cell]] = {}
    for cell in view.comparison.cells:
        if cell.loop == "open":
            groups.setdefault((cell.model, cell.workload, cell.load), []).append(cell)
    return [Place(", ".join(place), cells) for place, cells in groups.items()]


def answers(view: View) -> list[tuple[str, str]]:
    """Return (subject, sentence) of the first load points, and where the others are."""
    found = places(view)
    told = [
        (
            tr(
                "Latency, {architecture} ({where}):",
                architecture=ARCHITECTURE_WORDS[place.cells[0].architecture],
                where=place.where,
            ),
            _sentence(view, place.cells),
        )
        for place in found[:MOST]
    ]
    if len(found) > MOST:
        told.append(
            (
                tr("Latency:"),
                tr("{number} more open loops, in the table below.", number=len(found) - MOST),
            )
        )
    return told


def _sentence(view: View, cells: Sequence[Cell]) -> str:
    """Return ``time to first token from intended send, p90: A 41.0 ms, B 52.3 ms.``."""
    key = next((key for key in HEADLINES if any(_has(cell, key) for cell in cells)), HEADLINES[0])
    info = view.metric(key)
    title = view.metric_title(key, unit=False)
    unit = f" {unit_name(info.unit)}" if info else ""
    parts = [f"{view.label(cell.stack)} {_figure(cell, key, unit)}" for cell in cells]
    return tr(
        "{lower}{title}: {parts} (not ranked).",
        lower=title[:1].lower(),
        title=title[1:],
        parts=", ".join(parts),
    )


def _has(cell: Cell, key: str) -> bool:
    return key in cell.values and cell.values[key].value is not None


def _failed(cell: Cell) -> bool:
    return any(check.verdict == "fail" for check in cell.checks)


def _figure(cell: Cell, key: str, unit: str) -> str:
    if _failed(cell):
        return tr("invalid")
    if key not in cell.values:
        return tr("n/a (not run)")
    return f"{point(cell.values[key], unit if _has(cell, key) else '')}{_refused(cell)}"


def _refused(cell: Cell) -> str:
    return f" ({reason_words(cell.refused)})" if cell.refused else ""


def section(view: View) -> list[Block]:
    """Return one table per model and open-loop load point, the stacks side by side."""
    found = places(view)
    if not found:
        return []
    blocks: list[Block] = [Heading(2, tr("Latency at offered loads")), say(tr(NOTE))]
    for place in found:
        title = ARCHITECTURE_TITLES[place.cells[0].architecture]
        blocks.append(Heading(3, f"{title}: {line(place.where)}"))
        keys = [key for key in ROWS if any(_declared(cell, key) for cell in place.cells)]
        header = [tr("Metric"), *(line(name(view, cell)) for cell in place.cells)]
        blocks.append(Table(header, [_row(view, place.cells, key) for key in keys]))
        blocks += samples.too_few(view, place.cells, keys)
    return blocks


def every(view: View) -> list[Block]:
    """Return one table per model and workload: what users felt at every load point."""
    groups: dict[tuple[str, str], list[Cell]] = {}
    for cell in view.comparison.cells:
        groups.setdefault((cell.model, cell.workload), []).append(cell)
    blocks: list[Block] = []
    for place, cells in groups.items():
        keys = [key for key in FELT if any(_declared(cell, key) for cell in cells)]
        header = [tr("Load point"), tr("Stack"), *(line(view.metric_title(key)) for key in keys)]
        rows = [
            [line(cell.load), line(name(view, cell)), *(_datum(cell, key) for key in keys)]
            for cell in cells
        ]
        title = f"{ARCHITECTURE_TITLES[cells[0].architecture]}: {line(', '.join(place))}"
        blocks += [Heading(3, title), Table(header, rows)] if keys else []
    return blocks


def _declared(cell: Cell, key: str) -> bool:
    return key in cell.values and cell.values[key].reason != "not_declared"


def name(view: View, cell: Cell) -> str:
    """Return a cell's stack, with the words for why its numbers do not count, if they do not."""
    return f"{view.label(cell.stack)}{tr(' (INVALID)') if _failed(cell) else _refused(cell)}"


def _row(view: View, cells: Sequence[Cell], key: str) -> list[str]:
    return [line(view.metric_title(key)), *(_datum(cell, key) for cell in cells)]


def _datum(cell: Cell, key: str) -> str:
    value = cell.values.get(key)
    if value is None:
        return tr("n/a (not run)")
    return Datum(with_interval(value), value, f"{cell.id}#{key}")
