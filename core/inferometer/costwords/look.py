"""Look-ups over a comparison and its costs, and the few phrases that every section has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inferometer.comparison import Value
from inferometer.costwords.shape import Table
from inferometer.language import later, tr
from inferometer.numbers import number

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from inferometer.comparison import Cell, Comparison, Costs
    from inferometer.comparison.costs import Hour, Origin, Part

NOT_RANKED = later(" (not ranked)")


class Look:
    """Read-only look-ups over one comparison that has costs."""

    def __init__(self, comparison: Comparison, costs: Costs) -> None:
        self.comparison = comparison
        self.costs = costs
        self._labels = {stack.id: stack.label or stack.id for stack in comparison.stacks}
        self._cells = {cell.id: cell for cell in comparison.cells}
        self._hours = {hour.name: hour for hour in costs.hours}

    @property
    def priced(self) -> bool:
        """Say whether any hour has a price."""
        return any(hour.usd_per_hour.value is not None for hour in self.costs.hours)

    def label(self, stack: str) -> str:
        """Return the short name of a stack."""
        return self._labels.get(stack, stack)

    def cell(self, id_: str) -> Cell | None:
        """Return a cell by its id."""
        return self._cells.get(id_)

    def at(self, cell: str) -> str:
        """Return a cell in words, ``vllm 0.32.0, smol, chat, 8 streams``, or its id."""
        found = self._cells.get(cell)
        if found is None:
            return cell
        return ", ".join([self.label(found.stack), found.model, found.workload, found.load])

    def hour(self, name: str) -> Hour | None:
        """Return one of the scenario's hours by name."""
        return self._hours.get(name)

    def paid(self, name: str) -> str:
        """Return an hour's name, marked where its price is stale."""
        hour = self._hours.get(name)
        return f"{name}{mark(hour.origin)}" if hour else name


def mark(origin: Origin) -> str:
    """Return what stands behind a name whose price is stale; else nothing."""
    return tr(" (STALE: {age_days} days old)", age_days=origin.age_days) if origin.stale else ""


def part_rows(parts: Iterable[Part], total: float | None) -> list[tuple[str, ...]]:
    """Return the lines of a bill, and their sum where there is one."""
    rows: list[tuple[str, ...]] = [
        (part.name, number(part.usd, grouped=True), part.formula) for part in parts
    ]
    if total is not None:
        rows.append((tr("sum"), number(total, grouped=True), tr("of the lines above")))
    return rows


def absent(reason: str) -> Value:
    """Return a value that is not there, for a column that needs one."""
    return Value(value=None, unit="", kind="derived", reason=reason)


def distinct(items: Iterable[str]) -> list[str]:
    """Return the items without repetitions, in order of appearance."""
    return list(dict.fromkeys(items))


def tidy(
    place: str,
    what: str,
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    columns: Iterable[str],
) -> Table:
    """Return a table titled ``place: what``; what in ``columns`` never varies joins ``place``."""
    places = {name: header.index(name) for name in columns}
    same = {name for name, place in places.items() if len({row[place] for row in rows}) < 2}
    kept = [index for index, name in enumerate(header) if name not in same]
    common = [rows[0][place] for name, place in places.items() if name in same and rows]
    return Table(
        title=f"{', '.join(word for word in (place, *common) if word)}: {what}",
        header=tuple(header[index] for index in kept),
        rows=tuple(tuple(row[index] for index in kept) for row in rows),
    )
