"""Figures of clients: what a file says of a quantity, and what its requests say of the same."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from inferometer.comparison import ImportedFigure, Value
from inferometer_plugins.importers.quantities import PERCENTS, PERIOD, QUANTITIES, WHOLE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from inferometer.importer import Source


class Row(NamedTuple):
    """One request of a file; times in ms, None where the file does not say."""

    finished: bool
    cut: bool = False
    """Ended by the client, as at the end of a run: it has not failed."""
    ttft_ms: float | None = None
    e2e_ms: float | None = None
    output_tokens: float | None = None
    input_tokens: float | None = None
    gaps_ms: Sequence[float] = ()


def of_rows(rows: Sequence[Row], *, linear: bool, cuts: bool = False) -> dict[str, float]:
    """Return our figures of these requests, by id.

    ``linear``: percentiles interpolate between neighbours, else they are the least value that the
    share does not exceed. ``cuts``: the client ends requests, and the rows tell which.
    """
    done = [row for row in rows if row.finished]
    cut = sum(row.cut for row in rows)
    found: dict[str, float] = {
        "finished_requests": len(done),
        "failed_requests": len(rows) - len(done) - cut,
        **({"cut_off_requests": cut} if cuts else {}),
    }
    series = {
        "ttft": [row.ttft_ms for row in done if row.ttft_ms is not None],
        "tpot": list(_tpots(done)),
        "e2e": [row.e2e_ms for row in done if row.e2e_ms is not None],
        "inter_chunk": [gap for row in done for gap in row.gaps_ms],
    }
    for name, values in series.items():
        of_finished = "" if name == "inter_chunk" else "_finished"
        if values:
            found[f"{name}_ms"] = statistics.fmean(values)
        for percent, value in _percentiles(values, linear=linear).items():
            found[f"{name}_p{percent}{of_finished}_ms"] = value
    if found.get("tpot_ms"):
        found["interactivity_tok_s_user"] = 1000 / found["tpot_ms"]
    for id_ in ("input_tokens", "output_tokens"):
        counts = [getattr(row, id_) for row in done]
        if counts and None not in counts:
            found[id_] = math.fsum(counts)
    return found


def renamed(found: Mapping[str, float], names: Mapping[str, str]) -> dict[str, float]:
    """Return the figures with other latencies' names, by ours: for stamps that are not ours.

    Interactivity goes, which is made from ours alone.
    """
    split = {id_: id_.partition("_") for id_ in found if not id_.startswith("interactivity_")}
    return {f"{names.get(head, head)}_{tail}": found[id_] for id_, (head, _, tail) in split.items()}


def without(found: Mapping[str, float], *names: str) -> dict[str, float]:
    """Return the figures whose ids do not begin with these names."""
    return {id_: value for id_, value in found.items() if not id_.startswith(names)}


def _tpots(rows: Sequence[Row]) -> Iterator[float]:
    for row in rows:
        if row.e2e_ms is not None and row.ttft_ms is not None and (row.output_tokens or 0) > 1:
            yield (row.e2e_ms - row.ttft_ms) / ((row.output_tokens or 0) - 1)


def _percentiles(values: Sequence[float], *, linear: bool) -> dict[int, float]:
    ordered = sorted(values)
    if not linear:
        places = {p: -(-p * len(ordered) // 100) - 1 for p in PERCENTS if ordered}
        return {percent: ordered[place] for percent, place in places.items()}
    if len(ordered) < 2:
        return dict.fromkeys(PERCENTS, ordered[0]) if ordered else {}
    cuts = statistics.quantiles(ordered, n=100, method="inclusive")
    return {percent: cuts[percent - 1] for percent in PERCENTS}


@dataclass(slots=True)
class Figures:
    """Collects the figures of one measurement. ``source`` is the file whose word counts."""

    source: Source
    recomputed: Mapping[str, float] = field(default_factory=dict)
    rows: Source | None = None
    """The file that has the requests, where it is another."""
    notes: Mapping[str, str] = field(default_factory=dict)
    """What this tool adds to a definition, by id."""
    cropped: bool = False
    """The tool left warm-up or cool-down out."""
    found: list[ImportedFigure] = field(default_factory=list)

    def add(self, id_: str, value: float | None, where: str) -> None:
        """Add what the file says at ``where``; nothing where it says nothing."""
        if value is not None:
            self.found.append(self._figure(id_, self._value(id_, value), where))

    def finish(self) -> list[ImportedFigure]:
        """Return all, with those that only the requests tell behind them."""
        known = {figure.id for figure in self.found}
        self.found += [
            self._figure(id_, self._value(id_, value, here=True), "")
            for id_, value in self.recomputed.items()
            if id_ not in known
        ]
        return self.found

    def _figure(self, id_: str, value: Value, where: str) -> ImportedFigure:
        quantity = QUANTITIES[id_]
        again = self.recomputed.get(id_) if where else None
        note = self.notes.get(id_) or ""
        told = quantity.definition
        told = told.replace(WHOLE, PERIOD) if self.cropped else told
        return ImportedFigure(
            id=id_,
            title=quantity.title,
            value=value,
            where=where,
            definition=f"{told}; {note}" if note else told,
            as_ours=quantity.as_ours,
            recomputed=None if again is None else self._value(id_, again, here=True),
        )

    def _value(self, id_: str, value: float, *, here: bool = False) -> Value:
        source = (self.rows or self.source) if here else self.source
        how = ", computed here from its requests" if here else ""
        detail = f"{source.name}, SHA-256 {source.sha256}{how}"
        return Value(value=value, unit=QUANTITIES[id_].unit, kind="reported", detail=detail)
