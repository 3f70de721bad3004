"""The parity of what was measured: every pair of cells that must say the same, compared."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inferometer.parity import Said, compare
from inferometer.records import Probe, Score
from inferometer.tables import model_name, read_rows, stack_id

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from inferometer.comparison import Parity
    from inferometer.parity import Cell
    from inferometer.store import Store


def parities(store: Store, twins: Mapping[str, str]) -> list[Parity]:
    """Compare one model across stacks, and each twin with its dense model on one stack.

    None if nobody was asked. ``twins`` maps a MoE model's name to the dense one's. The first
    launch with probes counts.
    """
    said = said_of(store)
    if not said:
        return []
    cells = {(stack_id(record), model_name(record)) for record in store.launches()}
    return [
        compare(left, right, said.get(left, Said()), said.get(right, Said()))
        for left, right in _pairs(sorted(cells), twins)
    ]


def worst(found: Iterable[Sequence[Parity]]) -> list[Parity]:
    """Return each pair's comparison once, of several results directories: the one that failed."""
    standing = {"fail": 0, "pass": 1, "not comparable": 2}
    pairs: dict[tuple[str, str], list[Parity]] = {}
    for parity in (one for many in found for one in many):
        pairs.setdefault((parity.left, parity.right), []).append(parity)
    return [min(each, key=lambda one: standing[one.verdict]) for each in pairs.values()]


def said_of(store: Store) -> dict[Cell, Said]:
    """Return what each stack and model said of the fixed texts, in its first launch with probes."""
    said: dict[Cell, Said] = {}
    for record in sorted(store.launches(), key=lambda r: (r.round, r.position)):
        cell, folder = (stack_id(record), model_name(record)), store.folder(record.id)
        if cell not in said and (probes := read_rows(folder, "probes", Probe)):
            said[cell] = Said(probes, read_rows(folder, "scores", Score))
    return said


def _pairs(cells: Sequence[Cell], twins: Mapping[str, str]) -> Iterator[tuple[Cell, Cell]]:
    for index, left in enumerate(cells):
        for right in cells[index + 1 :]:
            if left[1] == right[1]:
                yield left, right
    for stack, model in cells:
        dense = (stack, twins.get(model, ""))
        if dense in cells:
            yield dense, (stack, model)
