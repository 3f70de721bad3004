"""Tables of the page without what they would say twice.

Markdown shows a table for each operating point; here those of one question are one table, what is
the same in every row stands above it, and metrics stand beside each other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from inferometer.language import later, tr
from inferometer_reports.blocks import (
    Datum,
    Fold,
    Heading,
    Item,
    Paragraph,
    Strong,
    Table,
    item,
    say,
)
from inferometer_reports.escape import line

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from inferometer_reports.blocks import Block
    from inferometer_reports.view import View

LEAST = 4
"""Rows from which something is said once for all of them."""
POINT = later("Operating point")
"""The column that tells merged rows apart; the script finds a row's baseline by it."""
KEPT = {"Stack", "stack", "Place"}
"""Columns that stay, even where all rows share one stack or the first place."""


def shorter(blocks: Iterable[Block]) -> list[Block]:
    """Return the blocks, of each table only the columns that differ from row to row."""
    found: list[Block] = []
    for one in blocks:
        if isinstance(one, Fold):
            found.append(one._replace(blocks=shorter(one.blocks)))
        elif isinstance(one, Table):
            found += _shorter(one)
        else:
            found.append(one)
    return found


def _shorter(table: Table) -> list[Block]:
    if len(table.rows) < LEAST:
        return [table]
    columns, known = list(zip(*table.rows, strict=True)), {*map(tr, KEPT)}
    same = [
        place
        for place, (name, cells) in enumerate(zip(table.header, columns, strict=True))
        if place and name not in known and len(set(cells)) == 1 and not _numbers(cells)
    ]
    own = [name == tr("Cell") and all(map(_names, table.rows)) for name in table.header]
    kept = [place for place in range(len(columns)) if place not in same and not own[place]]
    told = "; ".join(f"{table.header[place]}: {columns[place][0] or tr('empty')}" for place in same)
    header = [table.header[place] for place in kept]
    short = Table(header, [[row[place] for place in kept] for row in table.rows])
    return [say(Strong(tr("In every row:")), f" {told}."), short] if told else [short]


def _numbers(cells: Iterable[str]) -> bool:
    return any(isinstance(cell, Datum) and cell.value.value is not None for cell in cells)


def _names(row: Sequence[str]) -> bool:
    """Say whether a row's numbers name the cell that its last column does."""
    return any(isinstance(it, Datum) and it.id.partition("#")[0] == row[-1] for it in row)


class _Part(NamedTuple):
    """A heading with what stands under it; ``load`` is what its text ends with, if any is known."""

    heading: Heading | None
    blocks: list[Block]
    stem: str
    load: str | None


def together(view: View, blocks: Iterable[Block]) -> list[Block]:
    """Return the blocks with parts that differ by their operating point alone as one."""
    found: list[Block] = []
    run: list[_Part] = []
    for part in _parts(blocks, _loads(view)):
        if run and not _alike(run[-1], part):
            found += _one(run)
            run = []
        run.append(part)
    return [*found, *_one(run)]


def _loads(view: View) -> list[str]:
    """Return the words of every operating point, the longest first."""
    known = {line(it.load) for it in view.comparison.cells}
    known |= {line(it.load) for it in view.comparison.rankings}
    return sorted(known, key=lambda load: (-len(load), load))


def _parts(blocks: Iterable[Block], loads: Sequence[str]) -> Iterator[_Part]:
    part = _Part(None, [], "", None)
    for one in blocks:
        if not isinstance(one, Heading):
            part.blocks.append(one)
            continue
        if part.heading or part.blocks:
            yield part
        load = next((load for load in loads if one.text.endswith(f", {load}")), None)
        stem = one.text.removesuffix(f", {load}") if load else one.text
        part = _Part(one, [], stem, load)
    if part.heading or part.blocks:
        yield part


def _alike(left: _Part, right: _Part) -> bool:
    """Say whether two parts can be one: one table each, with the same columns."""
    both = [_table(part) for part in (left, right)]
    if left.heading is None or right.heading is None or None in {left.load, right.load}:
        return False
    if left.heading.level != right.heading.level or left.stem != right.stem:
        return False
    one, other = both
    return one is not None and other is not None and list(one.header) == list(other.header)


def _table(part: _Part) -> Table | None:
    """Return the only table of a part that has beside it sentences alone."""
    found = [one for one in part.blocks if isinstance(one, Table)]
    rest = [one for one in part.blocks if not isinstance(one, Table | Paragraph | Item)]
    return found[0] if len(found) == 1 and not rest else None


def _one(run: Sequence[_Part]) -> list[Block]:
    if len(run) < 2:
        return [one for part in run for one in _whole(part)]
    first = run[0]
    assert first.heading is not None
    tables = [(part.load or "", table) for part in run if (table := _table(part))]
    rows = [[load, *row] for load, table in tables for row in table.rows]
    header = [tr(POINT), *tables[0][1].header]
    before, after = _sentences(run, before=True), _sentences(run, before=False)
    return [first.heading._replace(text=first.stem), *before, Table(header, rows), *after]


def _whole(part: _Part) -> list[Block]:
    return [*([part.heading] if part.heading else []), *part.blocks]


def _sentences(run: Sequence[_Part], *, before: bool) -> Iterator[Block]:
    """Yield what stands above or below the tables: what is true of all points, then of some."""
    said: dict[tuple[bool, tuple[str, ...]], list[str]] = {}
    for part in run:
        at = next(n for n, one in enumerate(part.blocks) if isinstance(one, Table))
        for one in part.blocks[:at] if before else part.blocks[at + 1 :]:
            if isinstance(one, Paragraph | Item):
                said.setdefault((isinstance(one, Item), one.parts), []).append(part.load or "")
    for (listed, parts), loads in sorted(said.items(), key=lambda it: len(it[1]) < len(run)):
        if len(loads) == len(run):
            yield item(*parts) if listed else say(*parts)
            continue
        lead = f"{parts[0].rstrip(':')}, " if isinstance(parts[0], Strong) else ""
        rest = parts[1:] if lead else (" ", *parts)
        yield item(Strong(f"{lead}{'; '.join(loads)}:"), *rest)


def across(blocks: Iterable[Block], keys: Mapping[str, Sequence[str]]) -> list[Block]:
    """Return the blocks; in the folds that ``keys`` names, metrics stand beside each other.

    ``keys`` is title -> columns that say what a row is of.
    """
    return [
        one._replace(blocks=[it for block in one.blocks for it in _across(block, keys[one.title])])
        if isinstance(one, Fold) and one.title in keys
        else one
        for one in blocks
    ]


def _across(block: Block, keys: Sequence[str]) -> list[Block]:
    """Return a table with a row for each key that has all metrics, and one with the other rows."""
    if not isinstance(block, Table) or tr("Metric") not in block.header:
        return [block]
    at = [place for place, name in enumerate(block.header) if name in keys]
    metric = list(block.header).index(tr("Metric"))
    values = [n for n in range(len(block.header)) if n not in {*at, metric}]
    metrics = list(dict.fromkeys(row[metric] for row in block.rows))
    groups: dict[tuple[str, ...], list[Sequence[str]]] = {}
    for row in block.rows:
        groups.setdefault(tuple(row[place] for place in at), []).append(row)
    whole = {
        key: [row[n] for name in metrics for row in rows if row[metric] == name for n in values]
        for key, rows in groups.items()
        if sorted(row[metric] for row in rows) == sorted(metrics)
    }
    if len(metrics) < 2 or not whole:
        return [block]
    header = [f"{name}: {block.header[n]}" for name in metrics for n in values]
    names = [block.header[place] for place in at]
    wide = Table([*names, *header], [[*key, *cells] for key, cells in whole.items()])
    rest = [row for key, rows in groups.items() if key not in whole for row in rows]
    return [wide, *([Table(block.header, rest)] if rest else [])]
